//! Checksums a client announces for a body: computed while it streams in, compared at its end.
//!
//! Only what is announced is computed. A checksum this server cannot compute is refused, never ignored.

use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{self, ChecksumAlgorithm};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};
use std::collections::BTreeMap;

const PREFIX: &str = "x-amz-checksum-";

/// The algorithms with their header's ending, S3's spelling and the length of the value in base64.
const ALGORITHMS: [(&str, &str, usize); 5] = [
    ("crc32", "CRC32", 8),
    ("crc32c", "CRC32C", 8),
    ("crc64nvme", "CRC64NVME", 12),
    ("sha1", "SHA1", 28),
    ("sha256", "SHA256", 44),
];

/// What a body must amount to.
pub struct Expected {
    hasher: ChecksumHasher,
    md5: Option<(Md5, String)>,
    /// Algorithm in S3's spelling, its header's name, and the value if it was in the headers.
    checksum: Option<(&'static str, String, Option<String>)>,
    trailers: Option<TrailingHeaders>,
}

fn invalid(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message.into())
}

/// A hasher for one algorithm, in S3's spelling. `None` for an unknown one.
pub fn hasher_of(algorithm: &str) -> Option<ChecksumHasher> {
    let mut hasher = ChecksumHasher::default();
    match algorithm {
        "CRC32" => hasher.crc32 = Some(Crc32::new()),
        "CRC32C" => hasher.crc32c = Some(Crc32c::new()),
        "CRC64NVME" => hasher.crc64nvme = Some(Crc64Nvme::new()),
        "SHA1" => hasher.sha1 = Some(Sha1::new()),
        "SHA256" => hasher.sha256 = Some(Sha256::new()),
        _ => return None,
    }
    Some(hasher)
}

/// The one value a finished hasher has.
pub fn value_of(hasher: ChecksumHasher) -> Option<String> {
    let sums = hasher.finalize();
    sums.checksum_crc32
        .or(sums.checksum_crc32c)
        .or(sums.checksum_crc64nvme)
        .or(sums.checksum_sha1)
        .or(sums.checksum_sha256)
}

/// Names of algorithms as S3 spells them. Refuses unknown ones.
pub fn known_algorithm(algorithm: &ChecksumAlgorithm) -> S3Result<&'static str> {
    let asked = algorithm.as_str();
    ALGORITHMS.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(asked)).map(|(_, name, _)| *name).ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::NotImplemented,
            format!("The checksum algorithm {asked} is not implemented."),
        )
    })
}

impl Expected {
    /// Reads the headers of a request with a body.
    pub fn from_request(
        headers: &HeaderMap,
        content_md5: Option<String>,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<Self> {
        let mut checksum: Option<(&'static str, String, Option<String>)> = None;
        let mut announce = |ending: &str, value: Option<String>| {
            let Some((_, name, length)) = ALGORITHMS.iter().find(|(known, _, _)| *known == ending) else {
                let message = format!("The checksum {PREFIX}{ending} is not implemented.");
                return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
            };
            if value.as_ref().is_some_and(|value| value.len() != *length) {
                return Err(invalid(format!("Value for {PREFIX}{ending} header is invalid.")));
            }
            if checksum.replace((name, format!("{PREFIX}{ending}"), value)).is_some() {
                return Err(invalid(
                    "Expecting a single x-amz-checksum- header. Multiple checksum types are not allowed.",
                ));
            }
            Ok(())
        };
        for (name, value) in headers {
            if let Some(ending) = name.as_str().strip_prefix(PREFIX)
                && !matches!(ending, "algorithm" | "type" | "mode")
            {
                announce(
                    ending,
                    Some(value.to_str().map_err(|_| invalid("a checksum header is not text"))?.to_owned()),
                )?;
            }
        }
        if let Some(names) = headers.get("x-amz-trailer") {
            for name in names.to_str().map_err(|_| invalid("x-amz-trailer is not text"))?.split(',') {
                if let Some(ending) = name.trim().to_ascii_lowercase().strip_prefix(PREFIX) {
                    announce(ending, None)?;
                }
            }
        }
        if checksum.is_none() && headers.contains_key("x-amz-sdk-checksum-algorithm") {
            return Err(invalid(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were \
                 found.",
            ));
        }
        let md5 = match content_md5 {
            Some(value) if value.len() == 24 => Some((Md5::new(), value)),
            Some(_) => return Err(S3ErrorCode::InvalidDigest.into()),
            None => None,
        };
        let hasher = checksum.as_ref().and_then(|(name, _, _)| hasher_of(name)).unwrap_or_default();
        Ok(Self { hasher, md5, checksum, trailers })
    }

    /// The algorithm of the announced checksum, in S3's spelling.
    pub fn algorithm(&self) -> Option<&'static str> {
        self.checksum.as_ref().map(|(name, _, _)| *name)
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(data);
        }
    }

    /// At the body's end: what was verified, as (algorithm, value).
    pub fn verify(self) -> S3Result<Option<(&'static str, String)>> {
        if let Some((md5, wanted)) = self.md5
            && base64_simd::STANDARD.encode_to_string(md5.finalize()) != wanted
        {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(S3Error::with_message(S3ErrorCode::BadDigest, message));
        }
        let Some((name, header, value)) = self.checksum else { return Ok(None) };
        let from_trailer = || {
            let trailers = self.trailers.as_ref()?;
            trailers.read(|map| map.get(&header).and_then(|value| value.to_str().ok()).map(str::to_owned)).flatten()
        };
        let wanted = value.or_else(from_trailer);
        let wanted = wanted.ok_or_else(|| invalid(format!("The trailer {header} was announced and did not come.")))?;
        if value_of(self.hasher).as_ref() != Some(&wanted) {
            let message = format!("The {name} you specified did not match the calculated checksum.");
            return Err(S3Error::with_message(S3ErrorCode::BadDigest, message));
        }
        Ok(Some((name, wanted)))
    }
}

/// Checksums in the form of the many outputs that have the five fields.
pub fn to_dto(checksums: &BTreeMap<String, String>, checksum_type: Option<&str>) -> dto::Checksum {
    let of = |name: &str| checksums.get(name).cloned();
    dto::Checksum {
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        checksum_type: (!checksums.is_empty())
            .then(|| dto::ChecksumType::from(checksum_type.unwrap_or(dto::ChecksumType::FULL_OBJECT).to_owned())),
    }
}
