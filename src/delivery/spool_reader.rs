//! Reads what is cut of a partition out of the spool chunks that it lies in.
//!
//! From: `partitioned`. Through: `spooled`, which opens chunks. Invariants: at most [`MOST_OPEN`] chunks are open; a
//! chunk that does not have what the journal says is told as damage and nothing of it is shown.

use super::DeliveryContext;
use super::run::StageRunError;
use super::spooled::Spooled;
use crate::batch::PartitionCut;
use crate::spool::{Extent, FooterEntry, Records, SpoolChunk};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Range;

/// Chunks that are open at once. The partitions of a seal lie in the same ones, mostly.
const MOST_OPEN: usize = 64;

/// What was used last of what is opened by number.
pub struct Recent<T> {
    most: usize,
    uses: u64,
    /// With the number of its last use.
    open: BTreeMap<u64, (u64, T)>,
}

impl<T> Recent<T> {
    /// Keeps `most` of them.
    pub fn new(most: usize) -> Self {
        Self { most, uses: 0, open: BTreeMap::new() }
    }

    /// The one with the number, opened if it is not.
    pub fn get<E>(&mut self, number: u64, open: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.uses += 1;
        if self.open.len() >= self.most
            && !self.open.contains_key(&number)
            && let Some(least) = self.open.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number)
        {
            self.open.remove(&least);
        }
        let (used, opened) = match self.open.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert((0, open()?)),
        };
        *used = self.uses;
        Ok(opened)
    }
}

/// The chunks of a stream's spool.
pub struct Chunks<'a> {
    context: &'a DeliveryContext,
    spooled: &'a Spooled,
    recent: Recent<SpoolChunk>,
}

impl<'a> Chunks<'a> {
    /// None is open.
    pub fn new(context: &'a DeliveryContext, spooled: &'a Spooled) -> Self {
        Self { context, spooled, recent: Recent::new(MOST_OPEN) }
    }

    fn get(&mut self, number: u64) -> Result<&SpoolChunk, StageRunError> {
        self.recent.get(number, || self.spooled.chunk(self.context, number)).map_err(damaged)
    }
}

/// The records of a cut, counted from its first.
pub struct CutReader {
    /// (chunk, extent, number of its first record).
    extents: Vec<(u64, Extent, u64)>,
    /// Records of all extents.
    pub records: u64,
    /// Arrival of the oldest, ms since the epoch.
    pub oldest_arrival_ms: i64,
    /// The extent read last, by its place in `extents`.
    last: Option<(usize, Extract)>,
}

/// Records of one extent.
pub struct Extract {
    /// Them.
    pub records: Records,
    /// The chunk that they are of.
    pub chunk: SpoolChunk,
    /// Whether several of them may show the same record.
    pub shows_records_of_parts: bool,
}

impl CutReader {
    /// Looks up where the records lie.
    pub fn new(chunks: &mut Chunks<'_>, cut: &PartitionCut) -> Result<Self, StageRunError> {
        let mut reader = Self { extents: Vec::new(), records: 0, oldest_arrival_ms: i64::MAX, last: None };
        for piece in &cut.pieces {
            let (offset_bytes, length_bytes) = piece.place;
            let chunk = chunks.get(piece.chunk)?;
            let partition = chunk.partition(FooterEntry { offset_bytes, length_bytes }).map_err(damaged)?;
            if partition.key[..] != cut.key[..] {
                let text = format!("spool chunk {} has another partition where one is taken", piece.chunk);
                return Err(damaged(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            for extent in partition.extents {
                reader.extents.push((piece.chunk, extent, reader.records));
                reader.records += u64::from(extent.records);
                reader.oldest_arrival_ms = reader.oldest_arrival_ms.min(extent.oldest_arrival_ms);
            }
        }
        Ok(reader)
    }

    /// Shows the records of ascending ranges in their order, of an extent at a time those of the given places.
    pub fn each(
        &mut self,
        chunks: &mut Chunks<'_>,
        ranges: &[Range<u64>],
        mut show: impl FnMut(&Extract, Range<usize>) -> Result<(), StageRunError>,
    ) -> Result<(), StageRunError> {
        for range in ranges {
            let first = self.extents.partition_point(|(_, extent, at)| at + u64::from(extent.records) <= range.start);
            for at in first..self.extents.len() {
                let (_, extent, first_record) = self.extents[at];
                if first_record >= range.end {
                    break;
                }
                let upto = (range.end - first_record).min(extent.records.into());
                let places = range.start.saturating_sub(first_record) as usize..upto as usize;
                show(self.extent(chunks, at)?, places)?;
            }
        }
        Ok(())
    }

    fn extent(&mut self, chunks: &mut Chunks<'_>, at: usize) -> Result<&Extract, StageRunError> {
        let known = self.last.take().filter(|(last, _)| *last == at);
        let extract = match known {
            Some((_, extract)) => extract,
            None => {
                let (number, extent, _) = &self.extents[at];
                let chunk = chunks.get(*number)?.clone();
                let records = chunk.records(extent).map_err(damaged)?;
                if records.passed.slots.len() != extent.records as usize {
                    let text = format!("spool chunk {number} has other records than it says");
                    return Err(damaged(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                let told = chunks.spooled.spooled_chunk(*number);
                Extract { records, chunk, shows_records_of_parts: told.is_some_and(|told| told.shows_records_of_parts) }
            }
        };
        Ok(&self.last.insert((at, extract)).1)
    }
}

/// A chunk that cannot be read: damage waits for the operator, the rest is tried again.
pub fn damaged(error: io::Error) -> StageRunError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
            StageRunError::NotReady {
                code: "Spool.Damaged",
                message: format!("{error}; put the file back from a copy, or delete the stream with AllowForceDelete"),
            }
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn few_of_thousands_are_open_at_once() {
        let handle = Arc::new(());
        let mut recent = Recent::new(8);
        let mut opened = 0;
        for round in 0..3 {
            for number in 0..5_000u64 {
                let open = || {
                    opened += 1;
                    Ok::<_, ()>((number, handle.clone()))
                };
                assert_eq!(recent.get(number, open).unwrap().0, number);
                assert!(Arc::strong_count(&handle) <= 9, "round {round}");
                // What was used last stays.
                assert_eq!(recent.get(number.saturating_sub(1), || Err("gone")).unwrap().0, number.saturating_sub(1));
            }
        }
        assert_eq!(opened, 3 * 5_000);
        assert!(recent.get(9_999_999, || Err("no")).is_err());
    }
}
