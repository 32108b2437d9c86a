//! Records into bytes: joins them and hands runs of adjacent records to a codec as one slice.
//!
//! From: [`super::encoder`]. To: a [`Codec`], which writes the body to the sink.

use crate::record::{Chunk, Refused};
use crate::stage::Encoder;
use std::io::{self, Write};

/// Bytes in, a body out. `finish` is not called when no record came, so a header may be written lazily or there.
pub trait Codec: Send {
    /// Takes `bytes`, writing what is finished to `sink`.
    fn push(&mut self, bytes: &[u8], sink: &mut dyn Write) -> io::Result<()>;
    /// Writes what is left.
    fn finish(self, sink: &mut dyn Write) -> io::Result<()>;
}

/// The bytes as they are.
pub struct Verbatim;

impl Codec for Verbatim {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        sink.write_all(bytes)
    }

    fn finish(self, _sink: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Slices from this length on go to the codec as they are, shorter ones are put together first.
const LONG_BYTES: usize = 4096;
/// Short slices are handed on once they are so many bytes together.
const TOGETHER_BYTES: usize = 64 * 1024;

/// Records joined and given to a codec.
pub struct Joined<C> {
    codec: C,
    /// What follows each record.
    delimiter: Vec<u8>,
    /// Short slices put together; empty between pushes.
    together: Vec<u8>,
    records: u64,
}

impl<C: Codec> Joined<C> {
    /// No record yet. `delimiter` follows each; it may be empty.
    pub fn new(codec: C, delimiter: &str) -> Self {
        Self { codec, delimiter: delimiter.into(), together: Vec::new(), records: 0 }
    }

    fn take(&mut self, bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        if bytes.len() >= LONG_BYTES {
            self.flush(sink)?;
            return self.codec.push(bytes, sink);
        }
        self.together.extend_from_slice(bytes);
        if self.together.len() >= TOGETHER_BYTES { self.flush(sink) } else { Ok(()) }
    }

    fn flush(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        if !self.together.is_empty() {
            self.codec.push(&self.together, sink)?;
            self.together.clear();
        }
        Ok(())
    }
}

impl<C: Codec> Encoder for Joined<C> {
    fn push(&mut self, chunk: &Chunk, sink: &mut dyn Write) -> io::Result<Vec<Refused>> {
        let delimiter = std::mem::take(&mut self.delimiter);
        // Records mostly lie back to back, so a chunk is usually one call.
        let mut run = 0..0;
        for slot in &chunk.slots {
            let (start, upto) = (slot.start as usize, slot.start as usize + slot.len as usize);
            if start != run.end {
                self.take(&chunk.buffer[run.clone()], sink)?;
                run.start = start;
            }
            run.end = upto;
            // Often the record was split off before this very delimiter: then it need not be copied.
            if chunk.buffer[upto..].starts_with(&delimiter) {
                run.end += delimiter.len();
            } else {
                self.take(&chunk.buffer[run.clone()], sink)?;
                self.take(&delimiter, sink)?;
                run = upto..upto;
            }
        }
        self.take(&chunk.buffer[run], sink)?;
        self.flush(sink)?;
        self.delimiter = delimiter;
        self.records += chunk.slots.len() as u64;
        Ok(Vec::new())
    }

    fn finish(self: Box<Self>, sink: &mut dyn Write) -> io::Result<u64> {
        if self.records > 0 {
            self.codec.finish(sink)?;
        }
        Ok(self.records)
    }
}
