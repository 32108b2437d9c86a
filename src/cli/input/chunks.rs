//! Cuts an input into chunks of whole lines.

use crate::ingest::MAX_RECORD_BYTES;
use memchr::{memchr, memchr_iter, memrchr};
use std::io::{self, Read};

const READ_BYTES: usize = 256 * 1024;

/// A part of the input, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Whole lines; the last of the input may lack its line end.
    Lines {
        /// The lines.
        text: Vec<u8>,
        /// How many.
        lines: u64,
    },
    /// One line too long for a record and for memory; it was skipped.
    TooLong,
}

/// The chunks of an input.
#[derive(Debug)]
pub struct Chunks<R> {
    source: R,
    pending: Vec<u8>,
    chunk_bytes: usize,
    /// Do not wait for a full chunk: the input may be somebody who types.
    live: bool,
    ended: bool,
}

impl<R: Read> Chunks<R> {
    pub fn new(source: R, chunk_bytes: usize, live: bool) -> Self {
        Self { source, pending: Vec::new(), chunk_bytes, live, ended: false }
    }

    /// The next one; `None` at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let whole_upto = memrchr(b'\n', &self.pending).map_or(0, |at| at + 1);
            let tail_too_long = self.pending.len() - whole_upto > MAX_RECORD_BYTES;
            let full = self.live || self.ended || tail_too_long || self.pending.len() >= self.chunk_bytes;
            if whole_upto > 0 && full {
                return Ok(Some(self.take(whole_upto)));
            }
            if tail_too_long {
                self.skip_line()?;
                return Ok(Some(Chunk::TooLong));
            }
            if self.ended {
                return Ok((!self.pending.is_empty()).then(|| self.take(self.pending.len())));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, upto: usize) -> Chunk {
        let rest = self.pending.split_off(upto);
        let text = std::mem::replace(&mut self.pending, rest);
        let ends = memchr_iter(b'\n', &text).count() as u64;
        let lines = ends + u64::from(!text.ends_with(b"\n"));
        Chunk::Lines { text, lines }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = memchr(b'\n', &self.pending) {
                self.pending.drain(..=at);
                return Ok(());
            }
            self.pending.clear();
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let before = self.pending.len();
        self.pending.resize(before + READ_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.pending[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        self.pending.truncate(before + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(text: &[u8], piece: usize, chunk_bytes: usize, live: bool) -> Vec<Chunk> {
        let mut chunks = Chunks::new(Dribble(text, piece), chunk_bytes, live);
        std::iter::from_fn(|| chunks.next_chunk().unwrap()).collect()
    }

    #[test]
    fn chunks_end_at_line_ends_and_lose_nothing() {
        let text: Vec<u8> = (0..200).flat_map(|i| format!("line {i}\n").into_bytes()).chain(*b"last").collect();
        for piece in [1, 7, 100, 10_000] {
            for live in [false, true] {
                let (mut joined, mut count) = (Vec::new(), 0);
                let chunks = all(&text, piece, 64, live);
                for chunk in &chunks {
                    let Chunk::Lines { text: lines_text, lines } = chunk else { panic!("too long") };
                    joined.extend_from_slice(lines_text);
                    count += lines;
                    assert!(joined.ends_with(b"\n") || joined.len() == text.len());
                }
                assert_eq!(joined, text);
                assert_eq!(count, 201);
            }
        }
        assert!(all(b"", 1, 64, false).is_empty());
    }

    #[test]
    fn a_line_beyond_every_bound_is_skipped() {
        let mut text = b"a\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * MAX_RECORD_BYTES));
        text.extend(b"\nb\n");
        let lines = |text: &[u8]| Chunk::Lines { text: text.to_vec(), lines: 1 };
        assert_eq!(all(&text, 100_000, 4 << 20, false), [lines(b"a\n"), Chunk::TooLong, lines(b"b\n")]);
        text.truncate(3 * MAX_RECORD_BYTES);
        assert_eq!(all(&text, 100_000, 4 << 20, false), [lines(b"a\n"), Chunk::TooLong]);
    }
}
