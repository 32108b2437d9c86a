//! What a log holds after a stop of any kind (rule D8).
//!
//! Facts are read from the segments (`scan`); [`judge`] decides over them without I/O:
//! - A mark is a record number known to have been synced: `first - 1` of any valid segment header, `synced last` of
//!   any valid frame, a durable cursor. Everything up to the highest mark must be there, else the log is damaged.
//! - A segment's first record number voids frames at or above it in older segments.
//! - A bad frame above all marks is a torn tail and cut off. Good frames above the highest mark may lie in the page
//!   cache alone: they are copied to a new segment and synced before anybody reads them. Old segments are never
//!   appended to.
//! - A segment without a valid header and without frames was never used: it is removed.

use super::LogCursors;
use super::frame::{self, Assigned, FrameHeader};
use super::scan::{Scanned, ScannedFrame, read_header, scan};
use super::segment::{self, Segment, SegmentHeader};
use crate::disk::{Disk, DiskFile};
use crate::stream::Incarnation;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Extension of a copy that was not finished.
const UNFINISHED: &str = "tmp";

/// A recovered log, ready to be served.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Segments that hold served records, ascending by id.
    pub segments: Vec<Segment>,
    /// Whether the last of `segments` was made by this recovery and may be appended to.
    pub last_is_new: bool,
    /// Highest durable record number; 0 for an empty log.
    pub synced_last: u64,
    /// Newest arrival seen, ms since the epoch.
    pub last_arrival_ms: i64,
    /// Id for the next segment.
    pub next_segment_id: u64,
    /// Bytes of the records above each lane's last seal, in the order of the cursors.
    pub waiting_bytes: Vec<u64>,
    /// Bytes of all segment files kept.
    pub file_bytes: u64,
}

/// Why a log could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Acknowledged records are missing or unreadable.
    #[error(
        "the log is damaged: {file} at byte {offset_bytes}, record {record}: {reason}; records up to {mark} were synced"
    )]
    Damaged {
        /// Segment file.
        file: String,
        /// Where reading stopped.
        offset_bytes: u64,
        /// The record expected there.
        record: u64,
        /// Highest mark.
        mark: u64,
        /// What was found.
        reason: String,
    },
    /// Written by a newer program.
    #[error("{file}: {reason}")]
    Newer {
        /// Segment file.
        file: String,
        /// Which version.
        reason: String,
    },
    /// An attempt died, or what an earlier one said, which was not repeated.
    #[error("{0}")]
    Failed(String),
    /// The disk failed.
    #[error("cannot read the log in {dir}: {error}")]
    Io {
        /// The log's folder.
        dir: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// What to do, decided from the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Highest record known synced.
    pub mark: u64,
    /// Index of the first frame of the newest segment above `mark`.
    pub copy_from_frame: Option<usize>,
}

/// Decides over the segments and the durable cursors.
pub(super) fn judge(scans: &[Scanned], cursors: &LogCursors) -> Result<Verdict, RecoveryError> {
    let marks = scans.iter().flat_map(|s| [s.segment.first.saturating_sub(1), s.mark]);
    let mut mark = marks.chain([cursors.mark()]).max().unwrap_or(0);
    let newest_frames = scans.last().map_or(&[][..], |s| &s.frames);
    // A cursor may stand inside a frame; whoever moved it there read a synced frame.
    let after = newest_frames.partition_point(|f| f.first <= mark);
    if after > 0 {
        mark = mark.max(newest_frames[after - 1].last);
    }
    let damaged = |scan: &Scanned, offset_bytes, record, reason| RecoveryError::Damaged {
        file: scan.name.clone(),
        offset_bytes,
        record,
        mark,
        reason,
    };
    let passed = cursors.passed();
    // By first record, not by age: a segment may lie wholly in what a newer one voids.
    if let Some(oldest) = scans.iter().min_by_key(|s| s.segment.first).filter(|s| s.segment.first > passed + 1) {
        let reason = "the segment before this one is missing".to_owned();
        return Err(damaged(oldest, 0, passed + 1, reason));
    }
    for scan in scans.iter().filter(|s| !s.skipped) {
        let limit = scan.limit.unwrap_or(mark);
        // What all cursors have passed is closed and may be gone.
        if scan.segment.last < limit && limit > passed {
            let (offset, reason) =
                scan.bad.clone().unwrap_or((scan.segment.end_bytes, "the file ends here".to_owned()));
            return Err(damaged(scan, offset, scan.segment.last + 1, reason));
        }
    }
    Ok(Verdict { mark, copy_from_frame: newest_frames.iter().position(|f| f.last > mark) })
}

/// Reads the log in `dir`, decides, copies what may not be durable, and returns what can be served.
///
/// Segments wholly at or below the closed cursor are not read.
pub fn recover(
    disk: &dyn Disk,
    dir: &Path,
    incarnation: Incarnation,
    cursors: &LogCursors,
    now_ms: i64,
) -> Result<Recovered, RecoveryError> {
    let io_error = |error| RecoveryError::Io { dir: dir.to_owned(), error };
    // ORDER: removals that a killed process left unsynced become durable before a segment is made: their ids may be
    // given again, and a power cut must not bring the old files back beside the new ones.
    match disk.sync_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error(e)),
        _ => {}
    }
    let entries = match disk.list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(io_error(e)),
    };
    for unfinished in entries.iter().filter(|e| e.name.ends_with(&format!(".{UNFINISHED}"))) {
        disk.remove_file(&dir.join(&unfinished.name)).map_err(io_error)?;
    }
    let mut named: Vec<_> = entries
        .iter()
        .filter(|e| !e.is_dir)
        .filter_map(|e| segment::parse_file_name(&e.name).map(|(id, first)| (id, first, e)))
        .collect();
    named.sort_by_key(|(id, ..)| *id);
    if let Some(twice) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(RecoveryError::Damaged {
            file: twice[1].2.name.clone(),
            offset_bytes: 0,
            record: twice[1].1,
            mark: cursors.mark(),
            reason: format!("{} bears the same segment id", twice[0].2.name),
        });
    }
    let next_segment_id = named.last().map_or(1, |(id, ..)| id + 1);

    // Headers first: they say how far each segment answers.
    let mut headers = Vec::new();
    for (id, first, entry) in named {
        let path = dir.join(&entry.name);
        let file = disk.open(&path).map_err(io_error)?;
        match read_header(file.as_ref(), &entry.name, id, first, incarnation).map_err(|e| e.at(dir))? {
            Some(header) => headers.push((header, entry.name.clone(), file)),
            None => disk.remove_file(&path).map_err(io_error)?,
        }
    }
    let mut scans: Vec<Scanned> = Vec::new();
    let mut waiting_bytes = vec![0; cursors.sealed.len()];
    for (i, (header, name, file)) in headers.iter().enumerate() {
        let limit = headers[i + 1..].iter().map(|(h, ..)| h.first.saturating_sub(1)).min();
        let mut scanned =
            scan(file.as_ref(), name, header, limit, cursors, &mut waiting_bytes).map_err(|e| e.at(dir))?;
        if let Some((next, ..)) = headers.get(i + 1).filter(|_| scanned.skipped) {
            // Its frames are not read, but none arrived after the next segment was made.
            scanned.segment.newest_arrival_ms = next.created_ms.max(header.created_ms);
        }
        scans.push(scanned);
    }
    let verdict = judge(&scans, cursors)?;

    let mut recovered = Recovered { next_segment_id, synced_last: verdict.mark, waiting_bytes, ..Recovered::default() };
    recovered.last_arrival_ms = scans.iter().map(|s| s.segment.newest_arrival_ms).max().unwrap_or(i64::MIN);
    recovered.file_bytes = scans.iter().map(|s| s.segment.file_bytes()).sum();
    recovered.segments = scans.iter().map(|s| s.segment.clone()).collect();
    if let (Some(from), Some(newest)) = (verdict.copy_from_frame, scans.last()) {
        let tail = Tail { name: &newest.name, frames: &newest.frames[from..], mark: verdict.mark };
        let header = SegmentHeader { id: next_segment_id, incarnation, first: verdict.mark + 1, created_ms: now_ms };
        let copy = copy_tail(disk, dir, &tail, &header).map_err(io_error)?;
        if let Some(old) = recovered.segments.last_mut() {
            old.last = verdict.mark;
        }
        recovered.synced_last = copy.last;
        recovered.file_bytes += copy.end_bytes;
        recovered.next_segment_id += 1;
        recovered.last_is_new = true;
        recovered.segments.push(copy);
    }
    Ok(recovered)
}

/// Good frames above the mark, not known to be durable.
struct Tail<'a> {
    name: &'a str,
    frames: &'a [ScannedFrame],
    mark: u64,
}

/// Copies the tail into a new segment and makes it durable.
fn copy_tail(disk: &dyn Disk, dir: &Path, tail: &Tail<'_>, header: &SegmentHeader) -> io::Result<Segment> {
    let source: Arc<dyn DiskFile> = disk.open(&dir.join(tail.name))?;
    let path = dir.join(segment::file_name(header.id, header.first));
    let unfinished = path.with_extension(UNFINISHED);
    let target = disk.create_new(&unfinished)?;
    target.write_all_at(&[&header.encode()], 0)?;
    let mut segment = Segment {
        id: header.id,
        first: header.first,
        last: header.first - 1,
        end_bytes: segment::HEADER_BYTES,
        tail_bytes: 0,
        created_ms: header.created_ms,
        newest_arrival_ms: header.created_ms,
        index: Vec::new(),
    };
    for scanned in tail.frames {
        let mut bytes = vec![0; scanned.len_bytes as usize];
        source.read_exact_at(&mut bytes, scanned.offset_bytes)?;
        reassign(&mut bytes, header, tail.mark);
        target.write_all_at(&[&bytes], segment.end_bytes)?;
        segment.note_frame(scanned.first, segment.end_bytes);
        segment.end_bytes += scanned.len_bytes;
        segment.last = scanned.last;
        segment.newest_arrival_ms = scanned.arrival_ms;
    }
    // ORDER: content before name, because the name voids the frames it was copied from; name before anybody reads it.
    target.sync_data()?;
    disk.rename(&unfinished, &path)?;
    disk.sync_dir(dir)?;
    Ok(segment)
}

/// Gives a good frame's header a new segment id and mark.
fn reassign(frame_bytes: &mut [u8], segment: &SegmentHeader, synced_last: u64) {
    if let Ok(header) = FrameHeader::parse(frame_bytes, segment.incarnation) {
        let assigned = Assigned { segment_id: segment.id, synced_last, ..header.assigned };
        let header = FrameHeader { assigned, ..header }.encode(segment.incarnation);
        frame_bytes[..frame::HEADER_BYTES].copy_from_slice(&header);
    }
}
