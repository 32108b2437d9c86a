//! The batch of `benches/transform`, and how work on it is measured, in both of its programs.

use serde_json::{Value, json};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Records of a batch.
pub const RECORDS: usize = 10_000;
/// How long each kind of work is repeated.
const MEASURED: Duration = Duration::from_secs(2);
/// Clock ticks of a processor second in /proc, on every Linux of today.
const TICKS: f64 = 100.0;

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

/// Processor time of the process for one piece of work, over many.
pub fn time_of<T>(mut work: impl FnMut() -> T) -> Duration {
    black_box(work());
    let (started, before) = (Instant::now(), processor_seconds());
    let mut rounds = 0;
    while started.elapsed() < MEASURED {
        black_box(work());
        rounds += 1;
    }
    Duration::from_secs_f64((processor_seconds() - before) / f64::from(rounds))
}

fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// What is printed of work that takes so long for a batch of so many bytes.
pub fn row(name: &str, took: Duration, bytes: usize) -> Value {
    let seconds = took.as_secs_f64();
    json!({
        "name": name, "ms": seconds * 1e3, "ns_per_record": seconds * 1e9 / RECORDS as f64,
        "records_per_s": RECORDS as f64 / seconds, "mb_per_s": bytes as f64 / 1e6 / seconds,
    })
}
