//! UpdateDestination: what is refused with which text, and that a refusal changes nothing.

use super::updates::*;
use super::*;
use crate::catalog::StreamRecord;
use rules::EXTENDED;

#[test]
fn refusals_have_the_services_texts_and_change_nothing() {
    let created = extended(json!({"CompressionFormat": "GZIP", "CloudWatchLoggingOptions": {"LogStreamName": "l"}}));
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let with = |change: Value| {
        let mut request = request(1, json!({}));
        merge(&mut request, change);
        request
    };
    let members = |members: Value| request(1, members);
    let violation = |path: &str, constraint: &str| {
        format!(
            "ValidationException: 1 validation error detected: Value at '{path}' failed to satisfy constraint: Member \
             must {constraint}"
        )
    };
    let conversion = || super::conversion(json!({}))[EXTENDED]["DataFormatConversionConfiguration"].clone();
    let table = [
        (
            with(json!({"DeliveryStreamName": "other"})),
            "ResourceNotFoundException: Firehose other under account 000000000000 not found.".to_owned(),
        ),
        (
            with(json!({"CurrentDeliveryStreamVersionId": "2", "DestinationId": "other"})),
            "ConcurrentModificationException: Cannot update firehose: s since the current version id: 1 and specified \
             version id: 2 do not match"
                .to_owned(),
        ),
        (with(json!({"DestinationId": "other"})), invalid("Destination Id other not found")),
        (with(json!({"DestinationId": null})), violation("destinationId", "not be null")),
        (
            with(json!({"CurrentDeliveryStreamVersionId": "v1"})),
            violation("currentDeliveryStreamVersionId", "satisfy regular expression pattern: [0-9]+"),
        ),
        (
            with(json!({"CurrentDeliveryStreamVersionId": "1".repeat(51)})),
            violation("currentDeliveryStreamVersionId", "have length less than or equal to 50"),
        ),
        (with(json!({UPDATE: null})), invalid("Exactly one destination configuration is supported for a Firehose")),
        (
            with(json!({"S3DestinationUpdate": {}})),
            invalid("Exactly one destination configuration is supported for a Firehose"),
        ),
        (
            with(json!({UPDATE: null, "SplunkDestinationUpdate": {"S3Update": 7}})),
            invalid("SplunkDestinationUpdate is not supported by this version of Hydrant."),
        ),
        (with(json!({"Tags": []})), invalid("'Tags' is not a member of the request.")),
        (
            with(json!({UPDATE: {"S3BackupConfiguration": {}}})),
            invalid(
                "'S3BackupConfiguration' is not a member of 'extendedS3DestinationUpdate'. Did you mean \
                 'S3BackupUpdate'?",
            ),
        ),
        (
            members(json!({"CompressionFormat": "LZ4"})),
            violation(
                "extendedS3DestinationUpdate.compressionFormat",
                "satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED, ZSTD]",
            ),
        ),
        (
            members(json!({"S3BackupUpdate": {"BucketARN": "arn:aws:s3:::b"}})),
            violation("extendedS3DestinationUpdate.s3BackupUpdate.roleARN", "not be null"),
        ),
        (
            members(json!({"RoleARN": "arn:x:iam::000000000000:role/r"})),
            "InvalidParameterValueException: Invalid role ARN.".to_owned(),
        ),
        // Rules hold for what update and stream make together.
        (
            members(json!({"DataFormatConversionConfiguration": conversion()})),
            invalid(
                "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion is \
                 enabled. To enable compression within the converted output format, set the appropriate serialization \
                 option in the output format configuration.",
            ),
        ),
        (
            members(json!({"CloudWatchLoggingOptions": {"Enabled": true}})),
            invalid("CloudWatch Log Group Name is required if CloudWatch Logging is enabled"),
        ),
        (
            members(json!({"CompressionFormat": "UNCOMPRESSED", "DataFormatConversionConfiguration": {}})),
            invalid("InputFormatConfiguration must not be null"),
        ),
        (
            members(json!({"ProcessingConfiguration": {"Enabled": true, "Processors": []}})),
            invalid("A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled."),
        ),
        (
            members(json!({"S3BackupMode": "Enabled"})),
            invalid("S3 backup destination configuration is required when enabling S3 backup."),
        ),
        (
            members(json!({"DynamicPartitioningConfiguration": {"Enabled": true}})),
            invalid("Dynamic partitioning can only be enabled when a stream is created, not for an existing one."),
        ),
    ];
    for (request, expected) in table {
        assert_eq!(updated(&catalog, &control, request.clone()), expected, "{request}");
    }
    assert_eq!(described(&control)["VersionId"], "1");
    call(&control, "DeleteDeliveryStream", json!({"DeliveryStreamName": "s"})).unwrap();
    assert_eq!(
        updated(&catalog, &control, members(json!({}))),
        "ResourceInUseException: Firehose s under accountId 000000000000 is being deleted."
    );
    let (_dir, catalog, control) = with_stream(strict(), extended(json!({})));
    assert_eq!(
        updated(&catalog, &control, members(json!({"BufferingHints": {"SizeInMBs": 6}}))),
        invalid(
            "Both BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds are required to configure buffering."
        )
    );
}

#[test]
fn some_switches_turn_one_way_only() {
    let of = |members: Value| json!({EXTENDED: members});
    let check = |before: Value, after: Value| {
        super::super::merge::check_switches(&of(before), &of(after))
            .map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    };
    let backup = |mode: &str| json!({"S3BackupMode": mode});
    assert_eq!(check(json!({}), backup("Enabled")), "ok");
    assert_eq!(check(backup("Enabled"), backup("Enabled")), "ok");
    for after in [backup("Disabled"), json!({})] {
        assert_eq!(check(backup("Enabled"), after), invalid("Disabling S3 backup is not currently supported."));
    }
    let partitioning = |enabled: bool, s: u64| {
        let configuration = json!({"Enabled": enabled, "RetryOptions": {"DurationInSeconds": s}});
        json!({"DynamicPartitioningConfiguration": configuration})
    };
    assert_eq!(check(partitioning(true, 1), partitioning(true, 2)), "ok");
    assert_eq!(check(json!({}), partitioning(false, 2)), "ok");
    assert!(check(json!({}), partitioning(true, 1)).contains("only be enabled when a stream is created"));
    for after in [partitioning(false, 1), json!({}), json!({"DynamicPartitioningConfiguration": {}})] {
        assert!(check(partitioning(true, 1), after).contains("cannot be disabled"));
    }
}

#[test]
fn a_switch_is_refused_by_update_and_by_configuration() {
    let (_dir, catalog, control) = with_stream(relaxed(), extended(json!({})));
    // As a stream that keeps copies is stored.
    let mut row = StreamRecord::clone(&catalog.find("s").unwrap());
    catalog.remove("s", row.definition.incarnation).unwrap();
    let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"});
    merge(&mut row.request[EXTENDED], json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup}));
    catalog.create(row, None).unwrap();
    let text = "Disabling S3 backup is not currently supported.";
    assert_eq!(updated(&catalog, &control, request(1, json!({"S3BackupMode": "Disabled"}))), invalid(text));
    let before = catalog.find("s");
    let error = block_on(control.ensure(extended(json!({})))).unwrap_err().message;
    assert!(error.starts_with(&format!("{text} The stream s has it otherwise than the configuration")), "{error}");
    assert_eq!(catalog.find("s"), before);
}
