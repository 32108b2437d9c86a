//! The Direct PUT source: the node's own logs, opened when first needed, closed when idle.
//!
//! [`Logs`] is shared with `ingest`, which appends to what is read here.

use super::{Lane, RunReader};
use crate::log::recovery::RecoveryError;
use crate::log::{CommitPool, Extent, LogContext, LogCursors, LogReader, StreamLog};
use crate::record::{Chunk, ParcelBytes, Readable};
use crate::stream::position::Run;
use crate::stream::seal::{LaneId, Tally};
use crate::stream::{Incarnation, Position};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Where a stream's durable cursors stand, for recovery and for what may be forgotten.
pub trait Cursors: Send + Sync + Debug {
    /// Those of the stream's lane and, where it has begun, its source backup's; zeros for a new one.
    fn of_log(&self, incarnation: Incarnation) -> LogCursors;
}

/// All Direct PUT logs of the node.
#[derive(Debug)]
pub struct Logs {
    context: LogContext,
    pool: Arc<CommitPool>,
    streams_dir: PathBuf,
    cursors: Arc<dyn Cursors>,
    open: RwLock<HashMap<Incarnation, Arc<StreamLog>>>,
    /// Held over a recovery, so that no log is recovered twice at once. Never taken on the put path. Holds the
    /// streams that were deleted: a put that found the stream a moment before must not make its log again.
    opening: Mutex<HashSet<Incarnation>>,
    /// Why the last attempt to open a log failed. Puts are told so at once: they must not recover a damaged log again
    /// and again.
    failed: RwLock<HashMap<Incarnation, String>>,
}

impl Logs {
    /// Logs under `streams_dir/<incarnation>/log`.
    pub fn new(
        context: LogContext,
        pool: Arc<CommitPool>,
        streams_dir: PathBuf,
        cursors: Arc<dyn Cursors>,
    ) -> Arc<Self> {
        Arc::new(Self {
            context,
            pool,
            streams_dir,
            cursors,
            open: RwLock::default(),
            opening: Mutex::default(),
            failed: RwLock::default(),
        })
    }

    /// The log of a stream, if it is open already. Never blocks for long.
    pub fn opened(&self, incarnation: Incarnation) -> Option<Arc<StreamLog>> {
        self.open.read().get(&incarnation).cloned()
    }

    /// The log of a stream, recovered and opened if need be. Blocks; a second caller waits for the first.
    pub fn open_blocking(&self, incarnation: Incarnation) -> Result<Arc<StreamLog>, RecoveryError> {
        let forgotten = self.opening.lock();
        if forgotten.contains(&incarnation) {
            return Err(RecoveryError::Failed("the stream is deleted".to_owned()));
        }
        if let Some(log) = self.opened(incarnation) {
            return Ok(log);
        }
        let cursors = self.cursors.of_log(incarnation);
        let dir = self.streams_dir.join(incarnation.to_string()).join("log");
        let log = StreamLog::open(self.context.clone(), self.pool.clone(), dir, incarnation, &cursors);
        match &log {
            Ok(log) => {
                self.open.write().insert(incarnation, log.clone());
                self.failed.write().remove(&incarnation);
            }
            Err(error) => drop(self.failed.write().insert(incarnation, error.to_string())),
        }
        log
    }

    /// The log of a stream for whoever puts. One that could not be opened stays so until [`Logs::open_again`] succeeds.
    pub async fn get(self: &Arc<Self>, incarnation: Incarnation) -> Result<Arc<StreamLog>, RecoveryError> {
        if let Some(log) = self.opened(incarnation) {
            return Ok(log);
        }
        if let Some(reason) = self.failed.read().get(&incarnation) {
            return Err(RecoveryError::Failed(reason.clone()));
        }
        self.open_again(incarnation).await
    }

    /// As [`Logs::open_blocking`], off the async threads.
    pub async fn open_again(self: &Arc<Self>, incarnation: Incarnation) -> Result<Arc<StreamLog>, RecoveryError> {
        let logs = self.clone();
        match tokio::task::spawn_blocking(move || logs.open_blocking(incarnation)).await {
            Ok(opened) => opened,
            Err(died) => {
                let reason = format!("the recovery of the log died: {died}");
                self.failed.write().insert(incarnation, reason.clone());
                Err(RecoveryError::Failed(reason))
            }
        }
    }

    /// An open log as the lane `id`.
    pub fn lane(&self, log: Arc<StreamLog>, id: LaneId) -> LocalLane {
        LocalLane { id, readable: log.progress(), log, cursors: self.cursors.clone() }
    }

    /// Forgets a deleted stream's log. Its files are the caller's to remove.
    pub fn forget(&self, incarnation: Incarnation) -> Option<Arc<StreamLog>> {
        self.opening.lock().insert(incarnation);
        self.failed.write().remove(&incarnation);
        self.open.write().remove(&incarnation)
    }

    /// Closes the files of logs not written to for `idle`, and lets go of what is closed in all: what is kept for replay
    /// gets too old, and goes when room gets short, whether or not anything is closed meanwhile. Blocks.
    pub fn close_idle(&self, idle: Duration) {
        let logs: Vec<_> = self.open.read().iter().map(|(id, log)| (*id, log.clone())).collect();
        for (incarnation, log) in logs {
            log.close_if_idle(idle);
            log.release(|| self.cursors.of_log(incarnation).closed);
        }
    }
}

/// A Direct PUT log as a lane.
#[derive(Debug)]
pub struct LocalLane {
    id: LaneId,
    log: Arc<StreamLog>,
    readable: watch::Receiver<Readable>,
    cursors: Arc<dyn Cursors>,
}

fn number(position: &Position) -> io::Result<u64> {
    position.number().ok_or_else(|| io::Error::other(format!("position {position} is not one of a Direct PUT log")))
}

impl Lane for LocalLane {
    fn id(&self) -> &LaneId {
        &self.id
    }

    fn readable(&self) -> watch::Receiver<Readable> {
        self.readable.clone()
    }

    fn consumed(&self, sealed: &Position) -> Tally {
        self.log.upto(sealed.number().unwrap_or(0))
    }

    fn reader(&self, from: &Position, to: Option<&Position>) -> io::Result<Box<dyn RunReader>> {
        let to = to.map(number).transpose()?.unwrap_or(u64::MAX);
        Ok(Box::new(LocalReader { reader: self.log.reader(number(from)?, to), log: self.log.clone() }))
    }

    fn joined(&self, run: &Run) -> io::Result<Arc<dyn ParcelBytes>> {
        let mut reader = self.log.reader(number(&run.from)?, number(&run.to)?);
        while reader.next_chunk(u64::MAX, u64::MAX)?.is_some() {}
        let extents = reader.extents().ok_or_else(|| io::Error::other("the run lies in too many places"))?;
        Ok(Arc::new(LogRange::new(self.log.clone(), extents)))
    }

    fn release(&self) {
        self.log.release(|| self.cursors.of_log(self.id.incarnation).closed);
    }

    fn refuse_appends(&self) {
        self.log.refuse_appends();
    }
}

struct LocalReader {
    reader: LogReader,
    log: Arc<StreamLog>,
}

/// Mean length of a range below which a parcel is better written than read from so many places.
const WORTH_WHILE_BYTES: u64 = 4096;

impl RunReader for LocalReader {
    fn next_chunk(&mut self, max_bytes: u64, max_records: u64) -> io::Result<Option<Chunk>> {
        self.reader.next_chunk(max_bytes, max_records)
    }

    fn last(&self) -> Position {
        match self.reader.last() {
            0 => Position::start(),
            last => Position::from_number(last),
        }
    }

    fn joined(&self) -> Option<Arc<dyn ParcelBytes>> {
        let range = LogRange::new(self.log.clone(), self.reader.extents()?);
        (range.length_bytes / (range.extents.len() as u64).max(1) >= WORTH_WHILE_BYTES)
            .then(|| Arc::new(range) as Arc<dyn ParcelBytes>)
    }

    fn again(&self) -> io::Result<Box<dyn RunReader>> {
        let reader = self.log.reader(self.reader.base(), self.reader.last());
        Ok(Box::new(LocalReader { reader, log: self.log.clone() }))
    }
}

/// A run's records back to back, as they lie in the log.
#[derive(Debug)]
struct LogRange {
    log: Arc<StreamLog>,
    /// (offset in the whole, where it lies), ascending.
    extents: Vec<(u64, Extent)>,
    length_bytes: u64,
}

impl LogRange {
    fn new(log: Arc<StreamLog>, extents: &[Extent]) -> Self {
        let mut at = 0;
        let extents = extents
            .iter()
            .map(|extent| {
                let placed = (at, *extent);
                at += extent.len_bytes;
                placed
            })
            .collect();
        Self { log, extents, length_bytes: at }
    }
}

impl ParcelBytes for LogRange {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let mut i = self.extents.partition_point(|(at, _)| *at <= offset_bytes).saturating_sub(1);
        let mut offset_bytes = offset_bytes;
        let mut rest = buffer;
        let mut open = None;
        while !rest.is_empty() {
            let Some((at, extent)) = self.extents.get(i) else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read behind the end of a parcel"));
            };
            let skip = offset_bytes - at;
            let len = (extent.len_bytes - skip).min(rest.len() as u64) as usize;
            let file = match open.take() {
                Some((id, file)) if id == extent.segment_id => file,
                _ => self.log.open_segment(extent.segment_id)?,
            };
            let (now, later) = rest.split_at_mut(len);
            file.read_exact_at(now, extent.offset_bytes + skip)?;
            open = Some((extent.segment_id, file));
            rest = later;
            offset_bytes += len as u64;
            i += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::disk::faulty::FaultyDisk;
    use crate::disk::{Disk, DiskBudget};
    use crate::log::{FrameBody, LogOptions};
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Closed(AtomicU64);

    impl Cursors for Closed {
        fn of_log(&self, _incarnation: Incarnation) -> LogCursors {
            let closed = self.0.load(Ordering::Relaxed);
            LogCursors::one(closed, closed)
        }
    }

    fn logs(disk: &FaultyDisk, budget: DiskBudget, closed: Arc<Closed>) -> Arc<Logs> {
        let context = LogContext {
            disk: Arc::new(disk.clone()),
            budget: Arc::new(budget),
            clock: Arc::new(SystemClock::new()),
            options: LogOptions { segment_bytes: 300, retention_ms: u64::MAX, ..LogOptions::default() },
        };
        Logs::new(context, CommitPool::start(1).unwrap(), "/streams".into(), closed)
    }

    fn body(length: usize) -> FrameBody {
        FrameBody { lengths: vec![length as u32], payload: vec![b'x'; length], extensions: Vec::new() }
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_recovered_is_not_tried_again_for_each_put() {
        let (disk, id) = (FaultyDisk::new(), Incarnation::random());
        let log = logs(&disk, DiskBudget::unlimited(), Arc::default()).get(id).await.unwrap();
        log.append(body(10)).await.unwrap();
        log.append(body(10)).await.unwrap();
        let dir = Path::new("/streams").join(id.to_string()).join("log");
        let path = dir.join(&disk.list(&dir).unwrap()[0].name);
        let flip = |bits: u8| {
            let file = disk.open(&path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, 70).unwrap();
            file.write_all_at(&[&[byte[0] ^ bits]], 70).unwrap();
        };
        flip(1);
        let logs = logs(&disk, DiskBudget::unlimited(), Arc::default());
        let first = logs.get(id).await.unwrap_err();
        assert!(matches!(first, RecoveryError::Damaged { .. }), "{first}");
        flip(1);
        // Not even looked at, though it could be read now.
        let second = logs.get(id).await.unwrap_err();
        assert_eq!(second.to_string(), first.to_string());
        logs.open_again(id).await.unwrap();
        assert_eq!(logs.get(id).await.unwrap().synced_last(), 2);
    }

    #[tokio::test]
    async fn closed_data_goes_when_room_is_short_though_nothing_more_is_closed() {
        let (disk, id, closed) = (FaultyDisk::new(), Incarnation::random(), Arc::new(Closed::default()));
        let logs = logs(&disk, DiskBudget::new(10_000, 0), closed.clone());
        let log = logs.get(id).await.unwrap();
        while log.append(body(200)).await.is_ok() {}
        // In use all the time; closed, though kept for ever were there room for ever.
        logs.close_idle(Duration::from_secs(3600));
        assert!(log.append(body(200)).await.is_err());
        closed.0.store(10, Ordering::Relaxed);
        logs.close_idle(Duration::from_secs(3600));
        log.append(body(200)).await.unwrap();
    }
}
