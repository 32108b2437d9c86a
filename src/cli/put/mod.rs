//! `hydrant put STREAM FILE`: the lines of a file as records, over the records endpoint.
//!
//! `input` cuts the file at line ends, `sender` posts a chunk until it is taken. One chunk after the other, so records
//! keep the order of their lines.

mod sender;
#[cfg(test)]
mod tests;

use super::Failure;
use super::input::{Chunk, Chunks, Input, count_lines};
use crate::ingest::MAX_RECORD_BYTES;
use indicatif::ProgressBar;
use sender::{Endpoint, FailedLine, Sender};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Most failed lines that are printed.
const SHOWN_FAILURES: usize = 20;

/// Put the lines of a file into a stream, each as a record
///
/// A record is a line with its line end. Blank lines are skipped; a line over 1,024,000 bytes fails alone. When an
/// answer is lost the chunk is sent again, so its records can be there twice, as with any producer.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant put events events.ndjson
  zcat access.log.gz | hydrant put access -
  hydrant put events big.ndjson.gz --endpoint https://firehose.internal:4573 --cacert ca.pem

Exit code: 0 all lines are durable, 1 some lines failed, 2 it gave up; the summary says how far it came.")]
pub struct PutArgs {
    /// Name of the stream
    #[arg(value_name = "STREAM")]
    pub stream: String,
    /// NDJSON file, or any file of lines; plain, gzip or zstd. '-' reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where Hydrant's API is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4573")]
    pub endpoint: String,
    /// Certificates (PEM) to trust for https, instead of none
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Size of a request in KiB
    #[arg(long, value_name = "KIB", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=14_336))]
    pub chunk_kib: u32,
    /// How many seconds to try again when throttled or disconnected, without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub retry_for: u64,
}

impl PutArgs {
    /// Puts the file. `Err`: it gave up.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let endpoint = Endpoint::parse(&self.endpoint, self.cacert.as_deref())?;
        let Input { source, progress, is_live } = Input::open(&self.file)?;
        let chunks = Chunks::new(source, self.chunk_kib as usize * 1024, MAX_RECORD_BYTES, is_live);
        let mut sender = Sender::new(endpoint, &self.stream, Duration::from_secs(self.retry_for));
        let mut summary = Summary::default();
        let done = put_all(chunks, &mut sender, &progress, &mut summary).await;
        sender.close().await;
        progress.finish_and_clear();
        report(&summary, &self.stream);
        done?;
        Ok(if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// How it ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Summary {
    accepted: u64,
    accepted_bytes: u64,
    blank: u64,
    failed: Vec<FailedLine>,
    retries: u64,
}

/// Sends every chunk. `summary` holds what came of it, also when it fails half-way.
async fn put_all(
    mut chunks: Chunks<impl Read>,
    sender: &mut Sender,
    progress: &ProgressBar,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut lines_before = 0;
    loop {
        // Blocks a thread of the runtime, while the connection lives on another.
        let next = tokio::task::block_in_place(|| chunks.next_chunk());
        match next.map_err(|error| format!("cannot read the input: {error}"))? {
            Some(Chunk::Lines(text)) => {
                let lines = count_lines(&text);
                let taken = sender.post(text, |why| progress.set_message(why.to_owned())).await?;
                summary.accepted += taken.accepted;
                summary.accepted_bytes += taken.accepted_bytes;
                summary.blank += taken.blank;
                summary.retries += taken.retries;
                let renumbered = taken.failed.into_iter().map(|mut failed| {
                    failed.line += lines_before;
                    failed
                });
                summary.failed.extend(renumbered);
                lines_before += lines;
                progress.set_message(format!("{} records", summary.accepted));
            }
            Some(Chunk::TooLong) => {
                lines_before += 1;
                summary.failed.push(FailedLine {
                    line: lines_before,
                    code: "ValidationException".to_owned(),
                    message: "The line is longer than a record may be.".to_owned(),
                });
            }
            None => return Ok(()),
        }
    }
}

fn report(summary: &Summary, stream: &str) {
    for failed in summary.failed.iter().take(SHOWN_FAILURES) {
        eprintln!("line {}: {}: {}", failed.line, failed.code, failed.message);
    }
    if summary.failed.len() > SHOWN_FAILURES {
        eprintln!("… and {} more failed lines", summary.failed.len() - SHOWN_FAILURES);
    }
    say!(
        "{stream}: accepted {} records ({} bytes), blank {}, failed {}, retries {}",
        summary.accepted,
        summary.accepted_bytes,
        summary.blank,
        summary.failed.len(),
        summary.retries
    );
}
