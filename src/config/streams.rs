//! The section `streams:`: each entry in CreateDeliveryStream's members, checked as the API checks them.

use super::lines;
use super::node::{Node, Tree};
use super::problem::Problems;
use crate::control::{self, Rules};
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
        let first = name.and_then(|name| seen.get(name).copied());
        match (first, name) {
            (Some(first), _) => problems.add(node.line, &member, format!("this name stands on line {first} already")),
            (None, Some(name)) => drop(seen.insert(name.to_owned(), node.line)),
            (None, None) => {}
        }
        let found = control::problems(rules, &request);
        for error in &found {
            let message = error.message.as_str();
            match named(message) {
                Some(name) => problems.add(lines::of_message(node, name), &format!("{member}.{name}"), message),
                None => problems.add(lines::of_message(node, message), &member, message),
            }
        }
        if found.is_empty() && first.is_none() {
            streams.push(request);
        }
    }
    streams
}

/// The member that a refusal is about whose text gives it another name, or none.
fn named(message: &str) -> Option<&'static str> {
    if message.contains("Key: timestamp.formats") || message.starts_with("TimestampFormats ") {
        return Some("TimestampFormats");
    }
    let begins = [
        ("ColumnToJsonKeyMappings ", "ColumnToJsonKeyMappings"),
        ("Provided custom time zone ", "CustomTimeZone"),
        ("Invalid lambda ARN.", "LambdaArn"),
        ("Invalid role ARN.", "RoleARN"),
    ];
    begins.iter().find(|(begin, _)| message.starts_with(begin)).map(|(_, name)| *name)
}
