//! Transforms of one processor beside the same work without WebAssembly; asked by `benches/transform`.
//!
//! Arguments: components, each `NAME=FILE`, or none for a copy of the batch alone, below which nothing can be. A batch is
//! 10,000 JSON records of about 293 bytes. Of each component: `NAME` is a batch, in processor time; `NAME start` a call
//! with one record of two bytes; `NAME alone` a few batches on one thread and `NAME together` as many on each of two, in
//! wall time.

#![allow(clippy::disallowed_methods, reason = "the bans of clippy.toml are about what serves")]

#[path = "guest/src/measure.rs"]
mod measure;

use hydrant::record::Chunk;
use hydrant::stage::Stage;
use hydrant::stage::partition::lambda::LambdaKeys;
use hydrant::stage::transform::{InvocationInfo, TransformFolder, TransformLimits};
use hydrant::stream::definition::TransformSpec;
use measure::{RECORDS, Work, of_processor, records, serve};
use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Batches of each thread where wall time is measured: so many that the start of a thread and the filling of its heap, which
/// the threads of the service do once, count for little.
const ROUNDS: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let records = records();
    let batch = Chunk::from_records(records.iter().map(Vec::as_slice), 0, 1_700_000_000_000);
    let mut works = vec![("memcpy".to_owned(), of_processor(|| batch.buffer.to_vec()))];
    for argument in std::env::args().skip(1).filter(|argument| argument.contains('=')) {
        let (name, file) = argument.split_once('=').ok_or("NAME=FILE")?;
        let file = Path::new(file);
        let folder = file.parent().ok_or("a file in a folder")?.to_owned();
        let folder = TransformFolder::new(folder, TransformLimits::default())?;
        let stem = file.file_stem().and_then(|stem| stem.to_str()).ok_or("a plain name")?.to_owned();
        let module = folder.load(&spec(&stem))?;
        let stage =
            move || module.stage(&spec(&stem), InvocationInfo::default(), LambdaKeys::default(), Arc::new(|| false));
        let mut one = stage();
        let staged = one.apply(batch.clone());
        if staged.passed.slots.len() != RECORDS {
            let passed = staged.passed.slots.len();
            return Err(format!("{name}: {passed} of {RECORDS} records passed: {:?}", staged.refused.first()).into());
        }
        let tiny = Chunk::from_records([&b"{}"[..]], 0, 0);
        let mut another = stage();
        let (stage, batch) = (Rc::new(stage), &batch);
        let same = Rc::clone(&stage);
        let alone: Work<'_> = Box::new(move || wall(1, batch, &*stage));
        let together: Work<'_> = Box::new(move || wall(2, batch, &*same));
        works.extend([
            (name.to_owned(), of_processor(move || one.apply(batch.clone()))),
            (format!("{name} start"), of_processor(move || another.apply(tiny.clone()))),
            (format!("{name} alone"), alone),
            (format!("{name} together"), together),
        ]);
    }
    Ok(serve(&mut works)?)
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

/// Wall time of the rounds on each of `threads` threads.
fn wall(threads: usize, batch: &Chunk, stage: &(impl Fn() -> Box<dyn Stage> + Sync)) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut stage = stage();
                for _ in 0..ROUNDS {
                    black_box(stage.apply(batch.clone()));
                }
            });
        }
    });
    start.elapsed()
}
