//! When a parcel that failed is tried again, and when it is given up. Pure; the one policy of all destinations.
//!
//! Full jitter in place of the service's fixed steps: a pause is anything between nothing and a bound that doubles with
//! each failure. A destination that says when to come back is not asked before that. What counts against a retry time
//! are pauses alone; answers that are waited for, an operator's pause and stops of the service do not ([`Tried::paused`]).

use super::DeliveryError;
use crate::fault::Retry;
use std::time::Duration;

/// Longest pause that a destination can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Bounds of pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// After the first failure; doubles with each further one.
    pub first: Duration,
    /// Longest one after a passing failure.
    pub longest: Duration,
    /// Longest one where only the operator can help.
    pub operator: Duration,
}

/// What is known of the attempts of one parcel; stored with its seal where it can be given up (rule D3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// Attempts that failed.
    pub failed: u64,
    /// Pauses between them.
    pub paused: Duration,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another one after this pause.
    Again(Duration),
    /// None: the parcel is given up.
    GiveUp,
    /// None: the lane stops.
    Fault,
}

/// What follows an attempt that failed with `error`, already counted in `tried`. `retry_time`: pauses after which a parcel
/// is given up, `None` for one that never is. `random` is uniform in [0, 1).
pub fn next(pauses: &Pauses, tried: &Tried, error: &DeliveryError, retry_time: Option<Duration>, random: f64) -> Next {
    let longest = match (error.retry, retry_time) {
        (Retry::Never, _) => return Next::Fault,
        (Retry::GiveUp, Some(_)) => return Next::GiveUp,
        // Whoever refuses what cannot be given up needs the operator.
        (Retry::GiveUp, None) | (Retry::AfterOperator, _) => pauses.operator,
        (Retry::Backoff, _) => pauses.longest,
    };
    let left = retry_time.map(|whole| whole.saturating_sub(tried.paused));
    if left.is_some_and(|left| left.is_zero()) {
        return Next::GiveUp;
    }
    let doublings = tried.failed.saturating_sub(1).min(20);
    let bound = pauses.first.saturating_mul(1 << doublings).min(longest);
    let asked = error.not_before.unwrap_or_default().min(LONGEST_ASKED);
    let pause = bound.mul_f64(random).max(asked);
    // The last attempt is made when the time is over, not before.
    Next::Again(left.map_or(pause, |left| pause.min(left)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Class;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(30),
        operator: Duration::from_secs(60),
    };

    fn error(retry: Retry, not_before: Option<Duration>) -> DeliveryError {
        DeliveryError { code: String::new(), message: String::new(), class: Class::Upstream, retry, not_before }
    }

    fn after(failed: u64, retry: Retry, random: f64) -> Next {
        next(&PAUSES, &Tried { failed, paused: Duration::ZERO }, &error(retry, None), None, random)
    }

    #[test]
    fn pauses_grow_to_their_bound_with_full_jitter() {
        assert_eq!(after(1, Retry::Backoff, 0.5), Next::Again(PAUSES.first / 2));
        assert_eq!(after(4, Retry::Backoff, 1.0), Next::Again(PAUSES.first * 8));
        assert_eq!(after(41, Retry::Backoff, 1.0), Next::Again(PAUSES.longest));
        assert_eq!(after(u64::MAX, Retry::AfterOperator, 1.0), Next::Again(PAUSES.operator));
        assert_eq!(after(40, Retry::Backoff, 0.0), Next::Again(Duration::ZERO));
        assert_eq!(after(1, Retry::Never, 0.0), Next::Fault);
        // An object is never given up.
        assert_eq!(after(41, Retry::GiveUp, 1.0), Next::Again(PAUSES.operator));
    }

    #[test]
    fn a_retry_time_ends_with_one_last_attempt() {
        let second = Duration::from_secs(1);
        let whole = Some(10 * second);
        let tried = |paused| Tried { failed: 30, paused };
        let backoff = error(Retry::Backoff, None);
        assert_eq!(next(&PAUSES, &tried(4 * second), &backoff, whole, 1.0), Next::Again(6 * second));
        assert_eq!(next(&PAUSES, &tried(10 * second), &backoff, whole, 0.0), Next::GiveUp);
        assert_eq!(next(&PAUSES, &tried(11 * second), &backoff, whole, 0.0), Next::GiveUp);
        // None at all, and what is refused for good.
        assert_eq!(
            next(&PAUSES, &Tried { failed: 1, paused: Duration::ZERO }, &backoff, Some(Duration::ZERO), 0.5),
            Next::GiveUp
        );
        assert_eq!(next(&PAUSES, &tried(second), &error(Retry::GiveUp, None), whole, 0.5), Next::GiveUp);
    }

    #[test]
    fn a_destination_is_not_asked_before_it_says() {
        let second = Duration::from_secs(1);
        let once = Tried { failed: 1, paused: Duration::ZERO };
        let later = error(Retry::Backoff, Some(40 * second));
        assert_eq!(next(&PAUSES, &once, &later, None, 0.9), Next::Again(40 * second));
        assert_eq!(next(&PAUSES, &once, &later, Some(15 * second), 0.9), Next::Again(15 * second));
        let never = error(Retry::Backoff, Some(Duration::MAX));
        assert_eq!(next(&PAUSES, &once, &never, None, 0.9), Next::Again(LONGEST_ASKED));
    }
}
