//! What the verdicts of stages are about: the record as it arrived, or the part of it that was split off.
//!
//! From: `run`, a chunk at a time. To: `counts`, which counts source bytes, and `parcels`, which writes error records.
//! Invariant: over all parts of a record the counted bytes are those of the record, once.

use super::run::StageRunError;
use crate::record::{Chunk, Origin, Slot};

/// The chunks in which origins are looked up.
#[derive(Clone, Copy)]
pub struct Originals<'a> {
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
        Self { source, parts: None, shows_source: true }
    }

    /// The record that a part is of.
    pub fn record(&self, origin: Origin) -> Result<&'a Slot, StageRunError> {
        let is_known = self.parts.is_none_or(|parts| parts.find(origin).is_some());
        let whole = Origin { part: 0, ..origin };
        self.source
            .find(whole)
            .filter(|_| is_known && (self.parts.is_some() || origin.part == 0))
            .ok_or_else(|| StageRunError::Bug(format!("a stage told the fate of {origin:?}, which it was not given")))
    }

    /// Source bytes that the fate of a part counts: the first part stands for the whole record.
    pub fn counted_bytes(&self, origin: Origin) -> Result<u64, StageRunError> {
        let record = self.record(origin)?;
        Ok(if origin.part == 0 { u64::from(record.len) } else { 0 })
    }

    /// What an error record shows.
    pub fn shown(&self, origin: Origin) -> Result<&'a [u8], StageRunError> {
        let record = self.record(origin)?;
        match self.parts.filter(|_| !self.shows_source).and_then(|parts| Some((parts, parts.find(origin)?))) {
            Some((parts, slot)) => Ok(parts.bytes(slot)),
            None => Ok(self.source.bytes(record)),
        }
    }
}
