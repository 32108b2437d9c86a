//! A cursor over JSON text for a grammar known in advance: objects, arrays, strings and `null`.
//!
//! Exactly RFC 8259 for what it reads, as serde_json is: no trailing commas, no control characters or invalid UTF-8 in
//! a string that is read as text. Strings are found first and looked into only as far as their user needs: base64
//! checks its own alphabet.

use memchr::memchr;

/// The text is not the JSON expected here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Offset of the offending byte.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// A string between its quotes, escapes still in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawString<'a> {
    pub bytes: &'a [u8],
    /// Whether there is a backslash in it.
    pub escaped: bool,
    at: usize,
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    #[inline]
    pub fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Takes `null` if it stands here.
    #[inline]
    pub fn null(&mut self) -> bool {
        let there = self.peek() == Some(b'n') && self.bytes[self.at..].starts_with(b"null");
        self.at += if there { 4 } else { 0 };
        there
    }

    /// White space and then the end.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.skip_whitespace();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed("text after the end of the request")) }
    }

    /// Reads an object, calling `member` with each name; it reads the value.
    #[inline]
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, RawString<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if !self.take(b'{') {
            return Err(self.malformed("an object is expected"));
        }
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string("a member name is expected")?;
            self.skip_whitespace();
            if !self.take(b':') {
                return Err(self.malformed("':' is expected"));
            }
            self.skip_whitespace();
            member(self, name)?;
            self.skip_whitespace();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.malformed("',' or '}' is expected"));
            }
            self.skip_whitespace();
        }
    }

    /// Reads an array; `element` reads each element.
    #[inline]
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        if !self.take(b'[') {
            return Err(self.malformed("an array is expected"));
        }
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.malformed("',' or ']' is expected"));
            }
            self.skip_whitespace();
        }
    }

    /// Reads a string up to its closing quote.
    #[inline]
    pub fn string(&mut self, expected: &'static str) -> Result<RawString<'a>, Malformed> {
        if !self.take(b'"') {
            return Err(self.malformed(expected));
        }
        let first = self.at;
        let mut escaped = false;
        let mut at = first;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(found) = find_quote_or_backslash(rest) else {
                return Err(Malformed { at: first, what: "a string without an end" });
            };
            at += found;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(RawString { bytes: &self.bytes[first..at], escaped, at: first });
            }
            // Whatever is escaped, a quote among it, does not end the string.
            escaped = true;
            at += 2;
        }
    }
}

impl<'a> RawString<'a> {
    /// A fault in this string.
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    /// The string's value as bytes: itself, or unescaped in `scratch`. Not checked for UTF-8; control characters are
    /// checked only where there is an escape.
    #[inline]
    pub fn value<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Malformed>
    where
        'a: 's,
    {
        if !self.escaped {
            return Ok(self.bytes);
        }
        scratch.clear();
        self.unescape(scratch)?;
        Ok(scratch)
    }

    /// The string's value as text.
    pub fn text<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<&'s str, Malformed>
    where
        'a: 's,
    {
        if !self.escaped && self.bytes.iter().any(|byte| *byte < 0x20) {
            return Err(self.malformed("a control character in a string"));
        }
        let value = self.value(scratch)?;
        simdutf8::basic::from_utf8(value).map_err(|_| self.malformed("a string that is not UTF-8"))
    }

    fn unescape(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut rest = self.bytes;
        loop {
            let plain = memchr(b'\\', rest).unwrap_or(rest.len());
            let (segment, tail) = rest.split_at(plain);
            if segment.iter().any(|byte| *byte < 0x20) {
                return Err(self.malformed("a control character in a string"));
            }
            out.extend_from_slice(segment);
            let Some((escape, tail)) = tail.split_first_chunk::<2>() else {
                return if tail.is_empty() { Ok(()) } else { Err(self.malformed("an escape without an end")) };
            };
            rest = match escape[1] {
                b'u' => self.unescape_unicode(tail, out)?,
                byte => {
                    out.push(match byte {
                        b'"' | b'\\' | b'/' => byte,
                        b'b' => 0x08,
                        b'f' => 0x0c,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        _ => return Err(self.malformed("an unknown escape")),
                    });
                    tail
                }
            };
        }
    }

    fn unescape_unicode<'t>(&self, tail: &'t [u8], out: &mut Vec<u8>) -> Result<&'t [u8], Malformed> {
        let bad = || self.malformed("a broken \\u escape");
        let (high, tail) = hex4(tail).ok_or_else(bad)?;
        let (code, tail) = match high {
            0xd800..0xdc00 => {
                let (low, tail) = tail.strip_prefix(b"\\u").and_then(hex4).ok_or_else(bad)?;
                if !(0xdc00..0xe000).contains(&low) {
                    return Err(bad());
                }
                (0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), tail)
            }
            code => (code, tail),
        };
        // A lone low surrogate is no character.
        let character = char::from_u32(code).ok_or_else(bad)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(tail)
    }
}

/// Where the first quote or backslash is. Blocks of a fixed length become vector code for any processor, in the place
/// where it is needed; `memchr2` is called through a pointer for each of a request's hundreds of short strings.
#[inline]
fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let ends = |byte: &u8| matches!(*byte, b'"' | b'\\');
    let (blocks, _) = bytes.as_chunks::<32>();
    let clean = blocks.iter().take_while(|block| !block.iter().fold(false, |hit, byte| hit | ends(byte))).count();
    let from = clean * 32;
    bytes[from..].iter().position(ends).map(|at| from + at)
}

fn hex4(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<4>()?;
    let mut code = 0;
    for digit in digits {
        code = code << 4 | char::from(*digit).to_digit(16)?;
    }
    Some((code, rest))
}
