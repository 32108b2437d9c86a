//! Synced records in order, as chunks; and where they lie in the files.
//!
//! Read with pread, a block at a time; every frame's checksum is verified again on its way out.

use super::StreamLog;
use super::frame::{self, FrameError, FrameHeader, OpenBody};
use super::segment;
use crate::disk::DiskFile;
use crate::record::{Chunk, Origin, Slot};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// Most ranges that a reader remembers; beyond, frames are so small that a range of the log is not worth having.
const MAX_EXTENTS: usize = 64 * 1024;

/// Bytes read at once; a larger frame is read whole.
const BLOCK_BYTES: u64 = 1 << 20;

/// Reads the records of a log after a given number. One reader serves one run; it keeps one file open.
#[derive(Debug)]
pub struct LogReader {
    log: Arc<StreamLog>,
    /// The run's exclusive start: ordinals count from it.
    base: u64,
    /// Last record handed out.
    last: u64,
    /// Highest record that may be handed out.
    upto_last: u64,
    open: Option<OpenSegment>,
    extents: Vec<Extent>,
}

#[derive(Debug)]
struct OpenSegment {
    id: u64,
    file: Arc<dyn DiskFile>,
    /// Offset of the next frame that may hold wanted records.
    offset_bytes: u64,
    block: Bytes,
    block_at: u64,
}

/// A range of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The segment.
    pub segment_id: u64,
    /// Where the range begins.
    pub offset_bytes: u64,
    /// Its length.
    pub len_bytes: u64,
}

impl StreamLog {
    /// A reader of the records after `from` up to and including `to` (or to the synced end of now, if lower).
    pub fn reader(self: &Arc<Self>, from: u64, to: u64) -> LogReader {
        let upto_last = to.min(self.synced_last());
        LogReader { log: self.clone(), base: from, last: from, upto_last, open: None, extents: Vec::new() }
    }

    /// Opens a segment file for reading.
    pub fn open_segment(&self, id: u64) -> io::Result<Arc<dyn DiskFile>> {
        let first = self.segments.lock().iter().find(|s| s.id == id).map(|s| s.first);
        let Some(first) = first else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("segment {id} is gone")));
        };
        self.context.disk.open(&self.dir.join(segment::file_name(id, first)))
    }

    /// The segment that holds record `number`, and where to start looking in it.
    fn locate(&self, number: u64) -> Option<(u64, u64)> {
        let segments = self.segments.lock();
        let segment = segments.iter().find(|s| s.first <= number && number <= s.last)?;
        Some((segment.id, segment.seek(number)))
    }

    /// Where the synced frames of a segment end.
    fn synced_end(&self, id: u64) -> Option<u64> {
        self.segments.lock().iter().find(|s| s.id == id).map(|s| s.end_bytes)
    }
}

impl LogReader {
    /// Last record handed out so far; the run's `to` if it is cut here.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Exclusive start.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The next records: about `max_bytes` (the record that passes the bound is the last) and at most `max_records`
    /// of them, at least one. `None` at the end of what may be read. An error is a failed disk or a damaged log.
    pub fn next_chunk(&mut self, max_bytes: u64, max_records: u64) -> io::Result<Option<Chunk>> {
        if self.last >= self.upto_last {
            return Ok(None);
        }
        let wanted = self.last + 1;
        let upto_last = self.upto_last;
        self.upto_last = upto_last.min(self.last.saturating_add(max_records.max(1)));
        let chunk = self.read_chunk(wanted, max_bytes);
        self.upto_last = upto_last;
        chunk.map(Some)
    }

    fn read_chunk(&mut self, wanted: u64, max_bytes: u64) -> io::Result<Chunk> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_at(wanted)?,
        };
        let mut slots = Vec::new();
        let mut taken_bytes = 0;
        while let Some(header) = self.frame_in_block(&mut open, slots.is_empty())? {
            let start = (open.offset_bytes - open.block_at) as usize;
            let body_at = start + frame::HEADER_BYTES;
            let body = &open.block[body_at..start + header.frame_bytes() as usize];
            let opened = header.open(body).map_err(|error| damaged(&open, &error))?;
            let before = slots.len();
            let whole = self.take_records(&header, &opened, body_at, max_bytes, &mut taken_bytes, &mut slots);
            if let (Some(first), Some(last)) = (slots.get(before), slots.last()) {
                let len = u64::from(last.start - first.start) + u64::from(last.len);
                let offset_bytes = open.block_at + u64::from(first.start);
                note_extent(&mut self.extents, Extent { segment_id: open.id, offset_bytes, len_bytes: len });
            }
            if whole {
                open.offset_bytes += header.frame_bytes();
            }
            if taken_bytes >= max_bytes || self.last >= self.upto_last {
                break;
            }
        }
        if slots.is_empty() {
            // Never an empty chunk: its reader would ask again for ever.
            let text = format!("record {wanted} is not where segment {} should have it", open.id);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let chunk = Chunk { buffer: open.block.clone(), slots };
        let exhausted = self.synced_end(&open)? <= open.offset_bytes;
        // At the end of a segment the next call finds the one that follows.
        self.open = (!exhausted).then_some(open);
        Ok(chunk)
    }

    fn synced_end(&self, open: &OpenSegment) -> io::Result<u64> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("segment {} is gone", open.id));
        self.log.synced_end(open.id).ok_or_else(gone)
    }

    fn open_at(&self, number: u64) -> io::Result<OpenSegment> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("record {number} is in no segment"));
        let (id, offset_bytes) = self.log.locate(number).ok_or_else(missing)?;
        let file = self.log.open_segment(id)?;
        Ok(OpenSegment { id, file, offset_bytes, block: Bytes::new(), block_at: offset_bytes })
    }

    /// The frame at the read offset, whole in the block. `None`: the block ends here (and may not be replaced), or the
    /// segment does.
    fn frame_in_block(&self, open: &mut OpenSegment, may_load: bool) -> io::Result<Option<FrameHeader>> {
        let end_bytes = self.synced_end(open)?;
        let mut needed = frame::HEADER_BYTES as u64;
        loop {
            if open.offset_bytes >= end_bytes {
                return Ok(None);
            }
            let have_upto = open.block_at + open.block.len() as u64;
            if open.offset_bytes < open.block_at || open.offset_bytes + needed > have_upto {
                if !may_load {
                    return Ok(None);
                }
                let len = needed.max(BLOCK_BYTES).min(end_bytes - open.offset_bytes);
                let mut block = vec![0; len as usize];
                open.file.read_exact_at(&mut block, open.offset_bytes)?;
                open.block = block.into();
                open.block_at = open.offset_bytes;
            }
            let start = (open.offset_bytes - open.block_at) as usize;
            let header = FrameHeader::parse(&open.block[start..], self.log.incarnation)
                .map_err(|error| damaged(open, &error))?;
            if header.frame_bytes() <= (open.block.len() - start) as u64 {
                return Ok(Some(header));
            }
            if open.offset_bytes + header.frame_bytes() > end_bytes {
                let error = FrameError::Short { needed_bytes: header.frame_bytes() };
                return Err(damaged(open, &error));
            }
            needed = header.frame_bytes();
        }
    }

    /// Adds a frame's wanted records to `slots`. Returns whether the frame was used up.
    fn take_records(
        &mut self,
        header: &FrameHeader,
        opened: &OpenBody<'_>,
        body_at: usize,
        max_bytes: u64,
        taken_bytes: &mut u64,
        slots: &mut Vec<Slot>,
    ) -> bool {
        let mut start = body_at + opened.payload_offset();
        for (i, len) in opened.lengths().enumerate() {
            let number = header.assigned.first + i as u64;
            if number > self.last {
                if *taken_bytes >= max_bytes || number > self.upto_last {
                    return false;
                }
                slots.push(Slot {
                    start: start as u32,
                    len,
                    origin: Origin { ordinal: number - self.base - 1, part: 0 },
                    arrival_ms: header.assigned.arrival_ms,
                });
                *taken_bytes += u64::from(len);
                self.last = number;
            }
            start += len as usize;
        }
        true
    }

    /// Where the records handed out so far lie in the files, in order; `None` when they lie in too many places to
    /// be worth remembering.
    pub fn extents(&self) -> Option<&[Extent]> {
        (self.extents.len() < MAX_EXTENTS).then_some(&self.extents)
    }
}

/// Adds a range, joined with the one before where they touch.
fn note_extent(extents: &mut Vec<Extent>, next: Extent) {
    if next.len_bytes == 0 || extents.len() >= MAX_EXTENTS {
        return;
    }
    match extents.last_mut() {
        Some(last) if last.segment_id == next.segment_id && last.offset_bytes + last.len_bytes == next.offset_bytes => {
            last.len_bytes += next.len_bytes;
        }
        _ => extents.push(next),
    }
}

fn damaged(open: &OpenSegment, error: &FrameError) -> io::Error {
    let text = format!("segment {} at byte {}: {error}", open.id, open.offset_bytes);
    io::Error::new(io::ErrorKind::InvalidData, text)
}
