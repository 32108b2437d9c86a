//! The demo's event feed: web shop events made on the spot, with a share of bad ones, or the lines of a file.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Share of made-up events that are not JSON, one in this many.
const BAD_ONE_IN: u64 = 97;

/// Where events come from.
pub enum Feed {
    /// Made on the spot.
    Made {
        /// Id of the next event.
        next: u64,
        /// Id of the last event.
        last: u64,
        /// Their source of variety; seeded, so that two demos show the same events.
        random: fastrand::Rng,
        /// Time of the next event, ms since the epoch.
        now_ms: i64,
    },
    /// Lines of a file.
    File(Box<dyn BufRead + Send>),
}

impl Feed {
    /// `count` made-up events, from `now_ms` on.
    pub fn made(count: u64, now_ms: i64) -> Self {
        Self::Made { next: 1, last: count, random: fastrand::Rng::with_seed(7), now_ms }
    }

    /// The lines of a file, blank ones left out.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File(Box::new(BufReader::with_capacity(1 << 20, std::fs::File::open(path)?))))
    }

    /// The next event with its newline, `None` at the end.
    pub fn next_event(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Made { next, last, random, now_ms } => {
                if next > last {
                    return Ok(None);
                }
                let id = *next;
                *next += 1;
                *now_ms += random.i64(0..3);
                Ok(Some(make_event(id, random, *now_ms)))
            }
            Self::File(lines) => loop {
                let mut line = Vec::new();
                if lines.read_until(b'\n', &mut line)? == 0 {
                    return Ok(None);
                }
                if line.last() != Some(&b'\n') {
                    line.push(b'\n');
                }
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            },
        }
    }
}

/// Columns of the made-up events, as a table definition.
pub const MADE_DDL: &str = "CREATE EXTERNAL TABLE demo.events (
  event_time timestamp, event_id bigint, level string, customer string, country string,
  action string, path string, status int, latency_ms double, bytes bigint, member boolean,
  tags array<string>, device struct<os:string, width:int>
)
";

fn make_event(id: u64, random: &mut fastrand::Rng, now_ms: i64) -> Vec<u8> {
    const ACTIONS: [&str; 6] = ["view", "view", "view", "search", "add_to_cart", "checkout"];
    const COUNTRIES: [&str; 8] = ["DE", "FR", "US", "US", "BR", "IN", "JP", "GB"];
    const LEVELS: [&str; 10] = ["info", "info", "info", "info", "info", "info", "info", "info", "warn", "debug"];
    const SYSTEMS: [&str; 4] = ["android", "ios", "linux", "windows"];
    if random.u64(0..BAD_ONE_IN) == 0 {
        return format!("worker {} died: broken pipe, restarting\n", random.u32(1..99)).into_bytes();
    }
    let tags = &["spring", "sale", "new"][..random.usize(0..4)];
    let time = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let event = serde_json::json!({
        "event_time": time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        "event_id": id,
        "level": random.choice(LEVELS),
        "customer": format!("c{:05}", random.u32(0..20_000)),
        "country": random.choice(COUNTRIES),
        "action": random.choice(ACTIONS),
        "path": format!("/shop/{}/item-{}", random.u32(1..40), random.u32(1..9000)),
        "status": if random.u32(0..50) == 0 { 500 } else { 200 },
        "latency_ms": (random.f64() * 80_000.0).round() / 1000.0,
        "bytes": random.u64(200..90_000),
        "member": random.bool(),
        "tags": tags,
        "device": { "os": random.choice(SYSTEMS), "width": random.u32(320..2560) },
        "password": "not for the archive",
    });
    let mut line = event.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// A table for a file that nobody described.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Guess {
    /// Its definition. `None`: no column is left.
    pub ddl: Option<String>,
    /// Keys that are no column, each with the reason.
    pub left_out: Vec<(String, &'static str)>,
}

/// What the values of a key have shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Column(&'static str),
    LeftOut(&'static str),
}

/// A flat table for a file nobody described: each top-level member by the types met in the first `lines` lines.
/// Members that hold objects or arrays, or several types, are left out; keys that are no column names too.
pub fn guess(path: &Path, lines: usize) -> io::Result<Guess> {
    let mut feed = Feed::file(path)?;
    let mut keys: Vec<(String, Seen)> = Vec::new();
    for _ in 0..lines {
        let Some(line) = feed.next_event()? else { break };
        let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(&line) else { continue };
        for (key, value) in object {
            let name = key.to_ascii_lowercase();
            let found = match value {
                serde_json::Value::Null => continue,
                _ if !is_column_name(&name) => Seen::LeftOut("its name holds more than letters, digits and _"),
                serde_json::Value::Bool(_) => Seen::Column("boolean"),
                serde_json::Value::Number(n) if n.is_i64() => Seen::Column("bigint"),
                serde_json::Value::Number(_) => Seen::Column("double"),
                serde_json::Value::String(_) => Seen::Column("string"),
                _ => Seen::LeftOut("it holds objects or arrays"),
            };
            match keys.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = joined(*known, found),
                None => keys.push((name, found)),
            }
        }
    }
    let (mut columns, mut guess) = (Vec::new(), Guess::default());
    for (name, seen) in keys {
        match seen {
            Seen::Column(kind) => columns.push(format!("  `{name}` {kind}")),
            Seen::LeftOut(why) => guess.left_out.push((name, why)),
        }
    }
    if !columns.is_empty() {
        guess.ddl = Some(format!("CREATE EXTERNAL TABLE demo.events (\n{}\n)\n", columns.join(",\n")));
    }
    Ok(guess)
}

fn joined(a: Seen, b: Seen) -> Seen {
    match (a, b) {
        (a, b) if a == b => a,
        (Seen::Column("bigint" | "double"), Seen::Column("bigint" | "double")) => Seen::Column("double"),
        (Seen::Column(_), Seen::Column(_)) => Seen::LeftOut("it holds values of several types"),
        (Seen::LeftOut(why), _) | (_, Seen::LeftOut(why)) => Seen::LeftOut(why),
    }
}

fn is_column_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_events_are_one_line_each_and_some_are_bad() {
        let mut feed = Feed::made(2000, 1_700_000_000_000);
        let (mut good, mut bad) = (0, 0);
        while let Some(event) = feed.next_event().unwrap() {
            assert_eq!(event.iter().filter(|b| **b == b'\n').count(), 1);
            match serde_json::from_slice::<serde_json::Value>(&event) {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
        assert_eq!(good + bad, 2000);
        assert!(bad > 0 && bad < 100, "{bad}");
    }

    #[test]
    fn a_table_is_guessed_from_the_first_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.ndjson");
        std::fs::write(
            &path,
            "{\"A\":1,\"b\":\"x\",\"c\":{},\"g\":1}\n\nnot json\n{\"a\":1.5,\"b\":null,\"d\":true,\"e f\":1,\"g\":\"1\"}",
        )
        .unwrap();
        let found = guess(&path, 100).unwrap();
        let ddl = "CREATE EXTERNAL TABLE demo.events (\n  `a` double,\n  `b` string,\n  `d` boolean\n)\n";
        assert_eq!(found.ddl.as_deref(), Some(ddl));
        let left_out: Vec<_> = found.left_out.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        assert_eq!(
            left_out,
            [
                "c: it holds objects or arrays",
                "g: it holds values of several types",
                "e f: its name holds more than letters, digits and _"
            ]
        );
        std::fs::write(&path, "not json\n[1]\n{\"a\":{\"b\":1}}\n").unwrap();
        assert_eq!(guess(&path, 100).unwrap().ddl, None);
    }
}
