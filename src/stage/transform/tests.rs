//! The stage with the guests of `tests/guests`: each code, each limit, in both worlds.

mod second_reading;

use super::*;
use crate::fuzz_tests::{ended, fuzz};
use crate::record::{Chunk, Origin, Refused};
use crate::stage::Staged;
use crate::stage::partition::keys::parse;
use crate::stage::partition::lambda::LambdaKeys;
use crate::stream::definition::TransformSpec;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

pub const WORLDS: [&str; 2] = ["poison-list", "poison-packed"];
pub const ARRIVAL_MS: i64 = 1_700_000_000_123;

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests")
}

fn folder(dir: PathBuf) -> TransformFolder {
    let limits = TransformLimits { output_bytes: 1 << 20, ..TransformLimits::default() };
    TransformFolder::new(dir, limits).unwrap()
}

pub fn spec(function: &str) -> TransformSpec {
    TransformSpec {
        lambda_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
        function: function.to_owned(),
        version: None,
        retries: 3,
        batch_bytes: 1 << 20,
        timeout_ms: 60_000,
        memory_bytes: 32 << 20,
        variables: BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
        fuel: None,
        is_stateless: false,
    }
}

fn info() -> InvocationInfo {
    InvocationInfo {
        stream_arn: "arn:aws:firehose:us-east-1:000000000000:deliverystream/s".to_owned(),
        region: "us-east-1".to_owned(),
        invocation_id: "run".to_owned(),
        now_ms: 1_700_000_000_456,
        seed: 7,
    }
}

pub fn apply(spec: &TransformSpec, records: &[&str]) -> Staged {
    // Compiling takes longer than all the tests.
    static FOLDER: LazyLock<TransformFolder> = LazyLock::new(|| folder(guests()));
    apply_with(&FOLDER.load(spec).unwrap(), spec, records)
}

fn apply_with(module: &Arc<Module>, spec: &TransformSpec, records: &[&str]) -> Staged {
    let chunk = Chunk::from_records(records.iter().map(|record| record.as_bytes()), 100, ARRIVAL_MS);
    let staged = module.stage(spec, info(), LambdaKeys::default(), Arc::new(|| false)).apply(chunk);
    let mut origins: Vec<Origin> = staged.passed.slots.iter().map(|slot| slot.origin).collect();
    assert!(origins.is_sorted(), "passed records in order");
    origins.extend(staged.refused.iter().map(|refused| refused.origin));
    origins.extend(&staged.dropped);
    origins.sort();
    let expected: Vec<_> = (0..records.len() as u64).map(|n| Origin { ordinal: 100 + n, part: 0 }).collect();
    assert_eq!(origins, expected, "each record has one fate");
    staged
}

pub fn passed(staged: &Staged) -> Vec<String> {
    staged.passed.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
}

fn only(refused: &[Refused]) -> (u64, &str, &str, u32) {
    let [refused] = refused else { panic!("one record refused: {refused:?}") };
    let cause = &refused.cause;
    assert_eq!(cause.kind.as_str(), "processing-failed");
    (refused.origin.ordinal - 100, &cause.code, &cause.message, cause.attempts)
}

const FUNCTION_ERROR: &str = "The Lambda function was successfully invoked but it returned an error result.";

#[test]
fn records_pass_are_dropped_or_refused() {
    for world in WORLDS {
        let staged = apply(&spec(world), &["a\n", "drop! b\n", "", "fail! c\n", "lines!", "é\n"]);
        assert_eq!(passed(&staged), ["a\n", "", "one\ntwo\n", "é\n"], "{world}");
        assert_eq!(staged.dropped, [Origin { ordinal: 101, part: 0 }], "{world}");
        let (index, code, message, attempts) = only(&staged.refused);
        assert_eq!((index, code, attempts), (3, "Lambda.ProcessingFailedStatus", 1), "{world}");
        assert_eq!(message, "ProcessingFailed status set for record: fail! in a record", "{world}");
        assert!(staged.passed.slots.iter().all(|slot| slot.arrival_ms == ARRIVAL_MS));
    }
}

#[test]
fn bad_answers_refuse_their_record_at_once() {
    let missing =
        "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids.";
    let duplicated = "Multiple records were returned with the same record Id. Ensure that the Lambda function returns \
                      a unique record Id for each record.";
    let null_data = "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and \
                     processing result is Ok. The value field cannot be null when the SourceType is MSKAsSource and \
                     processing result is Ok.";
    for world in WORLDS {
        for (word, code, message) in [
            ("missing!", "Lambda.MissingRecordId", missing),
            ("wrong!", "Lambda.MissingRecordId", missing),
            ("twice!", "Lambda.DuplicatedRecordId", duplicated),
            ("null!", "Lambda.InvalidReturnFormat", null_data),
            ("mute!", "Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record"),
        ] {
            let staged = apply(&spec(world), &["a", word, "b"]);
            assert_eq!(passed(&staged), ["a", "b"], "{world} {word}");
            assert_eq!(only(&staged.refused), (1, code, message, 1), "{world}");
        }
    }
}

#[test]
fn unknown_ids_and_any_order_are_taken() {
    for world in WORLDS {
        let staged = apply(&spec(world), &["a", "alien! reverse!", "c"]);
        assert_eq!(passed(&staged), ["a", "alien! reverse!", "c"], "{world}");
        assert!(staged.refused.is_empty());
    }
}

#[test]
fn a_failing_call_costs_only_the_record_that_causes_it() {
    for world in WORLDS {
        for (word, detail) in [
            ("silent!", "wasm trap: wasm `unreachable` instruction executed"),
            ("trap!", "panicked at src/lib.rs:"),
            ("err!", "err! in a record"),
            ("overflow!", "wasm trap: call stack exhausted"),
            ("hog!", "It needs more memory than its limit of 33554432 bytes."),
            ("big!", "It returned more than the limit of 1048576 bytes."),
        ] {
            let staged = apply(&spec(world), &["a", "b", word, "c", "d"]);
            assert_eq!(passed(&staged), ["a", "b", "c", "d"], "{world} {word}");
            let (index, code, message, attempts) = only(&staged.refused);
            assert_eq!((index, code, attempts), (2, "Lambda.FunctionError", 4), "{world} {word}");
            assert!(message.starts_with(&format!("{FUNCTION_ERROR} {detail}")), "{world} {word}: {message}");
            let said = message.contains(":\ntrap! in a record (wasm trap: wasm `unreachable` instruction executed");
            assert_eq!(said, word == "trap!", "{world} {word}: {message}");
        }
    }
}

#[test]
fn an_answer_that_breaks_the_layout_is_not_asked_for_again() {
    for (world, word, detail) in [
        ("poison-list", "utf8!", "invalid utf-8"),
        ("poison-list", "utf8-key!", "invalid utf-8"),
        ("poison-list", "utf8-id!", "invalid utf-8"),
        ("poison-list", "status!", "discriminant"),
        ("poison-list", "beyond!", "out of bounds"),
        ("poison-packed", "utf8!", "a message is not UTF-8"),
        ("poison-packed", "utf8-key!", "a partition key is not UTF-8"),
        ("poison-packed", "cut!", "the packed output ends inside"),
        ("poison-packed", "long!", "the packed output holds 3 bytes after its end"),
        ("poison-packed", "spill!", "the packed output ends inside data"),
        ("poison-packed", "beyond!", "out of bounds"),
    ] {
        let staged = apply(&spec(world), &["a", word, "b"]);
        assert_eq!(passed(&staged), ["a", "b"], "{world} {word}");
        let (index, code, message, attempts) = only(&staged.refused);
        assert_eq!((index, code, attempts), (1, "Lambda.InvalidReturnFormat", 1), "{world} {word}");
        assert!(message.contains(detail), "{world} {word}: {message}");
    }
    let staged = apply(&spec("poison-packed"), &["status!"]);
    let (_, code, message, _) = only(&staged.refused);
    assert_eq!(code, "Lambda.InvalidReturnFormat");
    assert_eq!(message, "The result field must be one of Ok, Dropped and ProcessingFailed.");
}

#[test]
fn a_trap_on_the_third_record_of_a_call_refuses_none() {
    for world in WORLDS {
        let records = ["a third!", "b third!", "c third!", "d third!", "e third!"];
        let staged = apply(&spec(world), &records);
        assert_eq!((passed(&staged), staged.refused.len()), (records.map(str::to_owned).to_vec(), 0), "{world}");
    }
}

#[test]
fn an_endless_loop_is_stopped() {
    for world in WORLDS {
        let spec = TransformSpec { timeout_ms: 300, retries: 1, ..spec(world) };
        let staged = apply(&spec, &["loop!"]);
        let (_, code, message, attempts) = only(&staged.refused);
        assert_eq!((code, attempts), ("Lambda.FunctionTimedOut", 2), "{world}");
        let sentence = "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function.";
        assert_eq!(message, format!("{sentence} It took more than 300 ms of processor time."));
    }
}

#[test]
fn many_partition_keys_are_read_and_none_of_them_kept() {
    for world in WORLDS {
        let limits = TransformLimits { output_bytes: 64 << 20, ..TransformLimits::default() };
        let module = TransformFolder::new(guests(), limits).unwrap().load(&spec(world)).unwrap();
        assert_eq!(passed(&apply_with(&module, &spec(world), &["keys!", "b"])), ["keys!", "b"], "{world}");
        // Each of the 100,000 is empty.
        let wanted = LambdaKeys::of_prefix("!{partitionKeyFromLambda:k7}/").unwrap();
        let chunk = Chunk::from_records([&b"keys!"[..], b"keys! @k7=x", b"@k7=x keys!", b"@k7=v"], 0, ARRIVAL_MS);
        let staged = module.stage(&spec(world), info(), wanted, Arc::new(|| false)).apply(chunk);
        let messages: Vec<_> = staged.refused.iter().map(|refused| &refused.cause.message[..]).collect();
        let twice = "partitionKeys has the key k7 more than once";
        assert_eq!(messages, ["partitionKeys values must not be null or empty: k7", twice, twice], "{world}");
        assert_eq!(passed(&staged), ["@k7=v"]);
        assert_eq!(staged.passed.buffer.len(), 5 + 1 + 4 + 2 + 4 + 1, "{world}");
    }
}

#[test]
fn keys_go_with_their_records() {
    for world in WORLDS {
        let wanted = LambdaKeys::of_prefix("!{partitionKeyFromLambda:b}/!{partitionKeyFromLambda:a}/").unwrap();
        let records = ["@a=1 @b=x", "@b=x @a=1 fan!", "@b=y @a=1", "drop! @a=1 @b=x", "@a=2 @b=", "@b=x @a=1 lines!"];
        let chunk = Chunk::from_records(records.map(str::as_bytes), 0, ARRIVAL_MS);
        let module = folder(guests()).load(&spec(world)).unwrap();
        let staged = module.stage(&spec(world), info(), wanted, Arc::new(|| false)).apply(chunk);
        let bytes = |range: &std::ops::Range<u32>| &staged.passed.buffer[range.start as usize..range.end as usize];
        let keys: Vec<_> = staged.partition_keys.iter().map(|range| parse(bytes(range)).unwrap().lambda).collect();
        let of = |a: &str, b: &str| BTreeMap::from([("a".to_owned(), a.to_owned()), ("b".to_owned(), b.to_owned())]);
        assert_eq!(keys, [of("1", "x"), of("1", "x"), of("1", "y"), of("1", "x")], "{world}");
        assert_eq!(passed(&staged), [records[0], &records[1].repeat(2), records[2], "one\ntwo\n"], "{world}");
        let refused = &staged.refused[0];
        assert_eq!((refused.origin.ordinal, refused.cause.kind.as_str()), (4, "partitioning-failed"), "{world}");
        assert_eq!(staged.dropped, [Origin { ordinal: 3, part: 0 }]);
    }
}

#[test]
fn no_state_survives_a_call() {
    for world in WORLDS {
        // One record a batch, then one batch: an instance counts what it has seen.
        let alone = TransformSpec { batch_bytes: 1, ..spec(world) };
        assert_eq!(passed(&apply(&alone, &["count!", "count!", "count!"])), ["1", "1", "1"], "{world}");
        assert_eq!(passed(&apply(&spec(world), &["count!", "count!", "count!"])), ["1", "2", "3"], "{world}");
        // A trap before does no harm either.
        assert_eq!(passed(&apply(&alone, &["count! trap!", "count!"])), ["1"], "{world}");
    }
}

#[test]
fn a_batch_holds_at_most_its_bytes() {
    for world in WORLDS {
        let spec = TransformSpec { batch_bytes: 20, ..spec(world) };
        let long = "count! longer than a whole batch";
        let staged = apply(&spec, &["count! 10b", "count! 10b", "count! 10b", long, "count! 10b"]);
        assert_eq!(passed(&staged), ["1", "2", "1", "1", "1"], "{world}");
    }
}

#[test]
fn guests_are_told_of_their_call() {
    for world in WORLDS {
        let staged = apply(&spec(world), &["context!"]);
        let text = passed(&staged).remove(0);
        for part in [
            "delivery-stream-arn: \"arn:aws:firehose:us-east-1:000000000000:deliverystream/s\"",
            "region: \"us-east-1\"",
            "source-arn: None",
            &format!("function-arn: \"{}\"", spec(world).lambda_arn),
            "now-ms: 1700000000456",
            "time-limit-ms: 60000",
            "memory-limit-bytes: 33554432",
            "variables: [(\"a\", \"1\"), (\"b\", \"2\")]",
            "1700000000123 None None",
        ] {
            assert!(text.contains(part), "{world}: {part} in {text}");
        }
        // Another call of the same run has another id and seed.
        let spec = TransformSpec { batch_bytes: 1, ..spec(world) };
        let texts = passed(&apply(&spec, &["context!", "context!"]));
        assert_ne!(texts[0], texts[1]);
    }
}

#[test]
fn lines_of_guests_do_no_harm() {
    for world in WORLDS {
        assert_eq!(passed(&apply(&spec(world), &["log! a", "flood!"])), ["log! a", "flood!"], "{world}");
    }
}

#[test]
fn the_same_run_gives_the_same_outcome() {
    for world in WORLDS {
        let records = ["a", "trap!", "drop!", "twice!", "context!", "fail!", "err!"];
        let (one, two) = (apply(&spec(world), &records), apply(&spec(world), &records));
        assert_eq!((passed(&one), one.refused, one.dropped), (passed(&two), two.refused, two.dropped), "{world}");
    }
}

#[test]
fn a_component_needs_the_right_shape() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path().to_owned());
    let load = |name: &str, wasm: &[u8]| {
        fs::write(dir.path().join(format!("{name}.wasm")), wasm).unwrap();
        folder.load(&spec(name)).unwrap_err()
    };
    assert!(matches!(load("text", b"not wasm at all"), LoadError::NotAComponent(_)));
    // An empty core module, and an empty component.
    assert!(matches!(load("core", b"\0asm\x01\0\0\0"), LoadError::NotAComponent(_)));
    let LoadError::NoWorld(exports) = load("empty", b"\0asm\x0d\0\x01\0") else { panic!("no world") };
    assert_eq!(exports, ["nothing"]);
    let imports = fs::read(guests().join("imports.wasm")).unwrap();
    let LoadError::Imports(names) = load("imports", &imports) else { panic!("imports") };
    assert_eq!(names, ["test:guest/clock#now", "beep"]);
    let LoadError::Imports(names) = load("wasi", &fs::read(guests().join("wasi.wasm")).unwrap()) else {
        panic!("wasi")
    };
    let expected = "io/error#error io/streams#output-stream io/streams#error \
                    io/streams#[method]output-stream.blocking-write-and-flush \
                    cli/environment#get-environment cli/environment#get-arguments cli/exit#exit \
                    cli/stdout#output-stream cli/stdout#get-stdout \
                    clocks/wall-clock#now random/random#get-random-u64";
    let short = names.iter().map(|name| name.trim_start_matches("wasi:").replace("@0.2.3", "")).collect::<Vec<_>>();
    assert_eq!(short.join(" "), expected);
    let types = fs::read(guests().join("wrong-types.wasm")).unwrap();
    assert!(matches!(load("types", &types), LoadError::Types(_)));
}

#[test]
fn a_component_above_its_memory_limit_is_refused_whole() {
    for world in WORLDS {
        let spec = TransformSpec { memory_bytes: 64 << 10, ..spec(world) };
        let staged = apply(&spec, &["a", "b", "c"]);
        assert_eq!(staged.refused.len(), 3, "{world}");
        assert!(staged.refused.iter().all(|refused| refused.cause.code == "Lambda.FunctionError"));
        let message = &staged.refused[0].cause.message;
        assert!(message.contains("more memory than its limit of 65536 bytes"), "{world}: {message}");
    }
}

#[test]
fn files_are_found_by_name_and_version_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guests().join("poison-list.wasm"), dir.path().join("t.wasm")).unwrap();
    fs::copy(guests().join("poison-packed.wasm"), dir.path().join("t@7.wasm")).unwrap();
    let folder = folder(dir.path().to_owned());
    let load = |function: &str, version: Option<&str>| {
        folder.load(&TransformSpec { version: version.map(str::to_owned), ..spec(function) })
    };
    let newest = load("t", None).unwrap();
    assert_eq!(newest.sha256_hex.len(), 64);
    assert!(Arc::ptr_eq(&newest, &load("t", Some("$LATEST")).unwrap()), "compiled once");
    assert_ne!(newest.sha256_hex, load("t", Some("7")).unwrap().sha256_hex);
    assert!(matches!(load("t", Some("8")), Err(LoadError::NotFound(_))));
    for bad in ["", "../t", "a/b", ".t", "t\0"] {
        assert!(matches!(load(bad, None), Err(LoadError::BadName(_))), "{bad:?}");
    }
}

#[test]
fn a_changed_file_is_adopted_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.wasm");
    let folder = folder(dir.path().to_owned());
    let spec = spec("t");
    assert!(matches!(folder.load(&spec), Err(LoadError::NotFound(_))));
    fs::copy(guests().join("poison-list.wasm"), &file).unwrap();
    let first = folder.load(&spec).unwrap();
    assert!(folder.problem(&spec).is_none());

    fs::write(&file, b"half a file").unwrap();
    assert!(Arc::ptr_eq(&first, &folder.load(&spec).unwrap()));
    assert!(matches!(folder.problem(&spec), Some(LoadError::NotAComponent(_))));
    assert!(Arc::ptr_eq(&first, &folder.load(&spec).unwrap()), "still");

    fs::copy(guests().join("poison-packed.wasm"), &file).unwrap();
    let second = folder.load(&spec).unwrap();
    assert_ne!(first.sha256_hex, second.sha256_hex);
    assert!(folder.problem(&spec).is_none());
    // Who holds the old one goes on with it.
    assert_eq!(passed(&apply_with(&first, &spec, &["a"])), ["a"]);

    fs::remove_file(&file).unwrap();
    assert!(Arc::ptr_eq(&second, &folder.load(&spec).unwrap()));
    assert!(matches!(folder.problem(&spec), Some(LoadError::NotFound(_))));
}

#[test]
fn modules_are_shared_between_threads() {
    let module = folder(guests()).load(&spec("poison-packed")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let staged = apply_with(&module, &spec("poison-packed"), &["a", "trap!", "count!", "drop!"]);
                // Halved after the trap: the counting record is the first of its call.
                assert_eq!(passed(&staged), ["a", "1"]);
            });
        }
    });
}

#[test]
fn batches_that_run_at_once_come_out_in_order() {
    for world in WORLDS {
        // What each batch says of itself, and where records went, must not depend on the threads.
        let words = ["a", "drop! b", "lines!", "fail! x", "trap! y", "@a=1 z", "count!", "@a=2 fan!", "context!"];
        let records: Vec<&str> = (0..300).map(|n| words[n * n % words.len()]).collect();
        let wanted = LambdaKeys::of_prefix("!{partitionKeyFromLambda:a}/").unwrap();
        for (is_stateless, wanted) in [(false, wanted), (false, LambdaKeys::default()), (true, LambdaKeys::default())] {
            let spec = TransformSpec { batch_bytes: 90, retries: 0, is_stateless, ..spec(world) };
            let module = folder(guests()).load(&spec).unwrap();
            let run = || {
                let chunk = Chunk::from_records(records.iter().map(|record| record.as_bytes()), 100, ARRIVAL_MS);
                module.stage(&spec, info(), wanted.clone(), Arc::new(|| false)).apply(chunk)
            };
            let at_once = run();
            let alone = {
                let _taken = module.host.helpers(usize::MAX);
                run()
            };
            assert_eq!((passed(&at_once), &at_once.refused), (passed(&alone), &alone.refused), "{world}");
            assert_eq!((&at_once.dropped, at_once.passed.slots.len()), (&alone.dropped, alone.passed.slots.len()));
            let keys = |staged: &Staged| -> Vec<Vec<u8>> {
                let bytes = |range: &std::ops::Range<u32>| {
                    staged.passed.buffer[range.start as usize..range.end as usize].to_vec()
                };
                staged.partition_keys.iter().map(bytes).collect()
            };
            assert_eq!(keys(&at_once), keys(&alone));
            assert_eq!(keys(&alone).len(), if wanted.is_empty() { 0 } else { alone.passed.slots.len() });
            let origins: Vec<_> = at_once.passed.slots.iter().map(|slot| slot.origin).collect();
            assert!(origins.is_sorted());
        }
    }
}

#[test]
fn packed_outputs_are_read_alike_by_two_readers() {
    let tokens = ["\0\0\0", "\u{1}\0\0\0", "\u{1}", "\u{2}", "\0", "k", "\u{3}\0\0\0abc", "\u{7f}"];
    fuzz("packed outputs", "packed", &tokens, &mut |outputs| {
        let judged = outputs.iter().map(|output| {
            let texts = packed_texts(output);
            assert_eq!(texts, second_reading::read(output), "{output:?}");
            ended(texts.is_some())
        });
        judged.collect()
    });
}

#[test]
fn fuel_ends_a_call_at_the_same_place() {
    for world in WORLDS {
        let spec = TransformSpec { fuel: Some(3_000_000), retries: 1, ..spec(world) };
        let staged = apply(&spec, &["a", "loop!", "b"]);
        assert_eq!(passed(&staged), ["a", "b"], "{world}");
        let (index, code, message, attempts) = only(&staged.refused);
        assert_eq!((index, code, attempts), (1, "Lambda.FunctionError", 2), "{world}");
        assert_eq!(message, format!("{FUNCTION_ERROR} It used up its fuel of 3000000."), "{world}");
    }
}

#[test]
fn compiled_code_is_found_again_and_never_trusted_when_broken() {
    let dir = tempfile::tempdir().unwrap();
    let code = dir.path().join("code");
    let load = || {
        let folder = TransformFolder::keeping_code(guests(), TransformLimits::default(), Some(code.clone())).unwrap();
        let module = folder.load(&spec("poison-packed")).unwrap();
        assert_eq!(passed(&apply_with(&module, &spec("poison-packed"), &["a", "drop!"])), ["a"]);
        module.host.found_compiled()
    };
    assert_eq!((load(), load()), (0, 1));
    let mut pending = vec![code.clone()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => pending.push(entry),
                false => fs::write(entry, b"half a file").unwrap(),
            }
        }
    }
    assert_eq!((load(), load()), (0, 1));
    // A folder that cannot be made costs nothing but the time to compile.
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let folder = TransformFolder::keeping_code(guests(), TransformLimits::default(), Some(file.join("code"))).unwrap();
    folder.load(&spec("poison-packed")).unwrap();
}

#[test]
fn an_interrupt_ends_the_call_that_runs_and_those_to_come() {
    // An hour and three retries: without the interrupt this would not end.
    let spec = TransformSpec { timeout_ms: 3_600_000, ..spec("poison-list") };
    let module = folder(guests()).load(&spec).unwrap();
    let asked = AtomicUsize::new(0);
    let interrupted = Arc::new(move || asked.fetch_add(1, Ordering::Relaxed) > 2);
    let chunk = Chunk::from_records([&b"loop!"[..], b"x"], 100, ARRIVAL_MS);
    let staged = module.stage(&spec, info(), LambdaKeys::default(), interrupted).apply(chunk);
    assert_eq!(staged.refused.len(), 2);
    assert!(staged.refused.iter().all(|refused| refused.cause.message.contains("stopped")), "{staged:?}");
}
