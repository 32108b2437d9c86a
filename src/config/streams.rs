//! The section `streams:`: each entry in CreateDeliveryStream's members, checked as the API checks them.

use super::node::{Node, Tree};
use super::problem::Problems;
use crate::control::{Rules, plan};
use crate::stream::Id128;
use serde_json::Value;
use std::collections::HashMap;

/// Reads the list; entries with problems are left out of it.
pub fn read(list: &Node, rules: &Rules, problems: &mut Problems) -> Vec<Value> {
    if !matches!(list.value, Tree::List(_)) {
        let message = format!("expected a list of streams, each `- DeliveryStreamName: …`, found {}", list.kind());
        problems.add(list.line, "streams", message);
    }
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut streams = Vec::new();
    for (index, node) in list.items().iter().enumerate() {
        let request = node.to_json();
        let name = request.get("DeliveryStreamName").and_then(Value::as_str);
        let member = match name {
            Some(name) => format!("streams.{name}"),
            None => format!("streams[{index}]"),
        };
        // Only for its errors; a planned stream gets an incarnation when it is created.
        if let Err(error) = plan(rules, Id128([0; 16]), request.clone()) {
            for part in parts(&error.message) {
                match conversion_member(part) {
                    Some(name) => problems.add(line(node, name), &format!("{member}.{name}"), part),
                    None => problems.add(line(node, part), &member, part),
                }
            }
            continue;
        }
        if let Some(name) = name
            && let Some(first) = seen.insert(name.to_owned(), node.line)
        {
            problems.add(node.line, &member, format!("this name stands on line {first} already"));
            continue;
        }
        streams.push(request);
    }
    streams
}

/// The member that a deserializer's refusal is about; AWS's text gives it another name.
fn conversion_member(message: &str) -> Option<&'static str> {
    if message.contains("Key: timestamp.formats") || message.starts_with("TimestampFormats ") {
        return Some("TimestampFormats");
    }
    message.starts_with("ColumnToJsonKeyMappings ").then_some("ColumnToJsonKeyMappings")
}

/// The single violations in an error's text, which the API answers as one.
fn parts(message: &str) -> impl Iterator<Item = &str> {
    let body = message.split_once(" detected: ").map_or(message, |(_, body)| body);
    let separator = if body.len() < message.len() { "; Value " } else { "\0" };
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.find(separator).unwrap_or(rest.len());
        at += end + "; ".len();
        Some(&rest[..end])
    })
}

/// The line a message is about: that of the quoted path in it, else that of the deepest member it names.
fn line(node: &Node, message: &str) -> u64 {
    let quoted: Vec<_> = message.split('\'').skip(1).step_by(2).collect();
    let path = match quoted.as_slice() {
        // `'Name' is not a member of 'path'` or `… of the request`.
        [name, ..] if message.contains(" is not a member of the request.") => Some((*name).to_owned()),
        [name, path, ..] if message.contains(" is not a member of ") => Some(format!("{path}.{name}")),
        [path, ..] => Some((*path).to_owned()),
        [] => None,
    };
    if let Some(line) = path.and_then(|path| line_of_path(node, &path)) {
        return line;
    }
    let words: Vec<_> = message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut best = (0, node.line);
    deepest_named(node, &words, 0, &mut best);
    best.1
}

/// Follows a path such as `a.b.2.member.c` as far as the file has it; `None` if not even its first part is there.
fn line_of_path(node: &Node, path: &str) -> Option<u64> {
    let mut at = node;
    let mut found = None;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if let Ok(number) = part.parse::<usize>() {
            at = at.items().get(number.wrapping_sub(1))?;
            found = Some(at.line);
            parts.next_if_eq(&"member");
            continue;
        }
        let Some((key, value)) = at.members().iter().find(|(key, _)| same_name(&key.name, part)) else { break };
        found = Some(key.line);
        at = value;
    }
    found
}

/// Paths in messages are in lower camel case.
fn same_name(key: &str, word: &str) -> bool {
    let lower = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
    lower(key) == lower(word) && key.get(1..) == word.get(1..)
}

/// A member counts if the message names it; deeper beats shallower, the first of equals wins.
fn deepest_named(node: &Node, words: &[&str], depth: u32, best: &mut (u32, u64)) {
    for (key, value) in node.members() {
        let named = words.contains(&key.name.as_str())
            || matches!(&value.value, Tree::Text(text) if depth > 0 && words.contains(&text.as_str()));
        if named && depth + 1 > best.0 {
            *best = (depth + 1, key.line);
        }
        deepest_named(value, words, depth + 1, best);
    }
    for item in node.items() {
        deepest_named(item, words, depth + 1, best);
    }
}
