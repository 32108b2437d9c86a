//! What a stream says about its transform, as options of the command line, and records off a file for it.

use crate::cli::Failure;
use crate::cli::input::{Chunk as Lines, Chunks, MAX_LINE_BYTES, records};
use crate::clock::{Clock, SystemClock};
use crate::record::Chunk;
use crate::stage::transform::InvocationInfo;
use crate::stream::definition::TransformSpec;
use chrono::DateTime;
use std::collections::BTreeMap;
use std::io::{self, Read};

const MIB: u64 = 1 << 20;
/// Bytes of lines that are read at once, at least.
const CHUNK_BYTES: u64 = 4 * MIB;
/// Longest time limit, in seconds.
const MAX_TIMEOUT_S: f64 = 300.0;
/// Most bytes of records in a call, in MiB.
const MAX_BUFFER_MIB: f64 = 3.0;

/// Settings of a stream for its transform.
#[derive(Debug, Clone, clap::Args)]
pub struct CallOptions {
    /// A variable for the transform, as the parameter Variable.NAME of a stream; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub variable: Vec<(String, String)>,
    /// Processor time a call may take, in seconds, as TimeoutInSeconds
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().timeout, value_parser = timeout)]
    pub timeout: f64,
    /// Memory of an instance in MiB, as MemoryInMBs
    #[arg(long, value_name = "MIB", default_value_t = Self::default().memory, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub memory: u64,
    /// Most MiB of records in a call, as BufferSizeInMBs
    #[arg(long, value_name = "MIB", default_value_t = Self::default().buffer_size, value_parser = buffer_size)]
    pub buffer_size: f64,
    /// Count fuel, about a unit an instruction, and end a call that uses so many millions, as FuelInMillions
    #[arg(long, value_name = "MILLIONS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub fuel: Option<u64>,
    /// How often a record whose call fails is tried again, as NumberOfRetries
    #[arg(long, value_name = "COUNT", default_value_t = Self::default().retries, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub retries: u32,
    /// The time the transform is told, which is also the arrival time of all records: RFC 3339, or milliseconds since
    /// 1970 [default: the time it is]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub now: Option<i64>,
    /// The number from which the random seeds of the calls are made
    #[arg(long, value_name = "NUMBER", default_value_t = Self::default().seed, allow_negative_numbers = true)]
    pub seed: u64,
}

impl Default for CallOptions {
    fn default() -> Self {
        let variable = Vec::new();
        Self { variable, timeout: 60.0, memory: 256, buffer_size: 1.0, fuel: None, retries: 3, now: None, seed: 0 }
    }
}

impl CallOptions {
    /// As a stream's definition has them.
    pub(super) fn spec(&self) -> Result<TransformSpec, Failure> {
        let mut variables = BTreeMap::new();
        for (name, value) in &self.variable {
            if variables.insert(name.clone(), value.clone()).is_some() {
                return Err(format!("--variable {name} is given twice").into());
            }
        }
        Ok(TransformSpec {
            lambda_arn: "arn:aws:lambda:us-east-1:000000000000:function:transform".to_owned(),
            function: "transform".to_owned(),
            version: None,
            retries: self.retries,
            batch_bytes: (self.buffer_size * MIB as f64) as u64,
            timeout_ms: (self.timeout * 1000.0).ceil() as u64,
            memory_bytes: self.memory * MIB,
            variables,
            fuel: self.fuel.map(|millions| millions * 1_000_000),
            is_stateless: false,
        })
    }

    /// What guests are told of the run.
    pub(super) fn info(&self) -> InvocationInfo {
        InvocationInfo {
            stream_arn: "arn:aws:firehose:us-east-1:000000000000:deliverystream/test".to_owned(),
            region: "us-east-1".to_owned(),
            invocation_id: "test".to_owned(),
            now_ms: self.now.unwrap_or_else(|| SystemClock::new().wall_ms()),
            seed: self.seed,
        }
    }

    /// The records of `source`. With `live`, lines are handed on as they come.
    pub(super) fn records<R: Read>(&self, source: R, live: bool, arrival_ms: i64) -> RecordChunks<R> {
        let batch_bytes = (self.buffer_size * MIB as f64) as u64;
        let chunks = Chunks::new(source, CHUNK_BYTES.max(batch_bytes) as usize, MAX_LINE_BYTES, live);
        RecordChunks { chunks, batch_bytes, lines: 0, arrival_ms, rest: Chunk::default() }
    }
}

/// A part of an input, in order.
pub(super) enum Part {
    /// Records of one call; the ordinal of each is the number of its line, from 0.
    Records(Chunk),
    /// The line of this number, from 0, is longer than any record.
    TooLong(u64),
}

/// The lines of an input that are not blank, each with its line end, as `hydrant put` puts them.
pub(super) struct RecordChunks<R> {
    chunks: Chunks<R>,
    batch_bytes: u64,
    lines: u64,
    arrival_ms: i64,
    /// Read and not yet handed on.
    rest: Chunk,
}

impl<R: Read> RecordChunks<R> {
    /// The next part; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Part>> {
        while self.rest.slots.is_empty() {
            let first_line = self.lines;
            match self.chunks.next_chunk()? {
                None => return Ok(None),
                Some(Lines::TooLong) => {
                    self.lines += 1;
                    return Ok(Some(Part::TooLong(first_line)));
                }
                Some(Lines::Lines(text)) => {
                    let (mut chunk, lines) = records(text);
                    self.lines += lines;
                    for slot in &mut chunk.slots {
                        slot.origin.ordinal += first_line;
                        slot.arrival_ms = self.arrival_ms;
                    }
                    // The last of them come first.
                    chunk.slots.reverse();
                    self.rest = chunk;
                }
            }
        }
        Ok(Some(Part::Records(self.batch())))
    }

    /// As a stream cuts batches: a record that is longer is one of its own.
    fn batch(&mut self) -> Chunk {
        let (mut bytes, mut slots) = (0, Vec::new());
        while let Some(slot) =
            self.rest.slots.pop_if(|slot| bytes == 0 || bytes + u64::from(slot.len) <= self.batch_bytes)
        {
            bytes += u64::from(slot.len);
            slots.push(slot);
        }
        Chunk { buffer: self.rest.buffer.clone(), slots }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn timeout(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=MAX_TIMEOUT_S).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number from 0.001 to 300".to_owned()),
    }
}

fn buffer_size(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(mib) if (0.0..=MAX_BUFFER_MIB).contains(&mib) => Ok(mib),
        _ => Err("expected a number from 0 (each record in a call of its own) to 3".to_owned()),
    }
}

/// Milliseconds since the epoch.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse() {
        return if ms >= 0 { Ok(ms) } else { Err("expected a time from 1970 on".to_owned()) };
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if time.timestamp_millis() >= 0 => Ok(time.timestamp_millis()),
        Ok(_) => Err("expected a time from 1970 on".to_owned()),
        Err(_) => Err("expected a time such as 2025-01-31T12:00:00Z, or milliseconds since 1970".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_lines(text: &str) -> Vec<(u64, Vec<u8>)> {
        let chunks = Chunks::new(text.as_bytes(), 8, 300_000, false);
        let mut chunks = RecordChunks { chunks, batch_bytes: 5, lines: 0, arrival_ms: 7, rest: Chunk::default() };
        let mut found = Vec::new();
        while let Some(part) = chunks.next().unwrap() {
            match part {
                Part::Records(chunk) => {
                    assert!(chunk.slots.iter().all(|slot| slot.arrival_ms == 7));
                    assert!(chunk.slots.len() == 1 || (1..=5).contains(&chunk.data_bytes()));
                    found.extend(chunk.iter().map(|(slot, data)| (slot.origin.ordinal, data.to_vec())));
                }
                Part::TooLong(line) => found.push((line, b"too long".to_vec())),
            }
        }
        found
    }

    #[test]
    fn records_are_lines_with_their_numbers() {
        let long = "x".repeat(1_000_000);
        let text = format!("a\n\nbb\n{long}\n  \nccccccccc\nlast");
        let text_of = |line: u64, text: &str| (line, text.as_bytes().to_vec());
        let wanted = [(0, "a\n"), (2, "bb\n"), (3, "too long"), (5, "ccccccccc\n"), (6, "last")];
        assert_eq!(part_lines(&text), wanted.map(|(line, text)| text_of(line, text)));
        assert!(part_lines("").is_empty());
        assert!(part_lines("\n \r\n").is_empty());
    }

    #[test]
    fn values_of_options_are_read_or_refused() {
        assert_eq!(variable("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("a="), Ok(("a".to_owned(), String::new())));
        assert!(variable("=b").is_err() && variable("a").is_err());
        assert_eq!(time("1709251199007"), Ok(1_709_251_199_007));
        assert_eq!(time("2024-02-29T23:59:59.007Z"), Ok(1_709_251_199_007));
        assert_eq!(time("2024-02-29T23:59:59.007+01:00"), Ok(1_709_247_599_007));
        assert!(time("-1").is_err() && time("1969-01-01T00:00:00Z").is_err() && time("tomorrow").is_err());
        assert!(timeout("0").is_err() && timeout("NaN").is_err() && timeout("301").is_err());
        assert_eq!((timeout("0.5"), buffer_size("0.2")), (Ok(0.5), Ok(0.2)));
        assert!(buffer_size("-1").is_err() && buffer_size("4").is_err());
    }
}
