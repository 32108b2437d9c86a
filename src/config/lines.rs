//! Which line of the file a problem is about.
//!
//! From: `streams` and `checks`, whose problems name members in texts and with dots; `node` knows the lines.

use super::node::{Node, Tree};

/// The line of a member named with dots, as `s3.credentials` or `streams.NAME.SchemaConfiguration`, as deep as the file has
/// it; `None` if it does not have even its first part.
pub fn of_member(root: &Node, member: &str) -> Option<u64> {
    let (mut at, mut rest, mut found) = (root, member, None);
    while !rest.is_empty() {
        let members = at.members().iter().map(|(key, value)| (Some(key.name.as_str()), key.line, value));
        let streams = at.items().iter().map(|item| (stream_name(item), item.line, item));
        let steps = members.chain(streams).filter_map(|(name, line, node)| Some((behind(rest, name?)?, line, node)));
        // Names may have dots: of two that fit, the longer one is meant.
        let Some((left, line, node)) = steps.min_by_key(|(left, ..)| left.len()) else {
            let mut best = (0, found?);
            deepest_named(at, &|name| name == rest, &|_| false, 0, &mut best);
            return Some(best.1);
        };
        (at, rest, found) = (node, left, Some(line));
    }
    found
}

fn stream_name(item: &Node) -> Option<&str> {
    let (_, name) = item.members().iter().find(|(key, _)| key.name == "DeliveryStreamName")?;
    match &name.value {
        Tree::Text(text) => Some(text),
        _ => None,
    }
}

/// What stands behind `name` and a dot.
fn behind<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(name)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// The line a message is about: that of the quoted path in it, else that of the deepest member it names or cites.
pub fn of_message(node: &Node, message: &str) -> u64 {
    if let Some((line, _)) = quoted_member(node, message) {
        return line;
    }
    let words: Vec<_> = message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    // Of an unknown namespace only the name is cited.
    let namespace = message.split_once(" left of colon (").and_then(|(_, rest)| rest.split_once(')'));
    let namespace = namespace.map(|(name, _)| format!("!{{{name}:"));
    let is_cited = |text: &str| {
        words.contains(&text)
            || text.len() >= CITED_BYTES && message.contains(text)
            || namespace.as_ref().is_some_and(|namespace| text.contains(namespace))
    };
    let mut best = (0, node.line);
    deepest_named(node, &|name| words.contains(&name), &is_cited, 0, &mut best);
    best.1
}

/// The member whose path a message quotes, as far as the file has it: its line and value.
pub fn quoted_member<'a>(node: &'a Node, message: &str) -> Option<(u64, &'a Node)> {
    let quoted: Vec<_> = message.split('\'').skip(1).step_by(2).collect();
    let path = match quoted.as_slice() {
        // `'Name' is not a member of 'path'` or `… of the request`.
        [name, ..] if message.contains(" is not a member of the request.") => (*name).to_owned(),
        [name, path, ..] if message.contains(" is not a member of ") => format!("{path}.{name}"),
        [path, ..] => (*path).to_owned(),
        [] => return None,
    };
    let mut at = (None, node);
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if let Ok(number) = part.parse::<usize>() {
            let item = at.1.items().get(number.wrapping_sub(1))?;
            at = (Some(item.line), item);
            parts.next_if_eq(&"member");
            continue;
        }
        let Some((key, value)) = at.1.members().iter().find(|(key, _)| same_name(&key.name, part)) else { break };
        at = (Some(key.line), value);
    }
    Some((at.0?, at.1))
}

/// Paths in messages are in lower camel case.
fn same_name(key: &str, word: &str) -> bool {
    let lower = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
    lower(key) == lower(word) && key.get(1..) == word.get(1..)
}

/// Texts shorter than this are cited by chance.
const CITED_BYTES: usize = 5;

/// A member counts if it is named or its text cited; deeper beats shallower, the first of equals wins.
fn deepest_named(
    node: &Node,
    is_named: &dyn Fn(&str) -> bool,
    is_cited: &dyn Fn(&str) -> bool,
    depth: u32,
    best: &mut (u32, u64),
) {
    for (key, value) in node.members() {
        let cited = matches!(&value.value, Tree::Text(text) if depth > 0 && is_cited(text));
        if (cited || is_named(&key.name)) && depth + 1 > best.0 {
            *best = (depth + 1, key.line);
        }
        deepest_named(value, is_named, is_cited, depth + 1, best);
    }
    for item in node.items() {
        deepest_named(item, is_named, is_cited, depth + 1, best);
    }
}
