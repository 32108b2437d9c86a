//! Lines of guests, and their failures, into the service's log: so many a second and a module, the rest is counted.

use super::abi::{LogLevel, LogLine};
use super::cause::shortened;
use parking_lot::Mutex;
use std::time::Instant;

/// Longest line that is kept.
const LONGEST_LINE_BYTES: usize = 2048;
/// Seconds of unused allowance that are kept.
const BURST_SECONDS: f64 = 10.0;

/// The allowance of one module.
pub struct GuestLog {
    per_second: f64,
    allowance: Mutex<Allowance>,
}

struct Allowance {
    lines: f64,
    filled: Instant,
    suppressed: u64,
}

impl GuestLog {
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        let allowance = Allowance { lines: per_second * BURST_SECONDS, filled: Instant::now(), suppressed: 0 };
        Self { per_second, allowance: Mutex::new(allowance) }
    }

    /// Takes one line's allowance; on success, how many lines were suppressed since the last success.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut allowance = self.allowance.lock();
        let gained = now.saturating_duration_since(allowance.filled).as_secs_f64() * self.per_second;
        allowance.lines = (allowance.lines + gained).min(self.per_second * BURST_SECONDS);
        allowance.filled = now;
        if allowance.lines < 1.0 {
            allowance.suppressed += 1;
            return None;
        }
        allowance.lines -= 1.0;
        Some(std::mem::take(&mut allowance.suppressed))
    }

    /// A failed call.
    pub fn failure(&self, stream: &str, function: &str, records: usize, text: &str) {
        if let Some(suppressed) = self.admit(Instant::now()) {
            tracing::warn!(stream, function, records, suppressed, "transform failed: {text}");
        }
    }

    /// The lines of an answer.
    pub fn lines(&self, stream: &str, function: &str, lines: &[LogLine]) {
        for line in lines {
            let Some(suppressed) = self.admit(Instant::now()) else { continue };
            let text = shortened(&line.message, LONGEST_LINE_BYTES);
            match line.level {
                LogLevel::Debug => tracing::debug!(stream, function, suppressed, "transform says: {text}"),
                LogLevel::Info => tracing::info!(stream, function, suppressed, "transform says: {text}"),
                LogLevel::Warn => tracing::warn!(stream, function, suppressed, "transform says: {text}"),
                LogLevel::Error => tracing::error!(stream, function, suppressed, "transform says: {text}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_counted_not_written() {
        let log = GuestLog::new(10);
        let start = Instant::now();
        let admitted = (0..1000).filter(|_| log.admit(start).is_some()).count();
        assert_eq!(admitted, 100);
        // A tenth of a second buys one line, and it tells how many were lost.
        let later = start + Duration::from_millis(101);
        assert_eq!(log.admit(later), Some(900));
        assert_eq!(log.admit(later), None);
    }
}
