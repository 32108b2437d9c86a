//! Splits records into the parts they were put together from.
//!
//! From: `delivery`, before the transform. Neighbours: [`json`] finds the next object, [`delimited`] the next piece.
//!
//! Invariants: parts are slices of the chunk's buffer, nothing is copied; they are numbered from 0 in each record, and
//! every record has a part 0; parts in order, with what stood between them, are the record; what cannot be split is
//! refused from there to the record's end as one part, while the parts before it pass; a piece that comes out has at
//! most [`ENOUGH_PARTS`] parts.

mod delimited;
mod json;

#[cfg(test)]
mod tests;

use super::{Expand, Staged};
use crate::record::{Cause, Chunk, ErrorKind, Origin, Refused, Slot};
use crate::stream::definition::Deaggregation;
use delimited::Delimited;
use json::Objects;

/// A piece ends once it has so many parts: their slots take 32 bytes each, and a record may be millions of parts.
const ENOUGH_PARTS: usize = 1 << 15;

/// What follows in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// A part.
    Part {
        /// Its first byte.
        start: usize,
        /// Behind its last byte.
        upto: usize,
        /// Where to go on.
        next: usize,
    },
    /// From this byte on it cannot be split, for this reason.
    Bad(usize, String),
    /// No part.
    End,
}

/// How a record is split.
enum Splitter {
    Json(Objects),
    // A finder holds its tables.
    Delimited(Box<Delimited>),
}

impl Splitter {
    /// The part at `from` or behind it. `from` is 0 first, and then what the part before said.
    fn next(&mut self, record: &[u8], from: usize) -> Next {
        match self {
            Self::Json(objects) => objects.next(record, from),
            Self::Delimited(delimited) => delimited.next(record, from),
        }
    }
}

/// The stage.
pub struct DeaggregateStage {
    splitter: Splitter,
    source: Chunk,
    /// Number of the slot at work.
    slot: usize,
    /// Where in it, and the number of the part that comes next.
    at: usize,
    part: u32,
}

impl DeaggregateStage {
    /// A stage without a chunk.
    pub fn new(spec: &Deaggregation) -> Self {
        let splitter = match spec {
            Deaggregation::Json => Splitter::Json(Objects::default()),
            Deaggregation::Delimited { delimiter } => Splitter::Delimited(Box::new(Delimited::new(delimiter))),
        };
        Self { splitter, source: Chunk::default(), slot: 0, at: 0, part: 0 }
    }

    fn end_record(&mut self) {
        self.slot += 1;
        (self.at, self.part) = (0, 0);
    }
}

impl Expand for DeaggregateStage {
    fn begin(&mut self, chunk: Chunk) {
        (self.source, self.slot) = (chunk, 0);
        (self.at, self.part) = (0, 0);
    }

    fn next(&mut self) -> Option<Staged> {
        if self.slot >= self.source.slots.len() {
            self.source = Chunk::default();
            return None;
        }
        let source = std::mem::take(&mut self.source);
        let mut staged = Staged::default();
        staged.passed.buffer = source.buffer.clone();
        while staged.passed.slots.len() + staged.refused.len() < ENOUGH_PARTS
            && let Some(whole) = source.slots.get(self.slot)
        {
            let record = source.bytes(whole);
            let origin = Origin { ordinal: whole.origin.ordinal, part: self.part };
            let slot = |start: usize, upto: usize| Slot {
                start: whole.start + start as u32,
                len: (upto - start) as u32,
                origin,
                arrival_ms: whole.arrival_ms,
            };
            match self.splitter.next(record, self.at) {
                Next::Part { start, upto, next } => {
                    staged.passed.slots.push(slot(start, upto));
                    (self.at, self.part) = (next, self.part + 1);
                }
                Next::Bad(from, why) => {
                    staged.refused_parts.push(slot(from, record.len()));
                    staged.refused.push(Refused { origin, cause: cause(why) });
                    self.end_record();
                }
                Next::End => {
                    if self.part == 0 {
                        // Nothing but delimiters, or nothing at all: an empty record stays one.
                        staged.passed.slots.push(slot(0, 0));
                    }
                    self.end_record();
                }
            }
        }
        self.source = source;
        Some(staged)
    }
}

fn cause(why: String) -> Cause {
    Cause {
        kind: ErrorKind::PartitioningFailed,
        code: "DynamicPartitioning.RecordDeAggregationFailed".to_owned(),
        message: why,
        attempts: 1,
    }
}
