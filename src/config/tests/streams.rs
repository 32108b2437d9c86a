//! Streams in a file: every problem of a definition at its line.

use super::*;

#[test]
fn problems_of_streams_point_at_the_member() {
    let streams = with(
        r#"streams:
  - DeliveryStreamName: a
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: lake
      BufferingHints:
        SizeInMBs: 500
        IntervalInSeconds: 60
  - DeliveryStreamName: b
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: arn:aws:s3:::lake
      Prefx: x
      S3BackupMode: Disabled
  - DeliveryStreamName: c
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: arn:aws:s3:::lake
      ProcessingConfiguration:
        Enabled: true
        Processors:
          - Type: Lambda
            Parameters:
              - {ParameterName: LambdaArn, ParameterValue: "arn:aws:lambda:us-east-1:000000000000:function:f"}
              - ParameterName: NumberOfRetries
                ParameterValue: 3
  - DeliveryStreamName: d
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: arn:aws:s3:::lake
      S3BackupMode: Enabled
  - DeliveryStreamName: e
    S3DestinationConfiguration: {RoleARN: "arn:aws:iam::000000000000:role/r", BucketARN: "arn:aws:s3:::lake"}
  - DeliveryStreamName: e
    S3DestinationConfiguration: {RoleARN: "arn:aws:iam::000000000000:role/r", BucketARN: "arn:aws:s3:::lake"}
  - DeliveryStreamName: f
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: arn:aws:s3:::lake
      DataFormatConversionConfiguration:
        SchemaConfiguration: {RoleARN: r, DatabaseName: db, TableName: t}
        InputFormatConfiguration:
          Deserializer:
            HiveJsonSerDe:
              TimestampFormats: ["yyyy-'W'ww"]
        OutputFormatConfiguration: {Serializer: {ParquetSerDe: {}}}
"#,
    );
    let found = problems(&streams);
    let expected = [
        r"F:7: streams.a: Value at 'extendedS3DestinationConfiguration.bucketARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:.*:s3:::[\w\.\-]{1,255}",
        "F:9: streams.a: Value at 'extendedS3DestinationConfiguration.bufferingHints.sizeInMBs' failed to satisfy \
         constraint: Member must have value less than or equal to 128",
        "F:15: streams.b: 'Prefx' is not a member of 'extendedS3DestinationConfiguration'. Did you mean 'Prefix'?",
        "F:28: streams.c: NUMBER_VALUE can not be converted to a String (at 'extendedS3DestinationConfiguration.\
         processingConfiguration.processors.1.member.parameters.2.member.parameterValue')",
        "F:29: streams.d: S3 backup destination configuration is required when enabling S3 backup.",
        "F:36: streams.e: this name stands on line 34 already",
        "F:47: streams.f.TimestampFormats: TimestampFormats has the format 'yyyy-'W'ww' with the letter 'w', which is \
         not supported. Supported are y u Y M d D H k K h m s S a E Z X x z and 'millis'.",
    ];
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn all_that_is_wrong_with_a_stream_is_told_at_once() {
    let text = with(
        r#"streams:
  - DeliveryStreamName: a
    ExtendedS3DestinationConfiguration:
      RoleARN: none
      BucketARN: arn:aws:s3:::lake
      FileExtension: json
      Prefix: "!{timestamp:P}/"
      ErrorOutputPrefix: e/!{firehose:error-output-type}/!{nowhere:x}/
      CustomTimeZone: Moon/Base
      BufferingHints: {SizeInMBs: 0}
      CloudWatchLoggingOptions: {Enabled: true, LogGroupName: g, LogStreamName: s}
      ProcessingConfiguration:
        Enabled: true
        Processors:
          - {Type: Decompression, Parameters: [{ParameterName: CompressionFormat, ParameterValue: ZIP}]}
          - {Type: Lambda, Parameters: [{ParameterName: LambdaArn, ParameterValue: f}]}
      Prefx: x
  - DeliveryStreamName: b
    S3DestinationConfiguration: {RoleARN: "arn:aws:iam::000000000000:role/r", BucketARN: lake}
  - DeliveryStreamName: b
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: arn:aws:s3:::lake
      Prefix: x/!{timestamp:yyyy}/
  - DeliveryStreamNam: c
"#,
    );
    let found = problems(&text);
    let expected = [
        ("F:6: streams.a: ", "roleARN"),
        ("F:8: streams.a: ", "fileExtension"),
        ("F:9: streams.a: ", "value of the expression in Prefix"),
        ("F:10: streams.a: ", "(nowhere) is an invalid keyword!"),
        ("F:11: streams.a.CustomTimeZone: ", "custom time zone is not supported"),
        ("F:12: streams.a: ", "sizeInMBs"),
        ("streams.a: ", "CloudWatchLoggingOptions with Enabled true"),
        ("F:17: streams.a: ", "Decompression processor has to be one of GZIP"),
        ("F:18: streams.a.LambdaArn: ", "Invalid lambda ARN."),
        ("F:19: streams.a: ", "'Prefx' is not a member"),
        ("streams.b: ", "bucketARN"),
        ("F:22: streams.b: ", "this name stands on line 20 already"),
        ("streams.b: ", "ErrorOutputPrefix cannot be null or empty"),
        ("F:27: streams[3]: ", "Did you mean 'DeliveryStreamName'"),
    ];
    for (begin, part) in expected {
        let told = found.iter().any(|problem| problem.contains(begin) && problem.contains(part));
        assert!(told, "{begin}{part} is not in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_query_may_stand_in_a_yaml_block_and_is_one_line() {
    let stream = |query: &str| {
        with(&format!(
            r#"streams:
  - DeliveryStreamName: a
    ExtendedS3DestinationConfiguration:
      RoleARN: arn:aws:iam::000000000000:role/r
      BucketARN: arn:aws:s3:::lake
      Prefix: "!{{partitionKeyFromQuery:k}}/"
      ErrorOutputPrefix: e/!{{firehose:error-output-type}}/
      DynamicPartitioningConfiguration: {{Enabled: true}}
      ProcessingConfiguration:
        Enabled: true
        Processors:
          - Type: MetadataExtraction
            Parameters:
              - {{ParameterName: JsonParsingEngine, ParameterValue: JQ-1.6}}
              - ParameterName: MetadataExtractionQuery
                ParameterValue: {query}
"#
        ))
    };
    let at = "/ExtendedS3DestinationConfiguration/ProcessingConfiguration/Processors/0/Parameters/1/ParameterValue";
    for query in [
        "'{k:.k}'",
        "|\n                  {k:.k}\n",
        "|+\n                  {k:.k}\n\n\n",
        ">-\n                  {k:\n                  .k}",
    ] {
        let config = parse(Path::new("F"), &stream(query)).unwrap_or_else(|found| panic!("{query}: {found:?}"));
        let value = config.streams[0].pointer(at).unwrap().as_str().unwrap();
        assert_eq!(value.replace(' ', ""), "{k:.k}", "{query}");
    }
    let found = problems(&stream("|\n                  {k:\n                  .k}"));
    let told = |text: &String| text.starts_with("F:18: streams.a: ") && text.ends_with("in quotes or below `>-`");
    assert!(found.iter().any(told), "{found:#?}");
}
