//! Keeps one worker for each stream of the catalog, and sees deletions through (rule D12).
//!
//! The catalog is watched; the control plane never calls here. A worker that faults stays down, with its reason in the
//! status, until the operator resumes it, the stream is deleted, or the service starts anew.

use super::status::LaneStatus;
use super::worker::{Deleting, Ended, Wishes, Worker};
use super::{DeliveryContext, deleted};
use crate::catalog::{Status, StreamRecord};
use crate::fault::Retry;
use crate::log::recovery::RecoveryError;
use crate::source::local::LocalLane;
use crate::stream::Incarnation;
use crate::stream::seal::{Fates, LaneId, Place};
use crate::task::{Stop, StopSource, TaskSet};
use crate::telemetry::status::{OperationError, Operations, Overview, StreamStatus};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{oneshot, watch};

/// Prefix of a deleted stream's folder on its way out.
const DELETED_PREFIX: &str = ".deleted-";

/// Why deliveries could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The streams' folder cannot be read.
    #[error("cannot read the streams' folder: {0}")]
    Io(#[from] io::Error),
}

/// Owner of all workers.
#[derive(Debug)]
pub struct Supervisor {
    context: Arc<DeliveryContext>,
    streams: Arc<Streams>,
    stop: StopSource,
    tasks: Mutex<TaskSet>,
}

/// A stream that has a worker.
#[derive(Debug, Clone)]
struct Handle {
    incarnation: Incarnation,
    status: Arc<LaneStatus>,
    wishes: watch::Sender<Wishes>,
    /// Whether a keeper runs for it.
    kept: Arc<AtomicBool>,
}

type Streams = Mutex<BTreeMap<String, Handle>>;

/// The handle of a stream of the catalog, made if it is not there yet: a stream can be asked about and operated as soon
/// as it is created. `None`: it was deleted meanwhile.
fn handle_of(context: &DeliveryContext, streams: &Streams, record: &StreamRecord) -> Option<Handle> {
    let name = record.definition.name.to_string();
    let incarnation = record.definition.incarnation;
    let mut streams = streams.lock();
    match streams.get(&name) {
        Some(handle) if handle.incarnation == incarnation => Some(handle.clone()),
        _ => {
            // Asked under the lock: a deletion takes the row away before the handle.
            context.catalog.find(&name).filter(|row| row.definition.incarnation == incarnation)?;
            let handle = Handle {
                incarnation,
                status: Arc::new(LaneStatus::new(name.clone(), context.clock.clone())),
                wishes: watch::channel(Wishes::default()).0,
                kept: Arc::default(),
            };
            streams.insert(name, handle.clone());
            Some(handle)
        }
    }
}

impl Supervisor {
    /// Removes what deletions left, then starts workers for all streams and for those to come. Returns when the lanes of
    /// all streams are open or have faulted, so that nobody is shown a ledger without what waits from before.
    pub async fn start(context: Arc<DeliveryContext>) -> Result<Arc<Self>, SupervisorError> {
        remove_leftovers(&context).await?;
        let supervisor =
            Arc::new(Self { context, streams: Arc::default(), stop: StopSource::new(), tasks: Mutex::default() });
        let (started, all_started) = oneshot::channel();
        let watching =
            watch_catalog(supervisor.context.clone(), supervisor.streams.clone(), supervisor.stop.stop(), started);
        supervisor.tasks.lock().spawn("deliveries", watching);
        // An error is the watching task's panic, which `stop` reports.
        let _ = all_started.await;
        let lanes: Vec<_> = supervisor.streams.lock().values().map(|handle| handle.status.clone()).collect();
        for lane in lanes {
            lane.known().await;
        }
        Ok(supervisor)
    }

    /// Stops all workers and joins them. What is open goes on at the next start.
    pub async fn stop(&self) {
        // ORDER: asked first, so that nobody seals what an interrupted transform returns.
        self.stop.ask();
        self.context.transforms.interrupt();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        for died in tasks.join_all().await {
            tracing::error!(%died, "the supervisor of deliveries died");
        }
    }

    fn handle(&self, name: &str) -> Option<Handle> {
        let known = self.streams.lock().get(name).cloned();
        known.or_else(|| handle_of(&self.context, &self.streams, &*self.context.catalog.find(name)?))
    }

    /// What a lane tells, with what is known of its stream besides.
    fn told(&self, handle: &Handle) -> StreamStatus {
        let mut status = handle.status.snapshot();
        if let Some(fates) = self.context.deleted.leaving(handle.incarnation) {
            status.ledger = deleted::ledger(&fates);
        }
        let record = self.context.catalog.find(&status.name);
        let transform = record.as_ref().and_then(|record| record.definition.transform.as_ref());
        status.transform_problem =
            transform.and_then(|spec| self.context.transforms.problem(spec)).map(|problem| problem.to_string());
        status
    }

    fn wish(&self, name: &str, change: impl FnOnce(&mut Wishes)) -> Result<(), OperationError> {
        let handle = self.handle(name).ok_or_else(|| OperationError::Unknown(name.to_owned()))?;
        handle.wishes.send_modify(change);
        Ok(())
    }
}

impl Operations for Supervisor {
    fn overview(&self) -> Overview {
        // One lock over both: a stream leaves the one part and enters the other under it.
        let streams = self.streams.lock();
        Overview {
            streams: streams.values().map(|handle| self.told(handle)).collect(),
            deleted: self.context.deleted.sums(),
        }
    }

    fn stream(&self, name: &str) -> Option<StreamStatus> {
        Some(self.told(&self.handle(name)?))
    }

    fn flush(&self, name: &str) -> Result<(), OperationError> {
        self.wish(name, |wishes| wishes.flushes += 1)
    }

    fn pause(&self, name: &str) -> Result<(), OperationError> {
        self.wish(name, |wishes| wishes.paused = true)
    }

    fn resume(&self, name: &str) -> Result<(), OperationError> {
        // Counted as a change even when it was not paused: it also restarts a faulted stream.
        self.wish(name, |wishes| {
            wishes.paused = false;
            wishes.resumes += 1;
        })
    }

    fn ready(&self) -> Result<(), String> {
        if self.stop.stop().is_asked() { Err("the service is stopping".to_owned()) } else { Ok(()) }
    }
}

/// Unlinks folders of streams that were deleted before a stop.
async fn remove_leftovers(context: &Arc<DeliveryContext>) -> io::Result<()> {
    let context = context.clone();
    let removed = tokio::task::spawn_blocking(move || {
        let entries = match context.disk.list(&context.streams_dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries.iter().filter(|e| e.name.starts_with(DELETED_PREFIX)) {
            context.disk.remove_dir_all(&context.streams_dir.join(&entry.name))?;
        }
        Ok(())
    });
    removed.await.map_err(io::Error::other)?
}

/// Starts a worker for every stream that has none and passes deletions on, until asked to stop.
/// Says on `started` when those of the first look are there.
async fn watch_catalog(context: Arc<DeliveryContext>, streams: Arc<Streams>, stop: Stop, started: oneshot::Sender<()>) {
    let mut started = Some(started);
    let mut changes = context.catalog.changes();
    let mut keepers = TaskSet::default();
    loop {
        changes.borrow_and_update();
        for record in context.catalog.all() {
            let Some(handle) = handle_of(&context, &streams, &record) else { continue };
            if !handle.kept.swap(true, Ordering::AcqRel) {
                let keeper = Keeper {
                    context: context.clone(),
                    streams: streams.clone(),
                    record: record.clone(),
                    handle: handle.clone(),
                    stop: stop.clone(),
                };
                keepers.spawn(format!("stream {}", record.definition.name), keeper.keep());
            }
            if let Status::Deleting { force } = record.status {
                let deleting = Some(if force { Deleting::Forced } else { Deleting::Drained });
                handle.wishes.send_if_modified(|wishes| {
                    let changed = wishes.deleting != deleting;
                    wishes.deleting = deleting;
                    changed
                });
            }
        }
        if let Some(started) = started.take() {
            let _ = started.send(());
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = stop.asked() => break,
            Some(ended) = keepers.join_next() => if let Err(died) = ended {
                tracing::error!(%died, "a stream's keeper died; the stream stands until the next start");
            },
        }
    }
    for died in keepers.join_all().await {
        tracing::error!(%died, "a stream's keeper died");
    }
}

/// Keeps one stream's worker running, and cleans up after a deletion.
struct Keeper {
    context: Arc<DeliveryContext>,
    streams: Arc<Streams>,
    record: Arc<StreamRecord>,
    handle: Handle,
    stop: Stop,
}

impl Keeper {
    async fn keep(self) {
        // Even if it dies at once: the start waits for it.
        let _known = KnownAtLast(self.handle.status.clone());
        let mut wishes = self.handle.wishes.subscribe();
        loop {
            let ended = match self.open_lane(&mut wishes).await {
                Ok(lane) => {
                    let mut worker = Worker {
                        context: self.context.clone(),
                        name: self.record.definition.name.clone(),
                        lane,
                        status: self.handle.status.clone(),
                        wishes: wishes.clone(),
                        stop: self.stop.clone(),
                    };
                    worker.run().await
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Stopped => return,
                Ended::Deleted => return self.delete().await,
                Ended::Faulted(fault) => {
                    let name = &self.record.definition.name;
                    tracing::error!(stream = %name, fault, "the stream stopped; mend the cause, then POST /streams/{name}/resume");
                    self.handle.status.set_fault(Some(fault));
                    let resumes = wishes.borrow_and_update().resumes;
                    tokio::select! {
                        () = self.stop.asked() => return,
                        deleting = resumed(&mut wishes, resumes) => match deleting {
                            Err(_) => return,
                            Ok(Some(Deleting::Forced)) => return self.delete().await,
                            Ok(_) => {}
                        },
                    }
                    self.handle.status.set_fault(None);
                }
            }
        }
    }

    /// The lane, once the disk can be read. `Err`: how it ends without one.
    async fn open_lane(&self, wishes: &mut watch::Receiver<Wishes>) -> Result<Arc<LocalLane>, Ended> {
        let options = &self.context.options;
        let mut pause = options.backoff_first;
        loop {
            let text = match self.try_open_lane().await {
                Ok(lane) => {
                    if pause > options.backoff_first {
                        self.handle.status.attempt_succeeded();
                    }
                    return Ok(lane);
                }
                Err(OpenError::Log(RecoveryError::Io { dir, error })) => RecoveryError::Io { dir, error }.to_string(),
                Err(OpenError::Log(damage)) => return Err(Ended::Faulted(damage.to_string())),
                Err(OpenError::Outbox(error)) => format!("the outbox cannot be swept: {error}"),
            };
            self.handle.status.trouble(text, Retry::Backoff, pause);
            self.handle.status.set_known();
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(options.backoff_longest),
                () = self.stop.asked() => return Err(Ended::Stopped),
                _ = wishes.wait_for(|wishes| wishes.deleting == Some(Deleting::Forced)) => return Err(Ended::Deleted),
            }
        }
    }

    /// Opens the log and sweeps the outbox of what no open seal names.
    async fn try_open_lane(&self) -> Result<Arc<LocalLane>, OpenError> {
        let incarnation = self.record.definition.incarnation;
        let log = self.context.logs.open_again(incarnation).await.map_err(OpenError::Log)?;
        let state = self.context.journal.lane(&LaneId::direct_put(incarnation));
        let keep: HashSet<String> = state
            .open
            .iter()
            .flat_map(|seal| &seal.parcels)
            .filter_map(|parcel| match &parcel.place {
                Place::File { name } => Some(name.clone()),
                _ => None,
            })
            .collect();
        let context = self.context.clone();
        let swept = tokio::task::spawn_blocking(move || context.outbox.sweep(incarnation, &keep));
        swept.await.map_err(io::Error::other).and_then(|swept| swept).map_err(OpenError::Outbox)?;
        Ok(Arc::new(LocalLane::new(log, incarnation)))
    }

    /// Parcels given up, ledger counted, folder renamed away, journal and catalog rows gone, then unlinked: a crash in between leaves
    /// either a stream that is still DELETING or a folder with a name that the next start removes.
    async fn delete(&self) {
        let incarnation = self.record.definition.incarnation;
        let name = self.record.definition.name.clone();
        if let Some(log) = self.context.logs.forget(incarnation) {
            log.refuse_appends();
            // What is being synced is acknowledged yet, and must be counted.
            let _ = log.progress().wait_for(|readable| readable.ended).await;
        }
        self.give_up_parcels().await;
        // ORDER: the ledger is counted before the journal forgets it.
        let (context, fates) = (self.context.clone(), self.fates());
        let fates = match tokio::task::spawn_blocking(move || context.deleted.count(incarnation, fates)).await {
            Ok(fates) => fates,
            Err(died) => {
                tracing::error!(stream = %name, %died, "counting a deleted stream died");
                fates
            }
        };
        let dir = self.context.streams_dir.join(incarnation.to_string());
        let gone = self.context.streams_dir.join(format!("{DELETED_PREFIX}{incarnation}"));
        let renamed = {
            let (context, gone) = (self.context.clone(), gone.clone());
            tokio::task::spawn_blocking(move || rename_away(&context, &dir, &gone)).await
        };
        let renamed = renamed.map_err(io::Error::other).and_then(|r| r);
        let forgotten = match renamed {
            Ok(()) => self.forget_rows().await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(fault) = forgotten {
            tracing::error!(stream = %name, fault, "the stream could not be deleted; the next start tries again");
            self.handle.status.set_fault(Some(format!("the deletion failed: {fault}")));
            return;
        }
        let context = self.context.clone();
        let removed = tokio::task::spawn_blocking(move || context.disk.remove_dir_all(&gone)).await;
        match removed.map_err(io::Error::other).and_then(|removed| removed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(stream = %name, %error, "a deleted stream left files; the next start removes them");
            }
            _ => {}
        }
        let mut streams = self.streams.lock();
        self.context.deleted.left(incarnation);
        if streams.get(name.as_str()).is_some_and(|h| h.incarnation == incarnation) {
            streams.remove(name.as_str());
        }
        drop(streams);
        let (all, discarded) = (fates.total(), fates.discarded);
        tracing::info!(
            stream = %name,
            received_records = all.records,
            discarded_records = discarded.records,
            discarded_bytes = discarded.bytes,
            "stream deleted"
        );
    }

    /// Takes back what attempts of discarded parcels left outside. The deletion waits for that only so long.
    async fn give_up_parcels(&self) {
        let lane = self.context.journal.lane(&LaneId::direct_put(self.record.definition.incarnation));
        let give_up = async {
            for parcel in lane.open.iter().flat_map(|seal| &seal.parcels) {
                self.context.destination.give_up(parcel).await;
            }
        };
        tokio::select! {
            () = give_up => {}
            () = tokio::time::sleep(self.context.options.stop_grace) => {
                let stream = &self.record.definition.name;
                tracing::warn!(%stream, "the destination does not say whether unfinished uploads are gone");
            }
            () = self.stop.asked() => {}
        }
    }

    /// Takes the stream out of the journal, then out of the catalog.
    async fn forget_rows(&self) -> Result<(), String> {
        let (context, incarnation) = (self.context.clone(), self.record.definition.incarnation);
        context.journal.forget(incarnation).await.map_err(|e| e.to_string())?;
        context.outbox.forget(incarnation);
        let name = self.record.definition.name.clone();
        let removed = tokio::task::spawn_blocking(move || context.catalog.remove(name.as_str(), incarnation));
        removed.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    /// What became of the stream's records, those included that are thrown away now. Of a log that could not be opened
    /// only what was sealed is known.
    fn fates(&self) -> Fates {
        self.handle.status.discarding().unwrap_or_else(|| {
            let lane = self.context.journal.lane(&LaneId::direct_put(self.record.definition.incarnation));
            let mut fates = lane.ledger;
            lane.open.iter().for_each(|seal| fates.discarded += seal.fates.total());
            fates
        })
    }
}

/// Why a lane could not be opened.
enum OpenError {
    /// The log is damaged, or cannot be read.
    Log(RecoveryError),
    /// The outbox cannot be read.
    Outbox(io::Error),
}

/// Lets nobody wait any longer when it is dropped.
struct KnownAtLast(Arc<LaneStatus>);

impl Drop for KnownAtLast {
    fn drop(&mut self) {
        self.0.set_known();
    }
}

/// Waits until the operator resumes the stream or a forced delete is asked for.
async fn resumed(
    wishes: &mut watch::Receiver<Wishes>,
    resumes: u64,
) -> Result<Option<Deleting>, watch::error::RecvError> {
    let asked = wishes.wait_for(|w| w.resumes != resumes || w.deleting == Some(Deleting::Forced)).await?;
    Ok(asked.deleting)
}

fn rename_away(context: &DeliveryContext, dir: &Path, gone: &Path) -> io::Result<()> {
    match context.disk.rename(dir, gone) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    context.disk.sync_dir(&context.streams_dir)
}
