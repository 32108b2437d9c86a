//! Random tables and records against the oracle, which is serde_json and the rules of conversion written anew.
//!
//! `HYDRANT_TEST_SEED=n` replays a run; `HYDRANT_TEST_CASES=n` sets the number of tables.

use super::super::encoder;
use super::oracle::{Verdict, judge, matches};
use super::{Field, HiveType, TableSchema, hive, openx, read, spec};
use crate::record::Chunk;
use fastrand::Rng;
use serde_json::Value;
use std::sync::Arc;

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
    if random.u8(0..6) == 0 {
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
        let records: Vec<Vec<u8>> = (0..60).map(|_| record(&mut random, &table)).collect();
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
            let rows = match judge(&table, record, lenient, collects) {
                Verdict::Rows(rows) => rows,
                Verdict::Refused => Vec::new(),
                Verdict::Undecided => panic!("{}", shown()),
            };
            assert_eq!(rows.is_empty(), cause.is_some(), "{}\n{cause:?}", shown());
            *if rows.is_empty() { &mut refused_count } else { &mut accepted } += 1;
            for row in rows {
                let found = found.next().unwrap();
                collected +=
                    usize::from(collects && found.as_array().is_some_and(|row| row.last() != Some(&Value::Null)));
                assert!(matches(&row, &found), "{}\nexpected {row:?}\nfound    {found}", shown());
            }
        }
        assert_eq!(found.next(), None);
    }
    println!("{accepted} records equal, {refused_count} refused by both");
    assert!(accepted > 1000 && refused_count > 100 && collected > 100);
}
