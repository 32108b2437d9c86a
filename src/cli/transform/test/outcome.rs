//! What became of each record, and of all of them; as JSON the lines of `--json`, which `--expect` reads back.

use super::seen::{CallLog, Otf, Told, Totals};
use crate::record::Cause;
use crate::stage::transform::{LogLevel, Operation};
use base64_simd::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome<'a> {
    /// Number of its line, from 1.
    pub line: u64,
    /// As it came; `None` where its text is gone.
    pub before: Option<&'a [u8]>,
    pub verdict: Verdict<'a>,
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'a> {
    Passed { after: &'a [u8], told: Option<&'a Told> },
    Dropped,
    Refused(&'a Cause),
}

/// Members of a record's line, all that an expectation may have.
pub(super) const MEMBERS: [&str; 10] =
    ["line", "verdict", "changed", "data", "dataBase64", "partitionKeys", "otfMetadata", "code", "message", "attempts"];

impl Outcome<'_> {
    /// Whether it passed with other bytes.
    pub fn is_changed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed { after, .. } if self.before != Some(after))
    }

    /// The verdict as a word.
    pub fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed { .. } => "passed",
            Verdict::Dropped => "dropped",
            Verdict::Refused(_) => "refused",
        }
    }

    /// Its line.
    pub fn to_json(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("line".to_owned(), self.line.into());
        members.insert("verdict".to_owned(), self.word().into());
        match self.verdict {
            Verdict::Passed { after, told } => {
                members.insert("changed".to_owned(), self.is_changed().into());
                match std::str::from_utf8(after) {
                    Ok(text) => members.insert("data".to_owned(), text.into()),
                    Err(_) => members.insert("dataBase64".to_owned(), STANDARD.encode_to_string(after).into()),
                };
                let Some(Told { keys, otf }) = told else { return members };
                if !keys.is_empty() {
                    let keys: Map<_, _> = keys.iter().map(|(name, value)| (name.clone(), value[..].into())).collect();
                    members.insert("partitionKeys".to_owned(), keys.into());
                }
                if let Some(otf) = otf {
                    members.insert("otfMetadata".to_owned(), otf_json(otf));
                }
            }
            Verdict::Dropped => {}
            Verdict::Refused(cause) => {
                members.insert("code".to_owned(), cause.code[..].into());
                members.insert("message".to_owned(), cause.message[..].into());
                members.insert("attempts".to_owned(), cause.attempts.into());
            }
        }
        members
    }
}

fn otf_json(otf: &Otf) -> Value {
    let mut members = Map::new();
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value.into());
        }
    };
    add("destinationDatabaseName", otf.database.as_deref());
    add("destinationTableName", otf.table.as_deref());
    add("operation", otf.operation.map(operation));
    members.into()
}

/// An operation as Firehose writes it.
pub(super) fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

/// The name of a level.
pub(super) fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// The lines of a call, each a line.
pub(super) fn log_json(log: &CallLog) -> impl Iterator<Item = Value> {
    let (first, last) = (log.first.ordinal + 1, log.last.ordinal + 1);
    let lines = log.lines.iter().map(move |line| {
        json!({"log": {"firstLine": first, "lastLine": last, "level": level(line.level), "message": line.message}})
    });
    let rest =
        (log.left_out > 0).then(|| json!({"log": {"firstLine": first, "lastLine": last, "leftOut": log.left_out}}));
    lines.chain(rest)
}

/// Counts of all records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub records: u64,
    pub record_bytes: u64,
    pub passed: u64,
    pub changed: u64,
    pub dropped: u64,
    pub refused: u64,
    /// Refused records by error code.
    pub codes: BTreeMap<String, u64>,
    /// Records that are not as expected, and expectations without a record.
    pub differences: u64,
}

impl Summary {
    pub fn add(&mut self, outcome: &Outcome<'_>) {
        self.records += 1;
        self.record_bytes += outcome.before.map_or(0, |record| record.len() as u64);
        match outcome.verdict {
            Verdict::Passed { .. } => {
                self.passed += 1;
                self.changed += u64::from(outcome.is_changed());
            }
            Verdict::Dropped => self.dropped += 1,
            Verdict::Refused(cause) => {
                self.refused += 1;
                *self.codes.entry(cause.code.clone()).or_default() += 1;
            }
        }
    }

    /// The last line. `compares`: whether there was something to compare with.
    pub fn to_json(&self, totals: &Totals, compares: bool) -> Value {
        let seconds = totals.took.as_secs_f64();
        let mut summary = json!({
            "records": self.records,
            "recordBytes": self.record_bytes,
            "passed": self.passed,
            "changed": self.changed,
            "dropped": self.dropped,
            "refused": self.refused,
            "codes": self.codes,
            "calls": totals.calls,
            "failedCalls": totals.failed_calls,
            "callSeconds": seconds,
            "recordsPerSecond": per_second(self.records, seconds),
            "memoryBytes": totals.memory_bytes,
        });
        if let (Some(fuel), Some(members)) = (totals.fuel, summary.as_object_mut()) {
            members.insert("fuel".to_owned(), fuel.into());
        }
        if let (true, Some(members)) = (compares, summary.as_object_mut()) {
            members.insert("differences".to_owned(), self.differences.into());
        }
        json!({ "summary": summary })
    }
}

/// A rate that is finite whatever the clock says.
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    (count as f64 / seconds.max(1e-9)).round()
}
