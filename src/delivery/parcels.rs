//! The parcels of a run while it is staged: the data parcel's bytes, and one error parcel a kind of refusal.
//!
//! From: `run`, which pushes chunks. Through: `outbox`, which makes the bytes durable. What is finished and comes to no
//! seal is removed again.

use super::DeliveryContext;
use super::counts::Counts;
use super::error_record::{self, ErrorContext};
use super::originals::Originals;
use super::run::{CHUNK_BYTES, RunPlan, StageRunError};
use super::spooled::Half;
use crate::destination::s3::key::{ObjectName, common_folder, error_key, schema_key};
use crate::outbox::{Draft, Finished, Outbox, Stored};
use crate::record::{Chunk, ErrorKind, Origin, Refused, Slot};
use crate::source::RunReader;
use crate::stage::convert::TableSchema;
use crate::stage::convert::declare::declaration;
use crate::stream::definition::S3Target;
use crate::stream::seal::{Parcel, ParcelKind, Place};
use crate::stream::{Incarnation, SealId};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

/// The data parcel's bytes: a draft in the outbox, or nothing but a checksum when they are a range of the log.
enum BodyKind {
    Drafted(Draft),
    /// Begun as a range of the log; a copy is drafted only if the log cannot serve it cheaply.
    LogRange {
        crc32c: u32,
        length_bytes: u64,
    },
}

pub struct Body<'a> {
    context: &'a DeliveryContext,
    incarnation: Incarnation,
    seal_id: SealId,
    number: u32,
    kind: BodyKind,
    oldest_arrival_ms: i64,
    /// Records pushed as they are.
    pub verbatim_records: u64,
}

impl<'a> Body<'a> {
    /// Of the data parcel `number`.
    pub fn new(context: &'a DeliveryContext, plan: &RunPlan, is_encoded: bool, seal_id: SealId, number: u32) -> Self {
        let incarnation = plan.definition.incarnation;
        let kind = match is_encoded {
            true => BodyKind::Drafted(context.outbox.begin(incarnation, seal_id, number)),
            false => BodyKind::LogRange { crc32c: 0, length_bytes: 0 },
        };
        Self { context, incarnation, seal_id, number, kind, oldest_arrival_ms: i64::MAX, verbatim_records: 0 }
    }

    /// Bytes so far.
    pub fn length_bytes(&self) -> u64 {
        match &self.kind {
            BodyKind::Drafted(draft) => draft.length_bytes(),
            BodyKind::LogRange { length_bytes, .. } => *length_bytes,
        }
    }

    pub fn writer(&mut self) -> Result<&mut dyn Write, StageRunError> {
        match &mut self.kind {
            BodyKind::Drafted(draft) => Ok(draft),
            BodyKind::LogRange { .. } => Err(StageRunError::Bug("an encoder without a draft".to_owned())),
        }
    }

    pub fn push_verbatim(&mut self, chunk: &Chunk) -> Result<(), StageRunError> {
        let BodyKind::LogRange { crc32c, length_bytes } = &mut self.kind else {
            return Err(StageRunError::Bug("a verbatim push into a draft".to_owned()));
        };
        for (_, bytes) in chunk.iter() {
            *crc32c = crc32c::crc32c_append(*crc32c, bytes);
            *length_bytes += bytes.len() as u64;
        }
        self.verbatim_records += chunk.slots.len() as u64;
        self.note_arrivals(chunk, &[]);
        Ok(())
    }

    /// The records of `chunk` were pushed, and those that are not among `refused` are in the object.
    pub fn note_arrivals(&mut self, chunk: &Chunk, refused: &[Refused]) {
        let oldest_of = |slots: &mut dyn Iterator<Item = &Slot>| slots.map(|slot| slot.arrival_ms).min();
        // Arrivals hardly ever go back, so the first chunk mostly has the oldest one and the others end here.
        let Some(oldest) = oldest_of(&mut chunk.slots.iter()).filter(|oldest| *oldest < self.oldest_arrival_ms) else {
            return;
        };
        let oldest = if refused.is_empty() {
            Some(oldest)
        } else {
            let refused: HashSet<Origin> = refused.iter().map(|refused| refused.origin).collect();
            oldest_of(&mut chunk.slots.iter().filter(|slot| !refused.contains(&slot.origin)))
        };
        self.oldest_arrival_ms = oldest.map_or(self.oldest_arrival_ms, |oldest| oldest.min(self.oldest_arrival_ms));
    }

    /// Arrival of the oldest record in the object, ms since the epoch; of an object without records, the end of time.
    pub fn oldest_arrival_ms(&self) -> i64 {
        self.oldest_arrival_ms
    }

    /// Returns ((length, CRC-32C), place). `reader`: the one that records were pushed from as they are, if they were.
    pub fn finish(
        self,
        context: &DeliveryContext,
        reader: Option<&dyn RunReader>,
        inline: &mut Vec<u8>,
    ) -> Result<((u64, u32), Place), StageRunError> {
        match self.kind {
            BodyKind::Drafted(draft) => Ok(store(&context.outbox, draft, inline)?),
            BodyKind::LogRange { crc32c, length_bytes } => match reader.ok_or_else(unread)?.joined() {
                Some(joined) if joined.length_bytes() == length_bytes => Ok(((length_bytes, crc32c), Place::Log)),
                Some(_) => Err(StageRunError::Bug("the range of the log has another length".to_owned())),
                None => {
                    // Many small frames: copied, so that delivery need not gather them one by one.
                    let mut draft = self.context.outbox.begin(self.incarnation, self.seal_id, self.number);
                    copy_records(context, reader.ok_or_else(unread)?, &mut draft)?;
                    Ok(store(&context.outbox, draft, inline)?)
                }
            },
        }
    }
}

fn unread() -> StageRunError {
    StageRunError::Bug("a range of the log without its reader".to_owned())
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
pub fn store(outbox: &Outbox, draft: Draft, inline: &mut Vec<u8>) -> io::Result<((u64, u32), Place)> {
    let Some(Finished { length_bytes, crc32c, content }) = outbox.finish(vec![draft])?.pop() else {
        return Err(io::Error::other("the outbox lost a draft"));
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

/// The parcel of error records of a kind whose bytes are `stored`; below `key`, in the bucket of `s3`.
pub fn error_parcel(
    s3: &S3Target,
    number: u32,
    kind: ErrorKind,
    key: String,
    records: u64,
    stored: ((u64, u32), Place),
) -> Parcel {
    let ((length_bytes, crc32c), place) = stored;
    Parcel {
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
    }
}

/// Where the data of a learnt table lie.
pub fn location(s3: &S3Target) -> String {
    format!("s3://{}/{}", s3.bucket, common_folder(&s3.prefix))
}

/// Parcels whose bytes are durable; if no seal comes of them, their files are removed again.
pub struct FinishedParcels {
    outbox: Arc<Outbox>,
    /// Whose parcels.
    pub incarnation: Incarnation,
    /// Them.
    pub parcels: Vec<Parcel>,
    /// Bytes of the small ones.
    pub inline: Vec<u8>,
}

impl FinishedParcels {
    /// None yet.
    pub fn new(outbox: Arc<Outbox>, incarnation: Incarnation) -> Self {
        Self { outbox, incarnation, parcels: Vec::new(), inline: Vec::new() }
    }

    /// Adds the declaration of a learnt table, which goes out with the first run that uses it. No record is in it.
    pub fn add_declaration(
        &mut self,
        plan: &RunPlan,
        seal_id: SealId,
        revision: u64,
        schema: &TableSchema,
    ) -> Result<(), StageRunError> {
        let definition = &plan.definition;
        let s3 = &definition.s3;
        let number = self.parcels.iter().map(|parcel| parcel.number).max().unwrap_or(0) + 1;
        let key = schema_key(&s3.prefix, &definition.name, revision, seal_id, number)?;
        let location = location(s3);
        let table = definition.name.as_str().replace('.', "_");
        let mut draft = self.outbox.begin(self.incarnation, seal_id, number);
        draft.write_all(declaration(schema, &table, &location).as_bytes())?;
        let ((length_bytes, crc32c), place) = store(&self.outbox, draft, &mut self.inline)?;
        self.parcels.push(Parcel {
            number,
            kind: ParcelKind::Data,
            bucket: s3.bucket.clone(),
            key,
            content_type: "text/plain; charset=utf-8".to_owned(),
            content_encoding: None,
            kms_key: s3.kms_key.clone(),
            length_bytes,
            crc32c,
            records: 0,
            place,
        });
        Ok(())
    }

    pub fn into_parts(mut self) -> (Vec<Parcel>, Vec<u8>) {
        (std::mem::take(&mut self.parcels), std::mem::take(&mut self.inline))
    }
}

impl Drop for FinishedParcels {
    fn drop(&mut self) {
        let names = self.parcels.iter().filter_map(|parcel| match &parcel.place {
            Place::File { name } => Some(name),
            _ => None,
        });
        for name in names {
            if let Err(error) = self.outbox.free(self.incarnation, name) {
                tracing::warn!(file = name, %error, "a parcel that is not sealed could not be removed");
            }
        }
    }
}

/// Number of the first error parcel of a run that becomes requests, of which there are never so many.
const BESIDE_REQUESTS: u32 = 1 << 30;

/// An error parcel under way.
struct ErrorDraft {
    number: u32,
    draft: Draft,
    records: u64,
    oldest_arrival_ms: i64,
}

/// Error parcels under way, one a kind.
pub struct ErrorDrafts<'a> {
    context: &'a DeliveryContext,
    plan: &'a RunPlan,
    seal_id: SealId,
    staged_ms: i64,
    /// Version of the table, if it is Glue's.
    pub glue_version: Option<String>,
    drafts: BTreeMap<ErrorKind, ErrorDraft>,
    /// Number of the first of them among the parcels of its seal.
    first_number: u32,
    /// What ordinals are counted from: the number of the last record before the run.
    base: u64,
    /// Records of this chunk, or of the spool, that have a line, by kind; only of those that were split.
    told: BTreeMap<ErrorKind, HashSet<u64>>,
    line: Vec<u8>,
}

impl<'a> ErrorDrafts<'a> {
    /// None yet.
    pub fn new(
        context: &'a DeliveryContext,
        plan: &'a RunPlan,
        seal_id: SealId,
        staged_ms: i64,
        glue_version: Option<String>,
    ) -> Self {
        let (drafts, told, line) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (first_number, base) = match &plan.half {
            // Each partition has a data parcel, and ordinals count from the start of the lane.
            Half::Second(_) => (plan.cuts.len() as u32, 0),
            Half::Whole if plan.definition.http.is_some() => (BESIDE_REQUESTS, plan.from.number().unwrap_or(0)),
            Half::Whole | Half::First(_) => (1, plan.from.number().unwrap_or(0)),
        };
        Self { context, plan, seal_id, staged_ms, glue_version, drafts, first_number, base, told, line }
    }
}

impl ErrorDrafts<'_> {
    /// Writes a line for each refusal and counts it. Where lines show records and not parts of them, a record has one line
    /// a kind however many of its parts are refused: they would all say the same, at the length of the record.
    pub fn write(
        &mut self,
        originals: &Originals<'_>,
        refused: &[Refused],
        counts: &mut Counts,
    ) -> Result<(), StageRunError> {
        for Refused { origin, cause } in refused {
            counts.refused.add(originals.counted_bytes(*origin)?);
            let is_told =
                originals.shows_records_of_parts() && !self.told.entry(cause.kind).or_default().insert(origin.ordinal);
            if is_told {
                continue;
            }
            let arrival_ms = originals.arrival_ms(*origin)?;
            let sequence_number = (self.base + 1 + origin.ordinal).to_string();
            let context = ErrorContext {
                definition: &self.plan.definition,
                arrival_ms,
                staged_ms: self.staged_ms,
                sequence_number: &sequence_number,
                part: origin.part,
                glue_version: self.glue_version.as_deref(),
            };
            self.line.clear();
            error_record::write_line(&mut self.line, cause, &originals.shown(*origin)?, &context)
                .map_err(|e| StageRunError::Bug(format!("an error record could not be written: {e}")))?;
            let next = self.first_number + self.drafts.len() as u32;
            let parcel = self.drafts.entry(cause.kind).or_insert_with(|| ErrorDraft {
                number: next,
                draft: self.context.outbox.begin(self.plan.definition.incarnation, self.seal_id, next),
                records: 0,
                oldest_arrival_ms: arrival_ms,
            });
            parcel.draft.write_all(&self.line)?;
            parcel.records += 1;
            parcel.oldest_arrival_ms = parcel.oldest_arrival_ms.min(arrival_ms);
        }
        Ok(())
    }

    /// The records of a chunk are through: no more will be told of them.
    pub fn end_chunk(&mut self) {
        self.told.clear();
    }

    pub fn finish(self, finished: &mut FinishedParcels) -> Result<(), StageRunError> {
        let definition = &self.plan.definition;
        let s3 = &definition.s3;
        for (kind, ErrorDraft { number, draft, records, oldest_arrival_ms }) in self.drafts {
            let name = ObjectName {
                stream: &definition.name,
                revision: definition.revision,
                oldest_arrival_ms,
                seal: self.seal_id,
                parcel: number,
                extension: "",
            };
            let key = error_key(s3, &name, kind.as_str())?;
            let stored = store(&self.context.outbox, draft, &mut finished.inline)?;
            finished.parcels.push(error_parcel(s3, number, kind, key, records, stored));
        }
        Ok(())
    }
}
