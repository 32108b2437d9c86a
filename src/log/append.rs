//! Group commit: requests queue, one commit writes all that wait and syncs once, and only then answers them.

use super::StreamLog;
use super::frame::{Assigned, EncodedBody, FrameBody};
use super::segment::{self, Segment, SegmentHeader};
use crate::disk::{DiskFile, Purpose, Unwritten};
use crate::failpoint;
use crate::fault::{Class, Fault, Retry};
use crate::stream::Incarnation;
use crate::telemetry::metrics;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Frames smaller than this are gathered into one write.
const GATHER_BELOW_BYTES: usize = 16 * 1024;
/// Most bytes of one commit, so that a long queue does not delay its first request.
const COMMIT_BYTES: u64 = 32 << 20;

/// The numbers given to the records of a request; durable when returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Number of the first record.
    pub first: u64,
    /// Number of the last record.
    pub last: u64,
}

/// Why a request was not taken. Nothing of it will be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Disk, disk budget or queue is full; the producer is to slow down.
    #[error("no room for more records: {0}; the producer is throttled until deliveries or the operator make room")]
    NoRoom(String),
    /// The stream is being deleted or the service stops.
    #[error("the stream takes no more records")]
    Refusing,
    /// The disk failed.
    #[error("the records could not be made durable: {0}")]
    Io(String),
}

impl Fault for AppendError {
    fn class(&self) -> Class {
        match self {
            Self::NoRoom(_) | Self::Io(_) => Class::Upstream,
            Self::Refusing => Class::User,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NoRoom(_) | Self::Io(_) => Retry::Backoff,
            Self::Refusing => Retry::Never,
        }
    }
}

/// Requests that wait for the next commit.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    waiting_bytes: u64,
    /// A commit is on its way and will take what is here.
    scheduled: bool,
    refusing: bool,
}

#[derive(Debug)]
struct Waiting {
    body: EncodedBody,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
    _unwritten: Unwritten,
}

/// The write end of a log.
#[derive(Debug)]
pub(super) struct Writer {
    synced_last: u64,
    last_arrival_ms: i64,
    next_segment_id: u64,
    /// The segment that may be appended to, if any.
    current: Option<Current>,
    /// A segment left by recovery or idle closing that may be opened again.
    appendable: Option<u64>,
    last_used: Duration,
}

#[derive(Debug)]
struct Current {
    id: u64,
    file: Arc<dyn DiskFile>,
    end_bytes: u64,
}

impl Writer {
    pub(super) fn new(synced_last: u64, last_arrival_ms: i64, next_segment_id: u64, appendable: Option<u64>) -> Self {
        Self { synced_last, last_arrival_ms, next_segment_id, current: None, appendable, last_used: Duration::ZERO }
    }

    /// The segment being written, or that will be.
    pub(super) fn active_id(&self) -> Option<u64> {
        self.current.as_ref().map(|c| c.id).or(self.appendable)
    }

    /// Whether a file is open for writing.
    pub(super) fn has_open_file(&self) -> bool {
        self.current.is_some()
    }

    /// Forgets the active segment: the next append starts a new one.
    pub(super) fn leave_active(&mut self) {
        self.current = None;
        self.appendable = None;
    }
}

impl StreamLog {
    /// Appends the records of one request. `Ok` means they are on stable storage.
    pub async fn append(self: &Arc<Self>, body: FrameBody) -> Result<Appended, AppendError> {
        let body = EncodedBody::new(body);
        let bytes = body.frame_bytes();
        self.account.take(bytes, Purpose::Ingest).map_err(|over| AppendError::NoRoom(over.to_string()))?;
        let unwritten = self.account.unwritten(bytes);
        let (answer, answered) = oneshot::channel();
        let schedule = {
            let mut queue = self.queue.lock();
            let refusal = if queue.refusing {
                Some(AppendError::Refusing)
            } else if queue.waiting_bytes.saturating_add(bytes) > self.context.options.queue_bytes {
                Some(AppendError::NoRoom("too many bytes wait to be synced".to_owned()))
            } else {
                None
            };
            if let Some(refusal) = refusal {
                drop(queue);
                self.account.give_back(bytes);
                return Err(refusal);
            }
            queue.waiting_bytes += bytes;
            queue.waiting.push_back(Waiting { body, answer, _unwritten: unwritten });
            !std::mem::replace(&mut queue.scheduled, true)
        };
        if schedule {
            self.pool.schedule(self.clone());
        }
        answered.await.unwrap_or(Err(AppendError::Refusing))
    }

    /// Takes no more requests; those that wait are still committed. Once they are, the log reads as ended.
    pub fn refuse_appends(&self) {
        let mut queue = self.queue.lock();
        queue.refusing = true;
        if !queue.scheduled && queue.waiting.is_empty() {
            self.progress.send_modify(|progress| progress.ended = true);
        }
    }

    /// A commit panicked: nothing is known of the write end, so the log ends here. Who waits is told no.
    pub(super) fn commit_died(&self) {
        let mut queue = self.queue.lock();
        queue.refusing = true;
        queue.scheduled = false;
        for waiting in queue.waiting.drain(..) {
            self.account.give_back(waiting.body.frame_bytes());
        }
        queue.waiting_bytes = 0;
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// Writes and syncs what waits, then answers. Called by the commit pool; returns whether more waits already.
    pub(super) fn commit(&self) -> bool {
        let mut writer = self.writer.lock();
        let batch = self.take_batch();
        if !batch.is_empty() {
            let bytes: u64 = batch.iter().map(|w| w.body.frame_bytes()).sum();
            match self.write_and_sync(&mut writer, &batch) {
                Ok(first) => {
                    drop(writer);
                    answer_all(batch, first);
                }
                Err(error) => {
                    // Rule D8: the segment ends at its synced end and is never synced again.
                    let left_bytes = self.abandon(&mut writer);
                    drop(writer);
                    metrics::log_sync_failed();
                    self.account.give_back(bytes.saturating_sub(left_bytes));
                    tracing::error!(log = %self.dir.display(), %error, "append failed; the segment is abandoned");
                    let error = append_error(&error);
                    for waiting in batch {
                        let _ = waiting.answer.send(Err(error.clone()));
                    }
                }
            }
        }
        let mut queue = self.queue.lock();
        queue.scheduled = !queue.waiting.is_empty();
        if queue.refusing && !queue.scheduled {
            self.progress.send_modify(|progress| progress.ended = true);
        }
        queue.scheduled
    }

    /// Leaves the segment of a failed commit at its synced end, or takes it away if it holds nothing else. Returns how
    /// many of the commit's bytes stay in its file.
    fn abandon(&self, writer: &mut Writer) -> u64 {
        let current = writer.current.take();
        writer.leave_active();
        let Some(current) = current else { return 0 };
        let mut segments = self.segments.lock();
        let Some(at) = segments.iter().position(|s| s.id == current.id) else { return 0 };
        let segment = &mut segments[at];
        if segment.last < segment.first {
            let path = self.dir.join(segment::file_name(segment.id, segment.first));
            // One that a power cut brings back says nothing that its successor does not.
            if self.context.disk.remove_file(&path).is_ok() {
                self.account.give_back(segment.end_bytes);
                segments.remove(at);
                return 0;
            }
        }
        let file_bytes = current.file.len_bytes().unwrap_or(current.end_bytes);
        segment.tail_bytes = file_bytes.saturating_sub(current.end_bytes);
        segment.tail_bytes
    }

    fn take_batch(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        let mut batch = Vec::with_capacity(queue.waiting.len());
        let mut bytes = 0;
        while let Some(next) = queue.waiting.pop_front() {
            bytes += next.body.frame_bytes();
            batch.push(next);
            if bytes >= COMMIT_BYTES {
                break;
            }
        }
        queue.waiting_bytes -= bytes;
        batch
    }

    /// Returns the number of the batch's first record.
    fn write_and_sync(&self, writer: &mut Writer, batch: &[Waiting]) -> io::Result<u64> {
        writer.last_used = self.context.clock.monotonic();
        let arrival_ms = self.context.clock.wall_ms().max(writer.last_arrival_ms);
        self.ensure_segment(writer, arrival_ms)?;
        let synced_last = writer.synced_last;
        let Some(current) = &mut writer.current else { return Err(io::Error::other("no segment is open")) };

        let first = synced_last + 1;
        let mut next = first;
        let mut offset_bytes = current.end_bytes;
        let mut placed = Vec::with_capacity(batch.len());
        let mut gathered: Vec<u8> = Vec::new();
        let mut gathered_at = offset_bytes;
        let mut record_bytes = 0;
        for waiting in batch {
            let body = &waiting.body;
            let assigned = Assigned { segment_id: current.id, first: next, arrival_ms, synced_last };
            placed.push((next, offset_bytes));
            gathered.extend_from_slice(&body.header(&assigned, self.incarnation));
            let [table, payload] = body.parts();
            gathered.extend_from_slice(table);
            if payload.len() < GATHER_BELOW_BYTES {
                gathered.extend_from_slice(payload);
            } else {
                current.file.write_all_at(&[&gathered, payload], gathered_at)?;
                gathered_at += (gathered.len() + payload.len()) as u64;
                gathered.clear();
            }
            if failpoint::fires(failpoint::TORN_TAIL) {
                let half = body.frame_bytes() / 2;
                tear(current.file.as_ref(), offset_bytes, half, body, &assigned, self.incarnation);
            }
            next += u64::from(body.record_count());
            offset_bytes += body.frame_bytes();
            record_bytes += body.payload_bytes();
        }
        if !gathered.is_empty() {
            current.file.write_all_at(&[&gathered], gathered_at)?;
        }
        failpoint::crash_at(failpoint::BEFORE_FSYNC);
        if failpoint::fires(failpoint::FSYNC_FAILED) {
            return Err(io::Error::other("the sync failed (failpoint)"));
        }
        let started = self.context.clock.monotonic();
        current.file.sync_data()?;
        metrics::log_synced(self.context.clock.monotonic().saturating_sub(started));
        metrics::log_written(offset_bytes - current.end_bytes);

        current.end_bytes = offset_bytes;
        writer.synced_last = next - 1;
        writer.last_arrival_ms = arrival_ms;
        self.publish(current.id, &placed, next - 1, offset_bytes, arrival_ms);
        // ORDER: durable, then visible to readers, then answered.
        self.progress.send_modify(|progress| {
            progress.records = next - 1;
            progress.bytes += record_bytes;
        });
        failpoint::crash_at(failpoint::AFTER_FSYNC_BEFORE_ACK);
        Ok(first)
    }

    fn publish(&self, id: u64, placed: &[(u64, u64)], last: u64, end_bytes: u64, arrival_ms: i64) {
        let mut segments = self.segments.lock();
        if let Some(segment) = segments.iter_mut().rev().find(|s| s.id == id) {
            for (first, offset) in placed {
                segment.note_frame(*first, *offset);
            }
            segment.last = last;
            segment.end_bytes = end_bytes;
            segment.newest_arrival_ms = arrival_ms;
        }
    }

    /// Makes sure a segment with room is open: the current one, the one left by recovery or idling, or a new one.
    fn ensure_segment(&self, writer: &mut Writer, now_ms: i64) -> io::Result<()> {
        if let Some(current) = &writer.current
            && current.end_bytes >= self.context.options.segment_bytes
        {
            writer.leave_active();
        }
        if writer.current.is_some() {
            return Ok(());
        }
        if let Some(id) = writer.appendable.take() {
            let known = self.segments.lock().iter().find(|s| s.id == id).map(|s| (s.first, s.end_bytes));
            if let Some((first, end_bytes)) = known
                && end_bytes < self.context.options.segment_bytes
            {
                let file = self.context.disk.open(&self.dir.join(segment::file_name(id, first)))?;
                writer.current = Some(Current { id, file, end_bytes });
                return Ok(());
            }
        }
        let id = writer.next_segment_id;
        // Used up even when the attempt fails, so that no id ever names two files.
        writer.next_segment_id += 1;
        let first = writer.synced_last + 1;
        let path = self.dir.join(segment::file_name(id, first));
        let header = SegmentHeader { id, incarnation: self.incarnation, first, created_ms: now_ms };
        let file = self.context.disk.create_new(&path)?;
        let made = file
            .write_all_at(&[&header.encode()], 0)
            // ORDER: header, then folder entry, then the first frame: a frame proves its header.
            .and_then(|()| file.sync_data())
            .and_then(|()| self.context.disk.sync_dir(&self.dir));
        if let Err(error) = made {
            let _ = self.context.disk.remove_file(&path);
            return Err(error);
        }
        self.account.add(segment::HEADER_BYTES);
        self.segments.lock().push(Segment {
            id,
            first,
            last: first - 1,
            end_bytes: segment::HEADER_BYTES,
            tail_bytes: 0,
            created_ms: now_ms,
            newest_arrival_ms: now_ms,
            index: Vec::new(),
        });
        writer.current = Some(Current { id, file, end_bytes: segment::HEADER_BYTES });
        failpoint::crash_at(failpoint::AFTER_ROLL);
        Ok(())
    }

    /// Closes the open file of a log that was not written to for `idle`. Returns whether it holds none now.
    pub fn close_if_idle(&self, idle: Duration) -> bool {
        let Some(mut writer) = self.writer.try_lock() else { return false };
        if self.context.clock.monotonic().saturating_sub(writer.last_used) < idle {
            return false;
        }
        if let Some(current) = writer.current.take() {
            writer.appendable = Some(current.id);
        }
        true
    }
}

fn answer_all(batch: Vec<Waiting>, first: u64) {
    let mut next = first;
    for waiting in batch {
        let count = u64::from(waiting.body.record_count());
        // A producer that went away has no use for the answer; its records stay.
        let _ = waiting.answer.send(Ok(Appended { first: next, last: next + count - 1 }));
        next += count;
    }
}

fn append_error(error: &io::Error) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::NoRoom("the disk is full".to_owned()),
        _ => AppendError::Io(error.to_string()),
    }
}

/// Leaves half of a frame in the file and dies: what a crash in the middle of a write leaves.
fn tear(file: &dyn DiskFile, offset_bytes: u64, half: u64, body: &EncodedBody, assigned: &Assigned, log: Incarnation) {
    let [table, payload] = body.parts();
    let mut whole = body.header(assigned, log).to_vec();
    whole.extend_from_slice(table);
    whole.extend_from_slice(payload);
    let kept = half as usize;
    whole[kept..].fill(0);
    let _ = file.write_all_at(&[&whole], offset_bytes);
    failpoint::die(failpoint::TORN_TAIL);
}
