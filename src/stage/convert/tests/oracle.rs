//! The conversion a second time: by serde_json and the rules of docs/json-to-columns.md, over a tree and without regard to
//! cost. Shared with the fuzz target, so of the crate it knows only the types of a table, which its parent imports.
//!
//! serde_json has no numbers beyond a double and no surrogates without a partner, so both are rewritten before it reads:
//! each number becomes a marked string of its text, each lone surrogate U+FFFD.

use super::{Field, HiveType, TableSchema};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;

/// What must become of a record.
#[derive(Debug)]
pub enum Verdict {
    /// These rows, each the cells of its columns.
    Rows(Vec<Cell>),
    /// No row.
    Refused,
    /// Not for serde_json to tell: nested deeper than it reads, or holding the mark.
    Undecided,
}

/// What a value must be, as `plain` shows it.
#[derive(Debug)]
pub enum Cell {
    /// Exactly this.
    Is(Value),
    /// A text that is this JSON.
    Json(Tree),
    /// Some text: JSON that was cut.
    Text,
    /// A list, or the fields of a struct.
    List(Vec<Cell>),
    /// A map, in any order.
    Map(Vec<(Value, Cell)>),
}

/// JSON with every entry of an object: each has to fit, the last of a key counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Begins a string that stands for a number.
const MARK: char = '\u{10fffd}';
/// Nesting that serde_json reads.
const SERDE_DEPTH: usize = 120;
const MAX_DEPTH: usize = 1000;

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;
        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(match value.strip_prefix(MARK) {
                    Some(number) => Tree::Number(number.to_owned()),
                    None => Tree::Text(value.to_owned()),
                })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut array = Vec::new();
                while let Some(item) = items.next_element()? {
                    array.push(item);
                }
                Ok(Tree::Array(array))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
                let mut object: Vec<(String, Tree)> = Vec::new();
                while let Some((key, value)) = entries.next_entry::<String, Tree>()? {
                    if key.starts_with(MARK) {
                        return Err(serde::de::Error::custom("a number as a key"));
                    }
                    object.push((key, value));
                }
                Ok(Tree::Object(object))
            }
        }
        deserializer.deserialize_any(TreeVisitor)
    }
}

/// Judges a record; `lenient`: OpenX with its defaults, else Hive without formats. `collects`: one more column has the
/// fields that no other takes.
pub fn judge(table: &TableSchema, record: &[u8], lenient: bool, collects: bool) -> Verdict {
    let Ok(text) = std::str::from_utf8(record) else { return Verdict::Refused };
    if text.contains(MARK) || text.to_lowercase().contains("\\udbff") {
        return Verdict::Undecided;
    }
    let (text, depth) = rewritten(text);
    if depth > MAX_DEPTH {
        return Verdict::Refused;
    }
    if depth > SERDE_DEPTH {
        return Verdict::Undecided;
    }
    let trees: Result<Vec<Tree>, _> = serde_json::Deserializer::from_str(&text).into_iter::<Tree>().collect();
    let Ok(trees) = trees else { return Verdict::Refused };
    let row = |tree: Tree| {
        let rest = collects.then(|| unknown(&table.columns, &tree));
        let Cell::List(mut cells) = members(&table.columns, tree, lenient)? else { return None };
        cells.extend(rest);
        Some(Cell::List(cells))
    };
    let rows: Option<Vec<Cell>> = trees.into_iter().map(row).collect();
    match rows {
        Some(rows) if !rows.is_empty() => Verdict::Rows(rows),
        _ => Verdict::Refused,
    }
}

/// Whether a value read back is what it must be.
pub fn matches(cell: &Cell, found: &Value) -> bool {
    match (cell, found) {
        (Cell::Is(value), found) => value == found,
        (Cell::Json(tree), Value::String(text)) => {
            serde_json::from_str::<Tree>(&rewritten(text).0).is_ok_and(|found| found == *tree)
        }
        (Cell::Text, Value::String(_)) => true,
        (Cell::List(cells), Value::Array(found)) => {
            cells.len() == found.len() && cells.iter().zip(found).all(|(cell, found)| matches(cell, found))
        }
        (Cell::Map(cells), Value::Array(found)) => {
            let entry = |key: &Value| found.iter().find(|entry| entry[0] == *key);
            cells.len() == found.len()
                && cells.iter().all(|(key, cell)| entry(key).is_some_and(|entry| matches(cell, &entry[1])))
        }
        _ => false,
    }
}

/// The text as serde_json can read it, and its deepest nesting.
fn rewritten(text: &str) -> (String, usize) {
    let (mut out, mut depth, mut deepest) = (String::with_capacity(text.len() + 16), 0usize, 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => string(rest, &mut out),
            '-' | '0'..='9' => {
                let len = rest.bytes().take_while(|byte| b"0123456789+-.eE".contains(byte)).count();
                if is_number(&rest[..len], false) {
                    out.extend(['"', MARK]);
                    out.push_str(&rest[..len]);
                    out.push('"');
                } else {
                    out.push_str(&rest[..len]);
                }
                len
            }
            c => {
                match c {
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                deepest = deepest.max(depth);
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    (out, deepest)
}

/// Copies a string with its quotes; returns its length.
fn string(text: &str, out: &mut String) -> usize {
    let unit = |at: usize| {
        let digits = text.get(at + 2..at + 6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digits.filter(|_| text.get(at..at + 2) == Some("\\u")).and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    let mut at = 1;
    out.push('"');
    while let Some(c) = text[at..].chars().next() {
        let len = match c {
            '"' => {
                out.push('"');
                return at + 1;
            }
            '\\' => match (unit(at), unit(at + 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
                (Some(0xd800..=0xdfff), _) => {
                    out.push('\u{fffd}');
                    at += 6;
                    continue;
                }
                _ => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            },
            c => c.len_utf8(),
        };
        out.push_str(&text[at..at + len]);
        at += len;
    }
    at
}

/// JSON's grammar of numbers; `loose`: as a string may hold one.
fn is_number(text: &str, loose: bool) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix('-').or(text.strip_prefix('+').filter(|_| loose)).unwrap_or(text);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned.starts_with('0') && !loose) {
        return false;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

fn place(fields: &[Field], key: &str) -> Option<usize> {
    fields.iter().position(|field| field.name.to_lowercase() == key.to_lowercase())
}

/// The fields that no column takes, in their order.
fn unknown(columns: &[Field], tree: &Tree) -> Cell {
    let Tree::Object(entries) = tree else { return Cell::Is(Value::Null) };
    let unknown: Vec<_> = entries.iter().filter(|(key, _)| place(columns, key).is_none()).cloned().collect();
    if unknown.is_empty() { Cell::Is(Value::Null) } else { Cell::Json(Tree::Object(unknown)) }
}

fn members(fields: &[Field], tree: Tree, lenient: bool) -> Option<Cell> {
    let Tree::Object(entries) = tree else { return None };
    let mut cells: Vec<Cell> = fields.iter().map(|_| Cell::Is(Value::Null)).collect();
    for (key, value) in entries {
        if let Some(at) = place(fields, &key) {
            cells[at] = convert(&fields[at].kind, value, lenient)?;
        }
    }
    Some(Cell::List(cells))
}

fn convert(kind: &HiveType, tree: Tree, lenient: bool) -> Option<Cell> {
    match (kind, tree) {
        (_, Tree::Null) => Some(Cell::Is(Value::Null)),
        (HiveType::Array(item), Tree::Array(items)) => {
            items.into_iter().map(|tree| convert(item, tree, lenient)).collect::<Option<_>>().map(Cell::List)
        }
        (HiveType::Map(key, item), Tree::Object(entries)) => {
            let mut found: Vec<(Value, Cell)> = Vec::new();
            for (name, tree) in entries {
                let key = scalar(key, &Tree::Text(name), true, lenient)?;
                found.retain(|entry| entry.0 != key);
                found.push((key, convert(item, tree, lenient)?));
            }
            Some(Cell::Map(found))
        }
        (HiveType::Struct(fields), tree) => members(fields, tree, lenient),
        (HiveType::Array(_) | HiveType::Map(..), _) => None,
        (HiveType::String, tree @ (Tree::Array(_) | Tree::Object(_))) => lenient.then_some(Cell::Json(tree)),
        (HiveType::Char(_) | HiveType::Varchar(_), Tree::Array(_) | Tree::Object(_)) => lenient.then_some(Cell::Text),
        (kind, tree) => scalar(kind, &tree, lenient, lenient).map(Cell::Is),
    }
}

/// `lenient`: strings hold numbers and booleans; `openx`: whose timestamps and base64.
fn scalar(kind: &HiveType, tree: &Tree, lenient: bool, openx: bool) -> Option<Value> {
    let integer = |bits: u32| {
        let (scaled, exact) = scaled(numeral(tree, lenient)?, 0)?;
        (exact && (-(1i128 << bits)..1i128 << bits).contains(&scaled)).then(|| json!(scaled as i64))
    };
    match kind {
        HiveType::TinyInt => integer(7),
        HiveType::SmallInt => integer(15),
        HiveType::Int => integer(31),
        HiveType::BigInt => integer(63),
        HiveType::Float => special(tree, lenient)
            .or_else(|| numeral(tree, lenient)?.parse::<f32>().ok().filter(|f| f.is_finite()).map(|f| json!(f))),
        HiveType::Double => special(tree, lenient)
            .or_else(|| numeral(tree, lenient)?.parse::<f64>().ok().filter(|f| f.is_finite()).map(|f| json!(f))),
        HiveType::Boolean => match tree {
            Tree::Bool(value) => Some(json!(value)),
            Tree::Text(text) if lenient && text.eq_ignore_ascii_case("true") => Some(json!(true)),
            Tree::Text(text) if lenient && text.eq_ignore_ascii_case("false") => Some(json!(false)),
            _ => None,
        },
        HiveType::String => written(tree, usize::MAX),
        HiveType::Char(most) | HiveType::Varchar(most) => written(tree, *most as usize),
        HiveType::Decimal { precision, scale } => {
            let (tenfold, _) = scaled(numeral(tree, lenient)?, i32::from(*scale) + 1)?;
            let value = (tenfold + 5 * tenfold.signum()) / 10;
            let (digits, unit) = (value.unsigned_abs(), 10u128.pow(u32::from(*scale)));
            let sign = if value < 0 { "-" } else { "" };
            let width = usize::from(*scale);
            let text = format!("{sign}{}.{:0width$}", digits / unit, digits % unit);
            (digits < 10u128.pow(u32::from(*precision))).then(|| json!(text))
        }
        HiveType::Binary => match tree {
            Tree::Text(text) if openx => base64(text).map(|bytes| json!(String::from_utf8_lossy(&bytes))),
            Tree::Text(text) => Some(json!(text)),
            _ => None,
        },
        HiveType::Timestamp => timestamp(tree, openx),
        HiveType::Date => {
            let Tree::Text(text) = tree else { return None };
            let text = Some(text).filter(|text| loose(&shape(text)) == "9999-9-9")?;
            let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(json!(date.signed_duration_since(chrono::NaiveDate::default()).num_days()))
        }
        HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_) => None,
    }
}

/// A string's content, or the text of a number or boolean; at most so many characters.
fn written(tree: &Tree, most: usize) -> Option<Value> {
    let text = match tree {
        Tree::Text(text) | Tree::Number(text) => text.clone(),
        Tree::Bool(value) => value.to_string(),
        _ => return None,
    };
    Some(json!(text.chars().take(most).collect::<String>()))
}

fn special(tree: &Tree, lenient: bool) -> Option<Value> {
    match tree {
        Tree::Text(text) if lenient => match text.as_str() {
            "NaN" => Some(json!("NaN")),
            "Infinity" | "+Infinity" => Some(json!("inf")),
            "-Infinity" => Some(json!("-inf")),
            _ => None,
        },
        _ => None,
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text: Vec<u8> = text.bytes().filter(|byte| !b" \t\r\n\x0c".contains(byte)).collect();
    if text.len().is_multiple_of(4) {
        (0..2).for_each(|_| text.truncate(text.len() - usize::from(text.ends_with(b"="))));
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for byte in &text {
        held = held << 6 | alphabet.iter().position(|letter| letter == byte)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    (text.len() % 4 != 1).then_some(bytes)
}

fn timestamp(tree: &Tree, openx: bool) -> Option<Value> {
    if let Tree::Text(text) = tree {
        let shape = shape(text);
        let (head, fraction) = shape.split_once('.').unwrap_or((&shape, "9"));
        let fraction = fraction.strip_suffix('Z').unwrap_or(fraction);
        let good_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte == b'9');
        let iso = head.strip_suffix('Z').unwrap_or(head) == "9999-99-99T99:99:99" && shape.ends_with('Z') && openx;
        let sql = loose(head) == "9999-9-9 9:9:9" && !shape.ends_with('Z');
        if iso || sql {
            let text = text.replace('T', " ").replace('Z', "");
            let time = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
            let leap = text.split('.').next()?.rsplit(':').next()? == "60";
            return (good_fraction && !leap).then(|| json!(time.and_utc().timestamp_micros()));
        }
    }
    if !openx {
        return None;
    }
    let numeral = numeral(tree, true)?;
    let (whole, _) = scaled(numeral, 0)?;
    let (micros, _) = scaled(numeral, if whole.abs() < 1_000_000_000_000 { 6 } else { 3 })?;
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
fn numeral(tree: &Tree, lenient: bool) -> Option<&str> {
    match tree {
        Tree::Number(text) => Some(text),
        Tree::Text(text) if lenient && is_number(text, true) => Some(text),
        _ => None,
    }
}

/// The number × 10^scale, cut off, and whether that is exact; `None` when it has more than 38 digits.
fn scaled(numeral: &str, scale: i32) -> Option<(i128, bool)> {
    let (mantissa, exponent) = numeral.split_once(['e', 'E']).unwrap_or((numeral, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches(['+', '-']));
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some((0, true));
    }
    // An exponent of very many digits is as good as a very large one.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { -1 << 40 } else { 1 << 40 });
    let kept = digits.len() as i64 - fraction.len() as i64 + exponent.clamp(-1 << 40, 1 << 40) + i64::from(scale);
    if kept > 38 {
        return None;
    }
    let kept = usize::try_from(kept).unwrap_or(0);
    let (before, behind) = digits.split_at(kept.min(digits.len()));
    let value: i128 = format!("0{before}{}", "0".repeat(kept - before.len())).parse().ok()?;
    Some((if numeral.starts_with('-') { -value } else { value }, behind.trim_end_matches('0').is_empty()))
}
