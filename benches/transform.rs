//! Transforms of one processor beside the same work without WebAssembly; run by `benches/transform`.
//!
//! Arguments: components, each `NAME=FILE`, or none for the native rows alone. A batch is 10,000 JSON records of about
//! 293 bytes. Figures are processor time of the whole process over batches repeated for about two seconds, so a busy
//! machine hardly enters them. A row for each component, after one for a copy of the batch, below which none can be.
//! `start_us` is a call with one record of two bytes.

#![allow(clippy::disallowed_methods, reason = "the bans of clippy.toml are about what serves")]

#[path = "guest/src/measure.rs"]
mod measure;

use hydrant::record::Chunk;
use hydrant::stage::Stage;
use hydrant::stage::partition::lambda::LambdaKeys;
use hydrant::stage::transform::{InvocationInfo, TransformFolder, TransformLimits};
use hydrant::stream::definition::TransformSpec;
use measure::{RECORDS, records, row, time_of};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Batches of each thread where wall time is measured.
const ROUNDS: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let records = records();
    let batch = Chunk::from_records(records.iter().map(Vec::as_slice), 0, 1_700_000_000_000);
    let bytes = batch.buffer.len();
    let copy = time_of(|| black_box(batch.buffer.to_vec()).len());
    let mut rows = vec![row("memcpy", copy, bytes)];
    for argument in std::env::args().skip(1).filter(|argument| argument.contains('=')) {
        let (name, file) = argument.split_once('=').ok_or("NAME=FILE")?;
        let file = Path::new(file);
        let folder = file.parent().ok_or("a file in a folder")?.to_owned();
        let folder = TransformFolder::new(folder, TransformLimits::default())?;
        let stem = file.file_stem().and_then(|stem| stem.to_str()).ok_or("a plain name")?;
        let compiled = Instant::now();
        let module = folder.load(&spec(stem))?;
        let compiled = compiled.elapsed();
        let stage = || module.stage(&spec(stem), InvocationInfo::default(), LambdaKeys::default(), Arc::new(|| false));
        let mut one = stage();
        let staged = one.apply(batch.clone());
        if staged.passed.slots.len() != RECORDS {
            return Err(format!(
                "{name}: {} of {RECORDS} records passed: {:?}",
                staged.passed.slots.len(),
                staged.refused.first()
            )
            .into());
        }
        let took = time_of(|| one.apply(batch.clone()));
        let tiny = Chunk::from_records([&b"{}"[..]], 0, 0);
        let start = time_of(|| one.apply(tiny.clone()));
        let rounds = if took.as_secs_f64() > 0.1 { ROUNDS / 5 } else { ROUNDS };
        let (alone, together) = (wall(rounds, 1, &batch, &stage), wall(rounds, 2, &batch, &stage));
        let mut row = row(name, took, bytes);
        row["start_us"] = json!(start.as_secs_f64() * 1e6);
        row["beyond_3_copies_ns_per_record"] =
            json!((took.as_secs_f64() - 3.0 * copy.as_secs_f64()) * 1e9 / RECORDS as f64);
        row["two_processors"] = json!(2.0 * alone.as_secs_f64() / together.as_secs_f64());
        row["compile_ms"] = json!(compiled.as_millis() as u64);
        rows.push(row);
    }
    println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(())
}

fn spec(function: &str) -> TransformSpec {
    TransformSpec {
        lambda_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
        function: function.to_owned(),
        version: None,
        retries: 0,
        // One call a batch.
        batch_bytes: 64 << 20,
        timeout_ms: 600_000,
        memory_bytes: 1 << 30,
        variables: BTreeMap::new(),
        fuel: None,
        is_stateless: false,
    }
}

/// Wall time of `rounds` batches on each of `threads` threads.
fn wall(rounds: u32, threads: usize, batch: &Chunk, stage: &(impl Fn() -> Box<dyn Stage> + Sync)) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut stage = stage();
                for _ in 0..rounds {
                    black_box(stage.apply(batch.clone()));
                }
            });
        }
    });
    start.elapsed()
}
