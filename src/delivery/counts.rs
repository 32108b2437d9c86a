//! The fates of a run's records while it is staged; they add up, or nothing is sealed.

use super::run::StageRunError;
use crate::record::{Chunk, Origin};
use crate::stream::seal::{Fates, Tally};

/// Records by fate while the run is staged.
#[derive(Debug)]
pub struct Counts {
    pub total: Tally,
    pub refused: Tally,
    pub dropped: Tally,
    pub oldest_arrival_ms: i64,
    pub newest_arrival_ms: i64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            total: Tally::default(),
            refused: Tally::default(),
            dropped: Tally::default(),
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

    pub fn note_dropped(&mut self, source: &Chunk, dropped: &[Origin]) -> Result<(), StageRunError> {
        for origin in dropped {
            let Some(slot) = source.find(*origin) else {
                return Err(StageRunError::Bug(format!("a stage dropped {origin:?}, which it was not given")));
            };
            self.dropped.add(u64::from(slot.len));
        }
        Ok(())
    }

    /// Every record has exactly one fate, or this is a bug and nothing is sealed.
    pub fn fates(&self, data_records: u64) -> Result<Fates, StageRunError> {
        let others = self.refused.records + self.dropped.records;
        if data_records + others != self.total.records {
            return Err(StageRunError::Bug(format!(
                "{} records read, but {data_records} delivered, {} refused and {} dropped",
                self.total.records, self.refused.records, self.dropped.records
            )));
        }
        let delivered =
            Tally { records: data_records, bytes: self.total.bytes - self.refused.bytes - self.dropped.bytes };
        Ok(Fates { delivered, refused: self.refused, dropped: self.dropped, discarded: Tally::default() })
    }
}
