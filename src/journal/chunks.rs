//! The spool chunks of a lane: which of their partitions are sealed again, and which of those are closed. Pure.
//!
//! From: `state`, for seals that make chunks and seals that take from them. Invariants: a partition of a chunk is taken
//! by one seal (rule D9); a chunk is there until all of it is closed, the seal that made it too, so that this one, found
//! again in a snapshot, does not bring it back.

use super::codec::ChunkBase;
use crate::stream::NumberSet;
use crate::stream::seal::{SpooledChunk, Taken};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Chunks by the numbers of the seals that made them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunks(BTreeMap<u64, Arc<Chunk>>);

/// A chunk of which something is still to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The chunk.
    pub spooled: SpooledChunk,
    /// Partitions that are sealed.
    pub sealed: NumberSet,
    /// Those of them whose seals are closed.
    pub closed: NumberSet,
}

/// A seal takes what is not there or was taken before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotThere;

impl Chunks {
    /// Those of a snapshot.
    pub fn from_base(base: &[ChunkBase]) -> Self {
        let chunk = |base: &ChunkBase| {
            let (spooled, closed) = (base.chunk.clone(), base.closed.clone());
            (base.number, Arc::new(Chunk { spooled, sealed: closed.clone(), closed }))
        };
        Self(base.iter().map(chunk).collect())
    }

    /// For a snapshot.
    pub fn base(&self) -> Vec<ChunkBase> {
        let base = |(number, chunk): (&u64, &Arc<Chunk>)| ChunkBase {
            number: *number,
            chunk: chunk.spooled.clone(),
            closed: chunk.closed.clone(),
        };
        self.0.iter().map(base).collect()
    }

    /// In the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Arc<Chunk>)> {
        self.0.iter().map(|(number, chunk)| (*number, chunk))
    }

    /// The seal of this number made a chunk. One of a snapshot is there already, with what was taken of it since.
    pub fn put(&mut self, number: u64, spooled: &SpooledChunk) {
        let chunk = || Chunk { spooled: spooled.clone(), sealed: NumberSet::default(), closed: NumberSet::default() };
        self.0.entry(number).or_insert_with(|| Arc::new(chunk()));
    }

    /// A seal takes partitions.
    pub fn take(&mut self, taken: &Taken) -> Result<(), NotThere> {
        let chunk = self.0.get_mut(&taken.chunk).ok_or(NotThere)?;
        let is_there = taken.partitions.last().is_some_and(|last| last < chunk.spooled.partitions);
        if !is_there || chunk.sealed.meets(&taken.partitions) {
            return Err(NotThere);
        }
        Arc::make_mut(chunk).sealed.extend(&taken.partitions);
        Ok(())
    }

    /// The seal that took them is closed.
    pub fn close(&mut self, taken: &Taken) {
        if let Some(chunk) = self.0.get_mut(&taken.chunk) {
            Arc::make_mut(chunk).closed.extend(&taken.partitions);
        }
    }

    /// Lets go of what is delivered whole; `closed_number` is that of the lane's last closed seal.
    pub fn drop_closed(&mut self, closed_number: u64) {
        let is_closed = |number: u64, chunk: &Chunk| {
            number <= closed_number && chunk.closed.len() == u64::from(chunk.spooled.partitions)
        };
        self.0.retain(|number, chunk| !is_closed(*number, chunk));
    }
}
