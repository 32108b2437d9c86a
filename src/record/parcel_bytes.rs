//! The finished bytes of a parcel, wherever they lie: journal, outbox file or log.

use std::fmt::Debug;
use std::io;

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
