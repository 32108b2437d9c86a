//! The answer of an adapted component, read in its memory as the canonical ABI lays it out.
//!
//! Reading trusts nothing: every place is checked before use. What is told of an answer that turns out to be malformed is
//! void.
//!
//! Format: <https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>, "Loading", of the types
//! in `transforms/wit/transform.wit`. The offsets below are those of 32-bit memories.

use super::abi::{Failure, LogLevel, LogLine, Operation, Status};
use super::packed::MOST_LINES;
use super::verdict::{Answer, Keys, Otf};

/// Bytes of a result, a record of an outcome, a partition key and a log line.
const RESULT_BYTES: usize = 20;
const RECORD_BYTES: usize = 76;
const KEY_BYTES: usize = 16;
const LINE_BYTES: usize = 12;

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{0}: out of bounds of memory")]
    Outside(&'static str),
    #[error("{1} in {0}")]
    NotUtf8(&'static str, std::str::Utf8Error),
    #[error("unexpected discriminant {1} of {0}")]
    BadTag(&'static str, u8),
    #[error("it returned more than the limit")]
    TooLarge,
}

/// The failure that the result at `at` is, if it is one. `limit_bytes`: more than so many of texts together are not taken.
pub fn failure(memory: &[u8], at: u32, limit_bytes: usize) -> Result<Option<Failure>, Malformed> {
    let mut reader = Reader { memory: Memory(memory), left_bytes: limit_bytes };
    let result: &[u8; RESULT_BYTES] = reader.memory.chunk(at, "the result")?;
    match result[0] {
        0 => Ok(None),
        1 => {
            let message = reader.text(pair(result, 4), "the message")?.to_owned();
            Ok(Some(Failure { message, logs: reader.lines(pair(result, 12))? }))
        }
        tag => Err(Malformed::BadTag("the result", tag)),
    }
}

/// Tells `see` of each record of the outcome at `at` and its id, and returns the first log lines. `limit_bytes`: more than
/// so many of ids, data and texts together are not taken.
pub fn read<'a>(
    memory: &'a [u8],
    at: u32,
    limit_bytes: usize,
    mut see: impl FnMut(&[u8], Answer<'a>),
) -> Result<Vec<LogLine>, Malformed> {
    let mut reader = Reader { memory: Memory(memory), left_bytes: limit_bytes };
    let result: &[u8; RESULT_BYTES] = reader.memory.chunk(at, "the result")?;
    for record in reader.memory.list(pair(result, 4), RECORD_BYTES, "the records")? {
        let Some(record) = record.first_chunk() else { continue };
        let (record_id, answer) = reader.record(record)?;
        see(record_id, answer);
    }
    reader.lines(pair(result, 12))
}

/// What an answer says whose result is at 8, one text for each record and log line, up to 1 MiB; `None` if it is malformed.
/// To hold the reader against bytes of any kind.
pub fn flat_texts(memory: &[u8]) -> Option<Vec<String>> {
    const LIMIT_BYTES: usize = 1 << 20;
    if let Some(failure) = failure(memory, 8, LIMIT_BYTES).ok()? {
        return Some([failure.message].into_iter().chain(failure.logs.iter().map(LogLine::text)).collect());
    }
    let mut texts = Vec::new();
    let lines = read(memory, 8, LIMIT_BYTES, |record_id, answer| texts.push(answer.text(record_id)));
    texts.extend(lines.ok()?.iter().map(LogLine::text));
    Some(texts)
}

/// Pointer and length of a list or string.
type Pair = (u32, u32);

/// The pair at an offset of a value.
#[inline(always)]
fn pair<const BYTES: usize>(value: &[u8; BYTES], at: usize) -> Pair {
    (u32_at(value, at), u32_at(value, at + 4))
}

#[inline(always)]
fn u32_at<const BYTES: usize>(value: &[u8; BYTES], at: usize) -> u32 {
    u32::from_le_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]])
}

/// Whether an option is there.
#[inline(always)]
fn is_some(tag: u8, what: &'static str) -> Result<bool, Malformed> {
    match tag {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Malformed::BadTag(what, other)),
    }
}

/// Memory of the guest.
#[derive(Clone, Copy)]
struct Memory<'a>(&'a [u8]);

impl<'a> Memory<'a> {
    fn chunk<const BYTES: usize>(self, at: u32, what: &'static str) -> Result<&'a [u8; BYTES], Malformed> {
        self.0.get(at as usize..).and_then(<[u8]>::first_chunk).ok_or(Malformed::Outside(what))
    }

    #[inline(always)]
    fn bytes(self, (at, bytes): Pair, what: &'static str) -> Result<&'a [u8], Malformed> {
        let from = self.0.get(at as usize..).and_then(|from| from.get(..bytes as usize));
        from.ok_or(Malformed::Outside(what))
    }

    /// The values of a list of values of that size.
    fn list(
        self,
        (at, count): Pair,
        size: usize,
        what: &'static str,
    ) -> Result<std::slice::ChunksExact<'a, u8>, Malformed> {
        let bytes = u32::try_from(count as usize * size).map_err(|_| Malformed::Outside(what))?;
        Ok(self.bytes((at, bytes), what)?.chunks_exact(size))
    }
}

/// Reads values, and no more of them than is taken. What is shared by many of them counts each time, and before it is
/// looked at: a small answer may name as much as it likes.
struct Reader<'a> {
    memory: Memory<'a>,
    left_bytes: usize,
}

impl<'a> Reader<'a> {
    #[inline(always)]
    fn charge(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or(Malformed::TooLarge)?;
        Ok(())
    }

    #[inline(always)]
    fn bytes(&mut self, pair: Pair, what: &'static str) -> Result<&'a [u8], Malformed> {
        let bytes = self.memory.bytes(pair, what)?;
        self.charge(bytes.len())?;
        Ok(bytes)
    }

    #[inline(always)]
    fn text(&mut self, pair: Pair, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.bytes(pair, what)?;
        match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => std::str::from_utf8(bytes).map_err(|error| Malformed::NotUtf8(what, error)),
        }
    }

    fn optional_text<const BYTES: usize>(
        &mut self,
        value: &[u8; BYTES],
        at: usize,
        what: &'static str,
    ) -> Result<Option<&'a str>, Malformed> {
        if is_some(value[at], what)? { self.text(pair(value, at + 4), what).map(Some) } else { Ok(None) }
    }

    #[inline(always)]
    fn record(&mut self, record: &[u8; RECORD_BYTES]) -> Result<(&'a [u8], Answer<'a>), Malformed> {
        let record_id = self.text(pair(record, 0), "a record id")?.as_bytes();
        let status = match record[8] {
            0 => Status::Ok,
            1 => Status::Dropped,
            2 => Status::ProcessingFailed,
            other => return Err(Malformed::BadTag("a status", other)),
        };
        let data = match is_some(record[12], "data")? {
            true => Some(self.bytes(pair(record, 16), "data")?),
            false => None,
        };
        let keys = match pair(record, 24) {
            (_, 0) => Keys::NONE,
            (at, count) => {
                for key in self.memory.list((at, count), KEY_BYTES, "partition keys")? {
                    self.key(key)?;
                }
                Keys::Flat { memory: self.memory.0, at, count }
            }
        };
        let otf = if is_some(record[32], "otf-metadata")? { Some(self.otf(record)?) } else { None };
        let message = self.optional_text(record, 64, "a message")?;
        Ok((record_id, Answer { status: Some(status), data, message, keys, otf }))
    }

    fn otf(&mut self, record: &[u8; RECORD_BYTES]) -> Result<Otf<'a>, Malformed> {
        let operation = match (is_some(record[60], "an operation")?, record[61]) {
            (false, _) => None,
            (true, 0) => Some(Operation::Insert),
            (true, 1) => Some(Operation::Update),
            (true, 2) => Some(Operation::Delete),
            (true, other) => return Err(Malformed::BadTag("an operation", other)),
        };
        let database = self.optional_text(record, 36, "a database name")?;
        Ok(Otf { database, table: self.optional_text(record, 48, "a table name")?, operation })
    }

    fn key(&mut self, key: &[u8]) -> Result<(&'a str, &'a str), Malformed> {
        self.charge(KEY_BYTES)?;
        let key: &[u8; KEY_BYTES] = key.first_chunk().ok_or(Malformed::Outside("a partition key"))?;
        let name = self.text(pair(key, 0), "a partition key")?;
        Ok((name, self.text(pair(key, 8), "a partition key's value")?))
    }

    /// All are checked; the first ones are kept.
    fn lines(&mut self, lines: Pair) -> Result<Vec<LogLine>, Malformed> {
        let mut kept = Vec::new();
        for line in self.memory.list(lines, LINE_BYTES, "the log lines")? {
            let Some(line) = line.first_chunk::<LINE_BYTES>() else { continue };
            let level = match line[0] {
                0 => LogLevel::Debug,
                1 => LogLevel::Info,
                2 => LogLevel::Warn,
                3 => LogLevel::Error,
                other => return Err(Malformed::BadTag("a log level", other)),
            };
            let message = self.text(pair(line, 4), "a log line")?;
            if kept.len() < MOST_LINES {
                kept.push(LogLine { level, message: message.to_owned() });
            }
        }
        Ok(kept)
    }
}

/// Takes the first of the partition keys that [`Keys::Flat`] has.
pub fn take_key<'a>(memory: &'a [u8], at: &mut u32, count: &mut u32) -> Option<(&'a str, &'a str)> {
    *count = count.checked_sub(1)?;
    let mut reader = Reader { memory: Memory(memory), left_bytes: usize::MAX };
    // Looked through before: an error is the end.
    let key = reader.memory.bytes((*at, KEY_BYTES as u32), "a partition key").ok()?;
    let key = reader.key(key).ok()?;
    *at += KEY_BYTES as u32;
    Some(key)
}
