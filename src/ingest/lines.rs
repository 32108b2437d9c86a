//! NDJSON: a record is a line with its terminator.
//!
//! The expanded body becomes the frame's payload in place: nothing is copied unless a line before was left out. What a
//! line holds is not looked at.

use super::{FrameBody, MAX_LINES_BYTES, MAX_RECORD_BYTES};
use memchr::memchr;
use serde::Serialize;
use std::io::{self, Read};

/// How the body of a records request is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEncoding {
    /// As it is.
    Identity,
    /// One or several gzip members.
    Gzip,
    /// One or several Zstandard frames.
    Zstd,
}

impl ContentEncoding {
    /// The encoding named by a `Content-Encoding` header. `None` for one not known here.
    pub fn from_header(value: Option<&str>) -> Option<Self> {
        let name = value.unwrap_or_default().trim();
        if name.is_empty() || name.eq_ignore_ascii_case("identity") {
            Some(Self::Identity)
        } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// Why a body could not be expanded.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExpandError {
    /// Longer than [`MAX_LINES_BYTES`] when expanded.
    #[error("the body is longer than {MAX_LINES_BYTES} bytes when expanded; send it in parts")]
    TooLong,
    /// Not of the encoding that the header names.
    #[error("the body is not valid {encoding:?}: {error}")]
    Bad {
        /// As named.
        encoding: ContentEncoding,
        /// The decoder's text.
        error: io::Error,
    },
}

/// Undoes the encoding, never holding more than the cap and one byte.
pub(super) fn expand(body: Vec<u8>, encoding: ContentEncoding) -> Result<Vec<u8>, ExpandError> {
    let bad = |error| ExpandError::Bad { encoding, error };
    let mut expanded = Vec::new();
    match encoding {
        ContentEncoding::Identity => expanded = body,
        ContentEncoding::Gzip => {
            let decoder = flate2::bufread::MultiGzDecoder::new(body.as_slice());
            decoder.take(MAX_LINES_BYTES as u64 + 1).read_to_end(&mut expanded).map_err(bad)?;
        }
        ContentEncoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body.as_slice()).map_err(bad)?;
            decoder.take(MAX_LINES_BYTES as u64 + 1).read_to_end(&mut expanded).map_err(bad)?;
        }
    }
    if expanded.len() > MAX_LINES_BYTES { Err(ExpandError::TooLong) } else { Ok(expanded) }
}

/// A line that is not a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FailedLine {
    /// Its number, from 1; blank lines count.
    pub line: u64,
    /// Error code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

/// What the lines of a body are.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The records.
    pub body: FrameBody,
    /// Lines that are empty or only `\r`.
    pub blank: u64,
    /// Lines that are too long.
    pub failed: Vec<FailedLine>,
}

/// Makes each line a record. A last line without a terminator gets one.
pub(super) fn split(mut text: Vec<u8>) -> Split {
    let mut split = Split::default();
    if text.last().is_some_and(|byte| *byte != b'\n') {
        text.push(b'\n');
    }
    let mut kept_upto = 0;
    let mut first = 0;
    let mut line = 0;
    while let Some(found) = memchr(b'\n', &text[first..]) {
        let upto = first + found + 1;
        let length = upto - first;
        line += 1;
        if text[first..upto - 1].iter().all(|byte| *byte == b'\r') {
            split.blank += 1;
        } else if length > MAX_RECORD_BYTES {
            split.failed.push(FailedLine {
                line,
                code: "ValidationException",
                message: format!(
                    "The line is {length} bytes long with its terminator; a record has at most {MAX_RECORD_BYTES}."
                ),
            });
        } else {
            if kept_upto != first {
                text.copy_within(first..upto, kept_upto);
            }
            kept_upto += length;
            split.body.lengths.push(length as u32);
        }
        first = upto;
    }
    text.truncate(kept_upto);
    split.body.payload = text;
    split
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn records(split: &Split) -> Vec<&[u8]> {
        let mut rest = split.body.payload.as_slice();
        let records = split.body.lengths.iter().map(|length| {
            let (record, tail) = rest.split_at(*length as usize);
            rest = tail;
            record
        });
        let records = records.collect();
        assert!(rest.is_empty());
        records
    }

    #[test]
    fn a_record_is_a_line_with_its_terminator() {
        let done = split(Vec::from(b"\r\na\n\nb\r\n\r\r\n \nlast"));
        assert_eq!(records(&done), [&b"a\n"[..], b"b\r\n", b" \n", b"last\n"]);
        assert_eq!((done.blank, done.failed.len()), (3, 0));
        let nothing = split(Vec::new());
        assert_eq!((nothing.blank, nothing.body.lengths.len()), (0, 0));
        assert_eq!(split(Vec::from(b"\n")).blank, 1);
        assert_eq!(split(Vec::from(b"\r")).blank, 1);
    }

    #[test]
    fn an_overlong_line_fails_alone() {
        let mut text = b"a\n\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', MAX_RECORD_BYTES - 1));
        text.push(b'\n');
        text.extend(std::iter::repeat_n(b'y', MAX_RECORD_BYTES));
        text.extend(b"\nz");
        let done = split(text);
        assert_eq!(records(&done).iter().map(|r| r.len()).collect::<Vec<_>>(), [2, MAX_RECORD_BYTES, 2]);
        assert_eq!(records(&done)[2], b"z\n");
        assert_eq!(done.failed.len(), 1);
        assert_eq!(done.failed[0].line, 4);
    }

    #[test]
    fn bombs_stop_at_the_cap() {
        let zeros = vec![0; 1 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..16 {
            gzip.write_all(&zeros).unwrap();
            zstd.write_all(&zeros).unwrap();
        }
        let exact = (gzip.finish().unwrap(), zstd.finish().unwrap());
        let over = |one: &[u8], encoder: &dyn Fn(&[u8]) -> Vec<u8>| [one, &encoder(b"0")].concat();
        assert_eq!(expand(exact.0.clone(), ContentEncoding::Gzip).unwrap().len(), MAX_LINES_BYTES);
        assert_eq!(expand(exact.1.clone(), ContentEncoding::Zstd).unwrap().len(), MAX_LINES_BYTES);
        let gzip_over = over(&exact.0, &|bytes| {
            let mut one = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            one.write_all(bytes).unwrap();
            one.finish().unwrap()
        });
        let zstd_over = over(&exact.1, &|bytes| zstd::stream::encode_all(bytes, 1).unwrap());
        assert!(matches!(expand(gzip_over, ContentEncoding::Gzip), Err(ExpandError::TooLong)));
        assert!(matches!(expand(zstd_over, ContentEncoding::Zstd), Err(ExpandError::TooLong)));
    }

    #[test]
    fn damaged_bodies_are_refused() {
        assert!(matches!(expand(b"plain".to_vec(), ContentEncoding::Gzip), Err(ExpandError::Bad { .. })));
        assert!(matches!(expand(b"plain".to_vec(), ContentEncoding::Zstd), Err(ExpandError::Bad { .. })));
        let mut cut = zstd::stream::encode_all(&b"a\nb\n"[..], 1).unwrap();
        cut.pop();
        assert!(expand(cut, ContentEncoding::Zstd).is_err());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\nb\n").unwrap();
        let mut cut = gzip.finish().unwrap();
        cut.truncate(cut.len() - 4);
        assert!(expand(cut, ContentEncoding::Gzip).is_err());
    }
}
