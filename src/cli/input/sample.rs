//! Parts of a plain file of lines from all over it, each of whole lines.

use super::{COMPRESSED, Failure, MAX_LINE_BYTES};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Read at once to find the end of a line.
const STEP_BYTES: usize = 64 << 10;

/// A plain file that can be read at any place.
pub struct Samples {
    file: File,
    length_bytes: u64,
    /// Bytes of one part, about.
    part_bytes: u64,
    parts: u64,
}

impl Samples {
    /// `parts` parts of about `part_bytes` each; together the whole file if that is not longer. `None` for what is no
    /// plain file.
    pub fn open(file: &Path, parts: u64, part_bytes: u64) -> Result<Option<Self>, Failure> {
        if file.as_os_str() == "-" {
            return Ok(None);
        }
        let cannot = |error| format!("cannot read {}: {error}", file.display());
        // A pipe must not be opened to be looked at: its writer would meet nobody afterwards.
        let meta = fs::metadata(file).map_err(cannot)?;
        if !meta.is_file() || meta.len() == 0 {
            return Ok(None);
        }
        let opened = File::open(file).map_err(cannot)?;
        let mut start = [0; 4];
        let read = opened.read_at(&mut start, 0).map_err(cannot)?;
        if COMPRESSED.iter().any(|magic| start[..read].starts_with(magic)) {
            return Ok(None);
        }
        let part_bytes = part_bytes.min(meta.len().div_ceil(parts));
        Ok(Some(Self { file: opened, length_bytes: meta.len(), part_bytes, parts }))
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.parts
    }

    /// The lines that begin in part `number`.
    pub fn part(&self, number: u64) -> io::Result<Vec<u8>> {
        let first = (self.length_bytes as u128 * u128::from(number) / u128::from(self.parts)) as u64;
        let next = (self.length_bytes as u128 * u128::from(number + 1) / u128::from(self.parts)) as u64;
        // Together they are the whole file, if rounding is taken care of.
        let upto = if next - first <= self.part_bytes { next } else { first + self.part_bytes };
        // A line begins behind a line end, which may be the byte before.
        let from = first.saturating_sub(1);
        let mut text = self.read(from, (upto - from) as usize)?;
        while !text.ends_with(b"\n") {
            let more = self.read(from + text.len() as u64, STEP_BYTES)?;
            let end = memchr::memchr(b'\n', &more).map_or(more.len(), |at| at + 1);
            text.extend_from_slice(&more[..end]);
            if more.is_empty() {
                break;
            }
            if text.len() as u64 > self.part_bytes + MAX_LINE_BYTES as u64 {
                // No such line is a record.
                text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1));
                break;
            }
        }
        if number > 0 {
            let start = memchr::memchr(b'\n', &text).map_or(text.len(), |at| at + 1);
            text.drain(..start);
        }
        Ok(text)
    }

    fn read(&self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut text = vec![0; len];
        let mut held = 0;
        while held < len {
            match self.file.read_at(&mut text[held..], from + held as u64) {
                Ok(0) => break,
                Ok(count) => held += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        text.truncate(held);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_lines_and_together_a_short_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        for (lines, last) in [(0, ""), (1, ""), (5, "x"), (1000, "last"), (1000, "")] {
            let text: String = (0..lines).map(|n| format!("{n} {}\n", "y".repeat(n % 70))).collect::<String>() + last;
            std::fs::write(&path, &text).unwrap();
            for parts in [1, 3, 8, 64] {
                let samples = Samples::open(&path, parts, 1 << 20).unwrap();
                assert_eq!(samples.is_none(), text.is_empty());
                let Some(samples) = samples else { continue };
                let all: Vec<u8> = (0..samples.len()).flat_map(|number| samples.part(number).unwrap()).collect();
                assert_eq!(String::from_utf8(all).unwrap(), text, "{parts}");
                // A long file is looked at here and there.
                let samples = Samples::open(&path, parts, 100).unwrap().unwrap();
                for number in 0..samples.len() {
                    let part = String::from_utf8(samples.part(number).unwrap()).unwrap();
                    assert!(part.split_inclusive('\n').all(|line| text.split_inclusive('\n').any(|l| l == line)));
                    assert!(part.len() < 100 + 80, "{}", part.len());
                }
            }
        }
        std::fs::write(&path, b"\x1f\x8bzip").unwrap();
        assert!(Samples::open(&path, 8, 100).unwrap().is_none());
        assert!(Samples::open(dir.path(), 8, 100).unwrap().is_none());
        assert!(Samples::open(&dir.path().join("none"), 8, 100).is_err());
    }
}
