//! Records into the bodies of requests: the service's protocol for HTTP endpoints (`{"requestId":…,"timestamp":…,
//! "records":[{"data":"<base64>"},…]}`), and two plain forms for receivers that do not know it.
//!
//! From: `delivery`, which shows records one by one and begins another body when one is full. To: the outbox draft behind
//! `sink`, and [`notes`]: which records are in it. [`read`] takes a finished body apart again, for the error area.
//!
//! Invariants: a body has at most [`MAX_RECORDS`] records and [`MAX_BODY_BYTES`] bytes before compression; one without
//! records is never finished; the same pushes give the same bytes (time and id are handed in).

pub mod notes;
pub mod read;

#[cfg(test)]
mod tests;

use crate::failpoint;
use crate::stream::definition::RequestFormat;
use flate2::{Compression, write::GzEncoder};
use serde::de::IgnoredAny;
use std::io::{self, Write};

/// Most records of a request.
pub const MAX_RECORDS: u64 = 10_000;
/// Longest body before compression.
pub const MAX_BODY_BYTES: u64 = 64 << 20;
/// Longest record of the service's protocol: 1,365,336 characters of base64.
pub const MAX_RECORD_BYTES: usize = 1_365_336 / 4 * 3;

/// Bytes put together before they go on.
const TOGETHER_BYTES: usize = 64 << 10;
/// What stands around a record in the service's protocol.
const BEFORE: &[u8] = br#"{"data":""#;
const BEHIND: &[u8] = br#""}"#;

/// A record on its way into a body.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Number of the record it is, or is a part of, in its lane.
    pub sequence: u64,
    /// Which part of it.
    pub part: u32,
    /// Arrival of that record, ms since the epoch.
    pub arrival_ms: i64,
}

/// Why no request can take a record; `None`: one can.
pub fn refusal(format: RequestFormat, record: &[u8]) -> Option<String> {
    let too_long = |most: u64| format!("the record has {} bytes, and a request takes {most}", record.len());
    match format {
        RequestFormat::Firehose if record.len() > MAX_RECORD_BYTES => Some(too_long(MAX_RECORD_BYTES as u64)),
        RequestFormat::Ndjson | RequestFormat::JsonArray if record.len() as u64 + 2 > MAX_BODY_BYTES => {
            Some(too_long(MAX_BODY_BYTES - 2))
        }
        RequestFormat::JsonArray => {
            let json = simdutf8::basic::from_utf8(record).map_err(|error| error.to_string());
            let json = json.and_then(|text| serde_json::from_str::<IgnoredAny>(text).map_err(|e| e.to_string()));
            json.err().map(|error| format!("the record is not one JSON value, as JSON_ARRAY needs: {error}"))
        }
        RequestFormat::Firehose | RequestFormat::Ndjson => None,
    }
}

/// Media type of a body.
pub fn content_type(format: RequestFormat) -> &'static str {
    match format {
        RequestFormat::Firehose | RequestFormat::JsonArray => "application/json",
        RequestFormat::Ndjson => "application/x-ndjson",
    }
}

/// One body under way.
pub struct Body {
    format: RequestFormat,
    gzip: Option<GzEncoder<Vec<u8>>>,
    together: Vec<u8>,
    plain_bytes: u64,
    records: u64,
    oldest_arrival_ms: i64,
    notes: notes::Writer,
}

/// What is known of a finished body.
#[derive(Debug)]
pub struct Ended {
    /// Records in it.
    pub records: u64,
    /// Arrival of the oldest one, ms since the epoch.
    pub oldest_arrival_ms: i64,
    /// Which records they are ([`notes`]).
    pub notes: Vec<u8>,
}

impl Body {
    /// A body without records. `id` and `timestamp_ms` stand in those of the service's protocol.
    pub fn begin(format: RequestFormat, is_gzip: bool, id: &str, timestamp_ms: i64) -> Self {
        let level = if failpoint::encodes_differently() { 1 } else { 5 };
        let mut body = Self {
            format,
            gzip: is_gzip.then(|| GzEncoder::new(Vec::new(), Compression::new(level))),
            together: Vec::new(),
            plain_bytes: 0,
            records: 0,
            oldest_arrival_ms: i64::MAX,
            notes: notes::Writer::new(format != RequestFormat::Firehose),
        };
        match format {
            // An id is hexadecimal digits and hyphens.
            RequestFormat::Firehose => {
                let head = format!(r#"{{"requestId":"{id}","timestamp":{timestamp_ms},"records":["#);
                body.together.extend_from_slice(head.as_bytes());
            }
            RequestFormat::JsonArray => body.together.push(b'['),
            RequestFormat::Ndjson => {}
        }
        body.plain_bytes = body.together.len() as u64;
        body
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether one more record, of this length, has room.
    pub fn has_room(&self, record_bytes: usize) -> bool {
        let length = match self.format {
            RequestFormat::Firehose => record_bytes.div_ceil(3) * 4 + BEFORE.len() + BEHIND.len() + 1,
            RequestFormat::Ndjson | RequestFormat::JsonArray => record_bytes + 1,
        };
        // With what ends the body.
        self.records < MAX_RECORDS && self.plain_bytes + length as u64 + 2 <= MAX_BODY_BYTES
    }

    /// Adds a record that [`refusal`] lets pass.
    pub fn push(&mut self, item: &Item<'_>, sink: &mut dyn Write) -> io::Result<()> {
        let before = self.together.len();
        match self.format {
            RequestFormat::Firehose => {
                if self.records > 0 {
                    self.together.push(b',');
                }
                self.together.extend_from_slice(BEFORE);
                base64_simd::STANDARD.encode_append(item.bytes, &mut self.together);
                self.together.extend_from_slice(BEHIND);
            }
            RequestFormat::JsonArray => {
                if self.records > 0 {
                    self.together.push(b',');
                }
                self.together.extend_from_slice(item.bytes);
            }
            RequestFormat::Ndjson => {
                self.together.extend_from_slice(item.bytes);
                if !item.bytes.ends_with(b"\n") {
                    self.together.push(b'\n');
                }
            }
        }
        self.plain_bytes += (self.together.len() - before) as u64;
        self.records += 1;
        self.oldest_arrival_ms = self.oldest_arrival_ms.min(item.arrival_ms);
        self.notes.push(item);
        if self.together.len() >= TOGETHER_BYTES { self.flush(sink) } else { Ok(()) }
    }

    /// Writes what is left.
    pub fn finish(mut self, sink: &mut dyn Write) -> io::Result<Ended> {
        self.together.extend_from_slice(match self.format {
            RequestFormat::Firehose => b"]}",
            RequestFormat::JsonArray => b"]",
            RequestFormat::Ndjson => b"",
        });
        self.flush(sink)?;
        if let Some(gzip) = self.gzip.take() {
            sink.write_all(&gzip.finish()?)?;
        }
        Ok(Ended { records: self.records, oldest_arrival_ms: self.oldest_arrival_ms, notes: self.notes.finish() })
    }

    fn flush(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        match &mut self.gzip {
            None => sink.write_all(&self.together)?,
            Some(gzip) => {
                gzip.write_all(&self.together)?;
                let out = gzip.get_mut();
                sink.write_all(out)?;
                out.clear();
            }
        }
        self.together.clear();
        Ok(())
    }
}
