//! Reads a spool chunk, partition by partition.

use super::codec::{
    self, Extent, FooterEntry, HEADER_BYTES, Partition, Records, SharedSource, Source, SpoolError, TRAILER_BYTES,
};
use crate::record::ParcelBytes;
use std::borrow::Cow;
use std::io;
use std::sync::Arc;

/// A spool chunk that is complete.
#[derive(Debug, Clone)]
pub struct SpoolChunk {
    bytes: Arc<dyn ParcelBytes>,
}

impl From<SpoolError> for io::Error {
    fn from(error: SpoolError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl SpoolChunk {
    /// The chunk that `bytes` are.
    pub fn new(bytes: Arc<dyn ParcelBytes>) -> Self {
        Self { bytes }
    }

    /// Its partitions, in the order in which they were written. `InvalidData`: a [`SpoolError`].
    pub fn partitions(&self) -> io::Result<Vec<Partition>> {
        let mut header = [0; HEADER_BYTES as usize];
        if self.bytes.length_bytes() < HEADER_BYTES {
            return Err(SpoolError::Damaged("it is too short").into());
        }
        self.bytes.read_exact_at(&mut header, 0)?;
        codec::check_header(header)?;
        let (extents_upto, footer_bytes) = self.footer()?;
        let mut footer = vec![0; footer_bytes as usize];
        self.bytes.read_exact_at(&mut footer, extents_upto)?;
        Ok(codec::parse_footer(&footer, extents_upto)?)
    }

    /// One of its partitions. `InvalidData`: a [`SpoolError`].
    pub fn partition(&self, entry: FooterEntry) -> io::Result<Partition> {
        let (extents_upto, footer_bytes) = self.footer()?;
        if u64::from(entry.offset_bytes) + u64::from(entry.length_bytes) > u64::from(footer_bytes) {
            return Err(SpoolError::Damaged("the footer is too short").into());
        }
        let mut bytes = vec![0; entry.length_bytes as usize];
        self.bytes.read_exact_at(&mut bytes, extents_upto + u64::from(entry.offset_bytes))?;
        Ok(Partition { entry, ..codec::parse_entry(&bytes, extents_upto)? })
    }

    /// Where the extents end and the footer begins, and its length.
    fn footer(&self) -> io::Result<(u64, u32)> {
        let short = || SpoolError::Damaged("it is too short");
        let trailer_at = self.bytes.length_bytes().checked_sub(TRAILER_BYTES).ok_or_else(short)?;
        let mut trailer = [0; TRAILER_BYTES as usize];
        self.bytes.read_exact_at(&mut trailer, trailer_at)?;
        let footer_bytes = codec::footer_bytes(trailer)?;
        let extents_upto = trailer_at.checked_sub(footer_bytes.into()).filter(|at| *at >= HEADER_BYTES);
        Ok((extents_upto.ok_or_else(short)?, footer_bytes))
    }

    /// The records of an extent. `InvalidData`: a [`SpoolError`].
    pub fn records(&self, extent: &Extent) -> io::Result<Records> {
        let mut bytes = vec![0; extent.length_bytes as usize];
        self.bytes.read_exact_at(&mut bytes, extent.offset_bytes)?;
        Ok(codec::parse_extent(bytes.into())?)
    }

    /// What an error record shows of the record at a place of `records`. `InvalidData`: a [`SpoolError`].
    pub fn source<'a>(&self, records: &'a Records, place: usize) -> io::Result<Cow<'a, [u8]>> {
        match records.sources[place] {
            Source::Itself => Ok(Cow::Borrowed(records.passed.bytes(&records.passed.slots[place]))),
            Source::Within { start, len } => {
                Ok(Cow::Borrowed(&records.passed.buffer[start as usize..start as usize + len as usize]))
            }
            Source::Shared(SharedSource { offset_bytes, length_bytes, crc32c }) => {
                let is_inside =
                    offset_bytes.checked_add(length_bytes.into()).is_some_and(|end| end <= self.bytes.length_bytes());
                if !is_inside {
                    return Err(SpoolError::Damaged("a shared source is not there").into());
                }
                let mut bytes = vec![0; length_bytes as usize];
                self.bytes.read_exact_at(&mut bytes, offset_bytes)?;
                match crc32c::crc32c(&bytes) == crc32c {
                    true => Ok(Cow::Owned(bytes)),
                    false => Err(SpoolError::Damaged("the checksum of a shared source does not match").into()),
                }
            }
        }
    }
}
