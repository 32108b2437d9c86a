//! What a log may forget: whole segments whose records are all closed by every lane, once they are old enough or room is short.

use super::StreamLog;
use super::segment::{self, Segment};
use crate::failpoint;
use std::sync::atomic::Ordering;

/// An active segment that holds closed data is left early when room is short, but not for less than this.
const WORTH_LEAVING_BYTES: u64 = 1 << 20;

/// Decides which segments go: closed ones that are too old, or any closed one when room is short.
fn forgettable(segment: &Segment, closed: u64, now_ms: i64, retention_ms: u64, tight: bool) -> bool {
    let age_ms = now_ms.saturating_sub(segment.newest_arrival_ms);
    segment.last <= closed && (tight || i64::try_from(retention_ms).is_ok_and(|keep| age_ms >= keep))
}

impl StreamLog {
    /// Removes segments that hold nothing above what is `closed` in all lanes and need not be kept. The segment being
    /// written stays unless it is full, or the log is idle and all of it is closed. Blocks. A file that cannot be removed
    /// is left to the next start.
    ///
    /// `closed` is called with the segments locked, as they are while a [`super::Hold`] is taken and let go. So a lane that
    /// begins meanwhile is seen by its hold, or, once that is gone, by its cursor: never by neither.
    pub fn release(&self, closed: impl Fn() -> u64) {
        let options = &self.context.options;
        // Rule D13: closed data goes before any producer is throttled.
        let tight = self.context.budget.is_tight();
        let now_ms = self.context.clock.wall_ms();
        // A commit in progress keeps its segment; whoever holds the writer for long is writing.
        let Some(mut writer) = self.writer.try_lock() else { return };
        let closed_now = || {
            let segments = self.segments.lock();
            let closed = closed().min(self.held.load(Ordering::Relaxed));
            (segments, closed)
        };
        if tight {
            // What is closed in the active segment goes with it, which is sooner when another one takes what comes.
            let (segments, closed) = closed_now();
            let partly_closed = |s: &Segment| s.first <= closed && s.end_bytes >= WORTH_LEAVING_BYTES;
            if segments.last().is_some_and(|s| Some(s.id) == writer.active_id() && partly_closed(s)) {
                writer.leave_active();
            }
        }
        let active = writer.active_id();
        let (gone, freed_bytes) = {
            let (mut segments, closed) = closed_now();
            let drained = (tight || !writer.has_open_file()) && self.synced_last() <= closed;
            let goes = |s: &Segment| {
                let busy = Some(s.id) == active && s.end_bytes < options.segment_bytes && !drained;
                !busy && forgettable(s, closed, now_ms, options.retention_ms, tight)
            };
            // Only from the front: what remains is one contiguous range.
            let count = segments.iter().take_while(|s| goes(s)).count();
            let gone: Vec<Segment> = segments.drain(..count).collect();
            let freed: u64 = gone.iter().map(Segment::file_bytes).sum();
            (gone, freed)
        };
        if gone.is_empty() {
            return;
        }
        if gone.iter().any(|s| Some(s.id) == active) {
            writer.leave_active();
        }
        drop(writer);
        for segment in &gone {
            let path = self.dir.join(segment::file_name(segment.id, segment.first));
            if let Err(error) = self.context.disk.remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "a closed segment could not be removed");
            }
        }
        self.account.give_back(freed_bytes);
        failpoint::crash_at(failpoint::AFTER_TRIM);
    }
}
