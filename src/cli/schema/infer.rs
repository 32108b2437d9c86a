//! `hydrant schema infer FILE`: the table that JSON lines teach, as a declaration.

use super::{LOCATION, table_name};
use crate::cli::Failure;
use crate::cli::convert::infer::{ToLearn, sample, sample_head};
use crate::cli::convert::options::mapping;
use crate::cli::input::{Input, Records, Samples, each_part};
use crate::disk::{RealDisk, replace_file};
use crate::stage::convert::declare::declaration;
use crate::stage::convert::infer::Learner;
use crate::stream::definition::Deserializer;
use std::path::PathBuf;
use std::process::ExitCode;

/// Parts of a plain file that a sample is made of.
const SAMPLES: u64 = 64;

/// Print the table that JSON lines teach, as CREATE TABLE
///
/// Columns and types are learnt from all lines, as streams and `hydrant convert --infer` learn them: boolean, bigint,
/// double, string, array and struct. Lines that are not JSON teach nothing. What is printed can be the --schema of
/// `hydrant convert`, or a file of the folder of schemas.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant schema infer events.ndjson.gz
  zcat *.gz | hydrant schema infer - --table shop.events --output shop.events.sql

Exit code: 0 done, 2 nothing was learnt.")]
pub struct InferArgs {
    /// NDJSON file; plain, gzip or zstd. '-' reads standard input
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// Name of the table, or DATABASE.TABLE [default: the name of FILE up to its first dot]
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Where the table's files are
    #[arg(long, value_name = "URL", default_value = LOCATION)]
    pub location: String,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Look at so many MiB only: from all over a plain file, else the first ones
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub sample_mib: Option<u64>,
    /// A dot in a key is an underscore in the column's name
    #[arg(long)]
    pub dots_to_underscores: bool,
    /// The column COLUMN is read from the key KEY; may be given more than once
    #[arg(long, value_name = "COLUMN=KEY", value_parser = mapping)]
    pub map: Vec<(String, String)>,
    /// Processors to use [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl InferArgs {
    /// Prints the declaration.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let threads = self.threads.map_or(0, usize::from);
        // A pool of another size than the default can be had before the first use only, which is here.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        let name = self.table.clone().unwrap_or_else(|| table_name(&self.input));
        if name.split('.').any(|part| part.trim().is_empty() || part.chars().any(char::is_control)) {
            return Err(format!("--table '{name}' names no table: expected TABLE or DATABASE.TABLE").into());
        }
        if let Some(output) = &self.output
            && output.canonicalize().is_ok_and(|output| self.input.canonicalize().is_ok_and(|input| input == output))
        {
            return Err(format!("{} is read from; write to another file", output.display()).into());
        }
        let deserializer = Deserializer::OpenX {
            case_insensitive: true,
            key_mappings: self.map.iter().cloned().collect(),
            dots_to_underscores: self.dots_to_underscores,
        };
        let mut learner = Learner::of_keys(&deserializer)?;
        self.learn(&mut learner, &deserializer)?;
        let shapes = learner.shapes();
        let table = shapes
            .table()
            .ok_or_else(|| format!("{}: no record has a value, so no column can be learnt", self.input.display()))?;
        if table.closed {
            eprintln!(
                "hydrant: there are more than {} columns and fields; the others are left out",
                shapes.columns.len()
            );
        }
        let text = declaration(&table.schema, &name, &self.location);
        match &self.output {
            Some(file) => {
                replace_file(&RealDisk, file, text.as_bytes())
                    .map_err(|error| format!("{}: {error}", file.display()))?;
            }
            None => say!("{}", text.trim_end()),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn learn(&self, learner: &mut Learner, deserializer: &Deserializer) -> Result<(), Failure> {
        let Some(sample_mib) = self.sample_mib else { return learn_all(learner, Input::open(&self.input)?) };
        let bytes = sample_mib << 20;
        match Samples::open(&self.input, SAMPLES, bytes / SAMPLES)? {
            Some(samples) => sample(learner, &|| Learner::of_keys(deserializer), &samples),
            None => sample_head(learner, Input::open(&self.input)?, bytes).map(drop),
        }
    }
}

/// Shows the learner all of an input.
fn learn_all(learner: &mut Learner, input: Input) -> Result<(), Failure> {
    let Input { source, progress, is_live } = input;
    let mut lines_read = 0;
    let mut to_learn = ToLearn::default();
    let learnt = each_part(source, is_live, |part| {
        match part {
            Records::Chunk { chunk, lines } => {
                lines_read += lines;
                to_learn.push(chunk, learner);
            }
            Records::TooLong => lines_read += 1,
        }
        progress.set_message(format!("{lines_read} lines"));
        Ok(())
    });
    to_learn.learn(learner);
    progress.finish_and_clear();
    learnt.map_err(|error| format!("cannot read the input: {error}").into())
}
