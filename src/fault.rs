//! What went wrong, as data: who can mend it and whether trying again can help.
//!
//! Every operation has a small error enum of its own; each implements [`Fault`] so that callers decide by class and
//! retry instead of by reading text. Imports nothing of ours.

use std::error::Error;

/// Who can mend the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request or the definition is wrong.
    User,
    /// Disk, network or a remote service.
    Upstream,
    /// A broken invariant of this program.
    Bug,
}

/// Whether, and after what, the same operation may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same input fails again.
    Never,
    /// Passing trouble: try again with growing, jittered pauses.
    Backoff,
    /// Only a change by the operator helps (permission, missing bucket); try slowly with the newest settings.
    AfterOperator,
    /// This one thing is refused for good, others of its kind are not: go on without it.
    GiveUp,
}

/// An error whose handling is decided by data. `Display` says what happened, to which stream, and what to do.
pub trait Fault: Error + Send + Sync + 'static {
    /// Who can mend it.
    fn class(&self) -> Class;
    /// Whether trying again can help.
    fn retry(&self) -> Retry;
}
