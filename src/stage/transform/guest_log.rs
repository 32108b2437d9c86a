//! Lines of guests, and their failures, into the service's log: so many a second and a module, the rest is counted. Each is
//! one line there, of bounded length, whatever is in it.

use super::abi::{LogLevel, LogLine};
use super::cause::shortened;
use parking_lot::Mutex;
use std::borrow::Cow;
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
            let text = one_line(text);
            tracing::warn!(stream, function, records, suppressed, "transform failed: {text}");
        }
    }

    /// The lines of an answer.
    pub fn lines(&self, stream: &str, function: &str, lines: &[LogLine]) {
        for line in lines {
            let Some(suppressed) = self.admit(Instant::now()) else { continue };
            let text = one_line(&line.message);
            match line.level {
                LogLevel::Debug => tracing::debug!(stream, function, suppressed, "transform says: {text}"),
                LogLevel::Info => tracing::info!(stream, function, suppressed, "transform says: {text}"),
                LogLevel::Warn => tracing::warn!(stream, function, suppressed, "transform says: {text}"),
                LogLevel::Error => tracing::error!(stream, function, suppressed, "transform says: {text}"),
            }
        }
    }
}

/// The beginning of `text`, with what would end a line or steer a terminal written out.
fn one_line(text: &str) -> Cow<'_, str> {
    let text = shortened(text, LONGEST_LINE_BYTES);
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_debug()),
            false => line.push(c),
        }
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_text_of_a_guest_stays_on_its_line() {
        assert_eq!(one_line("é \"said\""), "é \"said\"");
        assert_eq!(one_line("a\n2025-01-01 ERROR forged\r\u{1b}[31m"), "a\\n2025-01-01 ERROR forged\\r\\u{1b}[31m");
        assert_eq!(one_line(&"é".repeat(100_000)).len(), LONGEST_LINE_BYTES);
    }

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
