//! The formats `@text`, `@json`, `@csv`, `@tsv`, `@html`, `@uri`, `@sh`, `@base64`, `@base64d`.

use super::ast::Format;
use super::json;
use super::limits::{Run, Stop};
use super::text::{self, type_error};
use super::value::Value;
use std::fmt::Write;

/// `value` in `format`.
pub fn format(run: &mut Run, format: Format, value: &Value) -> Result<Value, Stop> {
    let out = match format {
        Format::Text => match value {
            Value::String(_) => return Ok(value.clone()),
            other => text::json(run, other)?,
        },
        Format::Json => text::json(run, value)?,
        Format::Csv => row(run, value, ",", "cannot be csv-formatted, only array", |out, text| {
            let _ = write!(out, "\"{}\"", escaped(text, |c| (c == '"').then_some("\"\"")));
        })?,
        Format::Tsv => row(run, value, "\t", "cannot be tsv-formatted, only array", |out, text| {
            out.push_str(&escaped(text, |c| match c {
                '\t' => Some("\\t"),
                '\r' => Some("\\r"),
                '\n' => Some("\\n"),
                '\\' => Some("\\\\"),
                _ => None,
            }));
        })?,
        Format::Html => escaped(&text::plain(run, value)?, |c| match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '>' => Some("&gt;"),
            '\'' => Some("&apos;"),
            '"' => Some("&quot;"),
            _ => None,
        }),
        Format::Uri => {
            let mut out = String::new();
            for byte in text::plain(run, value)?.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                    out.push(byte as char);
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
            out
        }
        Format::Sh => shell(run, value)?,
        Format::Base64 => base64_simd::STANDARD.encode_to_string(text::plain(run, value)?),
        Format::Base64d => {
            let text = text::plain(run, value)?;
            decoded(&text).map_err(|why| type_error(&Value::text(&text), why))?
        }
    };
    run.take_bytes(out.len())?;
    Ok(Value::String(out.into()))
}

/// `text` with what `escape` replaces; a NUL becomes `\0`.
fn escaped(text: &str, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match escape(c) {
            Some(replacement) => out.push_str(replacement),
            None if c == '\0' => out.push_str("\\0"),
            None => out.push(c),
        }
    }
    out
}

fn row(
    run: &mut Run,
    value: &Value,
    separator: &str,
    not_array: &str,
    string: fn(&mut String, &str),
) -> Result<String, Stop> {
    let Value::Array(list) = value else {
        return Err(type_error(value, not_array));
    };
    let mut out = String::new();
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        match item {
            Value::Null => {}
            Value::Bool(_) => out.push_str(&text::json(run, item)?),
            Value::Number(number) => {
                if !number.is_nan() {
                    text::push_number(&mut out, *number);
                }
            }
            Value::String(text) => string(&mut out, text),
            _ => return Err(type_error(item, "is not valid in a csv row")),
        }
        run.take_steps(1)?;
    }
    Ok(out)
}

fn shell(run: &mut Run, value: &Value) -> Result<String, Stop> {
    let one = [value.clone()];
    let items = match value {
        Value::Array(list) => &list[..],
        _ => &one[..],
    };
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        match item {
            Value::String(text) => {
                let _ = write!(out, "'{}'", escaped(text, |c| (c == '\'').then_some("'\\''")));
            }
            Value::Array(_) | Value::Object(_) => return Err(type_error(item, "can not be escaped for shell")),
            scalar => out.push_str(&text::json(run, scalar)?),
        }
    }
    Ok(out)
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let (mut out, mut code, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().take_while(|byte| *byte != b'=') {
        let bits = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err("is not valid base64 data"),
        };
        code = code << 6 | u32::from(bits);
        count += 1;
        if count == 4 {
            out.extend_from_slice(&code.to_be_bytes()[1..]);
            (code, count) = (0, 0);
        }
    }
    match count {
        3 => out.extend_from_slice(&[(code >> 10) as u8, (code >> 2) as u8]),
        2 => out.push((code >> 4) as u8),
        1 => return Err("trailing base64 byte found"),
        _ => {}
    }
    Ok(json::text(&out).to_string())
}
