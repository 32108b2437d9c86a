//! Texts, word for word: the model, what a request may name, and tags. Those of one group of rules have files of their own.

use super::*;

pub const UNBUILT: &str = " is not supported by this version of Hydrant.";

#[track_caller]
pub fn expect(rules: &Rules, table: impl IntoIterator<Item = (Value, String)>) {
    for (request, expected) in table {
        assert_eq!(outcome(rules, &request), expected, "{request}");
    }
}

pub fn invalid(message: &str) -> String {
    format!("InvalidArgumentException: {message}")
}

pub fn violation(path: &str, constraint: &str) -> String {
    format!(
        "ValidationException: 1 validation error detected: Value at '{path}' failed to satisfy constraint: Member must \
         {constraint}"
    )
}

#[test]
fn model_violations_print_the_services_sets_and_patterns() {
    let at = |rest: &str| format!("extendedS3DestinationConfiguration.{rest}");
    let parameter = at("processingConfiguration.processors.1.member.parameters.2.member.parameterName");
    let parquet =
        |more: Value| conversion(json!({"OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": more}}}));
    let parquet_at = |rest: &str| {
        at(&format!("dataFormatConversionConfiguration.outputFormatConfiguration.serializer.parquetSerDe.{rest}"))
    };
    let orc = |more: Value| {
        let serializer = json!({"Serializer": {"OrcSerDe": more, "ParquetSerDe": null}});
        conversion(json!({"OutputFormatConfiguration": serializer}))
    };
    let orc_at = |rest: &str| {
        at(&format!("dataFormatConversionConfiguration.outputFormatConfiguration.serializer.orcSerDe.{rest}"))
    };
    let mut name = extended(json!({}));
    name["DeliveryStreamName"] = json!("a b");
    expect(
        &strict(),
        [
            (name, violation("deliveryStreamName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")),
            (extended(json!({"RoleARN": null})), violation(&at("roleARN"), "not be null")),
            (
                extended(json!({"CompressionFormat": "gzip"})),
                violation(
                    &at("compressionFormat"),
                    "satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED]",
                ),
            ),
            (
                extended(json!({"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 1}})),
                violation(&at("bufferingHints.sizeInMBs"), "have value less than or equal to 128"),
            ),
            (
                extended(json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 901}})),
                violation(&at("bufferingHints.intervalInSeconds"), "have value less than or equal to 900"),
            ),
            (
                extended(json!({"BufferingHints": {"SizeInMBs": 0, "IntervalInSeconds": 1}})),
                violation(&at("bufferingHints.sizeInMBs"), "have value greater than or equal to 1"),
            ),
            (
                extended(json!({"Prefix": "a".repeat(1025)})),
                violation(&at("prefix"), "have length less than or equal to 1024"),
            ),
            (
                extended(json!({"FileExtension": ".PARQUET"})),
                violation(&at("fileExtension"), r"satisfy regular expression pattern: ^$|\.[0-9a-z!\-_.*'()]+"),
            ),
            (
                extended(json!({"CustomTimeZone": "GMT+1"})),
                violation(&at("customTimeZone"), "satisfy regular expression pattern: ^$|[a-zA-Z/_]+"),
            ),
            (
                lambda(&[("LambdaArn", LAMBDA), ("Retries", "3")]),
                violation(
                    &parameter,
                    "satisfy enum value set: [DataMessageExtraction, NumberOfRetries, Delimiter, RoleArn, \
                JsonParsingEngine, SubRecordType, MetadataExtractionQuery, BufferIntervalInSeconds, LambdaArn, \
                BufferSizeInMBs, CompressionFormat]",
                ),
            ),
            (
                processors(json!([processor("Wasm", &[])])),
                violation(
                    &at("processingConfiguration.processors.1.member.type"),
                    "satisfy enum value set: [Decompression, \
                Lambda, RecordDeAggregation, MetadataExtraction, AppendDelimiterToRecord, CloudWatchLogProcessing]",
                ),
            ),
            (
                parquet(json!({"Compression": "LZO"})),
                violation(&parquet_at("compression"), "satisfy enum value set: [SNAPPY, GZIP, UNCOMPRESSED]"),
            ),
            (
                parquet(json!({"WriterVersion": "V3"})),
                violation(&parquet_at("writerVersion"), "satisfy enum value set: [V1, V2]"),
            ),
            (
                orc(json!({"Compression": "GZIP"})),
                violation(&orc_at("compression"), "satisfy enum value set: [ZLIB, SNAPPY, NONE]"),
            ),
            (
                orc(json!({"FormatVersion": "V1"})),
                violation(&orc_at("formatVersion"), "satisfy enum value set: [V0_11, V0_12]"),
            ),
            (
                with_tags(extended(json!({})), &[("aws:x", "")]),
                violation(
                    "tags.1.member.key",
                    r"satisfy regular expression pattern: ^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$",
                ),
            ),
            (with_tags(extended(json!({})), &[]), violation("tags", "have length greater than or equal to 1")),
            (
                with_tags(extended(json!({})), &[("a", "1"), ("a", "2")]),
                invalid("The tag key 'a' is given more than once."),
            ),
        ],
    );
    // Where more passes, the set says so.
    expect(
        &relaxed(),
        [
            (
                extended(json!({"CompressionFormat": "gzip"})),
                violation(
                    &at("compressionFormat"),
                    "satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED, ZSTD]",
                ),
            ),
            (
                parquet(json!({"Compression": "LZO"})),
                violation(
                    &parquet_at("compression"),
                    "satisfy enum value set: [SNAPPY, GZIP, UNCOMPRESSED, ZSTD, LZ4_RAW]",
                ),
            ),
        ],
    );
    let minima = [
        (json!({"BlockSizeBytes": 1}), parquet_at("blockSizeBytes"), "67108864"),
        (json!({"PageSizeBytes": 1}), parquet_at("pageSizeBytes"), "65536"),
    ];
    for (member, path, minimum) in minima {
        let text = violation(&path, &format!("have value greater than or equal to {minimum}"));
        expect(&strict(), [(parquet(member.clone()), text)]);
        expect(&relaxed(), [(parquet(member), "ok".to_owned())]);
    }
}

#[test]
fn one_destination_exactly() {
    let text = invalid("Exactly one destination configuration is supported for a Firehose");
    let none = json!({"DeliveryStreamName": "s"});
    let mut two = extended(json!({}));
    two["S3DestinationConfiguration"] = two["ExtendedS3DestinationConfiguration"].clone();
    let mut foreign = extended(json!({}));
    foreign["SplunkDestinationConfiguration"] = json!({});
    expect(&relaxed(), [(none, text.clone()), (two, text.clone()), (foreign, text)]);
}

#[test]
fn sources_and_encryption_of_what_waits() {
    let with = |more: Value| {
        let mut request = extended(json!({}));
        merge(&mut request, more);
        request
    };
    let sse = |input: Value| with(json!({"DeliveryStreamEncryptionConfigurationInput": input}));
    let key = "arn:aws:kms:us-east-1:000000000000:key/1";
    expect(
        &relaxed(),
        [
            (
                with(json!({"DeliveryStreamType": "KinesisStreamAsSource"})),
                invalid("KinesisSourceStreamConfig is mandatory for KinesisStreamAsSource stream type."),
            ),
            (
                with(json!({"DeliveryStreamType": "MSKAsSource"})),
                invalid("MSKSourceConfig is mandatory for MSK as Source stream type."),
            ),
            (
                with(json!({"DeliveryStreamType": "DatabaseAsSource"})),
                invalid("IcebergDestinationConfiguration must be specified for Database as Source."),
            ),
            (
                with(json!({"DeliveryStreamType": "KinesisStreamAsSource", "KinesisStreamSourceConfiguration": {}})),
                invalid(&format!(
                    "DeliveryStreamType KinesisStreamAsSource{UNBUILT} KinesisStreamSourceConfiguration{UNBUILT}"
                )),
            ),
            // The service ignores it too.
            (with(json!({"KinesisStreamSourceConfiguration": {"KinesisStreamARN": "a"}})), "ok".to_owned()),
            (with(json!({"DirectPutSourceConfiguration": {"ThroughputHintInMBs": 100}})), "ok".to_owned()),
            (
                sse(json!({"KeyType": "CUSTOMER_MANAGED_CMK"})),
                invalid("KeyARN has to be specified when KeyType is CUSTOMER_MANAGED_CMK"),
            ),
            (
                sse(json!({"KeyType": "AWS_OWNED_CMK", "KeyARN": key})),
                invalid("KeyARN cannot be specified when KeyType is AWS_OWNED_CMK"),
            ),
            (
                sse(json!({"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": key.replace("us-east-1", "eu-west-1")})),
                invalid(
                    "Cross-region keys are not allowed for SSE. Please provide CMKs in the same region as firehose",
                ),
            ),
            (
                with(json!({
                    "DeliveryStreamType": "KinesisStreamAsSource",
                    "KinesisStreamSourceConfiguration": {},
                    "DeliveryStreamEncryptionConfigurationInput": {"KeyType": "AWS_OWNED_CMK"},
                })),
                invalid(
                    "Server side encryption from firehose is only allowed for direct put delivery streams and database as \
                 a source delivery streams",
                ),
            ),
            (
                sse(json!({"KeyType": "AWS_OWNED_CMK"})),
                invalid(&format!("DeliveryStreamEncryptionConfigurationInput{UNBUILT}")),
            ),
        ],
    );
}

#[test]
fn nothing_is_looked_for_in_a_destination_that_is_not_built() {
    let splunk = invalid("SplunkDestinationConfiguration is not supported by this version of Hydrant.");
    let tags = [("hydrant:SizeInMBs", "9")];
    for anything in [json!("x"), json!([1]), json!({"BufferingHints": 7}), json!({})] {
        let request = json!({"DeliveryStreamName": "s", "SplunkDestinationConfiguration": anything});
        expect(&relaxed(), [(with_tags(request, &tags), splunk.clone())]);
    }
}

#[test]
fn extension_tags_are_checked() {
    let tag = |key: &str, value: &str| with_tags(extended(json!({})), &[(key, value)]);
    let prefix = "InvalidArgumentException: The tag 'hydrant:";
    expect(
        &relaxed(),
        [
            (tag("hydrant:CompressionFormat", "ZSTD"), "ok".to_owned()),
            (
                tag("hydrant:Compression", "ZSTD"),
                format!(
                    "{prefix}Compression' names no extension of Hydrant. Did you mean 'hydrant:CompressionFormat'?"
                ),
            ),
            (
                tag("hydrant:", ""),
                format!(
                    "{prefix}' names no extension of Hydrant. Known are: hydrant:CompressionFormat, hydrant:SizeInMBs, \
                 hydrant:IntervalInSeconds, hydrant:TargetObjectSizeInMBs, hydrant:UnknownFieldsColumn, hydrant:ParquetSerDe.Compression, hydrant:ParquetSerDe.BlockSizeBytes, \
                 hydrant:ParquetSerDe.PageSizeBytes, hydrant:ParquetSerDe.TimestampType, \
                 hydrant:ParquetSerDe.BloomFilterColumns, hydrant:ParquetSerDe.BloomFilterFalsePositiveProbability, \
                 hydrant:S3BackupConfiguration.CompressionFormat, hydrant:MaxActivePartitions, hydrant:MaxWaitingMBs, \
                 hydrant:RequestFormat, hydrant:LoadMethod, hydrant:LedgerTable, hydrant:TimeoutInSeconds, hydrant:MemoryInMBs, hydrant:FuelInMillions, hydrant:Stateless, \
                 hydrant:Variable.*."
                ),
            ),
            (
                tag("hydrant:IntervalInSeconds", "1s"),
                format!("{prefix}IntervalInSeconds' must be a whole number, not '1s'."),
            ),
            (
                tag("hydrant:IntervalInSeconds", "901"),
                violation(
                    "extendedS3DestinationConfiguration.bufferingHints.intervalInSeconds",
                    "have value less than or equal to 900",
                ),
            ),
            (
                tag("hydrant:ParquetSerDe.Compression", "ZSTD"),
                format!(
                    "{prefix}ParquetSerDe.Compression' needs DataFormatConversionConfiguration in the destination configuration."
                ),
            ),
            (
                tag("hydrant:Variable.FIELD", "a"),
                format!("{prefix}Variable.FIELD' needs a processor of type Lambda in the destination configuration."),
            ),
            (tag("Hydrant:Whatever", "x"), "ok".to_owned()),
        ],
    );
}

#[test]
fn a_prefix_makes_no_steps_between_folders() {
    let outcome_of = |prefix: &str, error_prefix: &str| {
        outcome(&strict(), &extended(json!({"Prefix": prefix, "ErrorOutputPrefix": error_prefix})))
    };
    let refused = |member: &str| {
        invalid(&format!(
            "{member} makes object keys with a segment '.' or '..', which S3 or other stores do not take."
        ))
    };
    for prefix in ["../x/", "a/../b/", "./", "a/./b", "a/../", "!{timestamp:yyyy}/../", "!{timestamp:..}/"] {
        assert_eq!(outcome_of(prefix, "e/"), refused("Prefix"), "{prefix}");
    }
    assert_eq!(outcome_of("p/", "../!{firehose:error-output-type}/"), refused("ErrorOutputPrefix"));
    for prefix in ["..", "a/..", ".../", "a../b/", "..!{timestamp:yyyy}/", "//"] {
        assert_eq!(outcome_of(prefix, "e/"), "ok", "{prefix}");
    }
}
