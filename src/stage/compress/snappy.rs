//! The two Snappy framings of Firehose. Neither is the official framing format: both cut the content into blocks of
//! raw Snappy and differ in what stands before a block.
//!
//! - `Snappy`: the xerial snappy-java stream. Header of 16 bytes, then per block: compressed length.
//! - `HADOOP_SNAPPY`: Hadoop's BlockCompressorStream. Per block: uncompressed length, compressed length.
//!
//! All lengths are 4 bytes, big endian.

use super::joined::Codec;
use snap::raw::{Encoder, max_compress_len};
use std::io::{self, Write};

/// Magic, then version 1 and compatible version 1.
const XERIAL_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];

/// What Hadoop puts into a block: its buffer of 256 KiB less the worst growth by compression (1/6 + 32 bytes).
/// Its reader has a buffer of 256 KiB for either form of a block, so a larger block could not be read.
pub const HADOOP_BLOCK_BYTES: usize = 256 * 1024 - (256 * 1024 / 6 + 32);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Xerial,
    Hadoop,
}

/// Cuts the content into blocks of a fixed size, whatever pieces it comes in.
pub struct Snappy {
    framing: Framing,
    block_bytes: usize,
    /// The beginning of a block; always shorter than one.
    waiting: Vec<u8>,
    encoder: Encoder,
    compressed: Vec<u8>,
    header_written: bool,
}

impl Snappy {
    pub fn xerial(block_bytes: usize) -> Self {
        Self::new(Framing::Xerial, block_bytes)
    }

    pub fn hadoop(block_bytes: usize) -> Self {
        Self::new(Framing::Hadoop, block_bytes)
    }

    fn new(framing: Framing, block_bytes: usize) -> Self {
        Self {
            framing,
            block_bytes,
            waiting: Vec::new(),
            encoder: Encoder::new(),
            compressed: vec![0; max_compress_len(block_bytes)],
            header_written: framing == Framing::Hadoop,
        }
    }

    fn write_header(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        if !self.header_written {
            sink.write_all(&XERIAL_HEADER)?;
            self.header_written = true;
        }
        Ok(())
    }

    fn write_block(&mut self, block: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        self.write_header(sink)?;
        let compressed_bytes = self.encoder.compress(block, &mut self.compressed)?;
        if self.framing == Framing::Hadoop {
            sink.write_all(&(block.len() as u32).to_be_bytes())?;
        }
        sink.write_all(&(compressed_bytes as u32).to_be_bytes())?;
        sink.write_all(&self.compressed[..compressed_bytes])
    }

    fn write_waiting(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.waiting);
        self.write_block(&block, sink)?;
        block.clear();
        self.waiting = block;
        Ok(())
    }
}

impl Codec for Snappy {
    fn push(&mut self, mut bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(self.block_bytes - self.waiting.len()));
            self.waiting.extend_from_slice(head);
            bytes = rest;
            if self.waiting.len() == self.block_bytes {
                self.write_waiting(sink)?;
            }
        }
        let mut blocks = bytes.chunks_exact(self.block_bytes);
        for block in &mut blocks {
            self.write_block(block, sink)?;
        }
        self.waiting.extend_from_slice(blocks.remainder());
        Ok(())
    }

    fn finish(mut self, sink: &mut dyn Write) -> io::Result<()> {
        self.write_header(sink)?;
        if !self.waiting.is_empty() {
            self.write_waiting(sink)?;
        }
        Ok(())
    }
}
