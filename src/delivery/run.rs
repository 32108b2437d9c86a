//! Stages one run: reads its records, takes them through the stages, and puts the finished bytes into the outbox,
//! synced, with the seal that is to be stored for them. Blocks; runs on a thread for CPU work. Panics of a stage pass
//! through to the caller, who tries again with less (rule D3).

use super::DeliveryContext;
use super::error_record::{self, ErrorContext};
use crate::destination::s3::key::{KeyError, data_key, error_key};
use crate::fault::Class;
use crate::outbox::{Draft, Finished, Stored};
use crate::record::{Cause, Chunk, ErrorKind, Origin, Refused};
use crate::source::{Lane, RunReader};
use crate::stage::transform::InvocationInfo;
use crate::stage::{Encoder, Stage, compress, convert};
use crate::stream::definition::{Compression, Definition};
use crate::stream::position::Run;
use crate::stream::seal::{CutReason, Fates, Parcel, ParcelKind, Place, Seal, Tally};
use crate::stream::{Incarnation, Position, SealId};
use crate::task::Stop;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read and staged at once.
const CHUNK_BYTES: u64 = 2 << 20;

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
    /// Source bytes after which the run ends.
    pub max_bytes: u64,
    /// Records after which the run ends; lowered after a panic.
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
            Self::Io(_) | Self::Stopped => Class::Upstream,
            Self::Bug(_) => Class::Bug,
        }
    }
}

impl From<KeyError> for StageRunError {
    fn from(error: KeyError) -> Self {
        Self::NotReady { code: "S3.InvalidPrefixConfigurationException", message: error.to_string() }
    }
}

/// Stages the run. `None` when nothing can be read.
pub fn stage_run(
    context: &DeliveryContext,
    lane: &dyn Lane,
    plan: &RunPlan,
) -> Result<Option<StagedRun>, StageRunError> {
    let seal_id = SealId::random();
    let staged_ms = context.clock.wall_ms();
    let mut stages = Stages::prepare(context, plan, seal_id, staged_ms)?;
    let incarnation = plan.definition.incarnation;
    let mut body = Body::new(context, plan, &stages, seal_id);
    let mut errors = ErrorDrafts { context, plan, seal_id, staged_ms, drafts: BTreeMap::new(), line: Vec::new() };
    let mut counts = Counts::default();

    let mut reader = lane.reader(&plan.from, None)?;
    while counts.total.bytes < plan.max_bytes && counts.total.records < plan.max_records {
        let max_bytes = CHUNK_BYTES.min(plan.max_bytes - counts.total.bytes);
        let max_records = plan.max_records - counts.total.records;
        let Some(chunk) = reader.next_chunk(max_bytes, max_records)? else { break };
        counts.note_source(&chunk);
        plan.records_read.store(counts.total.records, Ordering::Relaxed);
        stages.apply(&chunk, &mut body, &mut errors, &mut counts)?;
        if plan.stop.is_asked() || plan.abandon.is_asked() {
            return Err(StageRunError::Stopped);
        }
    }
    if counts.total.records == 0 {
        return Ok(None);
    }
    let run = Run { from: plan.from.clone(), to: reader.last() };
    let data_records = stages.finish(&mut body)?;

    let mut finished = FinishedParcels { context, incarnation, parcels: Vec::new(), inline: Vec::new() };
    if data_records > 0 {
        let extension = stages.extension(&plan.definition);
        let s3 = &plan.definition.s3;
        let name = &plan.definition.name;
        let key =
            data_key(&s3.prefix, name, plan.definition.revision, counts.oldest_arrival_ms, seal_id, 0, extension)?;
        let ((length_bytes, crc32c), place) = body.finish(context, reader.as_ref(), &mut finished.inline)?;
        finished.parcels.push(Parcel {
            number: 0,
            kind: ParcelKind::Data,
            bucket: s3.bucket.clone(),
            key,
            content_type: "application/octet-stream".to_owned(),
            content_encoding: stages.content_encoding(&plan.definition).map(str::to_owned),
            kms_key: s3.kms_key.clone(),
            length_bytes,
            crc32c,
            records: data_records,
            place,
        });
    }
    errors.finish(&mut finished, &counts)?;
    let fates = counts.fates(data_records)?;
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
        extra: BTreeMap::new(),
    };
    debug_assert_eq!(seal.lane.incarnation, incarnation);
    Ok(Some(StagedRun { seal, inline }))
}

/// The stages of one run.
struct Stages {
    transform: Option<Box<dyn Stage>>,
    /// `None`: the records as they are, which may be a range of the log.
    encoder: Option<Box<dyn Encoder>>,
    refuse_all: Option<Cause>,
    converts: bool,
    schema_version: Option<String>,
    module_sha256: Option<String>,
}

impl Stages {
    fn prepare(
        context: &DeliveryContext,
        plan: &RunPlan,
        seal_id: SealId,
        staged_ms: i64,
    ) -> Result<Self, StageRunError> {
        let definition = &plan.definition;
        let mut stages = Self {
            transform: None,
            encoder: None,
            refuse_all: plan.refuse_all.clone(),
            converts: definition.convert.is_some(),
            schema_version: None,
            module_sha256: None,
        };
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
            stages.transform = Some(module.stage(spec, info));
        }
        if let Some(spec) = &definition.convert {
            let not_ready = |message| StageRunError::NotReady { code: "DataFormatConversion.EntityNotFound", message };
            let table = context
                .schemas
                .load(&spec.schema.database, &spec.schema.table)
                .map_err(|e| not_ready(e.to_string()))?;
            stages.schema_version = Some(table.version.clone());
            let encoder = convert::encoder(spec, table, definition.revision).map_err(|e| StageRunError::NotReady {
                code: "DataFormatConversion.InvalidSchema",
                message: e.to_string(),
            })?;
            stages.encoder = Some(encoder);
        } else if stages.transform.is_some() || definition.s3.compression != Compression::Uncompressed {
            let entry_name = seal_id.parcel_uuid(0);
            stages.encoder = Some(compress::encoder(definition.s3.compression, &entry_name));
        }
        Ok(stages)
    }

    fn apply(
        &mut self,
        source: &Chunk,
        body: &mut Body<'_>,
        errors: &mut ErrorDrafts<'_>,
        counts: &mut Counts,
    ) -> Result<(), StageRunError> {
        if let Some(cause) = &self.refuse_all {
            let refused: Vec<_> =
                source.slots.iter().map(|s| Refused { origin: s.origin, cause: cause.clone() }).collect();
            return errors.write(source, &refused, counts);
        }
        let mut passed = source.clone();
        if let Some(transform) = &mut self.transform {
            let staged = transform.apply(passed);
            errors.write(source, &staged.refused, counts)?;
            counts.note_dropped(source, &staged.dropped)?;
            passed = staged.passed;
        }
        match &mut self.encoder {
            Some(encoder) => {
                let refused = encoder.push(&passed, body.writer()?)?;
                errors.write(source, &refused, counts)?;
            }
            None => body.push_verbatim(&passed)?,
        }
        Ok(())
    }

    /// Ends the encoder; returns the number of records in the data parcel.
    fn finish(&mut self, body: &mut Body<'_>) -> Result<u64, StageRunError> {
        if self.refuse_all.is_some() {
            return Ok(0);
        }
        match self.encoder.take() {
            Some(encoder) => Ok(encoder.finish(body.writer()?)?),
            None => Ok(body.verbatim_records),
        }
    }

    fn extension<'a>(&self, definition: &'a Definition) -> &'a str {
        if !definition.s3.file_extension.is_empty() {
            &definition.s3.file_extension
        } else if self.converts {
            ".parquet"
        } else {
            compress::extension(definition.s3.compression)
        }
    }

    fn content_encoding(&self, definition: &Definition) -> Option<&'static str> {
        // A Parquet file is not content-encoded; what AWS writes there (`hadoop-snappy`) makes clients that honour the
        // header fail. See docs/differences.md.
        if self.converts { None } else { compress::content_encoding(definition.s3.compression) }
    }
}

/// The data parcel's bytes: a draft in the outbox, or nothing but a checksum when they are a range of the log.
enum BodyKind {
    Drafted(Draft),
    /// Begun as a range of the log; a copy is drafted only if the log cannot serve it cheaply.
    LogRange {
        crc32c: u32,
        length_bytes: u64,
    },
}

struct Body<'a> {
    context: &'a DeliveryContext,
    incarnation: Incarnation,
    seal_id: SealId,
    kind: BodyKind,
    verbatim_records: u64,
}

impl<'a> Body<'a> {
    fn new(context: &'a DeliveryContext, plan: &RunPlan, stages: &Stages, seal_id: SealId) -> Self {
        let incarnation = plan.definition.incarnation;
        let kind = match stages.encoder {
            Some(_) => BodyKind::Drafted(context.outbox.begin(incarnation, seal_id, 0)),
            None => BodyKind::LogRange { crc32c: 0, length_bytes: 0 },
        };
        Self { context, incarnation, seal_id, kind, verbatim_records: 0 }
    }

    fn writer(&mut self) -> Result<&mut dyn Write, StageRunError> {
        match &mut self.kind {
            BodyKind::Drafted(draft) => Ok(draft),
            BodyKind::LogRange { .. } => Err(StageRunError::Bug("an encoder without a draft".to_owned())),
        }
    }

    fn push_verbatim(&mut self, chunk: &Chunk) -> Result<(), StageRunError> {
        let BodyKind::LogRange { crc32c, length_bytes } = &mut self.kind else {
            return Err(StageRunError::Bug("a verbatim push into a draft".to_owned()));
        };
        for (_, bytes) in chunk.iter() {
            *crc32c = crc32c::crc32c_append(*crc32c, bytes);
            *length_bytes += bytes.len() as u64;
        }
        self.verbatim_records += chunk.slots.len() as u64;
        Ok(())
    }

    /// Returns ((length, CRC-32C), place).
    fn finish(
        self,
        context: &DeliveryContext,
        reader: &dyn RunReader,
        inline: &mut Vec<u8>,
    ) -> Result<((u64, u32), Place), StageRunError> {
        match self.kind {
            BodyKind::Drafted(draft) => store(context, draft, inline),
            BodyKind::LogRange { crc32c, length_bytes } => match reader.joined() {
                Some(joined) if joined.length_bytes() == length_bytes => Ok(((length_bytes, crc32c), Place::Log)),
                Some(_) => Err(StageRunError::Bug("the range of the log has another length".to_owned())),
                None => {
                    // Many small frames: copied, so that delivery need not gather them one by one.
                    let mut draft = self.context.outbox.begin(self.incarnation, self.seal_id, 0);
                    copy_records(context, reader, &mut draft)?;
                    store(context, draft, inline)
                }
            },
        }
    }
}

fn copy_records(_context: &DeliveryContext, reader: &dyn RunReader, draft: &mut Draft) -> Result<(), StageRunError> {
    let mut again = reader.again()?;
    while let Some(chunk) = again.next_chunk(CHUNK_BYTES, u64::MAX)? {
        for (_, bytes) in chunk.iter() {
            draft.write_all(bytes)?;
        }
    }
    Ok(())
}

/// Makes a draft durable; returns ((length, CRC-32C), place) and appends inline bytes.
fn store(context: &DeliveryContext, draft: Draft, inline: &mut Vec<u8>) -> Result<((u64, u32), Place), StageRunError> {
    let Some(Finished { length_bytes, crc32c, content }) = context.outbox.finish(vec![draft])?.pop() else {
        return Err(StageRunError::Bug("the outbox lost a draft".to_owned()));
    };
    let place = match content {
        Stored::Inline(bytes) => {
            let offset_bytes = inline.len() as u64;
            inline.extend_from_slice(&bytes);
            Place::Inline { offset_bytes }
        }
        Stored::File(name) => Place::File { name },
    };
    Ok(((length_bytes, crc32c), place))
}

/// Parcels whose bytes are durable; if no seal comes of them, their files are removed again.
struct FinishedParcels<'a> {
    context: &'a DeliveryContext,
    incarnation: Incarnation,
    parcels: Vec<Parcel>,
    inline: Vec<u8>,
}

impl FinishedParcels<'_> {
    fn into_parts(mut self) -> (Vec<Parcel>, Vec<u8>) {
        (std::mem::take(&mut self.parcels), std::mem::take(&mut self.inline))
    }
}

impl Drop for FinishedParcels<'_> {
    fn drop(&mut self) {
        let names = self.parcels.iter().filter_map(|parcel| match &parcel.place {
            Place::File { name } => Some(name),
            _ => None,
        });
        for name in names {
            if let Err(error) = self.context.outbox.free(self.incarnation, name) {
                tracing::warn!(file = name, %error, "a parcel that is not sealed could not be removed");
            }
        }
    }
}

/// Error parcels under way, one a kind.
struct ErrorDrafts<'a> {
    context: &'a DeliveryContext,
    plan: &'a RunPlan,
    seal_id: SealId,
    staged_ms: i64,
    drafts: BTreeMap<ErrorKind, (u32, Draft, u64)>,
    line: Vec<u8>,
}

impl ErrorDrafts<'_> {
    fn write(&mut self, source: &Chunk, refused: &[Refused], counts: &mut Counts) -> Result<(), StageRunError> {
        for Refused { origin, cause } in refused {
            let Some(slot) = source.find(*origin) else {
                return Err(StageRunError::Bug(format!("a stage refused {origin:?}, which it was not given")));
            };
            let base = self.plan.from.number().unwrap_or(0);
            let sequence_number = (base + 1 + origin.ordinal).to_string();
            let context = ErrorContext {
                definition: &self.plan.definition,
                arrival_ms: slot.arrival_ms,
                staged_ms: self.staged_ms,
                sequence_number: &sequence_number,
            };
            self.line.clear();
            error_record::write_line(&mut self.line, cause, source.bytes(slot), &context)
                .map_err(|e| StageRunError::Bug(format!("an error record could not be written: {e}")))?;
            let next = self.drafts.len() as u32 + 1;
            let (_, draft, records) = self.drafts.entry(cause.kind).or_insert_with(|| {
                (next, self.context.outbox.begin(self.plan.definition.incarnation, self.seal_id, next), 0)
            });
            draft.write_all(&self.line)?;
            *records += 1;
            counts.refused.add(u64::from(slot.len));
        }
        Ok(())
    }

    fn finish(self, finished: &mut FinishedParcels<'_>, counts: &Counts) -> Result<(), StageRunError> {
        let definition = &self.plan.definition;
        let s3 = &definition.s3;
        for (kind, (number, draft, records)) in self.drafts {
            let key = error_key(
                &s3.prefix,
                s3.error_prefix.as_deref(),
                kind.as_str(),
                &definition.name,
                definition.revision,
                counts.oldest_arrival_ms,
                self.seal_id,
                number,
                "",
            )?;
            let ((length_bytes, crc32c), place) = store(self.context, draft, &mut finished.inline)?;
            finished.parcels.push(Parcel {
                number,
                kind: ParcelKind::Error(kind.as_str().to_owned()),
                bucket: s3.bucket.clone(),
                key,
                content_type: "application/octet-stream".to_owned(),
                content_encoding: None,
                kms_key: s3.kms_key.clone(),
                length_bytes,
                crc32c,
                records,
                place,
            });
        }
        Ok(())
    }
}

/// Records by fate while the run is staged.
#[derive(Debug)]
struct Counts {
    total: Tally,
    refused: Tally,
    dropped: Tally,
    oldest_arrival_ms: i64,
    newest_arrival_ms: i64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            total: Tally::default(),
            refused: Tally::default(),
            dropped: Tally::default(),
            oldest_arrival_ms: i64::MAX,
            newest_arrival_ms: i64::MIN,
        }
    }
}

impl Counts {
    fn note_source(&mut self, chunk: &Chunk) {
        for slot in &chunk.slots {
            self.total.add(u64::from(slot.len));
            self.oldest_arrival_ms = self.oldest_arrival_ms.min(slot.arrival_ms);
            self.newest_arrival_ms = self.newest_arrival_ms.max(slot.arrival_ms);
        }
    }

    fn note_dropped(&mut self, source: &Chunk, dropped: &[Origin]) -> Result<(), StageRunError> {
        for origin in dropped {
            let Some(slot) = source.find(*origin) else {
                return Err(StageRunError::Bug(format!("a stage dropped {origin:?}, which it was not given")));
            };
            self.dropped.add(u64::from(slot.len));
        }
        Ok(())
    }

    /// Every record has exactly one fate, or this is a bug and nothing is sealed.
    fn fates(&self, data_records: u64) -> Result<Fates, StageRunError> {
        let others = self.refused.records + self.dropped.records;
        if data_records + others != self.total.records {
            return Err(StageRunError::Bug(format!(
                "{} records read, but {data_records} delivered, {} refused and {} dropped",
                self.total.records, self.refused.records, self.dropped.records
            )));
        }
        let delivered =
            Tally { records: data_records, bytes: self.total.bytes - self.refused.bytes - self.dropped.bytes };
        Ok(Fates { delivered, refused: self.refused, dropped: self.dropped, discarded: Tally::default() })
    }
}
