//! What goes on inside a stage, for who wants to see it: calls, the lines of the guest, what it says beside the data.
//!
//! From: [`super::stage`]. To: commands that show it. A stream's stage has no observer; its guest's lines go to the log.

use super::abi::LogLine;
use super::module::Used;
use super::verdict::Answer;
use crate::record::Origin;
use std::time::Duration;

/// Told of each call, in the order in which records are settled.
pub trait Observer: Send + Sync {
    /// A call ended.
    fn called(&self, call: &Call<'_>);

    /// What a call that succeeded says of a record. As it came: not at all, or more than once.
    fn answered(&self, origin: Origin, answer: &Answer<'_>);
}

/// One call of a guest.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its first record.
    pub first: Origin,
    /// Its last record.
    pub last: Origin,
    /// How many there were.
    pub records: usize,
    /// What it took, all of the host's work included.
    pub took: Duration,
    /// Memory and fuel.
    pub used: Used,
    /// What the guest logged.
    pub lines: &'a [LogLine],
    /// Why it failed, if it did.
    pub failure: Option<String>,
}
