//! ZSTD (an extension over Firehose): one Zstandard frame with a content checksum.

use super::joined::Codec;
use std::io::{self, Write};
use zstd::stream::write::Encoder;

/// One frame into a buffer that is emptied with each push.
pub struct Zstd {
    level: i32,
    /// Made with the first bytes: it can fail, and a constructor here cannot.
    encoder: Option<Encoder<'static, Vec<u8>>>,
}

impl Zstd {
    pub fn new(level: i32) -> Self {
        Self { level, encoder: None }
    }

    fn started(&mut self) -> io::Result<&mut Encoder<'static, Vec<u8>>> {
        if self.encoder.is_none() {
            let mut encoder = Encoder::new(Vec::new(), self.level)?;
            encoder.include_checksum(true)?;
            self.encoder = Some(encoder);
        }
        self.encoder.as_mut().ok_or_else(|| io::Error::other("zstd encoder not started"))
    }
}

impl Codec for Zstd {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let encoder = self.started()?;
        encoder.write_all(bytes)?;
        let out = encoder.get_mut();
        sink.write_all(out)?;
        out.clear();
        Ok(())
    }

    fn finish(mut self, sink: &mut dyn Write) -> io::Result<()> {
        self.started()?.do_finish()?;
        sink.write_all(self.started()?.get_ref())
    }
}
