//! The stage: a chunk in batches through a module, verdicts into what passes, is dropped, is refused.

use super::abi::{InputRecord, Invocation, LogLine};
use super::cause;
use super::halving::{self, Effort, Failed, settle};
use super::harvest::{Harvest, LARGEST_CHUNK_BYTES};
use super::host::{Interrupted, processors, thread_time};
use super::id::Ids;
use super::module::{CallError, CallLimits, Module, Used};
use super::observe::{self, Observer};
use super::reply::Reply;
use super::verdict::Judge;
use crate::record::{Cause, Chunk, Refused, Slot};
use crate::stage::partition::lambda::LambdaKeys;
use crate::stage::{Stage, Staged};
use crate::stream::Id128;
use crate::stream::definition::TransformSpec;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a record weighs beside its bytes, when time is shared among parts of a batch.
const RECORD_WEIGHT_BYTES: u64 = 64;
/// Least bytes that a part of a batch is given to a thread for.
const LEAST_PART_BYTES: u64 = 64 << 10;

/// What guests are told of the run their records belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvocationInfo {
    /// ARN of the delivery stream.
    pub stream_arn: String,
    /// Region of the stream.
    pub region: String,
    /// Unique to the run; each call's id is derived from it.
    pub invocation_id: String,
    /// Wall time at which the run began its stages, ms since the epoch.
    pub now_ms: i64,
    /// Random; each call's seed is derived from it.
    pub seed: u64,
}

/// A module at work for one run.
pub struct TransformStage {
    module: Arc<Module>,
    spec: TransformSpec,
    info: InvocationInfo,
    wanted: LambdaKeys,
    interrupted: Interrupted,
    observer: Option<Arc<dyn Observer>>,
    /// Batches so far.
    batches: u64,
    /// Room for packed batches, used again.
    packed: Mutex<Vec<Vec<u8>>>,
}

impl TransformStage {
    pub fn new(
        module: Arc<Module>,
        spec: TransformSpec,
        info: InvocationInfo,
        wanted: LambdaKeys,
        interrupted: Interrupted,
    ) -> Self {
        Self { module, spec, info, wanted, interrupted, observer: None, batches: 0, packed: Mutex::default() }
    }

    /// Has `observer` see what goes on, in place of the log.
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// What a call gets of a chunk. A transform that looks at each record alone may be given less than its batches, so
    /// that each processor has a share.
    fn batch_bytes(&self, chunk_bytes: u64) -> u64 {
        match self.spec.is_stateless {
            true => chunk_bytes.div_ceil(processors() as u64).max(LEAST_PART_BYTES).min(self.spec.batch_bytes),
            false => self.spec.batch_bytes,
        }
    }

    /// Makes one call without records.
    pub fn call_without_records(&self) -> Result<(), CallError> {
        let limit = Duration::from_millis(self.spec.timeout_ms);
        self.call((0, 0), std::iter::empty(), limit, &mut Vec::new(), &mut Used::default()).map(drop)
    }

    /// Batches, one after the other.
    fn settle(&self, chunk: &Chunk, batches: &[Batch]) -> Harvest {
        let mut harvest = Harvest::of_at_most(LARGEST_CHUNK_BYTES);
        let mut packed = self.packed.lock().pop().unwrap_or_default();
        let effort = Effort { limit: Duration::from_millis(self.spec.timeout_ms), retries: self.spec.retries };
        for batch in batches {
            let slots = &chunk.slots[batch.records.clone()];
            let weights: Vec<u64> = slots.iter().map(weight_bytes).collect();
            let (harvest, packed) = (&mut harvest, &mut packed);
            let calls = &mut Calls { stage: self, chunk, slots, batch: batch.number, calls: 0, packed, harvest };
            settle(calls, &weights, effort);
        }
        self.packed.lock().push(packed);
        harvest
    }
}

impl Stage for TransformStage {
    fn apply(&mut self, chunk: Chunk) -> Staged {
        let mut batches = batches(&chunk.slots, self.batch_bytes(chunk.data_bytes()), self.batches);
        self.batches += batches.len() as u64;
        // Calls know nothing of each other, so that batches of a chunk may run at once; what comes of them is in order.
        let helpers = self.module.host.helpers(batches.len().saturating_sub(1));
        share_out(&chunk.slots, &mut batches, 1 + helpers.count);
        let mut shares = batches.chunk_by(|one, next| one.thread == next.thread);
        let mine = shares.next().unwrap_or_default();
        let (stage, chunk) = (&*self, &chunk);
        let harvest = std::thread::scope(|scope| {
            let start = |share| {
                let thread = std::thread::Builder::new().name("transform".to_owned());
                thread.spawn_scoped(scope, move || stage.settle(chunk, share)).map_err(|_| share)
            };
            let started: Vec<_> = shares.map(start).collect();
            let mut harvest = stage.settle(chunk, mine);
            for share in started {
                harvest.append(match share {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    Err(share) => stage.settle(chunk, share),
                });
            }
            harvest
        });
        harvest.finish()
    }
}

/// What is handed over at once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Batch {
    /// In the run.
    number: u64,
    /// Its slots in the chunk.
    records: Range<usize>,
    /// The thread that calls with it, from 0.
    thread: usize,
}

/// Cuts slots into batches of at most `batch_bytes`; a longer record is a batch of its own. `first`: the first's number.
fn batches(slots: &[Slot], batch_bytes: u64, first: u64) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut push = |records| batches.push(Batch { number: first + batches.len() as u64, records, thread: 0 });
    let (mut start, mut bytes) = (0, 0);
    for (index, slot) in slots.iter().enumerate() {
        if index > start && bytes + u64::from(slot.len) > batch_bytes {
            push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += u64::from(slot.len);
    }
    if start < slots.len() {
        push(start..slots.len());
    }
    batches
}

/// Gives each thread neighbouring batches, of about the same weight together.
fn share_out(slots: &[Slot], batches: &mut [Batch], threads: usize) {
    let weights: Vec<u64> =
        batches.iter().map(|batch| slots[batch.records.clone()].iter().map(weight_bytes).sum()).collect();
    let (total, mut before) = (weights.iter().sum::<u64>().max(1), 0);
    for (batch, weight) in batches.iter_mut().zip(weights) {
        let middle = u128::from(before + weight / 2);
        batch.thread = (middle * threads as u128 / u128::from(total)) as usize;
        before += weight;
    }
}

/// What a record weighs among those of its chunk.
fn weight_bytes(slot: &Slot) -> u64 {
    u64::from(slot.len) + RECORD_WEIGHT_BYTES
}

/// The calls of one batch.
struct Calls<'a> {
    stage: &'a TransformStage,
    chunk: &'a Chunk,
    slots: &'a [Slot],
    /// Number of the batch in its run.
    batch: u64,
    /// Calls so far.
    calls: u64,
    packed: &'a mut Vec<u8>,
    harvest: &'a mut Harvest,
}

impl halving::Batch for Calls<'_> {
    type Error = CallError;

    fn call(&mut self, records: Range<usize>, limit: Duration) -> Result<(), Failed<CallError>> {
        let (began, spent_before) = (Instant::now(), thread_time());
        let (slots, mut used) = (&self.slots[records], Used::default());
        let called = self.try_call(slots, limit, &mut used);
        let took = began.elapsed();
        self.stage.report(slots, took, used, called.as_deref());
        called.map(drop).map_err(|error| Failed {
            may_retry: error.may_retry(),
            by_records: error.by_records(),
            took: thread_time().saturating_sub(spent_before),
            error,
        })
    }

    fn refuse(&mut self, records: Range<usize>, error: &CallError, attempts: u32) {
        self.refuse_all(records, &cause::of_call(error, attempts));
    }

    fn give_up(&mut self, records: Range<usize>, error: &CallError, failed_calls: u32) {
        self.refuse_all(records, &cause::of_given_up(error, failed_calls));
    }
}

impl Calls<'_> {
    fn refuse_all(&mut self, records: Range<usize>, cause: &Cause) {
        let refused = self.slots[records].iter().map(|slot| Refused { origin: slot.origin, cause: cause.clone() });
        self.harvest.refuse(refused);
    }

    /// The guest's lines.
    fn try_call(&mut self, slots: &[Slot], limit: Duration, used: &mut Used) -> Result<Vec<LogLine>, CallError> {
        let ids = Ids::of(slots);
        let records = slots.iter().enumerate().map(|(index, slot)| InputRecord {
            record_id: ids.get(index),
            approximate_arrival_timestamp: since_epoch(slot.arrival_ms),
            data: self.chunk.bytes(slot),
            // Direct PUT has none; records of other sources will carry it in their chunk.
            kinesis_metadata: None,
            kafka_metadata: None,
        });
        self.calls += 1;
        let reply = self.stage.call((self.batch, self.calls), records, limit, self.packed, used)?;
        let mut judge = Judge::new(slots, &ids);
        let lines = reply.read(|id, answer| judge.hear(id, answer))?;
        if let Some(observer) = &self.stage.observer {
            reply.read(|id, answer| {
                if let Some(index) = ids.find(slots, 0, id) {
                    observer.answered(slots[index].origin, &answer);
                }
            })?;
        }
        self.harvest.take(slots, &judge.verdicts(), &self.stage.wanted);
        Ok(lines)
    }
}

impl TransformStage {
    /// `number`: of the batch, and of the call in it.
    fn call<'a>(
        &self,
        number: (u64, u64),
        records: impl ExactSizeIterator<Item = InputRecord<'a>> + Clone,
        limit: Duration,
        packed: &mut Vec<u8>,
        used: &mut Used,
    ) -> Result<Reply, CallError> {
        let (invocation_id, seed) = identity_of_call(&self.info, number);
        let variables: Vec<_> = self.spec.variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let limits = CallLimits { time: limit, memory_bytes: self.spec.memory_bytes, fuel: self.spec.fuel };
        let invocation = Invocation {
            invocation_id: &invocation_id,
            delivery_stream_arn: &self.info.stream_arn,
            source_arn: None,
            region: &self.info.region,
            function_arn: &self.spec.lambda_arn,
            now_ms: since_epoch(self.info.now_ms),
            seed,
            time_limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            memory_limit_bytes: self.spec.memory_bytes,
            variables: &variables,
        };
        self.module.call(invocation, records, limits, &self.interrupted, packed, used)
    }

    /// Tells the observer, or else the log, of a call.
    fn report(&self, slots: &[Slot], took: Duration, used: Used, called: Result<&[LogLine], &CallError>) {
        let (lines, failure) = match called {
            Ok(lines) => (lines, None),
            Err(CallError::Interrupted) => return,
            Err(error @ CallError::Failed { lines, .. }) => (&lines[..], Some(error.detail())),
            Err(error) => (&[][..], Some(error.detail())),
        };
        if let (Some(observer), [first, ..], [.., last]) = (&self.observer, slots, slots) {
            let (first, last, records) = (first.origin, last.origin, slots.len());
            observer.called(&observe::Call { first, last, records, took, used, lines, failure });
            return;
        }
        let (stream, function) = (&self.info.stream_arn, &self.spec.function);
        self.module.guest_log.lines(stream, function, lines);
        if let Some(failure) = failure {
            self.module.guest_log.failure(stream, function, slots.len(), &failure);
        }
    }
}

fn since_epoch(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// UUID and seed of a call, by the numbers of its batch in the run and of itself in the batch; the same for the same run.
fn identity_of_call(info: &InvocationInfo, (batch, call): (u64, u64)) -> (String, u64) {
    let mut hash = Sha256::new();
    hash.update(info.invocation_id.as_bytes());
    hash.update(info.seed.to_le_bytes());
    hash.update(batch.to_le_bytes());
    hash.update(call.to_le_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    let (mut uuid, mut seed) = ([0; 16], [0; 8]);
    uuid.copy_from_slice(&bytes[..16]);
    seed.copy_from_slice(&bytes[16..24]);
    (Id128(uuid).parcel_uuid(0), u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Origin;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_are_shared_out_in_order(
            lengths in proptest::collection::vec(prop_oneof![0u32..10, 0u32..3000], 0..200),
            batch_bytes in 1u64..5000,
            threads in 1usize..5,
        ) {
            let slot = |(n, len): (u64, &u32)| {
                Slot { start: 0, len: *len, origin: Origin { ordinal: n, part: 0 }, arrival_ms: 0 }
            };
            let slots: Vec<Slot> = (0..).zip(&lengths).map(slot).collect();
            let mut all = batches(&slots, batch_bytes, 7);
            share_out(&slots, &mut all, threads);
            let mut next = 0;
            for (number, batch) in (7..).zip(&all) {
                prop_assert_eq!((batch.number, batch.records.start), (number, next));
                next = batch.records.end;
                let bytes: u64 = slots[batch.records.clone()].iter().map(|slot| u64::from(slot.len)).sum();
                prop_assert!(batch.records.len() == 1 || (bytes <= batch_bytes && !batch.records.is_empty()));
            }
            prop_assert_eq!(next, slots.len());
            prop_assert!(all.is_sorted_by_key(|batch| batch.thread) && all.iter().all(|batch| batch.thread < threads));
            // None has more than its share and one batch.
            let weight = |batch: &Batch| slots[batch.records.clone()].iter().map(weight_bytes).sum::<u64>();
            let total: u64 = all.iter().map(weight).sum();
            let largest = all.iter().map(weight).max().unwrap_or(0);
            for share in all.chunk_by(|one, next| one.thread == next.thread) {
                prop_assert!(share.iter().map(weight).sum::<u64>() <= total / threads as u64 + largest + 1);
            }
        }
    }
}
