//! `hydrant convert IN OUT`: a file of JSON lines to one Parquet file, through the stage that streams use.
//!
//! `options` are the stage's as options of the command line, `rejects` the file of what could not be converted. The
//! output is written beside its name and takes it at the end, so a file under that name is whole.

mod options;
mod rejects;
#[cfg(test)]
mod tests;

use super::Failure;
use super::input::{Chunk as Lines, Chunks, Input};
use crate::disk::{RealDisk, replace_with};
use crate::record::{Chunk, Origin, Slot};
use crate::schemas::folder;
use crate::stage::Encoder;
use crate::stage::convert;
use bytes::Bytes;
use indicatif::{HumanBytes, ProgressBar};
use options::ConversionOptions;
use rejects::Rejects;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Bytes of lines that are converted at once: few enough that they, and the columns made of them, stay in the cache of a
/// processor.
const CHUNK_BYTES: usize = 1 << 20;

/// Convert JSON lines to Parquet
///
/// Each line is a record, which may hold several JSON objects; each of these is a row. A record that does not fit the
/// schema is left out whole and counted; --rejects keeps it. What is taken and what becomes of it is what streams do.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant convert events.ndjson.gz events.parquet --schema shop.events.sql
  zcat *.gz | hydrant convert - all.parquet --schema table.json --compression zstd --rejects bad.ndjson

Exit code: 0 all records are rows, 1 some were left out, 2 nothing was written.")]
pub struct ConvertArgs {
    /// NDJSON file; plain, gzip or zstd. '-' reads standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Parquet file to write; one that is there is replaced
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// The table: CREATE TABLE as in Hive or Athena, or, in a .json file, what `aws glue get-table` prints
    #[arg(long, value_name = "FILE")]
    pub schema: PathBuf,
    /// Keep what is left out in this file: a JSON object a line, with line number, code, message and record
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Processors to use [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
    /// How JSON is read and Parquet is written
    #[command(flatten)]
    pub options: ConversionOptions,
}

/// What became of the lines.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Summary {
    lines: u64,
    blank: u64,
    converted: u64,
    rejected: u64,
    json_bytes: u64,
    parquet_bytes: u64,
}

impl ConvertArgs {
    /// Converts the file. `Err`: nothing was written.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let started = Instant::now();
        let threads = self.threads.map_or(0, usize::from);
        // A pool of another size than the default can be had before the first use only, which is here.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        let schema = Arc::new(folder::load_file(&self.schema)?);
        let spec = self.options.spec();
        convert::check(&spec, &schema)?;
        self.keeps_its_input()?;
        let Input { source, progress, is_live } = Input::open(&self.input)?;
        let mut rejects = Rejects::create(self.rejects.as_deref(), self.quiet)?;
        let mut summary = Summary::default();
        let written = replace_with(&RealDisk, &self.output, |file| {
            let mut sink = Counting { sink: file, bytes: 0 };
            let encoder = convert::encoder(&spec, schema, 0).map_err(io::Error::other)?;
            let chunks = Chunks::new(source, CHUNK_BYTES, is_live);
            convert_all(chunks, encoder, &mut sink, &mut rejects, &progress, &mut summary)?;
            summary.parquet_bytes = sink.bytes;
            match sink.bytes {
                0 => Err(io::Error::other("no line could be converted, so there is nothing to write")),
                _ => Ok(()),
            }
        });
        progress.finish_and_clear();
        rejects.finish()?;
        written.map_err(|error| format!("{}: {error}", self.output.display()))?;
        if !self.quiet {
            report(&summary, &self.output, started.elapsed().as_secs_f64());
        }
        Ok(if summary.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl ConvertArgs {
    /// No file that is written may be one that is read, by whatever name.
    fn keeps_its_input(&self) -> Result<(), Failure> {
        let real = |path: &Path| path.canonicalize().ok();
        let read = [real(&self.input), real(&self.schema)];
        for written in [Some(&self.output), self.rejects.as_ref()].into_iter().flatten() {
            if real(written).is_some_and(|written| read.contains(&Some(written))) {
                return Err(format!("{} is read from; write to another file", written.display()).into());
            }
        }
        match &self.rejects {
            Some(rejects) if *rejects == self.output => Err("--rejects and OUT are the same file".into()),
            _ => Ok(()),
        }
    }
}

/// Converts all lines. The input is read and cut by a thread of its own, a chunk or two ahead.
fn convert_all(
    mut chunks: Chunks<impl Read + Send>,
    mut encoder: Box<dyn Encoder>,
    sink: &mut dyn Write,
    rejects: &mut Rejects,
    progress: &ProgressBar,
    summary: &mut Summary,
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(1);
        scope.spawn(move || {
            while let Some(next) = read_records(&mut chunks).transpose() {
                let failed = next.is_err();
                // Nobody takes it when the conversion failed.
                if sender.send(next).is_err() || failed {
                    return;
                }
            }
        });
        for lines in receiver {
            let first_line = summary.lines;
            match lines? {
                Records::Chunk { mut chunk, lines } => {
                    chunk.slots.iter_mut().for_each(|slot| slot.origin.ordinal += first_line);
                    summary.json_bytes += chunk.buffer.len() as u64;
                    summary.lines += lines;
                    summary.blank += lines - chunk.slots.len() as u64;
                    let refused = encoder.push(&chunk, sink)?;
                    summary.rejected += refused.len() as u64;
                    refused.iter().try_for_each(|refused| rejects.note(refused, &chunk))?;
                }
                Records::TooLong => {
                    summary.lines += 1;
                    summary.rejected += 1;
                    rejects.too_long(summary.lines)?;
                }
            }
            progress.set_message(format!("{} lines", summary.lines));
        }
        summary.converted = encoder.finish(sink)?;
        Ok(())
    })
}

/// A part of the input, in order.
enum Records {
    /// Lines that are not blank as records, numbered from 0 in this part, of so many lines.
    Chunk { chunk: Chunk, lines: u64 },
    /// A line longer than any record.
    TooLong,
}

fn read_records(chunks: &mut Chunks<impl Read>) -> io::Result<Option<Records>> {
    Ok(chunks.next_chunk()?.map(|next| match next {
        Lines::Lines(text) => records(text),
        Lines::TooLong => Records::TooLong,
    }))
}

/// The lines that are not blank as records; a record's ordinal is the number of its line, from 0.
fn records(text: Bytes) -> Records {
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
    Records::Chunk { chunk: Chunk { buffer: text, slots }, lines }
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

fn report(summary: &Summary, output: &Path, seconds: f64) {
    let Summary { lines, blank, converted, rejected, json_bytes, parquet_bytes } = summary;
    println!(
        "{}: {converted} records of {lines} lines ({blank} blank, {rejected} left out), {} of JSON to {} of Parquet, {:.0} MB/s",
        output.display(),
        HumanBytes(*json_bytes),
        HumanBytes(*parquet_bytes),
        *json_bytes as f64 / 1e6 / seconds.max(1e-9),
    );
}

/// Counts what goes through.
struct Counting<'a> {
    sink: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
