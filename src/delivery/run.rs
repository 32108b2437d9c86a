//! Stages one run: reads its records, takes them through the stages, and puts the finished bytes into the outbox,
//! synced, with the seal that is to be stored for them. Blocks; runs on a thread for CPU work. Panics of a stage pass
//! through to the caller, who tries again with less (rule D3). Where the table is learnt, records that do not fit it are
//! learnt from, and the run is gone through once more.

use super::DeliveryContext;
use super::counts::Counts;
use super::loads::add_load;
use super::parcels::{Body, ErrorDrafts, FinishedParcels};
use super::partitioned;
use super::requests::Requests;
use super::shuffle::Shuffle;
use super::spooled::Half;
use super::stages::Stages;
use super::worker::definition;
use crate::batch::{PartitionCut, most_source_bytes};
use crate::destination::s3::key::{KeyError, data_key};
use crate::fault::{Class, Fault, Retry};
use crate::record::Cause;
use crate::schemas::LookupError;
use crate::source::Lane;
use crate::spool::Partition;
use crate::stream::definition::Definition;
use crate::stream::position::Run;
use crate::stream::prefix::PartitionKeys;
use crate::stream::seal::{CutReason, LaneId, Seal};
use crate::stream::{Position, SealId};
use crate::task::Stop;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes read and staged at once.
pub(super) const CHUNK_BYTES: u64 = 2 << 20;
/// Of records that are to be decompressed: what each chunk can expand to is what a run can go beyond its bound.
const PACKED_CHUNK_BYTES: u64 = CHUNK_BYTES / 8;
/// What a worker lets a run decompress to.
pub(super) const MAX_EXPANDED_BYTES: u64 = 1 << 30;
/// What a worker lets a run with a transform take.
pub(super) const MAX_TRANSFORM_STAGING: Duration = Duration::from_secs(60);

/// Read at once shortly before an object has its size.
const SMALL_CHUNK_BYTES: u64 = 64 << 10;

/// What to stage.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// Definition adopted at this cut.
    pub definition: Arc<Definition>,
    /// Exclusive start.
    pub from: Position,
    /// Number of the seal in its lane.
    pub number: u64,
    /// Why it is cut.
    pub cut: CutReason,
    /// Source bytes after which the run ends; with a target, only as long as nothing is encoded.
    pub max_bytes: u64,
    /// Decompressed bytes after which the run ends, so that no object and no disk depends on what records claim to hold.
    pub max_expanded_bytes: u64,
    /// Time after which the run ends with the chunk it is at, so that what slow or failing guests have come to is sealed,
    /// and others have their turn.
    pub max_staging: Duration,
    /// What of the delivery it is a run of.
    pub half: Half,
    /// Of the second half: what is cut.
    pub cuts: Vec<PartitionCut>,
    /// Encoded bytes at which the run ends, however much source that takes.
    pub target_object_bytes: Option<u64>,
    /// Records after which the run ends; lowered after a panic. Of the second half, if lowered: what is cut is not to be
    /// staged blindly.
    pub max_records: u64,
    /// Refuse all records with this cause instead of staging them: the last resort for a record that makes a stage
    /// panic whatever is tried.
    pub refuse_all: Option<Cause>,
    /// Records read so far, for whoever must make sense of a panic.
    pub records_read: Arc<AtomicU64>,
    /// The service stops: what the stages return is void (a transform may have been interrupted).
    pub stop: Stop,
    /// Nobody wants the outcome any more.
    pub abandon: Stop,
}

/// A run made ready to be sealed; its files are durable.
#[derive(Debug)]
pub struct StagedRun {
    /// The seal to store.
    pub seal: Seal,
    /// Bytes that go into the journal beside it.
    pub inline: Vec<u8>,
    /// Partitions of the spool chunk it made.
    pub partitions: Vec<Partition>,
}

/// Why a run could not be staged. Nothing happened; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum StageRunError {
    /// A module, a table or a name is not what the definition needs.
    #[error("{code}: {message}")]
    NotReady {
        /// Error code of the reference.
        code: &'static str,
        /// What is missing and what to do.
        message: String,
    },
    /// Something that a stage needs cannot be asked for; it is asked again.
    #[error("{code}: {message}")]
    Unanswered {
        /// Error code of the reference.
        code: &'static str,
        /// Who does not answer.
        message: String,
    },
    /// Log or outbox failed.
    #[error("disk: {0}")]
    Io(#[from] io::Error),
    /// A broken invariant.
    #[error("internal error: {0}")]
    Bug(String),
    /// The service or the stream stopped meanwhile; the run is cut anew.
    #[error("stopped")]
    Stopped,
}

impl StageRunError {
    /// Who can mend it.
    pub fn class(&self) -> Class {
        match self {
            Self::NotReady { .. } => Class::User,
            Self::Unanswered { .. } | Self::Io(_) | Self::Stopped => Class::Upstream,
            Self::Bug(_) => Class::Bug,
        }
    }

    /// Whether the outcome found no room on disk.
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Io(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

impl From<LookupError> for StageRunError {
    fn from(error: LookupError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            LookupError::Glue { error, .. } if error.retry() == Retry::Backoff => Self::Unanswered { code, message },
            _ => Self::NotReady { code, message },
        }
    }
}

impl From<KeyError> for StageRunError {
    fn from(error: KeyError) -> Self {
        Self::NotReady { code: "S3.InvalidPrefixConfigurationException", message: error.to_string() }
    }
}

/// Most times that a run is learnt from before what still does not fit is refused. A table only widens, so this is
/// reached only if a transform never says the same twice.
const MAX_LESSONS: u32 = 8;

/// What came of going through a run.
pub(super) enum Gone {
    /// It is staged; or nothing could be read.
    Staged(Option<Box<StagedRun>>),
    /// Its records, so many, do not fit the table that was learnt so far. They were learnt from; nothing else happened.
    Learnt(u64),
}

/// What transforms are told, the same however often a run is gone through.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub seal_id: SealId,
    pub staged_ms: i64,
}

/// Stages the run. `None` when nothing can be read.
pub fn stage_run(
    context: &DeliveryContext,
    lane: &dyn Lane,
    plan: &RunPlan,
) -> Result<Option<StagedRun>, StageRunError> {
    let attempt = Attempt { seal_id: SealId::random(), staged_ms: context.clock.wall_ms() };
    let mut plan = plan.clone();
    let mut lessons = 0;
    loop {
        let is_final = plan.refuse_all.is_some() || lessons == MAX_LESSONS;
        let gone = match plan.half.clone() {
            Half::Second(spooled) => partitioned::go_through(context, &spooled, &plan, attempt, is_final)?,
            Half::Whole | Half::First(_) => go_through(context, lane, &plan, attempt, is_final)?,
        };
        match gone {
            Gone::Staged(staged) => return Ok(staged.map(|staged| *staged)),
            // Those that came meanwhile were not learnt from.
            Gone::Learnt(records) => plan.max_records = records,
        }
        lessons += 1;
    }
}

/// Goes through the run; `is_final`: with the table as it is.
fn go_through(
    context: &DeliveryContext,
    lane: &dyn Lane,
    plan: &RunPlan,
    attempt: Attempt,
    is_final: bool,
) -> Result<Gone, StageRunError> {
    let Attempt { seal_id, staged_ms } = attempt;
    let mut stages = Stages::prepare(context, plan, seal_id, staged_ms, is_final)?;
    let incarnation = plan.definition.incarnation;
    let mut body = Body::new(context, plan, stages.is_encoded(), seal_id, 0);
    let mut errors = ErrorDrafts::new(context, plan, seal_id, staged_ms, stages.glue_version.take());
    let mut counts = Counts::default();

    let began = context.clock.monotonic();
    let mut reader = lane.reader(&plan.from, None)?;
    // The run may have waited for its thread. All that this reader sees was there before this look at the version, so
    // that what came after an update was answered is not taken by the version before it.
    let newest = definition(&context.catalog, &plan.definition.name, lane.id());
    if newest.is_some_and(|newest| newest.revision != plan.definition.revision) {
        return Err(StageRunError::Stopped);
    }
    let chunk_bytes = if stages.decompress.is_some() { PACKED_CHUNK_BYTES } else { CHUNK_BYTES };
    while counts.total.records < plan.max_records
        && counts.expanded_bytes < plan.max_expanded_bytes
        && !stages.shuffle.as_ref().is_some_and(Shuffle::is_full)
        && !stages.requests.as_ref().is_some_and(Requests::is_full)
    {
        // What a learner is shown becomes no object.
        let encoded_bytes = stages.learner.is_none().then(|| body.length_bytes() + stages.pending_bytes());
        let Some(next_bytes) = next_bytes(plan, counts.total.bytes, encoded_bytes) else { break };
        let max_bytes = next_bytes.min(chunk_bytes);
        let max_records = plan.max_records - counts.total.records;
        let Some(chunk) = reader.next_chunk(max_bytes, max_records)? else { break };
        counts.note_source(&chunk);
        plan.records_read.store(counts.total.records, Ordering::Relaxed);
        stages.apply(&plan.definition, &chunk, &mut body, &mut errors, &mut counts)?;
        if plan.stop.is_asked() || plan.abandon.is_asked() {
            return Err(StageRunError::Stopped);
        }
        if context.clock.monotonic().saturating_sub(began) >= plan.max_staging {
            break;
        }
    }
    if counts.total.records == 0 {
        return Ok(Gone::Staged(None));
    }
    if stages.learner.is_some() {
        stages.store_lesson(context, plan)?;
        return Ok(Gone::Learnt(counts.total.records));
    }
    let run = Run { from: plan.from.clone(), to: reader.last() };
    let shuffle = stages.shuffle.take();
    let requests = stages.requests.take();
    let is_object = shuffle.is_none() && requests.is_none();
    let data_oldest_ms = body.oldest_arrival_ms();
    let (mut finished, data_records) = match (&shuffle, requests) {
        (_, Some(requests)) => requests.finish()?,
        (Some(shuffle), None) => (FinishedParcels::new(context.outbox.clone(), incarnation), shuffle.records),
        (None, None) => (FinishedParcels::new(context.outbox.clone(), incarnation), stages.finish(&mut body)?),
    };
    if data_records > 0 && is_object {
        let s3 = &plan.definition.s3;
        let name = stages.name(plan, seal_id, 0, s3, body.oldest_arrival_ms());
        let key = data_key(s3, &name, &PartitionKeys::default())?;
        let ((length_bytes, crc32c), place) = body.finish(context, Some(reader.as_ref()), &mut finished.inline)?;
        finished.parcels.push(stages.parcel(plan, 0, key, (length_bytes, crc32c), data_records, place));
    }
    errors.finish(&mut finished)?;
    let fates = counts.fates(data_records)?;
    if let Some(target) = &plan.definition.redshift {
        let of_records = (fates.delivered.bytes, data_oldest_ms);
        add_load(&context.outbox, plan, seal_id, lane.id(), target, of_records, &mut finished)?;
    }
    // What is spooled is converted later, by seals that number themselves. So do other lanes.
    let is_main = *lane.id() == LaneId::direct_put(incarnation) && matches!(plan.half, Half::Whole);
    stages.declare(context, plan, seal_id, is_main, &mut finished)?;
    // Last: nothing but the seal is between the chunk and whoever keeps its file.
    let (spooled, partitions) = match shuffle {
        Some(shuffle) => shuffle.finish(context, plan)?,
        None => (None, Vec::new()),
    };
    let (parcels, inline) = finished.into_parts();
    let seal = Seal {
        id: seal_id,
        lane: lane.id().clone(),
        number: plan.number,
        run,
        revision: plan.definition.revision,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        cut: plan.cut,
        oldest_arrival_ms: counts.oldest_arrival_ms,
        newest_arrival_ms: counts.newest_arrival_ms,
        schema: stages.schema_version,
        module: stages.module_sha256,
        fates,
        parcels,
        spooled,
        taken: Vec::new(),
        extra: BTreeMap::new(),
    };
    debug_assert_eq!(seal.lane.incarnation, incarnation);
    Ok(Gone::Staged(Some(Box::new(StagedRun { seal, inline, partitions }))))
}

/// Source bytes to read next, `None` at the end of the run: `read_bytes` are read, and `encoded_bytes` came of them.
fn next_bytes(plan: &RunPlan, read_bytes: u64, encoded_bytes: Option<u64>) -> Option<u64> {
    let (Some(target), Some(encoded)) = (plan.target_object_bytes, encoded_bytes) else {
        return plan.max_bytes.checked_sub(read_bytes).filter(|left| *left > 0).map(|left| left.min(CHUNK_BYTES));
    };
    if encoded >= target || read_bytes >= most_source_bytes(target) {
        return None;
    }
    let missing = (target - encoded) as f64 * (read_bytes as f64 / encoded.max(1) as f64);
    Some(if encoded == 0 { CHUNK_BYTES.min(target) } else { (missing as u64).clamp(SMALL_CHUNK_BYTES, CHUNK_BYTES) })
}
