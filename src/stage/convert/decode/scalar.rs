//! A JSON number, or the content of a string, into a column of a primitive type.
//!
//! Called by `value`. Contract: a value is appended, or the column is as it was, but for bytes without an end.

use super::super::columns::Data;
use super::super::infer::MAX_EXACT;
use super::super::rejection::{Outcome, Rejection, mismatch};
use super::super::rules::Dialect;
use super::super::schema::HiveType;
use super::number::Number;
use super::timestamp;

/// Appends a JSON number.
#[inline(always)]
pub fn from_number(data: &mut Data, kind: &HiveType, number: &Number, dialect: &Dialect) -> Outcome<()> {
    let out = || mismatch(kind, number.text, "is out of range");
    match data {
        Data::Ints { values, least } => {
            let value = number.as_i64().and_then(|value| i32::try_from(value).ok());
            let value = value.filter(|value| (*least..=-1 - *least).contains(value));
            values.push(value.ok_or_else(|| no_integer(kind, number))?);
        }
        Data::Longs(values) => {
            if !number.whole && is_strict(dialect) {
                return Err(mismatch(kind, number.text, "has a fraction or an exponent"));
            }
            values.push(number.as_i64().ok_or_else(|| no_integer(kind, number))?);
        }
        Data::Floats(values) => values.push(number.as_f32().ok_or_else(out)?),
        Data::Doubles(values) => {
            if number.whole && !(number.exact && number.digits <= MAX_EXACT) && is_strict(dialect) {
                return Err(mismatch(kind, number.text, "is not exact as a double"));
            }
            values.push(number.as_f64().ok_or_else(out)?);
        }
        Data::Decimals { values, bound, scale } => {
            let value = number.scaled(u32::from(*scale), true).map(|(value, _)| value);
            let value = value.filter(|value| (-*bound + 1..*bound).contains(value));
            values.push(value.ok_or_else(out)?);
        }
        Data::Instants(values) => {
            let value = match dialect {
                Dialect::OpenX | Dialect::Strict(_) => timestamp::epoch(number),
                Dialect::Hive(formats) => formats.iter().find_map(|format| format.parse(number.text)),
            };
            values.push(value.ok_or_else(|| mismatch(kind, number.text, "is not a supported timestamp"))?);
        }
        _ => return Err(mismatch(kind, number.text, "does not fit")),
    }
    Ok(())
}

#[inline]
fn is_strict(dialect: &Dialect) -> bool {
    matches!(dialect, Dialect::Strict(_))
}

/// Why a number is none of an integer column.
#[cold]
fn no_integer(kind: &HiveType, number: &Number) -> Box<Rejection> {
    let fraction = matches!(number.scaled(0, false), Some((_, false)));
    mismatch(kind, number.text, if fraction { "is not a whole number" } else { "is out of range" })
}

/// Appends the content of a string to a column that is not text. `lenient`: numbers and booleans may be strings.
pub fn from_text(data: &mut Data, kind: &HiveType, text: &[u8], lenient: bool, dialect: &Dialect) -> Outcome<()> {
    let wrong = |why| Err(mismatch(kind, text, why));
    match data {
        Data::Days(values) => match timestamp::date(text) {
            Some(day) => values.push(day),
            None => return wrong("is not a date"),
        },
        Data::Instants(values) => {
            let value = match dialect {
                Dialect::OpenX | Dialect::Strict(_) => timestamp::openx(text),
                Dialect::Hive(formats) => {
                    formats.iter().find_map(|format| format.parse(text)).or_else(|| timestamp::sql(text))
                }
            };
            match value {
                Some(value) => values.push(value),
                None => return wrong("is not a supported timestamp"),
            }
        }
        Data::Blobs(blobs) => {
            if *dialect == Dialect::OpenX {
                let base64 = base64_simd::forgiving_decode_to_vec(text);
                match base64 {
                    Ok(bytes) => blobs.bytes.extend_from_slice(&bytes),
                    Err(_) => return wrong("is not base64"),
                }
            } else {
                blobs.bytes.extend_from_slice(text);
            }
            blobs.close();
        }
        _ if !lenient => return wrong("is a string"),
        Data::Booleans(bits) => match text {
            _ if text.eq_ignore_ascii_case(b"true") => bits.push(true),
            _ if text.eq_ignore_ascii_case(b"false") => bits.push(false),
            _ => return wrong("is neither true nor false"),
        },
        Data::Floats(values) if special(text).is_some() => values.extend(special(text).map(|value| value as f32)),
        Data::Doubles(values) if special(text).is_some() => values.extend(special(text)),
        _ => match Number::parse(text) {
            Some(number) => return from_number(data, kind, &number, dialect),
            None => return wrong("is not a number"),
        },
    }
    Ok(())
}

/// The doubles that JSON has no number for, as Java writes them.
fn special(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" => Some(f64::NAN),
        b"Infinity" | b"+Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
