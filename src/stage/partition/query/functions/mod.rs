//! Functions and operators of values: input and arguments in, one value out.
//!
//! `operators`, `strings` and `lists` have those that take more than a line. Each does what the C function of jq 1.6 does, messages included. Those that need expressions are in `eval`, those made
//! of others in `library`; paths, formats, dates and matches have files of their own.

mod lists;
mod operators;
mod strings;

use super::dates;
use super::limits::{Run, Stop};
use super::matching;
use super::paths;
use super::text::{self, type_error, type_error2};
use super::value::Value;
pub use lists::not_iterable;
use lists::{both_arrays, contains, extreme, flatten, group, indices, keys, sort};
pub use operators::{is_operator, operator};
use strings::{ascii, from_json, implode, join, length, split, to_number};

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

fn mathematics(input: &Value, function: fn(f64) -> f64) -> Made {
    match input {
        Value::Number(number) => Ok(Value::Number(function(*number))),
        _ => Err(type_error(input, "number required")),
    }
}
