//! Records as slices of shared buffers, and the records a stage refuses.
//!
//! Hot paths own no heap allocation per record: a [`Chunk`] is one buffer and a table of slots. Every slot keeps its
//! origin (ordinal in the run, and part of the outer record), so that a later stage's refusal finds the original bytes.

mod parcel_bytes;

pub use parcel_bytes::{ParcelBytes, ParcelReader};

use bytes::Bytes;

/// Where a record, or a part of one, came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Number of the outer record in its run, from 0.
    pub ordinal: u64,
    /// Part of the outer record, from 0.
    pub part: u32,
}

/// One record of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Offset of its first byte in the chunk's buffer.
    pub start: u32,
    /// Its length in bytes.
    pub len: u32,
    /// Where it came from.
    pub origin: Origin,
    /// Arrival of the outer record, ms since the epoch.
    pub arrival_ms: i64,
}

/// A few MiB of records in order: slices of one buffer. The buffer may hold other bytes between them.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// The shared buffer, under 4 GiB.
    pub buffer: Bytes,
    /// The records, in position order.
    pub slots: Vec<Slot>,
}

impl Chunk {
    /// The bytes of a slot of this chunk.
    pub fn bytes(&self, slot: &Slot) -> &[u8] {
        &self.buffer[slot.start as usize..slot.start as usize + slot.len as usize]
    }

    /// Records with their bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Slot, &[u8])> {
        self.slots.iter().map(|slot| (slot, self.bytes(slot)))
    }

    /// Bytes of all records.
    pub fn data_bytes(&self) -> u64 {
        self.slots.iter().map(|slot| u64::from(slot.len)).sum()
    }

    /// Finds the slot of an origin: at once where all records are there and whole, else by binary search, for slots are in
    /// origin order.
    pub fn find(&self, origin: Origin) -> Option<&Slot> {
        let at = origin.ordinal.checked_sub(self.slots.first()?.origin.ordinal)?;
        if let Some(slot) = usize::try_from(at).ok().and_then(|at| self.slots.get(at))
            && slot.origin == origin
        {
            return Some(slot);
        }
        self.slots.binary_search_by(|slot| slot.origin.cmp(&origin)).ok().map(|i| &self.slots[i])
    }

    /// A chunk that owns a copy of `records`, ordinals from `first_ordinal` on. For tests and small inputs.
    pub fn from_records<'a>(records: impl IntoIterator<Item = &'a [u8]>, first_ordinal: u64, arrival_ms: i64) -> Self {
        let mut buffer = Vec::new();
        let mut slots = Vec::new();
        for (i, record) in records.into_iter().enumerate() {
            slots.push(Slot {
                start: buffer.len() as u32,
                len: record.len() as u32,
                origin: Origin { ordinal: first_ordinal + i as u64, part: 0 },
                arrival_ms,
            });
            buffer.extend_from_slice(record);
        }
        Self { buffer: buffer.into(), slots }
    }
}

/// A record a stage refused, with the cause. Its bytes are found by origin in the chunk that entered the stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which record.
    pub origin: Origin,
    /// Why.
    pub cause: Cause,
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Error output type: the folder in the error area (reference: `processing-failed`, `format-conversion-failed`, …).
    pub kind: ErrorKind,
    /// Error code, such as `Lambda.FunctionError` or `DataFormatConversion.ParseError`.
    pub code: String,
    /// What happened, for a person.
    pub message: String,
    /// Attempts made, 1 for a verdict that is not retried.
    pub attempts: u32,
}

/// Error output types: the value of `!{firehose:error-output-type}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The transform failed or refused.
    ProcessingFailed,
    /// Conversion to Parquet or ORC refused.
    FormatConversionFailed,
    /// Not what the Decompression processor takes.
    DecompressionFailed,
    /// A record could not be split, or had no keys for its partition.
    PartitioningFailed,
    /// An HTTP endpoint did not take it, or no request can.
    HttpEndpointFailed,
}

impl ErrorKind {
    /// The text in prefixes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProcessingFailed => "processing-failed",
            Self::FormatConversionFailed => "format-conversion-failed",
            Self::DecompressionFailed => "decompression-failed",
            Self::PartitioningFailed => "partitioning-failed",
            Self::HttpEndpointFailed => "http-endpoint-failed",
        }
    }
}

/// How far a lane can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Readable {
    /// Bytes of readable records since an arbitrary point. Differences count.
    pub bytes: u64,
    /// Number of readable records since the lane began.
    pub records: u64,
    /// Nothing more will come.
    pub ended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_origin_is_found_where_it_is(first in 0u64..4, steps in proptest::collection::vec((0u64..3, 0u32..2), 0..30)) {
            let mut origin = Origin { ordinal: first, part: 0 };
            let mut slots = Vec::new();
            for (at, (gap, part)) in steps.into_iter().enumerate() {
                slots.push(Slot { start: at as u32, len: 0, origin, arrival_ms: 0 });
                // Another part of the same record, or a part of one of the next.
                origin = match gap {
                    0 => Origin { part: origin.part + 1, ..origin },
                    _ => Origin { ordinal: origin.ordinal + gap, part },
                };
            }
            let chunk = Chunk { buffer: Vec::new().into(), slots };
            for ordinal in 0..64 {
                for part in 0..32 {
                    let origin = Origin { ordinal, part };
                    prop_assert_eq!(chunk.find(origin), chunk.slots.iter().find(|slot| slot.origin == origin));
                }
            }
        }
    }
}
