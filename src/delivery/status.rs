//! What a lane's worker tells: state, last error, and the ledger, which always adds up.
//!
//! received = closed fates + open seals + waiting: each part is counted where it is known, and a record moves from one
//! to the next under the lock, so no moment shows it twice or not at all.

use super::health::{Area, Health, Key};
use crate::clock::Clock;
use crate::destination::DeliveryError;
use crate::fault::Retry;
use crate::journal::LaneState;
use crate::record::Readable;
use crate::stream::seal::{Fates, Seal, Tally};
use crate::telemetry::status::{Count, DestinationStatus, Ledger, StreamState, StreamStatus};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Shared between a worker, its senders and whoever asks.
#[derive(Debug)]
pub struct LaneStatus {
    name: String,
    /// What the lane is to its stream, for the log.
    role: &'static str,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    /// Whether it is known what the lane holds, or why that cannot be known.
    known: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    readable: Option<watch::Receiver<Readable>>,
    consumed: Tally,
    closed: Fates,
    open: VecDeque<OpenSeal>,
    /// What waits is not known from the lane, which is not open.
    is_unread: bool,
    waiting_since: Option<Duration>,
    oldest_waiting_ms: Option<i64>,
    paused: bool,
    deleting: bool,
    fault: Option<String>,
    objects: Health,
    endpoint: Health,
}

impl Inner {
    fn health(&mut self, area: Area) -> &mut Health {
        match area {
            Area::Objects => &mut self.objects,
            Area::Endpoint => &mut self.endpoint,
        }
    }

    /// The trouble that is told: the endpoint's before that of objects, unless this one alone needs the operator.
    fn trouble(&self) -> Option<(&str, Retry)> {
        match (self.endpoint.told(), self.objects.told()) {
            (Some((_, retry)), Some(objects @ (_, Retry::AfterOperator))) if retry != Retry::AfterOperator => {
                Some(objects)
            }
            (endpoint, objects) => endpoint.or(objects),
        }
    }
}

/// What is told of a seal that is not closed.
#[derive(Debug)]
struct OpenSeal {
    number: u64,
    fates: Fates,
    oldest_arrival_ms: i64,
}

impl From<&Seal> for OpenSeal {
    fn from(seal: &Seal) -> Self {
        Self { number: seal.number, fates: seal.fates, oldest_arrival_ms: seal.oldest_arrival_ms }
    }
}

impl LaneStatus {
    /// A lane about which nothing is known yet.
    pub fn new(name: String, role: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { name, role, clock, inner: Mutex::default(), known: watch::channel(false).0 }
    }

    /// Returns once the lane is open or has faulted: before that the ledger may lack what is stored.
    pub async fn known(&self) {
        let mut known = self.known.subscribe();
        // An error is impossible: the sender is ours.
        let _ = known.wait_for(|known| *known).await;
    }

    /// Whether the ledger says what the lane holds: once it was open, or its log or the journal told of it.
    pub fn has_begun(&self) -> bool {
        self.inner.lock().readable.is_some()
    }

    /// Whether the ledger follows what can be read of the lane.
    pub fn is_open(&self) -> bool {
        let inner = self.inner.lock();
        inner.readable.is_some() && !inner.is_unread
    }

    /// Nobody needs to wait for more.
    pub fn set_known(&self) {
        self.known.send_replace(true);
    }

    /// The lane is open: cursors and open seals as the journal has them (`stored`), and what is read into seals, on the
    /// scale of `readable`. Parcels that failed before are to be attempted again.
    pub fn opened(&self, readable: watch::Receiver<Readable>, consumed: Tally, stored: &LaneState) {
        self.show(readable, consumed, stored);
        let news = remember(&mut self.inner.lock().endpoint, stored);
        if let Some(text) = news {
            self.tell(text, Retry::Backoff, Duration::ZERO, true);
        }
        self.set_known();
    }

    /// The lane cannot be opened, but its log can be read: as [`Self::opened`], and nothing is attempted.
    pub fn read(&self, readable: watch::Receiver<Readable>, consumed: Tally, stored: &LaneState) {
        self.show(readable, consumed, stored);
        self.set_known();
    }

    fn show(&self, readable: watch::Receiver<Readable>, consumed: Tally, stored: &LaneState) {
        let mut inner = self.inner.lock();
        inner.closed = stored.ledger;
        inner.open = stored.open.iter().map(|seal| OpenSeal::from(&**seal)).collect();
        for turn in &stored.turns {
            let seal = stored.open.iter().find(|seal| seal.id == turn.seal);
            let open = seal.and_then(|seal| inner.open.iter_mut().find(|open| open.number == seal.number));
            if let Some(open) = open {
                open.fates.turn(turn.refused);
            }
        }
        inner.objects.begun();
        inner.endpoint.begun();
        if std::mem::take(&mut inner.is_unread) || inner.readable.is_none() {
            inner.consumed = consumed;
            inner.readable = Some(readable);
        }
    }

    /// The lane cannot be opened: cursors and open seals as the journal has them, what is sealed, and all that is known to
    /// be there, on a scale of their own. Of a log, bytes that wait are not known and shown as none.
    pub fn unread(&self, known: Tally, sealed: Tally, stored: &LaneState) {
        let is_new = {
            let inner = self.inner.lock();
            inner.readable.is_none() || inner.is_unread
        };
        if is_new {
            // Nothing moves it any more; the last value stays readable.
            let (_, readable) = watch::channel(Readable { records: known.records, bytes: known.bytes, ended: false });
            self.inner.lock().is_unread = true;
            self.show(readable, sealed, stored);
            self.inner.lock().is_unread = true;
            self.set_known();
        }
    }

    /// The lane is not open yet, and nothing of it is sealed: what its log can read waits.
    pub fn unopened(&self, readable: watch::Receiver<Readable>) {
        let mut inner = self.inner.lock();
        if inner.readable.is_none() || inner.is_unread {
            inner.readable = Some(readable);
            inner.is_unread = true;
        }
    }

    /// A run was sealed. Told before anybody can act on it, so that no part of a record has a fate before it is counted.
    pub fn sealed(&self, seal: &Seal) {
        let mut inner = self.inner.lock();
        inner.consumed += seal.fates.total();
        inner.open.push_back(seal.into());
    }

    /// A parcel of an open seal was given up: these records of it are refused. Logs the first one of a trouble.
    pub fn turned(&self, key: Key, refused: Tally) {
        let mut inner = self.inner.lock();
        if let Some(open) = inner.open.iter_mut().find(|open| open.number == key.0) {
            open.fates.turn(refused);
        }
        let is_news = inner.endpoint.gave_up(key);
        drop(inner);
        let (stream, lane, records) = (&self.name, self.role, refused.records);
        if is_news {
            let what = "records are given up and go to the error area, as will others until delivery works again";
            tracing::warn!(stream, lane, records, "{what}");
        } else {
            tracing::debug!(stream, lane, records, "records are given up");
        }
    }

    /// The oldest open seal was closed.
    pub fn closed(&self, seal: &Seal) {
        let mut inner = self.inner.lock();
        let at = inner.open.iter().position(|open| open.number == seal.number);
        if let Some(open) = at.and_then(|at| inner.open.remove(at)) {
            inner.closed += open.fates;
        }
    }

    /// Records and bytes read into seals, open or closed, on the scale of [`Readable`].
    pub fn consumed(&self) -> Tally {
        self.inner.lock().consumed
    }

    /// Since when records wait, on the monotonic clock; and where it is known, when the oldest of them arrived, ms since
    /// the epoch.
    pub fn set_waiting_since(&self, since: Option<Duration>, oldest_arrival_ms: Option<i64>) {
        let mut inner = self.inner.lock();
        (inner.waiting_since, inner.oldest_waiting_ms) = (since, oldest_arrival_ms);
    }

    /// What the operator or the catalog asked for.
    pub fn set_wishes(&self, paused: bool, deleting: bool) {
        let mut inner = self.inner.lock();
        inner.paused = paused;
        inner.deleting = deleting;
    }

    /// The lane stopped, or goes on.
    pub fn set_fault(&self, fault: Option<String>) {
        self.inner.lock().fault = fault;
        self.set_known();
    }

    /// An attempt failed. Logs when trouble begins, not while it lasts.
    pub fn attempt_failed(&self, area: Area, key: Key, error: &DeliveryError, next: Duration) {
        let (text, now_ms) = (error.to_string(), self.clock.wall_ms());
        let is_news = self.inner.lock().health(area).failed(key, text.clone(), error.retry, now_ms);
        self.tell(&text, error.retry, next, is_news);
    }

    /// Staging or delivery cannot go on now.
    pub fn trouble(&self, text: String, retry: Retry, next: Duration) {
        let is_news = self.inner.lock().objects.trouble(text.clone(), retry);
        self.tell(&text, retry, next, is_news);
    }

    fn tell(&self, text: &str, retry: Retry, next: Duration, is_news: bool) {
        if is_news {
            let next_ms = next.as_millis() as u64;
            let what = match retry {
                Retry::AfterOperator => {
                    "delivery needs the operator; it is tried again slowly, with the newest settings"
                }
                Retry::GiveUp => "delivery is refused for good; the records go to the error area",
                Retry::Backoff | Retry::Never => "delivery fails and is tried again",
            };
            tracing::warn!(stream = self.name, lane = self.role, error = text, next_ms, "{what}");
        } else {
            tracing::debug!(stream = self.name, lane = self.role, error = text, "delivery still fails");
        }
    }

    /// An attempt succeeded. Logs when trouble ends.
    pub fn attempt_succeeded(&self, area: Area, key: Key) {
        let now_ms = self.clock.wall_ms();
        let is_over = self.inner.lock().health(area).succeeded(key, now_ms);
        self.tell_end(is_over);
    }

    /// What [`LaneStatus::trouble`] told of is over.
    pub fn recovered(&self) {
        let is_over = self.inner.lock().objects.recovered();
        self.tell_end(is_over);
    }

    fn tell_end(&self, is_over: bool) {
        if is_over {
            tracing::info!(stream = self.name, lane = self.role, "delivery works again");
        }
    }

    /// Whether nothing gets through now.
    pub fn is_failing(&self) -> bool {
        let inner = self.inner.lock();
        inner.objects.is_failing() || inner.endpoint.is_failing()
    }

    /// Attempts of an area since the service began.
    pub fn destination(&self, area: Area) -> DestinationStatus {
        self.inner.lock().health(area).status()
    }

    /// Everything that the lane knows, for the admin listener.
    pub fn snapshot(&self) -> StreamStatus {
        let inner = self.inner.lock();
        let readable = inner.readable.as_ref().map(|r| *r.borrow()).unwrap_or_default();
        let waiting = Tally {
            records: readable.records.saturating_sub(inner.consumed.records),
            bytes: readable.bytes.saturating_sub(inner.consumed.bytes),
        };
        let mut in_flight = waiting;
        let mut split = 0;
        for open in &inner.open {
            in_flight += open.fates.total();
            split += open.fates.split;
        }
        let mut ledger = ledger(&inner.closed, in_flight);
        // What is split is known from the seal on: parts of it may have their fates before it is closed.
        ledger.split += split;
        ledger.in_flight.records += split;
        let oldest_ms = inner.open.iter().map(|open| open.oldest_arrival_ms).chain(inner.oldest_waiting_ms).min();
        let age_ms = oldest_ms
            .map(|oldest_ms| self.clock.wall_ms().saturating_sub(oldest_ms).max(0) as u64)
            .or_else(|| inner.waiting_since.map(|s| self.clock.monotonic().saturating_sub(s).as_millis() as u64));
        let state = match inner.trouble() {
            _ if inner.deleting => StreamState::Deleting,
            _ if inner.fault.is_some() => StreamState::Faulted,
            _ if inner.paused => StreamState::Paused,
            Some((_, Retry::AfterOperator)) => StreamState::NeedsOperator,
            Some(_) => StreamState::Retrying,
            None => StreamState::Running,
        };
        StreamStatus {
            name: self.name.clone(),
            version: 0,
            state,
            last_error: inner
                .fault
                .clone()
                .or_else(|| (inner.paused && inner.deleting).then(|| held_deletion(&self.name)))
                .or_else(|| inner.trouble().map(|(text, _)| text.to_owned())),
            destination: inner.objects.status(),
            error_area: None,
            transform_problem: None,
            schema_problem: None,
            learnt: None,
            backup: None,
            oldest_undelivered_age_ms: age_ms,
            waiting_bytes: waiting.bytes,
            waiting_records: waiting.records,
            open_seals: inner.open.len() as u64,
            paused: inner.paused,
            ledger,
        }
    }

    /// The fates of all records when what has none is discarded. `None`: the lane was never open.
    pub fn discarding(&self) -> Option<Fates> {
        let inner = self.inner.lock();
        let readable = *inner.readable.as_ref()?.borrow();
        let mut fates = inner.closed;
        fates.discarded += Tally {
            records: readable.records.saturating_sub(inner.consumed.records),
            bytes: readable.bytes.saturating_sub(inner.consumed.bytes),
        };
        inner.open.iter().for_each(|open| fates.discard(&open.fates));
        Some(fates)
    }
}

/// Notes the stored failures of parcels that are to be attempted again: without them a stream that fails would be told as
/// running from a start until its first attempt has failed again. Returns what is news.
fn remember<'a>(endpoint: &mut Health, stored: &'a LaneState) -> Option<&'a str> {
    let mut news = None;
    for attempts in stored.attempts.iter().filter(|attempts| attempts.failed > 0) {
        let is_turned = stored.turns.iter().any(|turn| turn.seal == attempts.seal && turn.parcel == attempts.parcel);
        let Some(seal) = stored.open.iter().find(|seal| seal.id == attempts.seal) else { continue };
        if !is_turned && endpoint.remembered((seal.number, attempts.parcel), attempts.last_error.clone()) {
            news = Some(attempts.last_error.as_str());
        }
    }
    news
}

/// The fates of records that go through two halves: those of the first, of which what is spooled counts as delivered, and
/// those of the second. What has none is discarded.
pub fn both_halves(first: &Fates, second: &Fates) -> Fates {
    let all = first.total();
    let mut fates = *first;
    (fates.delivered, fates.discarded) = (second.delivered, Tally::default());
    fates.refused += second.refused;
    fates.dropped += second.dropped;
    let known = [fates.delivered, fates.refused, fates.dropped];
    let records: u64 = known.iter().map(|tally| tally.records).sum();
    let bytes: u64 = known.iter().map(|tally| tally.bytes).sum();
    // Parts of records have fates of their own.
    fates.discarded =
        Tally { records: (all.records + first.split).saturating_sub(records), bytes: all.bytes.saturating_sub(bytes) };
    fates
}

/// Why a deletion that delivers what waits does not come to its end.
fn held_deletion(name: &str) -> String {
    format!("the deletion waits because the stream is paused; POST /streams/{name}/resume lets it deliver and end")
}

/// The ledger of records with these fates, and of those without one.
pub fn ledger(fates: &Fates, in_flight: Tally) -> Ledger {
    let mut received = fates.total();
    received += in_flight;
    Ledger {
        received: count(received),
        delivered: count(fates.delivered),
        refused: count(fates.refused),
        dropped: count(fates.dropped),
        discarded: count(fates.discarded),
        in_flight: count(in_flight),
        split: fates.split,
    }
}

fn count(tally: Tally) -> Count {
    Count { records: tally.records, bytes: tally.bytes }
}
