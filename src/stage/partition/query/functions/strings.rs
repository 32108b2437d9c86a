//! Functions of strings, and those that make or read their text.

use super::super::json;
use super::super::limits::{Run, Stop};
use super::super::text::{self, type_error, type_error2};
use super::super::value::Value;
use super::lists::items;
use super::{Made, PART_BYTES};

pub(super) fn to_number(run: &mut Run, input: &Value, _: &[Value]) -> Made {
    match input {
        Value::Number(_) => Ok(input.clone()),
        Value::String(content) => match from_json(run, content.split('\0').next().unwrap_or_default())? {
            number @ Value::Number(_) => Ok(number),
            _ => Err(type_error(input, "cannot be parsed as a number")),
        },
        _ => Err(type_error(input, "cannot be parsed as a number")),
    }
}

pub(super) fn from_json(run: &mut Run, content: &str) -> Made {
    run.take_bytes(content.len().saturating_mul(4))?;
    json::parse_text(content.as_bytes()).map_err(|why| match content.contains('\0') {
        // Its words tell a place then, which is not kept here.
        true => Stop::Limit("a text with a NUL is no JSON"),
        false => Stop::error(format!("{why} (while parsing '{content}')")),
    })
}

pub(super) fn split(run: &mut Run, text: &str, separator: &str) -> Made {
    let mut parts = Vec::new();
    if text.is_empty() {
        return Value::array(run, parts);
    }
    if separator.is_empty() {
        run.take_bytes(text.len() * PART_BYTES)?;
        parts.extend(text.chars().map(|c| Value::text(c.encode_utf8(&mut [0; 4]))));
    } else {
        for part in text.split(separator) {
            run.take_bytes(part.len() + PART_BYTES)?;
            parts.push(Value::text(part));
        }
    }
    Value::array(run, parts)
}

pub(super) fn join(run: &mut Run, input: &Value, arguments: &[Value]) -> Made {
    let separator = &arguments[0];
    let mut joined = String::new();
    let mut texts = Value::text("");
    let items = items(input)?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            match separator {
                Value::String(separator) => joined.push_str(separator),
                Value::Null => {}
                other => return Err(type_error2(&Value::text(&joined), other, "cannot be added")),
            }
        }
        match item {
            Value::Null => {}
            Value::String(text) => joined.push_str(text),
            Value::Number(_) | Value::Bool(_) => joined.push_str(&text::json(run, item)?),
            other => return Err(type_error2(&Value::text(&joined), other, "cannot be added")),
        }
        run.take_steps(1)?;
    }
    if !items.is_empty() {
        run.take_bytes(joined.len() * 2)?;
        texts = Value::String(joined.into());
    }
    Ok(texts)
}

pub(super) fn implode(run: &mut Run, input: &Value, _: &[Value]) -> Made {
    let Value::Array(list) = input else {
        return Err(Stop::error("implode input must be an array"));
    };
    run.take_bytes(list.len() * 4)?;
    let mut text = String::new();
    for item in list.iter() {
        // jq aborts on what is no code point; that is a failure here.
        let code = match item {
            Value::Number(code) if *code > f64::from(0x10ffff) && *code < 2e9 => 0xfffd,
            Value::Number(code) if *code >= 0.0 && *code < 2e9 => *code as u32,
            _ => return Err(Stop::Limit("implode needs code points")),
        };
        text.push(char::from_u32(code).ok_or(Stop::Limit("implode needs code points"))?);
    }
    Ok(Value::String(text.into()))
}

pub(super) fn ascii(run: &mut Run, input: &Value, change: fn(&str) -> String) -> Made {
    match input {
        Value::String(text) => {
            run.take_bytes(text.len())?;
            Ok(Value::String(change(text).into()))
        }
        _ => Err(Stop::error("explode input must be a string")),
    }
}

pub(super) fn length(run: &mut Run, input: &Value, _: &[Value]) -> Made {
    Ok(Value::Number(match input {
        Value::Array(list) => list.len() as f64,
        Value::Object(map) => map.len() as f64,
        Value::String(text) => {
            run.take_steps(text.len() as u64 / 32)?;
            text.chars().count() as f64
        }
        Value::Number(number) => number.abs(),
        Value::Null => 0.0,
        Value::Bool(_) => return Err(type_error(input, "has no length")),
    }))
}
