//! Where a stream delivers to, from a request that passed every rule: bucket, endpoint, cluster. For [`super::plan`]. Pure.

use super::members::{filled, flag, given_at, items, number, text};
use super::rules;
use crate::stream::definition::*;
use crate::wire::ApiError;
use serde_json::Value;

/// An endpoint, without its access key, which `secrets` adds.
pub fn http_target(destination: &Value) -> HttpTarget {
    let at = |path: &[&str]| given_at(destination, path);
    let attributes = at(&["RequestConfiguration"]).map_or(&[][..], |request| items(request, "CommonAttributes"));
    let member = |of: &Value, name| text(of, name).unwrap_or_default().to_owned();
    let retry_s = at(&["RetryOptions"]).and_then(|options| number(options, "DurationInSeconds"));
    HttpTarget {
        url: at(&["EndpointConfiguration"]).map(|endpoint| member(endpoint, "Url")).unwrap_or_default(),
        access_key: None,
        secret_arn: at(&["SecretsManagerConfiguration"])
            .filter(|secret| flag(secret, "Enabled") == Some(true))
            .map(|secret| member(secret, "SecretARN")),
        gzip: at(&["RequestConfiguration", "ContentEncoding"]).and_then(Value::as_str) == Some("GZIP"),
        common_attributes: attributes
            .iter()
            .map(|attribute| (member(attribute, "AttributeName"), member(attribute, "AttributeValue")))
            .collect(),
        retry_ms: retry_s.unwrap_or(DEFAULT_RETRY_S) * 1000,
        format: match text(destination, "RequestFormat") {
            Some("NDJSON") => RequestFormat::Ndjson,
            Some("JSON_ARRAY") => RequestFormat::JsonArray,
            _ => RequestFormat::Firehose,
        },
    }
}

/// A cluster of the stream `name`, without its password, which `secrets` adds.
pub fn redshift_target(destination: &Value, name: &str) -> RedshiftTarget {
    let at = |path: &[&str]| given_at(destination, path);
    let member = |of: &Value, name| text(of, name).unwrap_or_default().to_owned();
    let copy = at(&["CopyCommand"]).unwrap_or(&Value::Null);
    let retry_s = at(&["RetryOptions"]).and_then(|options| number(options, "DurationInSeconds"));
    RedshiftTarget {
        url: member(destination, "ClusterJDBCURL"),
        user: filled(destination, "Username").map(str::to_owned),
        password: None,
        secret_arn: at(&["SecretsManagerConfiguration"])
            .filter(|secret| flag(secret, "Enabled") == Some(true))
            .map(|secret| member(secret, "SecretARN")),
        role_arn: member(destination, "RoleARN"),
        copy: CopyCommand {
            table: member(copy, "DataTableName"),
            columns: member(copy, "DataTableColumns"),
            options: member(copy, "CopyOptions"),
        },
        retry_ms: retry_s.unwrap_or(DEFAULT_LOAD_RETRY_S) * 1000,
        method: match text(destination, "LoadMethod") {
            Some("COPY_FROM_STDIN") => LoadMethod::CopyFromStdin,
            _ => LoadMethod::Copy,
        },
        ledger: filled(destination, "LedgerTable").map_or_else(|| default_ledger(name), str::to_owned),
    }
}

/// RetryOptions' DurationInSeconds of an endpoint where none is given.
pub const DEFAULT_RETRY_S: u64 = 300;
/// That of a Redshift destination.
pub const DEFAULT_LOAD_RETRY_S: u64 = 3600;

/// LedgerTable where none is given: one for each stream, for Redshift locks whole tables, and a load that takes long must
/// not hold up those of others. Two streams with one table are no harm but that.
fn default_ledger(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    "hydrant_loads_".chars().chain(letters).collect()
}

/// The service bounds prefixes by characters, S3 keys by bytes: a prefix of other letters than ASCII may pass the one
/// and make keys that no store takes, which would show only when records wait. So would one with a NUL
/// character or with a segment that steps between folders. `within`: the structure, for messages.
pub fn check_keys(name: &str, s3: &S3Target, within: &str) -> Result<(), ApiError> {
    const KEY_MAX_BYTES: usize = 1024;
    const LONGEST_FOLDER: &str = "format-conversion-failed/";
    const TIME_FOLDER: &str = "2026/07/13/14/";
    // The largest revision, time, UUID.
    const REST: &str = "-18446744073709551615-2026-07-13-14-05-09-00000000-0000-0000-0000-000000000000";
    let extension = if s3.file_extension.is_empty() { ".parquet" } else { &s3.file_extension };
    let rest_bytes = name.len() + REST.len() + extension.len();
    let error = match &s3.error_prefix {
        Some(error_prefix) => ("ErrorOutputPrefix", error_prefix),
        None => ("Prefix", &s3.prefix),
    };
    for (member, prefix, folder) in [(error.0, error.1, LONGEST_FOLDER), ("Prefix", &s3.prefix, "")] {
        if prefix.contains('\0') {
            return Err(ApiError::invalid_argument(format!(
                "{within}{member} holds a NUL character, which no object key can."
            )));
        }
        let parsed = rules::parse_prefix(prefix, member)?;
        if parsed.has_dot_segment() {
            return Err(ApiError::invalid_argument(format!(
                "{within}{member} makes object keys with a segment '.' or '..', which S3 or other stores do not take."
            )));
        }
        let appended_bytes = if parsed.has_expressions() { 0 } else { folder.len() + TIME_FOLDER.len() };
        let key_bytes = parsed.longest(s3.time_zone).bytes + appended_bytes + rest_bytes;
        if key_bytes > KEY_MAX_BYTES {
            return Err(ApiError::invalid_argument(format!(
                "{within}{member} makes object keys of up to {key_bytes} bytes of UTF-8, and S3 takes {KEY_MAX_BYTES}; shorten it."
            )));
        }
    }
    Ok(())
}

/// A bucket and the names of what goes there.
pub fn s3_target(destination: &Value) -> S3Target {
    let string = |name| text(destination, name).unwrap_or_default().to_owned();
    let arn = text(destination, "BucketARN").unwrap_or_default();
    S3Target {
        bucket: arn.rsplit(':').next().unwrap_or_default().to_owned(),
        prefix: string("Prefix"),
        error_prefix: filled(destination, "ErrorOutputPrefix").map(str::to_owned),
        time_zone: rules::custom_time_zone(destination).unwrap_or_default(),
        file_extension: string("FileExtension"),
        compression: match text(destination, "CompressionFormat") {
            Some("GZIP") => Compression::Gzip,
            Some("ZIP") => Compression::Zip,
            Some("Snappy") => Compression::Snappy,
            Some("HADOOP_SNAPPY") => Compression::HadoopSnappy,
            Some("ZSTD") => Compression::Zstd,
            _ => Compression::Uncompressed,
        },
        kms_key: given_at(destination, &["EncryptionConfiguration", "KMSEncryptionConfig", "AWSKMSKeyARN"])
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}
