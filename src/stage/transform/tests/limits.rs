//! What ends a call before its guest would: time, fuel, memory, a stop; and how much it may say.

use super::*;
use crate::stage::transform::host::processors;
use crate::stage::transform::turns::Turn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
fn lines_of_guests_do_no_harm() {
    for world in WORLDS {
        assert_eq!(passed(&apply(&spec(world), &["log! a", "flood!"])), ["log! a", "flood!"], "{world}");
    }
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

#[test]
fn who_failed_late_waits_for_a_turn_until_it_has_done_well() {
    let spec = TransformSpec { retries: 0, timeout_ms: 50, ..spec("poison-packed") };
    let module = folder(guests()).load(&spec).unwrap();
    let take_all = || -> Vec<_> { (1..processors().max(2)).filter_map(|_| module.host.turns.take(|| false)).collect() };
    // Whether a call waits for one of the places; if so it is told to stop.
    let waits = |taken: &[Turn], record: &str, passes: bool| {
        let stopped = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stopped);
        let interrupted = Arc::new(move || asked.load(Ordering::Relaxed));
        let chunk = Chunk::from_records([record.as_bytes()], 100, ARRIVAL_MS);
        let mut stage = module.stage(&spec, info(), LambdaKeys::default(), interrupted);
        std::thread::scope(|scope| {
            let call = scope.spawn(move || stage.apply(chunk));
            while !call.is_finished() {
                if taken.iter().any(Turn::is_wanted) {
                    stopped.store(true, Ordering::Relaxed);
                }
                std::thread::yield_now();
            }
            let (staged, has_waited) = (call.join().unwrap(), stopped.load(Ordering::Relaxed));
            assert_eq!(staged.refused.is_empty(), passes && !has_waited, "{:?}", staged.refused);
            has_waited
        })
    };
    let mut taken = take_all();
    assert!(!waits(&taken, "good", true), "it has done no harm yet");
    // The first failures of a process may take longer than a tick.
    let takes_nothing = (0..20).any(|_| {
        assert!(!waits(&taken, "trap!", false));
        let is_free = !waits(&taken, "good", true);
        if !is_free {
            taken.clear();
            assert!(!waits(&[], "good", true));
            taken = take_all();
        }
        is_free
    });
    assert!(takes_nothing, "what fails at once takes nothing");
    assert!(!waits(&taken, "loop!", false), "it has not been long yet");
    assert!(waits(&taken, "good", true), "it has failed late, and there is no place");
    drop(taken);
    assert!(!waits(&[], "good", true), "there is a place");
    let taken = take_all();
    assert!(!waits(&taken, "good", true), "it has done well since");
}
