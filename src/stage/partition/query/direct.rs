//! Takes keys that are plain paths, such as `.type.device`, straight from the bytes of a record.
//!
//! As in [`super::project`], anything unusual gives it up: then the program runs, and decides. Beside what is unusual
//! there this is a container as a key, and a scalar where an object should be.

use super::ast::Ast;
use super::json;
use super::project::{MAX_DEPTH, path_of, skip, string};
use super::text::push_number;
use crate::stage::convert::scan::Cursor;
use std::sync::Arc;

/// Digits of a whole number that is printed as it stands.
const MAX_PLAIN_DIGITS: usize = 15;

/// The paths of all keys.
#[derive(Debug)]
pub struct Direct {
    root: Node,
    count: usize,
}

/// A value that is a key, or whose fields are.
#[derive(Debug, Default)]
struct Node {
    /// Places of the keys that it is.
    slots: Vec<usize>,
    fields: Vec<(Arc<str>, Node)>,
}

impl Direct {
    /// The paths of `programs`, if each is one and none goes on from another.
    pub fn of<'a>(programs: impl Iterator<Item = &'a Ast>) -> Option<Self> {
        let mut direct = Self { root: Node::default(), count: 0 };
        for program in programs {
            let mut path = Vec::new();
            if !path_of(program, &mut path) || path.is_empty() || path.iter().any(|name| name.contains('\u{fffd}')) {
                return None;
            }
            let mut node = &mut direct.root;
            for name in path {
                let at = node.fields.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
                    node.fields.push((name, Node::default()));
                    node.fields.len() - 1
                });
                node = &mut node.fields[at].1;
            }
            node.slots.push(direct.count);
            direct.count += 1;
        }
        direct.root.is_plain().then_some(direct)
    }

    /// The values of a record, none for one that is no key; nothing at all if the record is unusual.
    pub fn read(&self, record: &[u8]) -> Option<Vec<Option<String>>> {
        let mut cursor = Cursor { bytes: record, pos: 0 };
        let mut values = vec![None; self.count];
        if cursor.token() != b'{' {
            return None;
        }
        self.root.object(&mut cursor, 0, &mut values)?;
        cursor.token();
        cursor.at_end().then_some(values)
    }
}

impl Node {
    fn is_plain(&self) -> bool {
        (self.slots.is_empty() || self.fields.is_empty()) && self.fields.iter().all(|(_, inside)| inside.is_plain())
    }

    /// Forgets what an earlier field of the same name gave.
    fn forget(&self, values: &mut [Option<String>]) {
        self.slots.iter().for_each(|slot| values[*slot] = None);
        self.fields.iter().for_each(|(_, inside)| inside.forget(values));
    }

    fn object(&self, cursor: &mut Cursor, depth: usize, values: &mut [Option<String>]) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        cursor.pos += 1;
        if cursor.token() == b'}' {
            cursor.pos += 1;
            return Some(());
        }
        loop {
            if cursor.token() != b'"' {
                return None;
            }
            let (key, escaped) = string(cursor)?;
            if escaped || cursor.token() != b':' {
                return None;
            }
            cursor.pos += 1;
            let first = cursor.token();
            match self.fields.iter().find(|(name, _)| name.as_bytes() == key) {
                None => skip(cursor, depth + 1)?,
                Some((_, inside)) => {
                    inside.forget(values);
                    match first {
                        b'n' => cursor.literal("null").ok()?,
                        b'{' if inside.slots.is_empty() => inside.object(cursor, depth + 1, values)?,
                        _ if inside.slots.is_empty() => return None,
                        _ => inside.take(scalar(cursor, first)?, values),
                    }
                }
            }
            match cursor.token() {
                b',' => cursor.pos += 1,
                b'}' => {
                    cursor.pos += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn take(&self, value: String, values: &mut [Option<String>]) {
        if let Some((last, others)) = self.slots.split_last().filter(|_| !value.is_empty()) {
            others.iter().for_each(|slot| values[*slot] = Some(value.clone()));
            values[*last] = Some(value);
        }
    }
}

/// A scalar that is not null, as a key.
fn scalar(cursor: &mut Cursor, first: u8) -> Option<String> {
    match first {
        b'"' => {
            let (content, escaped) = string(cursor)?;
            if escaped {
                return Some(json::text(&json::unescape(content).ok()?).to_string());
            }
            simdutf8::basic::from_utf8(content).ok().map(str::to_owned)
        }
        b't' => cursor.literal("true").ok().map(|()| "true".to_owned()),
        b'f' => cursor.literal("false").ok().map(|()| "false".to_owned()),
        b'-' | b'0'..=b'9' => {
            let start = cursor.pos;
            cursor.skip_number().ok()?;
            let token = cursor.since(start);
            if token.len() <= MAX_PLAIN_DIGITS && token.iter().all(u8::is_ascii_digit) {
                return std::str::from_utf8(token).ok().map(str::to_owned);
            }
            let mut text = String::new();
            push_number(&mut text, json::number(token)?);
            Some(text)
        }
        _ => None,
    }
}
