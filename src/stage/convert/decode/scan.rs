//! The grammar of JSON (RFC 8259) over one record's bytes: white space, strings, literals, values to skip.
//!
//! Used by `value` and `keys`. Invariant: the bytes are valid UTF-8 (the decoder checks it once a record), so a slice
//! between two ASCII characters is valid too.

use super::super::rejection::{MAX_JSON_DEPTH, Outcome, Rejection};

/// Texts up to this length are looked through word by word, longer ones then in blocks.
const SHORT_TEXT_BYTES: usize = 16;

/// A place in a record.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    /// The record.
    pub bytes: &'a [u8],
    /// Next byte.
    pub pos: usize,
}

impl<'a> Cursor<'a> {
    /// The next byte, or 0 at the end: no token begins with it, and [`Self::unexpected`] tells the two apart.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        self.bytes.get(self.pos).copied().unwrap_or(0)
    }

    /// The bytes from `start` up to here.
    #[inline(always)]
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.pos]
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.pos >= self.bytes.len()
    }

    /// Goes to the next token and returns its first byte.
    #[inline(always)]
    pub fn token(&mut self) -> u8 {
        let byte = self.peek();
        if byte > b' ' { byte } else { self.token_after_blank() }
    }

    fn token_after_blank(&mut self) -> u8 {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.pos += 1;
        }
        self.peek()
    }

    /// What stands here instead of what was expected.
    #[cold]
    pub fn unexpected(&self, expected: &str) -> Box<Rejection> {
        let at = self.pos;
        Box::new(match self.bytes.get(at) {
            None => Rejection::Syntax(format!("Unexpected end of the record at byte {at}: expected {expected}.")),
            Some(0..=0x1f) => Rejection::Control(at),
            Some(_) => {
                let found = String::from_utf8_lossy(&self.bytes[at..self.bytes.len().min(at + 4)]);
                let found = found.chars().next().unwrap_or('?');
                Rejection::Syntax(format!("Unexpected character '{found}' at byte {at}: expected {expected}."))
            }
        })
    }

    /// Takes `word`, whose first byte was seen.
    #[inline]
    pub fn literal(&mut self, word: &'static str) -> Outcome<()> {
        if !self.bytes[self.pos..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.pos += word.len();
        Ok(())
    }

    /// From inside a string, the next byte that is not ordinary text: a quote, a backslash, a control character, or
    /// the end.
    #[inline(always)]
    pub fn reach_special(&mut self) -> u8 {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let words_upto = self.pos + SHORT_TEXT_BYTES;
        while let Some(eight) = self.bytes[self.pos..].first_chunk::<8>() {
            // The lowest set bit of each test is exact; a carry can only set bits above a true one.
            let word = u64::from_le_bytes(*eight);
            let quote = word ^ (ONES * b'"' as u64);
            let slash = word ^ (ONES * b'\\' as u64);
            let found = ((quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(ONES * 0x20) & !word))
                & HIGH;
            if found != 0 {
                self.pos += (found.trailing_zeros() / 8) as usize;
                return self.bytes[self.pos];
            }
            self.pos += 8;
            if self.pos == words_upto {
                self.skip_plain_blocks();
            }
        }
        while let Some(&byte) = self.bytes.get(self.pos) {
            if byte == b'"' || byte == b'\\' || byte < 0x20 {
                return byte;
            }
            self.pos += 1;
        }
        0
    }

    /// Goes over blocks of ordinary text; the compiler makes a few vector instructions of each.
    #[inline]
    fn skip_plain_blocks(&mut self) {
        while let Some(block) = self.bytes[self.pos..].first_chunk::<32>() {
            let special =
                block.iter().fold(false, |any, byte| any | (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20));
            if special {
                return;
            }
            self.pos += 32;
        }
    }

    /// Takes a string whose opening quote is next. Returns its content, escapes untouched, and whether it has any.
    #[inline]
    pub fn string(&mut self) -> Outcome<(&'a [u8], bool)> {
        self.pos += 1;
        let start = self.pos;
        let mut escaped = false;
        loop {
            match self.reach_special() {
                b'"' => {
                    let content = self.since(start);
                    self.pos += 1;
                    return Ok((content, escaped));
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.broken_string()),
            }
        }
    }

    #[cold]
    fn broken_string(&self) -> Box<Rejection> {
        if self.at_end() { self.unexpected("'\"'") } else { Box::new(Rejection::Unescaped(self.pos)) }
    }

    /// Takes one escape sequence, of whose kind only the form is checked.
    fn escape(&mut self) -> Outcome<()> {
        self.pos += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.pos += 1,
            b'u' => {
                for _ in 0..4 {
                    self.pos += 1;
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(self.unexpected("four hex digits after \\u"));
                    }
                }
                self.pos += 1;
            }
            _ => return Err(self.unexpected("an escape character")),
        }
        Ok(())
    }

    /// Takes any value, checking all of its syntax; `depth` objects and arrays are open around it.
    pub fn skip(&mut self, depth: usize) -> Outcome<()> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.skip_nested(depth),
            _ => self.skip_scalar(),
        }
    }

    #[inline]
    fn skip_scalar(&mut self) -> Outcome<()> {
        match self.peek() {
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.skip_number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Takes a number by its grammar alone.
    pub fn skip_number(&mut self) -> Outcome<()> {
        if self.peek() == b'-' {
            self.pos += 1;
        }
        if self.peek() == b'0' {
            self.pos += 1;
            if self.peek().is_ascii_digit() {
                return Err(self.unexpected("no digit after a leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.pos += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.pos += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Outcome<()> {
        if !self.peek().is_ascii_digit() {
            return Err(self.unexpected("a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.pos += 1;
        }
        Ok(())
    }

    /// Takes an object's key at the next token, and the colon.
    pub fn skip_key(&mut self) -> Outcome<()> {
        if self.token() != b'"' {
            return Err(self.unexpected("a key in quotes"));
        }
        let (key, _) = self.string()?;
        if key.len() > super::super::rejection::MAX_KEY_BYTES {
            return Err(Box::new(Rejection::LongKey));
        }
        self.colon()
    }

    /// Takes the colon after a key.
    #[inline(always)]
    pub fn colon(&mut self) -> Outcome<()> {
        if self.token() != b':' {
            return Err(self.unexpected("':'"));
        }
        self.pos += 1;
        Ok(())
    }

    /// Takes an object or array without recursion: one bit a level tells which of the two is open.
    fn skip_nested(&mut self, outer: usize) -> Outcome<()> {
        let mut objects = [0u64; MAX_JSON_DEPTH / 64 + 1];
        let mut depth = 0;
        'value: loop {
            let first = self.token();
            if first == b'{' || first == b'[' {
                if outer + depth >= MAX_JSON_DEPTH {
                    return Err(Box::new(Rejection::Deep));
                }
                self.pos += 1;
                let bit = 1 << (depth % 64);
                if first == b'{' {
                    objects[depth / 64] |= bit;
                } else {
                    objects[depth / 64] &= !bit;
                }
                depth += 1;
                let closed = if first == b'{' { b'}' } else { b']' };
                if self.token() != closed {
                    if first == b'{' {
                        self.skip_key()?;
                    }
                    continue 'value;
                }
                self.pos += 1;
                depth -= 1;
            } else if first == b'"' {
                self.string()?;
            } else {
                self.skip_scalar()?;
            }
            // A value ended: close what ends here, or go on to the next one.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let in_object = objects[(depth - 1) / 64] & (1 << ((depth - 1) % 64)) != 0;
                match (self.token(), in_object) {
                    (b',', true) => {
                        self.pos += 1;
                        self.skip_key()?;
                        continue 'value;
                    }
                    (b',', false) => {
                        self.pos += 1;
                        continue 'value;
                    }
                    (b'}', true) | (b']', false) => {
                        self.pos += 1;
                        depth -= 1;
                    }
                    (_, true) => return Err(self.unexpected("',' or '}'")),
                    (_, false) => return Err(self.unexpected("',' or ']'")),
                }
            }
        }
    }
}

/// Appends the content of a string that has escapes, as UTF-8. Its form was checked by [`Cursor::string`]. A surrogate
/// without its partner becomes U+FFFD.
pub fn unescape(content: &[u8], out: &mut Vec<u8>) {
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let kind = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        match kind {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = hex4(rest);
                rest = rest.get(4..).unwrap_or_default();
                if (0xd800..0xdc00).contains(&code) && rest.starts_with(b"\\u") {
                    let low = hex4(&rest[2..]);
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                        rest = rest.get(6..).unwrap_or_default();
                    }
                }
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

fn hex4(digits: &[u8]) -> u32 {
    digits.iter().take(4).fold(0, |code, digit| code << 4 | (*digit as char).to_digit(16).unwrap_or(0))
}
