//! The quick way to read an object: one pass over its text, each member a pair of slices. It takes what the parser takes
//! and nothing else, but not all of it: what it leaves (names with escapes, very deep values, all that is wrong) is for the
//! parser, which also says what is wrong. Texts are passed over eight bytes at a time.
//!
//! Places are handed on as plain numbers, which stay in registers; one that comes after something is never zero.
//!
//! Format: RFC 8259. Values are checked by its grammar; of an escape `\u` only the digits are.

use crate::object::Object;
use std::borrow::Cow;
use std::num::NonZeroUsize;

/// Values inside one another that are followed.
const DEEPEST: u32 = 64;

/// The place after something that is as it should be.
type Place = Option<NonZeroUsize>;

/// The object that begins at `at`, after blanks, and the place after it and the blanks behind it.
pub fn object(text: &str, at: usize) -> Option<(Object<'_>, usize)> {
    let bytes = Bytes(text.as_bytes());
    let mut members = Vec::with_capacity(16);
    let mut at = bytes.blanks(bytes.expect(bytes.blanks(at), b'{')?.get());
    if bytes.at(at) == b'}' {
        return Some((Object { members }, bytes.blanks(at + 1)));
    }
    loop {
        let name = bytes.expect(at, b'"')?.get();
        let name_end = bytes.ordinary(name);
        let value = bytes.colon(bytes.expect(name_end, b'"')?.get())?.get();
        let value_end = bytes.value(value)?.get();
        members.push((Cow::Borrowed(text.get(name..name_end)?), text.get(value..value_end)?));
        at = bytes.blanks(value_end);
        match bytes.at(at) {
            b',' => at = bytes.blanks(at + 1),
            b'}' => return Some((Object { members }, bytes.blanks(at + 1))),
            _ => return None,
        }
    }
}

/// The bytes of a text. Past its end are zeros, which no value has.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    #[inline(always)]
    fn at(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn expect(self, at: usize, byte: u8) -> Place {
        (self.at(at) == byte).then_some(NonZeroUsize::MIN.saturating_add(at))
    }

    #[inline(always)]
    fn blanks(self, mut at: usize) -> usize {
        while matches!(self.at(at), b' ' | b'\n' | b'\t' | b'\r') {
            at += 1;
        }
        at
    }

    /// A colon with the blanks around it.
    #[inline(always)]
    fn colon(self, at: usize) -> Place {
        let after = self.expect(self.blanks(at), b':')?.get();
        NonZeroUsize::new(self.blanks(after))
    }

    /// Passes over bytes of a string that stand for themselves.
    #[inline(always)]
    fn ordinary(self, mut at: usize) -> usize {
        const ONES: u64 = u64::MAX / 255;
        while let Some(chunk) = self.0.get(at..).and_then(<[u8]>::first_chunk) {
            let chunk = u64::from_le_bytes(*chunk);
            // The highest bit of the first byte that is zero, or below a bound; above it there may be more.
            let zero = |chunk: u64| chunk.wrapping_sub(ONES) & !chunk;
            let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
            let quote = zero(chunk ^ (ONES * u64::from(b'"')));
            let backslash = zero(chunk ^ (ONES * u64::from(b'\\')));
            let found = (control | quote | backslash) & (ONES * 0x80);
            if found != 0 {
                return at + found.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        while !matches!(self.at(at), b'"' | b'\\' | 0..0x20) {
            at += 1;
        }
        at
    }

    /// A string with its quotes.
    #[inline(always)]
    fn string(self, at: usize) -> Place {
        let mut at = self.expect(at, b'"')?.get();
        loop {
            at = self.ordinary(at);
            match self.at(at) {
                b'"' => return NonZeroUsize::new(at + 1),
                b'\\' => at = self.escape(at + 1)?.get(),
                _ => return None,
            }
        }
    }

    /// What follows a backslash.
    #[cold]
    fn escape(self, at: usize) -> Place {
        match self.at(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => NonZeroUsize::new(at + 1),
            b'u' if (1..5).all(|digit| self.at(at + digit).is_ascii_hexdigit()) => NonZeroUsize::new(at + 5),
            _ => None,
        }
    }

    /// A value of any kind.
    #[inline(always)]
    fn value(self, at: usize) -> Place {
        match self.at(at) {
            b'"' => self.string(at),
            b'{' | b'[' => self.nested(at),
            _ => self.scalar(at),
        }
    }

    /// A number, `true`, `false` or `null`.
    #[inline(always)]
    fn scalar(self, at: usize) -> Place {
        match self.at(at) {
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.number(at),
        }
    }

    fn word(self, at: usize, word: &[u8]) -> Place {
        let is_there = self.0.get(at..).is_some_and(|rest| rest.starts_with(word));
        is_there.then_some(NonZeroUsize::new(at + word.len())?)
    }

    #[inline(always)]
    fn number(self, mut at: usize) -> Place {
        at += usize::from(self.at(at) == b'-');
        at = if self.at(at) == b'0' { at + 1 } else { self.digits(at)?.get() };
        if self.at(at) == b'.' {
            at = self.digits(at + 1)?.get();
        }
        if matches!(self.at(at), b'e' | b'E') {
            at += 1;
            at += usize::from(matches!(self.at(at), b'+' | b'-'));
            at = self.digits(at)?.get();
        }
        NonZeroUsize::new(at)
    }

    #[inline(always)]
    fn digits(self, start: usize) -> Place {
        let mut at = start;
        while self.at(at).is_ascii_digit() {
            at += 1;
        }
        NonZeroUsize::new(at).filter(|at| at.get() > start)
    }

    /// An object or array.
    fn nested(self, mut at: usize) -> Place {
        // Of each value that is open, the innermost lowest: whether it is an object.
        let (mut objects, mut depth) = (0_u64, 0);
        loop {
            // Here a value begins.
            match self.at(at) {
                open @ (b'{' | b'[') => {
                    at = self.blanks(at + 1);
                    // `}` and `]` are two after their openings.
                    if self.at(at) == open + 2 {
                        at += 1;
                    } else {
                        let is_object = open == b'{';
                        (objects, depth) = (objects << 1 | u64::from(is_object), depth + 1);
                        if depth > DEEPEST {
                            return None;
                        }
                        if is_object {
                            at = self.colon(self.string(at)?.get())?.get();
                        }
                        continue;
                    }
                }
                b'"' => at = self.string(at)?.get(),
                _ => at = self.scalar(at)?.get(),
            }
            // Here one has ended.
            loop {
                if depth == 0 {
                    return NonZeroUsize::new(at);
                }
                at = self.blanks(at);
                match (self.at(at), objects & 1) {
                    (b',', is_object) => {
                        at = self.blanks(at + 1);
                        if is_object == 1 {
                            at = self.colon(self.string(at)?.get())?.get();
                        }
                        break;
                    }
                    (b'}', 1) | (b']', 0) => (at, objects, depth) = (at + 1, objects >> 1, depth - 1),
                    _ => return None,
                }
            }
        }
    }
}
