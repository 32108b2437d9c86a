//! A segment file of a log: its name, its header, and what is known of it in memory. Version 1, little endian.
//!
//! ```text
//!  0 magic "HYSG"   4 version u16   8 segment id u64   16 incarnation 16 bytes
//! 32 first record number u64       40 created ms i64   48 reserved           60 header CRC-32C u32
//! 64 frames
//! ```
//!
//! Name: `<segment id, 10 digits>-<first record number, 20 digits>.seg`. The first record number of a segment voids
//! frames at or above it in segments with a lower id (rule D8).

use crate::stream::Incarnation;
use crc32c::crc32c;

/// First bytes of every segment.
pub const MAGIC: [u8; 4] = *b"HYSG";
/// Version written.
pub const VERSION: u16 = 1;
/// Length of the header.
pub const HEADER_BYTES: u64 = 64;

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Ascending within a log.
    pub id: u64,
    /// The stream's life it belongs to.
    pub incarnation: Incarnation,
    /// Number of its first record.
    pub first: u64,
    /// Creation time, ms since the epoch.
    pub created_ms: i64,
}

/// Why bytes are not a segment header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Cut off, foreign or damaged. After a power cut a new segment may look so; then it holds nothing acknowledged.
    #[error("no valid segment header")]
    Bad,
    /// Written by a newer program.
    #[error("segment version {0} is newer than this program knows (1); use the newer hydrant")]
    Newer(u16),
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut h = [0u8; HEADER_BYTES as usize];
        h[0..4].copy_from_slice(&MAGIC);
        h[4..6].copy_from_slice(&VERSION.to_le_bytes());
        h[8..16].copy_from_slice(&self.id.to_le_bytes());
        h[16..32].copy_from_slice(&self.incarnation.0);
        h[32..40].copy_from_slice(&self.first.to_le_bytes());
        h[40..48].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = crc32c(&h[..60]);
        h[60..64].copy_from_slice(&crc.to_le_bytes());
        h
    }

    /// Reads and checks a header.
    pub fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let Some(h) = bytes.first_chunk::<{ HEADER_BYTES as usize }>() else { return Err(SegmentError::Bad) };
        let u64_at = |i: usize| {
            let mut b = [0; 8];
            b.copy_from_slice(&h[i..i + 8]);
            u64::from_le_bytes(b)
        };
        if h[0..4] != MAGIC || crc32c(&h[..60]).to_le_bytes() != h[60..64] {
            return Err(SegmentError::Bad);
        }
        match u16::from_le_bytes([h[4], h[5]]) {
            VERSION => {}
            newer => return Err(SegmentError::Newer(newer)),
        }
        let mut incarnation = [0; 16];
        incarnation.copy_from_slice(&h[16..32]);
        Ok(Self {
            id: u64_at(8),
            incarnation: crate::stream::Id128(incarnation),
            first: u64_at(32),
            created_ms: u64_at(40) as i64,
        })
    }
}

/// The file name of a segment.
pub fn file_name(id: u64, first: u64) -> String {
    format!("{id:010}-{first:020}.seg")
}

/// Id and first record number in a file name; `None` for other names.
pub fn parse_file_name(name: &str) -> Option<(u64, u64)> {
    let (id, first) = name.strip_suffix(".seg")?.split_once('-')?;
    Some((id.parse().ok()?, first.parse().ok()?))
}

/// A segment as the running log knows it: synced records `[first, last]` (empty while `last < first`).
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its id.
    pub id: u64,
    /// Number in its name and header.
    pub first: u64,
    /// Last synced record; `first - 1` while there is none.
    pub last: u64,
    /// Offset behind the last synced frame.
    pub end_bytes: u64,
    /// Bytes of the file behind that: what a crash or a failed commit left. They take room until the file goes.
    pub tail_bytes: u64,
    /// Creation time, ms since the epoch; for retention.
    pub created_ms: i64,
    /// Arrival of its newest record, ms since the epoch; for retention.
    pub newest_arrival_ms: i64,
    /// Sparse index: (first record number of a frame, its offset), ascending.
    pub index: Vec<(u64, u64)>,
}

impl Segment {
    /// Length of the file.
    pub fn file_bytes(&self) -> u64 {
        self.end_bytes + self.tail_bytes
    }

    /// Bytes between two entries of the sparse index.
    pub const INDEX_STRIDE_BYTES: u64 = 256 * 1024;

    /// Notes a frame in the sparse index if it lies a stride behind the last entry.
    pub fn note_frame(&mut self, first: u64, offset_bytes: u64) {
        let due = self.index.last().is_none_or(|(_, at)| offset_bytes - at >= Self::INDEX_STRIDE_BYTES);
        if due {
            self.index.push((first, offset_bytes));
        }
    }

    /// Offset of a frame at or before the one that holds record `number`.
    pub fn seek(&self, number: u64) -> u64 {
        let after = self.index.partition_point(|(first, _)| *first <= number);
        if after == 0 { HEADER_BYTES } else { self.index[after - 1].1 }
    }
}
