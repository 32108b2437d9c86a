//! Random tables and records against serde_json and the rules of conversion written anew over its tree.
//!
//! `HYDRANT_TEST_SEED=n` replays a run; `HYDRANT_TEST_CASES=n` sets the number of tables.

use super::super::encoder;
use super::super::schema::{Field, HiveType, TableSchema};
use super::{hive, openx, read, spec};
use crate::record::Chunk;
use fastrand::Rng;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A JSON value as serde_json reads it, with every entry of an object: each has to fit, the last of a key counts.
#[derive(Debug)]
enum Tree {
    Scalar(Value),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;
        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Scalar(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Scalar(json!(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Scalar(json!(value)))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Scalar(json!(value)))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Scalar(json!(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Scalar(json!(value)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut array = Vec::new();
                while let Some(item) = items.next_element()? {
                    array.push(item);
                }
                Ok(Tree::Array(array))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
                let mut object = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    object.push(entry);
                }
                Ok(Tree::Object(object))
            }
        }
        deserializer.deserialize_any(TreeVisitor)
    }
}

impl Tree {
    fn into_value(self) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::Array(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(entries) => entries.into_iter().map(|(key, value)| (key, value.into_value())).collect(),
        }
    }
}

/// Marks a text that must be this JSON value when parsed.
const AS_JSON: &str = "$json";

fn kind(random: &mut Rng, depth: usize) -> HiveType {
    match random.u8(0..if depth == 0 { 14 } else { 20 }) {
        0 => HiveType::TinyInt,
        1 => HiveType::SmallInt,
        2 => HiveType::Int,
        3 | 4 => HiveType::BigInt,
        5 => HiveType::Float,
        6 => HiveType::Double,
        7 => HiveType::Boolean,
        8 | 9 => HiveType::String,
        10 => HiveType::Varchar(random.u32(1..6)),
        11 => HiveType::Timestamp,
        12 => HiveType::Date,
        13 => HiveType::Decimal { precision: random.u8(5..12), scale: random.u8(1..5) },
        14 | 15 => HiveType::Array(Box::new(kind(random, depth - 1))),
        16 => HiveType::Map(Box::new(HiveType::String), Box::new(kind(random, depth - 1))),
        17 => HiveType::Map(Box::new(HiveType::BigInt), Box::new(kind(random, depth - 1))),
        _ => HiveType::Struct(fields(random, depth - 1)),
    }
}

fn fields(random: &mut Rng, depth: usize) -> Vec<Field> {
    (0..random.usize(1..7)).map(|i| Field { name: format!("c{i}"), kind: kind(random, depth) }).collect()
}

fn blank(random: &mut Rng, text: &mut String) {
    if random.u8(0..8) == 0 {
        text.push_str(["\n", " ", "\t \r\n", "  "][random.usize(0..4)]);
    }
}

fn string(random: &mut Rng, text: &mut String) {
    text.push('"');
    for _ in 0..random.usize(0..12) {
        match random.u8(0..14) {
            0 => text.push_str([r"\n", r#"\""#, r"\\", r"\/", r"\t", r"\b"][random.usize(0..6)]),
            1 => text.push_str([r"\u00e9", r"\u20AC", r"\ud83d\ude00", r"\u0000"][random.usize(0..4)]),
            2 => text.push_str(["é", "€", "😀", "ß", "\u{7f}"][random.usize(0..5)]),
            _ => text.push(random.alphanumeric()),
        }
    }
    text.push('"');
}

fn number(random: &mut Rng, text: &mut String) {
    let digits = random.i64(-999_999..1_000_000);
    match random.u8(0..6) {
        0 => text.push_str(&format!("{}.{:03}", digits / 1000, digits.unsigned_abs() % 1000)),
        1 => text.push_str(&format!("{digits}e{}", random.i8(-6..4))),
        2 => text.push_str(&random.i64(..).to_string()),
        3 => text.push_str(&(digits / 10_000).to_string()),
        4 => text.push_str(&format!("{digits}.0")),
        _ => text.push_str(&digits.to_string()),
    }
}

/// A JSON value that often fits `kind`.
fn value(random: &mut Rng, kind: &HiveType, text: &mut String) {
    blank(random, text);
    if random.u8(0..30) == 0 {
        return any(random, 2, text);
    }
    if random.u8(0..10) == 0 {
        return text.push_str("null");
    }
    match kind {
        HiveType::TinyInt => text.push_str(&random.i16(-130..130).to_string()),
        HiveType::SmallInt => text.push_str(&random.i32(-33_000..33_000).to_string()),
        HiveType::Int | HiveType::BigInt | HiveType::Float | HiveType::Double | HiveType::Decimal { .. } => {
            if random.u8(0..6) == 0 {
                text.push('"');
                number(random, text);
                text.push('"');
            } else {
                number(random, text);
            }
        }
        HiveType::Boolean => text.push_str(["true", "false", "\"TRUE\"", "\"x\""][random.usize(0..4)]),
        HiveType::Timestamp => {
            let (year, month, day) = (random.u16(1..9999), random.u8(1..14), random.u8(1..32));
            let time = format!("{:02}:{:02}:{:02}", random.u8(0..24), random.u8(0..60), random.u8(0..60));
            match random.u8(0..4) {
                0 => number(random, text),
                1 => text.push_str(&format!("\"{year:04}-{month:02}-{day:02}T{time}Z\"")),
                2 => {
                    text.push_str(&format!("\"{year:04}-{month:02}-{day:02}T{time}.{}Z\"", random.u32(..1_000_000_000)))
                }
                _ => text.push_str(&format!("\"{year:04}-{month:02}-{day:02} {time}.{}\"", random.u16(..))),
            }
        }
        HiveType::Date => {
            let (year, month, day) = (random.u16(1..9999), random.u8(1..14), random.u8(1..32));
            text.push_str(&format!("\"{year:04}-{month:02}-{day:02}\""));
        }
        HiveType::Array(item) => sequence(random, text, ['[', ']'], |random, text| value(random, item, text)),
        HiveType::Map(key, item) => sequence(random, text, ['{', '}'], |random, text| {
            match **key {
                HiveType::String => string(random, text),
                _ => text.push_str(&format!("\"{}\"", random.i8(-5..5))),
            }
            blank(random, text);
            text.push(':');
            value(random, item, text);
        }),
        HiveType::Struct(fields) => object(random, fields, text),
        _ => string(random, text),
    }
}

fn object(random: &mut Rng, fields: &[Field], text: &mut String) {
    let upper = random.u8(0..5) == 0;
    sequence(random, text, ['{', '}'], |random, text| {
        let chosen = random.usize(0..fields.len() + 1);
        let name = fields.get(chosen).map_or("unknown", |field| &field.name);
        text.push_str(&format!("\"{}\"", if upper { name.to_uppercase() } else { name.to_owned() }));
        blank(random, text);
        text.push(':');
        match fields.get(chosen) {
            Some(field) => value(random, &field.kind, text),
            None => any(random, 3, text),
        }
    });
}

fn sequence(random: &mut Rng, text: &mut String, ends: [char; 2], mut item: impl FnMut(&mut Rng, &mut String)) {
    text.push(ends[0]);
    blank(random, text);
    for i in 0..random.usize(0..6) {
        if i > 0 {
            text.push(',');
        }
        blank(random, text);
        item(random, text);
        blank(random, text);
    }
    text.push(ends[1]);
}

fn any(random: &mut Rng, depth: usize, text: &mut String) {
    match random.u8(0..if depth == 0 { 5 } else { 7 }) {
        0 => text.push_str("null"),
        1 => text.push_str(["true", "false"][random.usize(0..2)]),
        2 | 3 => number(random, text),
        4 => string(random, text),
        5 => sequence(random, text, ['[', ']'], |random, text| any(random, depth - 1, text)),
        _ => sequence(random, text, ['{', '}'], |random, text| {
            string(random, text);
            text.push(':');
            any(random, depth - 1, text);
        }),
    }
}

fn record(random: &mut Rng, table: &TableSchema) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..if random.u8(0..8) == 0 { 3 } else { 1 } {
        blank(random, &mut text);
        object(random, &table.columns, &mut text);
        blank(random, &mut text);
    }
    let mut bytes = text.into_bytes();
    // Noise in a pair of surrogates may leave one without its partner, where serde_json differs by intent.
    if random.u8(0..6) == 0 && memchr::memmem::find(&bytes, b"\\ud").is_none() {
        let noise = b"{}[]\",:09x\\ntu-+.eE \n\x00\x1f\xff\xc3";
        let at = random.usize(0..bytes.len());
        match random.u8(0..3) {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            _ => bytes[at] = noise[random.usize(0..noise.len())],
        }
    }
    bytes
}

/// Whether a number is beyond a double in a field that is not read: only serde_json refuses it there. Or has a fraction
/// too fine for one, so that serde_json takes it for whole.
fn is_undecided(record: &[u8]) -> bool {
    let text = String::from_utf8_lossy(record).to_lowercase();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    if numbers.any(|number| number.contains('.') && number.len() > 16) {
        return true;
    }
    text.match_indices('e')
        .any(|(at, _)| text[at + 1..].trim_start_matches(['+', '-']).bytes().take_while(u8::is_ascii_digit).count() > 2)
}

/// The rows of a record, each with its unknown fields behind it, or `None` when it is to be refused.
fn expected(table: &TableSchema, record: &[u8], lenient: bool) -> Option<Vec<Value>> {
    let trees: Result<Vec<Tree>, _> = serde_json::Deserializer::from_slice(record).into_iter::<Tree>().collect();
    let row = |tree: Tree| {
        let rest = rest(&table.columns, &tree);
        let mut row = members(&table.columns, tree, lenient)?;
        row.as_array_mut()?.push(rest);
        Some(row)
    };
    let rows = trees.ok()?.into_iter().map(row).collect::<Option<Vec<_>>>()?;
    (!rows.is_empty()).then_some(rows)
}

/// The fields that no column takes, in their order, as a text to compare; null when there are none.
fn rest(columns: &[Field], tree: &Tree) -> Value {
    let Tree::Object(entries) = tree else { return Value::Null };
    let is_known = |key: &str| columns.iter().any(|column| column.name == key.to_lowercase());
    let unknown: Vec<_> = entries.iter().filter(|(key, _)| !is_known(key)).collect();
    if unknown.is_empty() { Value::Null } else { json!(format!("{unknown:?}")) }
}

fn members(fields: &[Field], tree: Tree, lenient: bool) -> Option<Value> {
    let Tree::Object(entries) = tree else { return None };
    let mut values = vec![Value::Null; fields.len()];
    for (key, value) in entries {
        if let Some(at) = fields.iter().position(|field| field.name == key.to_lowercase()) {
            values[at] = convert(&fields[at].kind, value, lenient)?;
        }
    }
    Some(Value::Array(values))
}

fn convert(kind: &HiveType, tree: Tree, lenient: bool) -> Option<Value> {
    match (kind, tree) {
        (_, Tree::Scalar(Value::Null)) => Some(Value::Null),
        (HiveType::Array(item), Tree::Array(items)) => {
            items.into_iter().map(|tree| convert(item, tree, lenient)).collect()
        }
        (HiveType::Map(key, item), Tree::Object(entries)) => {
            let mut found: Vec<Value> = Vec::new();
            for (name, tree) in entries {
                let key = convert(key, Tree::Scalar(json!(name)), true)?;
                found.retain(|entry| entry[0] != key);
                found.push(json!([key, convert(item, tree, lenient)?]));
            }
            Some(Value::Array(found))
        }
        (HiveType::Struct(fields), tree) => members(fields, tree, lenient),
        (HiveType::Array(_) | HiveType::Map(..), _) => None,
        (HiveType::String | HiveType::Varchar(_), tree) => {
            let most = if let HiveType::Varchar(most) = kind { *most as usize } else { usize::MAX };
            match tree {
                Tree::Scalar(Value::String(text)) => Some(json!(text.chars().take(most).collect::<String>())),
                Tree::Array(_) | Tree::Object(_) if !lenient => None,
                // Cut, it is no JSON any more.
                _ if most != usize::MAX => Some(json!({ AS_JSON: null })),
                other => Some(json!({ AS_JSON: other.into_value() })),
            }
        }
        (kind, Tree::Scalar(value)) => scalar(kind, &value, lenient),
        _ => None,
    }
}

fn scalar(kind: &HiveType, value: &Value, lenient: bool) -> Option<Value> {
    let integer = |bits: u32| {
        let (scaled, exact) = scaled(&numeral(value, lenient)?, 0);
        (exact && (-(1i128 << bits)..1i128 << bits).contains(&scaled)).then(|| json!(scaled as i64))
    };
    match kind {
        HiveType::TinyInt => integer(7),
        HiveType::SmallInt => integer(15),
        HiveType::Int => integer(31),
        HiveType::BigInt => integer(63),
        HiveType::Float => numeral(value, lenient)?.parse::<f32>().ok().filter(|f| f.is_finite()).map(|f| json!(f)),
        HiveType::Double => numeral(value, lenient)?.parse::<f64>().ok().filter(|f| f.is_finite()).map(|f| json!(f)),
        HiveType::Boolean => match value {
            Value::Bool(_) => Some(value.clone()),
            Value::String(text) if lenient && text.eq_ignore_ascii_case("true") => Some(json!(true)),
            Value::String(text) if lenient && text.eq_ignore_ascii_case("false") => Some(json!(false)),
            _ => None,
        },
        HiveType::Decimal { precision, scale } => {
            let (mut value, _) = scaled(&numeral(value, lenient)?, i32::from(*scale) + 1);
            value = (value + 5 * value.signum()) / 10;
            let digits = value.unsigned_abs();
            let unit = 10u128.pow(u32::from(*scale));
            if digits >= 10u128.pow(u32::from(*precision)) {
                return None;
            }
            let sign = if value < 0 { "-" } else { "" };
            let width = usize::from(*scale);
            Some(json!(format!("{sign}{}.{:0width$}", digits / unit, digits % unit)))
        }
        HiveType::Timestamp => timestamp(value, lenient),
        HiveType::Date => {
            let text = value.as_str().filter(|text| loose(&shape(text)) == "9999-9-9")?;
            let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(json!(date.signed_duration_since(chrono::NaiveDate::default()).num_days()))
        }
        _ => None,
    }
}

fn timestamp(value: &Value, lenient: bool) -> Option<Value> {
    if let Some(text) = value.as_str() {
        let shape = shape(text);
        let (head, fraction) = shape.split_once('.').unwrap_or((&shape, "9"));
        let fraction = fraction.trim_end_matches('Z');
        let good_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte == b'9');
        let iso = head.trim_end_matches('Z') == "9999-99-99T99:99:99" && shape.ends_with('Z') && lenient;
        let sql = loose(head) == "9999-9-9 9:9:9" && !shape.ends_with('Z');
        if iso || sql {
            let text = text.replace('T', " ").replace('Z', "");
            let time = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
            let leap = text.split('.').next()?.ends_with(":60");
            return (good_fraction && !leap).then(|| json!(time.and_utc().timestamp_micros()));
        }
    }
    if !lenient {
        return None;
    }
    let numeral = numeral(value, true)?;
    let (whole, _) = scaled(&numeral, 0);
    let (micros, _) = scaled(&numeral, if whole.abs() < 1_000_000_000_000 { 6 } else { 3 });
    Some(json!(i64::try_from(micros).ok()?))
}

fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
}

/// The shape with one digit instead of two, but for the year.
fn loose(shape: &str) -> String {
    match shape.strip_prefix("9999") {
        Some(rest) if !rest.contains("999") => format!("9999{}", rest.replace("99", "9")),
        _ => String::new(),
    }
}

/// The number's text, from a number or, if `lenient`, from a string.
fn numeral(value: &Value, lenient: bool) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if lenient => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(rest) => ("-", rest),
                None => ("", text.strip_prefix('+').unwrap_or(text)),
            };
            if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.ends_with(char::is_whitespace) {
                return None;
            }
            let shorter = digits.trim_start_matches('0');
            let digits = if shorter.starts_with(|c: char| c.is_ascii_digit()) {
                shorter.to_owned()
            } else {
                format!("0{shorter}")
            };
            // As serde_json reads it, so that strings and numbers are compared alike.
            serde_json::from_str::<serde_json::Number>(&format!("{sign}{digits}")).ok().map(|number| number.to_string())
        }
        _ => None,
    }
}

/// The number × 10^scale, cut off, and whether that is exact. At most some thirty digits.
fn scaled(numeral: &str, scale: i32) -> (i128, bool) {
    let (mantissa, exponent) = numeral.split_once(['e', 'E']).unwrap_or((numeral, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value: i128 = format!("{whole}{fraction}").parse().unwrap();
    let mut shift = exponent.parse::<i32>().unwrap() + scale - fraction.len() as i32;
    let mut exact = true;
    while shift < 0 {
        exact &= value % 10 == 0;
        value /= 10;
        shift += 1;
    }
    for _ in 0..shift {
        value = value.saturating_mul(10);
    }
    (value, exact)
}

/// Whether the value read is the expected one; maps without regard to order.
fn equal(kind: &HiveType, expected: &Value, found: &Value) -> bool {
    if let Some(json) = expected.get(AS_JSON) {
        let Some(text) = found.as_str() else { return false };
        return json.is_null() || serde_json::from_str::<Value>(text).is_ok_and(|value| value == *json);
    }
    match (kind, expected, found) {
        (HiveType::Array(item), Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| equal(item, e, f))
        }
        (HiveType::Map(_, item), Value::Array(expected), Value::Array(found)) => {
            let by_key = |entries: &[Value]| -> BTreeMap<String, Value> {
                entries.iter().map(|entry| (entry[0].to_string(), entry[1].clone())).collect()
            };
            let (expected, found_by_key) = (by_key(expected), by_key(found));
            found.len() == found_by_key.len()
                && expected.keys().eq(found_by_key.keys())
                && expected.values().zip(found_by_key.values()).all(|(e, f)| equal(item, e, f))
        }
        (HiveType::Struct(fields), Value::Array(expected), Value::Array(found)) => {
            fields.iter().zip(expected.iter().zip(found)).all(|(field, (e, f))| equal(&field.kind, e, f))
        }
        _ => expected == found,
    }
}

#[test]
fn random_records_become_what_the_rules_say() {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = given("HYDRANT_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let (mut accepted, mut refused_count, mut collected) = (0, 0, 0);
    for case in 0..given("HYDRANT_TEST_CASES").unwrap_or(150) {
        let mut random = Rng::with_seed(seed.wrapping_add(case));
        let table = Arc::new(TableSchema::new(fields(&mut random, 3)).unwrap());
        let lenient = random.u8(0..4) != 0;
        let mut spec = spec(if lenient { openx() } else { hive(&[]) });
        spec.parquet.dictionary = random.bool();
        let collects = random.bool();
        spec.unknown_fields_column = collects.then(|| "rest".to_owned());
        let records: Vec<Vec<u8>> = std::iter::repeat_with(|| record(&mut random, &table))
            .filter(|record| !is_undecided(record))
            .take(60)
            .collect();
        let mut encoder = encoder(&spec, Arc::clone(&table), 1).unwrap();
        let mut object = Vec::new();
        let chunk = Chunk::from_records(records.iter().map(Vec::as_slice), 0, 0);
        let refused = encoder.push(&chunk, &mut object).unwrap();
        encoder.finish(&mut object).unwrap();
        let mut found = read(object).into_iter();
        for (number, record) in records.iter().enumerate() {
            let cause =
                refused.iter().find(|refused| refused.origin.ordinal == number as u64).map(|refused| &refused.cause);
            let whole = HiveType::Struct(table.columns.clone());
            let shown =
                || format!("seed {seed} case {case} {whole} lenient {lenient}: {}", String::from_utf8_lossy(record));
            let expected = expected(&table, record, lenient);
            assert_eq!(expected.is_none(), cause.is_some(), "{}\n{cause:?}", shown());
            for row in expected.iter().flatten() {
                let mut found = found.next().unwrap();
                if collects {
                    let text = found.as_array_mut().and_then(Vec::pop).unwrap();
                    let tree = text.as_str().map(|text| serde_json::from_str::<Tree>(text).unwrap());
                    let found = tree.map_or(Value::Null, |tree| rest(&table.columns, &tree));
                    assert_eq!(row.as_array().and_then(|row| row.last()), Some(&found), "{}", shown());
                    collected += usize::from(!found.is_null());
                }
                assert!(equal(&whole, row, &found), "{}\nexpected {row}\nfound    {found}", shown());
            }
            *if expected.is_some() { &mut accepted } else { &mut refused_count } += 1;
        }
        assert_eq!(found.next(), None);
    }
    println!("{accepted} records equal, {refused_count} refused by both");
    assert!(accepted > 1000 && refused_count > 100 && collected > 100);
}
