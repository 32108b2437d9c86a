//! JSON objects, one after the other, as lines of CSV that COPY takes: members are found by name, their values are not
//! looked into beyond where they end. Pure.
//!
//! From: `rows`, which has the bytes of an object piece by piece. Redshift's COPY takes records the same way: with or
//! without white space between them. A value that is no text is written as it stands, an object or a list as its text, so
//! no number loses a digit; `null` and a missing member are NULL.

use std::io::{self, Write};

/// Longest record.
pub const MAX_OBJECT_BYTES: usize = 64 << 20;

/// Columns of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// Each has the member of its name.
    Named {
        /// Names, in the order of the line.
        names: Vec<String>,
        /// Whatever the case of the member's name.
        any_case: bool,
    },
    /// The one has the whole object.
    Whole,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the object")]
pub struct Malformed {
    what: &'static str,
    at: u64,
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidInput, malformed)
    }
}

/// Turns records into lines.
#[derive(Debug)]
pub struct Lines {
    columns: Columns,
    /// Bytes that are no whole record yet.
    held: Vec<u8>,
    /// Bytes before them.
    before: u64,
}

impl Lines {
    /// Of these columns.
    pub fn new(columns: Columns) -> Self {
        Self { columns, held: Vec::new(), before: 0 }
    }

    /// Takes more bytes; writes the lines of all records that are whole now.
    pub fn push(&mut self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        self.write_whole(out)
    }

    /// No more bytes come.
    pub fn finish(&mut self) -> Result<(), Malformed> {
        match self.held.iter().all(u8::is_ascii_whitespace) {
            true => Ok(()),
            false => Err(Malformed { what: "a record that does not end", at: self.before }),
        }
    }

    fn write_whole(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut done = 0;
        loop {
            let mut scan = Scan { bytes: &self.held, at: done };
            scan.white_space();
            let start = scan.at;
            match scan.peek() {
                None => break,
                Some(b'{') => {}
                Some(_) => return Err(Malformed { what: "no JSON object", at: self.before + start as u64 }.into()),
            }
            match scan.value() {
                Ok(()) => {}
                Err(End::Missing) if self.held.len() - start > MAX_OBJECT_BYTES => {
                    return Err(
                        Malformed { what: "a record of more than 64 MiB", at: self.before + start as u64 }.into()
                    );
                }
                Err(End::Missing) => break,
                Err(End::Wrong(what)) => return Err(Malformed { what, at: self.before + scan.at as u64 }.into()),
            }
            write_line(&self.columns, &self.held[start..scan.at], out).map_err(|what| {
                what.unwrap_or_else(|what| Malformed { what, at: self.before + start as u64 }.into())
            })?;
            done = scan.at;
        }
        self.held.drain(..done);
        self.before += done as u64;
        Ok(())
    }
}

/// Writes the line of one whole object.
fn write_line(columns: &Columns, object: &[u8], out: &mut impl Write) -> Result<(), Result<io::Error, &'static str>> {
    let io = Ok::<io::Error, &'static str>;
    let Columns::Named { names, any_case } = columns else {
        write_quoted(object, out).map_err(io)?;
        return out.write_all(b"\n").map_err(io);
    };
    let mut values: Vec<Option<&[u8]>> = vec![None; names.len()];
    let mut scan = Scan { bytes: object, at: 1 };
    // The object is whole, so nothing is missing in it.
    let ended = |end: End| match end {
        End::Missing => Err("a record that does not end"),
        End::Wrong(what) => Err(what),
    };
    scan.white_space();
    while scan.peek() == Some(b'"') {
        let name = scan.raw_string().map_err(ended)?;
        let name: String = serde_json::from_slice(name).map_err(|_| Err("a name that is no text"))?;
        scan.white_space();
        scan.expect(b':').map_err(ended)?;
        scan.white_space();
        let start = scan.at;
        scan.value().map_err(ended)?;
        let is_it = |column: &String| if *any_case { column.eq_ignore_ascii_case(&name) } else { *column == name };
        if let Some(column) = names.iter().position(is_it) {
            values[column] = Some(&object[start..scan.at]);
        }
        scan.white_space();
        if scan.peek() == Some(b',') {
            scan.at += 1;
            scan.white_space();
        }
    }
    for (column, value) in values.into_iter().enumerate() {
        if column > 0 {
            out.write_all(b",").map_err(io)?;
        }
        match value {
            None | Some(b"null") => {}
            Some(text @ [b'"', ..]) => {
                let text: String = serde_json::from_slice(text).map_err(|_| Err("a text that is none"))?;
                write_quoted(text.as_bytes(), out).map_err(io)?;
            }
            Some(raw) => write_quoted(raw, out).map_err(io)?,
        }
    }
    out.write_all(b"\n").map_err(io)
}

/// A value of CSV. Quoted always: an empty text is not NULL.
fn write_quoted(text: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut rest = text;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        out.write_all(&rest[..=quote])?;
        out.write_all(b"\"")?;
        rest = &rest[quote + 1..];
    }
    out.write_all(rest)?;
    out.write_all(b"\"")
}

enum End {
    /// More bytes are needed.
    Missing,
    /// No JSON.
    Wrong(&'static str),
}

/// Where values end. What they are is judged as far as that takes.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), End> {
        match self.peek() {
            None => Err(End::Missing),
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(End::Wrong("no JSON")),
        }
    }

    /// A string with its quotes.
    fn raw_string(&mut self) -> Result<&'a [u8], End> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { return Err(End::Missing) };
            self.at += found + 1;
            match rest[found] {
                b'"' => return Ok(&self.bytes[start..self.at]),
                _ => self.at += 1,
            }
        }
    }

    /// A whole value. Nesting needs no stack: only where it ends is asked.
    fn value(&mut self) -> Result<(), End> {
        let mut depth = 0u32;
        loop {
            self.white_space();
            match self.peek().ok_or(End::Missing)? {
                b'"' => {
                    self.raw_string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    let rest = &self.bytes[self.at..];
                    let is_end = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'));
                    self.at += rest.iter().position(is_end).ok_or(End::Missing)?;
                }
                _ => return Err(End::Wrong("no JSON")),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(columns: &Columns, json: &str, piece: usize) -> Result<String, String> {
        let (mut lines, mut out) = (Lines::new(columns.clone()), Vec::new());
        for piece in json.as_bytes().chunks(piece) {
            lines.push(piece, &mut out).map_err(|error| error.to_string())?;
        }
        lines.finish().map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn members_become_columns_by_name() {
        let names = ["id", "text", "doc"].map(str::to_owned).to_vec();
        let json = "{\"id\":1,\"text\":\"a\\\"b, \\u00fc\\n\",\"doc\":{\"x\":[1,\"}\"]},\"more\":true}{\"text\":\"\",\
                    \"id\":123456789012345678901234567890.10}\n\n {\"doc\" : null , \"ID\" : 7, \"id\":-0.5e3}{}";
        let expected = "\"1\",\"a\"\"b, ü\n\",\"{\"\"x\"\":[1,\"\"}\"\"]}\"\n\
                        \"123456789012345678901234567890.10\",\"\",\n\"-0.5e3\",,\n,,\n";
        for piece in [1, 2, 7, 1000] {
            let columns = Columns::Named { names: names.clone(), any_case: false };
            assert_eq!(lines(&columns, json, piece).unwrap(), expected, "{piece}");
        }
        let any = Columns::Named { names, any_case: true };
        assert_eq!(lines(&any, "{\"ID\":7}", 100).unwrap(), "\"7\",,\n");
        assert_eq!(lines(&Columns::Whole, "{\"a\": 1} {}", 3).unwrap(), "\"{\"\"a\"\": 1}\"\n\"{}\"\n");
    }

    #[test]
    fn what_is_no_object_is_told_with_its_place() {
        let columns = Columns::Named { names: vec!["a".to_owned()], any_case: false };
        for (json, expected) in [
            ("{} 1", "no JSON object at byte 3"),
            ("{\"a\":1", "a record that does not end at byte 0"),
            ("{\"a\" 1}", "no JSON at byte 0"),
            ("{'a':1}", "no JSON at byte 1"),
            ("{}x", "no JSON object at byte 2"),
        ] {
            for piece in [1, 100] {
                let said = lines(&columns, json, piece).unwrap_err();
                assert!(said.starts_with(expected), "{json}: {said}");
            }
        }
    }
}
