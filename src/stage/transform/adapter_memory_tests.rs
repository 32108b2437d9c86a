//! What the adapter of lists does with the memory of guests whose allocators differ.

use super::abi::{InputRecord, KafkaMetadata, KinesisMetadata};
use super::adapted::{ADAPTER, with_adapter};
use super::adapter_tests::{INVOCATION, guest, module};
use super::host::{Host, Interrupted, TransformLimits};
use super::lasting::lasting;
use super::module::{CallLimits, Used};
use super::packed;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    MemorySection, MemoryType, TypeSection, ValType,
};
use wasmtime::{Engine, Instance, Linker, Memory, Store};

/// Records of many lengths, some of none and one of several pieces that are given back.
fn records() -> Vec<(String, Vec<u8>)> {
    let lengths = (0..2_000).map(|index| match index {
        700 => 300_000,
        _ => index * 37 % 601,
    });
    let data = |length| (0..length).map(|at| (at * 31 + length) as u8).collect();
    lengths.enumerate().map(|(index, length)| (format!("{index:024}")[index % 25..].to_owned(), data(length))).collect()
}

const KINESIS: KinesisMetadata<'_> = KinesisMetadata {
    sequence_number: "49",
    subsequence_number: 1,
    partition_key: "key",
    shard_id: "shardId-0",
    approximate_arrival_timestamp: 2,
};
const KAFKA: KafkaMetadata<'_> =
    KafkaMetadata { topic: "t", offset: "5", partition_id: "p", approximate_arrival_timestamp: 3 };

fn input(records: &[(String, Vec<u8>)]) -> impl ExactSizeIterator<Item = InputRecord<'_>> + Clone {
    records.iter().enumerate().map(|(index, (record_id, data))| InputRecord {
        record_id,
        approximate_arrival_timestamp: 258,
        data,
        kinesis_metadata: (index % 3 == 1).then_some(&KINESIS),
        kafka_metadata: (index % 3 == 2).then_some(&KAFKA),
    })
}

/// A guest that answers with its arguments. Its `realloc` makes allocations of fewer than `in_place_bytes` smaller where they
/// are and moves others; what an allocation leaves is filled with 255 at once.
fn echo(in_place_bytes: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut functions = FunctionSection::new();
    functions.function(0).function(1);
    let mut memories = MemorySection::new();
    let memory = MemoryType { minimum: 256, maximum: None, memory64: false, shared: false, page_size_log2: None };
    memories.memory(memory);
    let mut globals = GlobalSection::new();
    let next = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(next, &ConstExpr::i32_const(1024));
    let mut exports = ExportSection::new();
    exports.export("realloc", ExportKind::Func, 0).export("transform", ExportKind::Func, 1);
    exports.export("memory", ExportKind::Memory, 0);
    let (old, old_bytes, bytes, at) = (0, 1, 3, 4);
    let mut realloc = Function::new([(1, ValType::I32)]);
    let mut code = realloc.instructions();
    code.local_get(old_bytes).i32_const(-1).i32_add().i32_const(in_place_bytes.wrapping_sub(1).cast_signed());
    code.i32_lt_u().if_(BlockType::Empty);
    code.local_get(old).local_get(bytes).i32_add().i32_const(255);
    code.local_get(old_bytes).local_get(bytes).i32_sub().memory_fill(0);
    code.local_get(old).return_().end();
    code.global_get(0).i32_const(7).i32_add().i32_const(-8).i32_and().local_tee(at);
    code.local_get(bytes).i32_add().global_set(0);
    code.local_get(old_bytes).if_(BlockType::Empty);
    code.local_get(at).local_get(old).local_get(bytes).memory_copy(0, 0);
    code.local_get(old).i32_const(255).local_get(old_bytes).memory_fill(0);
    code.end().local_get(at).end();
    let mut transform = Function::new([]);
    transform.instructions().local_get(0).end();
    let mut codes = CodeSection::new();
    codes.function(&realloc).function(&transform);
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&functions).section(&memories).section(&globals).section(&exports).section(&codes);
    module.finish()
}

/// The numbers at a place.
fn numbers<const N: usize>(memory: &[u8], at: u32) -> [u32; N] {
    let mut numbers = memory[at as usize..].chunks(4).map(|number| u32::from_le_bytes(number.try_into().unwrap()));
    std::array::from_fn(|_| numbers.next().unwrap())
}

/// Ids and data that a function is called with by the adapter, and the end of the memory that was allocated.
fn arrived(in_place_bytes: u32, records: &[(String, Vec<u8>)]) -> (Vec<(String, Vec<u8>)>, u32) {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let instance = |store: &mut Store<()>, linker: &Linker<()>, module: &[u8]| -> Instance {
        linker.instantiate(store, &wasmtime::Module::new(&engine, module).unwrap()).unwrap()
    };
    let guest = instance(&mut store, &linker, &echo(in_place_bytes));
    linker.instance(&mut store, "guest", guest).unwrap();
    let adapter = instance(&mut store, &linker, ADAPTER);
    let realloc = guest.get_typed_func::<(u32, u32, u32, u32), u32>(&mut store, "realloc").unwrap();
    let memory: Memory = guest.get_memory(&mut store, "memory").unwrap();
    let mut batch = Vec::new();
    packed::pack(input(records), &mut batch);
    let put = |store: &mut Store<()>, bytes: &[u8]| {
        let at = realloc.call(&mut *store, (0, 0, 1, bytes.len() as u32)).unwrap();
        memory.write(&mut *store, at as usize, bytes).unwrap();
        (at, bytes.len() as u32)
    };
    let (invocation, batch) = (put(&mut store, &packed::pack_invocation(&INVOCATION)), put(&mut store, &batch));
    let call = adapter.get_typed_func::<(u32, u32, u32, u32), u32>(&mut store, "call").unwrap();
    let answer = call.call(&mut store, (invocation.0, invocation.1, batch.0, batch.1)).unwrap();
    let upto = realloc.call(&mut store, (0, 0, 1, 0)).unwrap();
    let memory = memory.data(&store);
    let [arguments, ..] = numbers::<3>(memory, answer);
    let [first, count] = numbers(memory, arguments + 88);
    let bytes = |at| {
        let [from, length] = numbers(memory, at);
        memory[from as usize..][..length as usize].to_vec()
    };
    let record = |index| (String::from_utf8(bytes(first + index * 112)).unwrap(), bytes(first + index * 112 + 16));
    ((0..count).map(record).collect(), upto)
}

#[test]
fn every_record_arrives_whatever_becomes_of_the_batch() {
    let records = records();
    let batch_bytes: usize = records.iter().map(|(_, data)| data.len()).sum();
    // Never in place, in place until it is tried with the batch, in place always.
    let [moves, moves_once, stays] = [1, 1 << 16, u32::MAX].map(|in_place_bytes| {
        let (found, upto) = arrived(in_place_bytes, &records);
        assert!(found == records, "in place below {in_place_bytes}");
        upto as usize
    });
    // Who moves one is not asked again.
    assert!(moves.abs_diff(stays) < 1024, "{moves} {stays}");
    assert!((moves_once - stays).abs_diff(batch_bytes) < batch_bytes / 2, "{moves_once} {stays}");
}

#[test]
fn a_batch_is_in_memory_once() {
    let wasm = lasting(&guest("tests/guests/poison-list.wasm")).unwrap();
    let host = Arc::new(Host::new(TransformLimits::default(), None).unwrap());
    let records: Vec<_> = std::iter::repeat_n(records(), 5).flatten().collect();
    let batch_bytes: usize = records.iter().map(|(_, data)| data.len()).sum();
    let answers = |wasm: &[u8], is_adapted| {
        let module = module(&host, wasm, is_adapted);
        let limits = CallLimits { time: Duration::from_secs(60), memory_bytes: 256 << 20, fuel: None };
        let interrupted: Interrupted = Arc::new(|| false);
        let (mut used, mut texts) = (Used::default(), Vec::new());
        let reply = module.call(INVOCATION, input(&records), limits, &interrupted, &mut Vec::new(), &mut used);
        reply.unwrap().read(|record_id, answer| texts.push(answer.text(record_id))).unwrap();
        (texts, used.memory_bytes)
    };
    let (expected, as_it_is) = answers(&wasm, false);
    let mut adapters = vec![ADAPTER.to_vec()];
    match std::env::var_os("HYDRANT_REBUILT_TRANSFORMS").map(PathBuf::from) {
        Some(rebuilt) => adapters.push(std::fs::read(rebuilt.join("adapter.wasm")).unwrap()),
        None => println!("note: the adapter is the committed one alone (`transforms/build --check` makes another)"),
    }
    for adapter in adapters {
        let (texts, memory_bytes) = answers(&with_adapter(&wasm, &adapter).unwrap(), true);
        assert!(texts.len() == records.len() && texts == expected);
        assert!(memory_bytes < as_it_is + batch_bytes as u64 / 4, "{memory_bytes} {as_it_is} {batch_bytes}");
    }
}
