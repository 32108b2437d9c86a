//! Gzip members of one record, expanded within a bound.
//!
//! From: [`super`]. A record of 1 MB may claim to expand to a gigabyte; what is beyond the bound is never written.

use flate2::bufread::MultiGzDecoder;
use std::io::Read;

/// Most bytes that a record may expand to. CloudWatch Logs takes batches of 1 MiB and sends less at once; this leaves
/// room for escapes, envelopes and other senders.
pub const MAX_EXPANDED_BYTES: usize = 16 << 20;

/// Why a record cannot be expanded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GunzipError {
    /// It does not begin as gzip does.
    #[error("The record is not gzip: it does not begin with the bytes 1f 8b.")]
    NotGzip,
    /// It is cut off, its checksum differs, or something follows the last member.
    #[error("The record is not valid gzip: {0}.")]
    Invalid(String),
    /// It expands beyond the bound.
    #[error("The record expands to more than {MAX_EXPANDED_BYTES} bytes.")]
    TooLong,
}

impl GunzipError {
    /// Error code in error records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGzip | Self::Invalid(_) => "Decompression.InvalidGzip",
            Self::TooLong => "Decompression.TooLong",
        }
    }
}

/// Appends the content of all members to `out`; what is appended by a call that fails is of no use.
pub fn gunzip(record: &[u8], out: &mut Vec<u8>) -> Result<(), GunzipError> {
    if !record.starts_with(&[0x1f, 0x8b]) {
        return Err(GunzipError::NotGzip);
    }
    let mut limited = MultiGzDecoder::new(record).take(MAX_EXPANDED_BYTES as u64 + 1);
    match limited.read_to_end(out) {
        Ok(bytes) if bytes > MAX_EXPANDED_BYTES => Err(GunzipError::TooLong),
        Ok(_) => Ok(()),
        Err(error) => Err(GunzipError::Invalid(error.to_string())),
    }
}

/// The first bytes of the content, at most so many, as far as they can be had.
pub fn head(record: &[u8], max_bytes: usize) -> Vec<u8> {
    let mut head = Vec::new();
    // What was read before a fault is in `head`.
    let _ = MultiGzDecoder::new(record).take(max_bytes as u64).read_to_end(&mut head);
    head
}
