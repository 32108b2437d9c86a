//! The records of a finished body, one after the other, for lines of the error area. Memory is one record.
//!
//! Reads what [`super::Body`] wrote and nothing else: what differs from it is damage, not another dialect.

use super::notes::Note;
use crate::stream::definition::RequestFormat;
use flate2::read::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Takes a body apart.
pub struct Records<'a> {
    format: RequestFormat,
    input: Box<dyn BufRead + 'a>,
    is_first: bool,
}

impl<'a> Records<'a> {
    /// Those of the body `bytes`.
    pub fn of(format: RequestFormat, is_gzip: bool, bytes: impl Read + 'a) -> io::Result<Self> {
        let mut input: Box<dyn BufRead + 'a> = match is_gzip {
            true => Box::new(BufReader::with_capacity(BUFFER_BYTES, GzDecoder::new(bytes))),
            false => Box::new(BufReader::with_capacity(BUFFER_BYTES, bytes)),
        };
        match format {
            RequestFormat::Firehose | RequestFormat::JsonArray => {
                let mut head = Vec::new();
                input.read_until(b'[', &mut head)?;
                if head.last() != Some(&b'[') {
                    return Err(damaged());
                }
            }
            RequestFormat::Ndjson => {}
        }
        Ok(Self { format, input, is_first: true })
    }

    /// The next record, of which `note` tells, as base64.
    pub fn next_base64(&mut self, note: &Note) -> io::Result<String> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        match self.format {
            RequestFormat::Firehose => {
                if !is_first {
                    self.expect(b",")?;
                }
                self.expect(super::BEFORE)?;
                let mut data = Vec::new();
                self.input.read_until(b'"', &mut data)?;
                if data.pop() != Some(b'"') {
                    return Err(damaged());
                }
                self.expect(b"}")?;
                String::from_utf8(data).map_err(|_| damaged())
            }
            RequestFormat::JsonArray => {
                if !is_first {
                    self.expect(b",")?;
                }
                Ok(base64_simd::STANDARD.encode_to_string(self.exact(note)?))
            }
            RequestFormat::Ndjson => {
                let record = self.exact(note)?;
                if !record.ends_with(b"\n") {
                    self.expect(b"\n")?;
                }
                Ok(base64_simd::STANDARD.encode_to_string(record))
            }
        }
    }

    fn exact(&mut self, note: &Note) -> io::Result<Vec<u8>> {
        let length_bytes = note.length_bytes.filter(|length| *length <= super::MAX_BODY_BYTES).ok_or_else(damaged)?;
        let mut record = vec![0; length_bytes as usize];
        self.input.read_exact(&mut record)?;
        Ok(record)
    }

    fn expect(&mut self, text: &[u8]) -> io::Result<()> {
        let mut found = [0; 16];
        let found = &mut found[..text.len()];
        self.input.read_exact(found)?;
        if found == text { Ok(()) } else { Err(damaged()) }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body of a request is not what was sealed")
}
