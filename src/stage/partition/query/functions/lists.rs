//! Functions of arrays and objects.

use super::super::limits::{Run, Stop};
use super::super::paths;
use super::super::text::{self, type_error, type_error2};
use super::super::value::{Value, sorted};
use super::{Made, PART_BYTES};
use std::sync::Arc;

pub(super) fn keys(run: &mut Run, input: &Value, in_order: bool) -> Made {
    let keys = match input {
        Value::Object(map) if in_order => map.sorted_keys().into_iter().map(Value::String).collect(),
        Value::Object(map) => map.keys().cloned().map(Value::String).collect(),
        Value::Array(list) => (0..list.len()).map(|at| Value::Number(at as f64)).collect(),
        _ => return Err(type_error(input, "has no keys")),
    };
    Value::array(run, keys)
}

pub(super) fn contains(run: &mut Run, whole: &Value, part: &Value) -> Result<bool, Stop> {
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

pub(super) fn items(input: &Value) -> Result<Vec<Value>, Stop> {
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

pub(super) fn indices(run: &mut Run, input: &Value, arguments: &[Value]) -> Made {
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

pub(super) fn flatten(run: &mut Run, input: &Value, depth: f64, out: &mut Vec<Value>) -> Result<(), Stop> {
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

pub(super) fn both_arrays<'a>(a: &'a Value, b: &'a Value) -> Option<(&'a [Value], &'a [Value])> {
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

pub(super) fn sort(run: &mut Run, list: &[Value], keys: &[Value]) -> Made {
    take_sorting(run, keys)?;
    let items = sorted(keys).into_iter().map(|at| list[at].clone()).collect();
    Value::array(run, items)
}

pub(super) fn group(run: &mut Run, list: &[Value], keys: &[Value]) -> Made {
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

pub(super) fn extreme(run: &mut Run, input: &Value, keys: &Value, least: bool) -> Made {
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
