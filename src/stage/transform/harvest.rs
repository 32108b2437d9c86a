//! What the batches of a chunk have come to: one buffer of all that passed, and the fate of the rest. For `stage`, out of
//! the verdicts of `verdict`.
//!
//! Invariant: the buffer never grows past its bound; a record that does not fit is refused alone.

use super::cause;
use super::module::CallError;
use super::verdict::{Keys, Verdict};
use crate::record::{Cause, Chunk, Refused, Slot};
use crate::stage::Staged;
use crate::stage::partition::lambda::LambdaKeys;
use std::ops::Range;

/// Most bytes a chunk may grow to; records that would exceed it are refused.
pub const LARGEST_CHUNK_BYTES: usize = 1 << 30;

fn too_large() -> Cause {
    cause::of_call(&CallError::OutputTooLarge { limit_bytes: LARGEST_CHUNK_BYTES }, 1)
}

/// What the batches of a chunk have come to.
#[derive(Default)]
pub struct Harvest {
    /// The buffer grows to no more.
    most_bytes: usize,
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
    /// Nothing yet, and never more than so many bytes of what passes.
    pub fn of_at_most(most_bytes: usize) -> Self {
        Self { most_bytes, ..Self::default() }
    }

    /// Adds what a call said of each of these records.
    pub fn take(&mut self, slots: &[Slot], verdicts: &[Verdict<'_>], wanted: &LambdaKeys) {
        let mut values = Vec::new();
        let data_bytes = |verdict: &Verdict<'_>| if let Verdict::Passed(data, _) = verdict { data.len() } else { 0 };
        self.buffer.reserve(verdicts.iter().map(data_bytes).sum::<usize>().min(LARGEST_CHUNK_BYTES));
        self.passed.reserve(slots.len());
        for (slot, verdict) in slots.iter().zip(verdicts) {
            match *verdict {
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

    /// Adds records that no call said anything of.
    pub fn refuse(&mut self, refused: impl Iterator<Item = Refused>) {
        self.refused.extend(refused);
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
        self.push(slot, data, !wanted.is_empty())
    }

    /// Adds a record, with `key` if it has keys.
    fn push(&mut self, slot: &Slot, data: &[u8], has_keys: bool) -> Result<(), Cause> {
        if self.buffer.len() + data.len() + self.key.len() > self.most_bytes {
            return Err(too_large());
        }
        self.passed.push(Slot { start: self.buffer.len() as u32, len: data.len() as u32, ..*slot });
        self.buffer.extend_from_slice(data);
        if has_keys {
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

    /// Adds what came of later batches.
    pub fn append(&mut self, mut later: Self) {
        self.dropped.append(&mut later.dropped);
        self.refused.append(&mut later.refused);
        if self.buffer.len() + later.buffer.len() > self.most_bytes {
            return self.append_what_fits(&later);
        }
        let offset = self.buffer.len() as u32;
        if self.buffer.is_empty() {
            self.buffer = later.buffer;
        } else {
            self.buffer.extend_from_slice(&later.buffer);
        }
        self.passed.extend(later.passed.into_iter().map(|slot| Slot { start: slot.start + offset, ..slot }));
        let moved = |range: Range<u32>| range.start + offset..range.end + offset;
        self.partition_keys.extend(later.partition_keys.into_iter().map(moved));
    }

    /// The same record by record, as if they had come one after the other.
    fn append_what_fits(&mut self, later: &Self) {
        for (index, slot) in later.passed.iter().enumerate() {
            let key = later.partition_keys.get(index);
            self.key.clear();
            self.key.extend(key.map_or(&[][..], |key| &later.buffer[key.start as usize..key.end as usize]));
            let data = &later.buffer[slot.start as usize..][..slot.len as usize];
            if let Err(cause) = self.push(slot, data, key.is_some()) {
                self.refused.push(Refused { origin: slot.origin, cause });
            }
        }
    }

    /// The chunk that goes on, and who does not.
    pub fn finish(self) -> Staged {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Origin;

    #[test]
    fn of_shares_that_do_not_fit_together_each_record_is_taken_that_does() {
        let harvest = |first: u64, records: &[(&str, &str)]| {
            let mut harvest = Harvest::of_at_most(20);
            for (ordinal, (data, key)) in (first..).zip(records) {
                let slot = Slot { start: 0, len: 0, origin: Origin { ordinal, part: 0 }, arrival_ms: 0 };
                harvest.key.clear();
                harvest.key.extend(key.bytes());
                harvest.push(&slot, data.as_bytes(), !key.is_empty()).unwrap();
            }
            harvest
        };
        for (one, two) in [("", ""), ("k", "k"), ("k", "l")] {
            let mut both = harvest(1, &[("eight by", one), ("", one), ("six by", one)]);
            both.append(harvest(4, &[("nine byte", two), ("four", two), ("two b", two)]));
            assert_eq!(both.refused.iter().map(|refused| refused.origin.ordinal).collect::<Vec<_>>(), [4, 6]);
            let staged = both.finish();
            let passed: Vec<_> = staged.passed.iter().map(|(slot, bytes)| (slot.origin.ordinal, bytes)).collect();
            assert_eq!(passed, [(1, &b"eight by"[..]), (2, b""), (3, b"six by"), (5, b"four")]);
            let keys = staged.partition_keys.iter();
            let keys = keys.map(|key| &staged.passed.buffer[key.start as usize..key.end as usize]);
            let wanted = [one, one, one, two].into_iter().filter(|key| !key.is_empty());
            assert!(keys.eq(wanted.map(str::as_bytes)), "{one} {two}");
        }
    }
}
