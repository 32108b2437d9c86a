//! `hydrant convert IN OUT`: a file of JSON lines to one Parquet file, through the stage that streams use.
//!
//! `options` are the stage's as options of the command line, `rejects` the file of what could not be converted, `infer`
//! does without a schema. The output is written beside its name and takes it at the end, so a file under that name is
//! whole.

pub(super) mod infer;
pub(super) mod options;
mod rejects;
#[cfg(test)]
mod tests;

use super::Failure;
use super::input::{Input, Records, each_part};
use crate::disk::{RealDisk, replace_with};
use crate::schemas::folder;
use crate::stage::Encoder;
use crate::stage::convert::infer::Learner;
use crate::stage::convert::{self, TableSchema};
use crate::stream::definition::ConvertSpec;
use indicatif::HumanBytes;
use infer::ToLearn;
use options::ConversionOptions;
use rejects::Rejects;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Convert JSON lines to Parquet
///
/// Each line is a record, which may hold several JSON objects; each of these is a row. A record that does not fit the
/// schema is left out whole and counted; --rejects keeps it. So is a line of more than 64 MiB, of which nothing is kept. What is taken and what becomes of it is what streams do.
/// With --infer no record is left out for its shape: columns and types are learnt from a sample of IN, which is read a
/// second time if something else comes up in it.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("table").required(true).args(["schema", "infer"])))]
#[command(after_help = "Examples:
  hydrant convert events.ndjson.gz events.parquet --schema shop.events.sql
  hydrant convert events.ndjson.gz events.parquet --infer --write-schema events.sql
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
    pub schema: Option<PathBuf>,
    /// Learn the table from IN: boolean, bigint, double, string, array and struct
    #[arg(long)]
    pub infer: bool,
    /// Write the table that was learnt to this file, as CREATE TABLE
    #[arg(long, value_name = "FILE", requires = "infer", conflicts_with = "schema")]
    pub write_schema: Option<PathBuf>,
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
        let threads = self.threads.map_or(0, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        // From a thread of the pool, which need not wait for another to take what it shares out.
        pool.install(|| self.run_in_pool())
    }

    fn run_in_pool(&self) -> Result<ExitCode, Failure> {
        let started = Instant::now();
        let spec = self.options.spec();
        self.keeps_its_input()?;
        output_file(&self.output)?;
        let (summary, columns) = match &self.schema {
            Some(schema) => {
                let schema = Arc::new(folder::load_file(schema)?);
                convert::check(&spec, &schema)?;
                (self.convert(&spec, schema)?, None)
            }
            None => {
                let (summary, schema) = self.convert_inferred(&spec)?;
                (summary, Some(schema))
            }
        };
        if !self.quiet {
            report(&summary, columns.as_deref(), &self.output, started.elapsed().as_secs_f64());
        }
        Ok(if summary.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn convert(&self, spec: &ConvertSpec, schema: Arc<TableSchema>) -> Result<Summary, Failure> {
        let input = Input::open(&self.input)?;
        let mut rejects = Rejects::create(self.rejects.as_deref(), self.quiet)?;
        let encoder = convert::encoder(spec, schema, 0)?;
        let converted = self.write(input, Some(encoder), None, &mut rejects);
        rejects.finish()?;
        converted?.ok_or_else(|| "the conversion was given up".into())
    }

    /// Converts `input` to the output file. Where the encoder no longer fits, or there is none, `learner` is shown the
    /// rest instead; then nothing is written, and `None`.
    fn write(
        &self,
        input: Input,
        encoder: Option<Box<dyn Encoder>>,
        learner: Option<&mut Learner>,
        rejects: &mut Rejects,
    ) -> Result<Option<Summary>, Failure> {
        let progress = input.progress.clone();
        let (mut converted, mut is_unfit) = (None, false);
        let output = output_file(&self.output)?;
        let mut temporary = output.clone().into_os_string();
        temporary.push(format!(".{:016x}.tmp", fastrand::u64(..)));
        let written = replace_with(&RealDisk, &output, Path::new(&temporary), |file| {
            let mut sink = Counting { sink: file, bytes: 0 };
            let Some(summary) = convert_all(input, encoder, learner, &mut sink, rejects)? else {
                is_unfit = true;
                return Err(io::Error::other("it is begun anew"));
            };
            converted = Some(Summary { parquet_bytes: sink.bytes, ..summary });
            match sink.bytes {
                0 => Err(io::Error::other("no line could be converted, so there is nothing to write")),
                _ => Ok(()),
            }
        });
        progress.finish_and_clear();
        match written {
            Err(error) if !is_unfit => Err(format!("{}: {error}", self.output.display()).into()),
            _ => Ok(converted),
        }
    }
}

impl ConvertArgs {
    /// No file that is written may be one that is read, by whatever name.
    fn keeps_its_input(&self) -> Result<(), Failure> {
        let read = [real(&self.input), self.schema.as_deref().and_then(real)];
        for written in [Some(&self.output), self.rejects.as_ref(), self.write_schema.as_ref()].into_iter().flatten() {
            if real(written).is_some_and(|written| read.contains(&Some(written))) {
                return Err(format!("{} is read from; write to another file", written.display()).into());
            }
        }
        if let Some(rejects) = self.rejects.as_ref().filter(|file| self.infer && file.exists() && !file.is_file()) {
            let rejects = rejects.display();
            return Err(format!("{rejects} is no ordinary file; with --infer it may have to be written anew").into());
        }
        let mut written = vec![("OUT", &self.output)];
        written.extend(self.rejects.iter().map(|file| ("--rejects", file)));
        written.extend(self.write_schema.iter().map(|file| ("--write-schema", file)));
        for (i, (name, file)) in written.iter().enumerate() {
            if let Some((other, _)) = written[..i]
                .iter()
                .find(|(_, other)| other == file || real(other).is_some() && real(other) == real(file))
            {
                return Err(format!("{name} and {other} are the same file").into());
            }
        }
        Ok(())
    }
}

/// Where a file is or would be, whatever links lead there.
fn real(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

/// The file that is to be written or replaced: OUT, or what it is a link to.
fn output_file(output: &Path) -> Result<PathBuf, Failure> {
    if output.as_os_str() == "-" {
        return Err("OUT is '-', but Parquet is not written to standard output; name a file".into());
    }
    let shown = output.display();
    if fs::symlink_metadata(output).is_err() {
        return Ok(output.to_owned());
    }
    let file = fs::canonicalize(output).map_err(|error| format!("{shown} is a link that leads nowhere: {error}"))?;
    if file.is_dir() {
        return Err(format!("{shown} is a folder; name a file in it").into());
    }
    if !file.is_file() {
        return Err(format!("{shown} is no ordinary file, which OUT has to be").into());
    }
    Ok(file)
}

/// Converts all lines. `None`: they did not fit, and those from there on were shown to the learner.
fn convert_all(
    input: Input,
    mut encoder: Option<Box<dyn Encoder>>,
    mut learner: Option<&mut Learner>,
    sink: &mut (dyn Write + Send),
    rejects: &mut Rejects,
) -> io::Result<Option<Summary>> {
    let mut summary = Summary::default();
    let mut to_learn = ToLearn::default();
    let Input { source, progress, is_live } = input;
    each_part(source, is_live, |part| {
        let first_line = summary.lines;
        match part {
            Records::Chunk { mut chunk, lines } => {
                summary.lines += lines;
                if let Some(encoding) = &mut encoder {
                    chunk.slots.iter_mut().for_each(|slot| slot.origin.ordinal += first_line);
                    summary.json_bytes += chunk.buffer.len() as u64;
                    summary.blank += lines - chunk.slots.len() as u64;
                    let refused = encoding.push(&chunk, sink)?;
                    if encoding.fits() {
                        summary.rejected += refused.len() as u64;
                        refused.iter().try_for_each(|refused| rejects.note(refused, &chunk))?;
                    } else {
                        encoder = None;
                    }
                }
                if let (None, Some(learner)) = (&encoder, &mut learner) {
                    to_learn.push(chunk, learner);
                }
            }
            Records::TooLong => {
                summary.lines += 1;
                summary.rejected += 1;
                if encoder.is_some() {
                    rejects.too_long(summary.lines)?;
                }
            }
        }
        let doing = if encoder.is_some() { "" } else { ", learning" };
        progress.set_message(format!("{} lines{doing}", summary.lines));
        Ok(())
    })?;
    let Some(encoder) = encoder else {
        if let Some(learner) = learner {
            to_learn.learn(learner);
        }
        return Ok(None);
    };
    summary.converted = encoder.finish(sink)?;
    Ok(Some(summary))
}

fn report(summary: &Summary, learnt: Option<&TableSchema>, output: &Path, seconds: f64) {
    let Summary { lines, blank, converted, rejected, json_bytes, parquet_bytes } = summary;
    let columns = learnt.map_or_else(String::new, |schema| format!(", {} columns learnt", schema.columns.len()));
    say!(
        "{}: {converted} records of {lines} lines ({blank} blank, {rejected} left out){columns}, {} of JSON to {} of Parquet, {:.0} MB/s",
        output.display(),
        HumanBytes(*json_bytes),
        HumanBytes(*parquet_bytes),
        *json_bytes as f64 / 1e6 / seconds.max(1e-9),
    );
}

/// Counts what goes through.
struct Counting<'a> {
    sink: &'a mut (dyn Write + Send),
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
