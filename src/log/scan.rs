//! Reads what a segment file holds, good frames and what stands behind a bad one; `recovery` judges it.

use super::LogCursors;
use super::frame::{self, FrameError, FrameHeader};
use super::recovery::RecoveryError;
use super::segment::{self, Segment, SegmentHeader};
use crate::disk::DiskFile;
use crate::stream::Incarnation;
use std::io;
use std::path::Path;

/// What was read from one segment.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// File name.
    pub name: String,
    /// What is served of it: good frames from the start, contiguous, up to `limit`.
    pub segment: Segment,
    /// Last record this segment answers for: one below where a newer segment begins. `None` for the newest.
    pub limit: Option<u64>,
    /// Where the first bad byte is, and why; `None` when good frames reach the limit or the file's end.
    pub bad: Option<(u64, String)>,
    /// Highest `synced last` in any valid frame header of the file, behind a bad frame too.
    pub mark: u64,
    /// Frames of the newest segment (the others need none).
    pub frames: Vec<ScannedFrame>,
    /// Not read, because all of it is below the closed cursor.
    pub skipped: bool,
}

/// A good frame.
#[derive(Debug, Clone, Copy)]
pub struct ScannedFrame {
    /// Number of its first record.
    pub first: u64,
    /// Number of its last record.
    pub last: u64,
    /// Where it lies in the file.
    pub offset_bytes: u64,
    /// Its length.
    pub len_bytes: u64,
    /// Arrival of its records, ms since the epoch.
    pub arrival_ms: i64,
}

/// Why a segment could not be read.
pub enum ScanError {
    /// Written by a newer program: file and reason.
    Newer(String, String),
    /// Damaged whatever the marks say.
    Damaged(RecoveryError),
    /// The disk failed.
    Io(io::Error),
}

impl ScanError {
    /// As an error of the log in `dir`.
    pub fn at(self, dir: &Path) -> RecoveryError {
        match self {
            Self::Newer(file, reason) => RecoveryError::Newer { file, reason },
            Self::Damaged(error) => error,
            Self::Io(error) => RecoveryError::Io { dir: dir.to_owned(), error },
        }
    }
}

/// Reads a segment's header. `None`: the segment was never used and is to be removed.
pub fn read_header(
    file: &dyn DiskFile,
    name: &str,
    id: u64,
    first: u64,
    incarnation: Incarnation,
) -> Result<Option<SegmentHeader>, ScanError> {
    let file_bytes = file.len_bytes().map_err(ScanError::Io)?;
    let mut head = vec![0; segment::HEADER_BYTES.min(file_bytes) as usize];
    file.read_exact_at(&mut head, 0).map_err(ScanError::Io)?;
    match SegmentHeader::parse(&head) {
        Ok(header) if header.id == id && header.first == first && header.incarnation == incarnation => {
            return Ok(Some(header));
        }
        Err(segment::SegmentError::Newer(v)) => {
            return Err(ScanError::Newer(name.to_owned(), segment::SegmentError::Newer(v).to_string()));
        }
        _ => {}
    }
    // A header is synced before the first frame is written: a frame without a header is damage.
    match find_marks(file, 0, file_bytes, id, incarnation).map_err(ScanError::Io)? {
        None => Ok(None),
        Some(mark) => Err(ScanError::Damaged(RecoveryError::Damaged {
            file: name.to_owned(),
            offset_bytes: 0,
            record: first,
            mark,
            reason: "the segment header is bad, yet frames follow".to_owned(),
        })),
    }
}

/// Reads a segment's frames up to `limit`. Adds the bytes of its records above each lane's last seal to `above`, which
/// has a number for each.
pub fn scan(
    file: &dyn DiskFile,
    name: &str,
    header: &SegmentHeader,
    limit: Option<u64>,
    cursors: &LogCursors,
    above: &mut [u64],
) -> Result<Scanned, ScanError> {
    let file_bytes = file.len_bytes().map_err(ScanError::Io)?;
    let mut scanned = Scanned {
        name: name.to_owned(),
        segment: Segment {
            id: header.id,
            first: header.first,
            last: header.first.saturating_sub(1),
            end_bytes: segment::HEADER_BYTES,
            tail_bytes: 0,
            created_ms: header.created_ms,
            newest_arrival_ms: header.created_ms,
            index: Vec::new(),
        },
        limit,
        bad: None,
        mark: 0,
        frames: Vec::new(),
        skipped: limit.is_some_and(|limit| limit <= cursors.closed),
    };
    if scanned.skipped {
        scanned.segment.last = limit.unwrap_or(scanned.segment.last);
        scanned.segment.end_bytes = file_bytes;
        return Ok(scanned);
    }
    let mut walk = FrameWalk::new(file, header.incarnation, segment::HEADER_BYTES, file_bytes);
    while limit.is_none_or(|limit| scanned.segment.last < limit) {
        let offset_bytes = walk.offset_bytes;
        let (frame, body) = match walk.next().map_err(ScanError::Io)? {
            Step::End => break,
            Step::Frame(frame, body) => (frame, body),
            Step::Bad(FrameError::Newer(v)) => {
                return Err(ScanError::Newer(name.to_owned(), FrameError::Newer(v).to_string()));
            }
            Step::Bad(error) => {
                scanned.bad = Some((offset_bytes, error.to_string()));
                break;
            }
        };
        if frame.assigned.segment_id != header.id || frame.assigned.first != scanned.segment.last + 1 {
            scanned.bad = Some((offset_bytes, "a frame of another segment or out of order".to_owned()));
            break;
        }
        scanned.mark = scanned.mark.max(frame.assigned.synced_last);
        let opened = match frame.open(body) {
            Ok(opened) => opened,
            Err(error) => {
                scanned.bad = Some((offset_bytes, error.to_string()));
                break;
            }
        };
        for (sealed, above) in cursors.sealed.iter().zip(above.iter_mut()) {
            if frame.last() > *sealed {
                let passed = (sealed + 1).saturating_sub(frame.assigned.first) as usize;
                *above += opened.lengths().skip(passed).map(u64::from).sum::<u64>();
            }
        }
        scanned.segment.note_frame(frame.assigned.first, offset_bytes);
        scanned.segment.last = frame.last();
        scanned.segment.end_bytes = offset_bytes + frame.frame_bytes();
        scanned.segment.newest_arrival_ms = frame.assigned.arrival_ms;
        if limit.is_none() {
            scanned.frames.push(ScannedFrame {
                first: frame.assigned.first,
                last: frame.last(),
                offset_bytes,
                len_bytes: frame.frame_bytes(),
                arrival_ms: frame.assigned.arrival_ms,
            });
        }
    }
    if let Some((offset, _)) = &scanned.bad {
        // Frames behind the bad one still say what had been synced when they were written.
        let behind = find_marks(file, *offset, file_bytes, header.id, header.incarnation).map_err(ScanError::Io)?;
        scanned.mark = scanned.mark.max(behind.unwrap_or(0));
    }
    scanned.segment.tail_bytes = file_bytes.saturating_sub(scanned.segment.end_bytes);
    Ok(scanned)
}

/// The highest `synced last` in any valid frame header of segment `id` between two offsets; `None` without one. Where the
/// chain of headers breaks, whatever looks like one counts: rather a fault too many than a loss unseen.
fn find_marks(file: &dyn DiskFile, from: u64, upto: u64, id: u64, log: Incarnation) -> io::Result<Option<u64>> {
    const BLOCK: usize = 4 * 1024 * 1024;
    let mut found: Option<u64> = None;
    let mut at = from;
    // From frame to frame as long as headers hold: a record may imitate a header, and is not looked into.
    while at.checked_add(frame::HEADER_BYTES as u64).is_some_and(|end| end <= upto) {
        let mut head = [0; frame::HEADER_BYTES];
        file.read_exact_at(&mut head, at)?;
        match FrameHeader::parse(&head, log) {
            Ok(header) if header.assigned.segment_id == id => {
                found = found.max(Some(header.assigned.synced_last));
                at += header.frame_bytes();
            }
            _ => break,
        }
    }
    while at + (frame::HEADER_BYTES as u64) <= upto {
        let len = BLOCK.min((upto - at) as usize);
        let mut block = vec![0; len];
        file.read_exact_at(&mut block, at)?;
        for start in memchr::memmem::find_iter(&block, &frame::MAGIC) {
            if let Ok(header) = FrameHeader::parse(&block[start..], log)
                && header.assigned.segment_id == id
            {
                found = found.max(Some(header.assigned.synced_last));
            }
        }
        if at + len as u64 == upto {
            break;
        }
        // Blocks overlap by a header, so that one on the border is seen whole.
        at += (len - (frame::HEADER_BYTES - 1)) as u64;
    }
    Ok(found)
}

enum Step<'a> {
    Frame(FrameHeader, &'a [u8]),
    Bad(FrameError),
    End,
}

/// Walks the frames of a file with one buffer.
struct FrameWalk<'a> {
    file: &'a dyn DiskFile,
    log: Incarnation,
    offset_bytes: u64,
    upto: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> FrameWalk<'a> {
    const BLOCK: u64 = 4 * 1024 * 1024;

    fn new(file: &'a dyn DiskFile, log: Incarnation, from: u64, upto: u64) -> Self {
        Self { file, log, offset_bytes: from, upto, buffer: Vec::new(), buffer_at: from }
    }

    fn ensure(&mut self, len: u64) -> io::Result<bool> {
        if self.offset_bytes + len > self.upto {
            return Ok(false);
        }
        let have = self.buffer_at + self.buffer.len() as u64;
        if self.offset_bytes < self.buffer_at || self.offset_bytes + len > have {
            let want = len.max(Self::BLOCK).min(self.upto - self.offset_bytes);
            self.buffer.resize(want as usize, 0);
            self.file.read_exact_at(&mut self.buffer, self.offset_bytes)?;
            self.buffer_at = self.offset_bytes;
        }
        Ok(true)
    }

    fn next(&mut self) -> io::Result<Step<'_>> {
        if self.offset_bytes == self.upto {
            return Ok(Step::End);
        }
        if !self.ensure(frame::HEADER_BYTES as u64)? {
            return Ok(Step::Bad(FrameError::Short { needed_bytes: frame::HEADER_BYTES as u64 }));
        }
        let at = (self.offset_bytes - self.buffer_at) as usize;
        let header = match FrameHeader::parse(&self.buffer[at..], self.log) {
            Ok(header) => header,
            Err(error) => return Ok(Step::Bad(error)),
        };
        if !self.ensure(header.frame_bytes())? {
            return Ok(Step::Bad(FrameError::Short { needed_bytes: header.frame_bytes() }));
        }
        let at = (self.offset_bytes - self.buffer_at) as usize + frame::HEADER_BYTES;
        self.offset_bytes += header.frame_bytes();
        Ok(Step::Frame(header, &self.buffer[at..at + header.body_bytes() as usize]))
    }
}
