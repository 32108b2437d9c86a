//! Values as jq 1.6 prints them: numbers, compact JSON, the shortened form in messages.

use super::limits::{Run, Stop};
use super::value::Value;
use std::fmt::Write;

/// Bytes of a value repeated in a message, the closing NUL of jq's buffer counted.
const SHOWN_BYTES: usize = 15;

/// Appends `number`: the shortest digits that read back as the same double, with an exponent from 10^17 and below 10^-5
/// on; infinities as the largest double, NaN as null.
pub fn push_number(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("null");
        return;
    }
    let number = number.clamp(-f64::MAX, f64::MAX);
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < 1 << 53 && (whole != 0 || number.is_sign_positive()) {
        let _ = write!(out, "{whole}");
        return;
    }
    let shortest = format!("{:e}", number.abs());
    // Where two are as short and as near jq takes the even one, which rounding to as many digits does.
    let count = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let rounded = format!("{:.*e}", count - 1, number.abs());
    let scientific = if rounded.parse() == Ok(number.abs()) { rounded } else { shortest };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = if digits.len() > 1 { digits.trim_end_matches('0') } else { &digits };
    let count = digits.len() as i32;
    if number.is_sign_negative() {
        out.push('-');
    }
    if point <= -4 || point > count + 15 {
        out.push_str(&digits[..1]);
        if count > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let exponent = point - 1;
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    } else if point <= 0 {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(digits);
    } else if point < count {
        out.push_str(&digits[..point as usize]);
        out.push('.');
        out.push_str(&digits[point as usize..]);
    } else {
        out.push_str(digits);
        (count..point).for_each(|_| out.push('0'));
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => push_number(out, *number),
        Value::String(text) => push_string(out, text),
        Value::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_string(out, key);
                out.push(':');
                push_json(out, value);
            }
            out.push('}');
        }
    }
}

/// `tojson`.
pub fn json(run: &mut Run, value: &Value) -> Result<String, Stop> {
    run.take_steps(value.weight())?;
    let mut out = String::new();
    push_json(&mut out, value);
    run.take_bytes(out.len())?;
    Ok(out)
}

/// `tostring`: a string as it is, everything else as JSON.
pub fn plain(run: &mut Run, value: &Value) -> Result<String, Stop> {
    match value {
        Value::String(text) => {
            run.take_bytes(text.len())?;
            Ok(text.to_string())
        }
        other => json(run, other),
    }
}

/// The JSON as messages show it, at most `bytes - 1` bytes of it.
pub fn shown_in(value: &Value, bytes: usize) -> String {
    let mut out = String::new();
    push_json(&mut out, value);
    // A C string ends at its first NUL; JSON has none, it is escaped.
    if out.len() < bytes {
        return out;
    }
    let kept = String::from_utf8_lossy(&out.as_bytes()[..bytes - 4]).into_owned();
    kept + "..."
}

/// Kind and shortened JSON, as most messages begin.
pub fn shown(value: &Value) -> String {
    format!("{} ({})", value.kind(), shown_in(value, SHOWN_BYTES))
}

/// The error of a value of the wrong kind.
pub fn type_error(value: &Value, what: &str) -> Stop {
    Stop::error(format!("{} {what}", shown(value)))
}

/// The error of two values that do not go together.
pub fn type_error2(a: &Value, b: &Value, what: &str) -> Stop {
    Stop::error(format!("{} and {} {what}", shown(a), shown(b)))
}
