//! The fuzz corpus of the PutRecordBatch body, and seeded mutations of it, through the parser and its oracle.
//!
//! How many, and how they are chosen: `crate::fuzz_tests`. The same corpus feeds `fuzz/fuzz_targets/put_record_batch.rs`.

use super::oracle::{self, Verdict};
use super::requests::verdict;
use crate::fuzz_tests::{disturb, wander};
use crate::ingest::{parse_put_record, parse_put_record_batch};

/// What mutations insert: the grammar's tokens and what lies just beside it.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"null",
    b"nul",
    b"true",
    b"0",
    b"\"\"",
    b"{}",
    b"[]",
    b" ",
    b"\t",
    b"\n",
    b"\x0b",
    b"\x00",
    b"\x1f",
    b"\x7f",
    b"\\/",
    b"\\\"",
    b"\\\\",
    b"\\u0041",
    b"\\u",
    b"\\ud83d",
    b"\\ude00",
    b"\\ud83d\\ude00",
    b"\\u0000",
    b"\\x",
    b"=",
    b"==",
    b"YQ==",
    b"YR==",
    b"YWI=",
    b"YWJj",
    b"+/",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\"Data\":\"YQ==\"",
    b"{\"Data\":\"YQ==\"}",
    b"\"Records\"",
    b"\"Record\"",
    b"\"DeliveryStreamName\":\"s\"",
    b"\"Data\":null",
    b"\"D\\u0061ta\"",
];

/// Half of the inputs are bent so that they mostly stay JSON of the right types, the others anyhow.
fn mutate(random: &mut fastrand::Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut text = corpus[random.usize(..corpus.len())].clone();
    let gentle = random.bool();
    for _ in 0..random.usize(1..5) {
        if gentle {
            bend(random, &mut text);
        } else {
            disturb(random, &mut text, corpus, TOKENS);
        }
    }
    text
}

/// Offsets of a byte in the text.
fn places(text: &[u8], byte: u8) -> Vec<usize> {
    text.iter().enumerate().filter(|(_, found)| **found == byte).map(|(at, _)| at).collect()
}

fn bend(random: &mut fastrand::Rng, text: &mut Vec<u8>) {
    let mark = b"{}[],:\""[random.usize(..7)];
    let marks = places(text, mark);
    if marks.is_empty() {
        return;
    }
    let at = marks[random.usize(..marks.len())];
    let insert: &[u8] = match mark {
        b'[' => random.choice([&b"{\"Data\":\"YWI=\"},"[..], b" ", b"{},", b"null,"]).unwrap_or_default(),
        b'"' => random.choice([&b"YWJj"[..], b"\\/", b"\\u0041", b"a", b"+/=="]).unwrap_or_default(),
        b':' => random.choice([&b" "[..], b"\n", b"null,\"Data\":"]).unwrap_or_default(),
        _ => random.choice([&b" "[..], b"\t", b"\r\n"]).unwrap_or_default(),
    };
    let at = if matches!(mark, b'}' | b']') { at } else { at + 1 };
    text.splice(at..at, insert.iter().copied());
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Accepted,
    Invalid,
    Malformed,
}

fn compare(text: &[u8]) -> End {
    let expected = oracle::put_record_batch(text);
    let shown = || String::from_utf8_lossy(text).into_owned();
    assert_eq!(verdict(parse_put_record_batch(text)), expected, "batch: {}", shown());
    assert_eq!(verdict(parse_put_record(text)), oracle::put_record(text), "record: {}", shown());
    match expected {
        Verdict::Accepted { .. } => End::Accepted,
        Verdict::Refused { kind: "SerializationException", .. } => End::Malformed,
        Verdict::Refused { .. } => End::Invalid,
    }
}

#[test]
fn parser_and_oracle_agree_on_the_corpus_and_its_mutations() {
    let mut play = |texts: &[Vec<u8>]| texts.iter().map(|text| compare(text)).collect();
    let ends = wander("the PutRecordBatch body", "put_record_batch", &mut mutate, &mut play, End::Accepted);
    // Mutations that are all refused at the first byte would prove nothing.
    let enough = ends.values().sum::<u64>() / 50;
    assert!([End::Accepted, End::Invalid, End::Malformed].iter().all(|end| ends.get(end) >= Some(&enough)));
}
