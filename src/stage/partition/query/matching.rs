//! Matches of patterns as jq 1.6 gives them: `match`, `capture`, `scan`, `splits`.
//!
//! Offsets and lengths count code points. What jq does about empty matches is kept: it goes on one byte later, so that
//! the same empty match may come again, and drops their captures.

use super::limits::{Run, Stop};
use super::paths;
use super::pattern::Pattern;
use super::value::Value;
use std::sync::Arc;

/// The matches of `pattern` in `input`: an array, or with `test` whether there is one.
pub fn matches(run: &mut Run, input: &Value, pattern: &Pattern, global: bool, test: bool) -> Result<Value, Stop> {
    let Value::String(text) = input else {
        return Err(super::text::type_error(input, "cannot be matched, as it is not a string"));
    };
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        if !text.is_char_boundary(start) {
            return Err(Stop::Limit("an empty match stands before a character that is not ASCII"));
        }
        let Some(groups) = pattern.search(run, text, start)? else { break };
        if test {
            return Ok(Value::Bool(true));
        }
        let (first, upto) = groups[0].unwrap_or((0, 0));
        found.push(describe(run, text, pattern, &groups)?);
        // An empty match at the very end of an empty text would begin beyond it.
        start = if first == upto { start + 1 } else { upto };
        if !global || start >= text.len() {
            break;
        }
    }
    if test { Ok(Value::Bool(false)) } else { Value::array(run, found) }
}

fn characters(run: &mut Run, text: &str) -> Result<Value, Stop> {
    run.take_steps(text.len() as u64 / 32)?;
    Ok(Value::Number(text.chars().count() as f64))
}

fn describe(run: &mut Run, text: &str, pattern: &Pattern, groups: &[Option<(usize, usize)>]) -> Result<Value, Stop> {
    let key = |name: &str| Arc::<str>::from(name);
    let (first, upto) = groups[0].unwrap_or((0, 0));
    let mut captures = Vec::new();
    if first < upto {
        for (group, name) in groups[1..].iter().zip(&pattern.names) {
            let name = name.as_deref().map_or(Value::Null, Value::text);
            let fields = match group {
                Some((first, upto)) if first < upto => {
                    let part = &text[*first..*upto];
                    let (offset, length) = (characters(run, &text[..*first])?, characters(run, part)?);
                    [("offset", offset), ("length", length), ("string", Value::text(part)), ("name", name)]
                }
                group => {
                    let (offset, string) = match group {
                        Some((first, _)) => (characters(run, &text[..*first])?, Value::text("")),
                        None => (Value::Number(-1.0), Value::Null),
                    };
                    [("offset", offset), ("string", string), ("length", Value::Number(0.0)), ("name", name)]
                }
            };
            captures.push(Value::object(run, fields.map(|(name, value)| (key(name), value)))?);
        }
    }
    let captures = Value::array(run, captures)?;
    let fields = [
        ("offset", characters(run, &text[..first])?),
        ("length", characters(run, &text[first..upto])?),
        ("string", Value::text(&text[first..upto])),
        ("captures", captures),
    ];
    run.take_bytes(upto - first)?;
    Value::object(run, fields.map(|(name, value)| (key(name), value)))
}

fn field(run: &mut Run, of: &Value, name: &str) -> Result<Value, Stop> {
    paths::get(run, of, &Value::text(name))
}

fn captures(run: &mut Run, found: &Value) -> Result<Vec<Value>, Stop> {
    match field(run, found, "captures")? {
        Value::Array(captures) => Ok(captures.to_vec()),
        _ => Ok(Vec::new()),
    }
}

/// The named groups of a match as an object.
pub fn captured(run: &mut Run, found: &Value) -> Result<Value, Stop> {
    let mut named = Value::empty_object();
    for capture in captures(run, found)? {
        if let Value::String(name) = field(run, &capture, "name")? {
            let text = field(run, &capture, "string")?;
            named = named.with_field(run, name, text)?;
        }
    }
    Ok(named)
}

/// What `scan` gives for a match: its groups if the pattern has any, else its text.
pub fn scanned(run: &mut Run, found: &Value) -> Result<Value, Stop> {
    let groups = captures(run, found)?;
    if groups.is_empty() {
        return field(run, found, "string");
    }
    let texts = groups.iter().map(|group| field(run, group, "string")).collect::<Result<_, _>>()?;
    Value::array(run, texts)
}

/// Where a match begins and ends.
pub fn bounds(run: &mut Run, found: &Value) -> Result<(usize, usize), Stop> {
    match (field(run, found, "offset")?, field(run, found, "length")?) {
        (Value::Number(offset), Value::Number(length)) => Ok((offset as usize, (offset + length) as usize)),
        _ => Ok((0, 0)),
    }
}

/// Code points `first` up to `upto` of `text`.
pub fn part(run: &mut Run, text: &str, first: usize, upto: usize) -> Result<Value, Stop> {
    run.take_bytes(text.len())?;
    let part: String = text.chars().skip(first).take(upto.saturating_sub(first)).collect();
    Ok(Value::String(part.into()))
}

/// The parts of the text `input` between `matches`.
pub fn between(run: &mut Run, input: &Value, matches: &Value) -> Result<Value, Stop> {
    let (Value::String(text), Value::Array(matches)) = (input, matches) else {
        return Ok(Value::empty_array());
    };
    let (mut parts, mut from) = (Vec::new(), 0);
    for found in matches.iter() {
        let (first, upto) = bounds(run, found)?;
        parts.push(part(run, text, from, first)?);
        from = upto;
    }
    parts.push(part(run, text, from, text.chars().count())?);
    Value::array(run, parts)
}
