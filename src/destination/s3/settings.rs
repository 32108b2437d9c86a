//! How buckets are reached: the section `s3:` of the configuration.
//!
//! From: `config`, which reads and checks it, or `app` for the embedded store. To: [`client`](super::client), at each attempt (rule D5).
//! What goes where (bucket, key, encryption key) stands in the seal and is not here.

use super::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How the stores are reached: for all buckets, with exceptions by bucket.
///
/// Every member may be left out. The members of an entry of `buckets` replace those at the top for that bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
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
    /// Time for the answer to a request, from when its body is on its way.
    pub answer_timeout_ms: Option<u64>,
    /// How long the store may take no byte of a body.
    pub stall_timeout_ms: Option<u64>,
    /// Exceptions by bucket name. Only at the top.
    pub buckets: BTreeMap<String, S3Settings>,
}

/// Fixed keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Access key id. Not a secret by itself, but kept out of logs as well.
    pub access_key_id: Secret,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token of temporary keys.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ChecksumCalculation {
    /// Each object and part carries its CRC-32C in a header.
    #[default]
    WhenSupported,
    /// No checksum header.
    WhenRequired,
}

/// Above this, objects go in parts.
const MULTIPART_ABOVE_BYTES: u64 = 100 << 20;
/// Size of a part.
const PART_BYTES: u64 = 16 << 20;
/// Most parts an upload may have.
const MAX_PARTS: u64 = 10_000;

impl S3Settings {
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

    /// Time for an answer.
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms.unwrap_or(60_000))
    }

    /// How long the store may take nothing.
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.unwrap_or(20_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buckets_members_replace_those_at_the_top() {
        let old = S3Settings {
            endpoint: Some("http://old.example:9000".to_owned()),
            request_checksum_calculation: Some(ChecksumCalculation::WhenRequired),
            ..S3Settings::default()
        };
        let aws = S3Settings { path_style: Some(false), profile: Some("prod".to_owned()), ..S3Settings::default() };
        let settings = S3Settings {
            endpoint: Some("https://store.example".to_owned()),
            region: Some("eu-west-1".to_owned()),
            credentials: Some(Credentials::fixed("AKIDTOP", "sesame")),
            buckets: BTreeMap::from([("old".to_owned(), old), ("aws".to_owned(), aws)]),
            ..S3Settings::default()
        };

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
        let shown = format!("{settings:?}");
        assert!(!shown.contains("sesame") && !shown.contains("AKIDTOP"), "{shown}");
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
