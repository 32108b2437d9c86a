//! What the data plane is told: members, defaults, extensions.

use super::*;
use crate::stream::definition::*;
use crate::stream::prefix::TimeZone;
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

#[test]
fn a_bare_request_takes_the_services_defaults() {
    let definition = planned(extended(json!({})));
    assert_eq!(
        definition,
        Definition {
            name: "s".parse().unwrap(),
            incarnation: Id128([1; 16]),
            revision: 1,
            arn: "arn:aws:firehose:us-east-1:000000000000:deliverystream/s".to_owned(),
            hints: Hints { size_bytes: 5 * MIB, interval_ms: 300_000 },
            s3: S3Target {
                bucket: "hydrant".to_owned(),
                prefix: String::new(),
                error_prefix: None,
                time_zone: TimeZone::UTC,
                file_extension: String::new(),
                compression: Compression::Uncompressed,
                kms_key: None,
            },
            processors: Processors::default(),
            transform: None,
            convert: None,
            target_object_bytes: None,
            backup: None,
            partitioning: None,
            http: None,
            redshift: None,
        }
    );
    let plain = json!({
        "DeliveryStreamName": "s",
        "S3DestinationConfiguration": extended(json!({}))["ExtendedS3DestinationConfiguration"],
    });
    assert_eq!(planned(plain), definition);
}

#[test]
fn every_member_of_the_target_arrives() {
    let key = "arn:aws:kms:us-east-1:000000000000:key/1";
    let definition = planned(extended(json!({
        "BucketARN": "arn:aws-cn:s3:::a.b-c_d",
        "Prefix": "p/",
        "ErrorOutputPrefix": "e/",
        "CustomTimeZone": "Asia/Calcutta",
        "FileExtension": ".x",
        "CompressionFormat": "HADOOP_SNAPPY",
        "EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": key}},
        "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 0},
    })));
    assert_eq!(definition.hints, Hints { size_bytes: 128 * MIB, interval_ms: 0 });
    assert_eq!(
        definition.s3,
        S3Target {
            bucket: "a.b-c_d".to_owned(),
            prefix: "p/".to_owned(),
            error_prefix: Some("e/".to_owned()),
            time_zone: TimeZone::from_id("Asia/Calcutta").unwrap(),
            file_extension: ".x".to_owned(),
            compression: Compression::HadoopSnappy,
            kms_key: Some(key.to_owned()),
        }
    );
    let compressions = [
        ("UNCOMPRESSED", Compression::Uncompressed),
        ("GZIP", Compression::Gzip),
        ("ZIP", Compression::Zip),
        ("Snappy", Compression::Snappy),
        ("ZSTD", Compression::Zstd),
    ];
    for (format, compression) in compressions {
        assert_eq!(planned(extended(json!({"CompressionFormat": format}))).s3.compression, compression);
    }
}

#[test]
fn a_lambda_names_a_transform() {
    let spec = planned(lambda(&[("LambdaArn", LAMBDA)])).transform.unwrap();
    assert_eq!(
        spec,
        TransformSpec {
            lambda_arn: LAMBDA.to_owned(),
            function: "mask".to_owned(),
            version: Some("2".to_owned()),
            retries: 3,
            batch_bytes: MIB,
            timeout_ms: 60_000,
            memory_bytes: 256 * MIB,
            variables: BTreeMap::new(),
            fuel: None,
            is_stateless: false,
        }
    );
    let spec = planned(lambda(&[
        ("LambdaArn", "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST"),
        ("NumberOfRetries", "0"),
        ("BufferSizeInMBs", "0.25"),
        ("BufferIntervalInSeconds", "0"),
        ("TimeoutInSeconds", "5"),
        ("MemoryInMBs", "64"),
        ("FuelInMillions", "7"),
        ("Stateless", "True"),
        ("Variable.FIELD", "mail"),
    ]))
    .transform
    .unwrap();
    assert_eq!((spec.function.as_str(), spec.version.as_deref(), spec.retries), ("f", Some("$LATEST"), 0));
    assert_eq!((spec.batch_bytes, spec.timeout_ms, spec.memory_bytes), (MIB / 4, 5_000, 64 * MIB));
    assert_eq!((spec.fuel, spec.is_stateless), (Some(7_000_000), true));
    assert_eq!(spec.variables, BTreeMap::from([("FIELD".to_owned(), "mail".to_owned())]));
    // Disabled, or Enabled left out: kept for Describe, not done.
    for enabled in [json!({"Enabled": false}), json!({"Enabled": null})] {
        let mut request = lambda(&[("LambdaArn", LAMBDA)]);
        merge(&mut request["ExtendedS3DestinationConfiguration"]["ProcessingConfiguration"], enabled);
        assert_eq!(planned(request).transform, None);
    }
}

#[test]
fn conversion_is_on_unless_it_is_off() {
    let definition = planned(conversion(json!({})));
    assert_eq!(definition.hints, Hints { size_bytes: 128 * MIB, interval_ms: 300_000 });
    assert_eq!(
        definition.convert.unwrap(),
        ConvertSpec {
            schema: SchemaRef {
                catalog_id: "000000000000".to_owned(),
                database: "db".to_owned(),
                table: "t".to_owned(),
                region: "us-east-1".to_owned(),
                version_id: "LATEST".to_owned(),
                role_arn: ROLE.to_owned(),
            },
            deserializer: Deserializer::OpenX {
                case_insensitive: true,
                key_mappings: BTreeMap::new(),
                dots_to_underscores: false,
            },
            unknown_fields_column: None,
            parquet: ParquetOptions {
                block_size_bytes: 256 * MIB,
                page_size_bytes: MIB,
                compression: ParquetCompression::Snappy,
                dictionary: true,
                writer_v2: false,
                max_padding_bytes: 0,
                int96_timestamps: false,
                bloom_filter_columns: Vec::new(),
                bloom_filter_fpp: DEFAULT_BLOOM_FILTER_FPP,
            },
        }
    );
    let off = planned(conversion(json!({"Enabled": false})));
    assert_eq!((off.convert, off.hints.size_bytes), (None, 5 * MIB));
}

#[test]
fn every_option_of_conversion_arrives() {
    let spec = planned(conversion(json!({
        "Enabled": true,
        "SchemaConfiguration": {"CatalogId": "1", "Region": "eu-west-1", "VersionId": "LATEST"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {
            "CaseInsensitive": false,
            "ConvertDotsInJsonKeysToUnderscores": true,
            "ColumnToJsonKeyMappings": {"ts": "timestamp"},
        }}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {
            "BlockSizeBytes": 1024,
            "PageSizeBytes": 64,
            "Compression": "LZ4_RAW",
            "EnableDictionaryCompression": true,
            "MaxPaddingBytes": 77,
            "WriterVersion": "V2",
            "TimestampType": "INT96",
            "BloomFilterColumns": ["id"],
            "BloomFilterFalsePositiveProbability": 0.01,
        }}},
    })))
    .convert
    .unwrap();
    assert_eq!((spec.schema.catalog_id.as_str(), spec.schema.region.as_str()), ("1", "eu-west-1"));
    assert_eq!(
        spec.deserializer,
        Deserializer::OpenX {
            case_insensitive: false,
            key_mappings: BTreeMap::from([("ts".to_owned(), "timestamp".to_owned())]),
            dots_to_underscores: true,
        }
    );
    assert_eq!(
        spec.parquet,
        ParquetOptions {
            block_size_bytes: 1024,
            page_size_bytes: 64,
            compression: ParquetCompression::Lz4Raw,
            dictionary: true,
            writer_v2: true,
            max_padding_bytes: 77,
            int96_timestamps: true,
            bloom_filter_columns: vec!["id".to_owned()],
            bloom_filter_fpp: 0.01,
        }
    );
    let hive = json!({"OpenXJsonSerDe": null, "HiveJsonSerDe": {"TimestampFormats": ["millis"]}});
    let spec = planned(conversion(json!({"InputFormatConfiguration": {"Deserializer": hive}}))).convert.unwrap();
    assert_eq!(spec.deserializer, Deserializer::Hive { timestamp_formats: vec!["millis".to_owned()] });
}

#[test]
fn with_glue_a_table_has_its_region_and_version() {
    let rules = Rules { glue_region: Some("eu-central-1".to_owned()), ..relaxed() };
    let schema_of = |more: Value| {
        let request = conversion(json!({"SchemaConfiguration": more}));
        plan(&rules, Id128([1; 16]), request).unwrap().definition.convert.unwrap().schema
    };
    let schema = schema_of(json!({"VersionId": "7"}));
    assert_eq!((schema.region.as_str(), schema.version_id.as_str()), ("eu-central-1", "7"));
    assert_eq!(schema_of(json!({"Region": "eu-west-1"})).region, "eu-west-1");
}

#[test]
fn a_backup_has_hints_and_a_target_of_its_own() {
    let backup = json!({
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::copies",
        "Prefix": "b/",
        "CompressionFormat": "GZIP",
        "BufferingHints": {"SizeInMBs": 7},
    });
    let request = |mode: &str| {
        let mut request = conversion(json!({}));
        let more = json!({"FileExtension": ".x", "S3BackupMode": mode, "S3BackupConfiguration": backup});
        merge(&mut request["ExtendedS3DestinationConfiguration"], more);
        request
    };
    let definition = planned(request("Enabled"));
    let spec = definition.backup.clone().unwrap();
    assert_eq!((spec.hints, spec.since_revision), (Hints { size_bytes: 7 * MIB, interval_ms: 300_000 }, 1));
    let of_backup = definition.of_backup().unwrap();
    assert!(of_backup.convert.is_none() && of_backup.transform.is_none() && of_backup.backup.is_none());
    let s3 = of_backup.s3;
    let told = (s3.bucket.as_str(), s3.prefix.as_str(), s3.compression, s3.file_extension.as_str(), s3.error_prefix);
    assert_eq!(told, ("copies", "b/", Compression::Gzip, "", None));
    assert_eq!(planned(request("Disabled")).backup, None);
    let zstd = with_tags(request("Enabled"), &[("hydrant:S3BackupConfiguration.CompressionFormat", "ZSTD")]);
    assert_eq!(planned(zstd).backup.unwrap().s3.compression, Compression::Zstd);
}

#[test]
fn extension_tags_win_over_members() {
    let hints = json!({"CompressionFormat": "GZIP", "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60}});
    let tags = [
        ("hydrant:CompressionFormat", "ZSTD"),
        ("hydrant:SizeInMBs", "2"),
        ("hydrant:IntervalInSeconds", "0"),
        ("team", "data"),
    ];
    let plan = plan(&relaxed(), Id128([1; 16]), with_tags(extended(hints), &tags)).unwrap();
    assert_eq!(plan.definition.s3.compression, Compression::Zstd);
    assert_eq!(plan.definition.hints, Hints { size_bytes: 2 * MIB, interval_ms: 0 });
    // What was given stays as it was given.
    let kept = &plan.request["ExtendedS3DestinationConfiguration"];
    assert_eq!((&kept["CompressionFormat"], &kept["BufferingHints"]["SizeInMBs"]), (&json!("GZIP"), &json!(64)));
    assert_eq!(plan.tags.len(), 4);
    assert!(plan.request.get("Tags").is_none() && plan.request.get("DeliveryStreamName").is_none());

    let interval_alone = with_tags(conversion(json!({})), &[("hydrant:IntervalInSeconds", "1")]);
    assert_eq!(planned(interval_alone).hints, Hints { size_bytes: 128 * MIB, interval_ms: 1000 });
    let parquet = with_tags(
        conversion(json!({})),
        &[("hydrant:ParquetSerDe.Compression", "ZSTD"), ("hydrant:ParquetSerDe.BlockSizeBytes", "4096")],
    );
    let parquet = planned(parquet).convert.unwrap().parquet;
    let rest = with_tags(conversion(json!({})), &[("hydrant:UnknownFieldsColumn", "rest")]);
    assert_eq!(planned(rest).convert.unwrap().unknown_fields_column.as_deref(), Some("rest"));
    assert_eq!((parquet.compression, parquet.block_size_bytes), (ParquetCompression::Zstd, 4096));
    let tagged = with_tags(
        lambda(&[("LambdaArn", LAMBDA), ("Variable.FIELD", "a")]),
        &[("hydrant:Variable.FIELD", "b"), ("hydrant:TimeoutInSeconds", "7")],
    );
    let spec = planned(tagged).transform.unwrap();
    assert_eq!((spec.variables["FIELD"].as_str(), spec.timeout_ms), ("b", 7_000));
}

#[test]
fn processors_become_what_they_do() {
    let of = |list: Value| planned(processors(list)).processors;
    assert_eq!(of(json!([processor("Lambda", &[("LambdaArn", LAMBDA)])])), Processors::default());
    // In any order.
    let all = of(json!([
        processor("AppendDelimiterToRecord", &[]),
        processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "True")]),
        processor("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", "IyMjIw==")]),
        processor("Decompression", &[("CompressionFormat", "GZIP")]),
    ]));
    let expected = Processors {
        decompress: Some(Decompression { extract_messages: true }),
        deaggregate: Some(Deaggregation::Delimited { delimiter: b"####".to_vec() }),
        append_delimiter: Some("\n".to_owned()),
    };
    assert_eq!(all, expected);
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Processors>(&text).unwrap(), expected);
    let plain = [processor("Decompression", &[("CompressionFormat", "GZIP")])];
    assert_eq!(of(json!(plain)).decompress, Some(Decompression { extract_messages: false }));
    let json = [processor("RecordDeAggregation", &[("SubRecordType", "JSON")])];
    assert_eq!(of(json!(json)).deaggregate, Some(Deaggregation::Json));
    for (given, meant) in
        [("\\n", "\n"), ("####", "####"), ("\\r\\n", "\r\n"), ("|\\t|", "|\t|"), ("\\\\n", "\\n"), ("\\x", "\\x")]
    {
        let append = [processor("AppendDelimiterToRecord", &[("Delimiter", given)])];
        assert_eq!(of(json!(append)).append_delimiter.as_deref(), Some(meant), "{given}");
    }
    let mut disabled = processors(json!([processor("AppendDelimiterToRecord", &[])]));
    disabled["ExtendedS3DestinationConfiguration"]["ProcessingConfiguration"]["Enabled"] = json!(false);
    assert_eq!(planned(disabled).processors, Processors::default());
}
