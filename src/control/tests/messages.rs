//! Every rule's text, word for word.

use super::*;

const PREFIXES: &str = "InvalidArgumentException: The supplied prefix(es) do not satisfy the following constraint: ";
const UNBUILT: &str = " is not supported by this version of Hydrant.";

#[track_caller]
fn expect(rules: &Rules, table: impl IntoIterator<Item = (Value, String)>) {
    for (request, expected) in table {
        assert_eq!(outcome(rules, &request), expected, "{request}");
    }
}

fn invalid(message: &str) -> String {
    format!("InvalidArgumentException: {message}")
}

fn violation(path: &str, constraint: &str) -> String {
    format!(
        "ValidationException: 1 validation error detected: Value at '{path}' failed to satisfy constraint: Member must \
         {constraint}"
    )
}

fn prefixes(prefix: &str, error_prefix: &str) -> Value {
    extended(json!({"Prefix": prefix, "ErrorOutputPrefix": error_prefix}))
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
fn prefix_rules() {
    let too_long = |member: &str, bytes: usize| {
        format!("{member} makes object keys of up to {bytes} bytes of UTF-8, and S3 takes 1024; shorten it.")
    };
    let tail = |text: &str| format!("{PREFIXES}{text}");
    let error = "e/!{firehose:error-output-type}/";
    let partition_error = invalid("Dynamic Partitioning Namespaces can't be part of an error prefix expression");
    expect(
        &relaxed(),
        [
            (prefixes("", ""), "ok".to_owned()),
            (prefixes("a/b$!}{", "x"), "ok".to_owned()),
            (
                prefixes("!{timestamp:yyyy}/", ""),
                tail("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"),
            ),
            (
                prefixes("a", "e/!{timestamp:yyyy}/"),
                tail("ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}"),
            ),
            (
                prefixes("!{firehose:error-output-type}/", "e"),
                tail("Prefix must not contain any occurrence of !{firehose:error-output-type}"),
            ),
            (prefixes("!{time:yyyy}/", "e"), tail("Namespace to the left of colon (time) is an invalid keyword!")),
            (
                prefixes("!{firehose:random}/", "e"),
                tail("Invalid conversion character used in the value of the expression in Prefix"),
            ),
            (
                prefixes("!{timestamp:yyyy-I}/", "e"),
                tail("Invalid conversion character used in the value of the expression in Prefix"),
            ),
            (
                prefixes("a", "e/!{firehose:error-output-type}/!{timestamp:b}"),
                tail("Invalid conversion character used in the value of the expression in ErrorOutputPrefix"),
            ),
            (
                prefixes("a/!{timestamp:yyyy", "e"),
                tail("Invalid expression usage: a/!{timestamp:yyyy.Must be of the form !{<namespace>:<value>}"),
            ),
            (
                prefixes("a/!{x}/", "e"),
                tail("Invalid expression usage: a/!{x}/.Must be of the form !{<namespace>:<value>}"),
            ),
            (prefixes(&"a".repeat(499), ""), tail("Length of evaluated prefix cannot be greater than 512")),
            (prefixes(&"a".repeat(498), ""), "ok".to_owned()),
            // One-letter stream, `.parquet` at most: 898 bytes are left.
            (prefixes(&"日".repeat(299), ""), "ok".to_owned()),
            (prefixes(&"日".repeat(300), ""), invalid(&too_long("Prefix", 1026))),
            (prefixes(&"日".repeat(300), "e/"), "ok".to_owned()),
            (prefixes("", &"日".repeat(300)), invalid(&too_long("ErrorOutputPrefix", 1026))),
            (prefixes(&"日".repeat(308), "e/"), invalid(&too_long("Prefix", 1025))),
            (prefixes(&("日".repeat(309) + "!{timestamp:MMMM}"), "e/"), "ok".to_owned()),
            (prefixes(&("日".repeat(310) + "!{timestamp:MMMM}"), "e/"), invalid(&too_long("Prefix", 1026))),
            (prefixes("", &("日".repeat(304) + "!{firehose:error-output-type}")), "ok".to_owned()),
            (
                prefixes("", &("日".repeat(305) + "!{firehose:error-output-type}")),
                invalid(&too_long("ErrorOutputPrefix", 1026)),
            ),
            (prefixes("a\0", "e/"), invalid("Prefix holds a NUL character, which no object key can.")),
            (prefixes("a", "e\0/"), invalid("ErrorOutputPrefix holds a NUL character, which no object key can.")),
            (prefixes("a", &format!("{error}!{{partitionKeyFromQuery:k}}")), partition_error),
            (
                prefixes("!{partitionKeyFromQuery:k}/", error),
                invalid(
                    "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is \
                 enabled.",
                ),
            ),
            (prefixes("!{timestamp:yyyy/'CT'}/!{firehose:random-string}", error), "ok".to_owned()),
        ],
    );
    for letter in ('a'..='z').chain('A'..='Z') {
        let refused = "CIJPRTUVbfijloprt".contains(letter);
        let text = outcome(&relaxed(), &prefixes(&format!("!{{timestamp:{letter}}}/"), "e"));
        assert_eq!(text.contains("Invalid conversion character"), refused, "{letter}: {text}");
    }
}

#[test]
fn members_of_every_s3_configuration() {
    let kms = json!({"AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000000:key/1"});
    let encryption = "Exactly one of NoEncryptionConfig or KMSEncryptionConfig must be specified";
    let zone = "Provided custom time zone is not supported. Custom time zones are limited to UTC and non-3-letter IANA \
                time zones.";
    let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"});
    let backed_up = |more: Value| {
        let mut backup = backup.clone();
        merge(&mut backup, more);
        extended(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup}))
    };
    let both_hints = "Both BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds are required to configure \
                      buffering.";
    expect(
        &relaxed(),
        [
            (
                extended(json!({"RoleARN": ROLE.replace("aws", "cloud")})),
                "InvalidParameterValueException: Invalid role ARN.".to_owned(),
            ),
            (
                extended(
                    json!({"EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption", "KMSEncryptionConfig": kms}}),
                ),
                invalid(encryption),
            ),
            (extended(json!({"EncryptionConfiguration": {}})), invalid(encryption)),
            (extended(json!({"EncryptionConfiguration": {"KMSEncryptionConfig": kms}})), "ok".to_owned()),
            (
                extended(json!({"CloudWatchLoggingOptions": {"Enabled": true, "LogStreamName": "x"}})),
                invalid("CloudWatch Log Group Name is required if CloudWatch Logging is enabled"),
            ),
            (
                extended(json!({"CloudWatchLoggingOptions": {"Enabled": true, "LogGroupName": "x"}})),
                invalid(&format!("CloudWatchLoggingOptions with Enabled true{UNBUILT}")),
            ),
            (extended(json!({"CloudWatchLoggingOptions": {"Enabled": false, "LogGroupName": "x"}})), "ok".to_owned()),
            (
                extended(json!({"S3BackupMode": "Enabled"})),
                invalid("S3 backup destination configuration is required when enabling S3 backup."),
            ),
            (extended(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup})), "ok".to_owned()),
            (backed_up(json!({"BufferingHints": {"IntervalInSeconds": 0}})), "ok".to_owned()),
            (
                backed_up(json!({"Prefix": "日".repeat(300)})),
                invalid(
                    "S3BackupConfiguration.Prefix makes object keys of up to 1026 bytes of UTF-8, and S3 takes 1024; \
                     shorten it.",
                ),
            ),
            (
                backed_up(json!({"RoleARN": "arn:x:iam::000000000000:role/r"})),
                "InvalidParameterValueException: Invalid role ARN.".to_owned(),
            ),
            (extended(json!({"S3BackupMode": "Disabled", "S3BackupConfiguration": backup})), "ok".to_owned()),
            (extended(json!({"CustomTimeZone": ""})), "ok".to_owned()),
            (extended(json!({"CustomTimeZone": "UTC"})), "ok".to_owned()),
            (extended(json!({"CustomTimeZone": "EST"})), invalid(zone)),
            (extended(json!({"CustomTimeZone": "Asia/Kolkata"})), invalid(zone)),
            (extended(json!({"CustomTimeZone": "Europe/Kyiv"})), invalid(zone)),
            (extended(json!({"CustomTimeZone": "Asia/Calcutta"})), "ok".to_owned()),
            (extended(json!({"BufferingHints": {"SizeInMBs": 1}})), "ok".to_owned()),
        ],
    );
    expect(
        &strict(),
        [
            (extended(json!({"BufferingHints": {"SizeInMBs": 1}})), invalid(both_hints)),
            (extended(json!({"BufferingHints": {"IntervalInSeconds": 1}})), invalid(both_hints)),
            (
                backed_up(json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 59}})),
                invalid("BufferingHints.IntervalInSeconds of the S3 backup must be at least 60."),
            ),
            (backed_up(json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60}})), "ok".to_owned()),
        ],
    );
}

#[test]
fn processors_and_their_parameters() {
    let arn = ("LambdaArn", LAMBDA);
    let many = |count| processors(vec![processor("AppendDelimiterToRecord", &[]); count].into());
    let count = "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.";
    let size = "BufferSizeInMBs for lambda processor must be between 0.2 and 3.";
    let interval = "BufferIntervalInSeconds for lambda processor must be between 0 and 900.";
    let retries = "Number of retries for lambda must be between 0 and 300.";
    let both = "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda \
                processor.";
    let engine = "MetaDataExtraction JSON Parsing Engine has to be one of JQ-1.6";
    let extraction = "Invalid parameter value for DataMessageExtraction. Allowed values are True and False.";
    let base64 = "Delimiter for DELIMITED has to be base64, as 'Cg==' for a newline";
    let format = "CompressionFormat of the Decompression processor has to be one of GZIP";
    let class = |name: &str| {
        invalid(&format!(
            "class com.amazonaws.services.firehose.internal.model.{name} can only be present when Dynamic Partitioning \
             is enabled."
        ))
    };
    let one = |kind: &str, parameters: &[(&str, &str)]| processors(json!([processor(kind, parameters)]));
    let cwl = |parameters: &[(&str, &str)]| {
        processors(json!([
            processor("Decompression", &[("CompressionFormat", "GZIP")]),
            processor("CloudWatchLogProcessing", parameters)
        ]))
    };
    expect(
        &relaxed(),
        [
            (many(0), invalid(count)),
            (many(6), invalid(count)),
            (extended(json!({"ProcessingConfiguration": {"Enabled": true}})), invalid(count)),
            (
                extended(
                    json!({"ProcessingConfiguration": {"Enabled": false, "Processors": [{"Type": "MetadataExtraction"}]}}),
                ),
                "ok".to_owned(),
            ),
            (extended(json!({"ProcessingConfiguration": {"Processors": [{"Type": "Lambda"}]}})), "ok".to_owned()),
            (
                processors(json!([processor("Lambda", &[arn]), processor("Lambda", &[arn])])),
                invalid("Cannot have more than 1 Lambda processor."),
            ),
            (
                lambda(&[("NumberOfRetries", "1"), ("NumberOfRetries", "2")]),
                invalid("Duplicate ProcessorParameter passed to ProcessingConfiguration."),
            ),
            (lambda(&[]), invalid("LambdaArn is required when Lambda processor is used.")),
            (lambda(&[("LambdaArn", "mask")]), invalid("Invalid lambda ARN.")),
            (lambda(&[("LambdaArn", &LAMBDA.replace("mask", "../x"))]), invalid("Invalid lambda ARN.")),
            (lambda(&[arn]), "ok".to_owned()),
            (lambda(&[arn, ("BufferSizeInMBs", "1")]), invalid(both)),
            (lambda(&[arn, ("BufferIntervalInSeconds", "60")]), invalid(both)),
            (lambda(&[arn, ("BufferSizeInMBs", "0.2"), ("BufferIntervalInSeconds", "0")]), "ok".to_owned()),
            (lambda(&[arn, ("BufferSizeInMBs", "3"), ("BufferIntervalInSeconds", "900")]), "ok".to_owned()),
            (lambda(&[arn, ("BufferSizeInMBs", "3.01"), ("BufferIntervalInSeconds", "60")]), invalid(size)),
            (lambda(&[arn, ("BufferSizeInMBs", "0.199"), ("BufferIntervalInSeconds", "60")]), invalid(size)),
            (lambda(&[arn, ("BufferSizeInMBs", "NaN"), ("BufferIntervalInSeconds", "60")]), invalid(size)),
            (lambda(&[arn, ("BufferSizeInMBs", "1"), ("BufferIntervalInSeconds", "901")]), invalid(interval)),
            (lambda(&[arn, ("BufferSizeInMBs", "1"), ("BufferIntervalInSeconds", "-1")]), invalid(interval)),
            (lambda(&[arn, ("NumberOfRetries", "300")]), "ok".to_owned()),
            (lambda(&[arn, ("NumberOfRetries", "301")]), invalid(retries)),
            (lambda(&[arn, ("NumberOfRetries", "three")]), invalid(retries)),
            (lambda(&[arn, ("Delimiter", "x")]), invalid("Delimiter is not a parameter of the Lambda processor.")),
            (
                lambda(&[arn, ("TimeoutInSeconds", "300"), ("MemoryInMBs", "4096"), ("Variable.A", "b")]),
                "ok".to_owned(),
            ),
            (
                lambda(&[arn, ("TimeoutInSeconds", "0")]),
                invalid("TimeoutInSeconds for lambda processor must be between 1 and 300."),
            ),
            (
                lambda(&[arn, ("MemoryInMBs", "4097")]),
                invalid("MemoryInMBs for lambda processor must be between 1 and 4096."),
            ),
            (one("RecordDeAggregation", &[]), invalid("SubRecordType has to be one of JSON, DELIMITED")),
            (
                one("RecordDeAggregation", &[("SubRecordType", "CSV")]),
                invalid("SubRecordType has to be one of JSON, DELIMITED"),
            ),
            (
                one("RecordDeAggregation", &[("SubRecordType", "DELIMITED")]),
                invalid("Delimiter should be present for DELIMITED"),
            ),
            (one("RecordDeAggregation", &[("SubRecordType", "JSON")]), "ok".to_owned()),
            (one("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", "IyMjIw==")]), "ok".to_owned()),
            (one("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", "####")]), invalid(base64)),
            (
                one(
                    "RecordDeAggregation",
                    &[("SubRecordType", "JSON"), ("Delimiter", "Cg=="), ("NumberOfRetries", "1")],
                ),
                invalid("NumberOfRetries is not a parameter of the RecordDeAggregation processor."),
            ),
            (
                processors(json!([
                    processor("AppendDelimiterToRecord", &[]),
                    processor("AppendDelimiterToRecord", &[])
                ])),
                invalid("Cannot have more than 1 AppendDelimiterToRecord processor."),
            ),
            (one("Decompression", &[("CompressionFormat", "GZIP")]), "ok".to_owned()),
            (one("Decompression", &[]), invalid(format)),
            (one("Decompression", &[("CompressionFormat", "ZIP")]), invalid(format)),
            (one("MetadataExtraction", &[("MetadataExtractionQuery", "{a:.a}")]), invalid(engine)),
            (one("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.7")]), invalid(engine)),
            (
                one("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", "{a:.a}")]),
                class("MetadataExtractionProcessor"),
            ),
            (
                one("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]),
                invalid("CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor"),
            ),
            (cwl(&[]), invalid(extraction)),
            (cwl(&[("DataMessageExtraction", "yes")]), invalid(extraction)),
            (cwl(&[("DataMessageExtraction", "TRUE")]), "ok".to_owned()),
            (many(1), "ok".to_owned()),
        ],
    );
    expect(
        &strict(),
        [
            (one("RecordDeAggregation", &[("SubRecordType", "JSON")]), class("RecordDeAggregationProcessor")),
            (cwl(&[("DataMessageExtraction", "false")]), "ok".to_owned()),
        ],
    );
}

#[test]
fn conversion_rules_in_the_services_order() {
    let compression = "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion \
                       is enabled. To enable compression within the converted output format, set the appropriate \
                       serialization option in the output format configuration.";
    let with = |more: Value, s3: Value| {
        let mut request = conversion(more);
        merge(&mut request["ExtendedS3DestinationConfiguration"], s3);
        request
    };
    let gzip = || json!({"CompressionFormat": "GZIP"});
    let small = || json!({"BufferingHints": {"SizeInMBs": 63, "IntervalInSeconds": 60}, "CompressionFormat": "GZIP"});
    let no = |members: &[&str]| Value::Object(members.iter().map(|name| ((*name).to_owned(), Value::Null)).collect());
    let (input, output, schema) = ("InputFormatConfiguration", "OutputFormatConfiguration", "SchemaConfiguration");
    let hive = |formats: Value| {
        json!({"InputFormatConfiguration": {"Deserializer": {
            "OpenXJsonSerDe": null, "HiveJsonSerDe": {"TimestampFormats": formats}}}})
    };
    expect(
        &strict(),
        [
            (
                with(json!({}), small()),
                invalid("BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled."),
            ),
            (with(json!({"Enabled": false}), small()), "ok".to_owned()),
        ],
    );
    expect(
        &relaxed(),
        [
            (conversion(json!({})), "ok".to_owned()),
            (with(json!({}), json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}})), "ok".to_owned()),
            (with(no(&[input, output, schema]), small()), invalid(compression)),
            (with(json!({}), gzip()), invalid(compression)),
            (with(json!({}), json!({"CompressionFormat": "ZSTD"})), invalid(compression)),
            (with(json!({}), json!({"CompressionFormat": "UNCOMPRESSED"})), "ok".to_owned()),
            (conversion(no(&[input, output, schema])), invalid("InputFormatConfiguration must not be null")),
            (conversion(no(&[output, schema])), invalid("OutputFormatConfiguration must not be null")),
            (conversion(no(&[schema])), invalid("SchemaConfiguration must not be null")),
            (conversion(json!({input: {"Deserializer": null}})), invalid("Deserializer must not be null")),
            (
                conversion(json!({input: {"Deserializer": {"OpenXJsonSerDe": null}}})),
                invalid("Deserializer must not be null"),
            ),
            (conversion(json!({output: {"Serializer": null}})), invalid("Serializer must not be null")),
            (
                conversion(
                    json!({input: {"Deserializer": {"HiveJsonSerDe": {}}}, output: {"Serializer": {"OrcSerDe": {}}}}),
                ),
                invalid("More than one deserializer specified. Only one may be chosen."),
            ),
            (
                conversion(json!({output: {"Serializer": {"OrcSerDe": {}}}})),
                invalid("More than one serializer specified. Only one may be chosen."),
            ),
            (
                conversion(json!({schema: {"RoleARN": null, "DatabaseName": null}})),
                invalid("SchemaConfiguration.RoleArn must not be null or empty"),
            ),
            (
                conversion(json!({schema: {"DatabaseName": null, "TableName": null}})),
                invalid("SchemaConfiguration.DatabaseName must not be null or empty"),
            ),
            (
                conversion(json!({schema: {"TableName": null}})),
                invalid("SchemaConfiguration.TableName must not be null or empty"),
            ),
            (conversion(hive(json!(["millis", "yyyy-MM-dd'T'HH:mm:ss"]))), "ok".to_owned()),
            (
                conversion(hive(json!(["bbbb"]))),
                invalid(
                    "Invalid deserializer option(s): One or more SerDe options are invalid for \
                 org.apache.hcatalog.data.JsonSerDe: [Key: timestamp.formats Value: bbbb]",
                ),
            ),
            (
                conversion(hive(json!(["millis", "'open"]))),
                invalid(
                    "Invalid deserializer option(s): One or more SerDe options are invalid for \
                 org.apache.hcatalog.data.JsonSerDe: [Key: timestamp.formats Value: millis,'open]",
                ),
            ),
            (
                conversion(hive(json!(["YYYY-'W'ww"]))),
                invalid(
                    "TimestampFormats has the format 'YYYY-'W'ww' with the letter 'w', which is not supported. \
                     Supported are y u Y M d D H k K h m s S a E Z X x z and 'millis'.",
                ),
            ),
            (
                conversion(json!({input: {"Deserializer": {"OpenXJsonSerDe": {
                    "ColumnToJsonKeyMappings": {"ts": "timestamp", "TS": "time"}}}}})),
                invalid("ColumnToJsonKeyMappings names the column 'ts' twice (names are compared without case)."),
            ),
            (conversion(json!({"Enabled": false, input: null, output: null, schema: null})), "ok".to_owned()),
            (
                conversion(json!({output: {"Serializer": {"ParquetSerDe": null, "OrcSerDe": {}}}})),
                invalid(&format!("OrcSerDe{UNBUILT}")),
            ),
            (
                conversion(json!({schema: {"VersionId": "3"}})),
                invalid(
                    "SchemaConfiguration.VersionId must be LATEST: schema files have no versions. Versions of AWS Glue \
                     can be named once the section glue of the configuration is there.",
                ),
            ),
        ],
    );
}

#[test]
fn dynamic_partitioning_rules() {
    let query =
        processor("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", "{k:.k}")]);
    let on = |prefix: &str, list: Value| {
        extended(json!({
            "DynamicPartitioningConfiguration": {"Enabled": true, "RetryOptions": {"DurationInSeconds": 10}},
            "Prefix": prefix,
            "ErrorOutputPrefix": "e/",
            "ProcessingConfiguration": {"Enabled": !list.is_null(), "Processors": list},
        }))
    };
    let hints = |size: u64, interval: u64| {
        let mut request = on("!{partitionKeyFromQuery:k}/", json!([query]));
        let hints = json!({"BufferingHints": {"SizeInMBs": size, "IntervalInSeconds": interval}});
        merge(&mut request["ExtendedS3DestinationConfiguration"], hints);
        request
    };
    let not_disabled =
        json!({"DynamicPartitioningConfiguration": {"Enabled": false, "RetryOptions": {"DurationInSeconds": 9}}});
    expect(
        &relaxed(),
        [
            (extended(not_disabled), "ok".to_owned()),
            (
                on("a/", json!([query])),
                invalid(
                    "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled",
                ),
            ),
            (
                on("!{partitionKeyFromQuery:k}/", Value::Null),
                invalid("Processing Configuration is not enabled when DataPartitioning is enabled"),
            ),
            (
                on("!{partitionKeyFromLambda:k}/", json!([query])),
                invalid("Lambda should be present when S3 Prefix contains keys from partitionKeyFromLambda namespace"),
            ),
            (
                on("!{partitionKeyFromQuery:k}/", json!([processor("Lambda", &[("LambdaArn", LAMBDA)])])),
                invalid(
                    "MetadataExtraction processor should be present when S3 Prefix has partitionKeyFromQuery namespace",
                ),
            ),
        ],
    );
    let with = |query: &str, prefix: &str| {
        let parameters = [("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", query)];
        on(prefix, json!([processor("MetadataExtraction", &parameters)]))
    };
    expect(
        &relaxed(),
        [
            (hints(1, 0), "ok".to_owned()),
            (
                with("{k:.k, year:(.t|strftime(\"%Y\"))}", "!{partitionKeyFromQuery:k}/!{partitionKeyFromQuery:year}"),
                "ok".to_owned(),
            ),
            (
                with("{k:.k,other:.o}", "!{partitionKeyFromQuery:k}/"),
                invalid(
                    "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression",
                ),
            ),
            (
                with("{k:.k}", "!{partitionKeyFromQuery:k}/!{partitionKeyFromQuery:z}/"),
                invalid("S3 Prefix contains the key z, which the MetadataExtractionQuery does not give."),
            ),
            (
                on("!{partitionKeyFromQuery:k}/", json!([query, query])),
                invalid("Cannot have more than 1 MetadataExtraction processor."),
            ),
            (
                on(
                    "!{partitionKeyFromQuery:k}/",
                    json!([processor("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6")])]),
                ),
                invalid("MetadataExtractionQuery is required when MetadataExtraction processor is used."),
            ),
        ],
    );
    let mut sized = hints(1, 0);
    merge(&mut sized["ExtendedS3DestinationConfiguration"], json!({"TargetObjectSizeInMBs": 64}));
    let refused = "TargetObjectSizeInMBs has no effect when Dynamic Partitioning is enabled; give BufferingHints.";
    expect(&relaxed(), [(sized, invalid(refused))]);
    let bad = outcome(&relaxed(), &with("{k:(now)}", "!{partitionKeyFromQuery:k}/"));
    assert!(bad.starts_with("InvalidArgumentException: Invalid MetadataExtractionQuery: "), "{bad}");
    let lambda = on("!{partitionKeyFromLambda:k}/", json!([processor("Lambda", &[("LambdaArn", LAMBDA)])]));
    let unbuilt = outcome(&relaxed(), &lambda);
    assert!(unbuilt.contains(&format!("!{{partitionKeyFromLambda:…}} in Prefix{UNBUILT}")), "{unbuilt}");
    expect(
        &strict(),
        [
            (
                hints(64, 59),
                invalid(
                    "BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic Partitioning is enabled.",
                ),
            ),
            (
                hints(63, 60),
                invalid("BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled."),
            ),
        ],
    );
}

#[test]
fn nothing_is_looked_for_in_a_destination_that_is_not_built() {
    let redshift = invalid("RedshiftDestinationConfiguration is not supported by this version of Hydrant.");
    let tags = [("hydrant:SizeInMBs", "9")];
    for anything in [json!("x"), json!([1]), json!({"BufferingHints": 7}), json!({})] {
        let request = json!({"DeliveryStreamName": "s", "RedshiftDestinationConfiguration": anything});
        expect(&relaxed(), [(with_tags(request, &tags), redshift.clone())]);
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
                 hydrant:TimeoutInSeconds, hydrant:MemoryInMBs, \
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
