//! A query on the first line and a record after it: refused or evaluated, without panic, within its limits.

#![no_main]

use hydrant::stage::partition::query::Query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let upto = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    if let Ok(query) = Query::parse(&String::from_utf8_lossy(&input[..upto])) {
        let keys = query.evaluate(input.get(upto + 1..).unwrap_or_default());
        assert!(keys.is_err() || keys.is_ok_and(|keys| keys.len() == query.keys().len()));
    }
});
