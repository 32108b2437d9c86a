//! Keeps one stream's workers running from start to stop, and cleans up after a deletion (rule D12).
//!
//! From: `supervisor`, one for each stream of the catalog. Through: `opening`. To: `worker`, one after the other for each
//! of the stream's lanes: that of the destination (with dynamic partitioning two, one for each half), and that of the
//! source backup where there is one. A lane that cannot be
//! opened because the disk fails is tried again; a worker that faults stays down until the operator resumes it.

use super::DeliveryContext;
use super::opening::Opening;
use super::status::{LaneStatus, both_halves};
use super::supervisor::{Handle, Streams};
use super::worker::{Deleting, Ended, Wishes, Worker};
use crate::catalog::StreamRecord;
use crate::stream::seal::{Fates, LaneId};
use crate::task::Stop;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Prefix of a deleted stream's folder on its way out.
pub const DELETED_PREFIX: &str = ".deleted-";

/// Keeps one stream's workers running, and cleans up after a deletion.
pub struct Keeper {
    /// Shared parts.
    pub context: Arc<DeliveryContext>,
    /// All streams, from which a deleted one goes.
    pub streams: Arc<Streams>,
    /// The stream.
    pub record: Arc<StreamRecord>,
    /// What it tells and is asked.
    pub handle: Handle,
    /// Asks to stop.
    pub stop: Stop,
}

/// How a lane ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LaneEnd {
    Stopped,
    /// The stream may be deleted as far as this lane goes.
    Deleted,
}

impl Keeper {
    /// Runs until asked to stop or the stream is deleted, which takes all lanes.
    pub async fn keep(self) {
        // Even if it dies at once: the start waits for it.
        let Handle { status, backup, partitions, .. } = &self.handle;
        let _known = [status, backup, partitions].map(|status| KnownAtLast(status.clone()));
        let opening = Opening::new(self.context.clone(), self.record.clone());
        let incarnation = self.record.definition.incarnation;
        let delivery = async {
            let end = self.keep_lane(&opening, LaneId::direct_put(incarnation), status).await;
            if end == LaneEnd::Deleted {
                opening.end_spool().await;
            }
            end
        };
        let partitions = async {
            match self.record.definition.partitioning {
                Some(_) => self.keep_lane(&opening, LaneId::partitions(incarnation), partitions).await,
                None => LaneEnd::Deleted,
            }
        };
        let backed_up = async {
            match self.backup_wanted().await {
                Some(end) => end,
                None => self.keep_lane(&opening, LaneId::source_backup(incarnation), backup).await,
            }
        };
        let (delivery, partitions, backed_up) = tokio::join!(delivery, partitions, backed_up);
        if [delivery, partitions, backed_up] == [LaneEnd::Deleted; 3] {
            self.delete().await;
        }
    }

    /// Returns once the stream has a source backup. `Some`: it ended without one.
    async fn backup_wanted(&self) -> Option<LaneEnd> {
        let mut wishes = self.handle.wishes.subscribe();
        tokio::select! {
            () = self.stop.asked() => Some(LaneEnd::Stopped),
            wished = wishes.wait_for(|wishes| wishes.backup || wishes.deleting.is_some()) => match wished {
                Ok(wishes) if wishes.backup => None,
                Ok(_) => Some(LaneEnd::Deleted),
                Err(_) => Some(LaneEnd::Stopped),
            },
        }
    }

    /// Keeps the worker of one lane running. Its faults are its own: the other lane goes on.
    async fn keep_lane(&self, opening: &Opening, id: LaneId, status: &Arc<LaneStatus>) -> LaneEnd {
        let mut wishes = self.handle.wishes.subscribe();
        loop {
            // Counted before anything of a fault can be seen: who resumes because of it is not overlooked.
            let mut resumes = wishes.borrow().resumes;
            let ended = match opening.lane(&id, status, &mut wishes, &self.stop).await {
                Ok((lane, half)) => {
                    let mut worker = Worker {
                        context: self.context.clone(),
                        name: self.record.definition.name.clone(),
                        lane,
                        half,
                        status: status.clone(),
                        wishes: wishes.clone(),
                        stop: self.stop.clone(),
                        turning: Arc::default(),
                    };
                    let ended = worker.run().await;
                    resumes = wishes.borrow().resumes;
                    ended
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Stopped => return LaneEnd::Stopped,
                Ended::Deleted => return LaneEnd::Deleted,
                Ended::Faulted(fault) => {
                    let name = &self.record.definition.name;
                    let lane = &id.lane;
                    tracing::error!(stream = %name, lane, fault, "the lane stopped; mend the cause, then POST /streams/{name}/resume");
                    status.set_fault(Some(fault));
                    tokio::select! {
                        () = self.stop.asked() => return LaneEnd::Stopped,
                        deleting = resumed(&mut wishes, resumes) => match deleting {
                            Err(_) => return LaneEnd::Stopped,
                            Ok(Some(Deleting::Forced)) => return LaneEnd::Deleted,
                            Ok(_) => {}
                        },
                    }
                    status.set_fault(None);
                }
            }
        }
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
        self.context.learnt.forget(incarnation);
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
        let incarnation = self.record.definition.incarnation;
        let lanes = LaneId::all_of(incarnation).map(|lane| self.context.journal.lane(&lane));
        let give_up = async {
            let sealed = lanes.iter().flat_map(|lane| &lane.open).flat_map(|seal| &seal.parcels);
            let turned = lanes.iter().flat_map(|lane| &lane.turns).map(|turn| &turn.instead);
            for parcel in sealed.chain(turned) {
                self.context.destinations.of(parcel).give_up(parcel).await;
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
    /// what was sealed is known, and how many records more were acknowledged at least.
    fn fates(&self) -> Fates {
        let incarnation = self.record.definition.incarnation;
        let of_lane = |status: &LaneStatus, id: LaneId| {
            status.discarding().unwrap_or_else(|| {
                let lane = self.context.journal.lane(&id);
                let mut fates = lane.ledger;
                lane.open.iter().for_each(|seal| fates.discard(&seal.fates));
                fates
            })
        };
        let fates = of_lane(&self.handle.status, LaneId::direct_put(incarnation));
        match self.record.definition.partitioning {
            Some(_) => both_halves(&fates, &of_lane(&self.handle.partitions, LaneId::partitions(incarnation))),
            None => fates,
        }
    }
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
