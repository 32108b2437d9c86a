//! The spool: records of a stream with dynamic partitioning, grouped by partition, between the two halves of its
//! delivery (rule D9).
//!
//! From: the first half, which partitions a run and writes it as one *spool chunk* ([`SpoolWriter`]). To: the second
//! half, which reads the records of one partition out of the chunks in which it has some ([`SpoolChunk`]). Where the
//! bytes lie, how they become durable and when they go is the caller's business; `codec` is the format.
//!
//! A record that was split into parts of several partitions is there once for all of them, as far as error records show it.
//!
//! Invariants: the records of a partition are in the order in which they were pushed; a writer keeps at most
//! [`SECTION_BYTES`] of records in memory, and some hundred bytes for each partition of its chunk.

mod codec;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use codec::{Extent, FooterEntry, Partition, Records, SharedSource, Source, SpoolError};
pub use read::SpoolChunk;
pub use write::{SpoolWriter, Spooled};

/// Bytes of records that are grouped at once.
pub const SECTION_BYTES: usize = 16 << 20;
