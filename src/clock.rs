//! Wall and monotonic time behind one trait, so that tests own the clock.
//!
//! Rule D14: wall time names things and stamps arrivals; intervals, retries and limits use the monotonic reading.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of both times.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch. May jump.
    fn wall_ms(&self) -> i64;
    /// Time since an arbitrary fixed instant. Never goes back.
    fn monotonic(&self) -> Duration;

    /// The monotonic reading of when this wall time was, as far as wall time tells: of what came before the process
    /// began nothing else is known. Never later than now.
    fn monotonic_at(&self, wall_ms: i64) -> Duration {
        let age_ms = self.wall_ms().saturating_sub(wall_ms).max(0) as u64;
        self.monotonic().saturating_sub(Duration::from_millis(age_ms))
    }
}

/// The reading of a clock that is made now: room for what began before.
const BEFORE: Duration = Duration::from_secs(400 * 24 * 3600);

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading goes on from [`BEFORE`] now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is where wall time comes from")]
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        BEFORE + self.started.elapsed()
    }
}
