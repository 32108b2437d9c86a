//! How the places that a lane sends to fare: attempts, the parcels that fail now, and the trouble that is told.
//!
//! From: `status`, under its lock. Pure: what is to be logged is returned. A place is in trouble from the first failure
//! until no parcel fails any more; what happens in between changes the text alone.

use crate::fault::Retry;
use crate::stream::seal::ParcelKind;
use crate::telemetry::status::DestinationStatus;
use std::collections::BTreeSet;

/// What parcels go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Stores of objects; also what keeps a run from being staged or stored.
    Objects,
    /// The endpoint of the stream, or the cluster.
    Endpoint,
}

impl Area {
    /// Where a parcel of this kind goes.
    pub fn of(kind: &ParcelKind) -> Self {
        match kind {
            ParcelKind::Data | ParcelKind::Error(_) => Self::Objects,
            ParcelKind::Request(_) | ParcelKind::Load(_) => Self::Endpoint,
        }
    }
}

/// A parcel of the lane: the numbers of its seal and its own.
pub type Key = (u64, u32);

/// What is known of one area.
#[derive(Debug, Default)]
pub struct Health {
    trouble: Option<Trouble>,
    failing: BTreeSet<Key>,
    /// While some parcels fail, others get through.
    passes: bool,
    status: DestinationStatus,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    retry: Retry,
    /// That the operator is needed was told.
    told_operator: bool,
    /// That parcels are given up was told.
    told_giving_up: bool,
}

impl Health {
    /// Notes a failure of something that has no parcel. Whether it is news.
    pub fn trouble(&mut self, text: String, retry: Retry) -> bool {
        let needs_operator = retry == Retry::AfterOperator;
        let is_news = self.trouble.as_ref().is_none_or(|known| needs_operator && !known.told_operator);
        let known = self.trouble.as_ref();
        let told_operator = needs_operator || known.is_some_and(|known| known.told_operator);
        let told_giving_up = known.is_some_and(|known| known.told_giving_up);
        self.trouble = Some(Trouble { text, retry, told_operator, told_giving_up });
        is_news
    }

    /// Notes a failed attempt. Whether it is news.
    pub fn failed(&mut self, key: Key, text: String, retry: Retry, now_ms: i64) -> bool {
        self.failing.insert(key);
        self.passes = false;
        self.status.attempts += 1;
        self.status.last_error = Some(text.clone());
        self.status.last_error_ms = Some(now_ms);
        self.trouble(text, retry)
    }

    /// Notes an attempt that succeeded. Whether that ends a trouble.
    pub fn succeeded(&mut self, key: Key, now_ms: i64) -> bool {
        self.failing.remove(&key);
        self.passes = true;
        self.status.attempts += 1;
        self.status.successes += 1;
        self.status.last_success_ms = Some(now_ms);
        self.recovered()
    }

    /// Notes that a parcel is given up: its failures say nothing of the others any more. Whether it is news.
    pub fn gave_up(&mut self, key: Key) -> bool {
        self.failing.remove(&key);
        self.status.given_up += 1;
        // Without a trouble it was told by whoever ran before.
        self.trouble.as_mut().is_some_and(|trouble| !std::mem::replace(&mut trouble.told_giving_up, true))
    }

    /// What was in the way is gone, unless parcels fail. Whether that ends a trouble.
    pub fn recovered(&mut self) -> bool {
        self.failing.is_empty() && self.trouble.take().is_some()
    }

    /// A worker begins: nothing is under way.
    pub fn begun(&mut self) {
        self.failing.clear();
    }

    /// Notes that the parcel's last attempt, of a worker before, failed so. Whether it is news.
    pub fn remembered(&mut self, key: Key, text: String) -> bool {
        self.failing.insert(key);
        self.passes = false;
        self.trouble.is_none() && self.trouble(text, Retry::Backoff)
    }

    /// The trouble, if there is one.
    pub fn told(&self) -> Option<(&str, Retry)> {
        self.trouble.as_ref().map(|trouble| (trouble.text.as_str(), trouble.retry))
    }

    /// Whether nothing gets through.
    pub fn is_failing(&self) -> bool {
        self.trouble.is_some() && (self.failing.is_empty() || !self.passes)
    }

    /// Attempts so far.
    pub fn status(&self) -> DestinationStatus {
        DestinationStatus { failing_parcels: self.failing.len() as u64, ..self.status.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_and_when_no_parcel_fails_any_more() {
        let mut health = Health::default();
        let text = |n: u32| format!("error {n}");
        assert!(!health.succeeded((1, 0), 5));
        assert!(health.failed((2, 0), text(1), Retry::Backoff, 6));
        assert!(!health.failed((2, 1), text(2), Retry::Backoff, 7));
        assert!(health.is_failing());
        // Others get through: it is not down as a whole, and nothing is over.
        assert!(!health.succeeded((2, 2), 8));
        assert!(!health.is_failing());
        assert_eq!(health.told(), Some(("error 2", Retry::Backoff)));
        // That the operator is needed is news, once.
        assert!(health.failed((2, 0), text(3), Retry::AfterOperator, 9));
        assert!(!health.failed((2, 0), text(4), Retry::Backoff, 10));
        assert!(!health.failed((2, 0), text(5), Retry::AfterOperator, 11));
        assert!(health.gave_up((2, 1)));
        assert!(!health.recovered());
        assert!(health.succeeded((2, 0), 12));
        assert_eq!(health.told(), None);
        let status = health.status();
        assert_eq!((status.attempts, status.successes, status.given_up, status.failing_parcels), (8, 3, 1, 0));
        assert_eq!((status.last_error.as_deref(), status.last_error_ms), (Some("error 5"), Some(11)));
        assert_eq!(status.last_success_ms, Some(12));
    }

    #[test]
    fn a_failure_of_before_is_a_trouble_until_its_parcel_gets_through() {
        let mut health = Health::default();
        health.begun();
        assert!(health.remembered((2, 0), "refused".to_owned()));
        assert!(!health.remembered((2, 1), "again".to_owned()));
        assert_eq!((health.told(), health.is_failing()), (Some(("refused", Retry::Backoff)), true));
        // Nothing was attempted since the start.
        assert_eq!(health.status(), DestinationStatus { failing_parcels: 2, ..DestinationStatus::default() });
        assert!(!health.failed((2, 0), "down".to_owned(), Retry::Backoff, 6));
        assert!(!health.succeeded((2, 0), 7));
        assert!(health.succeeded((2, 1), 8));
        assert_eq!(health.told(), None);
    }

    #[test]
    fn giving_up_is_told_once_and_ends_no_trouble() {
        let mut health = Health::default();
        let refused = || "refused".to_owned();
        assert!(health.failed((2, 0), refused(), Retry::AfterOperator, 5));
        assert!(health.gave_up((2, 0)));
        assert!(health.told().is_some());
        assert!(!health.failed((3, 0), refused(), Retry::AfterOperator, 6) && !health.gave_up((3, 0)));
        assert!(health.succeeded((4, 0), 8));
        assert_eq!(health.told(), None);
        // In the next trouble it is news again.
        assert!(health.failed((5, 0), refused(), Retry::Backoff, 9) && health.gave_up((5, 0)));
    }
}
