//! Object keys, as Firehose makes them.
//!
//! From: `delivery`, at the seal. To: [`Parcel::key`](crate::stream::seal::Parcel::key), which never changes after it.
//! A key is `<prefix><stream name>-<revision>-<yyyy>-<MM>-<dd>-<HH>-<mm>-<ss>-<uuid><extension>`, with the time of the
//! oldest record in the object, in the stream's time zone, and the UUID of (seal, parcel number), rule D2. A prefix
//! without expressions gets the time folder appended as it is, without a "/" between; any expression suppresses that.

use crate::stream::definition::S3Target;
use crate::stream::prefix::{EvaluateError, Facts, Moment, PartitionKeys, Prefix, PrefixError, START};
use crate::stream::{SealId, StreamName};

/// Longest key S3 takes, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// Error output type of manifests of loads that were given up.
pub const GIVEN_UP_MANIFESTS: &str = "errors/manifests";

/// Folder of manifests.
const MANIFESTS: &str = "manifests/";

/// The time folder that follows a static prefix.
const FOLDER: &str = "%Y/%m/%d/%H/";
/// The time in an object's name.
const STAMP: &str = "%Y-%m-%d-%H-%M-%S";

/// A key that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The store refuses keys of more than [`MAX_KEY_BYTES`].
    #[error("the object key has {length_bytes} bytes, {MAX_KEY_BYTES} are allowed; shorten the prefix: {key}")]
    TooLong {
        /// The key.
        key: String,
        /// Its length.
        length_bytes: usize,
    },
    /// The arrival time is not a time of the calendar.
    #[error("{0} ms since the epoch is not a time that a key can bear")]
    BadTime(i64),
    /// A prefix that would not pass at CreateDeliveryStream.
    #[error("the prefix '{prefix}' cannot be evaluated: {error}")]
    BadPrefix {
        /// It.
        prefix: String,
        /// What is wrong with it.
        error: PrefixError,
    },
    /// Partition keys without a value, or with too long ones.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// What an object's name is made of, whatever its prefix.
#[derive(Debug, Clone, Copy)]
pub struct ObjectName<'a> {
    /// The stream.
    pub stream: &'a StreamName,
    /// Revision of the definition at the cut (VersionId).
    pub revision: u64,
    /// Arrival of the oldest record in the object, ms since the epoch.
    pub oldest_arrival_ms: i64,
    /// The seal it belongs to.
    pub seal: SealId,
    /// Number of the parcel in the seal.
    pub parcel: u32,
    /// `.gz`, `.parquet`, … or nothing.
    pub extension: &'a str,
}

/// The key of an object of delivered records: `<evaluated prefix><name>`, `<prefix>yyyy/MM/dd/HH/<name>` without
/// expressions.
pub fn data_key(target: &S3Target, name: &ObjectName, partition_keys: &PartitionKeys) -> Result<String, KeyError> {
    name.under(target, &target.prefix, "", partition_keys)
}

/// The key of an object of refused records. An ErrorOutputPrefix with expressions names their `kind` itself. Without
/// expressions it is `<prefix><kind>/yyyy/MM/dd/HH/<name>`, and without an ErrorOutputPrefix (`None` or empty) Prefix
/// stands in its place.
pub fn error_key(target: &S3Target, name: &ObjectName, kind: &str) -> Result<String, KeyError> {
    let given = target.error_prefix.as_deref().filter(|given| !given.is_empty());
    name.under(target, given.unwrap_or(&target.prefix), kind, &PartitionKeys::default())
}

/// The key of the manifest of a load, as the service names it: `<prefix>manifests/yyyy/MM/dd/HH/<stream>-<time>-<uuid>`. The
/// prefix has no expressions.
pub fn manifest_key(target: &S3Target, name: &ObjectName) -> Result<String, KeyError> {
    let moment = target.time_zone.at(name.oldest_arrival_ms).ok_or(KeyError::BadTime(name.oldest_arrival_ms))?;
    let (folder, time) = (moment.local().format(FOLDER), moment.local().format(STAMP));
    let uuid = name.seal.parcel_uuid(name.parcel);
    within_limit(format!("{}{MANIFESTS}{folder}{}-{time}-{uuid}", target.prefix, name.stream))
}

/// Where the manifest with this key is kept once its load is given up: `<prefix>errors/manifests/…`, by the same name.
pub fn given_up_manifest_key(manifest_key: &str) -> String {
    // What stands behind the folder has no such text: a time, and a name without "/".
    let at = manifest_key.rfind(MANIFESTS).unwrap_or(0);
    format!("{}errors/{}", &manifest_key[..at], &manifest_key[at..])
}

/// The folder that all objects under `prefix` have in common, with its "/": what is literal in it up to the last one.
pub fn common_folder(prefix: &str) -> &str {
    let literal = prefix.split(START).next().unwrap_or_default();
    literal.rfind('/').map_or("", |slash| &literal[..=slash])
}

/// The key of the declaration of a learnt table: `<common folder>_schema/<stream>-<revision of the table>-<uuid>.sql`.
/// Readers of the folder leave out names that begin with an underscore.
pub fn schema_key(
    prefix: &str,
    stream: &StreamName,
    revision: u64,
    seal: SealId,
    parcel: u32,
) -> Result<String, KeyError> {
    let folder = common_folder(prefix);
    within_limit(format!("{folder}_schema/{stream}-{revision}-{}.sql", seal.parcel_uuid(parcel)))
}

fn within_limit(key: String) -> Result<String, KeyError> {
    match key.len() {
        length_bytes if length_bytes > MAX_KEY_BYTES => Err(KeyError::TooLong { length_bytes, key }),
        _ => Ok(key),
    }
}

impl ObjectName<'_> {
    /// `kind`: the error output type, empty for delivered records.
    fn under(
        &self,
        target: &S3Target,
        prefix: &str,
        kind: &str,
        partition_keys: &PartitionKeys,
    ) -> Result<String, KeyError> {
        let moment = target.time_zone.at(self.oldest_arrival_ms).ok_or(KeyError::BadTime(self.oldest_arrival_ms))?;
        let parsed = Prefix::parse(prefix).map_err(|error| KeyError::BadPrefix { prefix: prefix.to_owned(), error })?;
        let facts =
            Facts { moment: &moment, seal: self.seal, parcel: self.parcel, error_output_type: kind, partition_keys };
        let mut folder = parsed.evaluate(&facts)?;
        if !parsed.has_expressions() {
            if !kind.is_empty() {
                folder = folder + kind + "/";
            }
            folder += &moment.local().format(FOLDER).to_string();
        }
        within_limit(folder + &self.text(&moment))
    }

    fn text(&self, moment: &Moment) -> String {
        let time = moment.local().format(STAMP);
        let uuid = self.seal.parcel_uuid(self.parcel);
        format!("{}-{}-{time}-{uuid}{}", self.stream, self.revision, self.extension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::definition::Compression;
    use crate::stream::prefix::{KeySource, TimeZone};

    // 2026-07-13T14:05:09.364Z
    const ARRIVAL_MS: i64 = 1_783_951_509_364;

    fn seal() -> SealId {
        "000102030405060708090a0b0c0d0e0f".parse().unwrap()
    }

    fn stream() -> StreamName {
        "orders".parse().unwrap()
    }

    fn target(prefix: &str, error_prefix: Option<&str>, zone: &str) -> S3Target {
        S3Target {
            bucket: "b".to_owned(),
            prefix: prefix.to_owned(),
            error_prefix: error_prefix.map(str::to_owned),
            time_zone: TimeZone::from_id(zone).unwrap(),
            file_extension: String::new(),
            compression: Compression::Uncompressed,
            kms_key: None,
        }
    }

    fn data_at(ms: i64, target: &S3Target, parcel: u32, extension: &str) -> Result<String, KeyError> {
        let stream = stream();
        let name = ObjectName { stream: &stream, revision: 7, oldest_arrival_ms: ms, seal: seal(), parcel, extension };
        data_key(target, &name, &PartitionKeys::default())
    }

    fn data(prefix: &str, parcel: u32, extension: &str) -> Result<String, KeyError> {
        data_at(ARRIVAL_MS, &target(prefix, None, "UTC"), parcel, extension)
    }

    fn error(target: &S3Target, kind: &str) -> String {
        let stream = stream();
        let name = ObjectName {
            stream: &stream,
            revision: 1,
            oldest_arrival_ms: ARRIVAL_MS,
            seal: seal(),
            parcel: 0,
            extension: ".gz",
        };
        error_key(target, &name, kind).unwrap()
    }

    #[test]
    fn data_keys() {
        let uuid = seal().parcel_uuid(3);
        for (prefix, extension, expected) in [
            ("", ".gz", format!("2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}.gz")),
            ("legacy", "", format!("legacy2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}")),
            ("legacy/", ".parquet", format!("legacy/2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}.parquet")),
            ("a=b/ü /", ".x", format!("a=b/ü /2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}.x")),
            ("y=!{timestamp:yyyy}/", ".x", format!("y=2026/orders-7-2026-07-13-14-05-09-{uuid}.x")),
            ("!{timestamp:MMM-}", "", format!("Jul-orders-7-2026-07-13-14-05-09-{uuid}")),
        ] {
            assert_eq!(data(prefix, 3, extension).unwrap(), expected);
        }
        let random = data("!{firehose:random-string}/", 3, "").unwrap();
        assert_eq!(
            &random[11..],
            format!("/orders-7-2026-07-13-14-05-09-{uuid}"),
            "any expression suppresses the time"
        );
    }

    #[test]
    fn keys_in_another_time_zone() {
        let uuid = seal().parcel_uuid(0);
        for (prefix, expected) in
            [("a/", "a/2026/07/14/03/"), ("a/!{timestamp:yyyy/MM/dd/HH z}/", "a/2026/07/14/03 LINT/")]
        {
            let ms = ARRIVAL_MS - 3_600_000;
            let key = data_at(ms, &target(prefix, None, "Pacific/Kiritimati"), 0, "").unwrap();
            assert_eq!(key, format!("{expected}orders-7-2026-07-14-03-05-09-{uuid}"), "{prefix}");
        }
        let failed = error(&target("", Some("e/"), "America/New_York"), "processing-failed");
        assert_eq!(failed, format!("e/processing-failed/2026/07/13/10/orders-1-2026-07-13-10-05-09-{uuid}.gz"));
    }

    #[test]
    fn error_keys() {
        let uuid = seal().parcel_uuid(0);
        let name = format!("orders-1-2026-07-13-14-05-09-{uuid}.gz");
        for (prefix, error_prefix, start) in [
            ("", None, "processing-failed/2026/07/13/14/"),
            ("retries/", None, "retries/processing-failed/2026/07/13/14/"),
            ("retries", None, "retriesprocessing-failed/2026/07/13/14/"),
            ("retries/", Some(""), "retries/processing-failed/2026/07/13/14/"),
            ("retries/", Some("bad/"), "bad/processing-failed/2026/07/13/14/"),
            ("", Some("bad-"), "bad-processing-failed/2026/07/13/14/"),
            ("!{timestamp:yyyy}/", Some("bad/"), "bad/processing-failed/2026/07/13/14/"),
            ("", Some("bad/!{firehose:error-output-type}/"), "bad/processing-failed/"),
            ("", Some("!{timestamp:yyyy}/!{firehose:error-output-type}"), "2026/processing-failed"),
        ] {
            let key = error(&target(prefix, error_prefix, "UTC"), "processing-failed");
            assert_eq!(key, format!("{start}{name}"), "{prefix:?} {error_prefix:?}");
        }
    }

    #[test]
    fn partition_keys_are_the_callers() {
        let target = target("!{partitionKeyFromQuery:k}/!{partitionKeyFromLambda:k}/", Some("e/"), "UTC");
        let stream = stream();
        let name = ObjectName {
            stream: &stream,
            revision: 1,
            oldest_arrival_ms: ARRIVAL_MS,
            seal: seal(),
            parcel: 0,
            extension: "",
        };
        let mut keys = PartitionKeys { query: [("k".to_owned(), "q".to_owned())].into(), ..Default::default() };
        let missing = EvaluateError::MissingKey { namespace: KeySource::Lambda, key: "k".to_owned() };
        assert_eq!(data_key(&target, &name, &keys), Err(KeyError::Evaluate(missing)));
        keys.lambda.insert("k".to_owned(), "l".to_owned());
        assert!(data_key(&target, &name, &keys).unwrap().starts_with("q/l/orders-1-"));
    }

    #[test]
    fn prefixes_that_no_create_lets_pass() {
        for prefix in ["!{", "!{x:y}", "!{timestamp:I}"] {
            assert!(matches!(data(prefix, 0, ""), Err(KeyError::BadPrefix { .. })), "{prefix}");
        }
    }

    #[test]
    fn schema_keys() {
        let uuid = seal().parcel_uuid(1);
        for (prefix, folder) in [
            ("", ""),
            ("legacy", ""),
            ("a/b", "a/"),
            ("a/b/", "a/b/"),
            ("a/b/y=!{timestamp:yyyy}/", "a/b/"),
            ("!{firehose:random-string}/", ""),
        ] {
            let key = schema_key(prefix, &stream(), 12, seal(), 1).unwrap();
            assert_eq!(key, format!("{folder}_schema/orders-12-{uuid}.sql"), "{prefix}");
        }
        let long = "x".repeat(MAX_KEY_BYTES) + "/";
        assert!(matches!(schema_key(&long, &stream(), 1, seal(), 1), Err(KeyError::TooLong { .. })));
    }

    #[test]
    fn manifest_keys() {
        let (stream, uuid) = (stream(), seal().parcel_uuid(2));
        let name = ObjectName {
            stream: &stream,
            revision: 7,
            oldest_arrival_ms: ARRIVAL_MS,
            seal: seal(),
            parcel: 2,
            extension: "",
        };
        for prefix in ["", "ses-logs/", "a/manifests/"] {
            let key = manifest_key(&target(prefix, None, "UTC"), &name).unwrap();
            let behind = format!("manifests/2026/07/13/14/orders-2026-07-13-14-05-09-{uuid}");
            assert_eq!(key, format!("{prefix}{behind}"));
            assert_eq!(given_up_manifest_key(&key), format!("{prefix}errors/{behind}"));
        }
        let long = target(&"x".repeat(MAX_KEY_BYTES), None, "UTC");
        assert!(matches!(manifest_key(&long, &name), Err(KeyError::TooLong { .. })));
    }

    #[test]
    fn keys_at_the_limit() {
        let bare = data("", 0, "").unwrap().len();
        let fits = "é".repeat((MAX_KEY_BYTES - bare) / 2) + &"x".repeat((MAX_KEY_BYTES - bare) % 2);
        assert_eq!(data(&fits, 0, "").unwrap().len(), MAX_KEY_BYTES);
        let over = data(&(fits + "x"), 0, "");
        assert!(matches!(over, Err(KeyError::TooLong { length_bytes: 1025, .. })), "{over:?}");
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        let at = |ms, zone| data_at(ms, &target("", None, zone), 0, "");
        for ms in [i64::MIN, i64::MAX, 253_402_300_800_000] {
            assert_eq!(at(ms, "UTC"), Err(KeyError::BadTime(ms)));
        }
        assert_eq!(at(253_402_300_799_999, "Asia/Tokyo"), Err(KeyError::BadTime(253_402_300_799_999)));
        assert!(at(0, "UTC").unwrap().starts_with("1970/01/01/00/orders-7-1970-01-01"));
    }
}
