//! Dynamic partitioning: which partition a record belongs to.
//!
//! After `transform`, whose verdicts may bring keys (`lambda`). Pure, as all stages are: what a record's keys are
//! depends on the record and the stream's settings alone.

pub mod keys;
pub mod lambda;
pub mod query;
