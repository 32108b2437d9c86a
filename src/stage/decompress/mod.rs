//! Decompresses the records of a CloudWatch Logs subscription, and takes the messages out of their envelopes.
//!
//! From: `delivery`, before every other stage. Neighbours: [`gunzip`] expands a record within a bound, [`envelope`] reads
//! what comes of it.
//!
//! A record is one gzip member or several; together they hold one JSON document or several of the form
//! `{"messageType":"DATA_MESSAGE","owner":…,"logEvents":[{"id":…,"timestamp":…,"message":"…"}]}` (reference section 10).
//! Invariants: a record that is anything else is refused whole, its compressed bytes being the error record's; what a
//! CONTROL_MESSAGE says is dropped if messages are taken out, and passes otherwise; each piece that comes out is bounded
//! by [`ENOUGH_BYTES`] and one record, a record by [`MAX_EXPANDED_BYTES`].

mod envelope;
mod gunzip;

#[cfg(test)]
mod tests;

pub use gunzip::MAX_EXPANDED_BYTES;

use super::{Expand, Staged};
use crate::record::{Cause, Chunk, ErrorKind, Refused, Slot};
use crate::stream::definition::Decompression;
use envelope::Contents;

/// A piece ends once so many bytes have come together.
const ENOUGH_BYTES: usize = 4 << 20;

/// Bytes of a payload that are looked at to tell whether it is one.
const HEAD_BYTES: usize = 4096;

/// The stage.
pub struct DecompressStage {
    extract_messages: bool,
    source: Chunk,
    /// Number of the next slot.
    next: usize,
    /// An envelope whose messages are taken out.
    expanded: Vec<u8>,
}

impl DecompressStage {
    /// A stage without a chunk.
    pub fn new(spec: Decompression) -> Self {
        Self { extract_messages: spec.extract_messages, source: Chunk::default(), next: 0, expanded: Vec::new() }
    }

    /// Appends what goes on of `record` to `buffer`. `false`: nothing does.
    fn expand(&mut self, record: &[u8], buffer: &mut Vec<u8>) -> Result<bool, Cause> {
        if self.extract_messages {
            self.expanded.clear();
            gunzip::gunzip(record, &mut self.expanded).map_err(|error| cause(error.code(), error.to_string()))?;
            let contents = envelope::read(&self.expanded, Some(buffer)).map_err(not_a_payload)?;
            return Ok(contents == Contents::Messages);
        }
        let start = buffer.len();
        gunzip::gunzip(record, buffer).map_err(|error| cause(error.code(), error.to_string()))?;
        envelope::read(&buffer[start..], None).map_err(not_a_payload)?;
        Ok(true)
    }
}

impl Expand for DecompressStage {
    fn begin(&mut self, chunk: Chunk) {
        (self.source, self.next) = (chunk, 0);
    }

    fn next(&mut self) -> Option<Staged> {
        if self.next >= self.source.slots.len() {
            self.source = Chunk::default();
            self.expanded = Vec::new();
            return None;
        }
        let source = std::mem::take(&mut self.source);
        let (mut staged, mut buffer) = (Staged::default(), Vec::new());
        while buffer.len() < ENOUGH_BYTES
            && let Some(slot) = source.slots.get(self.next)
        {
            self.next += 1;
            let start = buffer.len();
            match self.expand(source.bytes(slot), &mut buffer) {
                Ok(true) => {
                    let len = (buffer.len() - start) as u32;
                    staged.passed.slots.push(Slot { start: start as u32, len, ..*slot });
                }
                Ok(false) => staged.dropped.push(slot.origin),
                Err(cause) => {
                    buffer.truncate(start);
                    staged.refused.push(Refused { origin: slot.origin, cause });
                }
            }
        }
        self.source = source;
        staged.passed.buffer = buffer.into();
        Some(staged)
    }
}

/// Most characters of the parser's words, which quote what it found.
const SHOWN_CHARACTERS: usize = 128;

fn not_a_payload(mut why: String) -> Cause {
    if let Some((end, _)) = why.char_indices().nth(SHOWN_CHARACTERS) {
        why.truncate(end);
        why.push('…');
    }
    cause("Decompression.InvalidPayload", format!("The record is not a CloudWatch Logs subscription payload: {why}."))
}

fn cause(code: &str, message: String) -> Cause {
    Cause { kind: ErrorKind::DecompressionFailed, code: code.to_owned(), message, attempts: 1 }
}

/// Whether a record looks like a payload of CloudWatch Logs, by its first bytes: what can be told before it is taken,
/// at a cost that no record can raise.
pub fn looks_like_payload(record: &[u8]) -> bool {
    let head = gunzip::head(record, HEAD_BYTES);
    let begins = head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    begins && memchr::memmem::find(&head, b"\"messageType\"").is_some()
}
