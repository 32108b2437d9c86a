//! DescribeDeliveryStream, whole answers.

use super::*;

fn describe(request: Value) -> Value {
    let (_dir, _catalog, control) = control(relaxed());
    call(&control, "CreateDeliveryStream", request).unwrap();
    call(&control, "DescribeDeliveryStream", json!({"DeliveryStreamName": "s"})).unwrap()
}

fn extended_description(request: Value) -> Value {
    let answer = describe(request);
    answer["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"].clone()
}

#[test]
fn a_bare_stream_shows_every_default() {
    let s3 = json!({
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::hydrant",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": false},
    });
    let mut extended_s3 = s3.clone();
    extended_s3["S3BackupMode"] = json!("Disabled");
    let mut expected = json!({"DeliveryStreamDescription": {
        "DeliveryStreamName": "s",
        "DeliveryStreamARN": "arn:aws:firehose:us-east-1:000000000000:deliverystream/s",
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
        "DeliveryStreamType": "DirectPut",
        "VersionId": "1",
        "CreateTimestamp": 1_700_000_000.25,
        "Destinations": [{
            "DestinationId": "destinationId-000000000001",
            "S3DestinationDescription": s3,
            "ExtendedS3DestinationDescription": extended_s3,
        }],
        "HasMoreDestinations": false,
    }});
    assert_eq!(describe(extended(json!({}))), expected);
    let plain = json!({
        "DeliveryStreamName": "s",
        "S3DestinationConfiguration": extended(json!({}))["ExtendedS3DestinationConfiguration"],
        "DirectPutSourceConfiguration": {"ThroughputHintInMBs": 7},
    });
    let description = &mut expected["DeliveryStreamDescription"];
    description["Destinations"][0].as_object_mut().unwrap().shift_remove("ExtendedS3DestinationDescription");
    description["Source"] = json!({"DirectPutSourceDescription": {"ThroughputHintInMBs": 7}});
    assert_eq!(describe(plain), expected);
}

#[test]
fn given_members_are_echoed() {
    let given = json!({
        "Prefix": "p/",
        "ErrorOutputPrefix": "e/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 0},
        "CompressionFormat": "ZIP",
        "EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:r:000000000000:key/1"}},
        "CloudWatchLoggingOptions": {"Enabled": false, "LogGroupName": "g", "LogStreamName": "s"},
        "FileExtension": ".x",
        "CustomTimeZone": "UTC",
        "S3BackupMode": "Disabled",
        "DynamicPartitioningConfiguration": {"Enabled": false},
        "DataFormatConversionConfiguration": {"Enabled": false, "SchemaConfiguration": {"Region": "r"}},
    });
    let described = extended_description(extended(given.clone()));
    let mut expected = given;
    merge(&mut expected, json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::hydrant"}));
    expected["DynamicPartitioningConfiguration"]["RetryOptions"] = json!({"DurationInSeconds": 300});
    assert_eq!(described, expected);
}

#[test]
fn conversion_defaults_show_and_serde_options_do_not() {
    let described = extended_description(conversion(json!({})));
    assert_eq!(described["BufferingHints"], json!({"SizeInMBs": 128, "IntervalInSeconds": 300}));
    assert_eq!(
        described["DataFormatConversionConfiguration"],
        json!({
            "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "db", "TableName": "t"},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
            "Enabled": true,
        })
    );
}

#[test]
fn a_lambdas_parameters_are_kept_in_the_services_order_with_defaults() {
    let described = extended_description(lambda(&[
        ("Variable.FIELD", "mail"),
        ("BufferIntervalInSeconds", "10"),
        ("LambdaArn", LAMBDA),
        ("BufferSizeInMBs", "2"),
    ]));
    let names_and_values: Vec<_> = described["ProcessingConfiguration"]["Processors"][0]["Parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| format!("{}={}", p["ParameterName"].as_str().unwrap(), p["ParameterValue"].as_str().unwrap()))
        .collect();
    assert_eq!(
        names_and_values,
        [
            format!("LambdaArn={LAMBDA}"),
            "NumberOfRetries=3".to_owned(),
            format!("RoleArn={ROLE}"),
            "BufferSizeInMBs=2".to_owned(),
            "BufferIntervalInSeconds=10".to_owned(),
            "Variable.FIELD=mail".to_owned(),
        ]
    );
    let omitted = extended(json!({"ProcessingConfiguration": {"Processors": []}}));
    let described = extended_description(omitted);
    assert_eq!(described["ProcessingConfiguration"], json!({"Enabled": false, "Processors": []}));
}

#[test]
fn tags_do_not_change_what_is_shown() {
    let request = with_tags(extended(json!({})), &[("hydrant:CompressionFormat", "ZSTD")]);
    assert_eq!(extended_description(request)["CompressionFormat"], "UNCOMPRESSED");
}

#[test]
fn a_backup_that_is_off_is_described_with_defaults() {
    let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup", "Prefix": "b/"});
    let described = extended_description(extended(json!({"S3BackupConfiguration": backup})));
    assert_eq!(
        described["S3BackupDescription"],
        json!({
            "RoleARN": ROLE,
            "BucketARN": "arn:aws:s3:::backup",
            "Prefix": "b/",
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
            "CompressionFormat": "UNCOMPRESSED",
            "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
            "CloudWatchLoggingOptions": {"Enabled": false},
        })
    );
}
