//! `hydrant transform bench FILE.wasm INPUT`: what a transform costs, on one processor and on all.
//!
//! Records are read once and go through the stage again and again, as they do in a stream, until the time is up.

use super::calls::{CallOptions, Part};
use super::modules::{self, Loaded};
use super::text::duration;
use crate::cli::Failure;
use crate::cli::input::Input;
use crate::record::Chunk;
use crate::stage::Stage;
use crate::stage::partition::lambda::LambdaKeys;
use crate::stream::definition::TransformSpec;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Instances made to learn what one costs.
const STARTS: usize = 500;
/// Longest time given to making them.
const STARTS_TIME: Duration = Duration::from_secs(2);

/// Measure how fast a transform is, on one processor and on all
///
/// Reads the first records of INPUT and puts them through the transform as a stream does, again and again. What a
/// record costs is the processor time of the process: the transform, and the host's part of every call.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:
  hydrant transform bench enrich.wasm events.ndjson.gz --variable add=env=prod

Exit code: 0 done, 1 records were refused, 2 not done.")]
pub struct BenchArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub component: PathBuf,
    /// NDJSON file, or any file of lines; plain, gzip or zstd. '-' reads standard input
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// How long each measurement takes
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Read so many MiB of records
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub sample_mib: u64,
    /// Most processors [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// What a stream says of its transform
    #[command(flatten)]
    pub options: CallOptions,
}

/// What one measurement found.
#[derive(Debug, Clone, Copy)]
struct Rate {
    threads: usize,
    records: u64,
    bytes: u64,
    refused: u64,
    wall: Duration,
    cpu: Duration,
}

impl BenchArgs {
    /// Measures. `Err`: nothing was.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let spec = self.options.spec()?;
        let chunks = self.sample()?;
        let loaded = modules::load(&self.component, spec.fuel.is_some())?;
        let start = instance_start(&loaded, spec.fuel.is_some())?;
        let all = match self.threads {
            Some(threads) => usize::from(threads),
            None => thread::available_parallelism().map_or(1, usize::from),
        };
        let bench = Bench { loaded: &loaded, spec: &spec, options: &self.options, chunks: &chunks };
        let mut rates = vec![bench.measure(1, Duration::from_secs(self.seconds))?];
        if all > 1 {
            rates.push(bench.measure(all, Duration::from_secs(self.seconds))?);
        }
        if self.json {
            say!("{}", to_json(&loaded, start, &rates));
        } else {
            self.print(&loaded, start, &rates);
        }
        Ok(if rates.iter().all(|rate| rate.refused == 0) { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    /// The first records of the input.
    fn sample(&self) -> Result<Vec<Chunk>, Failure> {
        let Input { source, progress, .. } = Input::open(&self.input)?;
        let mut records = self.options.records(source, false, self.options.info().now_ms);
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while bytes < self.sample_mib << 20 {
            match records.next().map_err(|error| format!("cannot read the input: {error}"))? {
                Some(Part::Records(chunk)) => {
                    bytes += chunk.data_bytes();
                    chunks.push(chunk);
                }
                Some(Part::TooLong(_)) => {}
                None => break,
            }
        }
        progress.finish_and_clear();
        if chunks.is_empty() {
            return Err(format!("{}: there is no record in it", self.input.display()).into());
        }
        Ok(chunks)
    }

    fn print(&self, loaded: &Loaded, start: Duration, rates: &[Rate]) {
        let (world, took) = (loaded.module.world(), duration(loaded.took));
        let loading = if loaded.was_kept { "found compiled, loaded in" } else { "compiled in" };
        say!(
            "{}: world {world}, {loading} {took}, an instance starts in {}",
            self.component.display(),
            duration(start)
        );
        let single = rates.first().map_or(0.0, Rate::records_per_second);
        for rate in rates {
            let processors = if rate.threads == 1 { "1 core ".to_owned() } else { format!("{} cores", rate.threads) };
            let scale = if rate.threads == 1 {
                String::new()
            } else {
                format!(", {:.2} times 1 core", rate.records_per_second() / single.max(1e-9))
            };
            say!(
                "{processors}: {:.0} records/s, {:.1} MB/s, {} of CPU a record{scale}",
                rate.records_per_second(),
                rate.megabytes_per_second(),
                duration(rate.cpu_per_record()),
            );
        }
        let refused: u64 = rates.iter().map(|rate| rate.refused).sum();
        if refused > 0 {
            let records: u64 = rates.iter().map(|rate| rate.records).sum();
            eprintln!("hydrant: {refused} of {records} records were refused; `hydrant transform test` tells why");
        }
    }
}

struct Bench<'a> {
    loaded: &'a Loaded,
    spec: &'a TransformSpec,
    options: &'a CallOptions,
    chunks: &'a [Chunk],
}

impl Bench<'_> {
    /// Puts the records through so many stages at once.
    fn measure(&self, threads: usize, time: Duration) -> Result<Rate, Failure> {
        // One more waits for the start of all: it takes the time.
        let ready = Barrier::new(threads + 1);
        let (ran, wall, cpu) = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|number| {
                    let ready = &ready;
                    scope.spawn(move || {
                        let mut stage = self.stage();
                        // What is lazily made is made now.
                        stage.apply(self.chunks[0].clone());
                        ready.wait();
                        self.work(&mut *stage, number, time)
                    })
                })
                .collect();
            ready.wait();
            let (began, cpu) = (Instant::now(), cpu_time());
            let ran: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            (ran, began.elapsed(), cpu_time().saturating_sub(cpu))
        });
        let mut rate = Rate { threads, records: 0, bytes: 0, refused: 0, wall, cpu };
        for ran in ran {
            let (records, bytes, refused) = ran.map_err(|_| "a measurement ended in a panic")?;
            rate.records += records;
            rate.bytes += bytes;
            rate.refused += refused;
        }
        Ok(rate)
    }

    fn stage(&self) -> Box<dyn Stage> {
        self.loaded.module.stage(self.spec, self.options.info(), LambdaKeys::default(), Arc::new(|| false))
    }

    /// Records, their bytes, and how many were refused, until the time is up.
    fn work(&self, stage: &mut dyn Stage, number: usize, time: Duration) -> (u64, u64, u64) {
        let (mut records, mut bytes, mut refused) = (0, 0, 0);
        let began = Instant::now();
        for chunk in self.chunks.iter().cycle().skip(number % self.chunks.len()) {
            refused += stage.apply(chunk.clone()).refused.len() as u64;
            records += chunk.slots.len() as u64;
            bytes += chunk.data_bytes();
            if began.elapsed() >= time {
                break;
            }
        }
        (records, bytes, refused)
    }
}

impl Rate {
    fn records_per_second(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.wall.as_secs_f64().max(1e-9)
    }

    fn cpu_per_record(&self) -> Duration {
        self.cpu.div_f64(self.records.max(1) as f64)
    }
}

/// The median of many.
fn instance_start(loaded: &Loaded, is_metered: bool) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut took = Vec::with_capacity(STARTS);
    while took.len() < STARTS && began.elapsed() < STARTS_TIME {
        took.push(loaded.module.instance_start(is_metered)?);
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// Processor time of the process.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn to_json(loaded: &Loaded, start: Duration, rates: &[Rate]) -> Value {
    let rates: Vec<_> = rates
        .iter()
        .map(|rate| {
            json!({
                "threads": rate.threads,
                "records": rate.records,
                "refused": rate.refused,
                "seconds": rate.wall.as_secs_f64(),
                "recordsPerSecond": rate.records_per_second().round(),
                "megabytesPerSecond": rate.megabytes_per_second(),
                "cpuNanosecondsPerRecord": rate.cpu_per_record().as_nanos() as u64,
            })
        })
        .collect();
    json!({
        "world": loaded.module.world(),
        "sha256": loaded.module.sha256_hex,
        "loadSeconds": loaded.took.as_secs_f64(),
        "foundCompiled": loaded.was_kept,
        "instanceStartNanoseconds": start.as_nanos() as u64,
        "rates": rates,
    })
}
