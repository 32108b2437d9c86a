//! The mark `\\.` in what is sent as it is: PostgreSQL takes it for the end of the data, ignores all that follows, and says
//! that it has loaded. So it is looked for before, and fails the load.
//!
//! Format: PostgreSQL, "COPY", File Formats. In CSV it counts at the begin of a line, in text wherever a backslash that is not
//! escaped stands before a point at the end of a line.

use std::io;

/// Looks for the mark in pieces, which may be cut anywhere.
#[derive(Debug)]
pub struct EndMark {
    is_csv: bool,
    at: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Inside,
    /// Behind a backslash that begins something.
    Backslash,
    /// Behind `\\.`.
    Mark,
}

impl EndMark {
    pub fn new(is_csv: bool) -> Self {
        Self { is_csv, at: Place::LineStart }
    }

    /// Goes over the next bytes.
    pub fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Most objects have no backslash at all.
        if matches!(self.at, Place::LineStart | Place::Inside) && memchr::memchr(b'\\', bytes).is_none() {
            self.at = match bytes.last() {
                Some(b'\n' | b'\r') => Place::LineStart,
                Some(_) => Place::Inside,
                None => self.at,
            };
            return Ok(());
        }
        for byte in bytes {
            self.at = match (self.at, byte) {
                (Place::Mark, b'\n' | b'\r') => return Err(found()),
                (_, b'\n' | b'\r') => Place::LineStart,
                (Place::Backslash, b'.') => Place::Mark,
                // What it escapes, another backslash as well.
                (Place::Backslash, _) => Place::Inside,
                (Place::LineStart, b'\\') => Place::Backslash,
                (Place::Inside | Place::Mark, b'\\') if !self.is_csv => Place::Backslash,
                _ => Place::Inside,
            };
        }
        Ok(())
    }

    /// The bytes have ended.
    pub fn finish(&self) -> io::Result<()> {
        if self.at == Place::Mark { Err(found()) } else { Ok(()) }
    }
}

fn found() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "they hold \\. where the server takes it for the end of all data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(is_csv: bool, text: &str) -> bool {
        let whole = |cut: usize| {
            let mut mark = EndMark::new(is_csv);
            let (one, two) = text.as_bytes().split_at(cut);
            mark.look(one).and_then(|()| mark.look(two)).and_then(|()| mark.finish()).is_err()
        };
        let found = whole(0);
        for cut in 1..=text.len() {
            assert_eq!(whole(cut), found, "{text:?} cut at {cut}");
        }
        found
    }

    #[test]
    fn the_mark_is_found_wherever_pieces_are_cut() {
        for (text, in_csv, in_text) in [
            ("\\.\n", true, true),
            ("\\.", true, true),
            ("a\n\\.\r\nb\n", true, true),
            ("a\\.\n", false, true),
            ("C:\\dir\\.\nb\n", false, true),
            ("a\\\\.\n", false, false),
            ("a\\\\\\.\n", false, true),
            ("\\\\.\n", false, false),
            ("\\.a\n", false, false),
            ("\"\\.\"\n", false, false),
            ("a.\n.\n", false, false),
            ("no mark\nat all\n", false, false),
            ("", false, false),
        ] {
            assert_eq!((holds(true, text), holds(false, text)), (in_csv, in_text), "{text:?}");
        }
    }
}
