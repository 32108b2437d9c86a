//! Reading, setting and deleting by key and by path, with jq's errors.
//!
//! A path is an array of keys: strings, numbers, and objects `{start, end}` for slices.

use super::limits::{Run, Stop};
use super::value::{Value, sorted};
use std::sync::Arc;

/// Longest path that is followed; no value is as deep.
const MAX_PATH: usize = 600;
/// Length that a field name in a message must stay below.
const SHOWN_KEY_BYTES: usize = 30;
/// Largest index that an element can be set at.
const MAX_INDEX: f64 = 1e7;

/// Where a slice of `of` begins and ends; none if its bounds are no numbers.
fn slice_bounds(of: &Value, slice: &Value) -> Option<(usize, usize)> {
    let Value::Object(slice) = slice else { return None };
    let length = match of {
        Value::Array(list) => list.len(),
        Value::String(text) => text.chars().count(),
        _ => return None,
    } as f64;
    let bound = |name: &str, default: f64| match slice.get(name) {
        Some(Value::Null) => Some(default),
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let (mut start, mut end) = (bound("start", 0.0)?, bound("end", length)?);
    if start < 0.0 {
        start += length;
    }
    if end < 0.0 {
        end += length;
    }
    let start = start.clamp(0.0, length).floor();
    let end = if end > length { length } else { end.ceil().max(0.0) };
    let end = end.max(start);
    Some((start as usize, end as usize))
}

/// Whether `number` is whole and an `int` of C.
fn whole(number: f64) -> Option<i64> {
    let in_range = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
    (in_range && number.trunc() == number).then_some(number as i64)
}

/// `of[key]`.
pub fn get(run: &mut Run, of: &Value, key: &Value) -> Result<Value, Stop> {
    match (of, key) {
        (Value::Object(map), Value::String(key)) => Ok(map.get(&**key).cloned().unwrap_or(Value::Null)),
        (Value::Array(list), Value::Number(number)) => {
            let at = whole(*number).map(|at| if at < 0 { at + list.len() as i64 } else { at });
            let at = at.and_then(|at| usize::try_from(at).ok());
            Ok(at.and_then(|at| list.get(at)).cloned().unwrap_or(Value::Null))
        }
        (Value::Array(list), Value::Object(_)) => {
            let (start, end) = slice_bounds(of, key)
                .ok_or_else(|| Stop::error("Start and end indices of an array slice must be numbers"))?;
            Value::array(run, list[start..end].to_vec())
        }
        (Value::String(text), Value::Object(_)) => {
            run.take_steps(text.len() as u64 / 32)?;
            let (start, end) = slice_bounds(of, key)
                .ok_or_else(|| Stop::error("Start and end indices of an string slice must be numbers"))?;
            let part: String = text.chars().skip(start).take(end - start).collect();
            run.take_bytes(part.len())?;
            Ok(Value::String(part.into()))
        }
        (Value::Array(list), Value::Array(part)) => {
            run.take_steps((list.len() * part.len().max(1)) as u64)?;
            let found = (0..list.len()).filter(|at| {
                !part.is_empty()
                    && part.iter().enumerate().all(|(i, item)| list.get(at + i).is_some_and(|other| other.equals(item)))
            });
            let found = found.map(|at| Value::Number(at as f64)).collect();
            Value::array(run, found)
        }
        (Value::Null, Value::String(_) | Value::Number(_) | Value::Object(_)) => Ok(Value::Null),
        (_, Value::String(key)) if key.len() < SHOWN_KEY_BYTES => {
            let key = key.split('\0').next().unwrap_or_default();
            Err(Stop::error(format!("Cannot index {} with string \"{key}\"", of.kind())))
        }
        _ => Err(Stop::error(format!("Cannot index {} with {}", of.kind(), key.kind()))),
    }
}

/// `of` with `of[key]` set to `value`.
pub fn set(run: &mut Run, of: Value, key: &Value, value: Value) -> Result<Value, Stop> {
    match (&of, key) {
        (Value::Object(_) | Value::Null, Value::String(key)) => {
            let of = if matches!(of, Value::Null) { Value::empty_object() } else { of };
            of.with_field(run, key.clone(), value)
        }
        (Value::Array(_) | Value::Null, Value::Number(number)) => {
            let of = if matches!(of, Value::Null) { Value::empty_array() } else { of };
            let Value::Array(list) = &of else { return Ok(of) };
            if number.is_nan() || *number > MAX_INDEX {
                return Err(Stop::Limit("an index is too large"));
            }
            let mut at = *number as i64;
            if at < 0 {
                at += list.len() as i64;
            }
            match usize::try_from(at) {
                Ok(at) => of.with_item(run, at, value),
                Err(_) => Err(Stop::error("Out of bounds negative array index")),
            }
        }
        (Value::Array(_) | Value::Null, Value::Object(_)) => {
            let of = if matches!(of, Value::Null) { Value::empty_array() } else { of };
            let (start, end) = slice_bounds(&of, key)
                .ok_or_else(|| Stop::error("Start and end indices of an array slice must be numbers"))?;
            match (&of, &value) {
                (Value::Array(list), Value::Array(part)) => {
                    let parts = [&list[..start], &part[..], &list[end..]];
                    let items = parts.into_iter().flatten().cloned().collect();
                    Value::array(run, items)
                }
                _ => Err(Stop::error("A slice of an array can only be assigned another array")),
            }
        }
        _ => Err(Stop::error(format!("Cannot update field at {} index of {}", key.kind(), of.kind()))),
    }
}

fn keys<'a>(run: &mut Run, path: &'a Value) -> Result<&'a [Value], Stop> {
    match path {
        Value::Array(keys) if keys.len() > MAX_PATH => Err(Stop::Limit("a path is too long")),
        Value::Array(keys) => {
            run.take_steps(keys.len() as u64)?;
            Ok(keys)
        }
        _ => Err(Stop::error("Path must be specified as an array")),
    }
}

/// The value of `of` at `path`.
pub fn get_path(run: &mut Run, of: &Value, path: &Value) -> Result<Value, Stop> {
    let mut value = of.clone();
    for key in keys(run, path)? {
        value = get(run, &value, key)?;
    }
    Ok(value)
}

/// `of` with `value` at `path`.
pub fn set_path(run: &mut Run, of: Value, path: &Value, value: Value) -> Result<Value, Stop> {
    fn set_keys(run: &mut Run, of: Value, keys: &[Value], value: Value) -> Result<Value, Stop> {
        let Some((first, rest)) = keys.split_first() else {
            return Ok(value);
        };
        let inside = get(run, &of, first)?;
        let inside = set_keys(run, inside, rest, value)?;
        set(run, of, first, inside)
    }
    let keys = keys(run, path)?;
    set_keys(run, of, keys, value)
}

/// `of` without what is at `paths`.
pub fn delete_paths(run: &mut Run, of: Value, paths: &Value) -> Result<Value, Stop> {
    let Value::Array(paths) = paths else {
        return Err(Stop::error("Paths must be specified as an array"));
    };
    run.take_steps(paths.iter().map(Value::weight).sum())?;
    let mut sorted_paths = Vec::new();
    for at in sorted(paths) {
        let Value::Array(keys) = &paths[at] else {
            let kind = paths[at].kind();
            return Err(Stop::error(format!("Path must be specified as array, not {kind}")));
        };
        if keys.len() > MAX_PATH {
            return Err(Stop::Limit("a path is too long"));
        }
        sorted_paths.push(&keys[..]);
    }
    if sorted_paths.first().is_some_and(|keys| keys.is_empty()) {
        return Ok(Value::Null);
    }
    delete_sorted(run, of, &sorted_paths, 0)
}

fn delete_sorted(run: &mut Run, mut of: Value, paths: &[&[Value]], depth: usize) -> Result<Value, Stop> {
    let mut whole = Vec::new();
    let mut at = 0;
    while let Some(path) = paths.get(at) {
        let key = &path[depth];
        let same = paths[at..].iter().take_while(|other| other[depth].equals(key)).count().max(1);
        if path.len() == depth + 1 {
            whole.push(key.clone());
        } else {
            let inside = get(run, &of, key)?;
            if !matches!(inside, Value::Null) {
                let inside = delete_sorted(run, inside, &paths[at..at + same], depth + 1)?;
                of = set(run, of, key, inside)?;
            }
        }
        at += same;
    }
    delete_keys(run, of, &whole)
}

fn delete_keys(run: &mut Run, mut of: Value, keys: &[Value]) -> Result<Value, Stop> {
    if keys.is_empty() || matches!(of, Value::Null) {
        return Ok(of);
    }
    run.take_steps(keys.len() as u64)?;
    match &of {
        Value::Object(_) => {
            for key in keys {
                let Value::String(key) = key else {
                    return Err(Stop::error(format!("Cannot delete {} field of object", key.kind())));
                };
                of = of.without_field(run, key)?;
            }
            Ok(of)
        }
        Value::Array(list) => {
            let mut gone = vec![false; list.len()];
            run.take_steps(list.len() as u64)?;
            for key in keys {
                match key {
                    Value::Number(number) => {
                        let at = if *number < 0.0 { *number as i64 + list.len() as i64 } else { *number as i64 };
                        if let Some(gone) = usize::try_from(at).ok().and_then(|at| gone.get_mut(at)) {
                            *gone = true;
                        }
                    }
                    Value::Object(_) => {
                        let (start, end) = slice_bounds(&of, key)
                            .ok_or_else(|| Stop::error("Start and end indices of an array slice must be numbers"))?;
                        run.take_steps((end - start) as u64)?;
                        gone[start..end].fill(true);
                    }
                    _ => return Err(Stop::error(format!("Cannot delete {} element of array", key.kind()))),
                }
            }
            let kept = list.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(item, _)| item.clone()).collect();
            Value::array(run, kept)
        }
        _ => Err(Stop::error(format!("Cannot delete fields from {}", of.kind()))),
    }
}

/// Whether `of` has `key`.
pub fn has(of: &Value, key: &Value) -> Result<bool, Stop> {
    match (of, key) {
        (Value::Null, _) => Ok(false),
        (Value::Object(map), Value::String(key)) => Ok(map.contains_key(&**key)),
        (Value::Array(list), Value::Number(number)) => {
            let at = *number as i64;
            Ok(!number.is_nan() && usize::try_from(at).is_ok_and(|at| at < list.len()))
        }
        _ => Err(Stop::error(format!("Cannot check whether {} has a {} key", of.kind(), key.kind()))),
    }
}

/// The key of a slice.
pub fn slice_key(run: &mut Run, from: Value, upto: Value) -> Result<Value, Stop> {
    Value::object(run, [(Arc::from("start"), from), (Arc::from("end"), upto)])
}
