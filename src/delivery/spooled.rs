//! What waits in a stream's spool, between the two halves of its delivery (rule D9), and when a partition of it is cut.
//!
//! From: the first half's worker, once the seal of a spool chunk is stored; at start, the journal's chunks. To: the
//! second half's worker, to which this is a lane. Invariant: what waits here is what the journal's chunks have and no seal
//! took, but for what is being staged.

use super::DeliveryContext;
use crate::batch::{CutBounds, Decision, PartitionCut, PartitionHints, Partitions, Piece};
use crate::record::{ParcelBytes, Readable};
use crate::source::{Lane, RunReader};
use crate::spool::{Partition, SpoolChunk};
use crate::stream::definition::{Definition, Hints};
use crate::stream::position::Run;
use crate::stream::seal::{CutReason, LaneId, Seal, SpooledChunk, Tally};
use crate::stream::{Incarnation, Position};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A stream's spool.
#[derive(Debug)]
pub struct Spooled {
    id: LaneId,
    inner: Mutex<Inner>,
    readable: watch::Sender<Readable>,
    /// Whether the first half is to leave records in the log: the second does not get rid of what it has.
    held: watch::Sender<bool>,
    /// What was sealed of the lane when it was opened, on the scale of `readable`.
    consumed: Tally,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: Partitions,
    /// By the numbers of the seals that made them.
    chunks: BTreeMap<u64, Arc<SpooledChunk>>,
    /// What is being staged.
    staging: Vec<PartitionCut>,
    /// Records up to this count, on the scale of `readable`, are to go out without waiting.
    flush_upto_records: u64,
}

impl Inner {
    /// What was cut and came to no seal waits again.
    fn give_back(&mut self) {
        // From the last on: of one partition, the older pieces come to stand before the younger.
        self.staging.drain(..).rev().for_each(|cut| self.partitions.give_back(cut));
    }
}

/// Which half of a stream's delivery a lane's worker does (rule D9).
#[derive(Debug, Clone)]
pub enum Half {
    /// All of it: a stream without dynamic partitioning, or a source backup.
    Whole,
    /// Records into the spool.
    First(Arc<Spooled>),
    /// Partitions out of it.
    Second(Arc<Spooled>),
}

impl Half {
    /// The spool, if there is one.
    pub fn spooled(&self) -> Option<&Arc<Spooled>> {
        match self {
            Self::Whole => None,
            Self::First(spooled) | Self::Second(spooled) => Some(spooled),
        }
    }
}

/// Partitions that may wait; above, the least recently used are cut. Each takes about half a KiB of memory.
const MAX_WAITING_PARTITIONS: u64 = 100_000;
/// Pieces that may wait, as with partitions: 56 bytes each, twice that while a partition's list grows.
const MAX_WAITING_PIECES: u64 = 500_000;
/// What a seal takes at once. Its pieces bound what it writes into the journal.
const MOST: CutBounds = CutBounds { partitions: 256, bytes: MOST_BYTES, pieces: 16_384 };
/// Source bytes of a seal of either half.
const MOST_BYTES: u64 = 64 << 20;

/// When the first half cuts: often enough that a record waits no longer than one and a half times the interval in both
/// (reference: dynamic partitioning, run time).
pub fn first_half_hints(hints: Hints) -> Hints {
    Hints { size_bytes: hints.size_bytes.min(MOST_BYTES), interval_ms: hints.interval_ms / 2 }
}

/// When the second half cuts.
pub fn partition_hints(definition: &Definition) -> PartitionHints {
    let max_waiting_bytes = definition.partitioning.as_ref().map_or(u64::MAX, |spec| spec.max_waiting_bytes);
    let (max_waiting, max_waiting_pieces) = (MAX_WAITING_PARTITIONS, MAX_WAITING_PIECES);
    PartitionHints { hints: definition.hints, max_waiting_bytes, max_waiting, max_waiting_pieces }
}

impl Spooled {
    /// What the journal's chunks have and no seal took. Blocks; `InvalidData` if a chunk is damaged.
    pub fn recover(context: &DeliveryContext, incarnation: Incarnation) -> io::Result<Self> {
        let source = context.journal.lane(&LaneId::direct_put(incarnation));
        let id = LaneId::partitions(incarnation);
        let lane = context.journal.lane(&id);
        let mut consumed = lane.ledger.total();
        lane.open.iter().for_each(|seal| consumed += seal.fates.total());
        let mut inner = Inner::default();
        for (number, chunk) in &source.chunks {
            inner.chunks.insert(*number, Arc::new(chunk.spooled.clone()));
            let name = &chunk.spooled.name;
            let partitions = open(context, incarnation, name).and_then(|chunk| chunk.partitions());
            let partitions = partitions.map_err(|error| named(name, &error))?;
            for (at, partition) in (0..).zip(&partitions).filter(|(at, _)| !chunk.sealed.contains(*at)) {
                let since = context.clock.monotonic_at(partition.oldest_arrival_ms());
                inner.partitions.add(&partition.key, piece(*number, at, partition), since);
            }
        }
        let (records, bytes) = inner.partitions.totals();
        let all = Readable { records: consumed.records + records, bytes: consumed.bytes + bytes, ended: false };
        let (readable, held) = (watch::channel(all).0, watch::channel(false).0);
        Ok(Self { id, inner: Mutex::new(inner), readable, held, consumed })
    }

    /// A chunk is sealed, and is to go out at once if its run was cut for that. Called once for each, in order.
    pub fn add(&self, seal: &Seal, spooled: &SpooledChunk, partitions: &[Partition], now: Duration) {
        let number = seal.number;
        let mut inner = self.inner.lock();
        inner.chunks.insert(number, Arc::new(spooled.clone()));
        let mut added = Tally::default();
        for (at, partition) in (0..).zip(partitions) {
            let piece = piece(number, at, partition);
            added += Tally { records: piece.records, bytes: piece.bytes };
            inner.partitions.add(&partition.key, piece, now);
        }
        // Under the lock, so that what is told never lags behind what can be cut.
        self.readable.send_modify(|readable| {
            readable.records += added.records;
            readable.bytes += added.bytes;
        });
        if matches!(seal.cut, CutReason::Flush | CutReason::Stop | CutReason::LaneEnd) {
            inner.flush_upto_records = self.readable.borrow().records;
        }
    }

    /// Tells the first half to wait, or to go on: it waits while the second half fails, or has more than it may.
    pub fn hold(&self, is_failing: bool, hints: &PartitionHints) {
        let (waiting, waiting_pieces, waiting_bytes) = {
            let partitions = &self.inner.lock().partitions;
            (partitions.len(), partitions.pieces(), partitions.size_bytes())
        };
        let is_over = waiting_bytes / 2 > hints.max_waiting_bytes
            || waiting / 2 > hints.max_waiting
            || waiting_pieces / 2 > hints.max_waiting_pieces;
        let held = is_failing || is_over;
        self.held.send_if_modified(|before| std::mem::replace(before, held) != held);
    }

    /// Whether the first half is to wait, as it changes.
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// All that is here is to go out without waiting.
    pub fn flush(&self) {
        let mut inner = self.inner.lock();
        inner.flush_upto_records = self.readable.borrow().records;
        drop(inner);
        // Whoever waits for more looks again.
        self.readable.send_modify(|_| {});
    }

    /// The first half has ended: no more comes.
    pub fn end(&self) {
        self.readable.send_modify(|readable| readable.ended = true);
    }

    /// Whether a partition is to be cut now. `everything`: all that waits goes out, for this reason.
    pub fn decide(&self, hints: &PartitionHints, now: Duration, everything: Option<CutReason>) -> Decision {
        let mut inner = self.inner.lock();
        inner.give_back();
        inner.partitions.decide(hints, now, everything)
    }

    /// Records up to this count, on the scale of what is readable, are to go out without waiting.
    pub fn flush_upto_records(&self) -> u64 {
        self.inner.lock().flush_upto_records
    }

    /// Takes what is to be cut, of `most` partitions or fewer. It waits again if it is not [`Spooled::sealed`] before the
    /// next call of this or [`Spooled::decide`].
    pub fn cut(
        &self,
        hints: &PartitionHints,
        now: Duration,
        everything: Option<CutReason>,
        most: usize,
    ) -> Vec<PartitionCut> {
        let mut inner = self.inner.lock();
        inner.give_back();
        let most = CutBounds { partitions: most.min(MOST.partitions), ..MOST };
        inner.staging = inner.partitions.cut(hints, now, everything, most);
        inner.staging.clone()
    }

    /// What was cut last is sealed.
    pub fn sealed(&self) {
        self.inner.lock().staging.clear();
    }

    /// Removes chunks that the journal no longer knows. Blocks.
    pub fn free_closed(&self, context: &DeliveryContext) {
        let closed: Vec<Arc<SpooledChunk>> = {
            // ORDER: locked, then asked: a chunk is told here after its seal is stored, so one that is known here and not
            // to the journal is closed.
            let mut inner = self.inner.lock();
            let source = context.journal.lane(&LaneId::direct_put(self.id.incarnation));
            let is_known = |number: u64| source.chunks.binary_search_by_key(&number, |(number, _)| *number).is_ok();
            let gone: Vec<u64> = inner.chunks.keys().copied().filter(|number| !is_known(*number)).collect();
            gone.iter().filter_map(|number| inner.chunks.remove(number)).collect()
        };
        for chunk in closed {
            let name = &chunk.name;
            if let Err(error) = context.outbox.free(self.id.incarnation, name) {
                tracing::warn!(file = name, %error, "a delivered spool chunk could not be removed");
            }
        }
    }

    /// Partitions that wait or are being staged.
    pub fn active(&self) -> u64 {
        let inner = self.inner.lock();
        inner.partitions.len() + inner.staging.len() as u64
    }

    /// Whether the partition waits or is being staged.
    pub fn is_active(&self, key: &[u8]) -> bool {
        let inner = self.inner.lock();
        inner.partitions.contains(key) || inner.staging.iter().any(|cut| cut.key[..] == *key)
    }

    /// Arrival of the oldest record that waits or is being staged, ms since the epoch.
    pub fn oldest_arrival_ms(&self) -> Option<i64> {
        let inner = self.inner.lock();
        let staging = inner.staging.iter().flat_map(|cut| &cut.pieces).map(|piece| piece.oldest_arrival_ms);
        staging.chain(inner.partitions.oldest_arrival_ms()).min()
    }

    /// What the journal says of a chunk that waits, or is being staged.
    pub fn spooled_chunk(&self, number: u64) -> Option<Arc<SpooledChunk>> {
        self.inner.lock().chunks.get(&number).cloned()
    }

    /// The bytes of such a chunk.
    pub fn chunk(&self, context: &DeliveryContext, number: u64) -> io::Result<SpoolChunk> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("spool chunk {number}"));
        let name = &self.spooled_chunk(number).ok_or_else(gone)?.name;
        open(context, self.id.incarnation, name).map_err(|error| named(name, &error))
    }
}

fn open(context: &DeliveryContext, incarnation: Incarnation, name: &str) -> io::Result<SpoolChunk> {
    Ok(SpoolChunk::new(context.outbox.open(incarnation, name)?))
}

/// The error with the name of the file in the outbox. A file that is gone is damage as well.
fn named(name: &str, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => io::ErrorKind::InvalidData,
        kind => kind,
    };
    io::Error::new(kind, format!("spool chunk outbox/{name}: {error}"))
}

fn piece(chunk: u64, number: u32, partition: &Partition) -> Piece {
    let place = (partition.entry.offset_bytes, partition.entry.length_bytes);
    let (bytes, length_bytes) = (partition.counted_bytes(), partition.length_bytes());
    // Parts of records count nothing, and still have a size.
    let size_bytes = if bytes < length_bytes / 2 { length_bytes } else { bytes };
    let oldest_arrival_ms = partition.oldest_arrival_ms();
    Piece { chunk, partition: number, place, records: partition.records(), bytes, size_bytes, oldest_arrival_ms }
}

impl Lane for Spooled {
    fn id(&self) -> &LaneId {
        &self.id
    }

    fn readable(&self) -> watch::Receiver<Readable> {
        self.readable.subscribe()
    }

    fn consumed(&self, _sealed: &Position) -> Tally {
        self.consumed
    }

    fn reader(&self, _from: &Position, _to: Option<&Position>) -> io::Result<Box<dyn RunReader>> {
        Err(io::Error::other("a spool is read by partition"))
    }

    fn joined(&self, _run: &Run) -> io::Result<Arc<dyn ParcelBytes>> {
        Err(io::Error::other("a spool is read by partition"))
    }

    fn release(&self) {}

    fn refuse_appends(&self) {}
}
