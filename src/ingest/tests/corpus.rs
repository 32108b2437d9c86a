//! The fuzz corpus of the PutRecordBatch body, and seeded mutations of it, through the parser and its oracle.
//!
//! 100,000 inputs by default; `HYDRANT_FUZZ_INPUTS` and `HYDRANT_FUZZ_SEED` choose others. With `HYDRANT_FUZZ_SECONDS`
//! it goes on until both that many inputs are done and that long has passed. The same corpus feeds
//! `fuzz/fuzz_targets/put_record_batch.rs`.

use super::oracle::{self, Verdict};
use super::requests::verdict;
use crate::ingest::{parse_put_record, parse_put_record_batch};
use std::path::Path;
use std::time::{Duration, Instant};

/// Most mutations that are kept to be mutated on, and how long they may be.
const WANDERERS: usize = 256;
const WANDERING_BYTES: usize = 4096;

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
            break_up(random, &mut text, corpus);
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

fn break_up(random: &mut fastrand::Rng, text: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.usize(..=text.len());
    let upto = (at + random.usize(..8)).min(text.len());
    match random.u8(..8) {
        0 => {
            text.drain(at..upto);
        }
        1 => {
            let piece = text[at..upto].to_vec();
            let to = random.usize(..=text.len());
            text.splice(to..to, piece);
        }
        2 if !text.is_empty() => {
            let at = at % text.len();
            text[at] ^= 1 << random.u8(..8);
        }
        3 => text.truncate(at),
        4 => {
            let other = &corpus[random.usize(..corpus.len())];
            let from = random.usize(..=other.len());
            text.truncate(at);
            text.extend_from_slice(&other[from..]);
        }
        _ => {
            let token = TOKENS[random.usize(..TOKENS.len())];
            let end = if random.bool() { at } else { upto };
            text.splice(at..end, token.iter().copied());
        }
    }
}

fn compare(text: &[u8], seed: u64) -> Verdict {
    let expected = oracle::put_record_batch(text);
    let shown = || String::from_utf8_lossy(text).into_owned();
    assert_eq!(verdict(parse_put_record_batch(text)), expected, "batch, seed {seed}: {}", shown());
    assert_eq!(verdict(parse_put_record(text)), oracle::put_record(text), "record, seed {seed}: {}", shown());
    expected
}

#[test]
fn parser_and_oracle_agree_on_the_corpus_and_its_mutations() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/put_record_batch");
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(corpus.len() >= 20, "the corpus in {} is gone", dir.display());

    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let inputs = from_env("HYDRANT_FUZZ_INPUTS").unwrap_or(100_000);
    let seconds = from_env("HYDRANT_FUZZ_SECONDS").unwrap_or(0);
    let given = from_env("HYDRANT_FUZZ_SEED").or_else(|| from_env("HYDRANT_TEST_SEED"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("{} corpus files, {inputs} mutations and {seconds} s, HYDRANT_FUZZ_SEED={seed}", corpus.len());
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut accepted, mut invalid, mut malformed) = (0, 0, 0);
    let mut count = |verdict| match verdict {
        Verdict::Accepted { .. } => accepted += 1,
        Verdict::Refused { kind: "SerializationException", .. } => malformed += 1,
        Verdict::Refused { .. } => invalid += 1,
    };
    corpus.iter().for_each(|text| count(compare(text, seed)));
    let (started, mut done, mut pool) = (Instant::now(), 0, corpus.clone());
    while done < inputs || started.elapsed() < Duration::from_secs(seconds) {
        let text = mutate(&mut random, &pool);
        let verdict = compare(&text, seed);
        // What is accepted is mutated on, so that inputs wander away from the corpus.
        let wanders = matches!(verdict, Verdict::Accepted { .. });
        if wanders && text.len() <= WANDERING_BYTES && random.u8(..4) == 0 {
            if pool.len() < corpus.len() + WANDERERS {
                pool.push(text);
            } else {
                let place = random.usize(corpus.len()..pool.len());
                pool[place] = text;
            }
        }
        count(verdict);
        done += 1;
    }
    let took = started.elapsed().as_secs();
    println!(
        "fuzz of the PutRecordBatch body: {done} executions in {took} s: \
         accepted {accepted}, invalid {invalid}, malformed {malformed}"
    );
    // Mutations that are all refused at the first byte would prove nothing.
    let enough = done / 50;
    assert!(accepted >= enough && invalid >= enough && malformed >= enough);
}
