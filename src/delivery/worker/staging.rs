//! A run from the decision to cut it to what staging brought.
//!
//! From: the loop, at each turn. Through: `sealing`. What cannot be staged is told, and tried again as `pace`, `panics` and
//! `narrow` say.

use super::{Staging, State, Wishes, Worker, definition};
use crate::batch::{CutFacts, Decision, ObjectRatio, decide};
use crate::delivery::panics::Panics;
use crate::delivery::run::{MAX_EXPANDED_BYTES, MAX_TRANSFORM_STAGING, RunPlan, StageRunError};
use crate::delivery::sealing::{StageFailure, stage_and_seal};
use crate::delivery::send::{History, Sent};
use crate::delivery::spooled::{Half, Spooled, first_half_hints, partition_hints};
use crate::fault::{Class, Retry};
use crate::stream::definition::{Definition, Hints};
use crate::stream::seal::{CutReason, Parcel, ParcelKind, Seal};
use crate::task::StopSource;
use crate::telemetry::metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

impl Worker {
    pub(super) fn decide(&self, state: &State, wish: &Wishes, now: Duration, ended: bool) -> Option<Decision> {
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

    pub(super) fn start_staging(&self, state: &mut State, reason: CutReason, wish: &Wishes, now: Duration) {
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
            max_staging: if definition.transform.is_some() { MAX_TRANSFORM_STAGING } else { Duration::MAX },
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
    pub(super) fn take_staged(
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
                let bytes = seal.parcels.iter().map(Parcel::own_bytes).sum();
                metrics::sealed(bytes, now.saturating_sub(staging.began));
                state.sealed = seal.run.to.clone();
                state.sealed_number = seal.number;
                // What was due and is left, for the run came to an end before it, is due still.
                let was_due =
                    staging.reason == CutReason::Interval || now.saturating_sub(staging.began) >= MAX_TRANSFORM_STAGING;
                if !was_due || seal.fates.total().bytes >= staging.run_bytes {
                    state.waiting_since = Some(staging.began);
                }
                state.panics.note_sealed();
                state.narrow.note_sealed();
                note_ratio(&mut state.ratio, &seal);
                self.note_sealed();
                if state.pace.sealed() {
                    self.status.recovered();
                }
                let before = self.status.consumed().records - seal.fates.total().records;
                if let Half::First(spooled) = &self.half
                    && state.flush_upto_records > before
                {
                    spooled.flush();
                }
                self.start_sender(seal, History::default(), state, senders);
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
    pub(super) fn note_sealed(&self) {
        if let Half::Second(spooled) = &self.half {
            spooled.sealed();
        }
    }
}

/// Source bytes at which a run is cut.
fn size_bytes(state: &State, definition: &Definition) -> u64 {
    definition.target_object_bytes.map_or(definition.hints.size_bytes, |target| state.ratio.source_bytes(target))
}

/// Notes what became of a run's source bytes.
pub(super) fn note_ratio(ratio: &mut ObjectRatio, seal: &Seal) {
    let objects = seal.parcels.iter().filter(|parcel| parcel.kind == ParcelKind::Data && parcel.records > 0);
    ratio.note(seal.fates.total().bytes, objects.map(|parcel| parcel.length_bytes).sum());
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
