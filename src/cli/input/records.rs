//! The lines of an input as records of a chunk, read and cut one chunk ahead.

use super::{Chunk as Lines, Chunks};
use crate::record::{Chunk, Origin, Slot};
use bytes::Bytes;
use std::io::{self, Read};

/// Bytes of lines that are handed on at once for each processor: few enough that they, and the columns made of them, stay
/// in its cache.
const CHUNK_BYTES: usize = 1 << 20;
/// Most bytes at once.
const MAX_CHUNK_BYTES: usize = 8 << 20;

/// Longest line, its end included.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// A part of the input, in order.
pub enum Records {
    /// Lines that are not blank as records, numbered from 0 in this part, of so many lines.
    Chunk {
        /// The records.
        chunk: Chunk,
        /// Lines, blank ones too.
        lines: u64,
    },
    /// A line longer than any record.
    TooLong,
}

/// Hands on all of `source`, of which the next part is read meanwhile; `live` as [`Chunks::new`] has it.
pub fn each_part(
    source: impl Read + Send,
    live: bool,
    mut take: impl FnMut(Records) -> io::Result<()> + Send,
) -> io::Result<()> {
    let chunk_bytes = (CHUNK_BYTES * rayon::current_num_threads()).min(MAX_CHUNK_BYTES);
    let mut chunks = Chunks::new(source, chunk_bytes, MAX_LINE_BYTES, live);
    let mut next = read(&mut chunks)?;
    while let Some(part) = next {
        let (taken, read) = rayon::join(|| take(part), || read(&mut chunks));
        taken?;
        next = read?;
    }
    Ok(())
}

fn read(chunks: &mut Chunks<impl Read>) -> io::Result<Option<Records>> {
    Ok(chunks.next_chunk()?.map(|next| match next {
        Lines::Lines(text) => {
            let (chunk, lines) = records(text);
            Records::Chunk { chunk, lines }
        }
        Lines::TooLong => Records::TooLong,
    }))
}

/// The lines that are not blank as records, and the number of all lines; a record's ordinal is the number of its line,
/// from 0.
pub fn records(text: Bytes) -> (Chunk, u64) {
    let mut slots = Vec::with_capacity(text.len() / 256);
    let (mut start, mut lines) = (0, 0);
    let ends = LineEnds { text: &text, at: 0 };
    let last = (!text.ends_with(b"\n")).then_some(text.len());
    for (line, end) in (0..).zip(ends.chain(last)) {
        // Blank as JSON has it: another control character is a record, and refused.
        if !text[start..end].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            let origin = Origin { ordinal: line, part: 0 };
            slots.push(Slot { start: start as u32, len: (end - start) as u32, origin, arrival_ms: 0 });
        }
        start = end;
        lines = line + 1;
    }
    (Chunk { buffer: text, slots }, lines)
}

/// The places behind the line ends of a text. Most blocks have none, which the compiler tells with a few vector
/// instructions; for lines of a few hundred bytes that is faster than a search for each.
struct LineEnds<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for LineEnds<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while let Some(block) = self.text[self.at..].first_chunk::<64>() {
            if block.iter().fold(false, |any, byte| any | (*byte == b'\n')) {
                break;
            }
            self.at += 64;
        }
        let rest = &self.text[self.at..];
        self.at += memchr::memchr(b'\n', rest)? + 1;
        Some(self.at)
    }
}
