//! Objects as they go on: one line each, what is not redacted or replaced exactly as it came.

use crate::object::Object as Parsed;
use crate::scan::{Mark, Object};
use crate::settings::{Names, Settings, Use};
use crate::time::rfc3339;

/// What stands in place of a redacted value.
const REDACTED: &[u8] = b"\"***\"";

/// The members that every object gains, with the time of arrival of the last one.
pub struct Added {
    text: Vec<u8>,
    /// Where the time begins, and which it is, if there is one.
    arrival: Option<(usize, u64)>,
}

impl Added {
    pub fn of(settings: &Settings) -> Self {
        let mut text = settings.added.clone();
        let arrival = settings.has_arrival.then(|| {
            text.push(b'"');
            text.extend_from_slice(&rfc3339(0));
            text.push(b'"');
            (settings.added.len() + 1, 0)
        });
        Self { text, arrival }
    }

    /// The members of an object that arrived then.
    fn at(&mut self, ms: u64) -> &[u8] {
        if let Some((start, last_ms)) = self.arrival.as_mut().filter(|(_, last_ms)| *last_ms != ms) {
            let time = rfc3339(ms);
            self.text[*start..*start + time.len()].copy_from_slice(&time);
            *last_ms = ms;
        }
        &self.text
    }
}

/// Writes an object that was scanned.
#[inline(never)]
pub fn write_scanned(
    text: &[u8],
    object: &Object,
    marks: &[Mark],
    names: &Names,
    added: &mut Added,
    ms: u64,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let start = out.len();
    let mut from = object.first;
    for mark in marks {
        match names.use_of(mark.name) {
            Use::Kept => {}
            Use::Redacted => {
                write_piece(&text[from..mark.value], start, out);
                out.extend_from_slice(REDACTED);
                from = mark.upto;
            }
            Use::Replaced => {
                write_piece(&text[from..mark.after], start, out);
                from = mark.upto;
            }
        }
    }
    write_piece(&text[from..object.members_upto], start, out);
    write_end(added.at(ms), start, out);
}

/// Writes a piece of an object whose members begin at `start`; where those before it are left out, without their comma.
fn write_piece(piece: &[u8], start: usize, out: &mut Vec<u8>) {
    let left_out = if out.len() == start { piece.iter().position(|byte| !b" \t,".contains(byte)) } else { Some(0) };
    out.extend_from_slice(&piece[left_out.unwrap_or(piece.len())..]);
}

/// Writes an object that was parsed.
pub fn write_parsed(object: &Parsed, names: &Names, added: &mut Added, ms: u64, out: &mut Vec<u8>) {
    out.push(b'{');
    let start = out.len();
    for (name, value) in &object.members {
        let of_name = names.find(name.as_bytes()).map_or(Use::Kept, |number| names.use_of(number));
        if of_name == Use::Replaced {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        match of_name {
            Use::Redacted => out.extend_from_slice(REDACTED),
            // Line breaks can only be between its tokens.
            _ => out.extend(value.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte })),
        }
    }
    write_end(added.at(ms), start, out);
}

fn write_end(added: &[u8], start: usize, out: &mut Vec<u8>) {
    if out.len() > start && !added.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(added);
    out.extend_from_slice(b"}\n");
}

/// Writes a string as JSON.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // A text always has a JSON form, and a Vec takes it.
    let _ = serde_json::to_writer(out, text);
}
