//! Keeps a keeper for each stream of the catalog, and passes on what the operator wishes.
//!
//! The catalog is watched; the control plane never calls here. A stream whose worker faulted stays down, with its reason
//! in the status, until the operator resumes it, the stream is deleted, or the service starts anew.

use super::health::Area;
use super::keeper::{DELETED_PREFIX, Keeper};
use super::status::LaneStatus;
use super::worker::{Deleting, Wishes};
use super::{DeliveryContext, deleted};
use crate::catalog::{Status, StreamRecord};
use crate::journal::LaneState;
use crate::stream::Incarnation;
use crate::stream::seal::LaneId;
use crate::task::{Stop, StopSource, TaskSet};
use crate::telemetry::status::{OperationError, Operations, Overview, StreamStatus};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{oneshot, watch};

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
pub(super) struct Handle {
    pub incarnation: Incarnation,
    /// Of the lane that the destination gets.
    pub status: Arc<LaneStatus>,
    /// Of the source backup's lane, where there is one.
    pub backup: Arc<LaneStatus>,
    /// Of the second half of a delivery with dynamic partitioning.
    pub partitions: Arc<LaneStatus>,
    is_partitioned: bool,
    /// Whether it has had its source backup from the first revision on.
    is_backed_up_whole: bool,
    pub wishes: watch::Sender<Wishes>,
    /// Whether a keeper runs for it.
    kept: Arc<AtomicBool>,
}

impl Handle {
    fn has_backup(&self) -> bool {
        self.wishes.borrow().backup
    }
}

/// Handles by the names of their streams.
pub(super) type Streams = Mutex<BTreeMap<String, Handle>>;

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
            let status = |role| Arc::new(LaneStatus::new(name.clone(), role, context.clock.clone()));
            let backup = record.definition.backup.as_ref();
            let wishes = Wishes { backup: backup.is_some(), ..Wishes::default() };
            let handle = Handle {
                incarnation,
                status: status("delivery"),
                backup: status("source backup"),
                partitions: status("partitions"),
                is_partitioned: record.definition.partitioning.is_some(),
                is_backed_up_whole: backup.is_some_and(|backup| backup.since_revision == 1),
                wishes: watch::channel(wishes).0,
                kept: Arc::default(),
            };
            if let Some(before) = streams.insert(name, handle.clone()) {
                // Of the same name; its row is gone, whatever of its files is not.
                context.deleted.left(before.incarnation);
            }
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
        let handles: Vec<_> = supervisor.streams.lock().values().cloned().collect();
        for handle in handles {
            handle.status.known().await;
            if handle.has_backup() {
                handle.backup.known().await;
            }
            if handle.is_partitioned {
                handle.partitions.known().await;
            }
        }
        Ok(supervisor)
    }

    /// Stops all workers and joins them. What is open goes on at the next start.
    pub async fn stop(&self) {
        self.stop.ask();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        for died in tasks.join_all().await {
            tracing::error!(%died, "the supervisor of deliveries died");
        }
    }

    fn handle(&self, name: &str) -> Option<Handle> {
        let record = self.context.catalog.find(name);
        let handle = record.and_then(|record| handle_of(&self.context, &self.streams, &record));
        // One whose row is gone is shown until all of it is.
        handle.or_else(|| self.streams.lock().get(name).cloned())
    }

    /// Lets the log tell of lanes that no worker has opened yet: puts do not wait for one, and what they acknowledged is
    /// in flight. A source backup from the first revision on begins with the log as well.
    fn tell_unopened(&self, handle: &Handle) {
        let lanes = [
            (&handle.status, LaneId::direct_put(handle.incarnation), true),
            (&handle.backup, LaneId::source_backup(handle.incarnation), handle.is_backed_up_whole),
        ];
        for (status, id, begins_with_log) in lanes {
            if begins_with_log && !status.is_open() && self.context.journal.lane(&id) == LaneState::default() {
                self.context
                    .logs
                    .opened(handle.incarnation)
                    .into_iter()
                    .for_each(|log| status.unopened(log.progress()));
            }
        }
    }

    /// What a lane tells, with what is known of its stream besides.
    fn told(&self, handle: &Handle) -> StreamStatus {
        self.tell_unopened(handle);
        // The second half first: what moves between the looks is in flight in both, or in neither.
        let second = handle.is_partitioned.then(|| handle.partitions.snapshot());
        let mut status = handle.status.snapshot();
        let in_log_bytes = status.ledger.in_flight.bytes;
        if let Some(second) = second {
            status.add_second_half(second);
        }
        if let Some(fates) = self.context.deleted.leaving(handle.incarnation) {
            status.ledger = deleted::ledger(&fates);
        }
        // One that is shown has begun: what is put from then on is backed up.
        if handle.has_backup() {
            let has_begun = handle.backup.has_begun();
            status.set_backup(handle.backup.snapshot(), has_begun.then_some(in_log_bytes));
        }
        let record = self.context.catalog.find(&status.name);
        status.version = record.as_ref().map_or(0, |record| record.definition.revision);
        let beyond_objects =
            |record: &StreamRecord| record.definition.http.is_some() || record.definition.redshift.is_some();
        if record.as_deref().is_some_and(beyond_objects) {
            status.error_area = Some(status.destination);
            status.destination = handle.status.destination(Area::Endpoint);
        }
        let transform = record.as_ref().and_then(|record| record.definition.transform.as_ref());
        status.transform_problem =
            transform.and_then(|spec| self.context.transforms.problem(spec)).map(|problem| problem.to_string());
        let convert = record.as_ref().and_then(|record| record.definition.convert.as_ref());
        status.schema_problem = convert.and_then(|spec| self.context.schemas.problem(&spec.schema));
        status.learnt = self.context.learnt.status(handle.incarnation);
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
        let created: Vec<_> = {
            let (rows, streams) = (self.context.catalog.all(), self.streams.lock());
            let is_new = |row: &StreamRecord| {
                let known = streams.get(row.definition.name.as_str());
                known.is_none_or(|handle| handle.incarnation != row.definition.incarnation)
            };
            rows.into_iter().filter(|row| is_new(row)).collect()
        };
        for record in created {
            handle_of(&self.context, &self.streams, &record);
        }
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
        let handle = self.handle(name).ok_or_else(|| OperationError::Unknown(name.to_owned()))?;
        let done = handle.wishes.send_if_modified(|wishes| {
            wishes.flushes += u64::from(!wishes.paused);
            !wishes.paused
        });
        let paused = || format!("stream '{name}' is paused, nothing of it moves; POST /streams/{name}/resume before");
        done.then_some(()).ok_or_else(|| OperationError::Refused(paused()))
    }

    fn pause(&self, name: &str) -> Result<(), OperationError> {
        self.wish(name, |wishes| wishes.paused = true)
    }

    fn resume(&self, name: &str) -> Result<(), OperationError> {
        // By the catalog, for an update that was answered may not be among the wishes yet.
        let revision = self.context.catalog.find(name).map_or(0, |record| record.definition.revision);
        // Counted as a change even when it was not paused: it also restarts a faulted stream.
        self.wish(name, |wishes| {
            wishes.paused = false;
            wishes.resumes += 1;
            wishes.ordered_revision = revision;
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

/// Starts a worker for every stream that has none and passes deletions and new revisions on, until asked to stop.
/// Says on `started` when those of the first look are there.
async fn watch_catalog(context: Arc<DeliveryContext>, streams: Arc<Streams>, stop: Stop, started: oneshot::Sender<()>) {
    let mut started = Some(started);
    let mut changes = context.catalog.changes();
    let mut keepers = TaskSet::default();
    loop {
        changes.borrow_and_update();
        for record in context.catalog.all() {
            let Some(handle) = handle_of(&context, &streams, &record) else { continue };
            let deleting = match record.status {
                Status::Active => None,
                Status::Deleting { force: false } => Some(Deleting::Drained),
                Status::Deleting { force: true } => Some(Deleting::Forced),
            };
            let (revision, backup) = (record.definition.revision, record.definition.backup.is_some());
            handle.wishes.send_if_modified(|wishes| {
                let changed = (wishes.deleting, wishes.revision, wishes.backup) != (deleting, revision, backup);
                (wishes.deleting, wishes.revision, wishes.backup) = (deleting, revision, backup);
                changed
            });
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
