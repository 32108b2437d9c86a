//! Runs fuzz targets on any toolchain: a corpus of `fuzz/corpus`, and seeded mutations of it.
//!
//! 100,000 inputs a target by default; `HYDRANT_FUZZ_INPUTS` and `HYDRANT_FUZZ_SEED` choose others. With
//! `HYDRANT_FUZZ_SECONDS` each goes on until both that many inputs are done and that long has passed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most mutations that are kept to be mutated on, and how long they may be.
const WANDERERS: usize = 256;
const WANDERING_BYTES: usize = 2048;
/// Inputs given at once.
const BATCH: usize = 400;

/// How an input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Accepted,
    Refused,
    Undecided,
}

/// Makes an input out of those in the pool.
pub type Mutate<'a> = dyn FnMut(&mut fastrand::Rng, &[Vec<u8>]) -> Vec<u8> + 'a;

/// Of a target that decides every input.
pub fn ended(is_accepted: bool) -> End {
    if is_accepted { End::Accepted } else { End::Refused }
}

/// Feeds `play` the corpus and its mutations; it tells how each input ended, or panics.
pub fn fuzz(name: &str, folder: &str, tokens: &[&str], play: &mut dyn FnMut(&[Vec<u8>]) -> Vec<End>) {
    let tokens: Vec<&[u8]> = tokens.iter().map(|token| token.as_bytes()).collect();
    let mut mutate = |random: &mut fastrand::Rng, pool: &[Vec<u8>]| mutate(random, pool, &tokens);
    let ends = wander(name, folder, &mut mutate, play, End::Accepted);
    let count = |end| ends.get(&end).copied().unwrap_or(0);
    let done: u64 = ends.values().sum();
    // Inputs that all end alike would prove nothing.
    assert!(
        count(End::Accepted) >= done / 20 && count(End::Refused) >= done / 20 && count(End::Undecided) <= done / 20
    );
}

/// Feeds `play` the corpus in `folder` and what `mutate` makes of it, and of what ended as `accepted`: so inputs wander
/// away from the corpus. Returns how many ended how.
pub fn wander<E: Copy + Ord + Debug>(
    name: &str,
    folder: &str,
    mutate: &mut Mutate<'_>,
    play: &mut dyn FnMut(&[Vec<u8>]) -> Vec<E>,
    accepted: E,
) -> BTreeMap<E, u64> {
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
    let mut counts = BTreeMap::new();
    play(&corpus).into_iter().for_each(|end| *counts.entry(end).or_default() += 1);
    let (started, mut done, mut pool) = (Instant::now(), 0, corpus.clone());
    while done < inputs || started.elapsed() < Duration::from_secs(seconds) {
        let batch: Vec<Vec<u8>> = (0..BATCH).map(|_| mutate(&mut random, &pool)).collect();
        let ends = play(&batch);
        for (text, end) in batch.into_iter().zip(ends) {
            if end == accepted && text.len() <= WANDERING_BYTES && random.u8(..4) == 0 {
                if pool.len() < corpus.len() + WANDERERS {
                    pool.push(text);
                } else {
                    let place = random.usize(corpus.len()..pool.len());
                    pool[place] = text;
                }
            }
            *counts.entry(end).or_default() += 1;
        }
        done += BATCH as u64;
    }
    println!("fuzz of {name}: {done} executions in {} s: {counts:?}", started.elapsed().as_secs());
    counts
}

fn mutate(random: &mut fastrand::Rng, pool: &[Vec<u8>], tokens: &[&[u8]]) -> Vec<u8> {
    let mut text = pool[random.usize(..pool.len())].clone();
    for _ in 0..random.usize(1..4) {
        disturb(random, &mut text, pool, tokens);
    }
    text
}

/// Changes a few bytes anyhow.
pub fn disturb(random: &mut fastrand::Rng, text: &mut Vec<u8>, pool: &[Vec<u8>], tokens: &[&[u8]]) {
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
            let token = tokens[random.usize(..tokens.len())];
            let end = if random.bool() { at } else { upto };
            text.splice(at..end, token.iter().copied());
        }
    }
}
