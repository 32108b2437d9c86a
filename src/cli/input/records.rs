//! The lines of an input as records of a chunk, read and cut by a thread of its own, a chunk or two ahead.

use super::{Chunk as Lines, Chunks};
use crate::record::{Chunk, Origin, Slot};
use bytes::Bytes;
use std::io::{self, Read};
use std::sync::mpsc;

/// Bytes of lines that are handed on at once: few enough that they, and the columns made of them, stay in the cache of a
/// processor.
const CHUNK_BYTES: usize = 1 << 20;

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

/// Hands on all of `source`; `live` as [`Chunks::new`] has it.
pub fn each_part(
    source: impl Read + Send,
    live: bool,
    mut take: impl FnMut(Records) -> io::Result<()>,
) -> io::Result<()> {
    let mut chunks = Chunks::new(source, CHUNK_BYTES, MAX_LINE_BYTES, live);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(1);
        scope.spawn(move || {
            while let Some(next) = read(&mut chunks).transpose() {
                let failed = next.is_err();
                // Nobody takes it when the other side failed.
                if sender.send(next).is_err() || failed {
                    return;
                }
            }
        });
        receiver.into_iter().try_for_each(|part| take(part?))
    })
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
