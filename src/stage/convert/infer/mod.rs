//! Inference: columns and types learnt from the records themselves.
//!
//! From: whoever converts without a schema shows a [`Learner`] records. To: the encoder, by the [`LearntTable`] that it
//! exports, and the stream's folder or a file, by [`codec`] and `declare`. docs/json-to-columns.md holds the rules.
//!
//! | file | responsibility |
//! |---|---|
//! | `names` | which column or field a key is learnt under |
//! | `tree` | what was seen, and what it is exported as |
//! | `observe` | one record into the tree |
//! | `shape` | the exported types |
//! | `codec` | their kept form |
//! | `unlearnt` | the encoder while there is no column |
//!
//! Invariants: a record that the decoder would refuse whatever the schema is teaches nothing. Every record that was
//! observed fits the table exported afterwards. What is exported only widens; so do the tables exported by
//! [`Learner::freeze`], in which columns also keep their places.

pub mod codec;
mod names;
mod observe;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
mod unlearnt;

pub use names::{MAX_NAME_BYTES, Names};
pub use observe::{MAX_EXACT, MAX_LEVELS};
pub use shape::{LearntTable, Shape, Shapes, is_outgrown};
pub use tree::{MAX_LEARNT_FIELDS, MAX_STRUCT_FIELDS};
pub use unlearnt::Unlearnt;

use super::ConvertError;
use super::rules::Rules;
use crate::record::{Chunk, Slot};
use crate::stream::definition::{ConvertSpec, Deserializer};
use rayon::prelude::*;
use tree::{Budget, Fields};

/// Least JSON that is worth a learner of its own.
const PIECE_JSON_BYTES: usize = 1 << 20;

/// Learns a table.
#[derive(Debug)]
pub struct Learner {
    names: Names,
    columns: Fields,
    budget: Budget,
}

impl Learner {
    /// One that has seen nothing. Keys are compared as `spec` says.
    pub fn new(spec: &ConvertSpec) -> Result<Self, ConvertError> {
        Ok(Self::with(Rules::strict(spec, false)?.names().clone(), false))
    }

    /// One of a table that is not written.
    pub fn of_keys(deserializer: &Deserializer) -> Result<Self, ConvertError> {
        Ok(Self::with(Rules::strict_keys(deserializer)?.names().clone(), false))
    }

    /// One that goes on from what was frozen.
    pub fn resume(spec: &ConvertSpec, shapes: &Shapes) -> Result<Self, ConvertError> {
        let mut learner = Self::new(spec)?;
        learner.budget.closed = shapes.closed;
        learner.columns = Fields::of(&shapes.columns, learner.names.keys, &mut learner.budget);
        Ok(learner)
    }

    fn with(names: Names, closed: bool) -> Self {
        Self { columns: Fields::new(names.keys), names, budget: Budget::new(closed) }
    }

    /// Adds what a record has. `false`: it is not valid and teaches nothing.
    pub fn observe(&mut self, record: &[u8]) -> bool {
        observe::record(&mut self.columns, &self.names, &mut self.budget, record).is_ok()
    }

    /// Adds what the records of a chunk have, on all processors. What is learnt does not depend on their number.
    pub fn observe_chunk(&mut self, chunk: &Chunk) {
        let bytes: usize = chunk.slots.iter().map(|slot| slot.len as usize).sum();
        let pieces = (bytes / PIECE_JSON_BYTES).clamp(1, rayon::current_num_threads());
        let piece_len = chunk.slots.len().div_ceil(pieces).max(1);
        let pieces: Vec<_> = chunk.slots.chunks(piece_len).map(|slots| (chunk, slots)).collect();
        self.observe_pieces(&pieces);
    }

    /// As [`Self::observe_chunk`], for chunks in order: for many at once, since learning begins anew on each processor.
    pub fn observe_chunks(&mut self, chunks: &[Chunk]) {
        let pieces: Vec<_> = chunks.iter().map(|chunk| (chunk, &chunk.slots[..])).collect();
        self.observe_pieces(&pieces);
    }

    fn observe_pieces(&mut self, pieces: &[(&Chunk, &[Slot])]) {
        let show = |learner: &mut Self, pieces: &[(&Chunk, &[Slot])]| {
            for (chunk, slots) in pieces {
                slots.iter().for_each(|slot| {
                    learner.observe(chunk.bytes(slot));
                });
            }
        };
        let share = pieces.len().div_ceil(rayon::current_num_threads()).max(1);
        let (mine, others) = pieces.split_at(share.min(pieces.len()));
        let names = self.names.clone();
        let learn = |pieces: &[(&Chunk, &[Slot])]| {
            let mut learner = Self::with(names.clone(), false);
            show(&mut learner, pieces);
            learner
        };
        let ((), learners) =
            rayon::join(|| show(self, mine), || others.par_chunks(share).map(learn).collect::<Vec<_>>());
        learners.into_iter().for_each(|learner| self.join(learner));
    }

    /// Adds what another one has seen.
    pub fn join(&mut self, other: Self) {
        // Columns beyond the limit close the table and are no error.
        let _ = self.columns.join(other.columns, true, &mut self.budget);
        self.budget.closed |= other.budget.closed;
    }

    /// The table as it is now.
    pub fn shapes(&self) -> Shapes {
        self.columns.table(&self.budget)
    }

    /// The table as it is now, which is going to be used: later ones widen it.
    pub fn freeze(&mut self) -> Shapes {
        self.columns.freeze(&mut self.budget);
        self.shapes()
    }
}
