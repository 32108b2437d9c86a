//! Why the journal could not do what it was asked.

use super::codec::TooLong;
use super::state::OrderError;
use crate::fault::{Class, Fault, Retry};
use std::io;
use std::path::{Path, PathBuf};

/// An error of the journal. Cheap to clone: one failed write answers all that waited for it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JournalError {
    /// The entry does not fit what is stored. Nothing was written.
    #[error("the journal refuses an entry: {0}")]
    Order(#[from] OrderError),
    /// The entry is too long. Nothing was written.
    #[error("the journal refuses an entry: {0}")]
    TooLong(#[from] TooLong),
    /// The disk failed. Whether the entry will be found at the next start is not known: what it names must be kept, and
    /// the same entry tried again until it is stored.
    #[error("the journal cannot {what} {path}: {message}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Kind of the failure; `StorageFull` when there is no room.
        kind: io::ErrorKind,
        /// Its text.
        message: String,
    },
    /// Something synced is not there any more. Nothing is served from this journal.
    #[error("the journal is damaged: {path} at offset {offset_bytes}: {reason}; restore the file from a copy")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset_bytes: u64,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer program.
    #[error("{path} was written by a newer hydrant ({reason}); start that version")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// What is newer.
        reason: String,
    },
    /// The journal was stopped.
    #[error("the journal is stopped")]
    Stopped,
}

impl JournalError {
    pub(super) fn io(what: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), kind: error.kind(), message: error.to_string() }
    }
}

impl Fault for JournalError {
    fn class(&self) -> Class {
        match self {
            Self::Order(_) | Self::TooLong(_) => Class::Bug,
            Self::Io { .. } | Self::Damaged { .. } | Self::Stopped => Class::Upstream,
            Self::Newer { .. } => Class::User,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Io { .. } => Retry::Backoff,
            Self::Order(_) | Self::TooLong(_) | Self::Stopped => Retry::Never,
            Self::Damaged { .. } | Self::Newer { .. } => Retry::AfterOperator,
        }
    }
}
