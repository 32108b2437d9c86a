//! The quick way to read an object: one pass over its text, each member a pair of slices. It takes what the parser takes
//! and nothing else, but not all of it: what it leaves (names with escapes, very deep values, all that is wrong) is for the
//! parser, which also says what is wrong. Texts are passed over eight bytes at a time.
//!
//! Format: RFC 8259. Values are checked by its grammar; of an escape `\u` only the digits are.

use crate::object::Object;
use std::borrow::Cow;

/// Values inside one another that are followed.
const DEEPEST: u32 = 64;

/// The bytes of a text and a place in it. Past its end are zeros, which no value has.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// The object that begins at `at`, after blanks, and the place after it and the blanks behind it.
pub fn object(text: &str, at: usize) -> Option<(Object<'_>, usize)> {
    let mut scan = Scan { text, at };
    let mut members = Vec::with_capacity(16);
    scan.blanks();
    scan.take(b'{')?;
    scan.blanks();
    if scan.take(b'}').is_none() {
        loop {
            let name = scan.at + 1;
            if scan.string()? {
                return None;
            }
            let name = text.get(name..scan.at - 1)?;
            scan.colon()?;
            let value = scan.at;
            scan.value()?;
            members.push((Cow::Borrowed(name), text.get(value..scan.at)?));
            scan.blanks();
            match scan.next() {
                b',' => scan.blanks(),
                b'}' => break,
                _ => return None,
            }
        }
    }
    scan.blanks();
    Some((Object { members }, scan.at))
}

impl Scan<'_> {
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn next(&mut self) -> u8 {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek() == byte;
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    #[inline(always)]
    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        self.blanks();
        self.take(b':')?;
        self.blanks();
        Some(())
    }

    /// A string with its quotes; whether it has escapes.
    #[inline(always)]
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let mut has_escapes = false;
        loop {
            self.ordinary();
            match self.next() {
                b'"' => return Some(has_escapes),
                b'\\' => self.escape()?,
                _ => return None,
            }
            has_escapes = true;
        }
    }

    /// Passes over bytes of a string that stand for themselves.
    #[inline(always)]
    fn ordinary(&mut self) {
        const ONES: u64 = u64::MAX / 255;
        let bytes = self.text.as_bytes();
        while let Some(chunk) = bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let chunk = u64::from_le_bytes(*chunk);
            // The highest bit of the first byte that is zero, or below a bound; above it there may be more.
            let zero = |chunk: u64| chunk.wrapping_sub(ONES) & !chunk;
            let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
            let quote = zero(chunk ^ (ONES * u64::from(b'"')));
            let backslash = zero(chunk ^ (ONES * u64::from(b'\\')));
            let found = (control | quote | backslash) & (ONES * 0x80);
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while !matches!(self.peek(), b'"' | b'\\' | 0..0x20) {
            self.at += 1;
        }
    }

    #[cold]
    fn escape(&mut self) -> Option<()> {
        match self.next() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => (0..4).all(|_| self.next().is_ascii_hexdigit()).then_some(()),
            _ => None,
        }
    }

    /// A value of any kind.
    #[inline(always)]
    fn value(&mut self) -> Option<()> {
        match self.peek() {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.nested(),
            _ => self.scalar(),
        }
    }

    /// A number, `true`, `false` or `null`.
    #[inline(always)]
    fn scalar(&mut self) -> Option<()> {
        match self.peek() {
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        word.iter().all(|byte| self.next() == *byte).then_some(())
    }

    #[inline(always)]
    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// An object or array.
    fn nested(&mut self) -> Option<()> {
        // Of each value that is open, the innermost lowest: whether it is an object.
        let (mut objects, mut depth) = (0_u64, 0);
        loop {
            // Here a value begins.
            match self.peek() {
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    let is_object = open == b'{';
                    (objects, depth) = (objects << 1 | u64::from(is_object), depth + 1);
                    if depth > DEEPEST {
                        return None;
                    }
                    self.blanks();
                    // `}` and `]` are two after their openings.
                    if self.take(open + 2).is_none() {
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                    (objects, depth) = (objects >> 1, depth - 1);
                }
                b'"' => self.string().map(drop)?,
                _ => self.scalar()?,
            }
            // Here one has ended.
            loop {
                if depth == 0 {
                    return Some(());
                }
                self.blanks();
                match (self.next(), objects & 1) {
                    (b',', is_object) => {
                        self.blanks();
                        if is_object == 1 {
                            self.name()?;
                        }
                        break;
                    }
                    (b'}', 1) | (b']', 0) => (objects, depth) = (objects >> 1, depth - 1),
                    _ => return None,
                }
            }
        }
    }

    /// The name of a member inside a value, and the colon.
    fn name(&mut self) -> Option<()> {
        self.string()?;
        self.colon()
    }
}
