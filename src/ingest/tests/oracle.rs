//! The request grammar a second time, by serde_json and without regard to cost. Parser and oracle must agree on every
//! input: accepted or not, the records byte for byte, and the error's type and text (of a SerializationException only
//! the type). Shared with the fuzz target, so it knows nothing of the crate.

use serde::Deserialize;
use serde_json::Value;

/// What a request must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted with these records.
    Accepted { stream: String, records: Vec<Vec<u8>> },
    /// Refused with this type and text; the text of a SerializationException is empty.
    Refused { kind: &'static str, message: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    #[serde(rename = "DeliveryStreamName")]
    name: Option<String>,
    #[serde(rename = "Records")]
    records: Option<Vec<Option<Record>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Single {
    #[serde(rename = "DeliveryStreamName")]
    name: Option<String>,
    #[serde(rename = "Record")]
    record: Option<Record>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "Data")]
    data: Option<String>,
}

/// Judges the body of a PutRecordBatch.
pub fn put_record_batch(body: &[u8]) -> Verdict {
    let Ok(shape) = serde_json::from_slice::<Value>(body) else { return not_serial() };
    // Derived code would read a struct from an array as well.
    let objects = shape.is_object()
        && shape.get("Records").and_then(Value::as_array).is_none_or(|all| all.iter().all(|one| !one.is_array()));
    let Ok(batch) = serde_json::from_slice::<Batch>(body) else { return not_serial() };
    if !objects {
        return not_serial();
    }
    let mut violations = name_violations(batch.name.as_deref());
    let mut records = Vec::new();
    match &batch.records {
        None => violations.push(at("records", "not be null")),
        Some(all) => {
            if all.is_empty() {
                violations.push(at("records", "have length greater than or equal to 1"));
            }
            if all.len() > 500 {
                violations.push(at("records", "have length less than or equal to 500"));
            }
            for (i, one) in all.iter().enumerate() {
                let path = format!("records.{}.member", i + 1);
                // Beyond the most a batch may have, a record's own flaws are not told.
                let mut untold = Vec::new();
                let violations = if i < 500 { &mut violations } else { &mut untold };
                match check_record(one.as_ref(), &path, violations) {
                    Some(record) => records.push(record),
                    None => return not_serial(),
                }
            }
        }
    }
    if !violations.is_empty() {
        return refused_for(&violations);
    }
    if records.iter().map(Vec::len).sum::<usize>() > 4_194_304 {
        return Verdict::Refused {
            kind: "InvalidArgumentException",
            message: "Records size exceeds 4 MB limit".to_owned(),
        };
    }
    Verdict::Accepted { stream: batch.name.unwrap_or_default(), records }
}

/// Judges the body of a PutRecord.
pub fn put_record(body: &[u8]) -> Verdict {
    let Ok(shape) = serde_json::from_slice::<Value>(body) else { return not_serial() };
    let objects = shape.is_object() && !shape.get("Record").is_some_and(Value::is_array);
    let Ok(single) = serde_json::from_slice::<Single>(body) else { return not_serial() };
    if !objects {
        return not_serial();
    }
    let mut violations = name_violations(single.name.as_deref());
    // Absent or null, the path is the same.
    let Some(record) = check_record(single.record.as_ref(), "record", &mut violations) else { return not_serial() };
    if !violations.is_empty() {
        return refused_for(&violations);
    }
    Verdict::Accepted { stream: single.name.unwrap_or_default(), records: vec![record] }
}

/// The record's bytes; `None` when its data is not base64.
fn check_record(record: Option<&Record>, path: &str, violations: &mut Vec<String>) -> Option<Vec<u8>> {
    let Some(record) = record else {
        violations.push(at(path, "not be null"));
        return Some(Vec::new());
    };
    let Some(data) = &record.data else {
        violations.push(at(&format!("{path}.data"), "not be null"));
        return Some(Vec::new());
    };
    let bytes = decode_base64(data)?;
    let n = bytes.len();
    if n > 1_024_000 {
        let value = format!("java.nio.HeapByteBuffer[pos=0 lim={n} cap={n}]");
        violations.push(valued(&value, &format!("{path}.data"), "have length less than or equal to 1024000"));
    }
    Some(bytes)
}

fn name_violations(name: Option<&str>) -> Vec<String> {
    let Some(name) = name else { return vec![at("deliveryStreamName", "not be null")] };
    let shown: String = name.chars().take(256).collect();
    let mut violations = Vec::new();
    let mut add = |constraint: &str| violations.push(valued(&shown, "deliveryStreamName", constraint));
    if name.is_empty() {
        add("have length greater than or equal to 1");
    }
    if name.encode_utf16().count() > 64 {
        add("have length less than or equal to 64");
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        add("satisfy regular expression pattern: [a-zA-Z0-9_.-]+");
    }
    violations
}

fn at(path: &str, constraint: &str) -> String {
    format!("Value at '{path}' failed to satisfy constraint: Member must {constraint}")
}

fn valued(value: &str, path: &str, constraint: &str) -> String {
    format!("Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}")
}

fn refused_for(violations: &[String]) -> Verdict {
    let count = violations.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let message = format!("{count} validation {noun} detected: {}", violations.join("; "));
    Verdict::Refused { kind: "ValidationException", message }
}

fn not_serial() -> Verdict {
    Verdict::Refused { kind: "SerializationException", message: String::new() }
}

/// RFC 4648 with padding, canonical: unused bits are zero.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digit =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|c| **c == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut out = Vec::new();
    let (mut bits, mut held) = (0usize, 0);
    for c in &text[..text.len() - padding] {
        bits = (bits << 6 | digit(*c)?) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    (bits & ((1 << held) - 1) == 0).then_some(out)
}
