//! A guest for tests: each record is put back as it came, except that certain words in it make the guest misbehave.
//! The words stand in `act`. One source, two components: `list` (world transform) and `packed` (transform-packed).

#[cfg(not(feature = "packed"))]
mod bindings {
    wit_bindgen::generate!({ world: "transform", path: "../../../transforms/wit" });
}
#[cfg(feature = "packed")]
mod bindings {
    wit_bindgen::generate!({ world: "transform-packed", path: "../../../transforms/wit" });
}

#[path = "../../../../transforms/templates/rust/src/last_words.rs"]
mod last_words;
#[cfg(feature = "packed")]
mod packed;

use bindings::hydrant::transform::types::{Failure, Invocation, LogLevel, LogLine};
use std::sync::atomic::{AtomicU32, Ordering};

/// Records seen by this instance; tells whether an instance is used twice.
static SEEN: AtomicU32 = AtomicU32::new(0);

/// A record of either world on its way in.
pub struct Input {
    pub id: String,
    pub arrival_ms: u64,
    pub data: Vec<u8>,
    pub metadata: String,
}

/// A record of either world on its way out; `status` as in the packed layout.
#[derive(Clone, Default)]
pub struct Output {
    pub id: String,
    pub status: u8,
    pub data: Option<Vec<u8>>,
    pub keys: Vec<(String, String)>,
    pub table: Option<(String, String)>,
    pub message: Option<String>,
    /// Packed world: the record's length says so many bytes less than it has.
    pub hidden_bytes: u32,
}

pub struct Outcome {
    pub records: Vec<Output>,
    pub logs: Vec<LogLine>,
    /// Packed world: this many bytes of the output are cut off.
    pub cut_bytes: usize,
    /// Packed world: this many bytes of 0xff stand after the end of the output.
    pub extra_bytes: usize,
    /// Packed world: the output is said to be longer than the memory it is in.
    pub reaches_beyond: bool,
}

pub fn work(invocation: &Invocation, inputs: Vec<Input>) -> Result<Outcome, Failure> {
    last_words::keep();
    let (records, logs) = (Vec::new(), Vec::new());
    let mut outcome = Outcome { records, logs, cut_bytes: 0, extra_bytes: 0, reaches_beyond: false };
    let mut reversed = false;
    for input in inputs {
        let text = String::from_utf8_lossy(&input.data).into_owned();
        SEEN.fetch_add(1, Ordering::Relaxed);
        reversed |= text.contains("reverse!");
        act(invocation, &text, input, &mut outcome)?;
    }
    if reversed {
        outcome.records.reverse();
    }
    Ok(outcome)
}

fn act(invocation: &Invocation, text: &str, input: Input, outcome: &mut Outcome) -> Result<(), Failure> {
    let has = |word: &str| text.contains(word);
    let mut output = Output { id: input.id, data: Some(input.data), ..Output::default() };
    if has("trap!") {
        panic!("trap! in a record");
    }
    if has("third!") && SEEN.load(Ordering::Relaxed) == 3 {
        panic!("third! in a record, the third of its call");
    }
    if has("silent!") {
        std::process::abort();
    }
    if has("overflow!") {
        output.message = Some(recurse(text.len() as u64).to_string());
    }
    if has("loop!") {
        loop {
            std::hint::black_box(&output.id);
        }
    }
    if has("hog!") {
        let mut hoard = Vec::new();
        loop {
            hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
        }
    }
    if has("err!") {
        return Err(Failure { message: "err! in a record".into(), logs: vec![line("before the error")] });
    }
    if has("drop!") {
        (output.status, output.data) = (1, None);
    }
    if has("fail!") {
        (output.status, output.data, output.message) = (2, None, Some("fail! in a record".into()));
    }
    if has("mute!") {
        (output.status, output.data) = (2, None);
    }
    if has("null!") {
        output.data = None;
    }
    if has("status!") {
        output.status = 9;
    }
    if has("big!") {
        output.data = Some(vec![b'b'; 2 << 20]);
    }
    if has("huge!") {
        output.data = Some(vec![b'h'; 65 << 20]);
    }
    if has("beyond!") {
        outcome.reaches_beyond = true;
        if cfg!(not(feature = "packed")) {
            output.data = output.data.map(beyond);
        }
    }
    if has("lines!") {
        output.data = Some(b"one\ntwo\n".to_vec());
    }
    if has("fan!") {
        output.data = output.data.map(|data| data.repeat(2));
    }
    if has("count!") {
        output.data = Some(SEEN.load(Ordering::Relaxed).to_string().into_bytes());
    }
    if has("context!") {
        output.data = Some(format!("{invocation:?} {} {}", input.arrival_ms, input.metadata).into_bytes());
    }
    if has("keys!") {
        output.keys = (0..100_000).map(|n| (format!("k{n}"), String::new())).collect();
        output.table = Some(("db".into(), "table".into()));
    }
    // `@name=value`: a partition key.
    let keys = text.split_whitespace().filter_map(|word| word.strip_prefix('@')?.split_once('='));
    output.keys.extend(keys.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if has("utf8!") {
        // What a guest in C may do; nothing here reads it as text.
        output.message = Some(unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) });
    }
    if has("utf8-key!") {
        output.keys.push((unsafe { String::from_utf8_unchecked(vec![b'k', 0xff]) }, "v".into()));
    }
    if has("utf8-id!") {
        output.id = unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) };
    }
    if has("wrong!") {
        output.id.insert(0, 'x');
    }
    if has("log!") {
        outcome.logs.push(line(text));
    }
    if has("flood!") {
        outcome.logs.extend((0..10_000).map(|n| line(&format!("line {n}"))));
    }
    if has("cut!") {
        outcome.cut_bytes = 3;
    }
    if has("long!") {
        outcome.extra_bytes = 3;
    }
    if has("spill!") {
        output.hidden_bytes = 5;
    }
    if has("alien!") {
        outcome.records.push(Output { id: "alien".into(), ..output.clone() });
    }
    if has("twice!") {
        outcome.records.push(output.clone());
    }
    if !has("missing!") {
        outcome.records.push(output);
    }
    Ok(())
}

/// The same bytes with a length that no memory of a test has.
pub fn beyond(bytes: Vec<u8>) -> Vec<u8> {
    let length = 48 << 20;
    // Nothing here reads it.
    unsafe { Vec::from_raw_parts(bytes.leak().as_mut_ptr(), length, length) }
}

#[inline(never)]
fn recurse(n: u64) -> u64 {
    if n == u64::MAX {
        return 0;
    }
    std::hint::black_box(recurse(std::hint::black_box(n + 1))) + 1
}

fn line(text: &str) -> LogLine {
    LogLine { level: LogLevel::Warn, message: text.into() }
}

#[cfg(not(feature = "packed"))]
mod list {
    use super::bindings::exports::hydrant::transform::transformer::{Guest, InputRecord, Outcome};
    use super::bindings::hydrant::transform::types::{
        Failure, Invocation, Operation, OtfMetadata, OutputRecord, Status,
    };

    struct Component;
    super::bindings::export!(Component with_types_in super::bindings);

    impl Guest for Component {
        fn transform(invocation: Invocation, records: Vec<InputRecord>) -> Result<Outcome, Failure> {
            let inputs = records.into_iter().map(|record| super::Input {
                metadata: format!("{:?} {:?}", record.kinesis_metadata, record.kafka_metadata),
                id: record.record_id,
                arrival_ms: record.approximate_arrival_timestamp,
                data: record.data,
            });
            let outcome = super::work(&invocation, inputs.collect())?;
            Ok(Outcome { records: outcome.records.into_iter().map(output).collect(), logs: outcome.logs })
        }
    }

    fn output(output: super::Output) -> OutputRecord {
        OutputRecord {
            record_id: output.id,
            status: match output.status {
                1 => Status::Dropped,
                2 => Status::ProcessingFailed,
                0 => Status::Ok,
                // No such case: the host must refuse the whole answer.
                other => unsafe { std::mem::transmute::<u8, Status>(other) },
            },
            data: output.data,
            partition_keys: output.keys,
            otf_metadata: output.table.map(|(database, table)| OtfMetadata {
                destination_database_name: Some(database),
                destination_table_name: Some(table),
                operation: Some(Operation::Update),
            }),
            message: output.message,
        }
    }
}
