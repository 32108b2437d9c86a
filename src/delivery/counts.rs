//! The fates of a run's records while it is staged; they add up, or nothing is sealed.

use super::originals::Originals;
use super::run::StageRunError;
use crate::record::{Chunk, Origin};
use crate::spool::Records;
use crate::stage::Staged;
use crate::stream::seal::{Fates, Tally};
use std::ops::Range;

/// Records by fate while the run is staged.
#[derive(Debug)]
pub struct Counts {
    pub total: Tally,
    pub refused: Tally,
    pub dropped: Tally,
    pub split: u64,
    /// What decompression made of the records.
    pub expanded_bytes: u64,
    pub oldest_arrival_ms: i64,
    pub newest_arrival_ms: i64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            total: Tally::default(),
            refused: Tally::default(),
            dropped: Tally::default(),
            split: 0,
            expanded_bytes: 0,
            oldest_arrival_ms: i64::MAX,
            newest_arrival_ms: i64::MIN,
        }
    }
}

impl Counts {
    pub fn note_source(&mut self, chunk: &Chunk) {
        for slot in &chunk.slots {
            self.total.add(u64::from(slot.len));
            self.oldest_arrival_ms = self.oldest_arrival_ms.min(slot.arrival_ms);
            self.newest_arrival_ms = self.newest_arrival_ms.max(slot.arrival_ms);
        }
    }

    /// Those of another object of the same seal.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.split += other.split;
        self.oldest_arrival_ms = self.oldest_arrival_ms.min(other.oldest_arrival_ms);
        self.newest_arrival_ms = self.newest_arrival_ms.max(other.newest_arrival_ms);
    }

    /// Records of the spool at these places, parts of records among them.
    pub fn note_spooled(&mut self, records: &Records, places: Range<usize>) {
        for (slot, bytes) in records.passed.slots[places.clone()].iter().zip(&records.counted_bytes[places]) {
            self.total.add(*bytes);
            self.oldest_arrival_ms = self.oldest_arrival_ms.min(slot.arrival_ms);
            self.newest_arrival_ms = self.newest_arrival_ms.max(slot.arrival_ms);
        }
    }

    /// Parts that a stage split off, beyond the first of each record.
    pub fn note_split(&mut self, staged: &Staged) {
        let passed = staged.passed.slots.iter().map(|slot| slot.origin);
        let refused = staged.refused.iter().map(|refused| refused.origin);
        self.split += passed.chain(refused).filter(|origin| origin.part > 0).count() as u64;
    }

    pub fn note_dropped(&mut self, originals: &Originals<'_>, dropped: &[Origin]) -> Result<(), StageRunError> {
        for origin in dropped {
            self.dropped.add(originals.counted_bytes(*origin)?);
        }
        Ok(())
    }

    /// Every record, or every part of it, has exactly one fate, or this is a bug and nothing is sealed.
    pub fn fates(&self, data_records: u64) -> Result<Fates, StageRunError> {
        let others = self.refused.records + self.dropped.records;
        if data_records + others != self.total.records + self.split {
            return Err(StageRunError::Bug(format!(
                "{} records read and {} parts split off, but {data_records} delivered, {} refused and {} dropped",
                self.total.records, self.split, self.refused.records, self.dropped.records
            )));
        }
        let delivered =
            Tally { records: data_records, bytes: self.total.bytes - self.refused.bytes - self.dropped.bytes };
        let (refused, dropped, split) = (self.refused, self.dropped, self.split);
        Ok(Fates { delivered, refused, dropped, discarded: Tally::default(), split })
    }
}
