//! The second half of a delivery with dynamic partitioning: partitions out of the spool into one object each (rule D9).
//!
//! From: `run`, for the worker of the second half. Through: `spool_reader`; `isolate`, once a stage panicked. One seal has
//! the objects of many partitions, which are encoded one after the other, so that memory does not depend on how many
//! there are. What cannot become an object, for its keys or its records, is refused: it holds up nothing else.

use super::DeliveryContext;
use super::counts::Counts;
use super::isolate::{Isolated, isolate};
use super::originals::Originals;
use super::panics;
use super::parcels::{Body, ErrorDrafts, FinishedParcels};
use super::run::{Attempt, Gone, RunPlan, StageRunError, StagedRun};
use super::shuffle::unusable;
use super::spool_reader::{Chunks, CutReader, Extract};
use super::spooled::Spooled;
use super::stages::{Sinks, Stages};
use crate::batch::PartitionCut;
use crate::destination::s3::key::{KeyError, ObjectName, data_key};
use crate::record::{Cause, Chunk, Refused};
use crate::stage::partition::keys;
use crate::stream::definition::S3Target;
use crate::stream::position::Run;
use crate::stream::prefix::PartitionKeys;
use crate::stream::seal::{LaneId, Seal, Taken};
use crate::stream::{NumberSet, Position, SealId};
use crate::task::panic_message;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// Numbers of parcels from which on a partition's objects beyond its first have theirs; those of a seal's first ones and
/// of its error parcels are below.
const FURTHER_OBJECTS: u32 = 1 << 16;

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
    let cut_records: u64 = plan.cuts.iter().flat_map(|cut| &cut.pieces).map(|piece| piece.records).sum();
    // Wherever a stage panics, the next attempts look for the record; only if that panics as well is all refused.
    plan.records_read.store(cut_records.max(2), Ordering::Relaxed);
    let mut pass = Pass {
        context,
        spooled,
        plan,
        attempt,
        is_final,
        trial_id: SealId::random(),
        stages: Stages::prepare(context, plan, seal_id, staged_ms, is_final)?,
        chunks: Chunks::new(context, spooled),
        errors: ErrorDrafts::new(context, plan, seal_id, staged_ms, None),
        finished: FinishedParcels::new(context.outbox.clone(), incarnation),
        all: Counts::default(),
        delivered_records: 0,
        next_further: FURTHER_OBJECTS,
    };
    for (number, cut) in (0..).zip(&plan.cuts) {
        pass.go_through(number, cut)?;
    }
    let Pass { mut stages, errors, mut finished, all, delivered_records, .. } = pass;
    if stages.learner.is_some() {
        stages.store_lesson(context, plan)?;
        return Ok(Gone::Learnt(plan.max_records));
    }
    if all.total.records != cut_records {
        let text = format!("{} records were cut out of the spool, but {} found there", cut_records, all.total.records);
        return Err(StageRunError::Bug(text));
    }
    errors.finish(&mut finished)?;
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

/// One pass over what is cut.
struct Pass<'a> {
    context: &'a DeliveryContext,
    spooled: &'a Spooled,
    plan: &'a RunPlan,
    attempt: Attempt,
    is_final: bool,
    /// Names drafts that come to nothing.
    trial_id: SealId,
    stages: Stages,
    chunks: Chunks<'a>,
    errors: ErrorDrafts<'a>,
    finished: FinishedParcels,
    all: Counts,
    delivered_records: u64,
    next_further: u32,
}

impl<'a> Pass<'a> {
    fn go_through(&mut self, number: u32, cut: &PartitionCut) -> Result<(), StageRunError> {
        let mut reader = CutReader::new(&mut self.chunks, cut)?;
        let all = 0..reader.records;
        if let Some(cause) = self.stages.refuse_all.clone() {
            return self.refuse(&mut reader, all, &cause);
        }
        let target = match self.target(number, cut, reader.oldest_arrival_ms)? {
            Ok(target) => target,
            Err(problem) => return self.refuse(&mut reader, all, &keys::refusal(problem)),
        };
        let Isolated { objects, refused } = match self.plan.max_records {
            u64::MAX => Isolated { objects: vec![vec![all]], refused: Vec::new() },
            _ => isolate(0..reader.records, &mut |ranges| self.try_object(&mut reader, ranges))?,
        };
        for (record, text) in refused {
            self.refuse(&mut reader, record..record + 1, &panics::refusal(&text, panics::WHOLE_TRIES + 1))?;
        }
        for (at, ranges) in objects.iter().enumerate() {
            let number = if at == 0 { number } else { self.next_further };
            self.next_further += u32::from(at > 0);
            self.put_object(number, cut, &target, &mut reader, ranges)?;
        }
        Ok(())
    }

    /// Makes an object of ranges of records, and error lines of what a row says of itself.
    fn put_object(
        &mut self,
        number: u32,
        cut: &PartitionCut,
        target: &S3Target,
        reader: &mut CutReader,
        ranges: &[Range<u64>],
    ) -> Result<(), StageRunError> {
        let (context, plan, seal_id) = (self.context, self.plan, self.attempt.seal_id);
        self.stages.begin_object(context, plan, seal_id.parcel_uuid(number), self.is_final)?;
        self.errors.glue_version.clone_from(&self.stages.glue_version);
        let mut body = Body::new(context, plan, true, seal_id, number);
        let mut counts = Counts::default();
        reader.each(&mut self.chunks, ranges, |extract, places| {
            put(&mut self.stages, plan, extract, places, &mut body, &mut self.errors, &mut counts)
        })?;
        if self.stages.learner.is_none() {
            let records = self.stages.finish(&mut body)?;
            if records > 0 {
                let name = self.stages.name(plan, seal_id, number, target, body.oldest_arrival_ms());
                let keys = partition_keys(cut)?;
                // By its own oldest record it may be longer than by that of the cut, which was found to fit.
                let key = data_key(target, &name, &keys).or_else(|_| {
                    data_key(target, &ObjectName { oldest_arrival_ms: reader.oldest_arrival_ms, ..name }, &keys)
                })?;
                let (stored, place) = body.finish(context, None, &mut self.finished.inline)?;
                self.finished.parcels.push(self.stages.parcel(plan, number, key, stored, records, place));
                self.delivered_records += records;
            }
        }
        self.all.add(&counts);
        Ok(())
    }

    /// Whether an object can be made of ranges of records; the text of the panic if not.
    fn try_object(
        &mut self,
        reader: &mut CutReader,
        ranges: &[Range<u64>],
    ) -> Result<Result<(), String>, StageRunError> {
        let (context, plan, seal_id) = (self.context, self.plan, self.trial_id);
        // Nothing outlives the panic but the reader, which has what it read.
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let staged_ms = self.attempt.staged_ms;
            let mut stages = Stages::prepare(context, plan, seal_id, staged_ms, self.is_final)?;
            stages.begin_object(context, plan, seal_id.parcel_uuid(0), self.is_final)?;
            let mut errors = ErrorDrafts::new(context, plan, seal_id, staged_ms, None);
            let mut body = Body::new(context, plan, true, seal_id, 0);
            let mut counts = Counts::default();
            reader.each(&mut self.chunks, ranges, |extract, places| {
                put(&mut stages, plan, extract, places, &mut body, &mut errors, &mut counts)
            })?;
            if stages.learner.is_none() {
                stages.finish(&mut body)?;
            }
            Ok(())
        }));
        match tried {
            Ok(done) => done.map(Ok),
            Err(panic) => Ok(Err(panic_message(panic.as_ref()))),
        }
    }

    /// Refuses a range of records.
    fn refuse(&mut self, reader: &mut CutReader, range: Range<u64>, cause: &Cause) -> Result<(), StageRunError> {
        let (errors, counts) = (&mut self.errors, &mut self.all);
        reader.each(&mut self.chunks, std::slice::from_ref(&range), |extract, places| {
            let records = &extract.records;
            counts.note_spooled(records, places.clone());
            let refused = |slot: &crate::record::Slot| Refused { origin: slot.origin, cause: cause.clone() };
            let refused: Vec<_> = records.passed.slots[places].iter().map(refused).collect();
            errors.write(&Originals::Spooled(extract), &refused, counts)
        })
    }

    /// Where the objects of a partition go. A prefix, zone or extension that came later and makes no name that a store
    /// takes gives way to those that the records were spooled by. `Err`: why these make none either.
    fn target(
        &self,
        number: u32,
        cut: &PartitionCut,
        oldest_arrival_ms: i64,
    ) -> Result<Result<Cow<'a, S3Target>, String>, StageRunError> {
        let (plan, keys) = (self.plan, partition_keys(cut)?);
        let problem = |target: &S3Target| {
            let name = self.stages.name(plan, self.attempt.seal_id, number, target, oldest_arrival_ms);
            match data_key(target, &name, &keys) {
                Ok(key) => Ok(unusable(&key)),
                Err(error @ KeyError::BadTime(_)) => Err(StageRunError::from(error)),
                Err(error) => Ok(Some(error.to_string())),
            }
        };
        let newest = &plan.definition.s3;
        let Some(newest_problem) = problem(newest)? else { return Ok(Ok(Cow::Borrowed(newest))) };
        let mut tried = None;
        for piece in &cut.pieces {
            let Some(chunk) = self.spooled.spooled_chunk(piece.chunk) else { continue };
            let target = S3Target {
                prefix: chunk.prefix.clone(),
                time_zone: chunk.time_zone.unwrap_or(newest.time_zone),
                file_extension: chunk.file_extension.clone().unwrap_or_else(|| newest.file_extension.clone()),
                ..newest.clone()
            };
            if tried.as_ref() == Some(&target) {
                continue;
            }
            if problem(&target)?.is_none() {
                return Ok(Ok(Cow::Owned(target)));
            }
            tried = Some(target);
        }
        Ok(Err(newest_problem))
    }
}

fn partition_keys(cut: &PartitionCut) -> Result<PartitionKeys, StageRunError> {
    keys::parse(&cut.key).ok_or_else(|| StageRunError::Bug("keys that cannot be read".to_owned()))
}

/// Puts the records at `places` into the object.
fn put<'b>(
    stages: &mut Stages,
    plan: &RunPlan,
    extract: &Extract,
    places: Range<usize>,
    body: &mut Body<'b>,
    errors: &mut ErrorDrafts<'b>,
    counts: &mut Counts,
) -> Result<(), StageRunError> {
    let records = &extract.records;
    counts.note_spooled(records, places.clone());
    let some;
    let passed = match places {
        Range { start: 0, end } if end == records.passed.slots.len() => &records.passed,
        places => {
            some = Chunk { buffer: records.passed.buffer.clone(), slots: records.passed.slots[places].to_vec() };
            &some
        }
    };
    let mut sinks = Sinks { definition: &plan.definition, source: passed, body, errors, counts };
    stages.put_in_object(passed, &Originals::Spooled(extract), &mut sinks)?;
    match plan.stop.is_asked() || plan.abandon.is_asked() {
        true => Err(StageRunError::Stopped),
        false => Ok(()),
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
