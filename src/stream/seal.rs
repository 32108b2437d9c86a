//! The seal: the stored outcome of a run, and the entries that follow it.
//!
//! From: `delivery` makes it. To: `journal` stores it; `destination` receives its parcels.
//! Rules D1 (order), D2 (identity), D3 (what is not sealed did not happen), D5 (bucket and key stand in the seal).
//! Persisted as JSON with a version tag by `journal::codec`; unknown members are kept in `extra` on reading.

use super::definition::{CopyCommand, LoadMethod, RequestFormat};
use super::id::{Incarnation, SealId};
use super::number_set::NumberSet;
use super::position::Run;
use super::prefix::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A lane: one ordered log with one cursor. Unit of cut, order and lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneId {
    /// The stream's life it belongs to.
    pub incarnation: Incarnation,
    /// Name in the source: `put` for the Direct PUT log, `put-backup` for the source backup's cursor over the same log,
    /// `partitions` for the second half of a delivery, a shard id, a partition of Kafka.
    pub lane: String,
}

/// Name of the source backup's lane.
const BACKUP: &str = "put-backup";

impl LaneId {
    /// The lane of the second half of a stream with dynamic partitioning. Its positions count its seals.
    pub fn partitions(incarnation: Incarnation) -> Self {
        Self { incarnation, lane: "partitions".to_owned() }
    }

    /// The lane of a Direct PUT stream that its destination gets.
    pub fn direct_put(incarnation: Incarnation) -> Self {
        Self { incarnation, lane: "put".to_owned() }
    }

    /// The lane of a Direct PUT stream's source backup: a second cursor over the same log (rule D9).
    pub fn source_backup(incarnation: Incarnation) -> Self {
        Self { incarnation, lane: BACKUP.to_owned() }
    }

    /// The lanes that a Direct PUT stream may have.
    pub fn all_of(incarnation: Incarnation) -> [Self; 3] {
        [Self::direct_put(incarnation), Self::source_backup(incarnation), Self::partitions(incarnation)]
    }

    /// Whether it is that of a source backup.
    pub fn is_backup(&self) -> bool {
        self.lane == BACKUP
    }
}

/// Records and their source bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of records.
    pub records: u64,
    /// Their bytes as they arrived.
    pub bytes: u64,
}

impl Tally {
    /// Adds one record of `bytes`.
    pub fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// What became of the records of a run; each has exactly one fate, or each of its parts if it was split. The first part
/// counts the bytes of the whole record as it arrived, the others none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// In a data parcel.
    pub delivered: Tally,
    /// In an error parcel, with the cause.
    pub refused: Tally,
    /// Dropped by a stage on purpose.
    pub dropped: Tally,
    /// Thrown away by a forced delete.
    pub discarded: Tally,
    /// Parts beyond the first that records were split into: so many more fates than records.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub split: u64,
}

/// Left out where it says nothing, so that what was written before it existed reads and writes alike.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Fates {
    /// All fates together, as the records that arrived: those that splitting added are not counted.
    pub fn total(&self) -> Tally {
        let mut total = self.delivered;
        total += self.refused;
        total += self.dropped;
        total += self.discarded;
        total.records = total.records.saturating_sub(self.split);
        total
    }

    /// Counts records that were to be delivered as refused: their parcel was given up.
    pub fn turn(&mut self, refused: Tally) {
        let records = refused.records.min(self.delivered.records);
        let bytes = refused.bytes.min(self.delivered.bytes);
        self.delivered.records -= records;
        self.delivered.bytes -= bytes;
        self.refused += Tally { records, bytes };
    }

    /// Counts what has other fates, or none yet, as discarded: parts of records where those were split.
    pub fn discard(&mut self, other: &Self) {
        let mut all = other.total();
        all.records += other.split;
        self.discarded += all;
        self.split += other.split;
    }
}

impl std::ops::AddAssign for Fates {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.discarded += other.discarded;
        self.split += other.split;
    }
}

/// Why a run ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutReason {
    /// SizeInMBs of source bytes waited.
    Size,
    /// IntervalInSeconds passed since the first waiting record.
    Interval,
    /// The operator asked.
    Flush,
    /// The stream is being deleted or the service stops.
    Stop,
    /// The source lane ended (a closed shard).
    LaneEnd,
}

/// What a parcel holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParcelKind {
    /// Delivered records.
    Data,
    /// Refused records; the value is the error output type (`processing-failed`, …).
    Error(String),
    /// Delivered records as the body of a request to an endpoint.
    Request(Request),
    /// Delivered records in an object of the same seal, which are to be loaded into a table. Its bytes are those of that
    /// object.
    Load(Load),
}

impl ParcelKind {
    /// Whether it holds records that are delivered with it, so that it can be given up for an error parcel.
    pub fn is_delivery(&self) -> bool {
        matches!(self, Self::Data | Self::Request(_) | Self::Load(_))
    }
}

/// What a request says besides its body, fixed at the cut (rule D5), and what is needed to give it up. Its id is the
/// parcel's UUID ([`SealId::parcel_uuid`](super::id::Id128::parcel_uuid)), for ever (rules D2, D7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Form of the body.
    pub format: RequestFormat,
    /// Value of the header with the common attributes; `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_attributes: Option<String>,
    /// Source bytes of its records: what the ledger counts.
    pub source_bytes: u64,
    /// Arrival of its oldest record, ms since the epoch.
    pub oldest_arrival_ms: i64,
    /// Which records they are (`stage::request::notes`).
    pub notes: Notes,
}

/// A load into a table, fixed at the cut (rule D5). Its id is the parcel's UUID, as a request's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Names the row of the ledger that the loads of the lane change, one after the other (rule D6).
    pub lane: String,
    /// Number of the seal in the lane: what the row says once it is loaded.
    pub sequence: u64,
    /// Key of the manifest, an object of the same seal in the parcel's bucket.
    pub manifest_key: String,
    /// Key of the object that the manifest names.
    pub object_key: String,
    /// What is loaded into and how.
    pub copy: CopyCommand,
    /// By whom the object is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: LoadMethod,
    /// Table of the ledger.
    pub ledger: String,
    /// Source bytes of its records: what the sums count.
    pub source_bytes: u64,
    /// Arrival of its oldest record, ms since the epoch.
    pub oldest_arrival_ms: i64,
}

/// Bytes beside a seal in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Offset in the seal's inline bytes.
    pub offset_bytes: u64,
    /// Their length.
    pub length_bytes: u64,
    /// CRC-32C (Castagnoli) of them.
    pub crc32c: u32,
}

/// Where the finished bytes of a parcel lie durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Beside the seal in the journal, at this offset of the seal's inline bytes.
    Inline {
        /// Offset in the inline bytes.
        offset_bytes: u64,
    },
    /// A file of the stream's outbox folder.
    File {
        /// File name.
        name: String,
    },
    /// The records of the run itself, joined, as they lie in the log.
    Log,
}

/// What is delivered at once: an object with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Number in its seal, from 0.
    pub number: u32,
    /// Data or error.
    pub kind: ParcelKind,
    /// Bucket name at the cut (rule D5); of a load that of its object. Of a request empty: where it goes is a setting.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// Full object key; of a request or a load its id.
    pub key: String,
    /// `Content-Type` of the object or request.
    pub content_type: String,
    /// `Content-Encoding` of the object or request, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// KMS key id or ARN for SSE-KMS; `None`: the bucket's default applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Length of the finished bytes.
    pub length_bytes: u64,
    /// CRC-32C (Castagnoli) of the finished bytes.
    pub crc32c: u32,
    /// Records in it.
    pub records: u64,
    /// Where the bytes are.
    pub place: Place,
}

impl Parcel {
    /// Bytes that no other parcel has.
    pub fn own_bytes(&self) -> u64 {
        if matches!(self.kind, ParcelKind::Load(_)) { 0 } else { self.length_bytes }
    }
}

/// A spool chunk: records of a run, grouped by partition, that wait for the second half of their delivery (rule D9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpooledChunk {
    /// File of the stream's outbox folder.
    pub name: String,
    /// Its length.
    pub length_bytes: u64,
    /// CRC-32C (Castagnoli) of its bytes.
    pub crc32c: u32,
    /// Partitions in it, numbered from 0.
    pub partitions: u32,
    /// Prefix of the revision that its run was cut by: one that its keys are enough for.
    pub prefix: String,
    /// CustomTimeZone of that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// FileExtension of that revision, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_extension: Option<String>,
    /// Whether error records show, of each record in it, the one that it is a part of: the same for all parts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shows_records_of_parts: bool,
}

/// What a seal of the second half takes out of a spool chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Lane whose run the chunk holds.
    pub lane: String,
    /// Number of the seal that made the chunk.
    pub chunk: u64,
    /// Partitions taken.
    pub partitions: NumberSet,
}

/// The stored outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Random identity; all names derive from it.
    pub id: SealId,
    /// Whose run it is.
    pub lane: LaneId,
    /// Number of this seal in its lane, from 1, without gaps.
    pub number: u64,
    /// The run.
    pub run: Run,
    /// Revision of the definition at the cut.
    pub revision: u64,
    /// Version of the program that sealed.
    pub engine: String,
    /// Why the run ends here.
    pub cut: CutReason,
    /// Arrival of the oldest record, ms since the epoch.
    pub oldest_arrival_ms: i64,
    /// Arrival of the newest record, ms since the epoch.
    pub newest_arrival_ms: i64,
    /// Version of the schema used by conversion, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// SHA-256 of the transform module, hex, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// What became of the run's records.
    pub fates: Fates,
    /// What goes out. Empty when every record was dropped.
    pub parcels: Vec<Parcel>,
    /// Records that go on to the second half of their delivery; they are counted as delivered here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spooled: Option<SpooledChunk>,
    /// Of a seal of the second half: where its records come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Taken>,
    /// Members that later versions add.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// Giving up on a destination for one parcel (rule D3): written when no attempt is running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The seal.
    pub seal: SealId,
    /// Whose.
    pub lane: LaneId,
    /// The parcel given up.
    pub parcel: u32,
    /// Attempts made.
    pub attempts: u64,
    /// Text of the last failure.
    pub last_error: String,
    /// The error parcel that goes out instead. Its number is a new one of this seal (rule D2).
    pub instead: Parcel,
    /// Source records of the parcel given up: counted as refused instead of delivered when the seal closes.
    #[serde(default)]
    pub refused: Tally,
}

/// Attempts to deliver a parcel, so far: what a restart goes on from (rule D3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The seal.
    pub seal: SealId,
    /// Whose.
    pub lane: LaneId,
    /// The parcel.
    pub parcel: u32,
    /// How many failed.
    pub failed: u64,
    /// Time between them since the first failure: pauses alone, neither answers that were waited for nor stops.
    pub paused_ms: u64,
    /// Text of the last failure.
    pub last_error: String,
}

/// A seal whose parcels are all delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The seal.
    pub seal: SealId,
    /// Whose.
    pub lane: LaneId,
    /// Its number in the lane.
    pub number: u64,
}
