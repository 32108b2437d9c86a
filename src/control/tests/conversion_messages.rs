//! Texts, word for word: format conversion.

use super::messages::{UNBUILT, expect, invalid};
use super::*;

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
