//! What is kept with an object besides its bytes, and how the two stay together.
//!
//! The object's file says which version it is by its modification time and its length; the ETag is made of both. The
//! details lie in `.hydrant/meta/<bucket>/<2 hex>/<SHA-256 of the key>.json` and name the version they belong to. New
//! details are durable before the object's file takes its place, and the file keeps those of the version before it, so
//! at no instant does an object show without its own. A file somebody put or touched by hand has none and shows with
//! defaults. Copies that keep modification times (`cp -a`, `rsync -a`) keep the details.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Version of the details' file; a newer one is refused.
pub const FORMAT: u32 = 1;

/// Headers and checksums of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Content-Type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Content-Encoding, without `aws-chunked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Content-Disposition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// Content-Language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// Cache-Control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// Expires, as an RFC 3339 time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-meta-*`, names without the prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
    /// Checksums that were announced and verified: algorithm in S3's spelling, value in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
    /// `COMPOSITE` where the checksum is one of the parts' checksums; otherwise it is that of the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<String>,
    /// Number of parts of a multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// An object as it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Opaque; changes with each version. Without the quotes.
    pub etag: String,
    /// When this version was written.
    pub modified: SystemTime,
    /// Length of the bytes.
    pub length_bytes: u64,
    /// The rest.
    pub details: Details,
}

/// The ETag of the version a file holds: `<nanoseconds>-<length>`, both hexadecimal. It has a hyphen, as the ETags of
/// multipart uploads at S3, so that no client takes it for an MD5.
pub fn etag_of(metadata: &Metadata) -> io::Result<String> {
    let modified = metadata.modified()?;
    let nanoseconds = match modified.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos(),
        Err(_) => 0,
    };
    Ok(format!("{nanoseconds:016x}-{:x}", metadata.len()))
}

/// The file of a key's details.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DetailsFile {
    /// [`FORMAT`].
    pub format: u32,
    /// The key, for people and for checks.
    pub key: String,
    /// The newest version first; at most two.
    pub versions: Vec<VersionDetails>,
}

/// Details of one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionDetails {
    /// The version they belong to.
    pub etag: String,
    /// Them.
    #[serde(flatten)]
    pub details: Details,
}

impl DetailsFile {
    /// Reads it. `None` where there is none.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let broken = |what: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the object details {}: {what}", path.display()))
        };
        let file: Self = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
        if file.format > FORMAT {
            return Err(broken(format!("have format {}, and this version reads up to {FORMAT}", file.format)));
        }
        Ok(Some(file))
    }

    /// The details of a version.
    pub fn take(self, etag: &str) -> Option<Details> {
        self.versions.into_iter().find(|version| version.etag == etag).map(|version| version.details)
    }
}
