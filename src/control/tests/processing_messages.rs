//! Texts, word for word: processors, and dynamic partitioning, which needs some.

use super::messages::{expect, invalid};
use super::*;

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
                lambda(&[arn, ("FuelInMillions", "0")]),
                invalid("FuelInMillions for lambda processor must be between 1 and 1000000000."),
            ),
            (lambda(&[arn, ("Stateless", "yes")]), invalid("Stateless for lambda processor must be true or false.")),
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
    for name in ["MaxActivePartitions", "MaxWaitingMBs"] {
        let request = extended(json!({"DynamicPartitioningConfiguration": {"Enabled": false, name: 64}}));
        let refused = format!("{name} has no effect when Dynamic Partitioning is not enabled.");
        expect(&relaxed(), [(request, invalid(&refused))]);
    }
    let bad = outcome(&relaxed(), &with("{k:(now)}", "!{partitionKeyFromQuery:k}/"));
    assert!(bad.starts_with("InvalidArgumentException: Invalid MetadataExtractionQuery: "), "{bad}");
    let lambda = processor("Lambda", &[("LambdaArn", LAMBDA)]);
    let by_lambda = |error_prefix: &str| {
        let mut request = on("!{partitionKeyFromLambda:k}/", json!([lambda]));
        request["ExtendedS3DestinationConfiguration"]["ErrorOutputPrefix"] = json!(error_prefix);
        request
    };
    let mut off = by_lambda("e/");
    off["ExtendedS3DestinationConfiguration"]["DynamicPartitioningConfiguration"]["Enabled"] = json!(false);
    expect(
        &relaxed(),
        [
            (by_lambda("e/"), "ok".to_owned()),
            (on("!{partitionKeyFromLambda:k}/!{partitionKeyFromQuery:k}/", json!([lambda, query])), "ok".to_owned()),
            (
                on("!{partitionKeyFromLambda:k}/", json!([lambda, query])),
                invalid(
                    "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression",
                ),
            ),
            (
                on("!{partitionKeyFromLambda:k}/!{partitionKeyFromQuery:k}/", json!([lambda])),
                invalid(
                    "MetadataExtraction processor should be present when S3 Prefix has partitionKeyFromQuery namespace",
                ),
            ),
            (
                by_lambda("!{partitionKeyFromLambda:k}/!{firehose:error-output-type}/"),
                invalid("Dynamic Partitioning Namespaces can't be part of an error prefix expression"),
            ),
            (
                by_lambda(""),
                invalid(
                    "The supplied prefix(es) do not satisfy the following constraint: ErrorOutputPrefix cannot be null \
                     or empty when Prefix contains expressions",
                ),
            ),
            (
                off,
                invalid(
                    "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning \
                     is enabled.",
                ),
            ),
        ],
    );
    let active = |partitions: u64| {
        let mut request = hints(64, 60);
        request["ExtendedS3DestinationConfiguration"]["DynamicPartitioningConfiguration"]["MaxActivePartitions"] =
            json!(partitions);
        request
    };
    assert_eq!(outcome(&strict(), &active(500)), "ok");
    assert_eq!(outcome(&relaxed(), &active(501)), "ok");
    expect(
        &strict(),
        [
            (active(501), invalid("MaxActivePartitions must be at most 500 when compatibility is strict.")),
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
