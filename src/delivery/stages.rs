//! The stages of one run, in their order: decompress, de-aggregate, transform, and then the shuffle into the spool, or the
//! encoder of an object; where the table is learnt, a learner in its place.
//!
//! From: `run` and `partitioned`, which show them chunks of records. To: `parcels`, `counts`. Invariant: each record they
//! are shown, or each part of it, gets one fate.

use super::DeliveryContext;
use super::counts::Counts;
use super::learnt::Learnt;
use super::originals::{Originals, Read};
use super::parcels::{self, Body, ErrorDrafts, FinishedParcels};
use super::requests::Requests;
use super::run::{RunPlan, StageRunError};
use super::shuffle::Shuffle;
use super::spooled::Half;
use crate::destination::s3::key::{KeyError, ObjectName};
use crate::record::{Cause, Chunk, Refused};
use crate::stage::convert::infer::{Learner, LearntTable};
use crate::stage::convert::{self, ConvertError, TableSchema};
use crate::stage::deaggregate::DeaggregateStage;
use crate::stage::decompress::DecompressStage;
use crate::stage::partition::lambda::LambdaKeys;
use crate::stage::transform::InvocationInfo;
use crate::stage::{Encoder, Expand, Stage, compress};
use crate::stream::SealId;
use crate::stream::definition::{Compression, Definition, Processors, S3Target};
use crate::stream::seal::{Parcel, ParcelKind, Place};
use std::sync::Arc;

/// The keys that a transform is to tell of records of this prefix.
fn lambda_keys(prefix: &str) -> Result<LambdaKeys, KeyError> {
    LambdaKeys::of_prefix(prefix).map_err(|error| KeyError::BadPrefix { prefix: prefix.to_owned(), error })
}

/// What a chunk of records comes to.
pub struct Sinks<'a, 'b> {
    pub definition: &'a Definition,
    pub source: &'a Chunk,
    pub body: &'a mut Body<'b>,
    pub errors: &'a mut ErrorDrafts<'b>,
    pub counts: &'a mut Counts,
}

/// The stages of one run.
pub struct Stages {
    pub decompress: Option<Box<dyn Expand>>,
    deaggregate: Option<Box<dyn Expand>>,
    transform: Option<Box<dyn Stage>>,
    /// `None`: the records as they are, which may be a range of the log.
    encoder: Option<Box<dyn Encoder>>,
    /// The table that `encoder` has, where it was learnt, and what is written of it.
    learnt: Option<(Arc<Learnt>, Arc<TableSchema>)>,
    /// Takes the records instead of the encoder, in the first half of a delivery.
    pub shuffle: Option<Shuffle>,
    /// Takes the records instead of the encoder, where they go to an endpoint.
    pub requests: Option<Requests>,
    /// Shown the records instead of the encoder, once they do not fit.
    pub learner: Option<Learner>,
    pub refuse_all: Option<Cause>,
    converts: bool,
    pub schema_version: Option<String>,
    pub glue_version: Option<String>,
    pub module_sha256: Option<String>,
}

impl Stages {
    pub fn prepare(
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
            requests: None,
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
            let wanted = match plan.half {
                Half::First(_) => lambda_keys(&definition.s3.prefix)?,
                Half::Whole | Half::Second(_) => LambdaKeys::default(),
            };
            stages.transform = Some(module.stage(spec, info, wanted, interrupted));
        }
        match plan.half {
            Half::First(ref spooled) => {
                stages.shuffle = Some(Shuffle::begin(context, plan, spooled.clone(), seal_id)?);
            }
            Half::Whole | Half::Second(_) => match definition.http.clone() {
                Some(target) => {
                    stages.requests = Some(Requests::begin(context.outbox.clone(), plan, target, seal_id, staged_ms));
                }
                None => stages.begin_object(context, plan, seal_id.parcel_uuid(0), is_final)?,
            },
        }
        Ok(stages)
    }

    /// An encoder for the next object, if it needs one.
    pub fn begin_object(
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
    pub fn store_lesson(&mut self, context: &DeliveryContext, plan: &RunPlan) -> Result<(), StageRunError> {
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
    pub fn declare(
        &self,
        context: &DeliveryContext,
        plan: &RunPlan,
        seal_id: SealId,
        is_main: bool,
        finished: &mut FinishedParcels,
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
    pub fn name<'a>(
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
    pub fn parcel(
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
    pub fn is_encoded(&self) -> bool {
        self.encoder.is_some() || self.learner.is_some()
    }

    /// Bytes of the object that the encoder holds.
    pub fn pending_bytes(&self) -> u64 {
        self.encoder.as_ref().map_or(0, |encoder| encoder.pending_bytes())
    }

    /// Takes records as they were read through all stages.
    pub fn apply<'b>(
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
        let (passed, lambda_keys) = match &mut self.transform {
            None => (records, &[][..]),
            Some(transform) => {
                let staged = transform.apply(records.clone());
                sinks.errors.write(&originals, &staged.refused, sinks.counts)?;
                sinks.counts.note_dropped(&originals, &staged.dropped)?;
                transformed = staged;
                (&transformed.passed, &transformed.partition_keys[..])
            }
        };
        if let Some(shuffle) = &mut self.shuffle {
            let refused = shuffle.push(passed, lambda_keys, &originals)?;
            return sinks.errors.write(&originals, &refused, sinks.counts);
        }
        self.put_in_object(passed, &originals, sinks)
    }

    /// Converts or joins, or learns.
    pub fn put_in_object(
        &mut self,
        passed: &Chunk,
        originals: &Originals<'_>,
        sinks: &mut Sinks<'_, '_>,
    ) -> Result<(), StageRunError> {
        #[cfg(test)]
        super::tests::panic_at_poison(passed);
        if let Some(requests) = &mut self.requests {
            let refused = requests.push(passed, originals)?;
            return sinks.errors.write(originals, &refused, sinks.counts);
        }
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
    pub fn finish(&mut self, body: &mut Body<'_>) -> Result<u64, StageRunError> {
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

/// What is declared of a learnt table: columns, and where their data lie.
fn declared(s3: &S3Target, written: &TableSchema) -> String {
    format!("{} {}", written.version, parcels::location(s3))
}

fn invalid_schema(error: ConvertError) -> StageRunError {
    StageRunError::NotReady { code: "DataFormatConversion.InvalidSchema", message: error.to_string() }
}
