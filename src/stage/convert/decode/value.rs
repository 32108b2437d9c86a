//! One JSON value into its column, by the column's type and the deserializer's dialect.
//!
//! Called by the decoder for each object. Contract: a value becomes number `row` of its column, which is first filled up
//! with nulls to there; a null appends nothing. After an error the column may hold a part of the value:
//! `truncate` takes it off.

use super::super::columns::{Bytes, Column, Data, Struct, last_end};
use super::super::rejection::{MAX_SPREAD_BYTES, Outcome, Rejection, mismatch};
use super::super::rules::{Dialect, Strict};
use super::super::schema::HiveType;
use super::keys::START;
use super::number::{Number, take_whole};
use super::scalar::{from_number, from_text};
use super::scan::{Cursor, unescape};
use std::borrow::Cow;
use std::collections::HashMap;

/// What a record's values share.
pub struct Context<'r> {
    /// The deserializer.
    pub dialect: &'r Dialect,
    /// For texts with escapes.
    pub scratch: &'r mut Vec<u8>,
    /// Bytes that the fields of all objects so far take at least.
    pub spread_bytes: u64,
}

impl Context<'_> {
    /// Counts what a value takes without its own bytes.
    #[inline(always)]
    fn spread(&mut self, bytes: u64) -> Outcome<()> {
        self.spread_bytes += bytes;
        if self.spread_bytes > MAX_SPREAD_BYTES { Err(Box::new(Rejection::Large)) } else { Ok(()) }
    }
}

/// Takes an object, whose brace was seen, as value number `row` of `record`. `depth` counts it.
pub fn object(
    record: &mut Struct,
    row: usize,
    cursor: &mut Cursor,
    context: &mut Context,
    depth: usize,
) -> Outcome<()> {
    let Struct { keys, fields, unknown, width_bytes } = record;
    context.spread(*width_bytes)?;
    cursor.pos += 1;
    if cursor.token() == b'}' {
        cursor.pos += 1;
        return Ok(());
    }
    let mut last = START;
    loop {
        if cursor.token() != b'"' {
            return Err(cursor.unexpected("a key in quotes"));
        }
        let key = cursor.pos;
        last = keys.take(cursor, last)?;
        cursor.token();
        match keys.fields(last) {
            [] => match (context.dialect, *unknown) {
                (Dialect::Strict(strict), unknown) => {
                    let unknown = unknown.map(|unknown| &mut fields[unknown]);
                    without_column(strict, unknown, row, key, cursor, depth)?;
                }
                (_, None) => cursor.skip(depth)?,
                (_, Some(unknown)) => unknown_field(&mut fields[unknown], row, key, cursor, depth)?,
            },
            [first, others @ ..] => {
                let start = cursor.pos;
                field(&mut fields[usize::from(*first)], row, cursor, context, depth)?;
                for other in others {
                    cursor.pos = start;
                    field(&mut fields[usize::from(*other)], row, cursor, context, depth)?;
                }
            }
        }
        match cursor.token() {
            b',' => cursor.pos += 1,
            b'}' => {
                cursor.pos += 1;
                return Ok(());
            }
            _ => return Err(cursor.unexpected("',' or '}'")),
        }
    }
}

/// Takes a value whose key, at `key`, has no column in a learnt table. That is no fault of a null, nor of a key that can
/// have none, which is an unknown field.
#[inline(never)]
fn without_column(
    strict: &Strict,
    unknown: Option<&mut Column>,
    row: usize,
    key: usize,
    cursor: &mut Cursor,
    depth: usize,
) -> Outcome<()> {
    if cursor.peek() == b'n' {
        return cursor.literal("null");
    }
    if depth > 1 || !strict.closed {
        let (content, _) = Cursor { bytes: cursor.bytes, pos: key }.string()?;
        let mut name = Vec::new();
        unescape(content, &mut name);
        let name = String::from_utf8_lossy(&name);
        if depth > 1 || !strict.names.of(&name, true).is_empty() {
            cursor.skip(depth)?;
            return Err(Box::new(Rejection::NoColumn(name.into_owned())));
        }
    }
    match unknown {
        Some(unknown) => unknown_field(unknown, row, key, cursor, depth),
        None => cursor.skip(depth),
    }
}

/// Takes the value of a field. When its key came before in the same object, the last one counts.
#[inline(always)]
fn field(column: &mut Column, row: usize, cursor: &mut Cursor, context: &mut Context, depth: usize) -> Outcome<()> {
    if column.len() > row {
        column.truncate(row);
    }
    value(column, row, cursor, context, depth).map_err(|rejection| rejection.within(&column.name))
}

/// Takes the value of a field that no column has, whose key begins at `key`: both are added, as they are written, to
/// the object that is text number `row` of `column`.
#[inline(never)]
fn unknown_field(column: &mut Column, row: usize, key: usize, cursor: &mut Cursor, depth: usize) -> Outcome<()> {
    let start = cursor.pos;
    cursor.skip(depth)?;
    let mut name = Cursor { bytes: cursor.bytes, pos: key };
    name.string()?;
    column.fill_to(row);
    let is_first = column.len() == row;
    let Data::Texts { texts, .. } = &mut column.data else { return Ok(()) };
    if is_first {
        texts.bytes.push(b'{');
    } else {
        texts.ends.pop();
        texts.bytes.pop();
        texts.bytes.push(b',');
    }
    texts.bytes.extend_from_slice(name.since(key));
    texts.bytes.push(b':');
    texts.bytes.extend_from_slice(cursor.since(start));
    texts.bytes.push(b'}');
    texts.close();
    if is_first {
        column.push_valid();
    }
    Ok(())
}

/// Takes the value at the next token.
fn value(column: &mut Column, row: usize, cursor: &mut Cursor, context: &mut Context, depth: usize) -> Outcome<()> {
    let first = cursor.peek();
    if first == b'n' {
        return cursor.literal("null");
    }
    column.fill_to(row);
    let Column { kind, valid, present, data, .. } = column;
    match data {
        Data::Texts { texts, most } => text(texts, *most, kind, cursor, context, depth)?,
        Data::List { ends, items } => {
            if first != b'[' {
                return Err(wrong(kind, cursor));
            }
            let end = list(items, last_end(ends), cursor, context, depth + 1)?;
            ends.push(end as i32);
        }
        Data::Map { ends, keys, values } => {
            if first != b'{' {
                return Err(wrong(kind, cursor));
            }
            let end = map(keys, values, last_end(ends), cursor, context, depth + 1)?;
            ends.push(end as i32);
        }
        Data::Struct(record) => {
            if first != b'{' {
                return Err(wrong(kind, cursor));
            }
            object(record, *present, cursor, context, depth + 1)?;
        }
        Data::Longs(values) if is_number(first) => match take_whole(cursor) {
            Some(value) => values.push(value),
            None => from_number(data, kind, &Number::take(cursor)?, context.dialect)?,
        },
        Data::Ints { values, least } if is_number(first) => {
            let before = cursor.pos;
            let value = take_whole(cursor).and_then(|value| i32::try_from(value).ok());
            match value.filter(|value| (*least..=-1 - *least).contains(value)) {
                Some(value) => values.push(value),
                None => {
                    cursor.pos = before;
                    from_number(data, kind, &Number::take(cursor)?, context.dialect)?;
                }
            }
        }
        scalar => match first {
            b'-' | b'0'..=b'9' => from_number(scalar, kind, &Number::take(cursor)?, context.dialect)?,
            b'"' => {
                let (mut content, escaped) = cursor.string()?;
                let mut scratch = std::mem::take(context.scratch);
                if escaped {
                    scratch.clear();
                    unescape(content, &mut scratch);
                    content = &scratch;
                }
                let outcome = from_text(scalar, kind, content, *context.dialect == Dialect::OpenX, context.dialect);
                *context.scratch = scratch;
                outcome?;
            }
            b't' | b'f' => {
                let Data::Booleans(bits) = scalar else { return Err(wrong(kind, cursor)) };
                cursor.literal(if first == b't' { "true" } else { "false" })?;
                bits.push(first == b't');
            }
            _ => return Err(wrong(kind, cursor)),
        },
    }
    valid.push(true);
    *present += 1;
    Ok(())
}

/// Whether a number begins so.
#[inline(always)]
fn is_number(first: u8) -> bool {
    first == b'-' || first.is_ascii_digit()
}

/// The value here does not fit `kind`; or it is no value at all.
#[cold]
fn wrong(kind: &HiveType, cursor: &Cursor) -> Box<Rejection> {
    let mut end = cursor.clone();
    match end.skip(0) {
        Ok(()) => mismatch(kind, end.since(cursor.pos), "does not fit"),
        Err(rejection) => rejection,
    }
}

/// Takes any value as text: a string's content; the text of a number, boolean and, for OpenX, of an object or array.
#[inline(always)]
fn text(
    texts: &mut Bytes,
    most: Option<u32>,
    kind: &HiveType,
    cursor: &mut Cursor,
    context: &mut Context,
    depth: usize,
) -> Outcome<()> {
    let start = cursor.pos;
    match cursor.peek() {
        b'"' => {
            cursor.pos += 1;
            if cursor.reach_special() == b'"' {
                texts.bytes.extend_from_slice(cursor.since(start + 1));
                cursor.pos += 1;
            } else {
                cursor.pos = start;
                let (content, _) = cursor.string()?;
                unescape(content, &mut texts.bytes);
            }
        }
        b'{' | b'[' if matches!(context.dialect, Dialect::Hive(_)) => return Err(wrong(kind, cursor)),
        _ => {
            cursor.skip(depth)?;
            texts.bytes.extend_from_slice(cursor.since(start));
        }
    }
    if let Some(most) = most {
        cut(texts, most as usize);
    }
    texts.close();
    Ok(())
}

/// Cuts the text that was appended last to `most` characters.
fn cut(texts: &mut Bytes, most: usize) {
    let start = last_end(&texts.ends);
    if texts.bytes.len() - start > most {
        let first_bytes = texts.bytes[start..].iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
        if let Some((end, _)) = first_bytes.map(|(at, byte)| (at, *byte)).nth(most) {
            texts.bytes.truncate(start + end);
        }
    }
}

/// Takes a list's items from number `end` on; returns the new end.
fn list(
    items: &mut Column,
    mut end: usize,
    cursor: &mut Cursor,
    context: &mut Context,
    depth: usize,
) -> Outcome<usize> {
    cursor.pos += 1;
    if cursor.token() == b']' {
        cursor.pos += 1;
        return Ok(end);
    }
    loop {
        if cursor.token() == b'n' {
            context.spread(items.width_bytes())?;
        }
        value(items, end, cursor, context, depth).map_err(|rejection| rejection.within("[]"))?;
        end += 1;
        match cursor.token() {
            b',' => cursor.pos += 1,
            b']' => {
                cursor.pos += 1;
                return Ok(end);
            }
            _ => return Err(cursor.unexpected("',' or ']'")),
        }
    }
}

/// Takes a map's entries from number `start` on; returns the new end. Of equal keys the last one counts.
fn map(
    keys: &mut Column,
    values: &mut Column,
    start: usize,
    cursor: &mut Cursor,
    context: &mut Context,
    depth: usize,
) -> Outcome<usize> {
    let before = cursor.pos;
    let end = entries(keys, values, start, &[], cursor, context, depth)?;
    let Some(shadowed) = shadowed(keys, start, end) else { return Ok(end) };
    keys.truncate(start);
    values.truncate(start);
    cursor.pos = before;
    entries(keys, values, start, &shadowed, cursor, context, depth)
}

/// Takes the entries that `shadowed` does not mark; returns the new end.
fn entries(
    keys: &mut Column,
    values: &mut Column,
    mut end: usize,
    shadowed: &[bool],
    cursor: &mut Cursor,
    context: &mut Context,
    depth: usize,
) -> Outcome<usize> {
    cursor.pos += 1;
    if cursor.token() == b'}' {
        cursor.pos += 1;
        return Ok(end);
    }
    let mut number = 0;
    loop {
        if cursor.token() != b'"' {
            return Err(cursor.unexpected("a key in quotes"));
        }
        let start = cursor.pos;
        cursor.skip_key()?;
        cursor.token();
        if shadowed.get(number) == Some(&true) {
            cursor.skip(depth)?;
        } else {
            let mut key = Cursor { bytes: cursor.bytes, pos: start };
            map_key(keys, &mut key, context).map_err(|rejection| rejection.within("key"))?;
            if cursor.peek() == b'n' {
                context.spread(values.width_bytes())?;
            }
            value(values, end, cursor, context, depth).map_err(|rejection| rejection.within("value"))?;
            end += 1;
        }
        number += 1;
        match cursor.token() {
            b',' => cursor.pos += 1,
            b'}' => {
                cursor.pos += 1;
                return Ok(end);
            }
            _ => return Err(cursor.unexpected("',' or '}'")),
        }
    }
}

/// Appends a map's key, a string in JSON whatever its type.
fn map_key(column: &mut Column, cursor: &mut Cursor, context: &mut Context) -> Outcome<()> {
    let (content, escaped) = cursor.string()?;
    let content = if escaped {
        let mut plain = Vec::new();
        unescape(content, &mut plain);
        Cow::Owned(plain)
    } else {
        Cow::Borrowed(content)
    };
    let Column { kind, data, .. } = &mut *column;
    match data {
        Data::Texts { texts, most } => {
            texts.bytes.extend_from_slice(&content);
            if let Some(most) = most {
                cut(texts, *most as usize);
            }
            texts.close();
        }
        scalar => from_text(scalar, kind, &content, true, context.dialect)?,
    }
    column.push_valid();
    Ok(())
}

/// Which of the keys from `start` on come again later; `None` when no key does.
fn shadowed(keys: &Column, start: usize, end: usize) -> Option<Vec<bool>> {
    let key = |i: usize| -> Cow<[u8]> {
        match &keys.data {
            Data::Texts { texts, .. } | Data::Blobs(texts) => Cow::Borrowed(texts.get(i)),
            Data::Booleans(bits) => vec![u8::from(bits.get(i))].into(),
            Data::Ints { values, .. } | Data::Days(values) => values[i].to_le_bytes().to_vec().into(),
            Data::Longs(values) | Data::Instants(values) => values[i].to_le_bytes().to_vec().into(),
            // Zeros of either sign are equal to readers, and equal keys make a file unreadable for some.
            Data::Floats(values) => (values[i] + 0.0).to_le_bytes().to_vec().into(),
            Data::Doubles(values) => (values[i] + 0.0).to_le_bytes().to_vec().into(),
            Data::Decimals { values, .. } => values[i].to_le_bytes().to_vec().into(),
            Data::List { .. } | Data::Map { .. } | Data::Struct(_) => Cow::Borrowed(&[]),
        }
    };
    const FEW: usize = 8;
    if end - start <= FEW && (start..end).all(|i| (start..i).all(|j| key(i) != key(j))) {
        return None;
    }
    let mut last = HashMap::new();
    let mut shadowed = vec![false; end - start];
    for i in start..end {
        if let Some(before) = last.insert(key(i), i - start) {
            shadowed[before] = true;
        }
    }
    shadowed.contains(&true).then_some(shadowed)
}
