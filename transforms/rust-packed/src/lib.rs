//! The guest's side of the world `transform-packed`: reads a batch in place, and writes the answer as it goes.
//!
//! The layout stands in `../../wit/transform.wit`. Nothing of a record is copied to read it. The input comes from the
//! host and is well-formed, so a reader that finds it is not panics: the call fails, and says so.
//!
//! ```ignore
//! fn transform(_: Invocation, batch: Vec<u8>) -> Result<Vec<u8>, Failure> {
//!     let mut answer = Answer::for_batch(&batch);
//!     for record in records(&batch) {
//!         answer.write(record.id, |out| {
//!             out.extend(record.data.iter().map(u8::to_ascii_uppercase));
//!             Written::Ok
//!         });
//!     }
//!     Ok(answer.finish())
//! }
//! ```

#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

/// The data length that means "none".
const NONE: u32 = u32::MAX;

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Goes back as it is.
    pub id: &'a str,
    /// When it was taken in, ms since the Unix epoch.
    pub arrival_ms: u64,
    /// The record as it was put.
    pub data: &'a [u8],
    /// What its source says of it.
    pub metadata: Option<Metadata<'a>>,
}

/// What stands beside a record in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata<'a> {
    /// A Kinesis stream.
    Kinesis {
        sequence_number: &'a str,
        subsequence_number: u64,
        partition_key: &'a str,
        shard_id: &'a str,
        arrival_ms: u64,
    },
    /// A Kafka topic.
    Kafka { topic: &'a str, offset: &'a str, partition_id: &'a str, arrival_ms: u64 },
}

/// The records of a batch, in order.
pub fn records(batch: &[u8]) -> Records<'_> {
    let mut rest = Reader(batch);
    let left = rest.u32();
    Records { rest, left }
}

/// An iterator over the records of a batch.
pub struct Records<'a> {
    rest: Reader<'a>,
    left: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        // What follows the fields known here is passed over.
        let mut fields = Reader(self.rest.bytes());
        Some(Record {
            id: fields.text(),
            arrival_ms: fields.u64(),
            data: fields.bytes(),
            metadata: match fields.take(1)[0] {
                1 => Some(Metadata::Kinesis {
                    sequence_number: fields.text(),
                    subsequence_number: fields.u64(),
                    partition_key: fields.text(),
                    shard_id: fields.text(),
                    arrival_ms: fields.u64(),
                }),
                2 => Some(Metadata::Kafka {
                    topic: fields.text(),
                    offset: fields.text(),
                    partition_id: fields.text(),
                    arrival_ms: fields.u64(),
                }),
                _ => None,
            },
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Records<'_> {}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(bytes);
        self.0 = rest;
        head
    }

    fn u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4));
        u32::from_le_bytes(bytes)
    }

    fn u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8));
        u64::from_le_bytes(bytes)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let bytes = self.u32() as usize;
        self.take(bytes)
    }

    fn text(&mut self) -> &'a str {
        core::str::from_utf8(self.bytes()).expect("the host's texts are UTF-8")
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

/// What becomes of a record whose data were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It goes on as what was written.
    Ok,
    /// So it does, in the partition of these keys.
    WithKeys(Vec<(String, String)>),
    /// It ends here, on purpose.
    Dropped,
    /// It goes to the error area, with the reason.
    Failed(String),
}

/// The answer to a batch: each record of it exactly once, in any order.
#[derive(Debug, Clone)]
pub struct Answer {
    out: Vec<u8>,
    records: u32,
    logs: Vec<u8>,
    lines: u32,
}

impl Answer {
    /// An empty one, with room for about as much as came in.
    pub fn for_batch(batch: &[u8]) -> Self {
        let mut out = Vec::with_capacity(batch.len() + batch.len() / 8);
        out.extend_from_slice(&[0; 4]);
        Self { out, records: 0, logs: Vec::new(), lines: 0 }
    }

    /// The record goes on as `data`.
    pub fn ok(&mut self, id: &str, data: &[u8]) {
        self.write(id, |out| {
            out.extend_from_slice(data);
            Written::Ok
        });
    }

    /// The record goes on as what `data` appends to the answer, if it says so. What was written for one that does not is
    /// taken back.
    pub fn write(&mut self, id: &str, data: impl FnOnce(&mut Vec<u8>) -> Written) {
        let start = self.begin(id, 0);
        self.put_u32(0);
        let first = self.out.len();
        let written = data(&mut self.out);
        let keys = match written {
            Written::Ok => None,
            Written::WithKeys(keys) => Some(keys),
            Written::Dropped => return self.take_back(start, |answer| answer.dropped(id)),
            Written::Failed(message) => return self.take_back(start, |answer| answer.failed(id, &message)),
        };
        let data_bytes = (self.out.len() - first) as u32;
        self.out[first - 4..first].copy_from_slice(&data_bytes.to_le_bytes());
        if let Some(keys) = keys {
            self.put_u32(keys.len() as u32);
            for (name, value) in keys {
                self.put(name.as_bytes());
                self.put(value.as_bytes());
            }
        }
        self.end(start);
    }

    fn take_back(&mut self, start: usize, instead: impl FnOnce(&mut Self)) {
        self.out.truncate(start);
        self.records -= 1;
        instead(self);
    }

    /// The record ends here, on purpose.
    pub fn dropped(&mut self, id: &str) {
        let start = self.begin(id, 1);
        self.put_u32(NONE);
        self.end(start);
    }

    /// The record goes to the error area, with the reason.
    pub fn failed(&mut self, id: &str, message: &str) {
        let start = self.begin(id, 2);
        self.put_u32(NONE);
        // No keys, no otf-metadata, a message.
        self.put_u32(0);
        self.out.extend_from_slice(&[0, 1]);
        self.put(message.as_bytes());
        self.end(start);
    }

    /// A line for the host's log.
    pub fn log(&mut self, level: Level, message: &str) {
        self.lines += 1;
        self.logs.push(level as u8);
        self.logs.extend_from_slice(&(message.len() as u32).to_le_bytes());
        self.logs.extend_from_slice(message.as_bytes());
    }

    /// The bytes to return.
    pub fn finish(mut self) -> Vec<u8> {
        self.out[..4].copy_from_slice(&self.records.to_le_bytes());
        if self.lines > 0 {
            self.put_u32(self.lines);
            self.out.extend_from_slice(&self.logs);
        }
        self.out
    }

    fn begin(&mut self, id: &str, status: u8) -> usize {
        self.records += 1;
        let start = self.out.len();
        self.put_u32(0);
        self.put(id.as_bytes());
        self.out.push(status);
        start
    }

    fn end(&mut self, start: usize) {
        let bytes = (self.out.len() - start - 4) as u32;
        self.out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.put_u32(bytes.len() as u32);
        self.out.extend_from_slice(bytes);
    }
}
