//! Texts, word for word: prefixes, and what every S3 configuration has.

use super::messages::{UNBUILT, expect, invalid};
use super::*;

const PREFIXES: &str = "InvalidArgumentException: The supplied prefix(es) do not satisfy the following constraint: ";

fn prefixes(prefix: &str, error_prefix: &str) -> Value {
    extended(json!({"Prefix": prefix, "ErrorOutputPrefix": error_prefix}))
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
