//! The section `s3:` of the configuration: how buckets are reached.
//!
//! From: `config`, or `app` for the embedded store. To: [`client`](super::client), at each attempt (rule D5).
//! What goes where (bucket, key, encryption key) stands in the seal and is not here.

use super::secret::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How the stores are reached: for all buckets, with exceptions by bucket.
///
/// Every member may be left out. The members of an entry of `buckets` replace those at the top for that bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// URL of the store, `http://…` or `https://…`. Without it: Amazon S3 in the region (or what the standard chain
    /// names, `AWS_ENDPOINT_URL_S3` among it).
    pub endpoint: Option<String>,
    /// Region to sign for. Without it: that of the standard chain, then `us-east-1`.
    pub region: Option<String>,
    /// `https://host/bucket/key` instead of `https://bucket.host/key`. Without it: yes with an `endpoint`, else no.
    pub path_style: Option<bool>,
    /// Fixed keys. Without it: the standard chain (environment, profile, web identity, container, instance).
    pub credentials: Option<Credentials>,
    /// Profile of the shared configuration files for the standard chain.
    pub profile: Option<String>,
    /// Whether objects are sent with their checksum. Old stores refuse or ignore it. Without it: what the standard chain
    /// says, then yes.
    pub request_checksum_calculation: Option<ChecksumCalculation>,
    /// Whether objects are created only where none is (`If-None-Match: *`). Turn it off for a store that refuses the
    /// header; each object is then looked for before it is written.
    pub create_only: Option<bool>,
    /// PEM file of certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Larger objects go in parts.
    pub multipart_above_bytes: Option<u64>,
    /// Size of a part; S3 takes 5 MiB or more. Grows for objects of more than 10,000 parts.
    pub part_bytes: Option<u64>,
    /// Parts of one object sent at once.
    pub parts_in_flight: Option<usize>,
    /// Time to connect, TLS included.
    pub connect_timeout_ms: Option<u64>,
    /// Time for one request and its answer, besides the time its body takes at 64 KiB/s.
    pub answer_timeout_ms: Option<u64>,
    /// How long the store may take no byte of a body.
    pub stall_timeout_ms: Option<u64>,
    /// Exceptions by bucket name. Only at the top.
    pub buckets: BTreeMap<String, S3Settings>,
}

/// Fixed keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Access key id. Not a secret by itself, but kept out of logs as well.
    pub access_key_id: Secret,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token of temporary keys.
    #[serde(default)]
    pub session_token: Option<Secret>,
}

impl Credentials {
    /// Keys known now.
    pub fn fixed(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: Secret::text(access_key_id),
            secret_access_key: Secret::text(secret_access_key),
            session_token: None,
        }
    }
}

/// Same words as the AWS SDKs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumCalculation {
    /// Each object and part carries its CRC-32C in a header.
    #[default]
    WhenSupported,
    /// No checksum header.
    WhenRequired,
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `buckets` inside an entry of `buckets`.
    #[error("s3.buckets.{0}.buckets: exceptions by bucket stand at the top only")]
    Nested(String),
    /// A URL that names no store.
    #[error("{at}endpoint: '{url}' is not an http:// or https:// URL of a store")]
    Endpoint {
        /// Path in the configuration.
        at: String,
        /// As given.
        url: String,
    },
    /// A number of nothing.
    #[error("{at}{member}: must be at least 1")]
    Zero {
        /// Path in the configuration.
        at: String,
        /// The member.
        member: &'static str,
    },
}

/// Above this, objects go in parts.
const MULTIPART_ABOVE_BYTES: u64 = 100 << 20;
/// Size of a part.
const PART_BYTES: u64 = 16 << 20;
/// Most parts an upload may have.
const MAX_PARTS: u64 = 10_000;
/// Slowest body that is waited for.
const SLOWEST_BYTES_PER_S: u64 = 64 << 10;

impl S3Settings {
    /// Looks for what cannot work, so that `hydrant check` says it before a parcel waits for it.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.validate_at("s3.")?;
        for (bucket, settings) in &self.buckets {
            if !settings.buckets.is_empty() {
                return Err(SettingsError::Nested(bucket.clone()));
            }
            settings.validate_at(&format!("s3.buckets.{bucket}."))?;
        }
        Ok(())
    }

    fn validate_at(&self, at: &str) -> Result<(), SettingsError> {
        if let Some(url) = &self.endpoint {
            let good = url.parse::<http::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
            });
            if !good {
                return Err(SettingsError::Endpoint { at: at.to_owned(), url: url.clone() });
            }
        }
        for (member, zero) in [
            ("part_bytes", self.part_bytes == Some(0)),
            ("parts_in_flight", self.parts_in_flight == Some(0)),
            ("connect_timeout_ms", self.connect_timeout_ms == Some(0)),
            ("answer_timeout_ms", self.answer_timeout_ms == Some(0)),
            ("stall_timeout_ms", self.stall_timeout_ms == Some(0)),
        ] {
            if zero {
                return Err(SettingsError::Zero { at: at.to_owned(), member });
            }
        }
        Ok(())
    }

    /// What holds for `bucket`: the top, with the bucket's exceptions over it.
    pub fn for_bucket(&self, bucket: &str) -> S3Settings {
        let mut all = S3Settings { buckets: BTreeMap::new(), ..self.clone() };
        let Some(own) = self.buckets.get(bucket).cloned() else { return all };
        // A bucket's own profile means: the standard chain, not the fixed keys of the others.
        if own.profile.is_some() && own.credentials.is_none() {
            all.credentials = None;
        }
        S3Settings {
            endpoint: own.endpoint.or(all.endpoint),
            region: own.region.or(all.region),
            path_style: own.path_style.or(all.path_style),
            credentials: own.credentials.or(all.credentials),
            profile: own.profile.or(all.profile),
            request_checksum_calculation: own.request_checksum_calculation.or(all.request_checksum_calculation),
            create_only: own.create_only.or(all.create_only),
            ca_file: own.ca_file.or(all.ca_file),
            multipart_above_bytes: own.multipart_above_bytes.or(all.multipart_above_bytes),
            part_bytes: own.part_bytes.or(all.part_bytes),
            parts_in_flight: own.parts_in_flight.or(all.parts_in_flight),
            connect_timeout_ms: own.connect_timeout_ms.or(all.connect_timeout_ms),
            answer_timeout_ms: own.answer_timeout_ms.or(all.answer_timeout_ms),
            stall_timeout_ms: own.stall_timeout_ms.or(all.stall_timeout_ms),
            buckets: BTreeMap::new(),
        }
    }

    /// Whether bucket and key both stand in the path.
    pub fn uses_path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }

    /// Whether `If-None-Match: *` is sent.
    pub fn creates_only(&self) -> bool {
        self.create_only.unwrap_or(true)
    }

    /// Whether an object of this length goes in parts.
    pub fn goes_in_parts(&self, length_bytes: u64) -> bool {
        length_bytes > self.multipart_above_bytes.unwrap_or(MULTIPART_ABOVE_BYTES)
    }

    /// Size of the parts of an object of this length; the last may be smaller.
    pub fn part_bytes_for(&self, length_bytes: u64) -> u64 {
        self.part_bytes.unwrap_or(PART_BYTES).max(length_bytes.div_ceil(MAX_PARTS)).max(1)
    }

    /// Parts sent at once.
    pub fn parts_at_once(&self) -> usize {
        self.parts_in_flight.unwrap_or(4).max(1)
    }

    /// Time to connect.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.unwrap_or(5_000))
    }

    /// Time for a request with a body of this length, answer included.
    pub fn answer_timeout(&self, body_bytes: u64) -> Duration {
        Duration::from_millis(self.answer_timeout_ms.unwrap_or(60_000))
            + Duration::from_secs(body_bytes / SLOWEST_BYTES_PER_S)
    }

    /// How long the store may take nothing.
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.unwrap_or(20_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: serde_json::Value) -> Result<S3Settings, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn a_buckets_members_replace_those_at_the_top() {
        let settings = parse(serde_json::json!({
            "endpoint": "https://store.example", "region": "eu-west-1",
            "credentials": {"access_key_id": "AKIDTOP", "secret_access_key": "sesame"},
            "buckets": {
                "old": {"endpoint": "http://old.example:9000", "request_checksum_calculation": "when_required"},
                "aws": {"path_style": false, "profile": "prod"}
            }
        }))
        .unwrap();
        settings.validate().unwrap();

        let other = settings.for_bucket("other");
        assert_eq!(other, S3Settings { buckets: BTreeMap::new(), ..settings.clone() });
        assert!(other.uses_path_style() && other.creates_only());

        let old = settings.for_bucket("old");
        assert_eq!(old.endpoint.as_deref(), Some("http://old.example:9000"));
        assert_eq!(old.region.as_deref(), Some("eu-west-1"));
        assert_eq!(old.credentials, settings.credentials);
        assert_eq!(old.request_checksum_calculation, Some(ChecksumCalculation::WhenRequired));

        let aws = settings.for_bucket("aws");
        assert!(!aws.uses_path_style());
        assert_eq!(aws.credentials, None, "a bucket's own profile stands in the place of the top's fixed keys");
        assert!(!format!("{settings:?}").contains("sesame") && !format!("{settings:?}").contains("AKIDTOP"));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(parse(serde_json::json!({"endpont": "x"})).is_err());
        assert!(parse(serde_json::json!({"credentials": {"access_key_id": "a"}})).is_err());
        for (json, expected) in [
            (serde_json::json!({"endpoint": "store.example"}), "s3.endpoint: 'store.example' is not"),
            (serde_json::json!({"endpoint": "ftp://x"}), "s3.endpoint"),
            (serde_json::json!({"buckets": {"b": {"parts_in_flight": 0}}}), "s3.buckets.b.parts_in_flight"),
            (serde_json::json!({"buckets": {"b": {"buckets": {"c": {}}}}}), "s3.buckets.b.buckets"),
        ] {
            let error = parse(json).unwrap().validate().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn parts_grow_with_the_object() {
        let settings = S3Settings::default();
        assert!(!settings.goes_in_parts(100 << 20) && settings.goes_in_parts((100 << 20) + 1));
        assert_eq!(settings.part_bytes_for(101 << 20), 16 << 20);
        let huge = 1u64 << 40;
        assert!(huge.div_ceil(settings.part_bytes_for(huge)) <= MAX_PARTS);
    }
}
