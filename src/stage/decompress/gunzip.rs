//! Gzip members of one record, expanded within a bound.
//!
//! From: [`super`]. A record of 1 MB may claim to expand to a gigabyte; what is beyond the bound is never written.

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use std::io::Read;

/// Most bytes that a record may expand to. CloudWatch Logs takes batches of 1 MiB and sends less at once; this leaves
/// room for escapes, envelopes and other senders.
pub const MAX_EXPANDED_BYTES: usize = 16 << 20;

/// The first bytes of a gzip member.
const MAGIC: &[u8] = &[0x1f, 0x8b];

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
    if !record.starts_with(MAGIC) {
        return Err(GunzipError::NotGzip);
    }
    let (mut rest, mut expanded_bytes) = (record, 0);
    while !rest.is_empty() {
        // Told here: the decoder would call the beginning of a member that is none a cut-off one.
        if !rest.starts_with(MAGIC) {
            return Err(GunzipError::Invalid(format!("{} bytes that are no gzip follow it", rest.len())));
        }
        let mut member = GzDecoder::new(rest);
        let room_bytes = (MAX_EXPANDED_BYTES - expanded_bytes) as u64 + 1;
        let read = (&mut member).take(room_bytes).read_to_end(out);
        expanded_bytes += read.map_err(|error| GunzipError::Invalid(error.to_string()))?;
        if expanded_bytes > MAX_EXPANDED_BYTES {
            return Err(GunzipError::TooLong);
        }
        rest = member.into_inner();
    }
    Ok(())
}

/// The first bytes of the content, at most so many, as far as they can be had.
pub fn head(record: &[u8], max_bytes: usize) -> Vec<u8> {
    let mut head = Vec::new();
    // What was read before a fault is in `head`.
    let _ = MultiGzDecoder::new(record).take(max_bytes as u64).read_to_end(&mut head);
    head
}
