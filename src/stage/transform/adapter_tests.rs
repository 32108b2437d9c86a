//! Adapted components beside the same ones as they are, and the reader of their answers.

use super::abi::{InputRecord, Invocation, KafkaMetadata, KinesisMetadata};
use super::adapted::{adapted, with_adapter};
use super::enrich_tests::{corpus, verdicts};
use super::flat;
use super::host::{Host, Interrupted, TransformLimits};
use super::lasting::lasting;
use super::module::{CallLimits, Module, Used};
use super::stage::InvocationInfo;
use super::tests::{ARRIVAL_MS, spec};
use super::verdict::Answer;
use crate::fuzz_tests::{ended, fuzz};
use crate::record::Chunk;
use crate::stage::partition::lambda::LambdaKeys;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Component;

/// What a call is told beside its records.
pub(super) const INVOCATION: Invocation<'_> = Invocation {
    invocation_id: "id",
    delivery_stream_arn: "arn",
    source_arn: None,
    region: "eu",
    function_arn: "function",
    now_ms: 1,
    seed: 2,
    time_limit_ms: 3,
    memory_limit_bytes: 4,
    variables: &[],
};

pub(super) fn guest(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What the words of the test guest say, and harm: all that an answer may hold.
fn records() -> Vec<Vec<u8>> {
    let words = [
        "",
        "plain",
        "drop!",
        "fail!",
        "missing!",
        "wrong!",
        "beyond!",
        "twice!",
        "null!",
        "trap!",
        "err!",
        "utf8!",
        "utf8-key!",
        "utf8-id!",
        "status!",
        "lines!",
        "reverse!",
        "alien!",
        "huge!",
        "keys!",
        "@k=1 @l=2",
        "@k=ü fan!",
        "context!",
        "count!",
        "log!",
        "flood!",
        "third!",
        "mute!",
        "silent!",
    ];
    words.map(|word| word.as_bytes().to_vec()).into_iter().chain(corpus().into_iter().step_by(50)).collect()
}

/// What becomes of each record, by number: its bytes and keys, or its code and message.
fn fates(host: &Arc<Host>, wasm: &[u8], is_adapted: bool) -> BTreeMap<u64, String> {
    let module = Arc::new(module(host, wasm, is_adapted));
    let spec = crate::stream::definition::TransformSpec { batch_bytes: 300, retries: 1, ..spec("poison-list") };
    let wanted = LambdaKeys::of_prefix("!{partitionKeyFromLambda:k}/").unwrap();
    let mut all = BTreeMap::new();
    for wanted in [LambdaKeys::default(), wanted] {
        let records = records();
        let chunk = Chunk::from_records(records.iter().map(Vec::as_slice), 100, ARRIVAL_MS);
        let staged = module.stage(&spec, InvocationInfo::default(), wanted, Arc::new(|| false)).apply(chunk);
        let sum = staged.passed.slots.len() + staged.refused.len() + staged.dropped.len();
        assert_eq!(sum, records.len());
        let keys = staged.partition_keys.iter();
        let keys = keys.map(|key| &staged.passed.buffer[key.start as usize..key.end as usize]).map(<[u8]>::to_vec);
        let keys: Vec<_> = keys.collect();
        let offset = if keys.is_empty() { 0 } else { 1_000_000 };
        for (index, (slot, _)) in staged.passed.iter().enumerate().filter(|_| !keys.is_empty()) {
            all.insert(slot.origin.ordinal + 2 * offset, format!("{:?}", keys[index]));
        }
        all.extend(verdicts(&staged).into_iter().map(|(ordinal, fate)| (ordinal + offset, fate)));
    }
    all
}

pub(super) fn module(host: &Arc<Host>, wasm: &[u8], is_adapted: bool) -> Module {
    let component = Component::from_binary(host.engine(false), wasm).unwrap();
    let module = Module::of_component(host, &component, wasm, false, is_adapted).unwrap();
    assert_eq!(module.is_adapted(), is_adapted);
    module
}

fn host() -> Arc<Host> {
    let limits = TransformLimits { output_bytes: 1 << 20, ..TransformLimits::default() };
    Arc::new(Host::new(limits, None).unwrap())
}

#[test]
fn an_adapter_changes_no_fate() {
    let (host, wasm) = (host(), lasting(&guest("tests/guests/poison-list.wasm")).unwrap());
    let as_it_is = fates(&host, &wasm, false);
    let mut by_adapters = vec![adapted(&wasm).unwrap()];
    match std::env::var_os("HYDRANT_REBUILT_TRANSFORMS").map(PathBuf::from) {
        Some(rebuilt) => {
            let adapter = std::fs::read(rebuilt.join("adapter.wasm")).unwrap();
            by_adapters.push(with_adapter(&wasm, &adapter).unwrap());
        }
        None => println!("note: the adapter is the committed one alone (`transforms/build --check` makes another)"),
    }
    assert!(as_it_is.len() > 100);
    for wasm in by_adapters {
        let by_adapter = fates(&host, &wasm, true);
        assert!(by_adapter.keys().eq(as_it_is.keys()));
        for (ordinal, fate) in by_adapter {
            // The engine has its own words for what it cannot read, and traps have their callers in the text.
            let stable = |fate: &str| match fate.starts_with("Lambda.InvalidReturnFormat") {
                true => fate.split("cannot be read").next().unwrap_or_default().to_owned(),
                false => fate.split(" in ").next().unwrap_or_default().to_owned(),
            };
            assert_eq!(stable(&fate), stable(&as_it_is[&ordinal]), "record {ordinal}");
        }
    }
}

#[test]
fn all_that_a_call_is_told_arrives_either_way() {
    let (host, wasm) = (host(), lasting(&guest("tests/guests/poison-list.wasm")).unwrap());
    assert!(Module::compile(&host, &guest("tests/guests/poison-list.wasm"), false).unwrap().is_adapted());
    let kinesis = KinesisMetadata {
        sequence_number: "49",
        subsequence_number: 1,
        partition_key: "",
        shard_id: "shardId-ü",
        approximate_arrival_timestamp: 2,
    };
    let kafka = KafkaMetadata { topic: "t", offset: "5", partition_id: "p", approximate_arrival_timestamp: 3 };
    let record = |record_id, kinesis_metadata, kafka_metadata| InputRecord {
        record_id,
        approximate_arrival_timestamp: 258,
        data: b"context!",
        kinesis_metadata,
        kafka_metadata,
    };
    let records = [record("1", Some(&kinesis), None), record("two", None, Some(&kafka)), record("", None, None)];
    for (source_arn, variables) in [(None, &[][..]), (Some("arn:aws:kinesis"), &[("a", "1"), ("b", "")][..])] {
        let texts = [false, true].map(|is_adapted| {
            let wasm = if is_adapted { adapted(&wasm).unwrap() } else { wasm.clone() };
            let invocation = Invocation { source_arn, variables, ..INVOCATION };
            let time = Duration::from_secs(60);
            let limits = CallLimits { time, memory_bytes: 32 << 20, fuel: None };
            let interrupted: Interrupted = Arc::new(|| false);
            let (mut packed, mut used) = (Vec::new(), Used::default());
            let module = module(&host, &wasm, is_adapted);
            let records = records.iter().cloned();
            let reply = module.call(invocation, records, limits, &interrupted, &mut packed, &mut used);
            let mut texts = Vec::new();
            reply.unwrap().read(|record_id, answer| texts.push(answer.text(record_id))).unwrap();
            texts
        });
        assert_eq!(texts[0], texts[1]);
        assert_eq!(texts[0].len(), 3);
    }
}

#[test]
fn what_is_not_of_the_usual_form_is_left_as_it_is() {
    let list = lasting(&guest("tests/guests/poison-list.wasm")).unwrap();
    assert!(adapted(&list).is_some());
    // The other world, and a component inside another one.
    assert!(adapted(&lasting(&guest("tests/guests/poison-packed.wasm")).unwrap()).is_none());
    let mut outer = list[..8].to_vec();
    outer.push(4);
    wasm_encoder::Encode::encode(&list[..], &mut outer);
    assert!(adapted(&outer).is_none());
    // A component that cannot be read, at any place.
    for upto in (0..list.len()).step_by(97) {
        let _ = adapted(&list[..upto]);
    }
    for at in (0..list.len()).rev().take(3000) {
        let mut broken = list.clone();
        broken[at] ^= 0x11;
        let _ = adapted(&broken);
    }
}

/// An answer in memory, its result at 8: a record with all that it may have, one with the least, and a line.
fn memory() -> Vec<u8> {
    let text = b"id1id2data k v db table message line";
    let base = 400_u32;
    let at = |word: &str| {
        let place = text.windows(word.len()).position(|window| window == word.as_bytes()).unwrap();
        [base + place as u32, word.len() as u32]
    };
    let mut memory = vec![0_u8; base as usize];
    let mut put = |at: usize, numbers: &[u32]| {
        for (number, to) in numbers.iter().zip(memory[at..].chunks_mut(4)) {
            to.copy_from_slice(&number.to_le_bytes());
        }
    };
    put(8, &[0, 40, 2, 300, 1]);
    put(40, &[at("id1"), [0, 1], at("data"), [200, 1], [1, 1]].concat());
    put(40 + 40, &[at("db"), [1, at("table")[0]], [5, 0x0201]].concat());
    put(40 + 64, &[&[1][..], &at("message")].concat());
    put(116, &[at("id2"), [1, 0]].concat());
    put(200, &[at("k"), at("v")].concat());
    put(300, &[&[2][..], &at("line")].concat());
    memory.extend(text);
    memory
}

/// The records and lines of an answer, as text.
fn read(memory: &[u8], limit_bytes: usize) -> Result<Vec<String>, flat::Malformed> {
    let mut texts = Vec::new();
    let lines = flat::read(memory, 8, limit_bytes, |record_id, answer| {
        let Answer { status, data, message, keys, otf } = answer;
        let keys: Vec<_> = keys.pairs().collect();
        let [id, data] = [record_id, data.unwrap_or(b"none")].map(String::from_utf8_lossy);
        let otf = otf.map(|otf| (otf.database, otf.table, otf.operation));
        texts.push(format!("{id} {status:?} {data} {keys:?} {otf:?} {message:?}"));
    })?;
    texts.extend(lines.iter().map(|line| format!("{:?} {}", line.level, line.message)));
    Ok(texts)
}

#[test]
fn an_answer_is_read_where_it_lies() {
    let memory = memory();
    let expected = [
        "id1 Some(Ok) data [(\"k\", \"v\")] Some((Some(\"db\"), Some(\"table\"), Some(Delete))) Some(\"message\")",
        "id2 Some(Dropped) none [] None None",
        "Warn line",
    ];
    assert_eq!(read(&memory, 100).unwrap(), expected);
    assert_eq!(flat::failure(&memory, 8, 100).unwrap().map(|failure| failure.message), None);
    // Ids, data, database, table, message, line, and a key with its pair.
    let bytes = 3 + 4 + 2 + 5 + 7 + 3 + 4 + (16 + 2);
    assert_eq!(read(&memory, bytes).unwrap(), expected);
    assert_eq!(read(&memory, bytes - 1), Err(flat::Malformed::TooLarge));
    // The same place as a failure.
    let mut failed = memory;
    failed[8] = 1;
    (failed[12..20]).copy_from_slice(&[144, 1, 0, 0, 3, 0, 0, 0]);
    (failed[20..28]).copy_from_slice(&[44, 1, 0, 0, 1, 0, 0, 0]);
    let failure = flat::failure(&failed, 8, 7).unwrap().unwrap();
    assert_eq!((&failure.message[..], failure.logs.len(), &failure.logs[0].message[..]), ("id1", 1, "line"));
    assert_eq!(flat::failure(&failed, 8, 6).unwrap_err(), flat::Malformed::TooLarge);
    failed[8] = 2;
    assert_eq!(flat::failure(&failed, 8, 7).unwrap_err(), flat::Malformed::BadTag("the result", 2));
}

#[test]
fn what_is_named_many_times_counts_each_time() {
    // A million keys of one record, and the name of a table, that are all of the same bytes.
    let number =
        |memory: &mut Vec<u8>, at: usize, number: u32| memory[at..at + 4].copy_from_slice(&number.to_le_bytes());
    let mut keys = memory();
    keys.resize(16 << 20, b'a');
    number(&mut keys, 64, 1 << 20);
    number(&mut keys, 68, (15 << 20) / 16);
    for at in (1 << 20..16 << 20).step_by(4) {
        number(&mut keys, at, 1 << 20);
    }
    let mut table = memory();
    table.resize(16 << 20, b'a');
    number(&mut table, 40 + 52, 1 << 20);
    number(&mut table, 40 + 56, 15 << 20);
    for memory in [keys, table] {
        let mut heard = 0;
        let read = flat::read(&memory, 8, 3 << 20, |_, _| heard += 1);
        assert_eq!((read.unwrap_err(), heard), (flat::Malformed::TooLarge, 0));
    }
}

#[test]
fn no_memory_brings_the_reader_down() {
    let tokens = ["\0\0\0", "\u{1}\0\0\0", "\u{1}", "\u{2}", "(", "\u{7f}", "\u{c8}"];
    // A text of bytes is up to six times as long as they are.
    fuzz("answers in memory", "flat", &tokens, &mut |memories| {
        let read = memories.iter().map(|memory| {
            flat::flat_texts(memory).inspect(|texts| {
                assert!(texts.iter().map(String::len).sum::<usize>() < 8 << 20);
            })
        });
        read.map(|texts| ended(texts.is_some())).collect()
    });
}

/// The seed of the corpus is the answer above.
#[test]
fn the_corpus_holds_an_answer() {
    assert_eq!(guest("fuzz/corpus/flat/answer"), memory());
}
