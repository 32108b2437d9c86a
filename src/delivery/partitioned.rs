//! The second half of a delivery with dynamic partitioning: partitions out of the spool into one object each (rule D9).
//!
//! From: `run`, for the worker of the second half. One seal has the objects of many partitions, which are encoded one
//! after the other, so that memory does not depend on how many there are.

use super::DeliveryContext;
use super::counts::Counts;
use super::originals::Originals;
use super::parcels::{Body, ErrorDrafts, FinishedParcels};
use super::run::{Attempt, Gone, RunPlan, Sinks, StageRunError, StagedRun, Stages};
use super::spooled::Spooled;
use crate::batch::PartitionCut;
use crate::destination::s3::key::{KeyError, ObjectName, data_key};
use crate::record::{Chunk, Refused};
use crate::spool::{FooterEntry, Records, SpoolChunk};
use crate::stage::partition::keys;
use crate::stream::definition::Definition;
use crate::stream::position::Run;
use crate::stream::prefix::PartitionKeys;
use crate::stream::seal::{LaneId, Seal, Taken};
use crate::stream::{NumberSet, Position};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::atomic::Ordering;

/// Chunks that the pieces of a seal lie in, by number.
type Chunks = BTreeMap<u64, SpoolChunk>;

/// Goes through the partitions that are cut; `is_final`: with the table as it is.
pub fn go_through(
    context: &DeliveryContext,
    spooled: &Spooled,
    plan: &RunPlan,
    attempt: Attempt,
    is_final: bool,
) -> Result<Gone, StageRunError> {
    let Attempt { seal_id, staged_ms } = attempt;
    let incarnation = plan.definition.incarnation;
    let mut stages = Stages::prepare(context, plan, seal_id, staged_ms, is_final)?;
    let mut finished = FinishedParcels { context, incarnation, parcels: Vec::new(), inline: Vec::new() };
    let mut all = Counts::default();
    let mut delivered_records = 0;
    let mut chunks = Chunks::new();
    let mut errors: Option<ErrorDrafts<'_>> = None;
    for (number, cut) in (0..).zip(&plan.cuts) {
        stages.begin_object(context, plan, seal_id.parcel_uuid(number), is_final)?;
        let errors = errors
            .get_or_insert_with(|| ErrorDrafts::new(context, plan, seal_id, staged_ms, stages.glue_version.clone()));
        let mut body = Body::new(context, plan, true, seal_id, number);
        let mut counts = Counts::default();
        each_extent(context, spooled, cut, &mut chunks, |records| {
            counts.note_spooled(records);
            plan.records_read.store(all.total.records + counts.total.records, Ordering::Relaxed);
            put(&mut stages, plan, records, &mut body, errors, &mut counts)?;
            match plan.stop.is_asked() || plan.abandon.is_asked() {
                true => Err(StageRunError::Stopped),
                false => Ok(()),
            }
        })?;
        if stages.learner.is_none() {
            let records = stages.finish(&mut body)?;
            if records > 0 {
                let name = stages.name(plan, seal_id, number, &body);
                let key = object_key(context, &plan.definition, &name, cut)?;
                let (stored, place) = body.finish(context, None, &mut finished.inline)?;
                finished.parcels.push(stages.parcel(plan, number, key, stored, records, place));
                delivered_records += records;
            }
        }
        all.add(&counts);
    }
    if stages.learner.is_some() {
        stages.store_lesson(context, plan)?;
        return Ok(Gone::Learnt(plan.max_records));
    }
    let cut_records: u64 = plan.cuts.iter().flat_map(|cut| &cut.pieces).map(|piece| piece.records).sum();
    if all.total.records != cut_records {
        let text = format!("{} records were cut out of the spool, but {} found there", cut_records, all.total.records);
        return Err(StageRunError::Bug(text));
    }
    if let Some(errors) = errors {
        errors.finish(&mut finished)?;
    }
    stages.declare(context, plan, seal_id, true, &mut finished)?;
    let fates = all.fates(delivered_records)?;
    let (parcels, inline) = finished.into_parts();
    let seal = Seal {
        id: seal_id,
        lane: LaneId::partitions(incarnation),
        number: plan.number,
        run: Run { from: plan.from.clone(), to: Position::from_number(plan.number) },
        revision: plan.definition.revision,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        cut: plan.cut,
        oldest_arrival_ms: all.oldest_arrival_ms,
        newest_arrival_ms: all.newest_arrival_ms,
        schema: stages.schema_version,
        module: None,
        fates,
        parcels,
        spooled: None,
        taken: taken(&LaneId::direct_put(incarnation), &plan.cuts),
        extra: BTreeMap::new(),
    };
    Ok(Gone::Staged(Some(Box::new(StagedRun { seal, inline, partitions: Vec::new() }))))
}

/// Shows the records of what is cut of a partition, in their order.
fn each_extent(
    context: &DeliveryContext,
    spooled: &Spooled,
    cut: &PartitionCut,
    chunks: &mut Chunks,
    mut show: impl FnMut(&Records) -> Result<(), StageRunError>,
) -> Result<(), StageRunError> {
    let damaged = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
            StageRunError::NotReady {
                code: "Spool.Damaged",
                message: format!("{error}; put the file back from a copy, or delete the stream with AllowForceDelete"),
            }
        }
        _ => error.into(),
    };
    for piece in &cut.pieces {
        let chunk = match chunks.entry(piece.chunk) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(spooled.chunk(context, piece.chunk).map_err(damaged)?),
        };
        let (offset_bytes, length_bytes) = piece.place;
        let partition = chunk.partition(FooterEntry { offset_bytes, length_bytes }).map_err(damaged)?;
        if partition.key[..] != cut.key[..] {
            let text = format!("spool chunk {} has another partition where one is taken", piece.chunk);
            return Err(damaged(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        for extent in &partition.extents {
            show(&chunk.records(extent).map_err(damaged)?)?;
        }
    }
    Ok(())
}

fn put<'b>(
    stages: &mut Stages,
    plan: &RunPlan,
    records: &Records,
    body: &mut Body<'b>,
    errors: &mut ErrorDrafts<'b>,
    counts: &mut Counts,
) -> Result<(), StageRunError> {
    let originals = Originals::Spooled(records);
    if let Some(cause) = &stages.refuse_all {
        let refused: Vec<_> =
            records.passed.slots.iter().map(|slot| Refused { origin: slot.origin, cause: cause.clone() }).collect();
        return errors.write(&originals, &refused, counts);
    }
    let source: &Chunk = &records.source;
    let mut sinks = Sinks { definition: &plan.definition, source, body, errors, counts };
    stages.put_in_object(&records.passed, &originals, &mut sinks)
}

/// The key of a partition's object. A prefix that came later and needs keys that were not taken, or is too long with
/// these, gives way to the one that the records were taken by.
fn object_key(
    context: &DeliveryContext,
    definition: &Definition,
    name: &ObjectName<'_>,
    cut: &PartitionCut,
) -> Result<String, StageRunError> {
    let keys = keys::parse(&cut.key);
    let keys: PartitionKeys = keys.ok_or_else(|| StageRunError::Bug("keys that cannot be read".to_owned()))?;
    match data_key(&definition.s3, name, &keys) {
        Err(error @ KeyError::BadTime(_)) => Err(error.into()),
        Err(error) => {
            let source = context.journal.lane(&LaneId::direct_put(definition.incarnation));
            let first = cut.pieces.first().map(|piece| piece.chunk);
            let chunk = source.chunks.iter().find(|(number, _)| Some(*number) == first);
            let Some((_, chunk)) = chunk else { return Err(error.into()) };
            let mut s3 = definition.s3.clone();
            s3.prefix = chunk.spooled.prefix.clone();
            Ok(data_key(&s3, name, &keys)?)
        }
        Ok(key) => Ok(key),
    }
}

/// The pieces of all cuts by the chunks they lie in.
fn taken(source: &LaneId, cuts: &[PartitionCut]) -> Vec<Taken> {
    let mut by_chunk = BTreeMap::<u64, Vec<u32>>::new();
    for piece in cuts.iter().flat_map(|cut| &cut.pieces) {
        by_chunk.entry(piece.chunk).or_default().push(piece.partition);
    }
    let taken = |(chunk, partitions): (u64, Vec<u32>)| Taken {
        lane: source.lane.clone(),
        chunk,
        partitions: partitions.into_iter().collect::<NumberSet>(),
    };
    by_chunk.into_iter().map(taken).collect()
}
