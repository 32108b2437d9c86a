//! CSV rows (RFC 4180: a field may be quoted, and then hold the delimiter, line breaks and doubled quotes).
//!
//! Settings are variables of the stream (parameter `Variable.NAME` of the Lambda processor):
//!
//! | name | default | example |
//! |---|---|---|
//! | `columns` | `column1`, `column2`, … | `time,host,bytes`: every row has as many fields |
//! | `numbers` | none | `bytes`: columns written as numbers; an empty field becomes null |
//! | `delimiter` | `,` | `;`, or `tab` |

use crate::json::Object;
use crate::{only_known, Fate};
use std::borrow::Cow;

pub struct Blueprint {
    columns: Vec<String>,
    numbers: Vec<String>,
    delimiter: u8,
}

impl Blueprint {
    pub fn of(variables: &[(String, String)]) -> Result<Self, String> {
        only_known(variables, &["columns", "numbers", "delimiter"])?;
        let list = |name: &str| {
            let value = variables.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.as_str());
            value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect::<Vec<_>>()
        };
        let delimiter = match variables.iter().find(|(name, _)| name == "delimiter").map(|(_, value)| value.as_str()) {
            None => b',',
            Some("tab" | "\t" | "\\t") => b'\t',
            Some(other) => match *other.as_bytes() {
                [byte] if byte.is_ascii() && !byte.is_ascii_control() && byte != b'"' => byte,
                _ => return Err(format!("delimiter '{other}' is not one ASCII character, or 'tab'")),
            },
        };
        let (columns, numbers) = (list("columns"), list("numbers"));
        if let Some(name) = numbers.iter().find(|name| !columns.is_empty() && !columns.contains(name)) {
            return Err(format!("'{name}' of numbers is not in columns"));
        }
        Ok(Self { columns, numbers, delimiter })
    }

    pub fn convert(&self, data: &[u8], out: &mut Vec<u8>) -> Result<Fate, String> {
        let text = std::str::from_utf8(data).map_err(|error| format!("the record is not UTF-8: {error}"))?;
        let mut rest = text;
        let mut rows = 0;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) {
                rest = after; // an empty line
                continue;
            }
            rows += 1;
            rest = self.row(rest, out).map_err(|why| format!("row {rows} of the record: {why}"))?;
        }
        if rows == 0 {
            return Err("the record holds no row".to_owned());
        }
        Ok(Fate::Ok)
    }

    /// Writes the first row of `text`; what follows it.
    fn row<'a>(&self, text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
        let mut object = Object::begin(out);
        let (mut rest, mut count) = (text, 0);
        loop {
            let (field, after) = self.field(rest)?;
            let name = match self.columns.get(count) {
                Some(name) => Cow::Borrowed(name.as_str()),
                None if self.columns.is_empty() => Cow::Owned(format!("column{}", count + 1)),
                None => return Err(format!("more than {} fields", self.columns.len())),
            };
            count += 1;
            if !self.numbers.iter().any(|other| *other == *name) {
                object.text(&name, &field);
            } else if field.trim().is_empty() {
                object.raw(&name, "null");
            } else if is_json_number(field.trim()) {
                object.raw(&name, field.trim());
            } else {
                return Err(format!("'{name}' is no number: '{field}'"));
            }
            match after.as_bytes().first() {
                Some(byte) if *byte == self.delimiter => rest = &after[1..],
                _ => {
                    rest = after;
                    break;
                }
            }
        }
        if count < self.columns.len() {
            return Err(format!("{count} fields, not {}", self.columns.len()));
        }
        object.end();
        Ok(rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest))
    }

    /// The first field of `text`, and what follows it: a delimiter, a line break or nothing.
    fn field<'a>(&self, text: &'a str) -> Result<(Cow<'a, str>, &'a str), String> {
        let Some(mut rest) = text.strip_prefix('"') else {
            let end = text.bytes().position(|byte| byte == self.delimiter || byte == b'\n').unwrap_or(text.len());
            let end = if text[end..].starts_with('\n') && text[..end].ends_with('\r') { end - 1 } else { end };
            return Ok((Cow::Borrowed(&text[..end]), &text[end..]));
        };
        let mut field = String::new();
        loop {
            let end = rest.find('"').ok_or("a quote is not closed")?;
            field.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(after) => {
                    field.push('"');
                    rest = after;
                }
                None => break,
            }
        }
        let ends = rest.is_empty() || rest.starts_with("\r\n") || rest.starts_with('\n');
        if !ends && rest.as_bytes()[0] != self.delimiter {
            return Err("text after a closing quote".to_owned());
        }
        Ok((Cow::Owned(field), rest))
    }
}

fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start_matches(['+', '-']))),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}
