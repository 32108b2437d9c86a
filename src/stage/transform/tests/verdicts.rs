//! What becomes of each record by what a guest answers for it, or fails to.

use super::*;
use crate::fuzz_tests::{ended, fuzz};
use crate::stage::partition::keys::parse;

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
fn two_in_one_call_answer_for_their_own_faults() {
    // What each of them does to the answer may not make good what another one does.
    let words = [
        "missing!",
        "wrong!",
        "twice!",
        "null!",
        "mute!",
        "silent!",
        "trap!",
        "err!",
        "big!",
        "utf8!",
        "utf8-key!",
        "utf8-id!",
        "status!",
        "beyond!",
        "fail!",
    ];
    for (world, more) in WORLDS.into_iter().zip([&[][..], &["cut!", "long!", "spill!"]]) {
        let spec = TransformSpec { retries: 0, ..spec(world) };
        let words = [&words[..], more].concat();
        for (one, other) in words.iter().flat_map(|one| words.iter().map(move |other| (one, other))) {
            let staged = apply(&spec, &["a", one, other, "b"]);
            assert_eq!(passed(&staged), ["a", "b"], "{world} {one} {other}");
            for refused in &staged.refused {
                let word = [one, other][refused.origin.ordinal as usize - 101];
                let alone = apply(&spec, &[word]);
                assert_eq!(refused.cause, alone.refused[0].cause, "{world} {one} {other}");
            }
        }
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
