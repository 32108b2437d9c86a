//! ZIP: an archive of one deflated entry, written as a stream (sizes follow the entry in a data descriptor).
//!
//! Every field of the headers is fixed, so equal records give equal bytes: modification time 1980-01-01, mode 0644.
//! The entry is always written as ZIP64, since its size is not known when its header leaves.

use super::joined::Codec;
use parking_lot::Mutex;
use std::io::{self, Write};
use std::sync::Arc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

/// One archive; its writer keeps no way to its own output, hence the shared buffer.
pub struct Zip {
    entry_name: String,
    level: u32,
    out: Buffer,
    /// Made with the first bytes, because making it writes the header.
    writer: Option<ZipWriter<StreamWriter<Buffer>>>,
}

/// What the writer has written and the sink has not yet; never contended.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn drain_to(&self, sink: &mut dyn Write) -> io::Result<()> {
        let mut out = self.0.lock();
        sink.write_all(&out)?;
        out.clear();
        Ok(())
    }
}

impl Zip {
    pub fn new(entry_name: &str, level: u32) -> Self {
        Self { entry_name: entry_name.to_owned(), level, out: Buffer::default(), writer: None }
    }

    fn start(&mut self) -> io::Result<()> {
        if self.writer.is_none() {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(i64::from(self.level)))
                .last_modified_time(DateTime::default())
                .unix_permissions(0o644)
                .large_file(true);
            let mut writer = ZipWriter::new_stream(self.out.clone());
            writer.start_file(self.entry_name.as_str(), options)?;
            self.writer = Some(writer);
        }
        Ok(())
    }
}

impl Codec for Zip {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.start()?;
        if let Some(writer) = &mut self.writer {
            writer.write_all(bytes)?;
        }
        self.out.drain_to(sink)
    }

    fn finish(mut self, sink: &mut dyn Write) -> io::Result<()> {
        self.start()?;
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        self.out.drain_to(sink)
    }
}
