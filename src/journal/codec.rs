//! The journal's entries as bytes: the only place that knows their layout.
//!
//! From: `writer` encodes. To: `segment` decodes while it scans. Layout of an entry, numbers little-endian:
//!
//! ```text
//! offset  length  member
//!      0       4  magic "JENT"
//!      4       1  version, 1
//!      5       1  kind
//!      6       1  flags: bit 0 = part of the segment's snapshot
//!      7       1  0
//!      8       8  nonce of the segment
//!     16       8  entry number, from 1, without gaps within a segment
//!     24       8  synced_upto: highest entry number known to be synced when this one was written
//!     32       4  length of the body
//!     36       4  length of the inline bytes
//!     40       4  CRC-32C of bytes 0..40
//!     44       -  body: JSON {"version":1, "<kind>":{…}}
//!      -       -  inline bytes
//!      -       4  CRC-32C of everything before
//! ```
//!
//! The head has a checksum of its own so that its lengths and its mark can be trusted before the rest is read. An
//! entry whose checksums hold is never a torn one: what cannot be understood in it is an error, not a tail.

use crate::stream::seal::{Attempts, Close, Fates, LaneId, ParcelKind, Seal, SpooledChunk, Turn};
use crate::stream::{Incarnation, NumberSet, Position};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// First bytes of an entry.
pub const MAGIC: &[u8; 4] = b"JENT";
/// Newest layout this program reads, and the one it writes.
pub const VERSION: u8 = 1;
/// Newest JSON body this program reads.
const BODY_VERSION: u32 = 4;
/// Of bodies that say nothing of loads: older programs read them.
const BODY_VERSION_WITHOUT_LOADS: u32 = 3;
/// Of bodies that say nothing of requests and attempts either.
const BODY_VERSION_WITHOUT_REQUESTS: u32 = 2;
/// Of bodies that say nothing of spool chunks either.
const BODY_VERSION_WITHOUT_SPOOL: u32 = 1;
/// Length of an entry's head.
pub const HEAD_BYTES: usize = 44;
/// Length of the checksum at an entry's end.
pub const TAIL_BYTES: usize = 4;
/// Longest body or inline bytes of one entry.
pub const MAX_PART_BYTES: usize = 256 << 20;

const FLAG_SNAPSHOT: u8 = 1;

/// What an entry says. The numbers of kinds are persisted.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A lane as it was when the segment began, without its open seals; those follow as seals. Outside of a snapshot: a
    /// lane of which nothing was stored begins here.
    Lane(LaneBase),
    /// The snapshot is complete.
    SnapshotEnd(SnapshotEnd),
    /// A run is sealed.
    Seal(Arc<Seal>),
    /// A destination is given up for a parcel.
    Turn(Arc<Turn>),
    /// A seal's parcels are all delivered.
    Close(Close),
    /// A stream is gone.
    Forget(Forget),
    /// Attempts of a parcel failed; the newest entry counts.
    Attempts(Arc<Attempts>),
}

/// A lane's cursor, sums, and what is left of its spool chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneBase {
    /// Which lane.
    pub lane: LaneId,
    /// End of the last closed seal.
    pub closed: Position,
    /// Number of the last closed seal.
    pub closed_number: u64,
    /// Sums over all closed seals.
    pub ledger: Fates,
    /// Spool chunks of its runs of which something is still to be delivered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkBase>,
}

/// A spool chunk, without what open seals take of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkBase {
    /// Number of the seal that made it.
    pub number: u64,
    /// The chunk.
    pub chunk: SpooledChunk,
    /// Partitions whose seals are closed.
    #[serde(default, skip_serializing_if = "NumberSet::is_empty")]
    pub closed: NumberSet,
}

/// What a complete snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEnd {
    /// Lanes.
    pub lanes: u64,
    /// Open seals of all lanes.
    pub open_seals: u64,
}

/// A stream whose lanes are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// Which life of which stream.
    pub incarnation: Incarnation,
}

#[derive(Serialize, Deserialize)]
struct Version {
    version: u32,
}

// The JSON body of each kind: a version, and the content under its own name.
macro_rules! named {
    ($name:ident, $member:ident, $type:ty) => {
        #[derive(Serialize, Deserialize)]
        struct $name {
            version: u32,
            $member: $type,
        }
    };
}
named!(LaneBody, lane_base, LaneBase);
named!(SnapshotEndBody, snapshot_end, SnapshotEnd);
named!(SealBody, seal, Arc<Seal>);
named!(TurnBody, turn, Arc<Turn>);
named!(CloseBody, close, Close);
named!(ForgetBody, forget, Forget);
named!(AttemptsBody, attempts, Arc<Attempts>);

impl Payload {
    fn kind(&self) -> u8 {
        match self {
            Self::Lane(_) => 1,
            Self::SnapshotEnd(_) => 2,
            Self::Seal(_) => 3,
            Self::Turn(_) => 4,
            Self::Close(_) => 5,
            Self::Forget(_) => 6,
            Self::Attempts(_) => 16,
        }
    }

    /// The oldest version that has all that is said.
    fn body_version(&self) -> u32 {
        let tells_of_spool = match self {
            Self::Lane(base) => !base.chunks.is_empty(),
            Self::Seal(seal) => seal.spooled.is_some() || !seal.taken.is_empty(),
            _ => false,
        };
        let has = |of_kind: fn(&ParcelKind) -> bool| match self {
            Self::Seal(seal) => seal.parcels.iter().any(|parcel| of_kind(&parcel.kind)),
            _ => false,
        };
        let tells_of_loads = has(|kind| matches!(kind, ParcelKind::Load(_)));
        let tells_of_requests = matches!(self, Self::Attempts(_)) || has(|kind| matches!(kind, ParcelKind::Request(_)));
        match (tells_of_loads, tells_of_requests, tells_of_spool) {
            (true, _, _) => BODY_VERSION,
            (false, true, _) => BODY_VERSION_WITHOUT_LOADS,
            (false, false, true) => BODY_VERSION_WITHOUT_REQUESTS,
            (false, false, false) => BODY_VERSION_WITHOUT_SPOOL,
        }
    }

    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let version = self.body_version();
        match self {
            Self::Lane(base) => serde_json::to_vec(&LaneBody { version, lane_base: base.clone() }),
            Self::SnapshotEnd(end) => serde_json::to_vec(&SnapshotEndBody { version, snapshot_end: *end }),
            Self::Seal(seal) => serde_json::to_vec(&SealBody { version, seal: Arc::clone(seal) }),
            Self::Turn(turn) => serde_json::to_vec(&TurnBody { version, turn: Arc::clone(turn) }),
            Self::Close(close) => serde_json::to_vec(&CloseBody { version, close: close.clone() }),
            Self::Forget(forget) => serde_json::to_vec(&ForgetBody { version, forget: *forget }),
            Self::Attempts(attempts) => serde_json::to_vec(&AttemptsBody { version, attempts: Arc::clone(attempts) }),
        }
    }

    pub(super) fn from_json(kind: u8, json: &[u8]) -> Result<Self, Unreadable> {
        fn content<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Unreadable> {
            serde_json::from_slice(json).map_err(|e| Unreadable::Nonsense(e.to_string()))
        }
        if !matches!(kind, 1..=6 | 16) {
            return Err(Unreadable::Nonsense(format!("entry kind {kind} is not known to version {VERSION}")));
        }
        let Version { version } = content(json)?;
        if version > BODY_VERSION {
            return Err(Unreadable::Newer { version, known: BODY_VERSION });
        }
        Ok(match kind {
            1 => Self::Lane(content::<LaneBody>(json)?.lane_base),
            2 => Self::SnapshotEnd(content::<SnapshotEndBody>(json)?.snapshot_end),
            3 => Self::Seal(content::<SealBody>(json)?.seal),
            4 => Self::Turn(content::<TurnBody>(json)?.turn),
            5 => Self::Close(content::<CloseBody>(json)?.close),
            16 => Self::Attempts(content::<AttemptsBody>(json)?.attempts),
            _ => Self::Forget(content::<ForgetBody>(json)?.forget),
        })
    }
}

/// What stands around a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// Nonce of the segment the entry was written to.
    pub nonce: u64,
    /// Entry number.
    pub number: u64,
    /// Highest entry number known synced when this one was written.
    pub synced_upto: u64,
    /// Whether the entry belongs to the segment's snapshot.
    pub in_snapshot: bool,
}

/// The first [`HEAD_BYTES`] of an entry, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What stands around the payload.
    pub envelope: Envelope,
    kind: u8,
    /// Length of the JSON body.
    pub body_bytes: usize,
    /// Length of the inline bytes.
    pub inline_bytes: usize,
}

impl Head {
    /// Length of the whole entry.
    pub fn entry_bytes(&self) -> u64 {
        (HEAD_BYTES + self.body_bytes + self.inline_bytes + TAIL_BYTES) as u64
    }

    /// Offset of the inline bytes from the entry's start.
    pub fn inline_offset(&self) -> u64 {
        (HEAD_BYTES + self.body_bytes) as u64
    }
}

/// Bytes that are not a whole entry: torn or damaged, which the marks of other entries decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);

/// A whole entry that this program cannot understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer program.
    #[error("version {version} of an entry; this program knows up to {known}")]
    Newer {
        /// Version found.
        version: u32,
        /// Newest version known.
        known: u32,
    },
    /// The checksums hold, the content makes no sense.
    #[error("{0}")]
    Nonsense(String),
}

/// What decoding found.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<T> {
    /// A whole one.
    Whole(T),
    /// Not a whole one.
    Broken(Broken),
}

/// An entry too long for its length members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry with {body_bytes} bytes of body and {inline_bytes} bytes of inline parcels is over {MAX_PART_BYTES}")]
pub struct TooLong {
    /// Body.
    pub body_bytes: usize,
    /// Inline bytes.
    pub inline_bytes: usize,
}

/// Appends the entry to `out`. Returns the offset of its inline bytes in `out`.
pub fn encode(envelope: Envelope, payload: &Payload, inline: &[u8], out: &mut Vec<u8>) -> Result<usize, TooLong> {
    // Only maps with keys that are not text make this fail, and there are none.
    let body = payload.to_json().unwrap_or_default();
    if body.len() > MAX_PART_BYTES || inline.len() > MAX_PART_BYTES {
        return Err(TooLong { body_bytes: body.len(), inline_bytes: inline.len() });
    }
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, payload.kind(), if envelope.in_snapshot { FLAG_SNAPSHOT } else { 0 }, 0]);
    out.extend_from_slice(&envelope.nonce.to_le_bytes());
    out.extend_from_slice(&envelope.number.to_le_bytes());
    out.extend_from_slice(&envelope.synced_upto.to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&(inline.len() as u32).to_le_bytes());
    let head_crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&head_crc.to_le_bytes());
    out.extend_from_slice(&body);
    let inline_offset = out.len();
    out.extend_from_slice(inline);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(inline_offset)
}

/// Reads a head. `nonce` is that of the segment; an entry of another one is not an entry here.
pub fn decode_head(bytes: &[u8; HEAD_BYTES], nonce: u64) -> Result<Decoded<Head>, Unreadable> {
    if &bytes[..4] != MAGIC {
        return Ok(Decoded::Broken(Broken("no entry starts here")));
    }
    if crc32c::crc32c(&bytes[..40]) != u32_at(bytes, 40) {
        return Ok(Decoded::Broken(Broken("the checksum of the entry's head does not match")));
    }
    if u64_at(bytes, 8) != nonce {
        return Ok(Decoded::Broken(Broken("the entry belongs to another segment")));
    }
    if bytes[4] > VERSION {
        return Err(Unreadable::Newer { version: u32::from(bytes[4]), known: u32::from(VERSION) });
    }
    let head = Head {
        envelope: Envelope {
            nonce,
            number: u64_at(bytes, 16),
            synced_upto: u64_at(bytes, 24),
            in_snapshot: bytes[6] & FLAG_SNAPSHOT != 0,
        },
        kind: bytes[5],
        body_bytes: u32_at(bytes, 32) as usize,
        inline_bytes: u32_at(bytes, 36) as usize,
    };
    if head.body_bytes > MAX_PART_BYTES || head.inline_bytes > MAX_PART_BYTES {
        return Err(Unreadable::Nonsense("the entry is longer than any entry may be".to_owned()));
    }
    Ok(Decoded::Whole(head))
}

/// Reads the whole entry that `head` begins. Returns its payload and inline bytes.
pub fn decode_entry<'a>(head: &Head, entry: &'a [u8]) -> Result<Decoded<(Payload, &'a [u8])>, Unreadable> {
    let end = entry.len() - TAIL_BYTES;
    if crc32c::crc32c(&entry[..end]) != u32_at(entry, end) {
        return Ok(Decoded::Broken(Broken("the checksum of the entry does not match")));
    }
    let inline_start = HEAD_BYTES + head.body_bytes;
    let payload = Payload::from_json(head.kind, &entry[HEAD_BYTES..inline_start])?;
    Ok(Decoded::Whole((payload, &entry[inline_start..end])))
}

/// A little-endian number at `offset`, which the caller knows to be inside.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(number)
}

/// A little-endian number at `offset`, which the caller knows to be inside.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(number)
}
