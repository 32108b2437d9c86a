//! The finished bytes of a parcel, wherever they lie: journal, outbox file or log.

use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;

/// The finished bytes of a parcel, readable again and again, from any thread that may block.
pub trait ParcelBytes: Send + Sync + Debug {
    /// Length of the whole.
    fn length_bytes(&self) -> u64;
    /// Reads exactly `buffer.len()` bytes from `offset_bytes` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()>;
    /// Lengths of the single records in order, for destinations that send records one by one. `None` where the
    /// parcel is one encoded whole.
    fn record_lengths(&self) -> Option<Vec<u32>> {
        None
    }
}

/// Reads the first `length_bytes` of a parcel's bytes, one after the other.
#[derive(Debug)]
pub struct ParcelReader {
    bytes: Arc<dyn ParcelBytes>,
    at: u64,
    upto: u64,
}

impl ParcelReader {
    /// From the start on.
    pub fn new(bytes: Arc<dyn ParcelBytes>, length_bytes: u64) -> Self {
        Self { bytes, at: 0, upto: length_bytes }
    }
}

impl Read for ParcelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.upto - self.at).unwrap_or(usize::MAX));
        self.bytes.read_exact_at(&mut buffer[..length], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
