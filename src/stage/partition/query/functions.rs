//! Functions and operators of values: input and arguments in, one value out.
//!
//! Each does what the C function of jq 1.6 does, messages included. Those that need expressions are in `eval`, those made
//! of others in `library`; paths, formats, dates and matches have files of their own.

use super::dates;
use super::json;
use super::limits::{Run, Stop};
use super::matching;
use super::paths;
use super::text::{self, type_error, type_error2};
use super::value::{Value, sorted};
use std::sync::Arc;

type Made = Result<Value, Stop>;

/// What a small part of a string costs as a value of its own.
const PART_BYTES: usize = 32;

/// A function: the run, the input, the arguments.
pub type Call = fn(&mut Run, &Value, &[Value]) -> Made;

/// A function with its name.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub call: Call,
}

const FUNCTIONS: &[(&str, usize, Call)] = &[
    ("not", 0, |_, input, _| Ok(Value::Bool(!input.truthy()))),
    ("length", 0, length),
    ("utf8bytelength", 0, |_, input, _| match input {
        Value::String(text) => Ok(Value::Number(text.len() as f64)),
        _ => Err(type_error(input, "only strings have UTF-8 byte length")),
    }),
    ("type", 0, |_, input, _| Ok(Value::text(input.kind()))),
    ("tostring", 0, |run, input, _| match input {
        Value::String(_) => Ok(input.clone()),
        _ => Ok(Value::String(text::json(run, input)?.into())),
    }),
    ("tojson", 0, |run, input, _| Ok(Value::String(text::json(run, input)?.into()))),
    ("fromjson", 0, |run, input, _| match input {
        Value::String(content) => from_json(run, content),
        _ => Err(type_error(input, "only strings can be parsed")),
    }),
    ("tonumber", 0, to_number),
    ("keys", 0, |run, input, _| keys(run, input, true)),
    ("keys_unsorted", 0, |run, input, _| keys(run, input, false)),
    ("has", 1, |_, input, arguments| paths::has(input, &arguments[0]).map(Value::Bool)),
    ("contains", 1, |run, input, arguments| {
        let part = &arguments[0];
        if input.rank() != part.rank() {
            return Err(type_error2(input, part, "cannot have their containment checked"));
        }
        contains(run, input, part).map(Value::Bool)
    }),
    ("startswith", 1, |_, input, arguments| match (input, &arguments[0]) {
        (Value::String(text), Value::String(start)) => Ok(Value::Bool(text.starts_with(&**start))),
        _ => Err(Stop::error("startswith() requires string inputs")),
    }),
    ("endswith", 1, |_, input, arguments| match (input, &arguments[0]) {
        (Value::String(text), Value::String(end)) => Ok(Value::Bool(text.ends_with(&**end))),
        _ => Err(Stop::error("endswith() requires string inputs")),
    }),
    ("ltrimstr", 1, |_, input, arguments| match (input, &arguments[0]) {
        (Value::String(text), Value::String(start)) => {
            Ok(text.strip_prefix(&**start).map_or_else(|| input.clone(), Value::text))
        }
        _ => Ok(input.clone()),
    }),
    ("rtrimstr", 1, |_, input, arguments| match (input, &arguments[0]) {
        (Value::String(text), Value::String(end)) => {
            Ok(text.strip_suffix(&**end).map_or_else(|| input.clone(), Value::text))
        }
        _ => Ok(input.clone()),
    }),
    ("split", 1, |run, input, arguments| match (input, &arguments[0]) {
        (Value::String(text), Value::String(separator)) => split(run, text, separator),
        _ => Err(Stop::error("split input and separator must be strings")),
    }),
    ("join", 1, join),
    ("explode", 0, |run, input, _| match input {
        Value::String(text) => {
            run.take_bytes(text.len() * PART_BYTES)?;
            let codes = text.chars().map(|c| Value::Number(f64::from(c as u32))).collect();
            Value::array(run, codes)
        }
        _ => Err(Stop::error("explode input must be a string")),
    }),
    ("implode", 0, implode),
    ("ascii_downcase", 0, |run, input, _| ascii(run, input, str::to_ascii_lowercase)),
    ("ascii_upcase", 0, |run, input, _| ascii(run, input, str::to_ascii_uppercase)),
    ("indices", 1, indices),
    ("flatten", 0, |run, input, _| {
        let mut out = Vec::new();
        flatten(run, input, -1.0, &mut out)?;
        Value::array(run, out)
    }),
    ("flatten", 1, |run, input, arguments| match &arguments[0] {
        Value::Number(depth) if *depth >= 0.0 => {
            let mut out = Vec::new();
            flatten(run, input, *depth, &mut out)?;
            Value::array(run, out)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Err(Stop::error("flatten depth must not be negative")),
        other => Err(type_error2(other, &Value::Number(1.0), "cannot be subtracted")),
    }),
    ("setpath", 2, |run, input, arguments| paths::set_path(run, input.clone(), &arguments[0], arguments[1].clone())),
    ("delpaths", 1, |run, input, arguments| paths::delete_paths(run, input.clone(), &arguments[0])),
    ("sort", 0, |run, input, _| match input {
        Value::Array(list) => sort(run, list, list),
        _ => Err(type_error(input, "cannot be sorted, as it is not an array")),
    }),
    ("_sort_by", 1, |run, input, arguments| match both_arrays(input, &arguments[0]) {
        Some((list, keys)) => sort(run, list, keys),
        None => Err(type_error2(input, &arguments[0], "cannot be sorted, as they are not both arrays")),
    }),
    ("_group_by", 1, |run, input, arguments| match both_arrays(input, &arguments[0]) {
        Some((list, keys)) => group(run, list, keys),
        None => Err(type_error2(input, &arguments[0], "cannot be sorted, as they are not both arrays")),
    }),
    ("min", 0, |run, input, _| extreme(run, input, input, true)),
    ("max", 0, |run, input, _| extreme(run, input, input, false)),
    ("_min_by", 1, |run, input, arguments| extreme(run, input, &arguments[0], true)),
    ("_max_by", 1, |run, input, arguments| extreme(run, input, &arguments[0], false)),
    ("floor", 0, |_, input, _| mathematics(input, f64::floor)),
    ("ceil", 0, |_, input, _| mathematics(input, f64::ceil)),
    ("round", 0, |_, input, _| mathematics(input, f64::round)),
    ("trunc", 0, |_, input, _| mathematics(input, f64::trunc)),
    ("fabs", 0, |_, input, _| mathematics(input, f64::abs)),
    ("sqrt", 0, |_, input, _| mathematics(input, f64::sqrt)),
    ("infinite", 0, |_, _, _| Ok(Value::Number(f64::INFINITY))),
    ("nan", 0, |_, _, _| Ok(Value::Number(f64::NAN))),
    ("isinfinite", 0, |_, input, _| Ok(Value::Bool(matches!(input, Value::Number(n) if n.is_infinite())))),
    ("isnan", 0, |_, input, _| match input {
        Value::Number(number) => Ok(Value::Bool(number.is_nan())),
        _ => Ok(Value::Bool(false)),
    }),
    ("isnormal", 0, |_, input, _| Ok(Value::Bool(matches!(input, Value::Number(n) if n.is_normal())))),
    ("strftime", 1, dates::strftime),
    ("strptime", 1, dates::strptime),
    ("gmtime", 0, |run, input, _| dates::gmtime(run, input)),
    ("mktime", 0, |_, input, _| dates::mktime(input)),
    ("_captured", 0, |run, input, _| matching::captured(run, input)),
    ("_scanned", 0, |run, input, _| matching::scanned(run, input)),
    ("_between", 1, |run, input, arguments| matching::between(run, input, &arguments[0])),
];

/// The function `name` of that many arguments.
pub fn named(name: &str, arity: usize) -> Option<Function> {
    let known = FUNCTIONS.iter().find(|(other, count, _)| *other == name && *count == arity);
    known.map(|(name, _, call)| Function { name, call: *call })
}

/// The function of a binary operator.
pub fn operator(sign: &str) -> Option<Function> {
    let (name, call): (_, Call) = match sign {
        "+" => ("+", plus),
        "-" => ("-", minus),
        "*" => ("*", multiply),
        "/" => ("/", divide),
        "%" => ("%", modulo),
        "==" => ("==", |run, _, a| compare(run, a, |a, b| a.equals(b))),
        "!=" => ("!=", |run, _, a| compare(run, a, |a, b| !a.equals(b))),
        "<" => ("<", |run, _, a| compare(run, a, |a, b| a.order(b).is_lt())),
        "<=" => ("<=", |run, _, a| compare(run, a, |a, b| a.order(b).is_le())),
        ">" => (">", |run, _, a| compare(run, a, |a, b| a.order(b).is_gt())),
        ">=" => (">=", |run, _, a| compare(run, a, |a, b| a.order(b).is_ge())),
        _ => return None,
    };
    Some(Function { name, call })
}

fn compare(run: &mut Run, operands: &[Value], holds: fn(&Value, &Value) -> bool) -> Made {
    run.take_steps(operands[0].weight().min(operands[1].weight()))?;
    Ok(Value::Bool(holds(&operands[0], &operands[1])))
}

fn concatenated(run: &mut Run, a: &str, b: &str) -> Made {
    run.take_bytes(a.len() + b.len())?;
    let mut text = String::with_capacity(a.len() + b.len());
    text.push_str(a);
    text.push_str(b);
    Ok(Value::String(text.into()))
}

fn plus(run: &mut Run, _: &Value, operands: &[Value]) -> Made {
    match (&operands[0], &operands[1]) {
        (Value::Null, other) | (other, Value::Null) => Ok(other.clone()),
        (Value::Number(a), Value::Number(b)) => Ok(Value::Number(a + b)),
        (Value::String(a), Value::String(b)) => concatenated(run, a, b),
        (a @ Value::Array(_), Value::Array(b)) => a.clone().with_items(run, b),
        (a @ Value::Object(_), Value::Object(b)) => {
            let mut merged = a.clone();
            for (key, value) in b.iter() {
                merged = merged.with_field(run, key.clone(), value.clone())?;
            }
            Ok(merged)
        }
        (a, b) => Err(type_error2(a, b, "cannot be added")),
    }
}

fn minus(run: &mut Run, _: &Value, operands: &[Value]) -> Made {
    match (&operands[0], &operands[1]) {
        (Value::Number(a), Value::Number(b)) => Ok(Value::Number(a - b)),
        (Value::Array(a), Value::Array(b)) => {
            run.take_steps((a.len() * b.len()) as u64)?;
            let kept = a.iter().filter(|item| !b.iter().any(|other| item.equals(other))).cloned().collect();
            Value::array(run, kept)
        }
        (a, b) => Err(type_error2(a, b, "cannot be subtracted")),
    }
}

fn multiply(run: &mut Run, _: &Value, operands: &[Value]) -> Made {
    match (&operands[0], &operands[1]) {
        (Value::Number(a), Value::Number(b)) => Ok(Value::Number(a * b)),
        (Value::String(text), Value::Number(times)) | (Value::Number(times), Value::String(text)) => {
            let more = times - 1.0;
            if !(-1e9..=1e9).contains(&more) {
                return Err(Stop::Limit("a string is repeated too often"));
            }
            // The count is an int of C, cut towards zero, and one below zero gives null.
            let more = more as i64;
            if more < 0 {
                return Ok(Value::Null);
            }
            let times = more as usize + 1;
            run.take_bytes(times.saturating_mul(text.len()))?;
            Ok(Value::String(text.repeat(times).into()))
        }
        (a @ Value::Object(_), b @ Value::Object(_)) => merge(run, a.clone(), b),
        (a, b) => Err(type_error2(a, b, "cannot be multiplied")),
    }
}

fn merge(run: &mut Run, mut a: Value, b: &Value) -> Made {
    let Value::Object(fields) = b else { return Ok(a) };
    for (key, value) in fields.iter() {
        let inside = match &a {
            Value::Object(map) => map.get(&**key).cloned(),
            _ => None,
        };
        let merged = match inside {
            Some(inside @ Value::Object(_)) if matches!(value, Value::Object(_)) => merge(run, inside, value)?,
            _ => value.clone(),
        };
        a = a.with_field(run, key.clone(), merged)?;
    }
    Ok(a)
}

fn divide(run: &mut Run, _: &Value, operands: &[Value]) -> Made {
    match (&operands[0], &operands[1]) {
        (Value::Number(_), Value::Number(0.0)) => {
            Err(type_error2(&operands[0], &operands[1], "cannot be divided because the divisor is zero"))
        }
        (Value::Number(a), Value::Number(b)) => Ok(Value::Number(a / b)),
        (Value::String(a), Value::String(b)) => split(run, a, b),
        (a, b) => Err(type_error2(a, b, "cannot be divided")),
    }
}

/// What a double becomes as an `intmax_t`: outside of its range the lowest.
fn as_integer(number: f64) -> i64 {
    if number.is_nan() || !(i64::MIN as f64..-(i64::MIN as f64)).contains(&number) { i64::MIN } else { number as i64 }
}

fn modulo(_: &mut Run, _: &Value, operands: &[Value]) -> Made {
    match (&operands[0], &operands[1]) {
        (Value::Number(a), Value::Number(b)) => match as_integer(*b) {
            0 => Err(type_error2(
                &operands[0],
                &operands[1],
                "cannot be divided (remainder) because the divisor is zero",
            )),
            divisor => Ok(Value::Number(as_integer(*a).wrapping_rem(divisor) as f64)),
        },
        (a, b) => Err(type_error2(a, b, "cannot be divided (remainder)")),
    }
}

fn length(run: &mut Run, input: &Value, _: &[Value]) -> Made {
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

fn from_json(run: &mut Run, content: &str) -> Made {
    run.take_bytes(content.len().saturating_mul(4))?;
    json::parse(content.as_bytes()).map_err(|why| Stop::error(format!("{why} (while parsing '{content}')")))
}

fn to_number(run: &mut Run, input: &Value, _: &[Value]) -> Made {
    match input {
        Value::Number(_) => Ok(input.clone()),
        Value::String(content) => match from_json(run, content.split('\0').next().unwrap_or_default())? {
            number @ Value::Number(_) => Ok(number),
            _ => Err(type_error(input, "cannot be parsed as a number")),
        },
        _ => Err(type_error(input, "cannot be parsed as a number")),
    }
}

fn keys(run: &mut Run, input: &Value, in_order: bool) -> Made {
    let keys = match input {
        Value::Object(map) if in_order => map.sorted_keys().into_iter().map(Value::String).collect(),
        Value::Object(map) => map.keys().cloned().map(Value::String).collect(),
        Value::Array(list) => (0..list.len()).map(|at| Value::Number(at as f64)).collect(),
        _ => return Err(type_error(input, "has no keys")),
    };
    Value::array(run, keys)
}

fn contains(run: &mut Run, whole: &Value, part: &Value) -> Result<bool, Stop> {
    run.take_steps(1)?;
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, part) in part.iter() {
                match whole.get(&**key) {
                    Some(whole) if whole.rank() == part.rank() && contains(run, whole, part)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::Array(whole), Value::Array(part)) => {
            'part: for part in part.iter() {
                for whole in whole.iter() {
                    if whole.rank() == part.rank() && contains(run, whole, part)? {
                        continue 'part;
                    }
                }
                return Ok(false);
            }
            Ok(true)
        }
        (Value::String(whole), Value::String(part)) => {
            run.take_steps((whole.len() + part.len()) as u64 / 32)?;
            // C strings end at their first NUL.
            let cut = |text: &Arc<str>| text.split('\0').next().unwrap_or_default().to_owned();
            Ok(cut(whole).contains(&cut(part)))
        }
        _ => Ok(whole.equals(part)),
    }
}

fn split(run: &mut Run, text: &str, separator: &str) -> Made {
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

fn items(input: &Value) -> Result<Vec<Value>, Stop> {
    match input {
        Value::Array(list) => Ok(list.to_vec()),
        Value::Object(map) => Ok(map.values().cloned().collect()),
        _ => Err(not_iterable(input)),
    }
}

/// The error of `.[]` on a scalar.
pub fn not_iterable(input: &Value) -> Stop {
    Stop::error(format!("Cannot iterate over {}", text::shown(input)))
}

fn join(run: &mut Run, input: &Value, arguments: &[Value]) -> Made {
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

fn implode(run: &mut Run, input: &Value, _: &[Value]) -> Made {
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

fn ascii(run: &mut Run, input: &Value, change: fn(&str) -> String) -> Made {
    match input {
        Value::String(text) => {
            run.take_bytes(text.len())?;
            Ok(Value::String(change(text).into()))
        }
        _ => Err(Stop::error("explode input must be a string")),
    }
}

fn indices(run: &mut Run, input: &Value, arguments: &[Value]) -> Made {
    match (input, &arguments[0]) {
        (Value::Array(_), part @ Value::Array(_)) => paths::get(run, input, part),
        (Value::Array(_), item) => {
            let part = Value::array(run, vec![item.clone()])?;
            paths::get(run, input, &part)
        }
        (Value::String(text), Value::String(part)) => {
            if part.is_empty() {
                return Err(Stop::Limit("an empty string is looked for"));
            }
            run.take_bytes(text.len() * PART_BYTES / part.len())?;
            let found = text.match_indices(&**part).map(|(at, _)| Value::Number(at as f64)).collect();
            Value::array(run, found)
        }
        (_, key) => paths::get(run, input, key),
    }
}

fn flatten(run: &mut Run, input: &Value, depth: f64, out: &mut Vec<Value>) -> Result<(), Stop> {
    for item in items(input)? {
        run.take_steps(1)?;
        if matches!(item, Value::Array(_)) && depth != 0.0 {
            flatten(run, &item, depth - 1.0, out)?;
        } else {
            out.push(item);
        }
    }
    Ok(())
}

fn both_arrays<'a>(a: &'a Value, b: &'a Value) -> Option<(&'a [Value], &'a [Value])> {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => Some((a, b)),
        _ => None,
    }
}

/// Steps of sorting by `keys`.
fn take_sorting(run: &mut Run, keys: &[Value]) -> Result<(), Stop> {
    let rounds = u64::from(usize::BITS - keys.len().leading_zeros());
    run.take_steps(keys.iter().map(Value::weight).sum::<u64>().saturating_mul(rounds))
}

fn sort(run: &mut Run, list: &[Value], keys: &[Value]) -> Made {
    take_sorting(run, keys)?;
    let items = sorted(keys).into_iter().map(|at| list[at].clone()).collect();
    Value::array(run, items)
}

fn group(run: &mut Run, list: &[Value], keys: &[Value]) -> Made {
    take_sorting(run, keys)?;
    let mut groups: Vec<(&Value, Vec<Value>)> = Vec::new();
    for at in sorted(keys) {
        match groups.last_mut() {
            Some((key, group)) if key.equals(&keys[at]) => group.push(list[at].clone()),
            _ => groups.push((&keys[at], vec![list[at].clone()])),
        }
    }
    let groups = groups.into_iter().map(|(_, group)| Value::array(run, group)).collect::<Result<_, _>>()?;
    Value::array(run, groups)
}

fn extreme(run: &mut Run, input: &Value, keys: &Value, least: bool) -> Made {
    let (Value::Array(list), Value::Array(ranks)) = (input, keys) else {
        return Err(type_error2(input, keys, "cannot be iterated over"));
    };
    if list.len() != ranks.len() {
        return Err(type_error2(input, keys, "have wrong length"));
    }
    run.take_steps(ranks.iter().map(Value::weight).sum())?;
    let mut best = 0;
    for at in 1..list.len() {
        if ranks[at].order(&ranks[best]).is_lt() == least {
            best = at;
        }
    }
    Ok(list.get(best).cloned().unwrap_or(Value::Null))
}

fn mathematics(input: &Value, function: fn(f64) -> f64) -> Made {
    match input {
        Value::Number(number) => Ok(Value::Number(function(*number))),
        _ => Err(type_error(input, "number required")),
    }
}

/// Whether the function looks at its arguments alone.
pub fn is_operator(name: &str) -> bool {
    operator(name).is_some()
}
