//! Brings the parcels of one seal out: attempts until each is delivered, with full jitter between them.
//!
//! S3 parcels are never given up (rule D4): passing failures are retried with growing pauses, those that need the
//! operator slowly, with the newest settings each time. A `Never` is a fault: the lane stops and says why.

use super::status::LaneStatus;
use super::worker::Wishes;
use super::{DeliveryContext, DeliveryOptions};
use crate::destination::{Consignment, DeliveryError};
use crate::failpoint;
use crate::fault::{Class, Retry};
use crate::record::ParcelBytes;
use crate::source::Lane;
use crate::stream::seal::{Parcel, Place, Seal};
use crate::task::Stop;
use crate::telemetry::metrics::{self, AttemptFailure};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How sending a seal ended.
#[derive(Debug)]
pub enum Sent {
    /// Every parcel is at its destination.
    Delivered,
    /// Asked to stop before that.
    Stopped,
    /// Something that trying again cannot mend.
    Faulted(String),
}

/// Everything a sender needs.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Shared parts.
    pub context: Arc<DeliveryContext>,
    /// Whose records these are; for parcels that are a range of the log.
    pub lane: Arc<dyn Lane>,
    /// Asks to give up without a result.
    pub stop: Stop,
    /// While paused, no attempt is started; a resume ends a pause between attempts.
    pub wishes: watch::Receiver<Wishes>,
    /// Where progress is told.
    pub status: Arc<LaneStatus>,
}

impl Sender {
    /// Sends all parcels of `seal`, data first.
    pub async fn send(&self, seal: &Arc<Seal>) -> Sent {
        for parcel in &seal.parcels {
            match self.send_parcel(seal, parcel).await {
                Sent::Delivered => {}
                other => return other,
            }
        }
        Sent::Delivered
    }

    async fn send_parcel(&self, seal: &Seal, parcel: &Parcel) -> Sent {
        let mut failures = 0u32;
        let mut range = None;
        loop {
            if !self.may_start().await {
                return Sent::Stopped;
            }
            let failing = match failures > 0 || self.status.is_failing() {
                true => Some(self.context.failing_permits.acquire().await),
                false => None,
            };
            let permits = (failing, self.context.send_permits.acquire().await);
            // It may have waited long.
            if !self.may_start().await {
                return Sent::Stopped;
            }
            failpoint::crash_at(failpoint::DURING_DELIVER);
            let started = self.context.clock.monotonic();
            let attempt = self.attempt(seal, parcel, &mut range).await;
            drop(permits);
            match attempt {
                Ok(()) => {
                    failpoint::crash_at(failpoint::WRITTEN_REPLY_LOST);
                    let took = self.context.clock.monotonic().saturating_sub(started);
                    metrics::delivered(parcel.length_bytes, took);
                    self.status.attempt_succeeded();
                    return Sent::Delivered;
                }
                Err(error) => {
                    metrics::attempt_failed(match error.retry {
                        Retry::Backoff => AttemptFailure::Retry,
                        Retry::AfterOperator => AttemptFailure::NeedsOperator,
                        Retry::Never => AttemptFailure::Fault,
                    });
                    if error.retry == Retry::Never {
                        return Sent::Faulted(error.to_string());
                    }
                    let next = pause(&self.context.options, error.retry, failures, fastrand::f64());
                    failures = failures.saturating_add(1);
                    self.status.attempt_failed(&error, next);
                    let mut wishes = self.wishes.clone();
                    let resumes = wishes.borrow().resumes;
                    tokio::select! {
                        () = tokio::time::sleep(next) => {}
                        _ = wishes.wait_for(|wishes| wishes.resumes != resumes) => {}
                        () = self.stop.asked() => return Sent::Stopped,
                    }
                }
            }
        }
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

    /// One attempt. The bytes are opened for it alone: a parcel that waits for the next one keeps no file open, be it of
    /// the outbox or a superseded one of the journal. A `range` of the log is kept: it took reading the run to find it.
    async fn attempt(
        &self,
        seal: &Seal,
        parcel: &Parcel,
        range: &mut Option<Arc<dyn ParcelBytes>>,
    ) -> Result<(), DeliveryError> {
        let bytes = match range {
            Some(range) => range.clone(),
            None => self.open(seal, parcel).await.map_err(|error| unreadable(parcel, &error))?,
        };
        if parcel.place == Place::Log {
            *range = Some(bytes.clone());
        }
        let consignment = Consignment { seal: seal.id, parcel: parcel.clone(), bytes };
        self.context.destination.deliver(&consignment).await
    }

    async fn open(&self, seal: &Seal, parcel: &Parcel) -> io::Result<Arc<dyn ParcelBytes>> {
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

/// Sealed bytes that cannot be opened. That they are gone or damaged is a fault; anything else may pass.
fn unreadable(parcel: &Parcel, error: &io::Error) -> DeliveryError {
    use io::ErrorKind::{InvalidData, NotFound, Other, UnexpectedEof};
    let lasts = matches!(error.kind(), InvalidData | NotFound | Other | UnexpectedEof);
    DeliveryError {
        code: "Outbox.Unreadable".to_owned(),
        message: format!("the sealed bytes of {} cannot be read: {error}", parcel.key),
        class: Class::Upstream,
        retry: if lasts { Retry::Never } else { Retry::Backoff },
    }
}

/// The pause before the next attempt: full jitter over an exponentially growing bound.
/// `random` is uniform in [0, 1).
fn pause(options: &DeliveryOptions, retry: Retry, failures: u32, random: f64) -> Duration {
    let longest = match retry {
        Retry::AfterOperator => options.operator_pause,
        Retry::Backoff | Retry::Never => options.backoff_longest,
    };
    let bound = options.backoff_first.saturating_mul(1 << failures.min(20)).min(longest);
    bound.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_with_full_jitter() {
        let options = DeliveryOptions::default();
        assert_eq!(pause(&options, Retry::Backoff, 0, 0.5), options.backoff_first / 2);
        assert_eq!(pause(&options, Retry::Backoff, 3, 1.0), options.backoff_first * 8);
        assert_eq!(pause(&options, Retry::Backoff, 40, 1.0), options.backoff_longest);
        assert_eq!(pause(&options, Retry::AfterOperator, 40, 1.0), options.operator_pause);
        assert_eq!(pause(&options, Retry::Backoff, 40, 0.0), Duration::ZERO);
    }
}
