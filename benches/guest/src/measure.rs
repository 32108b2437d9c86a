//! The batch of `benches/transform`, and how work on it is measured, in both of its programs: each does what it is asked
//! for on its standard input, so that they take turns.

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::io::{BufRead, Error, Write};
use std::time::Duration;

/// Records of a batch.
pub const RECORDS: usize = 10_000;
/// What one answer measures at least.
const LEAST: Duration = Duration::from_millis(40);

/// Work on one batch; returns what it took.
pub type Work<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// Records like those of a web log, no two the same.
pub fn records() -> Vec<Vec<u8>> {
    let record = |n: usize| {
        let mut record = json!({
            "ts": 1_700_000_000_000_u64 + n as u64 * 37, "level": "info", "user": format!("user-{}", n * 7919 % 5003),
            "path": format!("/api/v1/items/{}", n * 31 % 99_991), "status": 200 + n % 5, "bytes": n * 131 % 65_536,
            "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            "tags": ["a", "b", format!("t{}", n % 17)], "geo": {"country": "DE", "city": "Köln"}, "secret": "abc",
        })
        .to_string();
        record.push('\n');
        record.into_bytes()
    };
    (0..RECORDS).map(record).collect()
}

/// Work measured by the processor time of the process, all its threads together.
pub fn of_processor<'a, T>(mut work: impl FnMut() -> T + 'a) -> Work<'a> {
    Box::new(move || {
        let before = processor_time();
        drop(std::hint::black_box(work()));
        processor_time().saturating_sub(before)
    })
}

fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

/// Prints the names of what can be done, then for each line of the input, which is a number among them, the mean time of
/// that work in nanoseconds.
pub fn serve(works: &mut [(String, Work<'_>)]) -> Result<(), Error> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", json!(works.iter().map(|(name, _)| name).collect::<Vec<_>>()))?;
    for line in std::io::stdin().lock().lines() {
        let number: usize = line?.trim().parse().map_err(Error::other)?;
        let (_, work) = works.get_mut(number).ok_or_else(|| Error::other("no such work"))?;
        let (mut took, mut rounds) = (Duration::ZERO, 0);
        while took < LEAST {
            took += work();
            rounds += 1;
        }
        writeln!(out, "{}", took.as_nanos() as f64 / f64::from(rounds))?;
    }
    Ok(())
}
