//! Mutated queries and records: nothing panics or hangs, and the fast ways of reading agree with the whole one.
//!
//! `HYDRANT_FUZZ_INPUTS` and `HYDRANT_FUZZ_SEED` (or `HYDRANT_TEST_SEED`) choose another number of inputs and repeat a
//! run; with `HYDRANT_FUZZ_SECONDS` each test goes on until that long has passed too. The body runs in
//! `fuzz/fuzz_targets/jq_query.rs` as well.

use super::super::{Failure, Query};
use super::expressions::{EXPRESSIONS, QUERIES};
use super::oracle::{jq_is_there, judge};
use super::records::made;
use std::time::{Duration, Instant};

const QUERY_TOKENS: &[&str] = &[
    ".",
    "..",
    "[]",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "|",
    ",",
    "//",
    "?",
    ":",
    ";",
    "\"",
    "\\(",
    "\\",
    "$x",
    " as $x|",
    "as [$a]|",
    "reduce ",
    "foreach ",
    "if ",
    " then ",
    " else ",
    " end",
    "try ",
    " catch ",
    "label $f|",
    "break $f",
    "def f:",
    "def f(g):",
    "f",
    "|=",
    "=",
    "+=",
    "-",
    "*",
    "/",
    "%",
    "==",
    "<",
    "and ",
    "or ",
    "not",
    "1",
    "0",
    "-1",
    "1e9",
    "1e400",
    "0.5",
    "null",
    "true",
    "empty",
    "error",
    "path(",
    "getpath(",
    "del(",
    "to_entries",
    "range(",
    "limit(3;",
    "first(",
    "recurse",
    "until(",
    "while(",
    "test(\"",
    "gsub(\"",
    "strftime(\"%Y",
    "@base64",
    "@json",
    "tostring",
    "tonumber",
    "length",
    "keys",
    "sort_by(",
    ".a",
    ".b",
    ".c",
    "[0]",
    "[-1:]",
    "é",
    "\u{0}",
    "\n",
    "#",
];
const RECORD_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"a\":",
    "\"b\":",
    "\"c\":",
    "\"a\":{\"b\":",
    "null",
    "true",
    "false",
    "nan",
    "NaN",
    "0",
    "-0",
    "01",
    "+1",
    ".5",
    "5.",
    "1e400",
    "1e-400",
    "9007199254740993",
    "0.30000000000000004",
    "1E5",
    "1e17",
    "\\n",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\udc00",
    "\\u0000",
    "\\x",
    "é",
    "😀",
    "\u{feff}",
    " ",
    "\t",
    "\u{1f}",
    "\u{7f}",
    "{}",
    "[]",
    "\"\"",
    "\"x\"",
    "\"a\":1,\"a\":2,",
    "\"b\":\"2015-03-05T23:51:47Z\"",
    "1425599621",
];

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// By the seed of the environment, or a new one.
fn random(name: &str) -> fastrand::Rng {
    let seed = from_env("HYDRANT_FUZZ_SEED").or_else(|| from_env("HYDRANT_TEST_SEED"));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{name}: HYDRANT_FUZZ_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn mutate(random: &mut fastrand::Rng, corpus: &[String], tokens: &[&str]) -> String {
    let mut bytes = corpus[random.usize(..corpus.len())].as_bytes().to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=bytes.len());
        let upto = (at + random.usize(..8)).min(bytes.len());
        match random.u8(..4) {
            0 => drop(bytes.drain(at..upto)),
            1 => {
                let part = bytes[at..upto].to_vec();
                let to = random.usize(..=bytes.len());
                bytes.splice(to..to, part);
            }
            _ => drop(bytes.splice(at..at, tokens[random.usize(..tokens.len())].bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the fuzz target does with an input.
fn play(query: &str, record: &[u8]) -> bool {
    let Ok(query) = Query::parse(query) else { return false };
    assert_eq!(query.evaluate(record), query.evaluate_whole(record));
    true
}

#[test]
fn mutated_queries_neither_panic_nor_hang() {
    let mut random = random("fuzz of queries");
    let corpus: Vec<String> = EXPRESSIONS
        .iter()
        .map(|text| format!("{{k:({text})}}"))
        .chain(QUERIES.iter().map(|q| (*q).to_owned()))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/jq_query");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (query, record) = text.split_once('\n').unwrap();
        assert!(play(query, record.as_bytes()), "{query}");
    }
    let records: Vec<Vec<u8>> = made().into_iter().filter(|record| record.len() < 300).collect();
    let inputs = from_env("HYDRANT_FUZZ_INPUTS").unwrap_or(100_000) / 5;
    let lasting = Duration::from_secs(from_env("HYDRANT_FUZZ_SECONDS").unwrap_or(0));
    let (started, mut done, mut accepted) = (Instant::now(), 0u64, 0u64);
    while done < inputs || started.elapsed() < lasting {
        let query = mutate(&mut random, &corpus, QUERY_TOKENS);
        accepted += u64::from(play(&query, &records[random.usize(..records.len())]));
        done += 1;
    }
    println!("fuzz of queries: {done} inputs, {accepted} accepted");
    assert!(accepted * 50 > done, "hardly any query is accepted");
}

#[test]
fn mutated_records_read_the_fast_way_give_what_the_whole_gives() {
    let mut random = random("fuzz of records");
    let queries: Vec<Query> = [
        "{a:.a}",
        "{a:.a,b:.b}",
        "{a:.a.b,c:.a.c,d:.b}",
        "{a:(.a // .b)}",
        "{a:.a|tostring,b:.c[0]}",
        "{a:\"\\(.a.b)-\\(.b)\"}",
    ]
    .map(|text| Query::parse(text).unwrap())
    .into();
    let mut corpus: Vec<String> = made().iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
    let first = corpus.len();
    let inputs = from_env("HYDRANT_FUZZ_INPUTS").unwrap_or(100_000);
    let lasting = Duration::from_secs(from_env("HYDRANT_FUZZ_SECONDS").unwrap_or(0));
    let (started, mut done, mut accepted) = (Instant::now(), 0u64, 0u64);
    while done < inputs || started.elapsed() < lasting {
        let record = mutate(&mut random, &corpus, RECORD_TOKENS);
        for query in &queries {
            let fast = query.evaluate(record.as_bytes());
            assert_eq!(fast, query.evaluate_whole(record.as_bytes()), "{record}");
            accepted += u64::from(fast.is_ok());
        }
        // Inputs wander away from the corpus.
        if record.len() < 500 && random.u8(..8) == 0 {
            if corpus.len() < first + 200 {
                corpus.push(record);
            } else {
                let at = random.usize(first..corpus.len());
                corpus[at] = record;
            }
        }
        done += 1;
    }
    println!("fuzz of records: {done} inputs, {accepted} with keys");
}

#[test]
fn mutated_records_give_what_jq_gives() {
    if !jq_is_there() {
        return;
    }
    let mut random = random("records beside jq");
    let corpus: Vec<String> = made().iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
    let is_line = |record: &String| !record.contains(['\n', '\r', '\0', '\u{1e}']);
    let records: Vec<Vec<u8>> = std::iter::repeat_with(|| mutate(&mut random, &corpus, RECORD_TOKENS))
        .filter(is_line)
        .take(3000)
        .map(String::into_bytes)
        .collect();
    for text in [
        "{a:.a}",
        "{a:.a,b:.b}",
        "{a:.a.b}",
        "{a:(.a // .b)}",
        "{t:tojson}",
        "{a:.b|tostring}",
        "{a:([..|numbers]|add)}",
    ] {
        let (query, judged) = (Query::parse(text).unwrap(), judge(text, &records).unwrap());
        for (record, judged) in records.iter().zip(judged) {
            let ours = query.evaluate(record);
            assert_eq!(ours.as_ref().ok(), judged.as_ref(), "{text} on {}: {ours:?}", String::from_utf8_lossy(record));
        }
    }
}

/// Queries that both take; what a limit stops is not asked of jq, which has none.
#[test]
fn mutated_queries_give_what_jq_gives() {
    if !jq_is_there() {
        return;
    }
    let mut random = random("queries beside jq");
    let corpus: Vec<String> = EXPRESSIONS.iter().map(|text| format!("{{k:({text})}}")).collect();
    let records: Vec<Vec<u8>> = made().into_iter().filter(|record| record.len() < 300).collect();
    // jq is started once for each.
    let usual = if std::env::var_os("HYDRANT_TEST_FULL").is_some() { 1_000_000 } else { 20_000 };
    let wanted = from_env("HYDRANT_FUZZ_INPUTS").unwrap_or(usual) / 1000;
    let (mut compared, mut different) = (0, Vec::new());
    while compared < wanted {
        let text = mutate(&mut random, &corpus, QUERY_TOKENS);
        if text.contains('\0') {
            continue;
        }
        let Ok(query) = Query::parse(&text) else { continue };
        let ours: Vec<_> = records.iter().map(|record| query.evaluate(record)).collect();
        let (records, ours): (Vec<_>, Vec<_>) =
            records.iter().cloned().zip(ours).filter(|(_, ours)| !matches!(ours, Err(Failure::Limit(_)))).unzip();
        if records.is_empty() {
            continue;
        }
        compared += 1;
        let Some(judged) = judge(&text, &records) else {
            different.push(format!("{text}: jq does not compile it"));
            continue;
        };
        type Judged<'a> = (&'a Result<Vec<String>, Failure>, &'a Option<Vec<String>>);
        let differs = |(_, (ours, judged)): &(_, Judged<'_>)| ours.as_ref().ok() != judged.as_ref();
        if let Some((record, (ours, judged))) = records.iter().zip(ours.iter().zip(&judged)).find(differs) {
            different.push(format!("{text}: {ours:?} and not {judged:?} of {}", String::from_utf8_lossy(record)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
