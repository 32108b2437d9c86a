//! The node's write-ahead journal: seals, turns and closes, and the cursors they move (rules D1, D2, D3, D13).
//!
//! From: `delivery` stores a seal before the first byte is sent, and a close when all parcels are delivered. To: at
//! start, `delivery` reads [`Journal::lane`] and goes on with the open seals. One journal a node: whoever waits shares
//! one write and one fdatasync with all others that wait.
//!
//! | file | responsibility |
//! |---|---|
//! | `codec` | entries as bytes |
//! | `segment` | segment files: name, header, scan |
//! | `chunks` | what of the spool is sealed again and closed (pure) |
//! | `state` | what entries add up to, the order they keep (pure) |
//! | `recovery` | torn tail or damage, which segment counts (pure) |
//! | `writer` | append, sync, snapshot, roll |
//! | here | callers, the queue, the writer's thread |
//!
//! Invariants: what a reader sees is durable. Entries are answered after the sync, in the order in which they came.
//! Segments are never appended to after a restart or a failure; each begins with a snapshot, so one segment is the whole
//! journal. Memory holds the open seals, one cursor a lane and what is taken of spool chunks; inline parcels stay in the file.

mod chunks;
mod codec;
mod error;
mod recovery;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use chunks::Chunk;
pub use error::JournalError;
pub use state::OrderError;
pub use writer::JournalOptions;

use crate::disk::{Disk, DiskFile};
use crate::record::ParcelBytes;
use crate::stream::seal::{Attempts, Close, Fates, LaneId, ParcelKind, Place, Seal, Turn};
use crate::stream::{Incarnation, Position, SealId};
use codec::{Forget, LaneBase, Payload};
use parking_lot::{Condvar, Mutex, RwLock};
use state::Lane;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;
use writer::{Published, Writer};

/// A lane as it is stored. A lane nobody sealed anything of is the default: at the start, nothing open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaneState {
    /// End of the last closed seal: what may be forgotten by the source.
    pub closed: Position,
    /// Its number; 0 when none is closed.
    pub closed_number: u64,
    /// End of the last seal: where the next run starts.
    pub sealed: Position,
    /// Its number.
    pub sealed_number: u64,
    /// Sums over all closed seals.
    pub ledger: Fates,
    /// Open seals in order.
    pub open: Vec<Arc<Seal>>,
    /// Turns of the open seals, in the order stored.
    pub turns: Vec<Arc<Turn>>,
    /// Failed attempts of parcels of the open seals.
    pub attempts: Vec<Arc<Attempts>>,
    /// Spool chunks of its runs that are not delivered whole, by the numbers of the seals that made them.
    pub chunks: Vec<(u64, Arc<Chunk>)>,
}

impl LaneState {
    fn of(lane: &Lane) -> Self {
        Self {
            closed: lane.closed.clone(),
            closed_number: lane.closed_number,
            sealed: lane.sealed().clone(),
            sealed_number: lane.sealed_number(),
            ledger: lane.ledger,
            open: lane.open.iter().map(|open| Arc::clone(&open.seal)).collect(),
            turns: lane.open.iter().flat_map(|open| &open.turns).map(|(turn, _)| Arc::clone(turn)).collect(),
            attempts: lane.open.iter().flat_map(|open| open.attempts.values()).map(Arc::clone).collect(),
            chunks: lane.chunks.iter().map(|(number, chunk)| (number, Arc::clone(chunk))).collect(),
        }
    }
}

impl Published {
    fn inline(&self, seal: SealId, parcel: u32) -> Option<Arc<dyn ParcelBytes>> {
        let open = self.state.open_seal(&seal)?;
        let (parcel, extent) = open.parcels().find(|(candidate, _)| candidate.number == parcel)?;
        let Place::Inline { offset_bytes } = parcel.place else { return None };
        self.bytes(extent.offset_bytes + offset_bytes, parcel.length_bytes)
    }

    fn notes(&self, seal: SealId, parcel: u32) -> Option<Arc<dyn ParcelBytes>> {
        let open = self.state.open_seal(&seal)?;
        let (parcel, extent) = open.parcels().find(|(candidate, _)| candidate.number == parcel)?;
        let ParcelKind::Request(request) = &parcel.kind else { return None };
        self.bytes(extent.offset_bytes + request.notes.offset_bytes, request.notes.length_bytes)
    }

    fn bytes(&self, offset_bytes: u64, length_bytes: u64) -> Option<Arc<dyn ParcelBytes>> {
        Some(Arc::new(InlineBytes { file: Arc::clone(self.file.as_ref()?), offset_bytes, length_bytes }))
    }
}

/// The journal of a node. Dropping it writes what waits and joins the writer's thread.
#[derive(Debug)]
pub struct Journal {
    published: Arc<RwLock<Published>>,
    inbox: Arc<Inbox>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Inbox {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    entries: Vec<(Payload, Vec<u8>)>,
    /// One for each entry, in the same order.
    answers: Vec<oneshot::Sender<Result<(), JournalError>>>,
    stopped: bool,
}

impl Journal {
    /// Recovers the journal in `dir`, which is created if need be, and starts its writer. Blocks.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, options: JournalOptions) -> Result<Self, JournalError> {
        let writer = Writer::open(disk, dir.clone(), options)?;
        let published = writer.published();
        let inbox = Arc::new(Inbox::default());
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn({
            let inbox = Arc::clone(&inbox);
            move || inbox.serve(writer)
        });
        let thread = thread.map_err(|e| JournalError::io("start the writer of", &dir, &e))?;
        Ok(Self { published, inbox, thread: Mutex::new(Some(thread)) })
    }

    /// Lanes of which anything is stored.
    pub fn lanes(&self) -> Vec<LaneId> {
        self.published.read().state.lanes().map(|(id, _)| id.clone()).collect()
    }

    /// The lane as it is stored durably.
    pub fn lane(&self, lane: &LaneId) -> LaneState {
        let stored = self.published.read().state.lane(lane).cloned();
        stored.map_or_else(LaneState::default, |lane| LaneState::of(&lane))
    }

    /// (closed, sealed) of the lane, if anything is stored of it.
    pub fn cursor(&self, lane: &LaneId) -> Option<(Position, Position)> {
        let published = self.published.read();
        published.state.lane(lane).map(|lane| (lane.closed.clone(), lane.sealed().clone()))
    }

    /// Begins a lane of which nothing is stored behind `closed`, as if all up to there were closed; durable on `Ok`.
    pub async fn begin(&self, lane: LaneId, closed: Position) -> Result<(), JournalError> {
        let base = LaneBase { lane, closed, closed_number: 0, ledger: Fates::default(), chunks: Vec::new() };
        self.store(Payload::Lane(base), Vec::new()).await
    }

    /// Stores a seal with the bytes of its inline parcels; durable on `Ok`.
    ///
    /// Refused without being written unless its number and run follow the lane's last seal, its fates sum up to its run
    /// and the inline bytes are those its parcels name. After [`JournalError::Io`] the entry may or may not be found at
    /// the next start: keep the outbox's files and try the same seal again.
    pub async fn seal(&self, seal: Seal, inline: Vec<u8>) -> Result<(), JournalError> {
        self.store(Payload::Seal(Arc::new(seal)), inline).await
    }

    /// Stores that a data parcel is given up and an error parcel goes out instead; durable on `Ok`.
    pub async fn turn(&self, turn: Turn, inline: Vec<u8>) -> Result<(), JournalError> {
        self.store(Payload::Turn(Arc::new(turn)), inline).await
    }

    /// Stores how often a parcel failed so far; durable on `Ok`.
    pub async fn attempts(&self, attempts: Attempts) -> Result<(), JournalError> {
        self.store(Payload::Attempts(Arc::new(attempts)), Vec::new()).await
    }

    /// Closes the oldest open seal of its lane: the cursor moves, the fates are added to the ledger; durable on `Ok`.
    pub async fn close(&self, close: Close) -> Result<(), JournalError> {
        self.store(Payload::Close(close), Vec::new()).await
    }

    /// Drops all lanes of a deleted stream; durable on `Ok`.
    pub async fn forget(&self, incarnation: Incarnation) -> Result<(), JournalError> {
        self.store(Payload::Forget(Forget { incarnation }), Vec::new()).await
    }

    /// The bytes of an inline parcel of an open seal, read from the file when asked for. `None` if the seal is not open
    /// or the parcel is not inline. Stays readable after the seal is closed and the segment superseded.
    pub fn inline(&self, seal: SealId, parcel: u32) -> Option<Arc<dyn ParcelBytes>> {
        self.published.read().inline(seal, parcel)
    }

    /// The turns of an open seal.
    pub fn turns(&self, seal: SealId) -> Vec<Arc<Turn>> {
        let published = self.published.read();
        let open = published.state.open_seal(&seal);
        open.map(|open| open.turns.iter().map(|(turn, _)| Arc::clone(turn)).collect()).unwrap_or_default()
    }

    /// The notes of a request of an open seal, read from the file when asked for. `None` if the seal is not open or the
    /// parcel is no request.
    pub fn notes(&self, seal: SealId, parcel: u32) -> Option<Arc<dyn ParcelBytes>> {
        self.published.read().notes(seal, parcel)
    }

    /// Refuses new entries, writes those that wait and joins the writer's thread. Blocks; idempotent.
    pub fn stop(&self) {
        self.inbox.queue.lock().stopped = true;
        self.inbox.wake.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer panicked");
        }
    }

    async fn store(&self, payload: Payload, inline: Vec<u8>) -> Result<(), JournalError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.inbox.queue.lock();
            if queue.stopped {
                return Err(JournalError::Stopped);
            }
            queue.entries.push((payload, inline));
            queue.answers.push(answer);
        }
        self.inbox.wake.notify_one();
        // The sender is dropped unanswered only when the writer panicked.
        answered.await.unwrap_or(Err(JournalError::Stopped))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inbox {
    fn serve(&self, mut writer: Writer) {
        // However this ends, nobody may wait for an answer that never comes.
        let _refuse = RefuseOnDrop(self);
        loop {
            let (entries, answers) = {
                let mut queue = self.queue.lock();
                while queue.entries.is_empty() {
                    if queue.stopped {
                        return;
                    }
                    self.wake.wait(&mut queue);
                }
                (std::mem::take(&mut queue.entries), std::mem::take(&mut queue.answers))
            };
            for (answer, result) in answers.into_iter().zip(writer.commit(&entries)) {
                // Nobody listens when the caller was dropped; the entry is stored all the same.
                let _ = answer.send(result);
            }
            writer.maintain();
        }
    }
}

struct RefuseOnDrop<'a>(&'a Inbox);

impl Drop for RefuseOnDrop<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.stopped = true;
        queue.entries.clear();
        queue.answers.clear();
    }
}

/// Bytes in a segment, whose file stays open (and, once superseded, on the disk) as long as somebody holds this.
#[derive(Debug)]
struct InlineBytes {
    file: Arc<dyn DiskFile>,
    offset_bytes: u64,
    length_bytes: u64,
}

impl ParcelBytes for InlineBytes {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        if offset_bytes.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, self.offset_bytes + offset_bytes)
    }
}
