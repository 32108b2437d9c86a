//! Log recovery over damaged folders: never a panic, never an alien or altered record, never a record left out between
//! two that are served; and what was recovered once is recovered again.
//!
//! Logs are written by the log itself to a disk in memory, then bent and broken by a seeded mutator. 100,000 inputs by
//! default; `HYDRANT_FUZZ_INPUTS` and `HYDRANT_FUZZ_SEED` choose others. With `HYDRANT_FUZZ_SECONDS` it goes on, over
//! new logs, until both that many inputs are done and that long has passed.

#![allow(clippy::disallowed_methods, reason = "the bans of clippy.toml are about what serves")]

use hydrant::clock::SystemClock;
use hydrant::disk::{Disk, DiskBudget, DiskFile, Entry};
use hydrant::log::recovery::RecoveryError;
use hydrant::log::{CommitPool, FrameBody, LogContext, LogCursors, LogOptions, StreamLog};
use hydrant::stream::Incarnation;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const INCARNATION: Incarnation = hydrant::stream::Id128([7; 16]);
/// Length of segment and frame headers.
const HEADER_BYTES: usize = 64;
/// After so many inputs the logs that are damaged are grown anew.
const INPUTS_OF_A_CORPUS: u64 = 100_000;

/// Files by name; all that is needed of a disk to hold one log.
#[derive(Debug, Default)]
struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Arc<MemoryFile>>>,
}

#[derive(Debug, Default)]
struct MemoryFile(RwLock<Vec<u8>>);

type Image = BTreeMap<PathBuf, Vec<u8>>;

impl MemoryDisk {
    fn of(image: &Image) -> Arc<Self> {
        let file = |bytes: &Vec<u8>| Arc::new(MemoryFile(RwLock::new(bytes.clone())));
        Arc::new(Self { files: Mutex::new(image.iter().map(|(path, bytes)| (path.clone(), file(bytes))).collect()) })
    }

    fn image(&self) -> Image {
        self.files.lock().iter().map(|(path, file)| (path.clone(), file.0.read().clone())).collect()
    }

    fn find(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        self.files.lock().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for MemoryDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::<MemoryFile>::default();
        files.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.find(path)?)
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        let entry = |(path, file): (&PathBuf, &Arc<MemoryFile>)| Entry {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            len_bytes: file.0.read().len() as u64,
            is_dir: false,
        };
        Ok(self.files.lock().iter().map(entry).collect())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.lock().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
        self.files.lock().clear();
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn write_all_at(&self, parts: &[&[u8]], offset_bytes: u64) -> io::Result<()> {
        let (mut bytes, mut at) = (self.0.write(), offset_bytes as usize);
        for part in parts {
            let needed = bytes.len().max(at + part.len());
            bytes.resize(needed, 0);
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        if self.read_at(buffer, offset_bytes)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let bytes = self.0.read();
        let rest = usize::try_from(offset_bytes).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.read().len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of record `number`: they tell which one it is.
fn record(number: u64) -> Vec<u8> {
    format!("record {number} {}", "x".repeat((number * 7 % 40) as usize)).into_bytes()
}

fn body(first: u64, count: u64) -> FrameBody {
    let records: Vec<Vec<u8>> = (first..first + count).map(record).collect();
    FrameBody {
        lengths: records.iter().map(|record| record.len() as u32).collect(),
        payload: records.concat(),
        extensions: Vec::new(),
    }
}

struct Bench {
    pool: Arc<CommitPool>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn open(&self, disk: &Arc<MemoryDisk>, closed: u64, sealed: u64) -> Result<Arc<StreamLog>, RecoveryError> {
        let context = LogContext {
            disk: disk.clone(),
            budget: Arc::new(DiskBudget::unlimited()),
            clock: Arc::new(SystemClock::new()),
            options: LogOptions { segment_bytes: 700, ..LogOptions::default() },
        };
        StreamLog::open(
            context,
            self.pool.clone(),
            PathBuf::from("/log"),
            INCARNATION,
            &LogCursors::one(closed, sealed),
        )
    }

    fn append(&self, log: &Arc<StreamLog>, count: u64) {
        let first = log.synced_last() + 1;
        let appended = self.runtime.block_on(log.append(body(first, count))).expect("memory is never full");
        assert_eq!((appended.first, appended.last), (first, first + count - 1));
    }

    /// A log of a few segments, left in any state but a broken one.
    fn grow(&self, random: &mut fastrand::Rng) -> Image {
        let disk = MemoryDisk::of(&Image::new());
        for _ in 0..random.usize(1..4) {
            let log = self.open(&disk, 0, 0).expect("a sound log");
            for _ in 0..random.usize(1..8) {
                self.append(&log, random.u64(1..6));
            }
        }
        disk.image()
    }
}

/// Reads what is served after `from`, compares each record with what was written under its number; returns the last.
fn served(log: &Arc<StreamLog>, from: u64) -> io::Result<u64> {
    let mut reader = log.reader(from, u64::MAX);
    let mut last = from;
    while let Some(chunk) = reader.next_chunk(512, 10)? {
        assert!(!chunk.slots.is_empty(), "a chunk without records after {last}");
        for (_, bytes) in chunk.iter() {
            last += 1;
            assert_eq!(bytes, record(last), "record {last} is not what was written");
        }
    }
    Ok(last)
}

/// Damages the folder. Checksums are left to tell; see [`forge`] for the other kind.
fn break_up(image: &mut Image, corpus: &[Image], random: &mut fastrand::Rng) {
    let names: Vec<PathBuf> = image.keys().cloned().collect();
    let Some(name) = random.choice(&names).cloned() else { return };
    let newest = names.last().cloned().unwrap_or_default();
    let last_file = image.entry(newest.clone()).or_default();
    let tail = random.usize(..=last_file.len());
    match random.u8(..12) {
        0..=2 => last_file.truncate(tail),
        3 => last_file[tail..].fill(0),
        4 => {
            let length = random.usize(..200);
            last_file.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
        }
        5 => drop(image.remove(&name)),
        6 => {
            let other = random.choice(corpus).and_then(|other| other.iter().next_back());
            if let Some((other_name, bytes)) = other {
                image.insert(other_name.clone(), bytes.clone());
            }
        }
        7 => {
            let (id, first) = (random.u64(..12), random.u64(..80));
            let bytes = if random.bool() { Vec::new() } else { image[&name].clone() };
            image.insert(PathBuf::from(format!("/log/{id:010}-{first:020}.seg")), bytes);
        }
        8 => drop(image.insert(PathBuf::from("/log/0000000009-x.seg.tmp"), vec![1, 2, 3])),
        kind => {
            let bytes = image.get_mut(&name).expect("named above");
            if bytes.is_empty() {
                return;
            }
            let at = random.usize(..bytes.len());
            let upto = (at + random.usize(1..100)).min(bytes.len());
            match kind {
                9 => bytes[at] ^= 1 << random.u8(..8),
                10 => bytes[at..upto].iter_mut().for_each(|byte| *byte = random.u8(..)),
                _ => {
                    let piece = bytes[at..upto].to_vec();
                    let to = random.usize(..=bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
    }
}

/// Changes a field of a header and makes its checksum right again: what no disk does, and a bug might.
fn forge(image: &mut Image, random: &mut fastrand::Rng) {
    let names: Vec<PathBuf> = image.keys().cloned().collect();
    let Some(bytes) = random.choice(&names).and_then(|name| image.get_mut(name)) else { return };
    let headers: Vec<usize> = (0..bytes.len().saturating_sub(HEADER_BYTES - 1))
        .filter(|at| bytes[*at..].starts_with(b"HYF1") || bytes[*at..].starts_with(b"HYSG"))
        .collect();
    let Some(at) = random.choice(headers) else { return };
    let field = at + random.usize(4..60);
    let value: u64 = random.choice([0, 1, 2, 0xffff, u64::from(u32::MAX), u64::MAX, 1 << 40]).unwrap_or_default();
    let width = random.usize(1..=8).min(at + 60 - field);
    bytes[field..field + width].copy_from_slice(&value.to_le_bytes()[..width]);
    // A frame's checksum is over the incarnation as well.
    let seed = if bytes[at..].starts_with(b"HYF1") { crc32c::crc32c(&INCARNATION.0) } else { 0 };
    let checksum = crc32c::crc32c_append(seed, &bytes[at..at + 60]);
    bytes[at + 60..at + HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// How inputs ended.
#[derive(Debug, Default)]
struct Ends {
    recovered: u64,
    damaged: u64,
    newer: u64,
    forged: u64,
}

/// One input: a log of the corpus, damaged, recovered, read, gone on with, recovered again.
fn play(bench: &Bench, corpus: &[Image], random: &mut fastrand::Rng, input: u64, ends: &mut Ends) {
    let mut image = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..4) {
        break_up(&mut image, corpus, random);
    }
    if random.u8(..8) == 0 {
        forge(&mut image, random);
        ends.forged += 1;
        // Nothing can be promised about the content; it must end, and not in a panic.
        let disk = MemoryDisk::of(&image);
        if let Ok(log) = bench.open(&disk, 0, 0) {
            let mut reader = log.reader(0, u64::MAX);
            while let Ok(Some(chunk)) = reader.next_chunk(512, 10) {
                assert!(!chunk.slots.is_empty(), "input {input}: a chunk without records");
            }
        }
        return;
    }
    let sealed = if random.bool() { 0 } else { random.u64(..30) };
    let closed = if random.bool() { 0 } else { random.u64(..=sealed) };
    let disk = MemoryDisk::of(&image);
    let log = match bench.open(&disk, closed, sealed) {
        Ok(log) => log,
        Err(RecoveryError::Damaged { .. }) => return ends.damaged += 1,
        Err(RecoveryError::Newer { .. }) => return ends.newer += 1,
        Err(error) => panic!("input {input}: {error}"),
    };
    ends.recovered += 1;
    let synced = log.synced_last();
    assert!(synced >= sealed, "input {input}: served up to {synced}, the cursor stands at {sealed}");
    // What is sealed may be gone; the outbox has it, or its delivery says that it is missing.
    let last = served(&log, sealed).unwrap_or_else(|error| panic!("input {input}: {error}"));
    assert_eq!(last, synced, "input {input}: not all that is synced can be read");
    // It goes on, and a second recovery finds the same and the new.
    bench.append(&log, 2);
    drop(log);
    let again = bench.open(&disk, closed, sealed).unwrap_or_else(|error| panic!("input {input}, again: {error}"));
    assert_eq!(again.synced_last(), synced + 2, "input {input}: another end at the second recovery");
    assert_eq!(served(&again, sealed).ok(), Some(synced + 2), "input {input}");
}

#[test]
fn damaged_logs_are_recovered_or_refused_and_never_invented() {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let inputs = from_env("HYDRANT_FUZZ_INPUTS").unwrap_or(100_000);
    let seconds = from_env("HYDRANT_FUZZ_SECONDS").unwrap_or(0);
    let seed = from_env("HYDRANT_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{inputs} inputs and {seconds} s, HYDRANT_FUZZ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let bench = Bench {
        pool: CommitPool::start(1).unwrap(),
        runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
    };
    let (started, mut done, mut corpus, mut ends) = (Instant::now(), 0, Vec::new(), Ends::default());
    while done < inputs || started.elapsed() < Duration::from_secs(seconds) {
        if done % INPUTS_OF_A_CORPUS == 0 {
            corpus = (0..64).map(|_| bench.grow(&mut random)).collect();
        }
        play(&bench, &corpus, &mut random, done, &mut ends);
        done += 1;
    }
    println!("fuzz of the log's recovery: {done} executions in {} s: {ends:?}", started.elapsed().as_secs());
    // Inputs that all fail alike would prove nothing.
    assert!(ends.recovered > done / 10 && ends.damaged > done / 20, "{ends:?} of {done}");
}
