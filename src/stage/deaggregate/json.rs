//! JSON objects one after the other, by the grammar of RFC 8259. White space before, between and behind them belongs to
//! no part.
//!
//! Nesting takes a byte a level of a buffer that is kept, not the stack: no record is too deep.

use super::Next;

/// Finds objects; buffers are kept from record to record.
#[derive(Debug, Default)]
pub struct Objects {
    nesting: Vec<u8>,
    /// Bytes of the record that are UTF-8.
    text_bytes: usize,
}

/// Where a record is not JSON, and what was expected there.
type Fault = (usize, &'static str);

impl Objects {
    /// The object that begins at `from` or behind white space there.
    pub fn next(&mut self, record: &[u8], from: usize) -> Next {
        if from == 0 {
            self.text_bytes = simdutf8::compat::from_utf8(record).map_or_else(|error| error.valid_up_to(), str::len);
        }
        let mut scan = Scan { bytes: record, at: from };
        let first = scan.token();
        let start = scan.at;
        // A record of which nothing can be split off is refused as it is.
        let bad_from = if from == 0 { 0 } else { start };
        let bad = |(at, expected): Fault| {
            let found = match record.get(at) {
                None => "the record ends".to_owned(),
                Some(byte @ b' '..=b'~') => format!("there is '{}'", char::from(*byte)),
                Some(byte) => format!("there is the byte {byte:#04x}"),
            };
            let why = format!(
                "The record is not JSON objects one after the other: at byte {at} {expected} is expected, and {found}."
            );
            Next::Bad(bad_from, why)
        };
        match first {
            None if from > 0 => return Next::End,
            Some(b'{') => {}
            _ => return bad((start, "an object")),
        }
        match scan.value(&mut self.nesting) {
            Ok(()) if scan.at > self.text_bytes => {
                let at = self.text_bytes;
                Next::Bad(bad_from, format!("The record is not UTF-8 from byte {at} on."))
            }
            Ok(()) => Next::Part { start, upto: scan.at, next: scan.at },
            Err(fault) => bad(fault),
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not white space.
    fn token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.peek()
    }

    fn fault<T>(&self, expected: &'static str) -> Result<T, Fault> {
        Err((self.at, expected))
    }

    /// Goes over one value.
    fn value(&mut self, nesting: &mut Vec<u8>) -> Result<(), Fault> {
        nesting.clear();
        loop {
            match self.token() {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    nesting.push(open);
                    match (open, self.token()) {
                        // Empty: its end is seen below.
                        (b'{', Some(b'}')) | (b'[', Some(b']')) => {}
                        (b'{', _) => {
                            self.key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                Some(b'"') => self.string()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => return self.fault("a value"),
            }
            loop {
                let Some(open) = nesting.last() else { return Ok(()) };
                match (open, self.token()) {
                    (b'{', Some(b'}')) | (b'[', Some(b']')) => {
                        self.at += 1;
                        nesting.pop();
                        if nesting.is_empty() {
                            return Ok(());
                        }
                    }
                    (open, Some(b',')) => {
                        self.at += 1;
                        if *open == b'{' {
                            self.key()?;
                        }
                        break;
                    }
                    (b'{', _) => return self.fault("',' or '}'"),
                    _ => return self.fault("',' or ']'"),
                }
            }
        }
    }

    /// A name with its colon.
    fn key(&mut self) -> Result<(), Fault> {
        if self.token() != Some(b'"') {
            return self.fault("a name in quotes");
        }
        self.string()?;
        if self.token() != Some(b':') {
            return self.fault("':'");
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            if let Some(control) = rest[..plain].iter().position(|byte| *byte < 0x20) {
                self.at += control;
                return self.fault("no control character in a string");
            }
            self.at += plain + 1;
            match rest.get(plain) {
                Some(b'"') => return Ok(()),
                Some(_) => self.escape()?,
                None => {
                    self.at = self.bytes.len();
                    return self.fault("the end of a string");
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fault("a hex digit");
                    }
                    self.at += 1;
                }
            }
            _ => return self.fault("an escape that JSON knows"),
        }
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fault("a value");
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fault("a digit");
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}
