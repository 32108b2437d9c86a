//! A file of lines as commands read it: plain, gzip or zstd, `-` for standard input, with a progress bar.

mod again;
mod chunks;
mod records;
mod sample;

pub use again::TwiceReadable;
pub use chunks::{Chunk, Chunks, count_lines};
pub use records::{MAX_LINE_BYTES, Records, each_part, records};
pub use sample::Samples;

use super::Failure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::Path;

/// An opened file of lines.
pub struct Input {
    /// Its text, expanded.
    pub source: Box<dyn Read + Send>,
    /// Moves with the bytes read from the file.
    pub progress: ProgressBar,
    /// Whether it may be somebody who types: a part of a chunk is worth having.
    pub is_live: bool,
}

impl Input {
    /// Opens `file`.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let (source, length_bytes) = opened(file)?;
        from(source, length_bytes)
    }
}

/// An input of these bytes, so many if that is known.
fn from(source: impl Read + Send + 'static, length_bytes: Option<u64>) -> Result<Input, Failure> {
    let progress = progress(length_bytes);
    let source = expanding(Counted { source, progress: progress.clone() })?;
    Ok(Input { source, progress, is_live: length_bytes.is_none() })
}

/// The file and, for a regular one, its length.
fn opened(file: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let cannot = |error| format!("cannot read {}: {error}", file.display());
    let opened = File::open(file).map_err(cannot)?;
    let meta = opened.metadata().map_err(cannot)?;
    if meta.is_dir() {
        return Err(format!("{} is a folder; give a file, or '-' for standard input", file.display()).into());
    }
    Ok((Box::new(opened), meta.is_file().then_some(meta.len())))
}

/// First bytes of gzip and zstd.
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// Undoes gzip and zstd, known by their first bytes.
fn expanding(mut source: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, Failure> {
    let cannot = |error: io::Error| format!("cannot read the input: {error}");
    let mut start = Vec::new();
    source.by_ref().take(4).read_to_end(&mut start).map_err(cannot)?;
    let kind = start.clone();
    let whole = io::Cursor::new(start).chain(source);
    Ok(if kind.starts_with(COMPRESSED[0]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(whole)))
    } else if kind.starts_with(COMPRESSED[1]) {
        Box::new(zstd::stream::read::Decoder::new(whole).map_err(cannot)?)
    } else {
        Box::new(whole)
    })
}

/// Moves the bar as the file is read.
struct Counted<R> {
    source: R,
    progress: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.progress.inc(count as u64);
        Ok(count)
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(length_bytes: Option<u64>) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let progress = ProgressBar::with_draw_target(length_bytes, target);
    let template = match length_bytes {
        Some(_) => "{bar:40} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
        None => "{spinner} {bytes}  {bytes_per_sec}  {msg}",
    };
    // The templates are constants; were one broken, the plain style would do.
    match ProgressStyle::with_template(template) {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}
