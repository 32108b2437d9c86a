//! What a guest is called with, how often, and that calls know nothing of each other.

use super::*;

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
fn the_same_run_gives_the_same_outcome() {
    for world in WORLDS {
        let records = ["a", "trap!", "drop!", "twice!", "context!", "fail!", "err!"];
        let (one, two) = (apply(&spec(world), &records), apply(&spec(world), &records));
        assert_eq!((passed(&one), one.refused, one.dropped), (passed(&two), two.refused, two.dropped), "{world}");
    }
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
