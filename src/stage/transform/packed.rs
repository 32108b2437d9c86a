//! The packed layout of `transforms/wit/transform.wit`, byte for byte: writes the input, reads the output. Invocations are
//! packed the same way for `transforms/list-adapter`: their fields in order, an option after a byte 0 or 1.
//!
//! Reading trusts nothing: every length is checked before use, and no allocation is larger than the bytes that are
//! there can fill. A record longer than its known fields is read on after its end, as the layout promises.

use super::abi::{InputRecord, Invocation, LogLevel, LogLine, Operation, Status};
use super::verdict::{Answer, Keys, Otf};

/// The data length that means "none".
const NONE: u32 = u32::MAX;
/// Log lines of a call that are kept. All are checked; the log takes far fewer.
pub const MOST_LINES: usize = 10_000;

/// What is wrong with an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the packed output ends inside {0}")]
    Short(&'static str),
    #[error("the packed output holds {0} bytes after its end")]
    Long(usize),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("{0} is {1}, which has no meaning")]
    BadTag(&'static str, u8),
}

/// What a record without metadata takes beside its data.
const FRAME_BYTES: usize = 64;

/// Writes the input of a call in place of what `out` holds.
pub fn pack<'a>(records: impl ExactSizeIterator<Item = InputRecord<'a>> + Clone, out: &mut Vec<u8>) {
    let data_bytes: usize = records.clone().map(|record| record.data.len()).sum();
    out.clear();
    out.reserve(4 + data_bytes + records.len() * FRAME_BYTES);
    put_u32(out, records.len());
    for record in records {
        let start = out.len();
        put_u32(out, 0);
        put(out, record.record_id.as_bytes());
        put_u64(out, record.approximate_arrival_timestamp);
        put(out, record.data);
        match (&record.kinesis_metadata, &record.kafka_metadata) {
            (Some(kinesis), _) => {
                out.push(1);
                put(out, kinesis.sequence_number.as_bytes());
                put_u64(out, kinesis.subsequence_number);
                put(out, kinesis.partition_key.as_bytes());
                put(out, kinesis.shard_id.as_bytes());
                put_u64(out, kinesis.approximate_arrival_timestamp);
            }
            (None, Some(kafka)) => {
                out.push(2);
                put(out, kafka.topic.as_bytes());
                put(out, kafka.offset.as_bytes());
                put(out, kafka.partition_id.as_bytes());
                put_u64(out, kafka.approximate_arrival_timestamp);
            }
            (None, None) => out.push(0),
        }
        let record_bytes = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&record_bytes.to_le_bytes());
    }
}

/// What a call is told beside its records.
pub fn pack_invocation(invocation: &Invocation<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, invocation.invocation_id.as_bytes());
    put(&mut out, invocation.delivery_stream_arn.as_bytes());
    out.push(u8::from(invocation.source_arn.is_some()));
    if let Some(arn) = invocation.source_arn {
        put(&mut out, arn.as_bytes());
    }
    put(&mut out, invocation.region.as_bytes());
    put(&mut out, invocation.function_arn.as_bytes());
    put_u64(&mut out, invocation.now_ms);
    put_u64(&mut out, invocation.seed);
    put_u64(&mut out, invocation.time_limit_ms);
    put_u64(&mut out, invocation.memory_limit_bytes);
    put_u32(&mut out, invocation.variables.len());
    for (name, value) in invocation.variables {
        put(&mut out, name.as_bytes());
        put(&mut out, value.as_bytes());
    }
    out
}

// Records are slices of a chunk's buffer, which is under 4 GiB, so no length is cut off here.
fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads the output of a call: tells `see` of each record and its id, and returns the first log lines. What was told of an
/// output that turns out to be malformed is void.
pub fn unpack<'a>(output: &'a [u8], mut see: impl FnMut(&[u8], Answer<'a>)) -> Result<Vec<LogLine>, Malformed> {
    let mut rest = Reader { rest: output };
    for _ in 0..rest.u32("the number of records")? {
        let mut fields = Reader { rest: rest.bytes("a record")? };
        see(fields.bytes("a record id")?, answer(fields)?);
    }
    let mut lines = Vec::new();
    if !rest.rest.is_empty() {
        let count = rest.u32("the number of log lines")? as usize;
        for at in 0..count {
            let line = line(&mut rest)?;
            if at < MOST_LINES {
                lines.push(LogLine { level: line.0, message: line.1.to_owned() });
            }
        }
    }
    if rest.rest.is_empty() { Ok(lines) } else { Err(Malformed::Long(rest.rest.len())) }
}

/// The fields after the record id.
fn answer(mut fields: Reader<'_>) -> Result<Answer<'_>, Malformed> {
    let mut answer = Answer {
        status: match fields.u8("a status")? {
            0 => Some(Status::Ok),
            1 => Some(Status::Dropped),
            2 => Some(Status::ProcessingFailed),
            _ => None,
        },
        data: match fields.u32("a data length")? {
            NONE => None,
            data_bytes => Some(fields.take(data_bytes as usize, "data")?),
        },
        message: None,
        keys: Keys::NONE,
        otf: None,
    };
    if fields.rest.is_empty() {
        return Ok(answer);
    }
    let count = fields.u32("the number of partition keys")?;
    let keys = fields.rest;
    for _ in 0..count {
        fields.key()?;
    }
    answer.keys = Keys::Packed(&keys[..keys.len() - fields.rest.len()]);
    if fields.rest.is_empty() {
        return Ok(answer);
    }
    if fields.flag("the otf-metadata flag")? {
        answer.otf = Some(Otf {
            database: fields.optional_text("a database name")?,
            table: fields.optional_text("a table name")?,
            operation: match fields.u8("an operation")? {
                0 => None,
                1 => Some(Operation::Insert),
                2 => Some(Operation::Update),
                3 => Some(Operation::Delete),
                other => return Err(Malformed::BadTag("an operation", other)),
            },
        });
    }
    if fields.rest.is_empty() {
        return Ok(answer);
    }
    answer.message = fields.optional_text("a message")?;
    Ok(answer)
}

/// What an output says, one text for each record and log line; `None` if it breaks the layout. To hold the reader against
/// another one.
pub fn packed_texts(output: &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    let lines = unpack(output, |record_id, answer| texts.push(answer.text(record_id)));
    texts.extend(lines.ok()?.iter().map(LogLine::text));
    Some(texts)
}

/// Takes the first of the partition keys that [`Keys::Packed`] has.
pub fn take_key<'a>(keys: &mut &'a [u8]) -> Option<(&'a str, &'a str)> {
    let mut reader = Reader { rest: keys };
    // Looked through before: an error is the end.
    let key = reader.key().ok()?;
    *keys = reader.rest;
    Some(key)
}

fn line<'a>(rest: &mut Reader<'a>) -> Result<(LogLevel, &'a str), Malformed> {
    let level = match rest.u8("a log level")? {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        3 => LogLevel::Error,
        other => return Err(Malformed::BadTag("a log level", other)),
    };
    Ok((level, rest.text("a log line")?))
}

/// The bytes not read yet.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed::Short(what))?;
        self.rest = rest;
        Ok(head)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.take(1, what)?[0])
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short(what))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*number))
    }

    fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let bytes = self.u32(what)? as usize;
        self.take(bytes, what)
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.bytes(what)?;
        simdutf8::basic::from_utf8(bytes).map_err(|_| Malformed::NotUtf8(what))
    }

    fn key(&mut self) -> Result<(&'a str, &'a str), Malformed> {
        Ok((self.text("a partition key")?, self.text("a partition key's value")?))
    }

    fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::BadTag(what, other)),
        }
    }

    fn optional_text(&mut self, what: &'static str) -> Result<Option<&'a str>, Malformed> {
        if self.flag(what)? { self.text(what).map(Some) } else { Ok(None) }
    }
}
