//! The format of a spool chunk, version 2. Pure.
//!
//! ```text
//!  0 magic "HYSP"   4 version u16 LE   6 reserved   8 extents, and sources that several of them share
//!    footer   footer length u32 LE   magic "HYSP"
//!
//! extent  records   per record: ordinal (difference to the one before)  part  arrival ms (zigzag difference)
//!                               length
//!                               0 (itself) | 1 (that of the one before) | length of the source + 2
//!                                 | 2^33 + offset of a shared source  its length  its CRC-32C
//!                               0 (the length of the source) | counted bytes + 1
//!         bytes of the records   bytes of the sources   CRC-32C u32 LE of all before
//! footer  partitions   per partition: key length  key  extents
//!                      per extent: offset (difference to the end of the one before it in its partition)  length
//!                                  records  counted bytes  oldest arrival ms (zigzag)  newest (difference)
//!         CRC-32C u32 LE of all before
//! ```
//!
//! Numbers are LEB128 unless said otherwise. A partition's key is opaque here. The source of a record is what an error
//! record shows of it; parts of a record share theirs, whatever partitions they are of. Counted bytes are those that the
//! record's fate stands for. Version 1 has no shared sources beyond "that of the one before".

use crate::record::{Chunk, Origin, Slot};
use bytes::Bytes;

/// First and last bytes of a chunk.
pub const MAGIC: [u8; 4] = *b"HYSP";
/// Version written.
pub const VERSION: u16 = 2;
/// What is added to the offset of a shared source: more than the length of any.
const SHARED: u64 = 1 << 33;
/// Bytes before the first extent.
pub const HEADER_BYTES: u64 = 8;
/// Bytes behind the footer.
pub const TRAILER_BYTES: u64 = 8;
const CRC_BYTES: usize = 4;

/// Bytes that are no spool chunk, or no longer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// Foreign, cut off or rotten.
    #[error("damaged spool chunk: {0}")]
    Damaged(&'static str),
    /// Written by a newer program.
    #[error("spool chunk version {0} is newer than this program knows ({VERSION}); use the newer hydrant")]
    Newer(u16),
}

/// Consecutive bytes of a chunk with records of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts in the chunk.
    pub offset_bytes: u64,
    /// Its length.
    pub length_bytes: u32,
    /// Its records.
    pub records: u32,
    /// Bytes that the fates of its records stand for.
    pub counted_bytes: u64,
    /// Arrival of its oldest record, ms since the epoch.
    pub oldest_arrival_ms: i64,
    /// Arrival of its newest record, ms since the epoch.
    pub newest_arrival_ms: i64,
}

/// A partition's part of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What tells it from others.
    pub key: Box<[u8]>,
    /// Its records, in order.
    pub extents: Vec<Extent>,
    /// Where the footer tells of it.
    pub entry: FooterEntry,
}

/// Where a footer tells of a partition, counted from the start of the footer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FooterEntry {
    /// Where it starts.
    pub offset_bytes: u32,
    /// Its length.
    pub length_bytes: u32,
}

impl Partition {
    /// Records in all extents.
    pub fn records(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.records)).sum()
    }

    /// Arrival of the oldest record in all extents, ms since the epoch.
    pub fn oldest_arrival_ms(&self) -> i64 {
        self.extents.iter().map(|extent| extent.oldest_arrival_ms).min().unwrap_or_default()
    }

    /// Length of all extents.
    pub fn length_bytes(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.length_bytes)).sum()
    }

    /// Bytes that the fates of all records stand for.
    pub fn counted_bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.counted_bytes).sum()
    }
}

/// Records of one partition.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// The records.
    pub passed: Chunk,
    /// What error records show of each.
    pub sources: Vec<Source>,
    /// Bytes that the fate of each stands for.
    pub counted_bytes: Vec<u64>,
}

/// Where what an error record shows of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is the record.
    Itself,
    /// In the buffer of the records.
    Within {
        /// Offset of its first byte there.
        start: u32,
        /// Its length.
        len: u32,
    },
    /// Elsewhere in the chunk, for records of several partitions.
    Shared(SharedSource),
}

/// A source outside of the extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedSource {
    /// Where it starts in the chunk.
    pub offset_bytes: u64,
    /// Its length.
    pub length_bytes: u32,
    /// CRC-32C (Castagnoli) of it.
    pub crc32c: u32,
}

/// A record of an extent, where its bytes are.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where it came from; ascending in an extent.
    pub origin: Origin,
    /// Arrival of the outer record, ms since the epoch.
    pub arrival_ms: i64,
    /// Itself.
    pub bytes: &'a [u8],
    /// What an error record shows of it, where that is something else.
    pub source: Option<EntrySource<'a>>,
    /// Bytes that its fate stands for.
    pub counted_bytes: u64,
}

/// The source of an entry.
#[derive(Debug, Clone, Copy)]
pub enum EntrySource<'a> {
    /// To be written into the extent, once for neighbours with the very same slice.
    Own(&'a [u8]),
    /// Written before.
    Shared(SharedSource),
}

impl Entry<'_> {
    fn source_length(&self) -> u64 {
        match self.source {
            None => self.bytes.len() as u64,
            Some(EntrySource::Own(source)) => source.len() as u64,
            Some(EntrySource::Shared(source)) => source.length_bytes.into(),
        }
    }

    /// Whether the source is the very same as that of the entry before.
    fn shares_source(&self, before: Option<&Self>) -> bool {
        match (self.source, before.and_then(|before| before.source)) {
            (Some(EntrySource::Own(a)), Some(EntrySource::Own(b))) => std::ptr::eq(a, b),
            (Some(EntrySource::Shared(a)), Some(EntrySource::Shared(b))) => a == b,
            _ => false,
        }
    }
}

/// The first bytes of a chunk.
pub fn header() -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// Checks the first bytes of a chunk.
pub fn check_header(header: [u8; HEADER_BYTES as usize]) -> Result<(), SpoolError> {
    if header[..4] != MAGIC {
        return Err(SpoolError::Damaged("it does not begin as one"));
    }
    match u16::from_le_bytes([header[4], header[5]]) {
        1..=VERSION => Ok(()),
        other => Err(SpoolError::Newer(other)),
    }
}

/// Appends an extent.
pub fn put_extent<'a>(out: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = Entry<'a>> + Clone) {
    let start = out.len();
    put_number(out, entries.len() as u64);
    let mut before: Option<Entry<'_>> = None;
    for entry in entries.clone() {
        let (ordinal, arrival_ms) = before.map_or((0, 0), |before| (before.origin.ordinal, before.arrival_ms));
        put_number(out, entry.origin.ordinal.wrapping_sub(ordinal));
        put_number(out, u64::from(entry.origin.part));
        put_number(out, zigzag(entry.arrival_ms.wrapping_sub(arrival_ms)));
        put_number(out, entry.bytes.len() as u64);
        match entry.source {
            None => put_number(out, 0),
            Some(_) if entry.shares_source(before.as_ref()) => put_number(out, 1),
            Some(EntrySource::Own(source)) => put_number(out, source.len() as u64 + 2),
            Some(EntrySource::Shared(source)) => {
                put_number(out, SHARED + source.offset_bytes);
                put_number(out, source.length_bytes.into());
                put_number(out, source.crc32c.into());
            }
        }
        put_number(out, if entry.counted_bytes == entry.source_length() { 0 } else { entry.counted_bytes + 1 });
        before = Some(entry);
    }
    entries.clone().for_each(|entry| out.extend_from_slice(entry.bytes));
    let mut before = None;
    for entry in entries {
        match entry.source {
            Some(EntrySource::Own(source)) if !entry.shares_source(before.as_ref()) => out.extend_from_slice(source),
            _ => {}
        }
        before = Some(entry);
    }
    seal(out, start);
}

/// The records of an extent.
pub fn parse_extent(extent: Bytes) -> Result<Records, SpoolError> {
    const SHORT: SpoolError = SpoolError::Damaged("an extent is too short");
    let mut rest = unsealed(&extent).ok_or(SpoolError::Damaged("the checksum of an extent does not match"))?;
    let end = rest.len() as u64;
    let count = take_number(&mut rest).filter(|count| *count <= end).ok_or(SHORT)?;
    let mut records = Vec::with_capacity(count as usize);
    // Those within start behind all records.
    let mut sources: Vec<Source> = Vec::with_capacity(count as usize);
    let mut counted_bytes = Vec::with_capacity(count as usize);
    let (mut ordinal, mut arrival_ms) = (0u64, 0i64);
    let (mut bytes_total, mut sources_total) = (0u64, 0u64);
    for _ in 0..count {
        let mut next = || take_number(&mut rest).ok_or(SHORT);
        ordinal = ordinal.wrapping_add(next()?);
        let part = u32::try_from(next()?).map_err(|_| SpoolError::Damaged("a part has too high a number"))?;
        arrival_ms = arrival_ms.wrapping_add(unzigzag(next()?));
        let (length, source) = (next()?, next()?);
        let origin = Origin { ordinal, part };
        let start = bytes_total;
        bytes_total = bytes_total.checked_add(length).filter(|total| *total <= end).ok_or(SHORT)?;
        records.push(Slot { start: start as u32, len: length as u32, origin, arrival_ms });
        let source = match source {
            0 => Source::Itself,
            1 => match sources.last() {
                Some(before @ (Source::Within { .. } | Source::Shared(_))) => *before,
                _ => return Err(SpoolError::Damaged("a record shares a source that is not there")),
            },
            SHARED.. => {
                let too_long = |_| SpoolError::Damaged("a shared source is too long");
                let (offset_bytes, length) = (source - SHARED, next()?);
                let (length_bytes, crc32c) = (u32::try_from(length), u32::try_from(next()?));
                let (length_bytes, crc32c) = (length_bytes.map_err(too_long)?, crc32c.map_err(too_long)?);
                Source::Shared(SharedSource { offset_bytes, length_bytes, crc32c })
            }
            more => {
                let start = sources_total as u32;
                sources_total = sources_total.checked_add(more - 2).filter(|total| *total <= end).ok_or(SHORT)?;
                Source::Within { start, len: (more - 2) as u32 }
            }
        };
        sources.push(source);
        let source_length = match source {
            Source::Itself => length,
            Source::Within { len, .. } => len.into(),
            Source::Shared(shared) => shared.length_bytes.into(),
        };
        counted_bytes.push(next()?.checked_sub(1).unwrap_or(source_length));
    }
    if rest.len() as u64 != bytes_total + sources_total {
        return Err(SpoolError::Damaged("an extent has another length than its records"));
    }
    let first_record = (end - rest.len() as u64) as u32;
    let first_source = first_record + bytes_total as u32;
    records.iter_mut().for_each(|slot| slot.start += first_record);
    for source in &mut sources {
        if let Source::Within { start, .. } = source {
            *start += first_source;
        }
    }
    Ok(Records { passed: Chunk { buffer: extent, slots: records }, sources, counted_bytes })
}

/// The last bytes of a chunk; tells each partition where its entry is.
pub fn footer(partitions: &mut [Partition]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, partitions.len() as u64);
    for partition in partitions {
        let start = out.len();
        put_partition(&mut out, partition);
        partition.entry = FooterEntry { offset_bytes: start as u32, length_bytes: (out.len() - start) as u32 };
    }
    seal(&mut out, 0);
    let length_bytes = out.len() as u32;
    out.extend_from_slice(&length_bytes.to_le_bytes());
    out.extend_from_slice(&MAGIC);
    out
}

fn put_partition(out: &mut Vec<u8>, partition: &Partition) {
    put_number(out, partition.key.len() as u64);
    out.extend_from_slice(&partition.key);
    put_number(out, partition.extents.len() as u64);
    let mut end = 0;
    for extent in &partition.extents {
        put_number(out, extent.offset_bytes.wrapping_sub(end));
        put_number(out, u64::from(extent.length_bytes));
        put_number(out, u64::from(extent.records));
        put_number(out, extent.counted_bytes);
        put_number(out, zigzag(extent.oldest_arrival_ms));
        put_number(out, extent.newest_arrival_ms.wrapping_sub(extent.oldest_arrival_ms) as u64);
        end = extent.offset_bytes + u64::from(extent.length_bytes);
    }
}

/// The length of the footer that a chunk's last bytes tell of.
pub fn footer_bytes(trailer: [u8; TRAILER_BYTES as usize]) -> Result<u32, SpoolError> {
    let [a, b, c, d, magic @ ..] = trailer;
    if magic != MAGIC {
        return Err(SpoolError::Damaged("it does not end as one"));
    }
    Ok(u32::from_le_bytes([a, b, c, d]))
}

const SHORT_FOOTER: SpoolError = SpoolError::Damaged("the footer is too short");

/// The partitions of a chunk; `footer` without the trailer, of a chunk whose extents end at `extents_upto`.
pub fn parse_footer(footer: &[u8], extents_upto: u64) -> Result<Vec<Partition>, SpoolError> {
    let content = unsealed(footer).ok_or(SpoolError::Damaged("the checksum of the footer does not match"))?;
    let mut rest = content;
    let count = take_number(&mut rest).filter(|count| *count <= content.len() as u64).ok_or(SHORT_FOOTER)?;
    let mut partitions = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let offset_bytes = (content.len() - rest.len()) as u32;
        let mut partition = take_partition(&mut rest, extents_upto)?;
        let length_bytes = (content.len() - rest.len()) as u32 - offset_bytes;
        partition.entry = FooterEntry { offset_bytes, length_bytes };
        partitions.push(partition);
    }
    match rest {
        [] => Ok(partitions),
        _ => Err(SpoolError::Damaged("the footer is too long")),
    }
}

/// The partition that an entry of a footer tells of. Its own bytes have no checksum; those of its extents do.
pub fn parse_entry(mut entry: &[u8], extents_upto: u64) -> Result<Partition, SpoolError> {
    let partition = take_partition(&mut entry, extents_upto)?;
    if entry.is_empty() { Ok(partition) } else { Err(SpoolError::Damaged("an entry of the footer is too long")) }
}

fn take_partition(rest: &mut &[u8], extents_upto: u64) -> Result<Partition, SpoolError> {
    const OUTSIDE: SpoolError = SpoolError::Damaged("the footer names what is not there");
    let bound = rest.len() as u64;
    let length = take_number(rest).ok_or(SHORT_FOOTER)?;
    let split = usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at));
    let (key, behind) = split.ok_or(SHORT_FOOTER)?;
    *rest = behind;
    let count = take_number(rest).filter(|count| *count <= bound).ok_or(SHORT_FOOTER)?;
    let mut extents = Vec::with_capacity(count as usize);
    let mut end = 0u64;
    for _ in 0..count {
        let mut next = || take_number(rest).ok_or(SHORT_FOOTER);
        let offset_bytes = end.wrapping_add(next()?);
        let length_bytes = u32::try_from(next()?).map_err(|_| OUTSIDE)?;
        let records = u32::try_from(next()?).map_err(|_| OUTSIDE)?;
        let counted_bytes = next()?;
        let oldest_arrival_ms = unzigzag(next()?);
        let newest_arrival_ms = oldest_arrival_ms.wrapping_add(next()? as i64);
        end = offset_bytes.checked_add(u64::from(length_bytes)).ok_or(OUTSIDE)?;
        if offset_bytes < HEADER_BYTES || end > extents_upto {
            return Err(OUTSIDE);
        }
        extents.push(Extent {
            offset_bytes,
            length_bytes,
            records,
            counted_bytes,
            oldest_arrival_ms,
            newest_arrival_ms,
        });
    }
    Ok(Partition { key: key.into(), extents, entry: FooterEntry::default() })
}

/// Appends the checksum of everything from `start` on.
fn seal(out: &mut Vec<u8>, start: usize) {
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// What stands before a checksum that matches.
fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CRC_BYTES)?)?;
    (crc32c::crc32c(content).to_le_bytes() == checksum).then_some(content)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start of `rest`, which goes on behind it.
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
