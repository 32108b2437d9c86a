//! Opens a stream's lanes: the log recovered, the outbox swept, the source backup's lane begun in the journal, the spool
//! read. The second half of a delivery needs no log.
//!
//! From: `keeper`, once for each lane and again after a fault. Invariant: a source backup that was there from the first
//! revision on begins at the start of the log, durably before a worker of the stream runs; a later one at what is newest
//! then, with the log held there until it is durable. So the log forgets nothing that the backup has not closed.

use super::DeliveryContext;
use super::spooled::{Half, Spooled};
use super::status::LaneStatus;
use super::worker::{Deleting, Ended, Wishes};
use crate::catalog::StreamRecord;
use crate::fault::Retry;
use crate::journal::JournalError;
use crate::log::StreamLog;
use crate::log::recovery::RecoveryError;
use crate::source::Lane;
use crate::stream::Position;
use crate::stream::seal::{LaneId, Place, Tally};
use crate::task::Stop;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Opens the lanes of one stream.
pub struct Opening {
    /// Shared parts.
    pub context: Arc<DeliveryContext>,
    /// The stream.
    pub record: Arc<StreamRecord>,
    /// Whether the outbox was swept. While a worker of another lane runs, files without a seal may be its own. Held over
    /// what follows the log: lanes open one after the other.
    swept: Mutex<bool>,
    /// Of a stream with dynamic partitioning, once it is known what waits in it.
    spooled: Mutex<Option<Arc<Spooled>>>,
}

/// Why a lane could not be opened.
enum OpenError {
    /// The log is damaged, or cannot be read.
    Log(RecoveryError),
    /// The outbox cannot be read.
    Outbox(io::Error),
    /// The backup's lane could not be begun.
    Begin(JournalError),
    /// The spool cannot be read.
    Spool(io::Error),
}

impl Opening {
    /// Nothing is open yet.
    pub fn new(context: Arc<DeliveryContext>, record: Arc<StreamRecord>) -> Self {
        Self { context, record, swept: Mutex::new(false), spooled: Mutex::new(None) }
    }

    /// The lane, once the disk can be read. `Err`: how it ends without one.
    pub async fn lane(
        &self,
        id: &LaneId,
        status: &LaneStatus,
        wishes: &mut watch::Receiver<Wishes>,
        stop: &Stop,
    ) -> Result<(Arc<dyn Lane>, Half), Ended> {
        let options = &self.context.options;
        let mut pause = options.backoff_first;
        loop {
            let opened = self.try_lane(id).await;
            if let Err(error) = &opened {
                self.tell_unopened(id, status, error);
            }
            let text = match opened {
                Ok(lane) => {
                    if pause > options.backoff_first {
                        status.recovered();
                    }
                    return Ok(lane);
                }
                Err(OpenError::Log(RecoveryError::Io { dir, error })) => RecoveryError::Io { dir, error }.to_string(),
                Err(OpenError::Log(damage)) => {
                    let what = "nothing was changed; put the file back from a copy and resume the stream, or delete it with \
                                AllowForceDelete, which counts as discarded what is known to wait";
                    return Err(Ended::Faulted(format!("{damage}; {what}")));
                }
                Err(OpenError::Outbox(error)) => format!("the outbox cannot be swept: {error}"),
                Err(OpenError::Begin(error)) => format!("the source backup could not be begun: {error}"),
                Err(OpenError::Spool(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    let what = "nothing was changed; put the file back from a copy and resume the stream, or delete it with \
                                AllowForceDelete";
                    return Err(Ended::Faulted(format!("{error}; {what}")));
                }
                Err(OpenError::Spool(error)) => format!("the spool cannot be read: {error}"),
            };
            status.trouble(text, Retry::Backoff, pause);
            status.set_known();
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(options.backoff_longest),
                () = stop.asked() => return Err(Ended::Stopped),
                _ = wishes.wait_for(|wishes| wishes.deleting == Some(Deleting::Forced)) => return Err(Ended::Deleted),
            }
        }
    }

    /// Tells what is known of a lane that could not be opened: without it, its records would be in flight nowhere.
    fn tell_unopened(&self, id: &LaneId, status: &LaneStatus, error: &OpenError) {
        // A source backup that has not begun has no records: it may begin behind all that are there.
        if id.is_backup() && self.context.journal.cursor(id).is_none() {
            return;
        }
        let lane = self.context.journal.lane(id);
        if *id == LaneId::partitions(id.incarnation) {
            let source = self.context.journal.lane(&LaneId::direct_put(id.incarnation));
            let mut spooled = source.ledger.delivered;
            source.open.iter().for_each(|seal| spooled += seal.fates.delivered);
            let mut sealed = lane.ledger.total();
            lane.open.iter().for_each(|seal| sealed += seal.fates.total());
            return status.unread(spooled, sealed, &lane);
        }
        let sealed = lane.sealed.number().unwrap_or(0);
        let bare = |records| Tally { records, bytes: 0 };
        match (self.context.logs.opened(id.incarnation), error) {
            // What keeps the lane from being opened is not the log: the ledger follows it.
            (Some(log), _) => status.read(log.progress(), log.upto(sealed), &lane),
            (None, OpenError::Log(RecoveryError::Damaged { mark, .. })) => {
                status.unread(bare(sealed.max(*mark)), bare(sealed), &lane);
            }
            (None, _) => status.unread(bare(sealed), bare(sealed), &lane),
        }
    }

    /// Opens the log, sweeps the outbox of what no open seal names, and begins the backup's lane if there is to be one.
    async fn try_lane(&self, id: &LaneId) -> Result<(Arc<dyn Lane>, Half), OpenError> {
        let incarnation = id.incarnation;
        let is_second = *id == LaneId::partitions(incarnation);
        let log = match is_second {
            // What is spooled is delivered whether or not the log can be read.
            true => None,
            false => Some(self.context.logs.open_again(incarnation).await.map_err(OpenError::Log)?),
        };
        let mut swept = self.swept.lock().await;
        if !*swept {
            self.sweep().await.map_err(OpenError::Outbox)?;
            *swept = true;
        }
        let Some(log) = log else {
            let spooled = self.spooled().await.map_err(OpenError::Spool)?;
            return Ok((spooled.clone(), Half::Second(spooled)));
        };
        self.begin_backup(&log).await.map_err(OpenError::Begin)?;
        let half = match self.record.definition.partitioning.is_none() || id.is_backup() {
            true => Half::Whole,
            false => Half::First(self.spooled().await.map_err(OpenError::Spool)?),
        };
        Ok((Arc::new(self.context.logs.lane(log, id.clone())), half))
    }

    /// The stream's spool, the same for both halves.
    async fn spooled(&self) -> io::Result<Arc<Spooled>> {
        let mut known = self.spooled.lock().await;
        if let Some(spooled) = &*known {
            return Ok(spooled.clone());
        }
        let (context, incarnation) = (self.context.clone(), self.record.definition.incarnation);
        let recovered = tokio::task::spawn_blocking(move || Spooled::recover(&context, incarnation));
        let spooled = Arc::new(recovered.await.map_err(io::Error::other)??);
        *known = Some(spooled.clone());
        Ok(spooled)
    }

    /// Nothing more comes into the spool.
    pub async fn end_spool(&self) {
        if let Some(spooled) = &*self.spooled.lock().await {
            spooled.end();
        }
    }

    async fn sweep(&self) -> io::Result<()> {
        let incarnation = self.record.definition.incarnation;
        let states: Vec<_> = LaneId::all_of(incarnation).iter().map(|lane| self.context.journal.lane(lane)).collect();
        let sealed = states.iter().flat_map(|state| &state.open).flat_map(|seal| &seal.parcels);
        let parcels = sealed.chain(states.iter().flat_map(|state| &state.turns).map(|turn| &turn.instead));
        let named = parcels.filter_map(|parcel| match &parcel.place {
            Place::File { name } => Some(name.clone()),
            _ => None,
        });
        let chunks = states.iter().flat_map(|state| &state.chunks).map(|(_, chunk)| chunk.spooled.name.clone());
        let keep: HashSet<String> = named.chain(chunks).collect();
        let context = self.context.clone();
        let swept = tokio::task::spawn_blocking(move || {
            // For the status alone: a run that needs it says what is wrong.
            let _ = context.learnt.load(incarnation);
            context.outbox.sweep(incarnation, &keep)
        });
        swept.await.map_err(io::Error::other)?.map(drop)
    }

    async fn begin_backup(&self, log: &Arc<StreamLog>) -> Result<(), JournalError> {
        let definition = &self.record.definition;
        let id = LaneId::source_backup(definition.incarnation);
        let newest = self.context.catalog.find(definition.name.as_str());
        let newest = newest.filter(|row| row.definition.incarnation == definition.incarnation);
        let Some(since_revision) = newest.and_then(|row| Some(row.definition.backup.as_ref()?.since_revision)) else {
            return Ok(());
        };
        if self.context.journal.cursor(&id).is_some() {
            return Ok(());
        }
        if since_revision == 1 {
            return self.context.journal.begin(id, Position::start()).await;
        }
        // ORDER: held first, so that nothing behind the number is forgotten before the journal has it.
        let hold = log.hold();
        let position = if hold.number == 0 { Position::start() } else { Position::from_number(hold.number) };
        self.context.journal.begin(id, position).await
    }
}
