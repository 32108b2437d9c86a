//! A segment file: its name, its header, and the scan that finds its whole entries.
//!
//! From: `writer` creates segments. To: `recovery` judges what a scan found. Name: `<id>-<nonce>.journal`, both 16 hex
//! digits. Ids grow; 1 is the founding segment, the only one without a predecessor. The nonce is random: bytes of
//! another segment, or entries that a record's payload imitates, are not taken for entries of this one.
//!
//! Header, numbers little-endian: magic "hydrjrnl" (8), version (2), 0 (2), id (8), nonce (8), number of the first
//! entry (8), CRC-32C of those 36 bytes (4).

use super::codec::{
    self, Broken, Decoded, HEAD_BYTES, Head, MAGIC, Payload, Unreadable, decode_entry, decode_head, u32_at, u64_at,
};
use super::recovery::Outline;
use crate::disk::DiskFile;
use std::fmt;
use std::io;
use std::str::FromStr;

const HEADER_MAGIC: &[u8; 8] = b"hydrjrnl";
/// Newest segment layout this program reads, and the one it writes.
pub const VERSION: u16 = 1;
/// Length of the header.
pub const HEADER_BYTES: usize = 40;
/// Id of the segment that has no predecessor.
pub const FOUNDING: u64 = 1;
const SUFFIX: &str = ".journal";
const WINDOW_BYTES: usize = 1 << 20;

/// A segment's file name. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// Place in the order of segments.
    pub id: u64,
    /// Random mark of this very file.
    pub nonce: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}{SUFFIX}", self.id, self.nonce)
    }
}

/// A file name that is not a segment's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASegment;

impl FromStr for SegmentName {
    type Err = NotASegment;

    fn from_str(text: &str) -> Result<Self, NotASegment> {
        let hex = |text: &str| match text.len() {
            16 => u64::from_str_radix(text, 16).map_err(|_| NotASegment),
            _ => Err(NotASegment),
        };
        let (id, nonce) = text.strip_suffix(SUFFIX).and_then(|t| t.split_once('-')).ok_or(NotASegment)?;
        Ok(Self { id: hex(id)?, nonce: hex(nonce)? })
    }
}

/// The bytes a segment begins with.
pub fn encode_header(name: SegmentName, first_number: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(HEADER_MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&name.id.to_le_bytes());
    header[20..28].copy_from_slice(&name.nonce.to_le_bytes());
    header[28..36].copy_from_slice(&first_number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..36]);
    header[36..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads a header; returns the number of the first entry.
pub fn decode_header(header: &[u8; HEADER_BYTES], name: SegmentName) -> Result<Decoded<u64>, Unreadable> {
    if &header[..8] != HEADER_MAGIC {
        return Ok(Decoded::Broken(Broken("the file does not begin with a segment header")));
    }
    if crc32c::crc32c(&header[..36]) != u32_at(header, 36) {
        return Ok(Decoded::Broken(Broken("the checksum of the segment header does not match")));
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version > VERSION {
        return Err(Unreadable::Newer { version: u32::from(version), known: u32::from(VERSION) });
    }
    if (u64_at(header, 12), u64_at(header, 20)) != (name.id, name.nonce) {
        return Ok(Decoded::Broken(Broken("the segment header belongs to a file of another name")));
    }
    Ok(Decoded::Whole(u64_at(header, 28)))
}

/// Why a scan gave up.
#[derive(Debug)]
pub enum ScanError {
    /// The file cannot be read.
    Io(io::Error),
    /// A whole entry at this offset cannot be understood, or does not fit those before it.
    Unreadable {
        /// Where.
        offset_bytes: u64,
        /// Why.
        reason: Unreadable,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A whole entry as the scan hands it out.
#[derive(Debug)]
pub struct Found<'a> {
    /// What it says.
    pub payload: &'a Payload,
    /// Whether it is part of the snapshot.
    pub in_snapshot: bool,
    /// Its inline bytes.
    pub inline: &'a [u8],
    /// Where those start in the file.
    pub inline_offset_bytes: u64,
}

/// Reads a segment from its beginning: hands each whole entry of the unbroken chain to `visit`, stops at the first
/// bad place, then looks behind it for entries whose marks tell whether that place was ever synced.
pub fn scan(
    file: &dyn DiskFile,
    name: SegmentName,
    mut visit: impl FnMut(Found<'_>) -> Result<(), String>,
) -> Result<Outline, ScanError> {
    let mut reader = Reader { file, file_bytes: file.len_bytes()?, window: Vec::new(), window_offset: 0 };
    let mut outline = Outline { name, ..Outline::default() };
    let mut offset_bytes = 0;
    let unreadable = |offset_bytes, reason| ScanError::Unreadable { offset_bytes, reason };
    let header = match reader.read(0, HEADER_BYTES)? {
        Some(bytes) => {
            let mut header = [0; HEADER_BYTES];
            header.copy_from_slice(bytes);
            decode_header(&header, name).map_err(|reason| unreadable(0, reason))?
        }
        None => Decoded::Broken(Broken("the segment header is cut off")),
    };
    let bad = match header {
        Decoded::Broken(broken) => Some(broken),
        Decoded::Whole(first_number) => {
            offset_bytes = HEADER_BYTES as u64;
            outline.next_number = Some(first_number);
            loop {
                if offset_bytes == reader.file_bytes {
                    break None;
                }
                let expected = outline.next_number;
                let head = match reader.entry(offset_bytes, name.nonce).map_err(|e| e.at(offset_bytes))? {
                    Decoded::Whole((head, _)) if Some(head.envelope.number) != expected => {
                        break Some(Broken("the entry has a number that does not follow"));
                    }
                    Decoded::Whole((head, payload)) => {
                        let inline_offset_bytes = offset_bytes + head.inline_offset();
                        let in_snapshot = head.envelope.in_snapshot;
                        outline.complete |= matches!(payload, Payload::SnapshotEnd(_));
                        // The entry was the last thing read, so the window still holds it.
                        let inline = reader.read(inline_offset_bytes, head.inline_bytes)?.unwrap_or_default();
                        visit(Found { payload: &payload, in_snapshot, inline, inline_offset_bytes })
                            .map_err(|reason| unreadable(offset_bytes, Unreadable::Nonsense(reason)))?;
                        head
                    }
                    Decoded::Broken(broken) => break Some(broken),
                };
                outline.note(&head.envelope);
                outline.next_number = Some(head.envelope.number + 1);
                offset_bytes += head.entry_bytes();
            }
        }
    };
    outline.end_bytes = offset_bytes;
    if let Some(broken) = bad {
        outline.bad = Some(broken);
        look_behind(&mut reader, &mut outline)?;
    }
    Ok(outline)
}

/// Finds whole entries behind the bad place and notes their marks.
fn look_behind(reader: &mut Reader<'_>, outline: &mut Outline) -> Result<(), ScanError> {
    let finder = memchr::memmem::Finder::new(MAGIC);
    let mut offset_bytes = outline.end_bytes + 1;
    while offset_bytes + HEAD_BYTES as u64 <= reader.file_bytes {
        let length = WINDOW_BYTES.min((reader.file_bytes - offset_bytes) as usize);
        let Some(window) = reader.read(offset_bytes, length)? else { return Ok(()) };
        let Some(found) = finder.find(window) else {
            offset_bytes += (length - (MAGIC.len() - 1)) as u64;
            continue;
        };
        offset_bytes += found as u64;
        match reader.entry(offset_bytes, outline.name.nonce) {
            Ok(Decoded::Whole((head, _))) => {
                outline.note(&head.envelope);
                outline.live_behind |= !head.envelope.in_snapshot;
                offset_bytes += head.entry_bytes();
            }
            Err(EntryError::Io(error)) => return Err(error.into()),
            // What cannot be read here says nothing about the place before it.
            Ok(Decoded::Broken(_)) | Err(EntryError::Unreadable(_)) => offset_bytes += 1,
        }
    }
    Ok(())
}

enum EntryError {
    Io(io::Error),
    Unreadable(Unreadable),
}

impl EntryError {
    fn at(self, offset_bytes: u64) -> ScanError {
        match self {
            Self::Io(error) => ScanError::Io(error),
            Self::Unreadable(reason) => ScanError::Unreadable { offset_bytes, reason },
        }
    }
}

/// Sequential reads through one window.
struct Reader<'a> {
    file: &'a dyn DiskFile,
    file_bytes: u64,
    window: Vec<u8>,
    window_offset: u64,
}

impl Reader<'_> {
    /// The bytes of a range, or `None` if the file ends before.
    fn read(&mut self, offset_bytes: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if offset_bytes + length as u64 > self.file_bytes {
            return Ok(None);
        }
        let end = self.window_offset + self.window.len() as u64;
        if offset_bytes < self.window_offset || offset_bytes + length as u64 > end {
            let wanted = length.max(WINDOW_BYTES).min((self.file_bytes - offset_bytes) as usize);
            self.window.clear();
            self.window.resize(wanted, 0);
            self.file.read_exact_at(&mut self.window, offset_bytes)?;
            self.window_offset = offset_bytes;
        }
        let start = (offset_bytes - self.window_offset) as usize;
        Ok(Some(&self.window[start..start + length]))
    }

    fn entry(&mut self, offset_bytes: u64, nonce: u64) -> Result<Decoded<(Head, Payload)>, EntryError> {
        let mut head = [0; HEAD_BYTES];
        match self.read(offset_bytes, HEAD_BYTES).map_err(EntryError::Io)? {
            Some(bytes) => head.copy_from_slice(bytes),
            None => return Ok(Decoded::Broken(Broken("the entry is cut off"))),
        }
        let head = match decode_head(&head, nonce).map_err(EntryError::Unreadable)? {
            Decoded::Whole(head) => head,
            Decoded::Broken(broken) => return Ok(Decoded::Broken(broken)),
        };
        let entry = self.read(offset_bytes, head.entry_bytes() as usize).map_err(EntryError::Io)?;
        let Some(entry) = entry else { return Ok(Decoded::Broken(Broken("the entry is cut off"))) };
        Ok(match decode_entry(&head, entry).map_err(EntryError::Unreadable)? {
            Decoded::Whole((payload, _)) => Decoded::Whole((head, payload)),
            Decoded::Broken(broken) => Decoded::Broken(broken),
        })
    }
}

/// Appends an entry to `out`, which will be written at `out_offset_bytes` of the file. Returns where its inline bytes
/// will lie.
pub fn append(
    envelope: codec::Envelope,
    payload: &Payload,
    inline: &[u8],
    out: &mut Vec<u8>,
    out_offset_bytes: u64,
) -> Result<super::state::Extent, codec::TooLong> {
    let offset = codec::encode(envelope, payload, inline, out)?;
    Ok(super::state::Extent {
        offset_bytes: out_offset_bytes + offset as u64,
        length_bytes: inline.len() as u64,
        crc32c: crc32c::crc32c(inline),
    })
}
