//! Lines of guests, and their failures, into the service's log: so many a second and a module, the rest is counted. Each is
//! one line there, of bounded length, whatever is in it. That lines are left out is told with the first of a flood, for
//! none may follow that could tell; how many they were, with the next line that is let through.

use super::abi::{LogLevel, LogLine};
use super::cause::shortened;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::time::Instant;
use tracing::Level;

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
    /// Whether a line was left out since the allowance was whole.
    is_flood: bool,
}

/// What becomes of one line.
#[derive(Debug, PartialEq)]
enum Admission {
    /// It is written, and tells how many were left out before it.
    Written { suppressed: u64 },
    /// It is left out, as the first of a flood: that is told in its place.
    Announced,
    /// It is left out and counted.
    Counted,
}

impl GuestLog {
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        let allowance =
            Allowance { lines: per_second * BURST_SECONDS, filled: Instant::now(), suppressed: 0, is_flood: false };
        Self { per_second, allowance: Mutex::new(allowance) }
    }

    fn admit(&self, now: Instant) -> Admission {
        let mut allowance = self.allowance.lock();
        let whole = self.per_second * BURST_SECONDS;
        let gained = now.saturating_duration_since(allowance.filled).as_secs_f64() * self.per_second;
        allowance.lines = (allowance.lines + gained).min(whole);
        allowance.filled = now;
        allowance.is_flood &= allowance.lines < whole;
        if allowance.lines >= 1.0 {
            allowance.lines -= 1.0;
            return Admission::Written { suppressed: std::mem::take(&mut allowance.suppressed) };
        }
        allowance.suppressed += 1;
        match std::mem::replace(&mut allowance.is_flood, true) {
            true => Admission::Counted,
            false => Admission::Announced,
        }
    }

    /// As [`Self::admit`], with what is announced told: how many lines were left out before this one if it is to be written.
    fn admit_now(&self, stream: &str, function: &str) -> Option<u64> {
        match self.admit(Instant::now()) {
            Admission::Written { suppressed } => Some(suppressed),
            Admission::Announced => {
                let per_second = self.per_second;
                tracing::warn!(
                    stream,
                    function,
                    "transform says more than {per_second} lines a second: from here on lines are left out, and counted as suppressed"
                );
                None
            }
            Admission::Counted => None,
        }
    }

    /// A failed call.
    pub fn failure(&self, stream: &str, function: &str, records: usize, text: &str) {
        if let Some(suppressed) = self.admit_now(stream, function) {
            let text = one_line(text);
            tracing::warn!(stream, function, records, suppressed, "transform failed: {text}");
        }
    }

    /// The lines of an answer. Those below the level of the log take no allowance.
    pub fn lines(&self, stream: &str, function: &str, lines: &[LogLine]) {
        for line in lines {
            let is_written = match line.level {
                LogLevel::Debug => tracing::enabled!(Level::DEBUG),
                LogLevel::Info => tracing::enabled!(Level::INFO),
                LogLevel::Warn => tracing::enabled!(Level::WARN),
                LogLevel::Error => tracing::enabled!(Level::ERROR),
            };
            if !is_written {
                continue;
            }
            let Some(suppressed) = self.admit_now(stream, function) else { continue };
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
    fn a_flood_is_announced_once_and_counted() {
        let log = GuestLog::new(10);
        let start = Instant::now();
        let admissions: Vec<Admission> = (0..1000).map(|_| log.admit(start)).collect();
        assert!(admissions[..100].iter().all(|admission| *admission == Admission::Written { suppressed: 0 }));
        assert_eq!(admissions[100], Admission::Announced);
        assert!(admissions[101..].iter().all(|admission| *admission == Admission::Counted));
        // A tenth of a second buys one line, and it tells how many were lost; the flood goes on.
        let later = start + Duration::from_millis(101);
        assert_eq!(log.admit(later), Admission::Written { suppressed: 900 });
        assert_eq!(log.admit(later), Admission::Counted);
        // Once the allowance was whole, what is left out is another flood.
        let quiet = later + Duration::from_secs(11);
        assert_eq!(log.admit(quiet), Admission::Written { suppressed: 1 });
        assert!((1..100).all(|_| log.admit(quiet) == Admission::Written { suppressed: 0 }));
        assert_eq!(log.admit(quiet), Admission::Announced);
    }
}
