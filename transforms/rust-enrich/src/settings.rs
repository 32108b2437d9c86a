//! What the stream's variables ask for, and its application to one object.

use crate::object::{plain, Object};
use crate::time::rfc3339;
use std::borrow::Cow;
use std::ops::Range;

/// What stands in place of a redacted value.
const REDACTED: &[u8] = b"\"***\"";

pub struct Settings {
    drop: Vec<(String, String)>,
    redact: Vec<String>,
    /// Names, and the members as they are written.
    add: Vec<(String, Vec<u8>)>,
    arrival: String,
    /// The member of that name up to the time.
    arrival_text: Vec<u8>,
    partition: Vec<String>,
}

impl Settings {
    pub fn of(variables: &[(String, String)]) -> Result<Self, String> {
        let known = ["drop", "redact", "add", "arrival", "partition"];
        if let Some((name, _)) = variables.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(format!("unknown variable '{name}'; there are: {}", known.join(", ")));
        }
        let value = |name: &str, default: &'static str| {
            variables.iter().find(|(other, _)| other == name).map_or(default, |(_, value)| value.as_str())
        };
        let arrival = value("arrival", "ingested_at").trim().to_owned();
        let mut arrival_text = Vec::new();
        write_text(&arrival, &mut arrival_text);
        arrival_text.extend_from_slice(b":\"");
        let written = |(name, value): (String, String)| {
            let mut text = Vec::new();
            write_text(&name, &mut text);
            text.push(b':');
            write_text(&value, &mut text);
            (name, text)
        };
        Ok(Self {
            drop: pairs(value("drop", "level=debug"))?,
            redact: list(value("redact", "password,secret,token")),
            add: pairs(value("add", ""))?.into_iter().map(written).collect(),
            arrival,
            arrival_text,
            partition: list(value("partition", "")),
        })
    }

    /// The partition keys that are there, with their plain values.
    pub fn partition_keys(&self, object: &Object) -> Vec<(String, String)> {
        let key = |name: &String| Some((name.clone(), plain(object.get(name)?).into_owned()));
        self.partition.iter().filter_map(key).collect()
    }

    /// Writes the object, parsed from `text`, as one line, or nothing if it is dropped.
    pub fn write(&self, text: &str, object: &Object, arrival_ms: u64, out: &mut Vec<u8>) {
        let named = |(name, value): &(String, String)| object.get(name).is_some_and(|other| plain(other) == *value);
        if self.drop.iter().any(named) {
            return;
        }
        out.push(b'{');
        // Members that stand side by side go out as one piece of the text.
        let mut piece = 0..0;
        for (name, value) in &object.members {
            // A member of this name is replaced below.
            if *name == self.arrival || self.add.iter().any(|(added, _)| added == name) {
                continue;
            }
            let redacted = self.redact.iter().any(|redacted| redacted == name);
            match place(text, name, value).filter(|_| !redacted) {
                // What is between them can only be a comma.
                Some(member) if member.start == piece.end + 1 && !piece.is_empty() => piece.end = member.end,
                Some(member) => write_piece(text, std::mem::replace(&mut piece, member), out),
                None => {
                    write_piece(text, std::mem::take(&mut piece), out);
                    write_name(name, out);
                    match redacted {
                        true => out.extend_from_slice(REDACTED),
                        false => write_in_one_line(value, out),
                    }
                }
            }
        }
        write_piece(text, piece, out);
        for (_, member) in &self.add {
            write_comma(out);
            out.extend_from_slice(member);
        }
        if !self.arrival.is_empty() {
            write_comma(out);
            out.extend_from_slice(&self.arrival_text);
            out.extend_from_slice(&rfc3339(arrival_ms));
            out.push(b'"');
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Where in `text` the member stands, if it can go out as it is: no escapes in its name, no blanks around the colon, no
/// line breaks in its value.
fn place(text: &str, name: &Cow<'_, str>, value: &str) -> Option<Range<usize>> {
    let Cow::Borrowed(name) = name else { return None };
    let at = |part: &str| (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let (start, end) = (at(name), at(value));
    let is_one_line = !value.starts_with(['{', '[']) || !value.bytes().any(is_line_break);
    (end == start + name.len() + 2 && is_one_line).then(|| start - 1..end + value.len())
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn write_piece(text: &str, piece: Range<usize>, out: &mut Vec<u8>) {
    if !piece.is_empty() {
        write_comma(out);
        out.extend_from_slice(&text.as_bytes()[piece]);
    }
}

fn write_comma(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    write_comma(out);
    write_text(name, out);
    out.push(b':');
}

/// Writes JSON text; line breaks between its tokens become spaces (inside strings there are none).
fn write_in_one_line(value: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    out[start..].iter_mut().filter(|byte| is_line_break(**byte)).for_each(|byte| *byte = b' ');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // A text always has a JSON form, and a Vec takes it.
    let _ = serde_json::to_writer(out, text);
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    list(text)
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(format!("'{pair}' is not of the form name=value")),
        })
        .collect()
}
