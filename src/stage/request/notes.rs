//! Which records a request holds: what a line of the error area says of each and the body does not.
//!
//! Kept beside the seal in the journal. Records that were put together and follow each other take a few bytes together:
//!
//! ```text
//! 1 byte    version, 1
//! 1 byte    1: lengths follow the spans (bodies from which records cannot be told apart otherwise)
//! varint    number of spans, then of each span:
//!   varint    records << 1 | kind; kind 0: whole records whose numbers ascend by one, 1: parts of one record, ascending
//!   zigzag    number of its first record - (number of the last record before it + 1)
//!   varint    kind 1: number of its first part
//!   zigzag    arrival in ms - arrival of the span before
//! varints   the records' lengths, where they are told
//! ```
//!
//! Varints are LEB128, zigzag ones hold signed numbers.

use super::Item;
use std::io;

const VERSION: u8 = 1;

/// What is noted of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Number of the record it is, or is a part of, in its lane.
    pub sequence: u64,
    /// Which part of it.
    pub part: u32,
    /// Arrival of that record, ms since the epoch.
    pub arrival_ms: i64,
    /// Its length, where that is noted.
    pub length_bytes: Option<u64>,
}

/// Gathers notes.
#[derive(Debug)]
pub struct Writer {
    spans: Vec<Span>,
    lengths: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    sequence: u64,
    first_part: u32,
    is_parts: bool,
    records: u64,
    arrival_ms: i64,
}

impl Writer {
    /// No record yet.
    pub fn new(has_lengths: bool) -> Self {
        Self { spans: Vec::new(), lengths: has_lengths.then(Vec::new) }
    }

    /// Notes a record. They come in the order of their numbers and parts.
    pub fn push(&mut self, item: &Item<'_>) {
        if let Some(lengths) = &mut self.lengths {
            put(item.bytes.len() as u64, lengths);
        }
        if let Some(span) = self.spans.last_mut()
            && span.arrival_ms == item.arrival_ms
        {
            let follows = item.part == 0 && item.sequence == span.sequence + span.records && !span.is_parts;
            let is_next_part = item.sequence == span.sequence
                && u64::from(item.part) == u64::from(span.first_part) + span.records
                && (span.is_parts || span.records == 1);
            if follows || is_next_part {
                span.is_parts |= is_next_part;
                span.records += 1;
                return;
            }
        }
        self.spans.push(Span {
            sequence: item.sequence,
            first_part: item.part,
            is_parts: item.part > 0,
            records: 1,
            arrival_ms: item.arrival_ms,
        });
    }

    /// The notes as bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.lengths.is_some())];
        put(self.spans.len() as u64, &mut out);
        let (mut next, mut arrival_ms) = (0, 0);
        for span in &self.spans {
            put((span.records << 1) | u64::from(span.is_parts), &mut out);
            put_signed(span.sequence.wrapping_sub(next) as i64, &mut out);
            if span.is_parts {
                put(u64::from(span.first_part), &mut out);
            }
            put_signed(span.arrival_ms.wrapping_sub(arrival_ms), &mut out);
            next = span.last().wrapping_add(1);
            arrival_ms = span.arrival_ms;
        }
        out.extend(self.lengths.unwrap_or_default());
        out
    }
}

impl Span {
    /// Number of its last record.
    fn last(&self) -> u64 {
        if self.is_parts { self.sequence } else { self.sequence.wrapping_add(self.records - 1) }
    }
}

/// Reads notes; `InvalidData` for bytes that are none.
pub fn read(bytes: &[u8]) -> io::Result<Vec<Note>> {
    let mut input = bytes;
    if byte(&mut input)? != VERSION {
        return Err(damaged("they are of another version"));
    }
    let has_lengths = byte(&mut input)? == 1;
    let mut notes = Vec::new();
    let (mut next, mut arrival_ms) = (0u64, 0i64);
    for _ in 0..get(&mut input)? {
        let head = get(&mut input)?;
        let (records, is_parts) = (head >> 1, head & 1 == 1);
        let sequence = next.wrapping_add(get_signed(&mut input)? as u64);
        let first_part = if is_parts { get(&mut input)? } else { 0 };
        arrival_ms = arrival_ms.wrapping_add(get_signed(&mut input)?);
        if records == 0 || records > super::MAX_RECORDS || notes.len() as u64 + records > super::MAX_RECORDS {
            return Err(damaged("a span has no record, or they are too many"));
        }
        for at in 0..records {
            let part = if is_parts { first_part.wrapping_add(at) } else { 0 };
            let part = u32::try_from(part).map_err(|_| damaged("a part has too large a number"))?;
            let sequence = if is_parts { sequence } else { sequence.wrapping_add(at) };
            notes.push(Note { sequence, part, arrival_ms, length_bytes: None });
        }
        next = notes.last().map_or(0, |note| note.sequence.wrapping_add(1));
    }
    if has_lengths {
        for note in &mut notes {
            note.length_bytes = Some(get(&mut input)?);
        }
    }
    if input.is_empty() { Ok(notes) } else { Err(damaged("they do not end")) }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the notes of a request are damaged: {what}"))
}

fn byte(input: &mut &[u8]) -> io::Result<u8> {
    let (first, rest) = input.split_first().ok_or_else(|| damaged("they end too early"))?;
    *input = rest;
    Ok(*first)
}

fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(value: i64, out: &mut Vec<u8>) {
    put(((value << 1) ^ (value >> 63)) as u64, out);
}

fn get(input: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(input)?;
        value |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged("a number is too long"))
}

fn get_signed(input: &mut &[u8]) -> io::Result<i64> {
    let value = get(input)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}
