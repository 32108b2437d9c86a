//! Stages one run: reads its records, takes them through the stages, and puts the finished bytes into the outbox,
//! synced, with the seal that is to be stored for them. Blocks; runs on a thread for CPU work. Panics of a stage pass
//! through to the caller, who tries again with less (rule D3). Where the table is learnt, records that do not fit it are
//! learnt from, and the run is gone through once more.

use super::DeliveryContext;
use super::counts::Counts;
use super::learnt::Learnt;
use super::originals::{Originals, Read};
use super::parcels::{self, Body, ErrorDrafts, FinishedParcels};
use super::partitioned;
use super::shuffle::Shuffle;
use super::spooled::Half;
use crate::batch::{PartitionCut, most_source_bytes};
use crate::destination::s3::key::{KeyError, ObjectName, data_key};
use crate::fault::{Class, Fault, Retry};
use crate::record::{Cause, Chunk, Refused};
use crate::schemas::LookupError;
use crate::source::Lane;
use crate::spool::Partition;
use crate::stage::convert::infer::{Learner, LearntTable};
use crate::stage::convert::{self, ConvertError, TableSchema};
use crate::stage::deaggregate::DeaggregateStage;
use crate::stage::decompress::DecompressStage;
use crate::stage::transform::InvocationInfo;
use crate::stage::{Encoder, Expand, Stage, compress};
use crate::stream::definition::{Compression, Definition, Processors, S3Target};
use crate::stream::position::Run;
use crate::stream::prefix::PartitionKeys;
use crate::stream::seal::{CutReason, LaneId, Parcel, ParcelKind, Place, Seal};
use crate::stream::{Position, SealId};
use crate::task::Stop;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read and staged at once.
pub(super) const CHUNK_BYTES: u64 = 2 << 20;
/// Of records that are to be decompressed: what each chunk can expand to is what a run can go beyond its bound.
const PACKED_CHUNK_BYTES: u64 = CHUNK_BYTES / 8;
/// What a worker lets a run decompress to.
pub(super) const MAX_EXPANDED_BYTES: u64 = 1 << 30;

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
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::StorageFull)
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

    let mut reader = lane.reader(&plan.from, None)?;
    let chunk_bytes = if stages.decompress.is_some() { PACKED_CHUNK_BYTES } else { CHUNK_BYTES };
    while counts.total.records < plan.max_records
        && counts.expanded_bytes < plan.max_expanded_bytes
        && !stages.shuffle.as_ref().is_some_and(Shuffle::is_full)
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
    let data_records = match &shuffle {
        Some(shuffle) => shuffle.records,
        None => stages.finish(&mut body)?,
    };

    let mut finished = FinishedParcels { context, incarnation, parcels: Vec::new(), inline: Vec::new() };
    if data_records > 0 && shuffle.is_none() {
        let s3 = &plan.definition.s3;
        let name = stages.name(plan, seal_id, 0, s3, body.oldest_arrival_ms());
        let key = data_key(s3, &name, &PartitionKeys::default())?;
        let ((length_bytes, crc32c), place) = body.finish(context, Some(reader.as_ref()), &mut finished.inline)?;
        finished.parcels.push(stages.parcel(plan, 0, key, (length_bytes, crc32c), data_records, place));
    }
    errors.finish(&mut finished)?;
    // What is spooled is converted later, by seals that number themselves. So do other lanes.
    let is_main = *lane.id() == LaneId::direct_put(incarnation) && matches!(plan.half, Half::Whole);
    stages.declare(context, plan, seal_id, is_main, &mut finished)?;
    let fates = counts.fates(data_records)?;
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

/// What is declared of a learnt table: columns, and where their data lie.
fn declared(s3: &S3Target, written: &TableSchema) -> String {
    format!("{} {}", written.version, parcels::location(s3))
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

fn invalid_schema(error: ConvertError) -> StageRunError {
    StageRunError::NotReady { code: "DataFormatConversion.InvalidSchema", message: error.to_string() }
}

/// What a chunk of records comes to.
pub(super) struct Sinks<'a, 'b> {
    pub definition: &'a Definition,
    pub source: &'a Chunk,
    pub body: &'a mut Body<'b>,
    pub errors: &'a mut ErrorDrafts<'b>,
    pub counts: &'a mut Counts,
}

/// The stages of one run.
pub(super) struct Stages {
    decompress: Option<Box<dyn Expand>>,
    deaggregate: Option<Box<dyn Expand>>,
    transform: Option<Box<dyn Stage>>,
    /// `None`: the records as they are, which may be a range of the log.
    encoder: Option<Box<dyn Encoder>>,
    /// The table that `encoder` has, where it was learnt, and what is written of it.
    learnt: Option<(Arc<Learnt>, Arc<TableSchema>)>,
    /// Takes the records instead of the encoder, in the first half of a delivery.
    shuffle: Option<Shuffle>,
    /// Shown the records instead of the encoder, once they do not fit.
    pub(super) learner: Option<Learner>,
    pub(super) refuse_all: Option<Cause>,
    converts: bool,
    pub(super) schema_version: Option<String>,
    pub(super) glue_version: Option<String>,
    module_sha256: Option<String>,
}

impl Stages {
    pub(super) fn prepare(
        context: &DeliveryContext,
        plan: &RunPlan,
        seal_id: SealId,
        staged_ms: i64,
        is_final: bool,
    ) -> Result<Self, StageRunError> {
        let definition = &plan.definition;
        let mut stages = Self {
            decompress: None,
            deaggregate: None,
            transform: None,
            encoder: None,
            learnt: None,
            shuffle: None,
            learner: None,
            refuse_all: plan.refuse_all.clone(),
            converts: definition.convert.is_some(),
            schema_version: None,
            glue_version: None,
            module_sha256: None,
        };
        if let Half::Second(_) = plan.half {
            return Ok(stages);
        }
        let processors = &definition.processors;
        stages.decompress = processors.decompress.map(|spec| Box::new(DecompressStage::new(spec)) as _);
        stages.deaggregate = processors.deaggregate.as_ref().map(|spec| Box::new(DeaggregateStage::new(spec)) as _);
        if let Some(spec) = &definition.transform {
            let module = context.transforms.load(spec).map_err(|error| StageRunError::NotReady {
                code: "Lambda.ResourceNotFound",
                message: error.to_string(),
            })?;
            stages.module_sha256 = Some(module.sha256_hex.clone());
            let seed = u64::from_le_bytes(seal_id.0[..8].try_into().unwrap_or_default());
            let info = InvocationInfo {
                stream_arn: definition.arn.clone(),
                region: context.region.clone(),
                invocation_id: seal_id.parcel_uuid(u32::MAX),
                now_ms: staged_ms,
                seed,
            };
            let (stop, abandon) = (plan.stop.clone(), plan.abandon.clone());
            let interrupted = Arc::new(move || stop.is_asked() || abandon.is_asked());
            stages.transform = Some(module.stage(spec, info, interrupted));
        }
        match plan.half {
            Half::First(ref spooled) => {
                stages.shuffle = Some(Shuffle::begin(context, plan, spooled.clone(), seal_id)?);
            }
            Half::Whole | Half::Second(_) => stages.begin_object(context, plan, seal_id.parcel_uuid(0), is_final)?,
        }
        Ok(stages)
    }

    /// An encoder for the next object, if it needs one.
    pub(super) fn begin_object(
        &mut self,
        context: &DeliveryContext,
        plan: &RunPlan,
        entry_name: String,
        is_final: bool,
    ) -> Result<(), StageRunError> {
        let (definition, stages) = (&plan.definition, self);
        let processors = &definition.processors;
        if stages.learner.is_some() {
            return Ok(());
        }
        if let Some(spec) = definition.convert.as_ref().filter(|spec| spec.schema.is_inferred()) {
            match context.learnt.load(definition.incarnation)? {
                Some(learnt) => {
                    let written = convert::written(spec, Arc::clone(&learnt.table.schema)).map_err(invalid_schema)?;
                    stages.schema_version = Some(written.version.clone());
                    let encoder = convert::learnt_encoder(spec, &learnt.table, definition.revision, is_final);
                    stages.encoder = Some(encoder.map_err(invalid_schema)?);
                    stages.learnt = Some((learnt, written));
                }
                None if is_final => stages.encoder = Some(convert::unlearnt_encoder(spec).map_err(invalid_schema)?),
                None => stages.learner = Some(Learner::new(spec).map_err(invalid_schema)?),
            }
        } else if let Some(spec) = &definition.convert {
            let found = context.schemas.current(&spec.schema)?;
            let table = convert::written(spec, found.schema).map_err(invalid_schema)?;
            stages.schema_version = Some(match &found.glue_version {
                Some(version) => format!("glue:{version}:{}", table.version),
                None => table.version.clone(),
            });
            stages.glue_version = found.glue_version.filter(|version| !version.is_empty());
            stages.encoder = Some(convert::encoder(spec, table, definition.revision).map_err(invalid_schema)?);
        } else if stages.transform.is_some()
            || definition.s3.compression != Compression::Uncompressed
            || *processors != Processors::default()
            || matches!(plan.half, Half::Second(_))
        {
            let delimiter = processors.append_delimiter.as_deref().unwrap_or_default();
            stages.encoder = Some(compress::encoder(definition.s3.compression, &entry_name, delimiter));
        }
        Ok(())
    }

    /// Keeps what was learnt of records that do not fit.
    pub(super) fn store_lesson(&mut self, context: &DeliveryContext, plan: &RunPlan) -> Result<(), StageRunError> {
        let definition = &plan.definition;
        let (Some(learner), Some(spec)) = (&mut self.learner, &definition.convert) else {
            return Err(StageRunError::Bug("records were learnt from that are not converted".to_owned()));
        };
        let declared = |table: &LearntTable| {
            let written = convert::written(spec, Arc::clone(&table.schema)).map_err(invalid_schema)?;
            Ok(declared(&definition.s3, &written))
        };
        context.learnt.store(definition.incarnation, learner.freeze(), plan.number, declared)
    }

    /// Adds the declaration of the table that was learnt, if it is due. `is_main`: the lane is the one whose seals use it.
    pub(super) fn declare(
        &self,
        context: &DeliveryContext,
        plan: &RunPlan,
        seal_id: SealId,
        is_main: bool,
        finished: &mut FinishedParcels<'_>,
    ) -> Result<(), StageRunError> {
        let incarnation = plan.definition.incarnation;
        match &self.learnt {
            Some((learnt, written)) => {
                let (number, is_as_created) = (plan.number, plan.definition.revision == 1);
                let declared = declared(&plan.definition.s3, written);
                if let Some(revision) = context.learnt.declare(incarnation, learnt, number, declared, is_as_created)? {
                    finished.add_declaration(plan, seal_id, revision, written)?;
                }
            }
            None if is_main => context.learnt.unused(incarnation, plan.number)?,
            None => {}
        }
        Ok(())
    }

    /// Facts of the name of a data parcel that goes to `target`.
    pub(super) fn name<'a>(
        &self,
        plan: &'a RunPlan,
        seal: SealId,
        parcel: u32,
        target: &'a S3Target,
        oldest_arrival_ms: i64,
    ) -> ObjectName<'a> {
        let (stream, revision) = (&plan.definition.name, plan.definition.revision);
        ObjectName { stream, revision, oldest_arrival_ms, seal, parcel, extension: self.extension(target) }
    }

    /// A data parcel of so many records; `stored` are its length and CRC-32C.
    pub(super) fn parcel(
        &self,
        plan: &RunPlan,
        number: u32,
        key: String,
        stored: (u64, u32),
        records: u64,
        place: Place,
    ) -> Parcel {
        let s3 = &plan.definition.s3;
        Parcel {
            number,
            kind: ParcelKind::Data,
            bucket: s3.bucket.clone(),
            key,
            content_type: "application/octet-stream".to_owned(),
            content_encoding: self.content_encoding(&plan.definition).map(str::to_owned),
            kms_key: s3.kms_key.clone(),
            length_bytes: stored.0,
            crc32c: stored.1,
            records,
            place,
        }
    }

    /// Whether the records become something else than themselves.
    pub(super) fn is_encoded(&self) -> bool {
        self.encoder.is_some() || self.learner.is_some()
    }

    /// Bytes of the object that the encoder holds.
    fn pending_bytes(&self) -> u64 {
        self.encoder.as_ref().map_or(0, |encoder| encoder.pending_bytes())
    }

    fn apply<'b>(
        &mut self,
        definition: &Definition,
        source: &Chunk,
        body: &mut Body<'b>,
        errors: &mut ErrorDrafts<'b>,
        counts: &mut Counts,
    ) -> Result<(), StageRunError> {
        if let Some(cause) = &self.refuse_all {
            let refused: Vec<_> =
                source.slots.iter().map(|s| Refused { origin: s.origin, cause: cause.clone() }).collect();
            return errors.write(&Originals::unsplit(source), &refused, counts);
        }
        let mut sinks = Sinks { definition, source, body, errors, counts };
        match self.decompress.take() {
            None => self.split(source, &mut sinks)?,
            Some(mut decompress) => {
                decompress.begin(source.clone());
                while let Some(staged) = decompress.next() {
                    sinks.counts.expanded_bytes += staged.passed.buffer.len() as u64;
                    let originals = Originals::unsplit(source);
                    sinks.errors.write(&originals, &staged.refused, sinks.counts)?;
                    sinks.counts.note_dropped(&originals, &staged.dropped)?;
                    self.split(&staged.passed, &mut sinks)?;
                }
                self.decompress = Some(decompress);
            }
        }
        sinks.errors.end_chunk();
        Ok(())
    }

    /// De-aggregates, and goes on with each piece.
    fn split(&mut self, records: &Chunk, sinks: &mut Sinks<'_, '_>) -> Result<(), StageRunError> {
        let source = sinks.source;
        let Some(mut deaggregate) = self.deaggregate.take() else {
            return self.encode(records, Originals::unsplit(source), sinks);
        };
        let shows_source = sinks.definition.processors.decompress.is_some();
        deaggregate.begin(records.clone());
        while let Some(staged) = deaggregate.next() {
            sinks.counts.note_split(&staged);
            let cut_off = Chunk { buffer: staged.passed.buffer.clone(), slots: staged.refused_parts };
            let originals = Originals::Read(Read { source, parts: Some(&cut_off), shows_source });
            sinks.errors.write(&originals, &staged.refused, sinks.counts)?;
            let originals = Originals::Read(Read { source, parts: Some(&staged.passed), shows_source });
            self.encode(&staged.passed, originals, sinks)?;
        }
        self.deaggregate = Some(deaggregate);
        Ok(())
    }

    /// Transforms, and converts or joins.
    fn encode(
        &mut self,
        records: &Chunk,
        originals: Originals<'_>,
        sinks: &mut Sinks<'_, '_>,
    ) -> Result<(), StageRunError> {
        let transformed;
        let passed = match &mut self.transform {
            None => records,
            Some(transform) => {
                let staged = transform.apply(records.clone());
                sinks.errors.write(&originals, &staged.refused, sinks.counts)?;
                sinks.counts.note_dropped(&originals, &staged.dropped)?;
                transformed = staged.passed;
                &transformed
            }
        };
        if let Some(shuffle) = &mut self.shuffle {
            let refused = shuffle.push(passed, &originals)?;
            return sinks.errors.write(&originals, &refused, sinks.counts);
        }
        self.put_in_object(passed, &originals, sinks)
    }

    /// Converts or joins, or learns.
    pub(super) fn put_in_object(
        &mut self,
        passed: &Chunk,
        originals: &Originals<'_>,
        sinks: &mut Sinks<'_, '_>,
    ) -> Result<(), StageRunError> {
        #[cfg(test)]
        super::tests::panic_at_poison(passed);
        match (&mut self.encoder, &mut self.learner) {
            (_, Some(learner)) => learner.observe_chunk(passed),
            (Some(encoder), None) => {
                let refused = encoder.push(passed, sinks.body.writer()?)?;
                if !encoder.fits() {
                    return self.learn(sinks.definition, passed);
                }
                sinks.body.note_arrivals(passed, &refused);
                sinks.errors.write(originals, &refused, sinks.counts)?;
            }
            (None, None) => sinks.body.push_verbatim(passed)?,
        }
        Ok(())
    }

    /// Goes on as a learner, from a chunk that does not fit.
    fn learn(&mut self, definition: &Definition, chunk: &Chunk) -> Result<(), StageRunError> {
        let (Some((learnt, _)), Some(spec)) = (&self.learnt, &definition.convert) else {
            return Err(StageRunError::Bug("records do not fit a table that was not learnt".to_owned()));
        };
        let mut learner = Learner::resume(spec, &learnt.kept.shapes).map_err(invalid_schema)?;
        learner.observe_chunk(chunk);
        (self.encoder, self.learner) = (None, Some(learner));
        Ok(())
    }

    /// Ends the encoder; returns the number of records in the data parcel.
    pub(super) fn finish(&mut self, body: &mut Body<'_>) -> Result<u64, StageRunError> {
        if self.refuse_all.is_some() {
            return Ok(0);
        }
        match self.encoder.take() {
            Some(encoder) => Ok(encoder.finish(body.writer()?)?),
            None => Ok(body.verbatim_records),
        }
    }

    fn extension<'a>(&self, target: &'a S3Target) -> &'a str {
        if !target.file_extension.is_empty() {
            &target.file_extension
        } else if self.converts {
            ".parquet"
        } else {
            compress::extension(target.compression)
        }
    }

    fn content_encoding(&self, definition: &Definition) -> Option<&'static str> {
        // A Parquet file is not content-encoded; what AWS writes there (`hadoop-snappy`) makes clients that honour the
        // header fail. See docs/differences.md.
        if self.converts { None } else { compress::content_encoding(definition.s3.compression) }
    }
}
