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

/// Records joined and given to a codec.
pub struct Joined<C> {
    codec: C,
    records: u64,
}

impl<C: Codec> Joined<C> {
    /// No record yet.
    pub fn new(codec: C) -> Self {
        Self { codec, records: 0 }
    }
}

impl<C: Codec> Encoder for Joined<C> {
    fn push(&mut self, chunk: &Chunk, sink: &mut dyn Write) -> io::Result<Vec<Refused>> {
        // Records mostly lie back to back, so a chunk is usually one call.
        let mut run = 0..0;
        for slot in &chunk.slots {
            let (start, upto) = (slot.start as usize, slot.start as usize + slot.len as usize);
            if start != run.end {
                self.codec.push(&chunk.buffer[run.clone()], sink)?;
                run.start = start;
            }
            run.end = upto;
        }
        self.codec.push(&chunk.buffer[run], sink)?;
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
