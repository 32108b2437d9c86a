//! What the verdicts of stages are about: the record as it arrived, or the part of it that was split off.
//!
//! From: `run`, a chunk at a time. To: `counts`, which counts source bytes, and `parcels`, which writes error records.
//! Invariant: over all parts of a record the counted bytes are those of the record, once.

use super::run::StageRunError;
use super::spool_reader::{Extract, damaged};
use crate::record::{Chunk, Origin, Slot};
use crate::spool::Records;
use std::borrow::Cow;

/// Where origins are looked up.
#[derive(Clone, Copy)]
pub enum Originals<'a> {
    /// In a chunk that was read.
    Read(Read<'a>),
    /// In records of the spool.
    Spooled(&'a Extract),
}

/// Chunks of a lane.
#[derive(Clone, Copy)]
pub struct Read<'a> {
    /// As it was read.
    pub source: &'a Chunk,
    /// The parts of its records that the verdicts can be about, if they were split.
    pub parts: Option<&'a Chunk>,
    /// Whether error records show records as they were read, and not their parts: they were compressed then.
    pub shows_source: bool,
}

impl<'a> Originals<'a> {
    /// Of a chunk that is as it was read.
    pub fn unsplit(source: &'a Chunk) -> Self {
        Self::Read(Read { source, parts: None, shows_source: true })
    }

    /// Arrival of the record that a part is of, ms since the epoch.
    pub fn arrival_ms(&self, origin: Origin) -> Result<i64, StageRunError> {
        match self {
            Self::Read(read) => Ok(read.record(origin)?.arrival_ms),
            Self::Spooled(extract) => Ok(extract.records.passed.slots[place(&extract.records, origin)?].arrival_ms),
        }
    }

    /// Source bytes that the fate of a part counts: the first part stands for the whole record.
    pub fn counted_bytes(&self, origin: Origin) -> Result<u64, StageRunError> {
        match self {
            Self::Read(read) => {
                let record = read.record(origin)?;
                Ok(if origin.part == 0 { u64::from(record.len) } else { 0 })
            }
            Self::Spooled(extract) => Ok(extract.records.counted_bytes[place(&extract.records, origin)?]),
        }
    }

    /// What an error record shows.
    pub fn shown(&self, origin: Origin) -> Result<Cow<'a, [u8]>, StageRunError> {
        match self {
            Self::Read(read) => read.shown(origin).map(Cow::Borrowed),
            Self::Spooled(extract) => {
                let place = place(&extract.records, origin)?;
                extract.chunk.source(&extract.records, place).map_err(damaged)
            }
        }
    }

    /// Whether several parts may show the same record.
    pub fn shows_records_of_parts(&self) -> bool {
        match self {
            Self::Read(read) => read.parts.is_some() && read.shows_source,
            Self::Spooled(extract) => extract.shows_records_of_parts,
        }
    }
}

fn place(records: &Records, origin: Origin) -> Result<usize, StageRunError> {
    records.passed.slots.binary_search_by(|slot| slot.origin.cmp(&origin)).map_err(|_| unknown(origin))
}

fn unknown(origin: Origin) -> StageRunError {
    StageRunError::Bug(format!("a stage told the fate of {origin:?}, which it was not given"))
}

impl<'a> Read<'a> {
    /// The record that a part is of.
    fn record(&self, origin: Origin) -> Result<&'a Slot, StageRunError> {
        let is_known = self.parts.is_none_or(|parts| parts.find(origin).is_some());
        let whole = Origin { part: 0, ..origin };
        self.source
            .find(whole)
            .filter(|_| is_known && (self.parts.is_some() || origin.part == 0))
            .ok_or_else(|| unknown(origin))
    }

    fn shown(&self, origin: Origin) -> Result<&'a [u8], StageRunError> {
        let record = self.record(origin)?;
        match self.parts.filter(|_| !self.shows_source).and_then(|parts| Some((parts, parts.find(origin)?))) {
            Some((parts, slot)) => Ok(parts.bytes(slot)),
            None => Ok(self.source.bytes(record)),
        }
    }
}
