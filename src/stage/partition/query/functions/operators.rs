//! Operators of two values.

use super::super::limits::{Run, Stop};
use super::super::text::type_error2;
use super::super::value::Value;
use super::strings::split;
use super::{Call, Function, Made};

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

/// Whether the function looks at its arguments alone.
pub fn is_operator(name: &str) -> bool {
    operator(name).is_some()
}
