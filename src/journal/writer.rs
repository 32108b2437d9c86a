//! The one writer: recovers the journal, appends batches with one sync each, rolls segments.
//!
//! From: `mod` calls it on the writer's thread. Invariants:
//! - An entry is in the published state only after the sync that followed its write.
//! - Nothing is acknowledged in a segment while a newer one may exist: a newer one with a complete snapshot supersedes
//!   it. So a segment that could not be begun is removed durably, or the older one is abandoned as well.
//! - A file that failed a write or a sync is not written or synced again; the next batch begins a new segment with a
//!   snapshot of the published, acknowledged state.

use super::codec::{Envelope, LaneBase, Payload, SnapshotEnd, Unreadable};
use super::error::JournalError;
use super::recovery::{Damage, Verdict, judge};
use super::segment::{self, FOUNDING, ScanError, SegmentName, append, encode_header};
use super::state::{Draft, Extent, State, check_inline};
use crate::disk::{Disk, DiskBudget, DiskFile, create_dir_durable};
use crate::stream::Id128;
use crate::telemetry::metrics;
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Bytes gathered before a write.
const WRITE_BYTES: usize = 1 << 20;

/// One answer for each entry of a batch, in order.
pub type Answers = Vec<Result<(), JournalError>>;

/// How the journal behaves.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// A segment longer than this, and than four times its snapshot, is followed by a new one.
    pub roll_bytes: u64,
    /// Counts the journal's bytes.
    pub budget: Option<Arc<DiskBudget>>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { roll_bytes: 64 << 20, budget: None }
    }
}

/// What is acknowledged, and the file in which its inline bytes lie.
#[derive(Debug, Default)]
pub struct Published {
    /// All lanes.
    pub state: State,
    /// The segment that the extents in `state` refer to.
    pub file: Option<Arc<dyn DiskFile>>,
}

/// See the module.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: JournalOptions,
    published: Arc<RwLock<Published>>,
    active: Option<Active>,
    last_id: u64,
    next_number: u64,
    synced_upto: u64,
    counted_bytes: u64,
}

/// The segment that takes entries.
#[derive(Debug)]
struct Active {
    file: Arc<dyn DiskFile>,
    name: SegmentName,
    end_bytes: u64,
    roll_at_bytes: u64,
}

impl Writer {
    /// Recovers what `dir` holds and begins a new segment with it.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, options: JournalOptions) -> Result<Self, JournalError> {
        create_dir_durable(&*disk, &dir).map_err(|e| JournalError::io("create", &dir, &e))?;
        let names = segments(&*disk, &dir)?;
        let mut writer = Self {
            disk,
            options,
            published: Arc::default(),
            active: None,
            last_id: FOUNDING - 1,
            next_number: 1,
            synced_upto: 0,
            counted_bytes: 0,
            dir,
        };
        let mut outlines = Vec::new();
        for name in names.iter().rev() {
            let (outline, published) = read_segment(&*writer.disk, &writer.dir, *name)?;
            writer.next_number = writer.next_number.max(outline.next_number.unwrap_or(0));
            let complete = outline.complete;
            outlines.push(outline);
            if complete {
                *writer.published.write() = published;
                break;
            }
        }
        let damaged = |Damage { name, offset_bytes, reason }: Damage| JournalError::Damaged {
            path: writer.path(name),
            offset_bytes,
            reason,
        };
        if let Verdict::GoOn { index, synced_upto } = judge(&outlines).map_err(damaged)? {
            writer.last_id = names.last().map_or(FOUNDING, |newest| newest.id);
            writer.synced_upto = synced_upto;
            let used = &outlines[index];
            if let Some(bad) = used.bad {
                let path = writer.path(used.name);
                tracing::warn!(path = %path.display(), offset_bytes = used.end_bytes, reason = bad.0,
                    "the journal's torn tail, never acknowledged, is cut off");
            }
        }
        writer.begin_segment().map_err(|unbegun| unbegun.error)?;
        Ok(writer)
    }

    /// What is acknowledged, shared with readers.
    pub fn published(&self) -> Arc<RwLock<Published>> {
        Arc::clone(&self.published)
    }

    /// Stores a batch in order with one sync. Each entry has its own answer; `Ok` means durable and published.
    pub fn commit(&mut self, batch: &[(Payload, Vec<u8>)]) -> Answers {
        if self.active.is_none()
            && let Err(unbegun) = self.begin_segment()
        {
            return vec![Err(unbegun.error); batch.len()];
        }
        // ORDER: written, synced, published; the answers leave after that.
        let mut draft = Draft::default();
        match self.write_and_sync(batch, &mut draft) {
            Ok(answers) => {
                self.synced_upto = self.next_number - 1;
                self.published.write().state.adopt(draft);
                answers
            }
            Err((error, mut answers)) => {
                tracing::error!(%error, "the journal abandons a segment");
                self.active = None;
                for answer in &mut answers {
                    if answer.is_ok() {
                        *answer = Err(error.clone());
                    }
                }
                answers.resize(batch.len(), Err(error));
                answers
            }
        }
    }

    /// Work that nobody waits for: begins a new segment when the current one is long.
    pub fn maintain(&mut self) {
        let Some(active) = self.active.as_mut().filter(|active| active.end_bytes > active.roll_at_bytes) else {
            return;
        };
        // If the new one cannot be begun now, the current one serves for a while longer.
        active.roll_at_bytes = active.end_bytes + self.options.roll_bytes / 4;
        if let Err(unbegun) = self.begin_segment() {
            tracing::warn!(error = %unbegun.error, "the journal cannot begin a new segment");
            if !unbegun.surely_gone {
                self.active = None;
            }
        }
    }

    /// Answers given so far come with an error, so that refused entries keep their own reason.
    fn write_and_sync(
        &mut self,
        batch: &[(Payload, Vec<u8>)],
        draft: &mut Draft,
    ) -> Result<Answers, (JournalError, Answers)> {
        let mut answers = Vec::with_capacity(batch.len());
        let Some(active) = &mut self.active else { return Err((JournalError::Stopped, answers)) };
        let path = self.dir.join(active.name.to_string());
        let mut out = Out { file: &*active.file, bytes: Vec::new(), offset_bytes: active.end_bytes };
        let published = self.published.read();
        let mut stored_any = false;
        for (payload, inline) in batch {
            let envelope = Envelope {
                nonce: active.name.nonce,
                number: self.next_number,
                synced_upto: self.synced_upto,
                in_snapshot: false,
            };
            let length_before = out.bytes.len();
            let stored = check_inline(payload, inline).map_err(JournalError::from).and_then(|()| {
                let extent = append(envelope, payload, inline, &mut out.bytes, out.offset_bytes)?;
                Ok(draft.apply(&published.state, payload, extent)?)
            });
            match stored {
                Ok(()) => {
                    self.next_number += 1;
                    stored_any = true;
                }
                Err(_) => out.bytes.truncate(length_before),
            }
            answers.push(stored);
            if out.bytes.len() >= WRITE_BYTES
                && let Err(error) = out.flush()
            {
                return Err((JournalError::io("write", &path, &error), answers));
            }
        }
        if !stored_any {
            return Ok(answers);
        }
        if let Err(error) = out.flush() {
            return Err((JournalError::io("write", &path, &error), answers));
        }
        let written_bytes = out.offset_bytes - active.end_bytes;
        active.end_bytes = out.offset_bytes;
        self.counted_bytes += written_bytes;
        if let Some(budget) = &self.options.budget {
            budget.add(written_bytes);
        }
        let started = Instant::now();
        match active.file.sync_data() {
            Ok(()) => {
                metrics::journal_synced(started.elapsed(), written_bytes);
                Ok(answers)
            }
            Err(error) => Err((JournalError::io("sync", &path, &error), answers)),
        }
    }

    /// Writes a new segment with a snapshot of the published state, makes it durable, goes on in it, and removes the
    /// older ones.
    fn begin_segment(&mut self) -> Result<(), Unbegun> {
        let mut nonce = [0; 8];
        nonce.copy_from_slice(&Id128::random().0[..8]);
        self.last_id += 1;
        let name = SegmentName { id: self.last_id, nonce: u64::from_le_bytes(nonce) };
        let path = self.path(name);
        let begun = self.write_snapshot(name, &path);
        let (active, published) = begun.map_err(|error| {
            let gone = match self.disk.remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
                _ => self.disk.sync_dir(&self.dir),
            };
            Unbegun { error, surely_gone: gone.is_ok() }
        })?;
        let before_bytes = std::mem::replace(&mut self.counted_bytes, active.end_bytes);
        *self.published.write() = published;
        self.active = Some(active);
        if let Some(budget) = &self.options.budget {
            budget.add(self.counted_bytes);
            budget.give_back(before_bytes);
        }
        self.remove_all_but(name);
        Ok(())
    }

    fn write_snapshot(&mut self, name: SegmentName, path: &Path) -> Result<(Active, Published), JournalError> {
        let io = |what| move |e: std::io::Error| JournalError::io(what, path, &e);
        let file = self.disk.create_new(path).map_err(io("create"))?;
        let first_number = self.next_number;
        let mut out = Out { file: &*file, bytes: encode_header(name, first_number).to_vec(), offset_bytes: 0 };
        let mut state = State::default();
        let published = self.published.read();
        let mut envelope =
            Envelope { nonce: name.nonce, number: first_number, synced_upto: self.synced_upto, in_snapshot: true };
        let mut put = |out: &mut Out<'_>, payload: Payload, inline: &[u8]| -> Result<(), JournalError> {
            let extent = append(envelope, &payload, inline, &mut out.bytes, out.offset_bytes)?;
            envelope.number += 1;
            if !matches!(payload, Payload::SnapshotEnd(_)) {
                state.apply(&payload, extent)?;
            }
            match out.bytes.len() {
                0..WRITE_BYTES => Ok(()),
                _ => out.flush().map_err(io("write")),
            }
        };
        let source = Source { file: published.file.as_deref(), dir: &self.dir };
        for (id, lane) in published.state.lanes() {
            let base = LaneBase {
                lane: id.clone(),
                closed: lane.closed.clone(),
                closed_number: lane.closed_number,
                ledger: lane.ledger,
                chunks: lane.chunks.base(),
            };
            put(&mut out, Payload::Lane(base), &[])?;
        }
        // Behind all bases: a seal may take from the chunks of another lane.
        for (_, lane) in published.state.lanes() {
            for open in &lane.open {
                put(&mut out, Payload::Seal(Arc::clone(&open.seal)), &source.inline(open.inline)?)?;
                for attempts in open.attempts.values() {
                    put(&mut out, Payload::Attempts(Arc::clone(attempts)), &[])?;
                }
                for (turn, inline) in &open.turns {
                    put(&mut out, Payload::Turn(Arc::clone(turn)), &source.inline(*inline)?)?;
                }
            }
        }
        let end = SnapshotEnd { lanes: published.state.lane_count(), open_seals: published.state.open_count() };
        put(&mut out, Payload::SnapshotEnd(end), &[])?;
        out.flush().map_err(io("write"))?;
        let end_bytes = out.offset_bytes;
        let number_after = envelope.number;
        drop(published);
        // ORDER: content, then its name, then anything is served or acknowledged from it.
        file.sync_data().map_err(io("sync"))?;
        self.disk.sync_dir(&self.dir).map_err(|e| JournalError::io("sync", &self.dir, &e))?;
        // Only now: were this segment given up, the older one would go on without a gap in its numbers.
        self.next_number = number_after;
        self.synced_upto = number_after - 1;
        let roll_at_bytes = self.options.roll_bytes.max(end_bytes.saturating_mul(4));
        Ok((Active { file: Arc::clone(&file), name, end_bytes, roll_at_bytes }, Published { state, file: Some(file) }))
    }

    /// A left-over is harmless (it is superseded) and tried again at the next roll.
    fn remove_all_but(&self, name: SegmentName) {
        let removed = segments(&*self.disk, &self.dir).and_then(|names| {
            names.into_iter().filter(|other| *other != name).try_for_each(|other| {
                let path = self.path(other);
                self.disk.remove_file(&path).map_err(|e| JournalError::io("remove", &path, &e))
            })
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "a superseded segment of the journal is left over");
        }
    }

    fn path(&self, name: SegmentName) -> PathBuf {
        self.dir.join(name.to_string())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(budget) = &self.options.budget {
            budget.give_back(self.counted_bytes);
        }
    }
}

/// A segment that could not be begun.
struct Unbegun {
    error: JournalError,
    /// Whether its file is durably removed.
    surely_gone: bool,
}

/// Bytes on their way to the end of a file.
struct Out<'a> {
    file: &'a dyn DiskFile,
    bytes: Vec<u8>,
    /// Where `bytes` will be written.
    offset_bytes: u64,
}

impl Out<'_> {
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_all_at(&[&self.bytes], self.offset_bytes)?;
        self.offset_bytes += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

/// The segment from which a snapshot copies inline bytes.
struct Source<'a> {
    file: Option<&'a dyn DiskFile>,
    dir: &'a Path,
}

impl Source<'_> {
    fn inline(&self, extent: Extent) -> Result<Vec<u8>, JournalError> {
        let mut bytes = vec![0; extent.length_bytes as usize];
        if let Some(file) = self.file.filter(|_| !bytes.is_empty()) {
            let read = file.read_exact_at(&mut bytes, extent.offset_bytes);
            read.map_err(|e| JournalError::io("read the current segment in", self.dir, &e))?;
        }
        if crc32c::crc32c(&bytes) != extent.crc32c {
            let reason = "inline bytes of the current segment do not match their checksum".to_owned();
            return Err(JournalError::Damaged { path: self.dir.to_owned(), offset_bytes: extent.offset_bytes, reason });
        }
        Ok(bytes)
    }
}

/// Segments in the folder, oldest first.
fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentName>, JournalError> {
    let entries = disk.list(dir).map_err(|e| JournalError::io("list", dir, &e))?;
    let mut names: Vec<SegmentName> = entries.iter().filter_map(|entry| entry.name.parse().ok()).collect();
    names.sort();
    Ok(names)
}

/// Scans one segment into a state of its own.
fn read_segment(
    disk: &dyn Disk,
    dir: &Path,
    name: SegmentName,
) -> Result<(super::recovery::Outline, Published), JournalError> {
    let path = dir.join(name.to_string());
    let file = disk.open(&path).map_err(|e| JournalError::io("open", &path, &e))?;
    let mut state = State::default();
    let mut complete = false;
    let scanned = segment::scan(&*file, name, |found| {
        if found.in_snapshot == complete {
            return Err("an entry of a snapshot where none belongs, or the other way round".to_owned());
        }
        if let Payload::SnapshotEnd(end) = found.payload {
            complete = true;
            let held = SnapshotEnd { lanes: state.lane_count(), open_seals: state.open_count() };
            return if *end == held { Ok(()) } else { Err(format!("the snapshot says {end:?} but holds {held:?}")) };
        }
        let extent = Extent {
            offset_bytes: found.inline_offset_bytes,
            length_bytes: found.inline.len() as u64,
            crc32c: crc32c::crc32c(found.inline),
        };
        state.apply(found.payload, extent).map_err(|error| error.to_string())
    });
    match scanned {
        Ok(outline) => Ok((outline, Published { state, file: Some(file) })),
        Err(ScanError::Io(error)) => Err(JournalError::io("read", &path, &error)),
        Err(ScanError::Unreadable { reason: Unreadable::Newer { version, known }, .. }) => {
            Err(JournalError::Newer { path, reason: format!("version {version}, this one knows up to {known}") })
        }
        Err(ScanError::Unreadable { offset_bytes, reason: Unreadable::Nonsense(reason) }) => {
            Err(JournalError::Damaged { path, offset_bytes, reason })
        }
    }
}
