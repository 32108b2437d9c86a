//! The stage with the guests of `tests/guests`, in both worlds. Here is what its tests share; they stand by subject in the
//! files below.

mod calls;
mod limits;
mod loading;
mod second_reading;
mod verdicts;

use super::*;
use crate::record::{Chunk, Origin, Refused};
use crate::stage::Staged;
use crate::stage::partition::lambda::LambdaKeys;
use crate::stream::definition::TransformSpec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
