//! Dynamic partitioning: which partition a record belongs to.
//!
//! Beside `transform`, whose records may bring keys of their own. Pure, as all stages are: what a record's keys are
//! depends on the record and the stream's settings alone.

pub mod keys;
pub mod query;
