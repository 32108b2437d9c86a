//! The fuzz targets of the conversion on any toolchain: the corpora of `fuzz/corpus` and seeded mutations of them.
//!
//! 100,000 inputs a target by default; `HYDRANT_FUZZ_INPUTS` and `HYDRANT_FUZZ_SEED` choose others. With
//! `HYDRANT_FUZZ_SECONDS` each goes on until both that many inputs are done and that long has passed. The same bodies run
//! in `fuzz/fuzz_targets`.

use super::fuzz_tables::{REST, TABLES};
use super::oracle::{Verdict, judge, matches};
use super::plain::read;
use super::{encoder, hive, openx, parse_table, round_trips, spec};
use crate::record::Chunk;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most mutations that are kept to be mutated on, and how long they may be.
const WANDERERS: usize = 256;
const WANDERING_BYTES: usize = 2048;
/// Inputs given at once.
const BATCH: usize = 400;

/// How an input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    Refused,
    Undecided,
}

/// What mutations insert, beside pieces of other inputs.
const JSON_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "nul",
    "true",
    "false",
    "0",
    "-",
    "-0",
    "1.5",
    "e5",
    "E-3",
    "1e400",
    "9223372036854775808",
    "00",
    ".",
    "\"\"",
    "{}",
    "[]",
    "[{}]",
    " ",
    "\t",
    "\n",
    "\r",
    "\u{b}",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "\\n",
    "\\u00e9",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\ude00",
    "\\uD800\\uD800",
    "\\ud800\\udc00",
    "\\udbfe\\udfff",
    "\\x",
    "\\u12",
    "é",
    "漢",
    "😀",
    "\u{feff}",
    "\"a\":",
    "\"C\":1,",
    "\"d\":-9223372036854775808",
    "\"NaN\"",
    "\"+1\"",
    "\"1e2\"",
    "\"2020-02-29\"",
    "\"2020-2-9 1:2:3.456789012\"",
    "\"2020-02-29T10:11:12Z\"",
    "\"YWI=\"",
    "/*",
    "//",
    "'",
];
const DDL_TOKENS: &[&str] = &[
    "(",
    ")",
    "<",
    ">",
    ",",
    ":",
    "`",
    "``",
    "'",
    "\"",
    "\\'",
    ";",
    ".",
    "--",
    "/*",
    "*/",
    "\n",
    " ",
    "int",
    "decimal(38,38)",
    "decimal",
    "numeric(5)",
    "varchar(65535)",
    "char(0)",
    "array<",
    "map<string,",
    "struct<a:",
    "struct<`x y`:int>",
    "comment 'c'",
    "not null",
    "create",
    "table",
    "external",
    "if not exists",
    "double precision",
    "uniontype<",
    "`größe`",
    "É",
    "$",
    "0",
    "-1",
    "99999999999",
    "array<array<array<array<",
    "partitioned by (d string)",
    "\u{feff}",
    "\0",
];
const GLUE_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0041",
    "null",
    "\"Table\":",
    "\"StorageDescriptor\":",
    "\"Columns\":",
    "{\"Name\":\"n\",\"Type\":\"int\"},",
    "\"Name\":\" \"",
    "\"Name\":\"É\"",
    "\"Type\":\"array<struct<a:map<string,decimal(10,2)>>>\"",
    "\"Type\":\"\"",
    "struct<a:int,a:int>",
    "varchar(10)",
    "array<",
    ">",
    "`",
    "1",
    "true",
    " ",
    "\n",
];

/// Feeds `play` the corpus and its mutations; it tells how each input ended, or panics.
fn fuzz(name: &str, folder: &str, tokens: &[&str], play: &mut dyn FnMut(&[Vec<u8>]) -> Vec<End>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(corpus.len() >= 8, "the corpus in {} is gone", dir.display());

    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let inputs = from_env("HYDRANT_FUZZ_INPUTS").unwrap_or(100_000);
    let seconds = from_env("HYDRANT_FUZZ_SECONDS").unwrap_or(0);
    let given = from_env("HYDRANT_FUZZ_SEED").or_else(|| from_env("HYDRANT_TEST_SEED"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("{name}: {} corpus files, {inputs} mutations and {seconds} s, HYDRANT_FUZZ_SEED={seed}", corpus.len());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ends = play(&corpus);
    let (started, mut done, mut pool) = (Instant::now(), 0, corpus.clone());
    let mut counts = [0u64; 3];
    while done < inputs || started.elapsed() < Duration::from_secs(seconds) {
        ends.drain(..).for_each(|end| counts[end as usize] += 1);
        let batch: Vec<Vec<u8>> = (0..BATCH).map(|_| mutate(&mut random, &pool, tokens)).collect();
        ends = play(&batch);
        for (text, end) in batch.into_iter().zip(&ends) {
            // What is accepted is mutated on, so that inputs wander away from the corpus.
            if *end == End::Accepted && text.len() <= WANDERING_BYTES && random.u8(..4) == 0 {
                if pool.len() < corpus.len() + WANDERERS {
                    pool.push(text);
                } else {
                    let place = random.usize(corpus.len()..pool.len());
                    pool[place] = text;
                }
            }
        }
        done += BATCH as u64;
    }
    ends.drain(..).for_each(|end| counts[end as usize] += 1);
    let [accepted, refused, undecided] = counts;
    let took = started.elapsed().as_secs();
    println!(
        "fuzz of {name}: {done} executions in {took} s: accepted {accepted}, refused {refused}, undecided {undecided}"
    );
    // Inputs that all end alike would prove nothing.
    assert!(accepted >= done / 20 && refused >= done / 20 && undecided <= done / 20);
}

fn mutate(random: &mut fastrand::Rng, pool: &[Vec<u8>], tokens: &[&str]) -> Vec<u8> {
    let mut text = pool[random.usize(..pool.len())].clone();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=text.len());
        let upto = (at + random.usize(..8)).min(text.len());
        match random.u8(..10) {
            0 => drop(text.drain(at..upto)),
            1 => {
                let piece = text[at..upto].to_vec();
                let to = random.usize(..=text.len());
                text.splice(to..to, piece);
            }
            2 if !text.is_empty() => {
                let at = at % text.len();
                text[at] ^= 1 << random.u8(..8);
            }
            3 if random.u8(..4) == 0 => text.truncate(at),
            4 => {
                let other = &pool[random.usize(..pool.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..40)).min(other.len());
                text.splice(at..at, other[from..to].iter().copied());
            }
            // A digit for a digit, a letter for a letter: what stays sound most often.
            5..=7 if !text.is_empty() => {
                let at = at % text.len();
                text[at] = match text[at] {
                    b'0'..=b'9' => random.u8(b'0'..=b'9'),
                    b'a'..=b'z' => random.u8(b'a'..=b'z'),
                    b'A'..=b'Z' => random.u8(b'A'..=b'Z'),
                    other => other,
                };
            }
            _ => {
                let token = tokens[random.usize(..tokens.len())].as_bytes();
                let end = if random.bool() { at } else { upto };
                text.splice(at..end, token.iter().copied());
            }
        }
    }
    text
}

#[test]
fn the_decoder_and_its_oracle_agree() {
    let tables = TABLES.map(|ddl| Arc::new(parse_table(ddl).unwrap()));
    fuzz("the JSON decoder", "decoder", JSON_TOKENS, &mut |inputs| {
        let mut ends = vec![End::Undecided; inputs.len()];
        for choice in 0..4u8 {
            let (table, lenient) = (&tables[usize::from(choice / 2)], choice % 2 == 0);
            let chosen = |input: &[u8]| input.first().copied().unwrap_or(0) % 4 == choice;
            let numbers: Vec<usize> = (0..inputs.len()).filter(|number| chosen(&inputs[*number])).collect();
            let records: Vec<&[u8]> = numbers.iter().map(|number| inputs[*number].get(1..).unwrap_or(&[])).collect();
            let mut spec = spec(if lenient { openx() } else { hive(&[]) });
            spec.unknown_fields_column = lenient.then(|| REST.to_owned());
            let mut encoder = encoder(&spec, Arc::clone(table), 1).unwrap();
            let mut object = Vec::new();
            let chunk = Chunk::from_records(records.iter().copied(), 0, 0);
            let refused = encoder.push(&chunk, &mut object).unwrap();
            encoder.finish(&mut object).unwrap();
            let mut refused = refused.iter().map(|refused| refused.origin.ordinal as usize).peekable();
            let mut found = read(object).into_iter();
            let mut all_known = true;
            for (at, (number, record)) in numbers.iter().zip(&records).enumerate() {
                let is_refused = refused.next_if_eq(&at).is_some();
                let shown = || format!("table {choice}: {:?}", String::from_utf8_lossy(record));
                ends[*number] = match judge(table, record, lenient, lenient) {
                    Verdict::Rows(rows) => {
                        assert!(!is_refused, "refused, and good by the oracle; {}", shown());
                        for row in rows {
                            let found = found.next().unwrap();
                            assert!(matches(&row, &found), "{}\nexpected {row:?}\nfound    {found}", shown());
                        }
                        End::Accepted
                    }
                    Verdict::Refused => {
                        assert!(is_refused, "taken, and refused by the oracle; {}", shown());
                        End::Refused
                    }
                    Verdict::Undecided if is_refused => End::Undecided,
                    Verdict::Undecided => {
                        // How many rows it has is not known: the comparison ends here.
                        all_known = false;
                        break;
                    }
                };
            }
            assert!(!all_known || found.next().is_none(), "rows of no record");
        }
        ends
    });
}

fn ended(is_accepted: bool) -> End {
    if is_accepted { End::Accepted } else { End::Refused }
}

#[test]
fn declarations_are_refused_or_come_through() {
    fuzz("table declarations", "ddl", DDL_TOKENS, &mut |inputs| {
        inputs.iter().map(|input| ended(round_trips::declaration(&String::from_utf8_lossy(input)))).collect()
    });
}

#[test]
fn glue_tables_are_refused_or_come_through() {
    fuzz("Glue tables", "glue", GLUE_TOKENS, &mut |inputs| {
        inputs.iter().map(|input| ended(round_trips::glue(&String::from_utf8_lossy(input)))).collect()
    });
}
