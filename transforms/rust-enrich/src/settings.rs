//! What the stream's variables ask for, and its application to one object.

use crate::object::{plain, Object};
use crate::time::rfc3339;

/// What stands in place of a redacted value.
const REDACTED: &[u8] = b"\"***\"";

pub struct Settings {
    drop: Vec<(String, String)>,
    redact: Vec<String>,
    add: Vec<(String, String)>,
    arrival: String,
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
        Ok(Self {
            drop: pairs(value("drop", "level=debug"))?,
            redact: list(value("redact", "password,secret,token")),
            add: pairs(value("add", ""))?,
            arrival: value("arrival", "ingested_at").trim().to_owned(),
            partition: list(value("partition", "")),
        })
    }

    /// The partition keys that are there, with their plain values.
    pub fn partition_keys(&self, object: &Object) -> Vec<(String, String)> {
        let key = |name: &String| Some((name.clone(), plain(object.get(name)?).into_owned()));
        self.partition.iter().filter_map(key).collect()
    }

    /// Writes the object as one line, or nothing if it is dropped.
    pub fn write(&self, object: &Object, arrival_ms: u64, out: &mut Vec<u8>) {
        let named = |(name, value): &(String, String)| object.get(name).is_some_and(|other| plain(other) == *value);
        if self.drop.iter().any(named) {
            return;
        }
        out.push(b'{');
        for (name, value) in &object.members {
            // A member of this name is replaced below.
            if *name == self.arrival || self.add.iter().any(|(added, _)| added == name) {
                continue;
            }
            write_name(name, out);
            if self.redact.iter().any(|redacted| redacted == name) {
                out.extend_from_slice(REDACTED);
            } else {
                write_in_one_line(value, out);
            }
        }
        for (name, value) in &self.add {
            write_name(name, out);
            write_text(value, out);
        }
        if !self.arrival.is_empty() {
            write_name(&self.arrival, out);
            write_text(&rfc3339(arrival_ms), out);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    write_text(name, out);
    out.push(b':');
}

/// Writes JSON text; line breaks between its tokens become spaces (inside strings there are none).
fn write_in_one_line(value: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
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
