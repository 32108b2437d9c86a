//! The log of Direct PUT records: what a 200 stands on (rule D8).
//!
//! From: `ingest` appends the records of a request as one frame. To: `source::local` reads synced records in order and
//! says what is closed. One folder a stream, `streams/<incarnation>/log/`, segment files in it.
//!
//! Files: [`frame`] and [`segment`] are the formats, `scan` and [`recovery`] what is left after a crash, `append` group commit,
//! `commit` the threads that sync, `read` synced records as chunks, `retain` what may be forgotten.
//!
//! Invariants: an append answers `Ok` only after fdatasync of its frame. Readers see synced records only. Record numbers
//! are given in the order of frames, from 1, without gaps, and never again for other bytes once synced. Arrival times
//! do not go back. After a failed write or sync the segment is abandoned at its synced end and never synced again.
//!
//! On failure: a full disk or budget refuses appends until there is room; any other disk error fails the request, and
//! the next one tries a new segment. Idle logs hold no open file.

mod append;
pub mod commit;
pub mod frame;
mod read;
pub mod recovery;
mod retain;
mod scan;
pub mod segment;

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;

pub use append::{AppendError, Appended};
pub use commit::CommitPool;
pub use frame::{Extension, FrameBody};
pub use read::{Extent, LogReader};

use crate::clock::Clock;
use crate::disk::{Account, Disk, DiskBudget, create_dir_durable};
use crate::record::Readable;
use crate::stream::Incarnation;
use append::Writer;
use parking_lot::Mutex;
use recovery::{Recovered, RecoveryError};
use segment::Segment;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Settings of all logs of a node.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// A segment that has reached this length is followed by a new one.
    pub segment_bytes: u64,
    /// How long closed records are kept for replay.
    pub retention_ms: u64,
    /// Most bytes that may wait for one stream's sync; more is throttled.
    pub queue_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, retention_ms: 0, queue_bytes: 64 << 20 }
    }
}

/// What logs share.
#[derive(Debug, Clone)]
pub struct LogContext {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The node's disk budget.
    pub budget: Arc<DiskBudget>,
    /// Arrival times and idle times.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub options: LogOptions,
}

/// One stream's log.
#[derive(Debug)]
pub struct StreamLog {
    context: LogContext,
    /// The stream's part in the disk budget.
    account: Account,
    dir: PathBuf,
    incarnation: Incarnation,
    /// Requests waiting for the next commit. Held for moments only.
    queue: Mutex<append::Queue>,
    /// The write end. Held by the one commit that runs.
    writer: Mutex<Writer>,
    /// Segments with served records, ascending.
    segments: Mutex<Vec<Segment>>,
    progress: watch::Sender<Readable>,
    pool: Arc<CommitPool>,
}

impl StreamLog {
    /// Recovers the log in `dir` and opens it. `closed` and `sealed` are the stream's durable cursors. Blocks.
    pub fn open(
        context: LogContext,
        pool: Arc<CommitPool>,
        dir: PathBuf,
        incarnation: Incarnation,
        closed: u64,
        sealed: u64,
    ) -> Result<Arc<Self>, RecoveryError> {
        let io_error = |error| RecoveryError::Io { dir: dir.clone(), error };
        create_dir_durable(context.disk.as_ref(), &dir).map_err(io_error)?;
        let now_ms = context.clock.wall_ms();
        let Recovered {
            segments,
            last_is_new,
            synced_last,
            last_arrival_ms,
            next_segment_id,
            waiting_bytes,
            file_bytes,
        } = recovery::recover(context.disk.as_ref(), &dir, incarnation, closed, sealed, now_ms)?;
        let account = context.budget.account(&incarnation.to_string());
        account.add(file_bytes);
        let appendable = last_is_new.then(|| segments.last().map(|s| s.id)).flatten();
        let log = Arc::new(Self {
            writer: Mutex::new(Writer::new(synced_last, last_arrival_ms, next_segment_id, appendable)),
            queue: Mutex::default(),
            segments: Mutex::new(segments),
            progress: watch::channel(Readable { records: synced_last, bytes: waiting_bytes, ended: false }).0,
            context,
            account,
            dir,
            incarnation,
            pool,
        });
        log.release(closed);
        Ok(log)
    }

    /// Highest synced record number; all up to it are durable and readable.
    pub fn synced_last(&self) -> u64 {
        self.progress.borrow().records
    }

    /// Where readable records end, as it moves.
    pub fn progress(&self) -> watch::Receiver<Readable> {
        self.progress.subscribe()
    }

    /// Bytes of the segment files.
    pub fn file_bytes(&self) -> u64 {
        self.segments.lock().iter().map(Segment::file_bytes).sum()
    }
}
