//! Brings the parcels of one seal out: attempts until each is delivered or given up, by the policy of
//! `destination::retry`.
//!
//! Objects are never given up (rule D4). Loads of them begin when they are out, and one after the other over all seals of
//! the lane (rule D6): each after the seal before is closed. A request or a load is given up once its retry time is over,
//! or its endpoint refuses it for good, by settings that are still the newest, and nothing of it can come out late: a
//! turn is stored (`turning`, rule D3), and the error parcel goes out in its place. The objects of a load are put once
//! more before. How often it failed, and what of the retry time is used up, is stored with the seal before each pause and
//! behind it, so a restart neither begins anew nor gives up early; a kill costs the part of one pause that had gone by.

use super::health::{Area, Key};
use super::status::LaneStatus;
use super::turning;
use super::worker::{Wishes, definition};
use super::{DeliveryContext, DeliveryOptions};
use crate::destination::retry::{self, Next, Pauses, Tried};
use crate::destination::{Consignment, DeliveryError, Settled};
use crate::failpoint;
use crate::fault::{Class, Retry};
use crate::journal::LaneState;
use crate::record::ParcelBytes;
use crate::source::Lane;
use crate::stream::definition::Definition;
use crate::stream::seal::{Attempts, Parcel, ParcelKind, Place, Seal, Turn};
use crate::stream::{SealId, StreamName};
use crate::task::Stop;
use crate::telemetry::metrics::{self, AttemptFailure};
use futures::stream::{self, StreamExt};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Requests of one seal that are looked after at once; how many are under way, `Sender::requests` says.
const REQUESTS_AT_ONCE: usize = 16;

/// Pauses from this on are stored when they are over too; shorter ones with the failure of the next attempt.
const KEPT_PAUSE: Duration = Duration::from_secs(1);

/// How sending a seal ended.
#[derive(Debug)]
pub enum Sent {
    /// Every parcel is at its destination, or its records are in the error area.
    Delivered,
    /// Asked to stop before that.
    Stopped,
    /// Something that trying again cannot mend.
    Faulted(String),
}

/// What was stored of a seal since it was sealed.
#[derive(Debug, Default)]
pub struct History {
    turns: Vec<Arc<Turn>>,
    attempts: Vec<Arc<Attempts>>,
}

impl History {
    /// That of a seal which was open at the start.
    pub fn of(lane: &LaneState, seal: SealId) -> Self {
        Self {
            turns: lane.turns.iter().filter(|turn| turn.seal == seal).cloned().collect(),
            attempts: lane.attempts.iter().filter(|attempts| attempts.seal == seal).cloned().collect(),
        }
    }

    fn tried(&self, parcel: u32) -> Tried {
        let stored = self.attempts.iter().find(|attempts| attempts.parcel == parcel);
        stored.map_or_else(Tried::default, |stored| Tried {
            failed: stored.failed,
            paused: Duration::from_millis(stored.paused_ms),
        })
    }
}

/// Everything a sender needs.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Shared parts.
    pub context: Arc<DeliveryContext>,
    /// Whose.
    pub name: StreamName,
    /// Whose records these are; for parcels that are a range of the log.
    pub lane: Arc<dyn Lane>,
    /// Asks to give up without a result.
    pub stop: Stop,
    /// While paused, no attempt is started; a resume ends a pause between attempts.
    pub wishes: watch::Receiver<Wishes>,
    /// Where progress is told.
    pub status: Arc<LaneStatus>,
    /// Requests of the lane that may be under way.
    pub requests: Arc<Semaphore>,
    /// Held while a turn is being made and stored.
    pub turning: Arc<tokio::sync::Mutex<()>>,
    /// Number of the lane's last seal that is closed.
    pub closed_number: watch::Receiver<u64>,
}

/// How bringing out one parcel ended.
enum Brought {
    Out,
    GivenUp(Tried, DeliveryError),
    Not(Sent),
}

fn is_load(seal: &Seal, at: usize) -> bool {
    matches!(seal.parcels[at].kind, ParcelKind::Load(_))
}

fn revision(definition: &Option<Arc<Definition>>) -> Option<u64> {
    definition.as_ref().map(|definition| definition.revision)
}

impl Sender {
    /// Sends all parcels of `seal`: objects one after the other, requests beside each other, loads when it is their turn.
    pub async fn send(&self, seal: &Arc<Seal>, history: &History) -> Sent {
        let (loads, others): (Vec<usize>, Vec<usize>) = (0..seal.parcels.len()).partition(|at| is_load(seal, *at));
        match self.send_all(seal, others, history).await {
            Sent::Delivered if !loads.is_empty() => {}
            sent => return sent,
        }
        let mut closed_number = self.closed_number.clone();
        let is_next = tokio::select! {
            // An error means that the worker is gone; the stop request follows.
            closed = closed_number.wait_for(|closed| closed + 1 >= seal.number) => closed.is_ok(),
            () = self.stop.asked() => false,
        };
        if is_next { self.send_all(seal, loads, history).await } else { Sent::Stopped }
    }

    /// Sends the parcels at these places of `seal`.
    async fn send_all(&self, seal: &Seal, places: Vec<usize>, history: &History) -> Sent {
        let is_request = |at: &usize| matches!(seal.parcels[*at].kind, ParcelKind::Request(_));
        let at_once = if places.iter().any(is_request) { REQUESTS_AT_ONCE } else { 1 };
        let mut parcels =
            stream::iter(places).map(|at| self.send_parcel(seal, &seal.parcels[at], history)).buffer_unordered(at_once);
        let mut ended = Sent::Delivered;
        while let Some(sent) = parcels.next().await {
            match sent {
                Sent::Delivered => {}
                // Attempts of others that run have the grace of a stop.
                Sent::Stopped => ended = sent,
                Sent::Faulted(_) => return sent,
            }
        }
        ended
    }

    async fn send_parcel(&self, seal: &Seal, parcel: &Parcel, history: &History) -> Sent {
        let stored = history.turns.iter().find(|turn| turn.parcel == parcel.number);
        let mut turn = stored.cloned();
        let mut tried = history.tried(parcel.number);
        let turn = loop {
            if let Some(turn) = turn {
                break turn;
            }
            let (given_up, error) = match self.bring_out(seal, parcel, tried).await {
                Brought::Out => return Sent::Delivered,
                Brought::Not(sent) => return sent,
                Brought::GivenUp(tried, error) => (tried, error),
            };
            if let ParcelKind::Load(_) = &parcel.kind {
                // Somebody may have removed them meanwhile, and what is kept of a load names them. They are here until the
                // seal is closed.
                let places = (0..seal.parcels.len()).filter(|at| !is_load(seal, *at)).collect();
                match Box::pin(self.send_all(seal, places, history)).await {
                    Sent::Delivered => {}
                    sent => return sent,
                }
            }
            turn = match turning::turn(self, seal, parcel, &given_up, &error).await {
                Ok(turn) => turn,
                Err(sent) => return sent,
            };
            tried = given_up;
        };
        match self.bring_out(seal, &turn.instead, Tried::default()).await {
            Brought::Out => Sent::Delivered,
            Brought::Not(sent) => sent,
            Brought::GivenUp(_, error) => Sent::Faulted(format!("internal error: an object was given up: {error}")),
        }
    }

    /// Attempts until the parcel is out or given up; `tried` are those before.
    async fn bring_out(&self, seal: &Seal, parcel: &Parcel, mut tried: Tried) -> Brought {
        let (area, key): (Area, Key) = (Area::of(&parcel.kind), (seal.number, parcel.number));
        let pauses = self.context.options.pauses();
        let mut range = None;
        loop {
            if !self.may_start().await {
                return Brought::Not(Sent::Stopped);
            }
            let permits = self.permits(area, tried.failed > 0).await;
            // It may have waited long.
            if !self.may_start().await {
                return Brought::Not(Sent::Stopped);
            }
            failpoint::crash_at(failpoint::DURING_DELIVER);
            let started = self.context.clock.monotonic();
            let resumes = self.wishes.borrow().resumes;
            let mut tried_by = None;
            let attempt = self.attempt(seal, parcel, &mut range, &mut tried_by).await;
            drop(permits);
            let error = match attempt {
                Ok(()) => {
                    failpoint::crash_at(failpoint::WRITTEN_REPLY_LOST);
                    let took = self.context.clock.monotonic().saturating_sub(started);
                    metrics::delivered(parcel.own_bytes(), took);
                    self.status.attempt_succeeded(area, key);
                    return Brought::Out;
                }
                Err(error) => error,
            };
            tried.failed = tried.failed.saturating_add(1);
            // What is wrong on this side is no reason to give up.
            let retry_time = self.retry_time(parcel).filter(|_| !error.is_of_this_side());
            let next = retry::next(&pauses, &tried, &error, retry_time, fastrand::f64());
            metrics::attempt_failed(match (next, error.retry) {
                (Next::Fault, _) => AttemptFailure::Fault,
                (_, Retry::AfterOperator) => AttemptFailure::NeedsOperator,
                _ => AttemptFailure::Retry,
            });
            let pause = match next {
                Next::Fault => return Brought::Not(Sent::Faulted(error.to_string())),
                Next::GiveUp => {
                    let reason = match self.settle(seal, parcel).await {
                        Ok(Settled::NotDelivered) if revision(&tried_by) == revision(&self.newest()) => {
                            self.status.attempt_failed(area, key, &error, Duration::ZERO);
                            failpoint::crash_at(failpoint::AFTER_SETTLE);
                            return Brought::GivenUp(tried, error);
                        }
                        Ok(Settled::Delivered) => {
                            self.status.attempt_succeeded(area, key);
                            return Brought::Out;
                        }
                        // The stream was updated meanwhile: what the attempt failed by may be mended.
                        Ok(Settled::NotDelivered) => DeliveryError { retry: Retry::Backoff, ..error.clone() },
                        // It waits until that can be told, and is attempted again meanwhile.
                        Err(unsettled) => unsettled,
                    };
                    match retry::next(&pauses, &tried, &reason, None, fastrand::f64()) {
                        Next::Again(pause) => {
                            self.status.attempt_failed(area, key, &reason, pause);
                            pause
                        }
                        Next::GiveUp | Next::Fault => return Brought::Not(Sent::Faulted(reason.to_string())),
                    }
                }
                Next::Again(pause) => {
                    self.status.attempt_failed(area, key, &error, pause);
                    pause
                }
            };
            if retry_time.is_some() {
                self.keep(seal, parcel, &tried, &error).await;
            }
            let (waited, is_stopped) = self.wait(pause, resumes).await;
            if retry_time.is_some() {
                tried.paused += waited;
                // Else who stops the service again and again, now or in the middle of the next attempt, would have the
                // time begin anew.
                if is_stopped || waited >= KEPT_PAUSE {
                    self.keep(seal, parcel, &tried, &error).await;
                }
            }
            if is_stopped {
                return Brought::Not(Sent::Stopped);
            }
        }
    }

    /// A pause, which a stop ends, or a resume beyond those that the attempt before it knew of; how long it was, and whether
    /// a stop ended it.
    async fn wait(&self, pause: Duration, resumes: u64) -> (Duration, bool) {
        let began = self.context.clock.monotonic();
        let mut wishes = self.wishes.clone();
        let is_stopped = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            _ = wishes.wait_for(|wishes| wishes.resumes != resumes) => false,
            () = self.stop.asked() => true,
        };
        (self.context.clock.monotonic().saturating_sub(began), is_stopped)
    }

    /// Whatever bounds the attempts that run at the same time. Requests have a bound for each lane, so an endpoint that
    /// does not answer delays its own stream alone.
    async fn permits(&self, area: Area, has_failed: bool) -> impl Drop + use<'_> {
        let mut permits = Vec::new();
        match area {
            Area::Endpoint => permits.extend(self.requests.acquire().await),
            Area::Objects => {
                if has_failed || self.status.is_failing() {
                    permits.extend(self.context.failing_permits.acquire().await);
                }
                permits.extend(self.context.send_permits.acquire().await);
            }
        }
        permits
    }

    /// Waits while paused. `false`: asked to stop.
    async fn may_start(&self) -> bool {
        let mut wishes = self.wishes.clone();
        tokio::select! {
            // An error means that nobody is left who could resume; the stop request follows.
            result = wishes.wait_for(|wishes| !wishes.paused) => result.is_ok() && !self.stop.is_asked(),
            () = self.stop.asked() => false,
        }
    }

    /// The stream's newest definition, by which parcels are sent.
    pub fn newest(&self) -> Option<Arc<Definition>> {
        definition(&self.context.catalog, &self.name, self.lane.id())
    }

    /// The pauses after which the parcel is given up, by the stream's newest definition.
    fn retry_time(&self, parcel: &Parcel) -> Option<Duration> {
        match parcel.kind {
            ParcelKind::Request(_) => Some(Duration::from_millis(self.newest()?.http.as_ref()?.retry_ms)),
            ParcelKind::Load(_) => Some(Duration::from_millis(self.newest()?.redshift.as_ref()?.retry_ms)),
            ParcelKind::Data | ParcelKind::Error(_) => None,
        }
    }

    /// Stores what a restart goes on from. That it could not be stored costs time at most.
    async fn keep(&self, seal: &Seal, parcel: &Parcel, tried: &Tried, error: &DeliveryError) {
        let attempts = Attempts {
            seal: seal.id,
            lane: seal.lane.clone(),
            parcel: parcel.number,
            failed: tried.failed,
            paused_ms: u64::try_from(tried.paused.as_millis()).unwrap_or(u64::MAX),
            last_error: turning::shortened(&error.to_string()),
        };
        if let Err(error) = self.context.journal.attempts(attempts).await {
            tracing::debug!(stream = %self.name, %error, "attempts could not be stored");
        }
    }

    /// One attempt, by the newest definition, which `tried_by` is set to. The bytes are opened for it alone: a parcel
    /// that waits for the next one keeps no file open, be it of the outbox or a superseded one of the journal. A `range`
    /// of the log is kept: it took reading the run to find it.
    async fn attempt(
        &self,
        seal: &Seal,
        parcel: &Parcel,
        range: &mut Option<Arc<dyn ParcelBytes>>,
        tried_by: &mut Option<Arc<Definition>>,
    ) -> Result<(), DeliveryError> {
        let bytes = match range {
            Some(range) => range.clone(),
            None => self.open(seal, parcel).await.map_err(|error| unreadable(parcel, &error))?,
        };
        if parcel.place == Place::Log {
            *range = Some(bytes.clone());
        }
        let (parcel, definition) = (parcel.clone(), self.newest());
        tried_by.clone_from(&definition);
        let ordered_revision = self.wishes.borrow().ordered_revision;
        let is_ordered = definition.as_ref().is_some_and(|newest| newest.revision == ordered_revision);
        let consignment = Consignment { seal: seal.id, parcel, bytes, definition, is_ordered };
        self.context.destinations.of(&consignment.parcel).deliver(&consignment).await
    }

    /// Makes sure that a parcel which is to be given up does not come out late.
    async fn settle(&self, seal: &Seal, parcel: &Parcel) -> Result<Settled, DeliveryError> {
        let newest = self.newest();
        self.context.destinations.of(parcel).settle(seal.id, parcel, newest.as_deref()).await
    }

    /// The sealed bytes of a parcel.
    pub async fn open(&self, seal: &Seal, parcel: &Parcel) -> io::Result<Arc<dyn ParcelBytes>> {
        match &parcel.place {
            Place::Inline { .. } => self
                .context
                .journal
                .inline(seal.id, parcel.number)
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not in the journal")),
            Place::File { name } => self.context.outbox.open(seal.lane.incarnation, name),
            Place::Log => {
                let (lane, run) = (self.lane.clone(), seal.run.clone());
                tokio::task::spawn_blocking(move || lane.joined(&run)).await.map_err(io::Error::other)?
            }
        }
    }
}

impl DeliveryOptions {
    fn pauses(&self) -> Pauses {
        Pauses { first: self.backoff_first, longest: self.backoff_longest, operator: self.operator_pause }
    }
}

/// Sealed bytes that cannot be opened. That they are gone or damaged is a fault; anything else may pass.
fn unreadable(parcel: &Parcel, error: &io::Error) -> DeliveryError {
    use io::ErrorKind::{InvalidData, NotFound, Other, UnexpectedEof};
    let lasts = matches!(error.kind(), InvalidData | NotFound | Other | UnexpectedEof);
    DeliveryError {
        code: "Outbox.Unreadable".to_owned(),
        message: format!("the sealed bytes of {} cannot be read: {error}", parcel.key),
        class: Class::Upstream,
        retry: if lasts { Retry::Never } else { Retry::Backoff },
        not_before: None,
    }
}
