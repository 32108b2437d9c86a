//! When a lane's run that could not be staged is tried again. Pure.

use super::DeliveryOptions;
use crate::fault::Retry;
use std::time::Duration;

/// What is known of failures to stage.
#[derive(Debug, Default)]
pub struct Pace {
    /// Monotonic time.
    not_before: Duration,
    /// Since a run was sealed; a resume makes few of them.
    failures: u32,
}

impl Pace {
    /// How long nothing is tried from `now` on, if at all.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.not_before.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Notes a failure; the pause before the next attempt.
    pub fn failed(&mut self, options: &DeliveryOptions, retry: Retry, now: Duration) -> Duration {
        let longest = if retry == Retry::AfterOperator { options.operator_pause } else { options.backoff_longest };
        let pause = options.backoff_first.saturating_mul(1 << self.failures.min(20)).min(longest);
        self.failures += 1;
        self.not_before = now + pause;
        pause
    }

    /// The operator says that the cause is mended: the next attempt is due at once, and if it still fails, others soon.
    /// An attempt may see an answer that is older than the mend.
    pub fn resumed(&mut self) {
        *self = Self { not_before: Duration::ZERO, failures: self.failures.min(1) };
    }

    /// Notes that a run was sealed; whether some failed before.
    pub fn sealed(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_anew_after_a_resume() {
        let (options, now) = (DeliveryOptions::default(), Duration::from_secs(5));
        let (first, mut pace) = (options.backoff_first, Pace::default());
        assert_eq!(pace.wait(now), None);
        assert_eq!(pace.failed(&options, Retry::Backoff, now), first);
        assert_eq!((pace.wait(now), pace.wait(now + first)), (Some(first), None));
        for _ in 0..40 {
            pace.failed(&options, Retry::Backoff, now);
        }
        assert_eq!(pace.failed(&options, Retry::Backoff, now), options.backoff_longest);
        assert_eq!(pace.failed(&options, Retry::AfterOperator, now), options.operator_pause);
        pace.resumed();
        assert_eq!(pace.wait(now), None);
        assert_eq!(pace.failed(&options, Retry::AfterOperator, now), first * 2);
        // The failures before a resume are failures still: the status is told that they are over.
        pace.resumed();
        assert!(pace.sealed() && !pace.sealed());
    }
}
