//! Stages: what happens to records between the cut and the seal. Pure CPU work: no disk, no clock, no network.
//!
//! Order: decompress ▶ deaggregate ▶ transform (WASM) ▶ [partition ▶] convert (JSON to Parquet) or compress (join, with delimiters
//! where asked for, and compress), or `request` in place of both. A [`Stage`] turns a chunk into a chunk, an [`Expand`] into several; the last one is an
//! [`Encoder`] and turns chunks into the bytes of one object. All are total: a record they cannot take is refused with its
//! cause, the others go on. A panic inside is the caller's to catch (rule D3).

pub mod compress;
pub mod convert;
pub mod deaggregate;
pub mod decompress;
pub mod partition;
pub mod request;
pub mod transform;

use crate::record::{Chunk, Origin, Refused, Slot};
use std::io::{self, Write};
use std::ops::Range;

/// What a stage made of a chunk. Every origin of the input is in at least one of the three.
#[derive(Debug, Default)]
pub struct Staged {
    /// Records that go on, in order, origins kept.
    pub passed: Chunk,
    /// Records that end in the error area.
    pub refused: Vec<Refused>,
    /// Records that the stage dropped on purpose.
    pub dropped: Vec<Origin>,
    /// Of refused records that the stage split off, where they are in the buffer of `passed`; in order.
    pub refused_parts: Vec<Slot>,
    /// Of each record that goes on, where the bytes for its partition keys are in the buffer of `passed` (layout:
    /// [`partition::keys`]); empty if the stage tells none.
    pub partition_keys: Vec<Range<u32>>,
}

/// A chunk in, a chunk out.
pub trait Stage: Send {
    /// Applies the stage. Never fails as a whole.
    fn apply(&mut self, chunk: Chunk) -> Staged;
}

/// A chunk in, chunks out, one after the other: a stage whose output may be many times its input. Memory is bounded by
/// how much comes at once, not by what there is.
pub trait Expand: Send {
    /// Takes the next chunk. All of the one before has come out.
    fn begin(&mut self, chunk: Chunk);

    /// What comes next of the chunk; `None` once all of it came out.
    fn next(&mut self) -> Option<Staged>;
}

/// Chunks in, the bytes of one object out.
///
/// An encoder that took no record writes nothing at all: no object is made of it.
pub trait Encoder: Send {
    /// Encodes the records of `chunk`, writing finished bytes to `sink` as they come; returns the records refused,
    /// none of whose content is in the object. An error is one of `sink` and ends the attempt to seal this run.
    fn push(&mut self, chunk: &Chunk, sink: &mut dyn Write) -> io::Result<Vec<Refused>>;

    /// About how many bytes of the object wait in here to be written to the sink.
    fn pending_bytes(&self) -> u64 {
        0
    }

    /// Whether the schema takes all records pushed so far, where it is one that learns. Once it does not, the object is
    /// thrown away.
    fn fits(&self) -> bool {
        true
    }

    /// Writes what is left. Returns the number of records in the object.
    fn finish(self: Box<Self>, sink: &mut dyn Write) -> io::Result<u64>;
}
