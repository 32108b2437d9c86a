//! What could not be converted: the first few shown, all of them kept in a file if one is named.

use super::super::Failure;
use crate::record::{Chunk, Refused};
use base64_simd::STANDARD;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

/// Most rejected lines that are printed.
const SHOWN: u64 = 10;

/// See the module.
pub(super) struct Rejects {
    file: Option<BufWriter<File>>,
    quiet: bool,
    count: u64,
    /// Printed so far; the same ones come first when the conversion is begun anew.
    shown: u64,
}

impl Rejects {
    /// `file` is replaced if it is there.
    #[allow(clippy::disallowed_methods, reason = "a report for a person, which nothing depends on after a crash")]
    pub fn create(file: Option<&Path>, quiet: bool) -> Result<Self, Failure> {
        let create = |path: &Path| {
            let made = File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()));
            made.map(BufWriter::new)
        };
        Ok(Self { file: file.map(create).transpose()?, quiet, count: 0, shown: 0 })
    }

    /// A record that the stage refused.
    pub fn note(&mut self, refused: &Refused, chunk: &Chunk) -> io::Result<()> {
        let record = chunk.find(refused.origin).map_or(&[][..], |slot| chunk.bytes(slot));
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        self.write(refused.origin.ordinal + 1, &refused.cause.code, &refused.cause.message, record)
    }

    /// A line longer than any record; its text is gone.
    pub fn too_long(&mut self, line: u64) -> io::Result<()> {
        self.write(line, "ValidationException", "The line is longer than 64 MiB.", b"")
    }

    /// Forgets what was noted: all of it comes again.
    pub fn begin_anew(&mut self) -> io::Result<()> {
        self.count = 0;
        let Some(file) = &mut self.file else { return Ok(()) };
        file.rewind()?;
        file.get_ref().set_len(0)
    }

    /// Everything is in the file.
    pub fn finish(mut self) -> Result<(), Failure> {
        if self.count > SHOWN && !self.quiet {
            eprintln!("… and {} more lines left out", self.count - SHOWN);
        }
        Ok(self.file.as_mut().map_or(Ok(()), Write::flush)?)
    }

    fn write(&mut self, line: u64, code: &str, message: &str, record: &[u8]) -> io::Result<()> {
        self.count += 1;
        if self.count > self.shown && self.count <= SHOWN && !self.quiet {
            self.shown = self.count;
            eprintln!("line {line}: {code}: {message}");
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let row = match std::str::from_utf8(record) {
            Ok(text) => json!({"line": line, "code": code, "message": message, "record": text}),
            Err(_) => {
                let encoded = STANDARD.encode_to_string(record);
                json!({"line": line, "code": code, "message": message, "recordBase64": encoded})
            }
        };
        writeln!(file, "{row}")
    }
}
