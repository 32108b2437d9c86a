//! The worker of one lane: waits for a cut, stages, seals, sends, closes.
//!
//! One task owns the lane's state; a run being staged and seals being sent are tasks of its own, joined before it
//! ends. While one seal is sent the next run is staged, up to the allowed number of open seals.

use super::DeliveryContext;
use super::narrow::Narrow;
use super::pace::Pace;
use super::panics::Panics;
use super::run::{MAX_EXPANDED_BYTES, RunPlan, StageRunError};
use super::sealing::{StageFailure, stage_and_seal};
use super::send::{Sender, Sent};
use super::spooled::{Half, Spooled, first_half_hints, partition_hints};
use super::status::LaneStatus;
use crate::batch::{CutFacts, Decision, ObjectRatio, decide};
use crate::catalog::Catalog;
use crate::failpoint;
use crate::fault::{Class, Fault, Retry};
use crate::source::Lane;
use crate::stream::definition::{Definition, Hints};
use crate::stream::seal::{Close, CutReason, LaneId, ParcelKind, Place, Seal};
use crate::stream::{Position, StreamName};
use crate::task::{Stop, StopSource};
use crate::telemetry::metrics;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What is asked of a worker; the newest value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Neither cut nor send.
    pub paused: bool,
    /// Goes up by one for each flush asked for.
    pub flushes: u64,
    /// Goes up by one for each resume asked for.
    pub resumes: u64,
    /// The stream has a source backup.
    pub backup: bool,
    /// The stream is being deleted.
    pub deleting: Option<Deleting>,
    /// Revision of the stream's definition, which counts from the next cut on.
    pub revision: u64,
}

/// How a stream is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleting {
    /// Deliver what is there first.
    Drained,
    /// Throw away what is there.
    Forced,
}

/// Why a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Asked to stop; everything open goes on at the next start.
    Stopped,
    /// The stream is deleted as far as delivery goes.
    Deleted,
    /// A fault that trying again cannot mend.
    Faulted(String),
}

/// The worker of one lane. Wishes are the stream's: all of its lanes obey them.
pub struct Worker {
    /// Shared parts.
    pub context: Arc<DeliveryContext>,
    /// Whose.
    pub name: StreamName,
    /// The lane.
    pub lane: Arc<dyn Lane>,
    /// What of the delivery it does.
    pub half: Half,
    /// What it tells.
    pub status: Arc<LaneStatus>,
    /// What is asked of it.
    pub wishes: watch::Receiver<Wishes>,
    /// Asks to stop.
    pub stop: Stop,
}

/// A seal on its way.
struct Open {
    seal: Arc<Seal>,
    delivered: bool,
}

/// The lane's state while the worker runs.
struct State {
    sealed: Position,
    sealed_number: u64,
    open: VecDeque<Open>,
    waiting_since: Option<Duration>,
    flushes_seen: u64,
    resumes_seen: u64,
    revision_seen: u64,
    /// Records up to this count were asked to be flushed.
    flush_upto_records: u64,
    staging: Option<Staging>,
    pace: Pace,
    panics: Panics,
    narrow: Narrow,
    /// For streams with a target size of objects.
    ratio: ObjectRatio,
}

struct Staging {
    task: JoinHandle<Result<Option<Arc<Seal>>, StageFailure>>,
    records_read: Arc<AtomicU64>,
    abandon: StopSource,
    began: Duration,
    reason: CutReason,
    /// That of the definition it is by.
    revision: u64,
    /// Most source bytes it may have.
    run_bytes: u64,
}

impl Worker {
    /// Runs until stopped, deleted or faulted. Tasks of its own are joined before it returns.
    pub async fn run(&mut self) -> Ended {
        let lane_state = self.context.journal.lane(self.lane.id());
        let consumed = self.lane.consumed(&lane_state.sealed);
        self.status.opened(self.lane.readable(), consumed, lane_state.ledger, &lane_state.open);
        let mut senders: JoinSet<(u64, Sent)> = JoinSet::new();
        let mut state = State {
            sealed: lane_state.sealed,
            sealed_number: lane_state.sealed_number,
            open: VecDeque::new(),
            waiting_since: None,
            // A flush asked for before the worker ran counts; one obeyed before a fault is obeyed again, which is harmless.
            flushes_seen: 0,
            resumes_seen: self.wishes.borrow().resumes,
            revision_seen: self.wishes.borrow().revision,
            flush_upto_records: 0,
            staging: None,
            pace: Pace::default(),
            panics: Panics::default(),
            narrow: Narrow::default(),
            ratio: ObjectRatio::default(),
        };
        for seal in lane_state.open {
            note_ratio(&mut state.ratio, &seal);
            self.start_sender(seal, &mut state, &mut senders);
        }
        let ended = self.work(&mut state, &mut senders).await;
        self.wind_down(&mut state, &mut senders, &ended).await;
        ended
    }

    async fn work(&mut self, state: &mut State, senders: &mut JoinSet<(u64, Sent)>) -> Ended {
        let mut readable = self.lane.readable();
        let mut wishes = self.wishes.clone();
        // Of the first half alone; nobody sends anything to the others.
        let (_never, never) = watch::channel(false);
        let mut held = if let Half::First(spooled) = &self.half { spooled.held() } else { never };
        loop {
            if let Err(fault) = self.close_delivered(state).await {
                return Ended::Faulted(fault);
            }
            let wish = wishes.borrow_and_update().clone();
            self.status.set_wishes(wish.paused, wish.deleting.is_some());
            if wish.paused
                && let Some(staging) = &state.staging
            {
                // What is not sealed did not happen; a guest that loops is stopped with it.
                staging.abandon.ask();
            }
            let now = self.context.clock.monotonic();
            let (available, ended) = {
                let readable = readable.borrow_and_update();
                (readable.records, readable.ended)
            };
            if wish.deleting.is_some() && !ended {
                self.lane.refuse_appends();
            }
            let consumed = self.status.consumed().records;
            if wish.resumes != state.resumes_seen {
                state.resumes_seen = wish.resumes;
                state.pace.resumed();
            }
            if wish.revision != state.revision_seen {
                tracing::debug!(stream = %self.name, version = wish.revision, "the next cut is by this version");
                state.revision_seen = wish.revision;
                // What could not be staged as the stream was before may be possible now.
                state.pace.resumed();
                state.panics = Panics::default();
            }
            if wish.flushes != state.flushes_seen {
                state.flushes_seen = wish.flushes;
                state.flush_upto_records = available;
            }
            let waiting_records = available.saturating_sub(consumed);
            if waiting_records == 0 {
                state.waiting_since = None;
            } else if state.waiting_since.is_none() {
                state.waiting_since = Some(now);
            }
            let oldest_ms = if let Half::Second(spooled) = &self.half { spooled.oldest_arrival_ms() } else { None };
            self.status.set_waiting_since(state.waiting_since, oldest_ms);
            match wish.deleting {
                Some(Deleting::Forced) => return Ended::Deleted,
                Some(Deleting::Drained)
                    if ended && waiting_records == 0 && state.open.is_empty() && state.staging.is_none() =>
                {
                    return Ended::Deleted;
                }
                _ => {}
            }

            if let Half::Second(spooled) = &self.half
                && let Some(definition) = definition(&self.context.catalog, &self.name, self.lane.id())
            {
                spooled.hold(self.status.is_failing(), &partition_hints(&definition));
            }
            let mut timer = None;
            if !*held.borrow_and_update() && self.may_stage(state, &wish) && waiting_records > 0 {
                match self.decide(state, &wish, now, ended) {
                    Some(_) if state.pace.wait(now).is_some() => timer = state.pace.wait(now),
                    Some(Decision::Cut(reason)) => self.start_staging(state, reason, &wish, now),
                    Some(Decision::Wait(wait)) => timer = Some(wait),
                    Some(Decision::Nothing) => {}
                    None => return Ended::Faulted("the stream's definition is gone from the catalog".to_owned()),
                }
            }

            tokio::select! {
                () = self.stop.asked() => return Ended::Stopped,
                changed = readable.changed() => if changed.is_err() {
                    return Ended::Faulted("the lane is gone".to_owned());
                },
                changed = wishes.changed() => if changed.is_err() {
                    return Ended::Stopped;
                },
                _ = held.changed() => {}
                staged = staged(&mut state.staging) => {
                    if let Some(fault) = self.take_staged(staged, state, senders) {
                        return Ended::Faulted(fault);
                    }
                }
                Some(sent) = senders.join_next() => match sent {
                    Ok((number, Sent::Delivered)) => {
                        if let Some(open) = state.open.iter_mut().find(|o| o.seal.number == number) {
                            open.delivered = true;
                        }
                    }
                    Ok((_, Sent::Stopped)) => return Ended::Stopped,
                    Ok((_, Sent::Faulted(fault))) => return Ended::Faulted(fault),
                    Err(died) => return Ended::Faulted(format!("a sender died: {died}")),
                },
                () = sleep(timer) => {}
            }
        }
    }

    fn may_stage(&self, state: &State, wish: &Wishes) -> bool {
        let options = &self.context.options;
        let most = if self.status.is_failing() { options.max_open_seals_failing } else { options.max_open_seals };
        state.staging.is_none() && !wish.paused && state.open.len() < most
    }

    fn decide(&self, state: &State, wish: &Wishes, now: Duration, ended: bool) -> Option<Decision> {
        let definition = definition(&self.context.catalog, &self.name, self.lane.id())?;
        let consumed = self.status.consumed();
        let readable = *self.lane.readable().borrow();
        let hints = match &self.half {
            Half::Whole => state.narrow.hints(Hints { size_bytes: size_bytes(state, &definition), ..definition.hints }),
            Half::First(_) => state.narrow.hints(first_half_hints(definition.hints)),
            Half::Second(spooled) => {
                let everything = self.everything(state, spooled, wish);
                let hints = state.narrow.partition_hints(partition_hints(&definition));
                return Some(spooled.decide(&hints, now, everything));
            }
        };
        Some(decide(&CutFacts {
            waiting_records: readable.records.saturating_sub(consumed.records),
            waiting_bytes: readable.bytes.saturating_sub(consumed.bytes),
            waited: state.waiting_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            hints,
            flush: state.flush_upto_records > consumed.records,
            ending: wish.deleting.is_some(),
            lane_ended: ended,
        }))
    }

    /// Why all partitions are to be cut, if they are.
    fn everything(&self, state: &State, spooled: &Spooled, wish: &Wishes) -> Option<CutReason> {
        let flush_upto_records = state.flush_upto_records.max(spooled.flush_upto_records());
        match wish.deleting {
            Some(_) => Some(CutReason::Stop),
            None => (flush_upto_records > self.status.consumed().records).then_some(CutReason::Flush),
        }
    }

    fn start_staging(&self, state: &mut State, reason: CutReason, wish: &Wishes, now: Duration) {
        let Some(definition) = definition(&self.context.catalog, &self.name, self.lane.id()) else {
            return;
        };
        let (max_records, refuse_all) = state.panics.next();
        let (max_bytes, cuts) = match &self.half {
            Half::Whole => {
                let hints = Hints { size_bytes: size_bytes(state, &definition), ..definition.hints };
                (state.narrow.hints(hints).size_bytes, Vec::new())
            }
            Half::First(_) => (state.narrow.hints(first_half_hints(definition.hints)).size_bytes, Vec::new()),
            Half::Second(spooled) => {
                let everything = self.everything(state, spooled, wish);
                // The last resort must not take others with it.
                let most = if refuse_all.is_some() { 1 } else { state.narrow.most_partitions() };
                let hints = state.narrow.partition_hints(partition_hints(&definition));
                let cuts = spooled.cut(&hints, now, everything, most);
                if cuts.is_empty() {
                    return;
                }
                (u64::MAX, cuts)
            }
        };
        let records_read = Arc::new(AtomicU64::new(0));
        let abandon = StopSource::new();
        let plan = RunPlan {
            from: state.sealed.clone(),
            number: state.sealed_number + 1,
            cut: reason,
            max_expanded_bytes: MAX_EXPANDED_BYTES,
            max_bytes,
            target_object_bytes: definition
                .target_object_bytes
                .filter(|_| matches!(self.half, Half::Whole))
                .map(|bytes| state.narrow.bytes(bytes)),
            half: self.half.clone(),
            cuts,
            max_records,
            refuse_all,
            records_read: records_read.clone(),
            stop: self.stop.clone(),
            abandon: abandon.stop(),
            definition,
        };
        let revision = plan.definition.revision;
        let readable_bytes = self.lane.readable().borrow().bytes;
        let run_bytes = match &plan.cuts[..] {
            [] => max_bytes.min(readable_bytes.saturating_sub(self.status.consumed().bytes)),
            cuts => cuts.iter().flat_map(|cut| &cut.pieces).map(|piece| piece.size_bytes).sum(),
        };
        #[allow(clippy::disallowed_methods, reason = "has a result; joined by `staged` or by `wind_down`")]
        let task = tokio::spawn(stage_and_seal(self.context.clone(), self.lane.clone(), self.status.clone(), plan));
        state.staging = Some(Staging { task, records_read, abandon, began: now, reason, revision, run_bytes });
    }

    /// Takes over what staging brought. `Some`: a fault.
    fn take_staged(
        &self,
        staged: Result<Option<Arc<Seal>>, StageFailure>,
        state: &mut State,
        senders: &mut JoinSet<(u64, Sent)>,
    ) -> Option<String> {
        let staging = state.staging.take()?;
        let now = self.context.clock.monotonic();
        let failure = match staged {
            Ok(Some(seal)) => {
                metrics::cut(cut_metric(staging.reason));
                let bytes = seal.parcels.iter().map(|p| p.length_bytes).sum();
                metrics::sealed(bytes, now.saturating_sub(staging.began));
                state.sealed = seal.run.to.clone();
                state.sealed_number = seal.number;
                state.waiting_since = Some(staging.began);
                state.panics.note_sealed();
                state.narrow.note_sealed();
                note_ratio(&mut state.ratio, &seal);
                self.note_sealed();
                if state.pace.sealed() && state.open.is_empty() {
                    self.status.attempt_succeeded();
                }
                let before = self.status.consumed().records - seal.fates.total().records;
                if let Half::First(spooled) = &self.half
                    && state.flush_upto_records > before
                {
                    spooled.flush();
                }
                self.start_sender(seal, state, senders);
                return None;
            }
            Ok(None) => StageFailure::Run(StageRunError::Bug("records wait, but none could be read".to_owned())),
            Err(failure) => failure,
        };
        let (text, retry) = match failure {
            StageFailure::Panicked(text) => {
                metrics::stage_panicked();
                tracing::error!(stream = %self.name, lane = self.lane.id().lane, text, "a stage panicked; the run is tried again");
                state.panics.note(staging.records_read.load(Ordering::Relaxed), text.clone());
                (format!("a stage panicked: {text}"), Retry::Backoff)
            }
            // What asked for it is seen at the next turn of the loop.
            StageFailure::Run(StageRunError::Stopped) => return None,
            StageFailure::Run(error) => {
                if error.is_no_room() {
                    state.narrow.note_no_room(staging.run_bytes);
                }
                let retry = if error.class() == Class::User { Retry::AfterOperator } else { Retry::Backoff };
                (error.to_string(), retry)
            }
            StageFailure::Journal(text) => (text, Retry::Backoff),
        };
        let pause = state.pace.failed(&self.context.options, retry, now);
        if staging.revision != state.revision_seen {
            // It says nothing of the stream as it is now.
            state.pace.resumed();
            state.panics = Panics::default();
        }
        self.status.trouble(text, retry, pause);
        None
    }

    /// What was cut of the spool is sealed.
    fn note_sealed(&self) {
        if let Half::Second(spooled) = &self.half {
            spooled.sealed();
        }
    }

    fn start_sender(&self, seal: Arc<Seal>, state: &mut State, senders: &mut JoinSet<(u64, Sent)>) {
        let sender = Sender {
            context: self.context.clone(),
            lane: self.lane.clone(),
            stop: self.stop.clone(),
            wishes: self.wishes.clone(),
            status: self.status.clone(),
        };
        state.open.push_back(Open { seal: seal.clone(), delivered: false });
        senders.spawn(async move { (seal.number, sender.send(&seal).await) });
    }

    /// Closes what is delivered, in order, and frees what it held.
    async fn close_delivered(&self, state: &mut State) -> Result<(), String> {
        while let Some(front) = state.open.front().filter(|open| open.delivered) {
            let seal = front.seal.clone();
            failpoint::crash_at(failpoint::AFTER_DELIVER);
            let close = Close { seal: seal.id, lane: seal.lane.clone(), number: seal.number };
            let mut failed = false;
            while let Err(error) = self.context.journal.close(close.clone()).await {
                let text = format!("a close could not be stored: {error}");
                if error.retry() != Retry::Backoff {
                    return Err(text);
                }
                failed = true;
                self.status.trouble(text, Retry::Backoff, self.context.options.backoff_first);
                tokio::select! {
                    () = tokio::time::sleep(self.context.options.backoff_first) => {}
                    // The seal stays open: its parcels are found delivered at the next start.
                    () = self.stop.asked() => return Ok(()),
                }
            }
            failpoint::crash_at(failpoint::AFTER_CLOSE);
            if failed {
                self.status.attempt_succeeded();
            }
            metrics::closed();
            self.status.closed(&seal);
            state.open.pop_front();
            self.free(&seal).await?;
        }
        Ok(())
    }

    async fn free(&self, seal: &Arc<Seal>) -> Result<(), String> {
        let (context, lane, seal) = (self.context.clone(), self.lane.clone(), seal.clone());
        let spooled = self.half.spooled().cloned();
        let freed = tokio::task::spawn_blocking(move || {
            for parcel in &seal.parcels {
                if let Place::File { name } = &parcel.place
                    && let Err(error) = context.outbox.free(seal.lane.incarnation, name)
                {
                    tracing::warn!(file = name, %error, "a delivered parcel could not be removed");
                }
            }
            if let Some(spooled) = spooled {
                spooled.free_closed(&context);
            }
            lane.release();
        });
        freed.await.map_err(|died| format!("freeing closed data died: {died}"))
    }

    /// Ends what is still running. A stop gives attempts that run the grace period; a forced delete none.
    async fn wind_down(&self, state: &mut State, senders: &mut JoinSet<(u64, Sent)>, ended: &Ended) {
        if let Some(staging) = state.staging.take() {
            staging.abandon.ask();
            // A seal that comes of it all the same is found in the journal by the next worker, which goes on behind it.
            if let Ok(Ok(Some(_))) = staging.task.await {
                self.note_sealed();
            }
        }
        if *ended == Ended::Stopped {
            let grace = tokio::time::sleep(self.context.options.stop_grace);
            tokio::pin!(grace);
            loop {
                tokio::select! {
                    sent = senders.join_next() => match sent {
                        None => break,
                        Some(Ok((number, Sent::Delivered))) => {
                            state.open.iter_mut().filter(|o| o.seal.number == number).for_each(|o| o.delivered = true);
                        }
                        Some(_) => {}
                    },
                    () = &mut grace => break,
                }
            }
            if let Err(fault) = self.close_delivered(state).await {
                tracing::warn!(stream = %self.name, fault, "closing at the stop failed");
            }
        }
        senders.shutdown().await;
    }
}

/// Source bytes at which a run is cut.
fn size_bytes(state: &State, definition: &Definition) -> u64 {
    definition.target_object_bytes.map_or(definition.hints.size_bytes, |target| state.ratio.source_bytes(target))
}

fn note_ratio(ratio: &mut ObjectRatio, seal: &Seal) {
    let objects = seal.parcels.iter().filter(|parcel| parcel.kind == ParcelKind::Data && parcel.records > 0);
    ratio.note(seal.fates.total().bytes, objects.map(|parcel| parcel.length_bytes).sum());
}

/// What the lane acts on now.
fn definition(catalog: &Catalog, name: &StreamName, lane: &LaneId) -> Option<Arc<Definition>> {
    let record = catalog.find(name.as_str()).filter(|row| row.definition.incarnation == lane.incarnation)?;
    if lane.is_backup() { record.definition.of_backup().map(Arc::new) } else { Some(record.definition.clone()) }
}

fn cut_metric(reason: CutReason) -> metrics::Cut {
    match reason {
        CutReason::Size => metrics::Cut::Size,
        CutReason::Interval => metrics::Cut::Interval,
        CutReason::Flush => metrics::Cut::Flush,
        CutReason::Stop => metrics::Cut::Stop,
        CutReason::LaneEnd => metrics::Cut::LaneEnd,
    }
}

/// Waits for the staging that runs; for ever without one.
async fn staged(staging: &mut Option<Staging>) -> Result<Option<Arc<Seal>>, StageFailure> {
    match staging {
        Some(staging) => match (&mut staging.task).await {
            Ok(staged) => staged,
            Err(died) => Err(StageFailure::Panicked(died.to_string())),
        },
        None => std::future::pending().await,
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
