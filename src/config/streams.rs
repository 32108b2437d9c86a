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
        let mut request = node.to_json();
        end_queries(&mut request);
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
                None if has_lines(node, message) => {
                    let message = format!("{message}. It has several lines: write it as one, in quotes or below `>-`");
                    problems.add(lines::of_message(node, &message), &member, message);
                }
                None => problems.add(lines::of_message(node, message), &member, message),
            }
        }
        if found.is_empty() && first.is_none() {
            streams.push(request);
        }
    }
    streams
}

/// Takes the line break away that a YAML block (`|`, `>`) puts behind a query; the API takes none there.
fn end_queries(request: &mut Value) {
    let path = "/ExtendedS3DestinationConfiguration/ProcessingConfiguration/Processors";
    let processors = request.pointer_mut(path).and_then(Value::as_array_mut);
    let parameters = processors
        .into_iter()
        .flatten()
        .filter_map(|processor| processor.get_mut("Parameters").and_then(Value::as_array_mut))
        .flatten();
    for parameter in parameters {
        if parameter["ParameterName"] == "MetadataExtractionQuery"
            && let Some(Value::String(query)) = parameter.get_mut("ParameterValue")
        {
            query.truncate(query.trim_end_matches(['\r', '\n']).len());
        }
    }
}

/// Whether a text of several lines does not match the pattern that the refusal names; a `.` in it is no line break.
fn has_lines(node: &Node, message: &str) -> bool {
    let quoted = lines::quoted_member(node, message).map(|(_, node)| &node.value);
    message.contains("Member must satisfy regular expression pattern")
        && matches!(quoted, Some(Tree::Text(text)) if text.trim_end().contains('\n'))
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
