//! The stage: a chunk in batches through a module, verdicts into what passes, is dropped, is refused.

use super::abi::{InputRecord, Invocation};
use super::cause;
use super::halving::{Batch, Effort, Failed, settle};
use super::host::Interrupted;
use super::id::Ids;
use super::module::{CallError, CallLimits, Module};
use super::verdict::{Answer, Keys, Verdict, judge};
use crate::record::{Cause, Chunk, Refused, Slot};
use crate::stage::partition::lambda::LambdaKeys;
use crate::stage::{Stage, Staged};
use crate::stream::Id128;
use crate::stream::definition::TransformSpec;
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a record weighs beside its bytes, when time is shared among parts of a batch.
const RECORD_WEIGHT_BYTES: u64 = 64;
/// Most bytes a chunk may grow to; records that would exceed it are refused.
const LARGEST_CHUNK_BYTES: usize = 1 << 30;

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
    calls: u64,
}

impl TransformStage {
    pub fn new(
        module: Arc<Module>,
        spec: TransformSpec,
        info: InvocationInfo,
        wanted: LambdaKeys,
        interrupted: Interrupted,
    ) -> Self {
        Self { module, spec, info, wanted, interrupted, calls: 0 }
    }
}

impl Stage for TransformStage {
    fn apply(&mut self, chunk: Chunk) -> Staged {
        let mut harvest = Harvest::default();
        let effort = Effort { limit: Duration::from_millis(self.spec.timeout_ms), retries: self.spec.retries };
        for records in batches(&chunk.slots, self.spec.batch_bytes) {
            let slots = &chunk.slots[records];
            let weights: Vec<u64> = slots.iter().map(|slot| u64::from(slot.len) + RECORD_WEIGHT_BYTES).collect();
            settle(&mut Calls { stage: self, chunk: &chunk, slots, harvest: &mut harvest }, &weights, effort);
        }
        harvest.finish()
    }
}

/// Cuts slots into batches of at most `batch_bytes`; a longer record is a batch of its own.
fn batches(slots: &[Slot], batch_bytes: u64) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, slot) in slots.iter().enumerate() {
        if index > start && bytes + u64::from(slot.len) > batch_bytes {
            batches.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += u64::from(slot.len);
    }
    if start < slots.len() {
        batches.push(start..slots.len());
    }
    batches
}

/// The calls of one batch.
struct Calls<'a> {
    stage: &'a mut TransformStage,
    chunk: &'a Chunk,
    slots: &'a [Slot],
    harvest: &'a mut Harvest,
}

impl Batch for Calls<'_> {
    type Error = CallError;

    fn call(&mut self, records: Range<usize>, limit: Duration) -> Result<(), Failed<CallError>> {
        let began = Instant::now();
        self.try_call(&self.slots[records.clone()], limit).map_err(|error| {
            self.stage.report(records.len(), &error);
            Failed { may_retry: error.may_retry(), by_records: error.by_records(), took: began.elapsed(), error }
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
        self.harvest.refused.extend(refused);
    }

    fn try_call(&mut self, slots: &[Slot], limit: Duration) -> Result<(), CallError> {
        let ids = Ids::of(slots);
        let records = slots.iter().enumerate().map(|(index, slot)| InputRecord {
            record_id: ids.get(index),
            approximate_arrival_timestamp: since_epoch(slot.arrival_ms),
            data: self.chunk.bytes(slot),
            // Direct PUT has none; records of other sources will carry it in their chunk.
            kinesis_metadata: None,
            kafka_metadata: None,
        });
        let reply = self.stage.call(records, limit)?;
        let (answers, lines) = reply.read().map_err(|error| CallError::Malformed(error.to_string()))?;
        let stage = &self.stage;
        stage.module.guest_log.lines(&stage.info.stream_arn, &stage.spec.function, &lines);
        self.harvest.take(slots, &ids, &answers, &stage.wanted);
        Ok(())
    }
}

impl TransformStage {
    fn call<'a>(
        &mut self,
        records: impl ExactSizeIterator<Item = InputRecord<'a>>,
        limit: Duration,
    ) -> Result<super::module::Reply, CallError> {
        self.calls += 1;
        let (invocation_id, seed) = identity_of_call(&self.info, self.calls);
        let variables: Vec<_> = self.spec.variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let limits = CallLimits { time: limit, memory_bytes: self.spec.memory_bytes };
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
        self.module.call(invocation, records, limits, &self.interrupted)
    }

    fn report(&self, records: usize, error: &CallError) {
        if matches!(error, CallError::Interrupted) {
            return;
        }
        let (stream, function) = (&self.info.stream_arn, &self.spec.function);
        if let CallError::Failed { lines, .. } = error {
            self.module.guest_log.lines(stream, function, lines);
        }
        self.module.guest_log.failure(stream, function, records, &error.detail());
    }
}

fn since_epoch(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// UUID and seed of the `number`-th call of a run; the same for the same run.
fn identity_of_call(info: &InvocationInfo, number: u64) -> (String, u64) {
    let mut hash = Sha256::new();
    hash.update(info.invocation_id.as_bytes());
    hash.update(info.seed.to_le_bytes());
    hash.update(number.to_le_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    let (mut uuid, mut seed) = ([0; 16], [0; 8]);
    uuid.copy_from_slice(&bytes[..16]);
    seed.copy_from_slice(&bytes[16..24]);
    (Id128(uuid).parcel_uuid(0), u64::from_le_bytes(seed))
}

/// What the batches of a chunk have come to. One buffer for all that passes.
#[derive(Default)]
struct Harvest {
    buffer: Vec<u8>,
    passed: Vec<Slot>,
    refused: Vec<Refused>,
    dropped: Vec<crate::record::Origin>,
    /// Where the bytes for the keys of each that passed are, where keys are wanted.
    partition_keys: Vec<Range<u32>>,
    /// Bytes for the keys of the record at hand.
    key: Vec<u8>,
}

impl Harvest {
    fn take(&mut self, slots: &[Slot], ids: &Ids, answers: &[Answer<'_>], wanted: &LambdaKeys) {
        let mut values = Vec::new();
        for (slot, verdict) in slots.iter().zip(judge(slots, ids, answers)) {
            match verdict {
                Verdict::Passed(data, keys) => {
                    if let Err(cause) = self.pass(slot, data, keys, wanted, &mut values) {
                        self.refused.push(Refused { origin: slot.origin, cause });
                    }
                }
                Verdict::Dropped => self.dropped.push(slot.origin),
                verdict => {
                    let cause = cause::of_verdict(&verdict);
                    self.refused.extend(cause.map(|cause| Refused { origin: slot.origin, cause }));
                }
            }
        }
    }

    /// `values`: room that is used again.
    fn pass<'a>(
        &mut self,
        slot: &Slot,
        data: &[u8],
        keys: Keys<'a>,
        wanted: &LambdaKeys,
        values: &mut Vec<Option<&'a str>>,
    ) -> Result<(), Cause> {
        self.key.clear();
        wanted.append(keys.pairs(), values, &mut self.key)?;
        if self.buffer.len() + data.len() + self.key.len() > LARGEST_CHUNK_BYTES {
            return Err(cause::of_call(&CallError::OutputTooLarge { limit_bytes: LARGEST_CHUNK_BYTES }, 1));
        }
        self.passed.push(Slot { start: self.buffer.len() as u32, len: data.len() as u32, ..*slot });
        self.buffer.extend_from_slice(data);
        if !wanted.is_empty() {
            let last = self.partition_keys.last().cloned();
            // Records of one partition often come one after the other.
            let same = last.filter(|last| self.buffer[last.start as usize..last.end as usize] == self.key[..]);
            let range = same.unwrap_or_else(|| {
                let start = self.buffer.len() as u32;
                self.buffer.extend_from_slice(&self.key);
                start..self.buffer.len() as u32
            });
            self.partition_keys.push(range);
        }
        Ok(())
    }

    fn finish(self) -> Staged {
        let passed = Chunk { buffer: self.buffer.into(), slots: self.passed };
        Staged {
            passed,
            refused: self.refused,
            dropped: self.dropped,
            partition_keys: self.partition_keys,
            ..Staged::default()
        }
    }
}
