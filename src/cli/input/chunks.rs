//! Cuts an input into chunks of whole lines.
//!
//! Buffers are used again when their chunk is dropped: fresh memory for each would cost more than reading into it.

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memrchr};
use parking_lot::Mutex;
use std::io::{self, Read};
use std::mem;
use std::sync::Arc;

const READ_BYTES: usize = 256 * 1024;
/// Most buffers kept for later.
const MAX_FREE_BUFFERS: usize = 4;

/// A part of the input, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Whole lines; the last of the input may lack its line end.
    Lines(Bytes),
    /// One line too long for a record and for memory; it was skipped.
    TooLong,
}

/// The number of lines in a text; the last may lack its line end.
pub fn count_lines(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64 + u64::from(!text.is_empty() && !text.ends_with(b"\n"))
}

/// The chunks of an input.
#[derive(Debug)]
pub struct Chunks<R> {
    source: R,
    /// Its first `filled` bytes are read and not yet given out.
    buffer: Vec<u8>,
    filled: usize,
    free: Arc<FreeBuffers>,
    chunk_bytes: usize,
    longest_bytes: usize,
    /// Do not wait for a full chunk: the input may be somebody who types.
    live: bool,
    ended: bool,
}

/// Buffers that no chunk uses any more.
type FreeBuffers = Mutex<Vec<Vec<u8>>>;

/// A buffer whose first `len` bytes are a chunk.
struct Lent {
    buffer: Vec<u8>,
    len: usize,
    free: Arc<FreeBuffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = self.free.lock();
        if free.len() < MAX_FREE_BUFFERS {
            free.push(mem::take(&mut self.buffer));
        }
    }
}

impl<R: Read> Chunks<R> {
    /// The lines of `source` in chunks of at least `chunk_bytes`; those of more than `longest_bytes`, line end included,
    /// are skipped.
    pub fn new(source: R, chunk_bytes: usize, longest_bytes: usize, live: bool) -> Self {
        let (buffer, free) = (Vec::new(), Arc::default());
        Self { source, buffer, filled: 0, free, chunk_bytes, longest_bytes, live, ended: false }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// The next one; `None` at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let whole_upto = memrchr(b'\n', self.pending()).map_or(0, |at| at + 1);
            let tail_too_long = self.filled - whole_upto > self.longest_bytes;
            let full = self.live || self.ended || tail_too_long || self.filled >= self.chunk_bytes;
            // Only the first line can be too long and have its end, since no more is read once there is one.
            let first_too_long = self.filled > self.longest_bytes
                && memchr(b'\n', self.pending()).is_some_and(|at| at >= self.longest_bytes);
            if whole_upto > 0 && full && !first_too_long {
                return Ok(Some(self.take(whole_upto)));
            }
            if tail_too_long || first_too_long {
                self.skip_line()?;
                return Ok(Some(Chunk::TooLong));
            }
            if self.ended {
                return Ok((self.filled > 0).then(|| self.take(self.filled)));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, upto: usize) -> Chunk {
        let rest = self.filled - upto;
        let mut next = self.free.lock().pop().unwrap_or_default();
        if next.len() < rest {
            next.resize(rest, 0);
        }
        next[..rest].copy_from_slice(&self.buffer[upto..self.filled]);
        let buffer = mem::replace(&mut self.buffer, next);
        self.filled = rest;
        Chunk::Lines(Bytes::from_owner(Lent { buffer, len: upto, free: Arc::clone(&self.free) }))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = memchr(b'\n', self.pending()) {
                self.buffer.copy_within(at + 1..self.filled, 0);
                self.filled -= at + 1;
                return Ok(());
            }
            self.filled = 0;
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let upto = self.filled + READ_BYTES;
        if self.buffer.len() < upto {
            // In one step for an ordinary chunk, which ends with the read that fills it.
            self.buffer.resize(upto.max(if self.live { 0 } else { self.chunk_bytes + READ_BYTES }), 0);
        }
        let read = loop {
            match self.source.read(&mut self.buffer[self.filled..upto]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.filled += read;
        self.ended = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LINE_BYTES: usize = 100_000;

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
        let mut chunks = Chunks::new(Dribble(text, piece), chunk_bytes, MAX_LINE_BYTES, live);
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
                    let Chunk::Lines(lines) = chunk else { panic!("too long") };
                    joined.extend_from_slice(lines);
                    count += count_lines(lines);
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
        text.extend(std::iter::repeat_n(b'x', 3 * MAX_LINE_BYTES));
        text.extend(b"\nb\n");
        let lines = |text: &[u8]| Chunk::Lines(Bytes::copy_from_slice(text));
        assert_eq!(all(&text, 100_000, 4 << 20, false), [lines(b"a\n"), Chunk::TooLong, lines(b"b\n")]);
        text.truncate(3 * MAX_LINE_BYTES);
        assert_eq!(all(&text, 100_000, 4 << 20, false), [lines(b"a\n"), Chunk::TooLong]);
    }
}
