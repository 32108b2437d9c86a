//! The first half of a delivery with dynamic partitioning: the records of a run into a spool chunk (rule D9).
//!
//! From: `run`, with records that passed the stages before. To: `spooled`, by way of the seal. A record without keys, or
//! with keys that make a name no store takes, is refused here: what is spooled can be delivered by the revision of its cut.

use super::DeliveryContext;
use super::originals::Originals;
use super::run::{RunPlan, StageRunError};
use super::spooled::Spooled;
use crate::destination::s3::key::{KeyError, ObjectName, data_key};
use crate::outbox::{Draft, Finished, Stored};
use crate::record::{Chunk, Refused};
use crate::spool::{self, Partition, SpoolWriter};
use crate::stage::partition::keys::{self, Partitioner};
use crate::stream::SealId;
use crate::stream::definition::Definition;
use crate::stream::prefix::is_dot_segment;
use crate::stream::seal::SpooledChunk;
use std::ops::Range;
use std::sync::Arc;

/// Partitions after which a chunk ends, those of the records read at once more.
const MOST_PARTITIONS: usize = 100_000;

/// Takes the records of a run.
pub struct Shuffle {
    definition: Arc<Definition>,
    seal_id: SealId,
    /// Keys by a query, if the stream has one; those of a transform come with its records.
    partitioner: Option<Partitioner>,
    writer: SpoolWriter<Draft>,
    key: Vec<u8>,
    /// What waits from earlier runs, and partitions of this one that did not.
    spooled: Arc<Spooled>,
    new_partitions: u64,
    /// What is added to ordinals, which count from the start of the lane in the spool.
    base: u64,
    /// Whether what is kept to be shown of records is those that they are parts of.
    shows_records_of_parts: bool,
    /// Records taken.
    pub records: u64,
}

impl Shuffle {
    /// Begins the chunk.
    pub fn begin(
        context: &DeliveryContext,
        plan: &RunPlan,
        spooled: Arc<Spooled>,
        seal_id: SealId,
    ) -> Result<Self, StageRunError> {
        let definition = plan.definition.clone();
        let query = definition.partitioning.as_ref().and_then(|spec| spec.query.as_deref());
        let partitioner = query
            .map(Partitioner::new)
            .transpose()
            .map_err(|error| StageRunError::NotReady { code: keys_code(), message: error.to_string() })?;
        let draft = context.outbox.begin(definition.incarnation, seal_id, 0).in_file();
        let writer = SpoolWriter::new(draft)?;
        let key = Vec::new();
        let base = plan.from.number().unwrap_or(0);
        Ok(Self {
            definition,
            seal_id,
            partitioner,
            writer,
            key,
            spooled,
            new_partitions: 0,
            base,
            shows_records_of_parts: false,
            records: 0,
        })
    }

    /// Takes records, with where the keys of a transform are for each of them; returns those that belong to no partition.
    pub fn push(
        &mut self,
        passed: &Chunk,
        lambda_keys: &[Range<u32>],
        originals: &Originals<'_>,
    ) -> Result<Vec<Refused>, StageRunError> {
        let mut refused = Vec::new();
        self.shows_records_of_parts |= originals.shows_records_of_parts();
        for (at, (slot, bytes)) in passed.iter().enumerate() {
            self.key.clear();
            if let Some(partitioner) = &self.partitioner
                && let Err(cause) = partitioner.key_of(bytes, &mut self.key)
            {
                refused.push(Refused { origin: slot.origin, cause });
                continue;
            }
            if let Some(Range { start, end }) = lambda_keys.get(at) {
                self.key.extend_from_slice(&passed.buffer[*start as usize..*end as usize]);
            }
            if !self.writer.contains(&self.key)
                && let Some(problem) = self.key_problem(slot.arrival_ms)?
            {
                refused.push(Refused { origin: slot.origin, cause: keys::refusal(problem) });
                continue;
            }
            let shown = originals.shown(slot.origin)?;
            let counted_bytes = originals.counted_bytes(slot.origin)?;
            // The slice as it was given: parts of a record are known by it.
            let source = (*shown != *bytes).then_some(&*shown);
            let mut slot = *slot;
            slot.origin.ordinal += self.base;
            self.writer.push(&self.key, spool::Spooled { slot, bytes, source, counted_bytes })?;
            self.records += 1;
        }
        Ok(refused)
    }

    /// Why the partition of a record cannot be begun.
    fn key_problem(&mut self, arrival_ms: i64) -> Result<Option<String>, StageRunError> {
        if let Some(problem) = self.name_problem(arrival_ms)? {
            return Ok(Some(problem));
        }
        if !self.spooled.is_active(&self.key) {
            let max = self.definition.partitioning.as_ref().and_then(|spec| spec.max_active);
            if let Some(max) = max.filter(|max| self.spooled.active() + self.new_partitions >= *max) {
                return Ok(Some(format!("{max} partitions are active, and no more may be (MaxActivePartitions)")));
            }
            self.new_partitions += 1;
        }
        Ok(None)
    }

    /// Why no object can have these keys.
    fn name_problem(&self, arrival_ms: i64) -> Result<Option<String>, StageRunError> {
        let keys = keys::parse(&self.key).ok_or_else(|| StageRunError::Bug("keys that cannot be read".to_owned()))?;
        let name = ObjectName {
            stream: &self.definition.name,
            // As long as any.
            revision: u64::MAX,
            oldest_arrival_ms: arrival_ms,
            seal: self.seal_id,
            parcel: 0,
            extension: match &*self.definition.s3.file_extension {
                "" => ".parquet",
                given => given,
            },
        };
        match data_key(&self.definition.s3, &name, &keys) {
            Ok(key) => Ok(unusable(&key)),
            Err(error @ KeyError::BadTime(_)) => Err(error.into()),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Whether the chunk has as many partitions as one may have; each takes memory while it is written, and while it waits.
    pub fn is_full(&self) -> bool {
        self.writer.partitions() >= MOST_PARTITIONS
    }

    /// Makes the chunk durable. No chunk comes of a run without records for it.
    pub fn finish(
        self,
        context: &DeliveryContext,
        plan: &RunPlan,
    ) -> Result<(Option<SpooledChunk>, Vec<Partition>), StageRunError> {
        let shows_records_of_parts = self.shows_records_of_parts;
        let (partitions, draft) = self.writer.finish()?;
        if partitions.is_empty() {
            return Ok((None, partitions));
        }
        let lost = || StageRunError::Bug("the outbox lost a spool chunk".to_owned());
        let Some(Finished { length_bytes, crc32c, content: Stored::File(name) }) =
            context.outbox.finish(vec![draft])?.pop()
        else {
            return Err(lost());
        };
        let count = partitions.len() as u32;
        let s3 = &plan.definition.s3;
        let chunk = SpooledChunk {
            name,
            length_bytes,
            crc32c,
            partitions: count,
            prefix: s3.prefix.clone(),
            time_zone: Some(s3.time_zone),
            file_extension: Some(s3.file_extension.clone()),
            shows_records_of_parts,
        };
        Ok((Some(chunk), partitions))
    }
}

/// Why no store takes an object under a key that is short enough.
pub fn unusable(key: &str) -> Option<String> {
    if key.contains('\0') {
        return Some("a key's value holds a NUL character".to_owned());
    }
    key.split('/').any(is_dot_segment).then(|| "the object's key would have a segment '.' or '..'".to_owned())
}

fn keys_code() -> &'static str {
    crate::stage::partition::query::FAILURE_CODE
}
