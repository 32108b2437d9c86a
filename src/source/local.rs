//! The Direct PUT source: the node's own logs, opened when first needed, closed when idle.
//!
//! [`Logs`] is shared with `ingest`, which appends to what is read here.

use super::{Lane, RunReader};
use crate::log::recovery::RecoveryError;
use crate::log::{CommitPool, Extent, LogContext, LogReader, StreamLog};
use crate::record::{Chunk, ParcelBytes, Readable};
use crate::stream::position::Run;
use crate::stream::seal::LaneId;
use crate::stream::{Incarnation, Position};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Where a stream's durable cursors stand, for recovery.
pub trait Cursors: Send + Sync + Debug {
    /// (closed, sealed) record numbers of a Direct PUT lane; zeros for a new one.
    fn closed_and_sealed(&self, lane: &LaneId) -> (u64, u64);
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
}

impl Logs {
    /// Logs under `streams_dir/<incarnation>/log`.
    pub fn new(
        context: LogContext,
        pool: Arc<CommitPool>,
        streams_dir: PathBuf,
        cursors: Arc<dyn Cursors>,
    ) -> Arc<Self> {
        Arc::new(Self { context, pool, streams_dir, cursors, open: RwLock::default(), opening: Mutex::default() })
    }

    /// The log of a stream, if it is open already. Never blocks for long.
    pub fn opened(&self, incarnation: Incarnation) -> Option<Arc<StreamLog>> {
        self.open.read().get(&incarnation).cloned()
    }

    /// The log of a stream, recovered and opened if need be. Blocks; a second caller waits for the first.
    pub fn open_blocking(&self, incarnation: Incarnation) -> Result<Arc<StreamLog>, RecoveryError> {
        let forgotten = self.opening.lock();
        if forgotten.contains(&incarnation) {
            let error = io::Error::new(io::ErrorKind::NotFound, "the stream is deleted");
            return Err(RecoveryError::Io { dir: self.streams_dir.join(incarnation.to_string()), error });
        }
        if let Some(log) = self.opened(incarnation) {
            return Ok(log);
        }
        let (closed, sealed) = self.cursors.closed_and_sealed(&LaneId::direct_put(incarnation));
        let dir = self.streams_dir.join(incarnation.to_string()).join("log");
        let log = StreamLog::open(self.context.clone(), self.pool.clone(), dir, incarnation, closed, sealed)?;
        self.open.write().insert(incarnation, log.clone());
        Ok(log)
    }

    /// As [`Logs::open_blocking`], off the async threads.
    pub async fn get(self: &Arc<Self>, incarnation: Incarnation) -> Result<Arc<StreamLog>, RecoveryError> {
        if let Some(log) = self.opened(incarnation) {
            return Ok(log);
        }
        let logs = self.clone();
        match tokio::task::spawn_blocking(move || logs.open_blocking(incarnation)).await {
            Ok(opened) => opened,
            Err(died) => Err(RecoveryError::Io {
                dir: self.streams_dir.clone(),
                error: io::Error::other(format!("recovery died: {died}")),
            }),
        }
    }

    /// Forgets a deleted stream's log. Its files are the caller's to remove.
    pub fn forget(&self, incarnation: Incarnation) -> Option<Arc<StreamLog>> {
        self.opening.lock().insert(incarnation);
        self.open.write().remove(&incarnation)
    }

    /// Closes the files of logs not written to for `idle`, and lets go of what is closed in them. Blocks.
    pub fn close_idle(&self, idle: Duration) {
        let logs: Vec<_> = self.open.read().iter().map(|(id, log)| (*id, log.clone())).collect();
        for (incarnation, log) in logs {
            if log.close_if_idle(idle) {
                let (closed, _) = self.cursors.closed_and_sealed(&LaneId::direct_put(incarnation));
                log.release(closed);
            }
        }
    }
}

/// A Direct PUT log as a lane.
#[derive(Debug)]
pub struct LocalLane {
    id: LaneId,
    log: Arc<StreamLog>,
    readable: watch::Receiver<Readable>,
}

impl LocalLane {
    /// The lane of an open log.
    pub fn new(log: Arc<StreamLog>, incarnation: Incarnation) -> Self {
        Self { id: LaneId::direct_put(incarnation), readable: log.progress(), log }
    }
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

    fn release(&self, closed: &Position) {
        if let Some(closed) = closed.number() {
            self.log.release(closed);
        }
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
