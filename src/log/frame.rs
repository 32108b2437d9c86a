//! The frame: one put request on disk, checksummed. Version 1, little endian.
//!
//! ```text
//!  0 magic "HYF1"      4 version u16   6 flags u16      8 segment id u64   16 first record number u64
//! 24 arrival ms i64   32 synced last u64 (highest record number known synced when this was written)
//! 40 record count u32 44 extensions length u32         48 payload length u64
//! 56 body CRC-32C u32 60 header CRC-32C u32 (over the log's incarnation and 0..60)
//! 64 extensions (kind u16, length u32, bytes)*, record lengths u32*, payload (records back to back)
//! ```
//!
//! The incarnation is random and no producer knows it, so no record can imitate a frame; nor is a frame of another stream
//! taken for one of this.
//!
//! Extensions are typed and reserved early: a reader that meets a kind with the top bit set and does not know it
//! refuses the frame; other unknown kinds are skipped.

use crate::stream::Incarnation;
use crc32c::{crc32c, crc32c_append};

/// First bytes of every frame.
pub const MAGIC: [u8; 4] = *b"HYF1";
/// Version written.
pub const VERSION: u16 = 1;
/// Length of the fixed header.
pub const HEADER_BYTES: usize = 64;
/// Most records of a frame; an NDJSON request of 16 MiB holds at most that many one-byte lines.
pub const MAX_RECORDS: u32 = 16 * 1024 * 1024;
/// Longest body (extensions, lengths and payload) a reader accepts; longer is damage.
pub const MAX_BODY_BYTES: u64 = 256 * 1024 * 1024;

/// Kinds of extensions. Values are persisted.
pub mod extension_kind {
    /// Idempotency token of the request.
    pub const TOKEN: u16 = 1;
    /// SHA-256 of the request body that came with the token.
    pub const BODY_HASH: u16 = 2;
    /// Source metadata per record (partition key, shard, sub-sequence).
    pub const SOURCE_METADATA: u16 = 3;
    /// Id of the key the payload is encrypted under.
    pub const ENCRYPTION_KEY: u16 = 0x8000 | 4;
    /// Codec of the payload.
    pub const CODEC: u16 = 0x8000 | 5;
}

/// A typed extension field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// One of [`extension_kind`].
    pub kind: u16,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// What a put request brings: records back to back, and their lengths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameBody {
    /// Length of each record in bytes.
    pub lengths: Vec<u32>,
    /// The records, one after the other.
    pub payload: Vec<u8>,
    /// Extension fields.
    pub extensions: Vec<Extension>,
}

/// A body made ready for the disk: everything but what the log assigns.
#[derive(Debug)]
pub struct EncodedBody {
    /// Extensions and record lengths.
    table: Vec<u8>,
    payload: Vec<u8>,
    record_count: u32,
    extensions_len: u32,
    body_crc: u32,
}

impl EncodedBody {
    /// Encodes the tables and checksums the body.
    pub fn new(body: FrameBody) -> Self {
        let mut table = Vec::with_capacity(body.lengths.len() * 4);
        for extension in &body.extensions {
            table.extend_from_slice(&extension.kind.to_le_bytes());
            table.extend_from_slice(&(extension.value.len() as u32).to_le_bytes());
            table.extend_from_slice(&extension.value);
        }
        let extensions_len = table.len() as u32;
        for length in &body.lengths {
            table.extend_from_slice(&length.to_le_bytes());
        }
        let body_crc = crc32c_append(crc32c(&table), &body.payload);
        Self { table, payload: body.payload, record_count: body.lengths.len() as u32, extensions_len, body_crc }
    }

    /// Records in it.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Bytes of the records.
    pub fn payload_bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    /// Bytes of the whole frame on disk.
    pub fn frame_bytes(&self) -> u64 {
        (HEADER_BYTES + self.table.len() + self.payload.len()) as u64
    }

    /// Extensions and lengths, then payload: what follows the header.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.table, &self.payload]
    }

    /// The header once the log of that stream has assigned place and time.
    pub fn header(&self, assigned: &Assigned, log: Incarnation) -> [u8; HEADER_BYTES] {
        FrameHeader {
            assigned: *assigned,
            record_count: self.record_count,
            extensions_len: self.extensions_len,
            payload_len: self.payload.len() as u64,
            body_crc: self.body_crc,
        }
        .encode(log)
    }
}

/// What the log assigns to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// The segment it is written to.
    pub segment_id: u64,
    /// Number of its first record.
    pub first: u64,
    /// Arrival, ms since the epoch; never going back within a log.
    pub arrival_ms: i64,
    /// Highest record number known synced.
    pub synced_last: u64,
}

/// A frame header as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the log assigned.
    pub assigned: Assigned,
    /// Records in it.
    pub record_count: u32,
    /// Length of the extensions.
    pub extensions_len: u32,
    /// Length of the payload.
    pub payload_len: u64,
    pub(super) body_crc: u32,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the frame needs; the number needed in all.
    #[error("the frame is cut off: {needed_bytes} bytes needed")]
    Short {
        /// Bytes of the whole frame, or of the header.
        needed_bytes: u64,
    },
    /// Not a frame, or a checksum is wrong.
    #[error("{0}")]
    Bad(&'static str),
    /// Written by a newer program.
    #[error("frame version {0} is newer than this program knows (1); use the newer hydrant")]
    Newer(u16),
}

impl FrameHeader {
    /// The header's bytes in a log of that stream.
    pub fn encode(&self, log: Incarnation) -> [u8; HEADER_BYTES] {
        let mut h = [0u8; HEADER_BYTES];
        h[0..4].copy_from_slice(&MAGIC);
        h[4..6].copy_from_slice(&VERSION.to_le_bytes());
        h[8..16].copy_from_slice(&self.assigned.segment_id.to_le_bytes());
        h[16..24].copy_from_slice(&self.assigned.first.to_le_bytes());
        h[24..32].copy_from_slice(&self.assigned.arrival_ms.to_le_bytes());
        h[32..40].copy_from_slice(&self.assigned.synced_last.to_le_bytes());
        h[40..44].copy_from_slice(&self.record_count.to_le_bytes());
        h[44..48].copy_from_slice(&self.extensions_len.to_le_bytes());
        h[48..56].copy_from_slice(&self.payload_len.to_le_bytes());
        h[56..60].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = header_crc(&h, log);
        h[60..64].copy_from_slice(&crc.to_le_bytes());
        h
    }

    /// Reads and checks a header in a log of that stream.
    pub fn parse(bytes: &[u8], log: Incarnation) -> Result<Self, FrameError> {
        let Some(h) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(FrameError::Short { needed_bytes: HEADER_BYTES as u64 });
        };
        let u16_at = |i: usize| u16::from_le_bytes([h[i], h[i + 1]]);
        let u32_at = |i: usize| u32::from_le_bytes([h[i], h[i + 1], h[i + 2], h[i + 3]]);
        let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
        if h[0..4] != MAGIC {
            return Err(FrameError::Bad("no frame magic"));
        }
        if header_crc(h, log) != u32_at(60) {
            return Err(FrameError::Bad("wrong header checksum"));
        }
        if u16_at(4) != VERSION {
            return Err(FrameError::Newer(u16_at(4)));
        }
        let header = Self {
            assigned: Assigned {
                segment_id: u64_at(8),
                first: u64_at(16),
                arrival_ms: u64_at(24) as i64,
                synced_last: u64_at(32),
            },
            record_count: u32_at(40),
            extensions_len: u32_at(44),
            payload_len: u64_at(48),
            body_crc: u32_at(56),
        };
        let plausible = (1..=MAX_RECORDS).contains(&header.record_count)
            && header.assigned.first > 0
            && header.payload_len <= MAX_BODY_BYTES
            && header.body_bytes() <= MAX_BODY_BYTES
            && header.assigned.first.checked_add(u64::from(header.record_count)).is_some();
        if !plausible { Err(FrameError::Bad("implausible lengths")) } else { Ok(header) }
    }

    /// Bytes after the header.
    pub fn body_bytes(&self) -> u64 {
        u64::from(self.extensions_len) + 4 * u64::from(self.record_count) + self.payload_len
    }

    /// Bytes of header and body.
    pub fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.body_bytes()
    }

    /// Number of the last record.
    pub fn last(&self) -> u64 {
        self.assigned.first + u64::from(self.record_count) - 1
    }

    /// Checks the body against checksum and lengths.
    pub fn open<'a>(&self, body: &'a [u8]) -> Result<OpenBody<'a>, FrameError> {
        let needed = self.body_bytes();
        if (body.len() as u64) < needed {
            return Err(FrameError::Short { needed_bytes: HEADER_BYTES as u64 + needed });
        }
        let body = &body[..needed as usize];
        if crc32c(body) != self.body_crc {
            return Err(FrameError::Bad("wrong body checksum"));
        }
        let (extensions, rest) = body.split_at(self.extensions_len as usize);
        let (lengths, payload) = rest.split_at(4 * self.record_count as usize);
        let opened = OpenBody { extensions, lengths, payload };
        if opened.lengths().map(u64::from).sum::<u64>() != self.payload_len {
            return Err(FrameError::Bad("record lengths do not add up"));
        }
        opened.check_extensions()?;
        Ok(opened)
    }
}

fn header_crc(header: &[u8; HEADER_BYTES], log: Incarnation) -> u32 {
    crc32c_append(crc32c(&log.0), &header[..60])
}

/// A checked body.
#[derive(Debug, Clone, Copy)]
pub struct OpenBody<'a> {
    extensions: &'a [u8],
    lengths: &'a [u8],
    /// The records back to back.
    pub payload: &'a [u8],
}

impl<'a> OpenBody<'a> {
    /// Record lengths in order.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.lengths.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Offset of the payload in the body.
    pub fn payload_offset(&self) -> usize {
        self.extensions.len() + self.lengths.len()
    }

    /// Extension fields.
    pub fn extensions(&self) -> Result<Vec<Extension>, FrameError> {
        let mut rest = self.extensions;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let bad = FrameError::Bad("broken extension");
            let Some((head, tail)) = rest.split_at_checked(6) else { return Err(bad) };
            let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
            let Some((value, tail)) = tail.split_at_checked(len) else { return Err(bad) };
            found.push(Extension { kind: u16::from_le_bytes([head[0], head[1]]), value: value.to_vec() });
            rest = tail;
        }
        Ok(found)
    }

    fn check_extensions(&self) -> Result<(), FrameError> {
        if self.extensions.is_empty() {
            return Ok(());
        }
        match self.extensions()?.iter().any(|e| e.kind & 0x8000 != 0) {
            true => Err(FrameError::Bad("an extension this program must know and does not")),
            false => Ok(()),
        }
    }
}
