//! Bounds the bytes of put requests in memory, before a body is read.
//!
//! A request that does not fit waits a moment with its body unread, so that TCP slows its sender down; then it is
//! throttled. Those who wait hold no memory and are bounded by the number of connections.

use crate::telemetry::metrics;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bound.
#[derive(Debug, Clone)]
pub struct Admission {
    permits: Arc<Semaphore>,
    limit_bytes: u32,
    wait: Duration,
}

/// No room in time: the answer is "slow down".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many bytes of put requests are in memory")]
pub struct NotAdmitted;

/// A request's share of the bound, given back when dropped.
#[derive(Debug)]
pub struct Admitted {
    permit: OwnedSemaphorePermit,
    /// When the request asked.
    pub(super) asked: Instant,
}

impl Admission {
    /// At most `limit_bytes` at once; who does not fit waits up to `wait`.
    pub fn new(limit_bytes: u32, wait: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(limit_bytes as usize)), limit_bytes, wait }
    }

    /// Takes a share of `bytes`; one larger than the whole bound takes the whole.
    pub async fn admit(&self, bytes: usize) -> Result<Admitted, NotAdmitted> {
        let asked = Instant::now();
        let count = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.limit_bytes);
        let permit = match Arc::clone(&self.permits).try_acquire_many_owned(count) {
            Ok(permit) => permit,
            Err(_) if self.wait.is_zero() => return Err(NotAdmitted),
            Err(_) => {
                match tokio::time::timeout(self.wait, Arc::clone(&self.permits).acquire_many_owned(count)).await {
                    Ok(Ok(permit)) => permit,
                    _ => return Err(NotAdmitted),
                }
            }
        };
        metrics::admitted(i64::from(count));
        Ok(Admitted { permit, asked })
    }
}

impl Admitted {
    /// Takes `bytes` more, if they are free now.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), NotAdmitted> {
        let count = u32::try_from(bytes).map_err(|_| NotAdmitted)?;
        let more = Arc::clone(self.permit.semaphore()).try_acquire_many_owned(count).map_err(|_| NotAdmitted)?;
        self.permit.merge(more);
        metrics::admitted(i64::from(count));
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        metrics::admitted(-(self.permit.num_permits() as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_is_given_back_when_dropped() {
        let admission = Admission::new(100, Duration::ZERO);
        let most = admission.admit(90).await.unwrap();
        assert_eq!(admission.admit(11).await.unwrap_err(), NotAdmitted);
        let mut rest = admission.admit(5).await.unwrap();
        rest.grow(5).unwrap();
        assert!(rest.grow(1).is_err());
        drop((most, rest));
        let whole = admission.admit(1_000_000).await.unwrap();
        assert!(admission.admit(1).await.is_err());
        drop(whole);
        admission.admit(100).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_is_admitted_when_room_comes() {
        let admission = Admission::new(10, Duration::from_secs(60));
        let first = admission.admit(10).await.unwrap();
        let second = tokio::spawn({
            let admission = admission.clone();
            async move { admission.admit(10).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.unwrap());
    }
}
