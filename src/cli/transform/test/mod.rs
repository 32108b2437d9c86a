//! `hydrant transform test FILE.wasm INPUT`: every record through a transform, with the host and the rules of a stream.
//!
//! A batch at a time: `seen` observes the stage, `outcome` is what became of each record, `diff` what changed in it,
//! `show` the text, `expect` compares. Memory is that of a batch, however many there are.

mod diff;
mod expect;
mod outcome;
mod seen;
mod show;

use super::calls::{CallOptions, Part};
use super::modules;
use crate::cli::Failure;
use crate::cli::input::Input;
use crate::record::{Cause, Chunk, ErrorKind, Slot};
use crate::stage::transform::Observer;
use crate::stage::{Stage, Staged};
use expect::{Difference, Expectations};
use outcome::{Outcome, Summary, Verdict, log_json};
use seen::{Batch, CallLog, Seen};
use serde_json::Value;
use show::{End, Style};
use std::io::{self, BufWriter, ErrorKind as Io, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Run the records of a file through a transform and show what becomes of them
///
/// Each line is a record, with its line end, as `hydrant put` puts it. The transform is run as a stream runs it: the same
/// limits, verdicts, error codes and retries. Of a record that passes, what changed is shown, its partition keys and its
/// table; what the transform logs stands before the records of its call. Memory is that of a call, however long the
/// file is.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant transform test enrich.wasm events.ndjson --variable add=env=prod
  hydrant transform test enrich.wasm events.ndjson --now 2025-01-01T00:00:00Z --json > expected.ndjson
  hydrant transform test enrich.wasm events.ndjson --now 2025-01-01T00:00:00Z --expect expected.ndjson --quiet
  zcat *.gz | hydrant transform test enrich.wasm - --quiet

Exit code: 0 done; 1 records were refused, or with --expect: not all is as expected; 2 not done.")]
pub struct TestArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub component: PathBuf,
    /// NDJSON file, or any file of lines; plain, gzip or zstd. '-' reads standard input
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// Print JSON: an object for each record and each log line, then one with the sums
    #[arg(long)]
    pub json: bool,
    /// Compare with this file: an object a record, with members of what --json prints; one left out is not compared
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
    /// Print the sums only, and records that are not as expected
    #[arg(long, short)]
    pub quiet: bool,
    /// Cut no long text and no long list
    #[arg(long)]
    pub full: bool,
    /// Colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub color: When,
    /// What a stream says of its transform
    #[command(flatten)]
    pub options: CallOptions,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl TestArgs {
    /// Runs the records. `Err`: not all of them.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let reads_twice = self.expect.as_deref().is_some_and(|expect| expect.as_os_str() == "-");
        if reads_twice && self.input.as_os_str() == "-" {
            return Err("INPUT and --expect are both '-'; standard input can be one of them".into());
        }
        let spec = self.options.spec()?;
        let expectations = self.expect.as_deref().map(Expectations::open).transpose()?;
        let input = Input::open(&self.input)?;
        let loaded = modules::load(&self.component, spec.fuel.is_some())?;
        let info = self.options.info();
        let now_ms = info.now_ms;
        let seen = Arc::new(Seen::default());
        let stage = loaded.module.observed_stage(&spec, info, Arc::clone(&seen) as Arc<dyn Observer>);
        let run = Run {
            stage,
            seen,
            report: Report {
                out: Box::new(BufWriter::new(io::stdout().lock())),
                style: (!self.json).then_some(self.style()),
                quiet: self.quiet,
                expectations,
                summary: Summary::default(),
            },
        };
        match self.run_records(run, input, now_ms) {
            // Nobody reads on.
            Err(Stop::Output(error)) if error.kind() == Io::BrokenPipe => Ok(ExitCode::from(2)),
            Err(Stop::Output(error)) => Err(format!("cannot write to standard output: {error}").into()),
            Err(Stop::Failed(error)) => Err(error),
            Ok(code) => Ok(code),
        }
    }

    fn run_records(&self, mut run: Run<'_>, input: Input, now_ms: i64) -> Result<ExitCode, Stop> {
        let Input { source, progress, .. } = input;
        if io::stdout().is_terminal() && !self.quiet {
            // What is printed would run through it.
            progress.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let is_typed = self.input.as_os_str() == "-" && io::stdin().is_terminal();
        let mut records = self.options.records(source, is_typed, now_ms);
        let cannot = |error| Stop::Failed(format!("cannot read the input: {error}").into());
        while let Some(part) = records.next().map_err(cannot)? {
            run.part(part)?;
            progress.set_message(format!("{} records", run.report.summary.records));
            if is_typed {
                run.report.out.flush()?;
            }
        }
        progress.finish_and_clear();
        self.end(run)
    }

    fn end(&self, run: Run<'_>) -> Result<ExitCode, Stop> {
        let Report { mut out, style, expectations, mut summary, .. } = run.report;
        if let Some(expectations) = expectations {
            summary.differences += expectations.rest().map_err(Stop::Failed)?;
        }
        let totals = run.seen.totals();
        let name = self.component.file_name().unwrap_or(self.component.as_os_str()).to_string_lossy();
        let compared_with = self.expect.as_ref().map(|file| file.display().to_string());
        match style {
            None => writeln!(out, "{}", summary.to_json(&totals, compared_with.is_some()))?,
            Some(style) => {
                let memory_limit_bytes = self.options.memory << 20;
                let compared_with = compared_with.as_deref();
                let end = End { summary: &summary, totals: &totals, memory_limit_bytes, compared_with };
                style.summary(&mut out, &name, &end)?;
            }
        }
        out.flush()?;
        let good = if compared_with.is_some() { summary.differences == 0 } else { summary.refused == 0 };
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn style(&self) -> Style {
        let colour = match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        Style { colour, full: self.full }
    }
}

/// Why it ended early.
enum Stop {
    /// Standard output takes no more.
    Output(io::Error),
    /// Something else.
    Failed(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Records on their way.
struct Run<'a> {
    stage: Box<dyn Stage>,
    seen: Arc<Seen>,
    report: Report<'a>,
}

impl Run<'_> {
    fn part(&mut self, part: Part) -> Result<(), Stop> {
        match part {
            Part::Records(batch) => {
                let staged = self.stage.apply(batch.clone());
                self.report.batch(&batch, staged, self.seen.take())
            }
            Part::TooLong(line) => {
                let cause = Cause {
                    kind: ErrorKind::ProcessingFailed,
                    code: "ValidationException".to_owned(),
                    message: "The line is longer than 64 MiB.".to_owned(),
                    attempts: 1,
                };
                let verdict = Verdict::Refused(&cause);
                self.report.record(&Outcome { line: line + 1, before: None, verdict })
            }
        }
    }
}

/// What is printed and counted.
struct Report<'a> {
    out: Box<dyn Write + 'a>,
    /// `None`: as JSON.
    style: Option<Style>,
    /// Records that are as expected, and log lines, are not printed.
    quiet: bool,
    expectations: Option<Expectations>,
    summary: Summary,
}

impl Report<'_> {
    /// A batch, in the order of its records.
    fn batch(&mut self, batch: &Chunk, mut staged: Staged, seen: Batch) -> Result<(), Stop> {
        staged.refused.sort_by_key(|refused| refused.origin);
        staged.dropped.sort_unstable();
        let mut logs = seen.logs.iter().peekable();
        let mut told = seen.told.iter().peekable();
        let mut refused = staged.refused.iter().peekable();
        for slot in &batch.slots {
            while let Some(log) = logs.next_if(|log| log.first <= slot.origin) {
                self.log(log)?;
            }
            let told = std::iter::from_fn(|| told.next_if(|(origin, _)| *origin <= slot.origin)).last();
            let verdict = if let Some(refused) = refused.next_if(|refused| refused.origin == slot.origin) {
                Verdict::Refused(&refused.cause)
            } else if staged.dropped.binary_search(&slot.origin).is_ok() {
                Verdict::Dropped
            } else {
                let told = told.filter(|(origin, _)| *origin == slot.origin).map(|(_, told)| told);
                match staged.passed.find(slot.origin) {
                    Some(passed) => Verdict::Passed { after: staged.passed.bytes(passed), told },
                    None => return Err(Stop::Failed(lost(slot))),
                }
            };
            self.record(&Outcome { line: slot.origin.ordinal + 1, before: Some(batch.bytes(slot)), verdict })?;
        }
        logs.try_for_each(|log| self.log(log))
    }

    fn log(&mut self, log: &CallLog) -> Result<(), Stop> {
        if self.quiet {
            return Ok(());
        }
        match self.style {
            Some(style) => style.log(&mut self.out, log)?,
            None => {
                for line in log_json(log) {
                    writeln!(self.out, "{line}")?;
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, outcome: &Outcome<'_>) -> Result<(), Stop> {
        let difference = match &mut self.expectations {
            Some(expectations) => expectations.compare(outcome).map_err(Stop::Failed)?,
            None => Difference::new(),
        };
        self.summary.add(outcome);
        self.summary.differences += u64::from(!difference.is_empty());
        if self.quiet && difference.is_empty() {
            return Ok(());
        }
        match self.style {
            Some(style) => style.record(&mut self.out, outcome, &difference)?,
            None => {
                let mut members = outcome.to_json();
                if !difference.is_empty() {
                    members.insert("expected".to_owned(), difference.into());
                }
                writeln!(self.out, "{}", Value::Object(members))?;
            }
        }
        Ok(())
    }
}

fn lost(slot: &Slot) -> Failure {
    format!("line {}: nothing became of this record, which is a bug of Hydrant", slot.origin.ordinal + 1).into()
}
