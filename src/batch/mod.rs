//! Where a run of records is cut: BufferingHints as a pure decision.
//!
//! From: `source` says how much waits. To: `delivery` stages and seals the run. Buffers are positions and counters;
//! the records stay in the lane until the run is staged. `target` says how much source an object of a wanted size takes.

mod cut;
mod partitions;
mod target;

pub use cut::{CutFacts, Decision, decide};
pub use partitions::{CutBounds, PartitionCut, PartitionHints, Partitions, Piece};
pub use target::{ObjectRatio, most_source_bytes};
