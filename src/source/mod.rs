//! Sources: ordered lanes of records that can be read again from any position not yet released.
//!
//! From: `log` (Direct PUT); later Kinesis shards and Kafka partitions. To: `delivery`, one worker a lane.
//!
//! Contract: positions of a lane ascend; what was readable once stays readable, byte for byte, until it is released;
//! what is closed in the journal may be forgotten at the next `release`. Reading blocks and runs on threads that may.

pub mod local;

use crate::record::{Chunk, ParcelBytes, Readable};
use crate::stream::Position;
use crate::stream::position::Run;
use crate::stream::seal::{LaneId, Tally};
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// One ordered log of records.
pub trait Lane: Send + Sync + Debug {
    /// Its identity.
    fn id(&self) -> &LaneId;
    /// How far it can be read, as it moves.
    fn readable(&self) -> watch::Receiver<Readable>;
    /// What lies up to `sealed`, where the lane's last seal ended when it was opened, on the scale of [`Lane::readable`].
    fn consumed(&self, sealed: &Position) -> Tally;
    /// A reader of the records after `from`, up to `to` where given, else up to what is readable now.
    fn reader(&self, from: &Position, to: Option<&Position>) -> io::Result<Box<dyn RunReader>>;
    /// The records of a run back to back, re-openable; for parcels that are a range of the log.
    fn joined(&self, run: &Run) -> io::Result<Arc<dyn ParcelBytes>>;
    /// More is closed than before: what every lane over the same log has closed may be forgotten. Blocks.
    fn release(&self);
    /// Puts are refused from now on (deletion, stop); what is taken already stays readable.
    fn refuse_appends(&self);
}

/// Reads one run, chunk by chunk.
pub trait RunReader: Send {
    /// About `max_bytes` and at most `max_records` of the next records (the record that passes the byte bound is the
    /// last), at least one. `None` at the end.
    fn next_chunk(&mut self, max_bytes: u64, max_records: u64) -> io::Result<Option<Chunk>>;
    /// Position of the last record handed out; the start before the first.
    fn last(&self) -> Position;
    /// The records handed out so far, back to back, where they lie, if the lane can serve that cheaply.
    fn joined(&self) -> Option<Arc<dyn ParcelBytes>>;
    /// A reader of just the records handed out so far.
    fn again(&self) -> io::Result<Box<dyn RunReader>>;
}
