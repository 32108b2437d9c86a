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
use crate::stream::seal::Tally;
use append::Writer;
use parking_lot::Mutex;
use recovery::{Recovered, RecoveryError};
use segment::Segment;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Where the durable cursors of the lanes over a log stand, as record numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCursors {
    /// Every lane has closed all up to here: it may be gone.
    pub closed: u64,
    /// End of the last seal of each lane; at least one.
    pub sealed: Vec<u64>,
}

impl LogCursors {
    /// Those of a log with one lane.
    pub fn one(closed: u64, sealed: u64) -> Self {
        Self { closed, sealed: vec![sealed] }
    }

    /// Up to here no lane has anything to read.
    fn passed(&self) -> u64 {
        self.sealed.iter().copied().min().unwrap_or(0).max(self.closed)
    }

    /// Up to here records are known to have been synced.
    fn mark(&self) -> u64 {
        self.sealed.iter().copied().max().unwrap_or(0).max(self.closed)
    }
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
    /// Bytes of `progress` that lie at or below a record number: where lanes stood when the log was opened, or began.
    anchors: Mutex<BTreeMap<u64, u64>>,
    /// Nothing above is forgotten, whatever is closed. Set and read with `segments` locked.
    held: AtomicU64,
    pool: Arc<CommitPool>,
}

/// Keeps a log from forgetting anything above a record number, until it is dropped.
#[derive(Debug)]
pub struct Hold {
    log: Arc<StreamLog>,
    /// That number: the newest record when the hold was taken.
    pub number: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _segments = self.log.segments.lock();
        self.log.held.store(u64::MAX, Ordering::Relaxed);
    }
}

impl StreamLog {
    /// Recovers the log in `dir` and opens it. Blocks.
    pub fn open(
        context: LogContext,
        pool: Arc<CommitPool>,
        dir: PathBuf,
        incarnation: Incarnation,
        cursors: &LogCursors,
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
        } = recovery::recover(context.disk.as_ref(), &dir, incarnation, cursors, now_ms)?;
        let account = context.budget.account(&incarnation.to_string());
        account.add(file_bytes);
        let appendable = last_is_new.then(|| segments.last().map(|s| s.id)).flatten();
        // Readable bytes begin with what waits for the lane that is farthest behind.
        let readable_bytes = waiting_bytes.iter().copied().max().unwrap_or(0);
        let anchors =
            cursors.sealed.iter().zip(&waiting_bytes).map(|(sealed, waiting)| (*sealed, readable_bytes - waiting));
        let log = Arc::new(Self {
            anchors: Mutex::new(anchors.collect()),
            held: AtomicU64::new(u64::MAX),
            writer: Mutex::new(Writer::new(synced_last, last_arrival_ms, next_segment_id, appendable)),
            queue: Mutex::default(),
            segments: Mutex::new(segments),
            progress: watch::channel(Readable { records: synced_last, bytes: readable_bytes, ended: false }).0,
            context,
            account,
            dir,
            incarnation,
            pool,
        });
        log.release(|| cursors.closed);
        Ok(log)
    }

    /// What lies at or below record `number` on the scale of [`StreamLog::progress`]; known of the cursors that stood
    /// when the log was opened, and of those begun with a [`Hold`]. Bytes of others are shown as none.
    pub fn upto(&self, number: u64) -> Tally {
        Tally { records: number, bytes: self.anchors.lock().get(&number).copied().unwrap_or(0) }
    }

    /// Keeps what comes from now on, for a lane that begins here. One hold at a time.
    pub fn hold(self: &Arc<Self>) -> Hold {
        let _segments = self.segments.lock();
        let Readable { records, bytes, .. } = *self.progress.borrow();
        self.held.store(records, Ordering::Relaxed);
        self.anchors.lock().insert(records, bytes);
        Hold { log: self.clone(), number: records }
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
