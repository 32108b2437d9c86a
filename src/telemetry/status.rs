//! What a stream tells about itself, and what an operator may ask of it.
//!
//! The data plane implements [`Operations`]; the admin listener and `/metrics` read it. The JSON of [`StreamStatus`] is
//! what `GET /streams/{name}` answers.

use serde::{Deserialize, Serialize};

/// State of a stream's delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// Nothing stands in its way.
    Running,
    /// The operator paused it.
    Paused,
    /// The last attempt failed; it is being retried.
    Retrying,
    /// It waits for the operator (permission, missing bucket), tried slowly.
    NeedsOperator,
    /// It stopped with a fault.
    Faulted,
    /// It is being deleted.
    Deleting,
}

impl StreamState {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Paused, Self::Retrying, Self::NeedsOperator, Self::Faulted, Self::Deleting];

    /// Of the states that parts of a stream are in, the one with the highest rank is the stream's: whoever stands still,
    /// and why, goes before what is tried again.
    fn rank(self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Retrying => 1,
            Self::NeedsOperator => 2,
            Self::Paused => 3,
            Self::Faulted => 4,
            Self::Deleting => 5,
        }
    }

    /// The name in JSON and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::NeedsOperator => "needs_operator",
            Self::Faulted => "faulted",
            Self::Deleting => "deleting",
        }
    }
}

/// Records and their bytes as they arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Number of records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// received + split = delivered + refused + dropped + discarded + in_flight, always; for bytes without `split`, since the
/// first part of a record counts all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Acknowledged to producers.
    pub received: Count,
    /// In a delivered data object.
    pub delivered: Count,
    /// In a delivered error object.
    pub refused: Count,
    /// Dropped by a stage on purpose.
    pub dropped: Count,
    /// Thrown away by a forced delete.
    pub discarded: Count,
    /// Everything else: waiting, sealed, on its way. As records, not yet as their parts.
    pub in_flight: Count,
    /// Parts beyond the first that records with a fate were split into.
    #[serde(default)]
    pub split: u64,
}

impl Ledger {
    /// The fates with the names they bear in labels.
    pub fn named(&self) -> [(&'static str, Count); 6] {
        [
            ("received", self.received),
            ("delivered", self.delivered),
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("discarded", self.discarded),
            ("in_flight", self.in_flight),
        ]
    }
}

/// What became of the records of streams that are gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// How many streams.
    pub streams: u64,
    /// Their ledgers, summed up; nothing of them is in flight.
    pub ledger: Ledger,
}

/// All streams of the node, those that are gone included, as they were at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Those that are there, by name.
    pub streams: Vec<StreamStatus>,
    /// The others.
    pub deleted: Deleted,
}

/// A stream now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// VersionId of the definition by which the next cut is made.
    #[serde(default)]
    pub version: u64,
    /// State of its delivery.
    pub state: StreamState,
    /// Text of the last failure, until a delivery succeeds.
    pub last_error: Option<String>,
    /// How its destination fares.
    #[serde(default)]
    pub destination: DestinationStatus,
    /// How the store of its error area fares, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_area: Option<DestinationStatus>,
    /// Why the newest file of its transform is not in use, as of the last cut. The module before it goes on.
    #[serde(default)]
    pub transform_problem: Option<String>,
    /// Why AWS Glue did not tell its table anew. The version told before goes on.
    #[serde(default)]
    pub schema_problem: Option<String>,
    /// The table that its records taught, where it has no schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<LearntStatus>,
    /// Its source backup, where it has one that has begun. Nothing else here counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// Age of the oldest record without a fate; `None` when there is none, or before a worker has come to it.
    pub oldest_undelivered_age_ms: Option<u64>,
    /// Bytes of records not yet cut.
    pub waiting_bytes: u64,
    /// Records not yet cut.
    pub waiting_records: u64,
    /// Seals stored and not closed.
    pub open_seals: u64,
    /// Whether the operator paused it.
    pub paused: bool,
    /// What became of everything received.
    pub ledger: Ledger,
}

/// Attempts to deliver parcels to one place, since the service started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Attempts that ended.
    pub attempts: u64,
    /// Those of them that succeeded.
    pub successes: u64,
    /// Parcels that were given up.
    pub given_up: u64,
    /// Parcels whose last attempt failed and that are tried again.
    pub failing_parcels: u64,
    /// Text of the last failure, also when deliveries have succeeded since.
    pub last_error: Option<String>,
    /// When it was, ms since the epoch.
    pub last_error_ms: Option<i64>,
    /// When an attempt last succeeded, ms since the epoch.
    pub last_success_ms: Option<i64>,
}

impl DestinationStatus {
    /// Adds what other workers of the same stream tell.
    fn add(&mut self, more: Self) {
        self.attempts += more.attempts;
        self.successes += more.successes;
        self.given_up += more.given_up;
        self.failing_parcels += more.failing_parcels;
        if more.last_error_ms > self.last_error_ms {
            (self.last_error, self.last_error_ms) = (more.last_error, more.last_error_ms);
        }
        self.last_success_ms = self.last_success_ms.max(more.last_success_ms);
    }
}

impl Count {
    fn add(&mut self, more: &Self) {
        self.records += more.records;
        self.bytes += more.bytes;
    }
}

/// A stream's source backup now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// State of its delivery.
    pub state: StreamState,
    /// Text of the last failure, until a delivery succeeds.
    pub last_error: Option<String>,
    /// Age of the oldest record that is not backed up; `None` when there is none.
    pub oldest_undelivered_age_ms: Option<u64>,
    /// Bytes of records not yet cut.
    pub waiting_bytes: u64,
    /// Records not yet cut.
    pub waiting_records: u64,
    /// Seals stored and not closed.
    pub open_seals: u64,
    /// Bytes of records that the log keeps for the backup alone: the stream is done with them.
    pub held_bytes: u64,
    /// What became of everything received since the backup was enabled.
    pub ledger: Ledger,
}

impl StreamStatus {
    /// Adds what the second half of a delivery with dynamic partitioning tells: what the first half delivered is in flight
    /// until the second has.
    pub fn add_second_half(&mut self, second: Self) {
        let Ledger { received, delivered, refused, dropped, discarded, in_flight, split } = &mut self.ledger;
        *delivered = second.ledger.delivered;
        refused.add(&second.ledger.refused);
        dropped.add(&second.ledger.dropped);
        let known = [&*delivered, &*refused, &*dropped, &*discarded];
        *in_flight = Count {
            records: (received.records + *split).saturating_sub(known.iter().map(|count| count.records).sum()),
            bytes: received.bytes.saturating_sub(known.iter().map(|count| count.bytes).sum()),
        };
        self.waiting_records += second.waiting_records;
        self.waiting_bytes += second.waiting_bytes;
        self.open_seals += second.open_seals;
        self.destination.add(second.destination);
        self.oldest_undelivered_age_ms = self.oldest_undelivered_age_ms.max(second.oldest_undelivered_age_ms);
        let (first, second_error) = (self.last_error.take(), second.last_error);
        self.last_error = if second.state.rank() > self.state.rank() {
            self.state = second.state;
            second_error.or(first)
        } else {
            first.or(second_error)
        };
    }

    /// Adds what the lane of the source backup tells. A failure of it is told as the stream's if that has none of its
    /// own: it holds the log, and with it producers, once there is no room. `in_log_bytes`: what the stream itself still
    /// needs of the log; `None`: the backup has not begun, and only why is told.
    pub fn set_backup(&mut self, lane: Self, in_log_bytes: Option<u64>) {
        if self.last_error.is_none() {
            self.last_error = lane.last_error.as_ref().map(|error| format!("source backup: {error}"));
        }
        self.backup = in_log_bytes.map(|in_log_bytes| BackupStatus {
            state: lane.state,
            last_error: lane.last_error,
            oldest_undelivered_age_ms: lane.oldest_undelivered_age_ms,
            waiting_bytes: lane.waiting_bytes,
            waiting_records: lane.waiting_records,
            open_seals: lane.open_seals,
            held_bytes: lane.ledger.in_flight.bytes.saturating_sub(in_log_bytes),
            ledger: lane.ledger,
        });
    }
}

/// A table that was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearntStatus {
    /// Counts the tables of the stream, from 1.
    pub revision: u64,
    /// Its columns.
    pub columns: u64,
}

/// Why an operator's request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// No such stream.
    #[error("there is no stream '{0}'; GET /streams lists them")]
    Unknown(String),
    /// Not possible in its present state; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
}

/// The streams as the admin listener sees them.
pub trait Operations: Send + Sync {
    /// All streams. A deleted one moves from one part to the other at one moment.
    fn overview(&self) -> Overview;
    /// One stream.
    fn stream(&self, name: &str) -> Option<StreamStatus>;
    /// Cuts what waits now, without waiting for its delivery.
    fn flush(&self, name: &str) -> Result<(), OperationError>;
    /// Stops cutting and sending. Records are accepted on.
    fn pause(&self, name: &str) -> Result<(), OperationError>;
    /// Undoes [`Operations::pause`].
    fn resume(&self, name: &str) -> Result<(), OperationError>;
    /// Whether records can be accepted; the text says why not.
    fn ready(&self) -> Result<(), String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(state: StreamState, error: Option<&str>, age_ms: Option<u64>) -> StreamStatus {
        StreamStatus {
            name: "s".to_owned(),
            version: 1,
            state,
            last_error: error.map(str::to_owned),
            destination: DestinationStatus::default(),
            error_area: None,
            transform_problem: None,
            schema_problem: None,
            learnt: None,
            backup: None,
            oldest_undelivered_age_ms: age_ms,
            waiting_bytes: 0,
            waiting_records: 0,
            open_seals: 0,
            paused: false,
            ledger: Ledger::default(),
        }
    }

    #[test]
    fn the_state_of_two_halves_is_the_worse_one_with_its_error() {
        use StreamState::*;
        let worst_last = [Running, Retrying, NeedsOperator, Paused, Faulted, Deleting];
        for (first_rank, first) in worst_last.into_iter().enumerate() {
            for (second_rank, second) in worst_last.into_iter().enumerate() {
                for (has_first, has_second) in [(true, true), (true, false), (false, true)] {
                    let mut told = half(first, has_first.then_some("first"), Some(5));
                    // Younger and older than the first half's, as old, and none.
                    let age_ms = [3, 9, 5].get(second_rank % 4).copied();
                    told.add_second_half(half(second, has_second.then_some("second"), age_ms));
                    let is_second = second_rank > first_rank;
                    assert_eq!(told.state, if is_second { second } else { first });
                    let is_second = has_second && (is_second || !has_first);
                    assert_eq!(told.last_error.as_deref(), Some(if is_second { "second" } else { "first" }));
                    assert_eq!(told.oldest_undelivered_age_ms, age_ms.max(Some(5)));
                }
            }
        }
    }
}
