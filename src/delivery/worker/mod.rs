//! The worker of one lane: waits for a cut, stages (`staging`), seals, sends, closes (`closing`).
//!
//! One task owns the lane's state; a run being staged and seals being sent are tasks of its own, joined before it
//! ends. While one seal is sent the next run is staged, up to the allowed number of open seals.

mod closing;
mod staging;

use super::DeliveryContext;
use super::narrow::Narrow;
use super::pace::Pace;
use super::panics::Panics;
use super::sealing::StageFailure;
use super::send::{History, Sender, Sent};
use super::spooled::{Half, partition_hints};
use super::status::LaneStatus;
use crate::batch::{Decision, ObjectRatio};
use crate::catalog::Catalog;
use crate::source::Lane;
use crate::stream::definition::Definition;
use crate::stream::seal::{CutReason, LaneId, Seal};
use crate::stream::{Position, StreamName};
use crate::task::{Stop, StopSource};
use staging::note_ratio;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
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
    /// Revision of the stream's definition at the last resume: what was sealed before may go where it says (rule D5).
    pub ordered_revision: u64,
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
    /// Held while a turn is being made and stored.
    pub turning: Arc<tokio::sync::Mutex<()>>,
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
    /// Requests of the lane that may be under way.
    requests: Arc<Semaphore>,
    /// Number of the last seal that is closed.
    closed_number: watch::Sender<u64>,
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
        self.status.opened(self.lane.readable(), consumed, &lane_state);
        let mut senders: JoinSet<(u64, Sent)> = JoinSet::new();
        let waiting_since = self.waiting_since(&lane_state.sealed).await;
        // Borrowed once: who borrows a second time while a writer waits in between, waits for that writer for ever.
        let Wishes { resumes, revision, .. } = *self.wishes.borrow();
        let mut state = State {
            sealed: lane_state.sealed.clone(),
            sealed_number: lane_state.sealed_number,
            open: VecDeque::new(),
            waiting_since,
            // A flush asked for before the worker ran counts; one obeyed before a fault is obeyed again, which is harmless.
            flushes_seen: 0,
            resumes_seen: resumes,
            revision_seen: revision,
            flush_upto_records: 0,
            staging: None,
            pace: Pace::default(),
            panics: Panics::default(),
            narrow: Narrow::default(),
            ratio: ObjectRatio::default(),
            requests: Arc::new(Semaphore::new(self.context.options.requests_in_flight)),
            closed_number: watch::Sender::new(lane_state.closed_number),
        };
        for seal in &lane_state.open {
            note_ratio(&mut state.ratio, seal);
            let history = History::of(&lane_state, seal.id);
            self.start_sender(seal.clone(), history, &mut state, &mut senders);
        }
        let ended = self.work(&mut state, &mut senders).await;
        self.wind_down(&mut state, &mut senders, &ended).await;
        ended
    }

    /// Since when the oldest record waits that was there before this worker, by its arrival: an interval goes on over a
    /// restart. The pieces of a spool have times of their own. A log that cannot be read is told of when it is cut.
    async fn waiting_since(&self, sealed: &Position) -> Option<Duration> {
        if matches!(self.half, Half::Second(_)) {
            return None;
        }
        let (lane, sealed) = (self.lane.clone(), sealed.clone());
        // On few threads: a thousand lanes begin at once, and each reads a block.
        let first = self.context.stages.run(move || lane.reader(&sealed, None)?.next_chunk(1, 1));
        let chunk = first.await.ok()?.ok()??;
        Some(self.context.clock.monotonic_at(chunk.slots.first()?.arrival_ms))
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

    fn start_sender(&self, seal: Arc<Seal>, history: History, state: &mut State, senders: &mut JoinSet<(u64, Sent)>) {
        let sender = Sender {
            context: self.context.clone(),
            name: self.name.clone(),
            lane: self.lane.clone(),
            stop: self.stop.clone(),
            wishes: self.wishes.clone(),
            status: self.status.clone(),
            requests: state.requests.clone(),
            turning: self.turning.clone(),
            closed_number: state.closed_number.subscribe(),
        };
        state.open.push_back(Open { seal: seal.clone(), delivered: false });
        senders.spawn(async move { (seal.number, sender.send(&seal, &history).await) });
    }
}

/// What the lane acts on now.
pub fn definition(catalog: &Catalog, name: &StreamName, lane: &LaneId) -> Option<Arc<Definition>> {
    let record = catalog.find(name.as_str()).filter(|row| row.definition.incarnation == lane.incarnation)?;
    if lane.is_backup() { record.definition.of_backup().map(Arc::new) } else { Some(record.definition.clone()) }
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
