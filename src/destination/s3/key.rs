//! Object keys, as Firehose makes them.
//!
//! From: `delivery`, at the seal. To: [`Parcel::key`](crate::stream::seal::Parcel::key), which never changes after it.
//! A key is `<prefix><stream name>-<revision>-<yyyy>-<MM>-<dd>-<HH>-<mm>-<ss>-<uuid><extension>`, with UTC time of the
//! oldest record in the object and the UUID of (seal, parcel number), rule D2. Prefixes here are static text; a prefix
//! without expressions gets the time folder appended as it is, without a "/" between.

use crate::stream::{SealId, StreamName};
use chrono::{DateTime, Utc};

/// Longest key S3 takes, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

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

/// The key of an object of delivered records: `<prefix>yyyy/MM/dd/HH/<name>`.
#[allow(clippy::too_many_arguments)]
pub fn data_key(
    prefix: &str,
    stream: &StreamName,
    revision: u64,
    oldest_arrival_ms: i64,
    seal: SealId,
    parcel: u32,
    extension: &str,
) -> Result<String, KeyError> {
    let name = ObjectName { stream, revision, oldest_arrival_ms, seal, parcel, extension };
    name.under(prefix)
}

/// The key of an object of refused records. Without an ErrorOutputPrefix (`None` or empty) it is
/// `<prefix><kind>/yyyy/MM/dd/HH/<name>`; a static one stands in the prefix's place.
#[allow(clippy::too_many_arguments)]
pub fn error_key(
    prefix: &str,
    error_prefix: Option<&str>,
    kind: &str,
    stream: &StreamName,
    revision: u64,
    oldest_arrival_ms: i64,
    seal: SealId,
    parcel: u32,
    extension: &str,
) -> Result<String, KeyError> {
    let name = ObjectName { stream, revision, oldest_arrival_ms, seal, parcel, extension };
    let start = error_prefix.filter(|given| !given.is_empty()).unwrap_or(prefix);
    name.under(&format!("{start}{kind}/"))
}

/// The folder that all objects under `prefix` have in common, with its "/": what is literal in it up to the last one.
pub fn common_folder(prefix: &str) -> &str {
    let literal = prefix.split("!{").next().unwrap_or_default();
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
    fn under(&self, prefix: &str) -> Result<String, KeyError> {
        let time = DateTime::<Utc>::from_timestamp_millis(self.oldest_arrival_ms)
            .filter(|time| (0..=9999).contains(&chrono::Datelike::year(time)))
            .ok_or(KeyError::BadTime(self.oldest_arrival_ms))?;
        let key = format!(
            "{prefix}{}{}-{}-{}-{}{}",
            time.format(FOLDER),
            self.stream,
            self.revision,
            time.format(STAMP),
            self.seal.parcel_uuid(self.parcel),
            self.extension,
        );
        within_limit(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-07-13T14:05:09.364Z
    const ARRIVAL_MS: i64 = 1_783_951_509_364;

    fn seal() -> SealId {
        "000102030405060708090a0b0c0d0e0f".parse().unwrap()
    }

    fn stream() -> StreamName {
        "orders".parse().unwrap()
    }

    #[test]
    fn data_keys() {
        let uuid = seal().parcel_uuid(3);
        for (prefix, extension, expected) in [
            ("", ".gz", format!("2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}.gz")),
            ("legacy", "", format!("legacy2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}")),
            ("legacy/", ".parquet", format!("legacy/2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}.parquet")),
            ("a=b/ü /", ".x", format!("a=b/ü /2026/07/13/14/orders-7-2026-07-13-14-05-09-{uuid}.x")),
        ] {
            assert_eq!(data_key(prefix, &stream(), 7, ARRIVAL_MS, seal(), 3, extension).unwrap(), expected);
        }
    }

    #[test]
    fn error_keys() {
        let uuid = seal().parcel_uuid(0);
        let tail = format!("processing-failed/2026/07/13/14/orders-1-2026-07-13-14-05-09-{uuid}.gz");
        for (prefix, error_prefix, start) in [
            ("", None, ""),
            ("retries/", None, "retries/"),
            ("retries", None, "retries"),
            ("retries/", Some(""), "retries/"),
            ("retries/", Some("bad/"), "bad/"),
            ("", Some("bad-"), "bad-"),
        ] {
            let key = error_key(prefix, error_prefix, "processing-failed", &stream(), 1, ARRIVAL_MS, seal(), 0, ".gz")
                .unwrap();
            assert_eq!(key, format!("{start}{tail}"), "{prefix:?} {error_prefix:?}");
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
    fn keys_at_the_limit() {
        let bare = data_key("", &stream(), 1, ARRIVAL_MS, seal(), 0, "").unwrap().len();
        let fits = "é".repeat((MAX_KEY_BYTES - bare) / 2) + &"x".repeat((MAX_KEY_BYTES - bare) % 2);
        assert_eq!(data_key(&fits, &stream(), 1, ARRIVAL_MS, seal(), 0, "").unwrap().len(), MAX_KEY_BYTES);
        let over = data_key(&(fits + "x"), &stream(), 1, ARRIVAL_MS, seal(), 0, "");
        assert!(matches!(over, Err(KeyError::TooLong { length_bytes: 1025, .. })), "{over:?}");
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        for ms in [i64::MIN, i64::MAX, 253_402_300_800_000] {
            assert_eq!(data_key("", &stream(), 1, ms, seal(), 0, ""), Err(KeyError::BadTime(ms)));
        }
        assert!(data_key("", &stream(), 1, 0, seal(), 0, "").unwrap().starts_with("1970/01/01/00/orders-1-1970-01-01"));
    }
}
