//! GZIP: one member, no name, mtime 0.

use super::joined::Codec;
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Write};

/// One gzip member into a buffer that is emptied with each push.
pub struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    pub fn new(level: u32) -> Self {
        // The header (no name, mtime 0, unknown system) leaves with the first bytes.
        Self(GzEncoder::new(Vec::new(), Compression::new(level)))
    }
}

impl Codec for Gzip {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.write_all(bytes)?;
        let out = self.0.get_mut();
        sink.write_all(out)?;
        out.clear();
        Ok(())
    }

    fn finish(self, sink: &mut dyn Write) -> io::Result<()> {
        sink.write_all(&self.0.finish()?)
    }
}
