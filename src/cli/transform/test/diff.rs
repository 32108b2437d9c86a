//! What a transform changed in a record: members of a JSON object by their paths, lines of anything else. Pure.

use serde_json::{Map, Value};
use std::fmt::Write;

/// What differs, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Was there before.
    Removed(String),
    /// Is there now.
    Added(String),
    /// What the other two cannot say.
    Note(String),
}

/// The differences between a record and what it became; none if the bytes are the same.
pub(super) fn diff(before: &[u8], after: &[u8]) -> Vec<Change> {
    if before == after {
        return Vec::new();
    }
    let mut changes = Vec::new();
    match (object(before), object(after)) {
        (Some(old), Some(new)) => members("", &old, &new, &mut changes),
        _ => lines(text_of(before), text_of(after), &mut changes),
    }
    let line_end = |text: &[u8]| text.ends_with(b"\n");
    let content_differs = !changes.is_empty();
    match (line_end(before), line_end(after)) {
        (true, false) => changes.push(Change::Note("the line end is gone".to_owned())),
        (false, true) => changes.push(Change::Note("a line end is added".to_owned())),
        _ if !content_differs => changes.push(Change::Note("the same values, written in another way".to_owned())),
        _ => {}
    }
    changes
}

/// The record as one JSON object.
fn object(record: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(record) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// Members of two objects at `path`: first what is not as it was, then what is new.
fn members(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, changes: &mut Vec<Change>) {
    for (name, was) in old {
        let path = below(path, name);
        match new.get(name) {
            Some(is) => values(&path, was, is, changes),
            None => changes.push(Change::Removed(format!("{path}: {was}"))),
        }
    }
    for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        changes.push(Change::Added(format!("{}: {is}", below(path, name))));
    }
}

fn values(path: &str, was: &Value, is: &Value, changes: &mut Vec<Change>) {
    match (was, is) {
        (Value::Object(old), Value::Object(new)) => members(path, old, new, changes),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (was, is)) in old.iter().zip(new).enumerate() {
                values(&format!("{path}[{index}]"), was, is, changes);
            }
        }
        _ if was == is => {}
        _ => {
            changes.push(Change::Removed(format!("{path}: {was}")));
            changes.push(Change::Added(format!("{path}: {is}")));
        }
    }
}

/// The path of a member; a name that could be taken for more than one is quoted.
fn below(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@'));
    let dot = if path.is_empty() { "" } else { "." };
    if plain { format!("{path}{dot}{name}") } else { format!("{path}{dot}{}", Value::from(name)) }
}

/// Lines, without those that both begin or end with.
fn lines(before: Vec<String>, after: Vec<String>, changes: &mut Vec<Change>) {
    let same = |(a, b): &(&String, &String)| a == b;
    let first = before.iter().zip(&after).take_while(same).count();
    let (old, new) = (&before[first..], &after[first..]);
    let last = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    changes.extend(old[..old.len() - last].iter().cloned().map(Change::Removed));
    changes.extend(new[..new.len() - last].iter().cloned().map(Change::Added));
}

fn text_of(record: &[u8]) -> Vec<String> {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    if record.is_empty() {
        return Vec::new();
    }
    record.split(|byte| *byte == b'\n').map(printable_line).collect()
}

/// A line as text; bytes that are not UTF-8 as `\x..`.
fn printable_line(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let text = |change| match change {
            Change::Removed(text) => format!("- {text}"),
            Change::Added(text) => format!("+ {text}"),
            Change::Note(text) => format!("  {text}"),
        };
        diff(before.as_bytes(), after.as_bytes()).into_iter().map(text).collect()
    }

    #[test]
    fn objects_are_compared_by_members() {
        assert!(shown("{\"a\": 1}\n", "{\"a\": 1}\n").is_empty());
        assert_eq!(
            shown(
                r#"{"a":1,"b":{"c":[1,{"d":2}],"x":null},"gone":"é"}"#,
                r#"{"new":[],"b":{"c":[1,{"d":3}],"x":null},"a":1,"a.b":true}"#
            ),
            ["- b.c[1].d: 2", "+ b.c[1].d: 3", "- gone: \"é\"", "+ new: []", "+ \"a.b\": true"]
        );
        assert_eq!(shown(r#"{"a":[1,2]}"#, r#"{"a":[1]}"#), ["- a: [1,2]", "+ a: [1]"]);
        assert_eq!(shown("{\"a\":1,\"b\":2}\n", "{\"b\":2,\"a\":1}\n"), ["  the same values, written in another way"]);
        assert_eq!(shown(r#"{"a": 1.0}"#, r#"{"a": 1}"#), ["- a: 1.0", "+ a: 1"]);
    }

    #[test]
    fn a_line_end_counts() {
        assert_eq!(shown("{}\n", "{}"), ["  the line end is gone"]);
        assert_eq!(shown("x", "x\n"), ["  a line end is added"]);
        assert_eq!(shown("x\n", "y"), ["- x", "+ y", "  the line end is gone"]);
        assert_eq!(shown("x\n", ""), ["- x", "  the line end is gone"]);
    }

    #[test]
    fn other_texts_are_compared_by_lines() {
        assert_eq!(shown("a\nb\nc\n", "a\nx\ny\nc\n"), ["- b", "+ x", "+ y"]);
        assert_eq!(shown("{\"a\":1}\n", "{\"a\":1}\n{\"a\":1}\n"), ["+ {\"a\":1}"]);
        assert_eq!(shown("{\"a\":1}\n", "1 \n"), ["- {\"a\":1}", "+ 1 "]);
        assert_eq!(shown("a\n", "a\n\n"), ["+ "]);
        let changes = diff(b"\xffx\n", b"y\n");
        assert_eq!(changes, [Change::Removed("\\xffx".to_owned()), Change::Added("y".to_owned())]);
    }
}
