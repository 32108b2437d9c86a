//! JSON values, passed over eight bytes at a time: each function takes a place and answers with the one after what it is
//! about, if that is as it should be and needs no second look.
//!
//! Places are handed on as plain numbers, which stay in registers; one that comes after something is never zero. What is
//! nearly always so is asked outside of loops: in WebAssembly the head of each asks whether the time is up.
//!
//! Format: RFC 8259. Values are checked by its grammar; of an escape `\u` only the digits are. Bytes that are not ASCII
//! are only in strings, and are UTF-8 there. Between tokens are spaces and tabs, no line breaks.

use std::num::NonZeroUsize;

/// Values inside one another that are followed.
const DEEPEST: u32 = 64;

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES * 0x80;

/// The place after something that is as it should be.
pub type Place = Option<NonZeroUsize>;

/// Where the ordinary bytes of a string end.
#[derive(Clone, Copy)]
struct End {
    at: usize,
    /// The byte there.
    byte: u8,
    /// The bytes before it, and some behind, ored.
    seen: u64,
}

impl End {
    /// `found`: the lowest bit set is the highest of the byte.
    #[inline(always)]
    fn in_word(at: usize, word: u64, found: u64, seen: u64) -> Self {
        let bits = found.trailing_zeros() & !7;
        Self { at: at + bits as usize / 8, byte: (word >> bits) as u8, seen }
    }
}

/// Bytes. Past their end are zeros, which no value has.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl Text<'_> {
    #[inline(always)]
    pub fn at(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Eight bytes, the first one lowest.
    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        match self.0.get(at..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => self.last_word(at),
        }
    }

    /// The same where fewer are left.
    #[inline(never)]
    fn last_word(self, at: usize) -> u64 {
        let past = (at + 8).saturating_sub(self.0.len());
        match self.0.last_chunk() {
            Some(chunk) if past < 8 => u64::from_le_bytes(*chunk) >> (8 * past),
            _ => (at..self.0.len()).rev().fold(0, |word, at| word << 8 | u64::from(self.at(at))),
        }
    }

    #[inline(always)]
    pub fn expect(self, at: usize, byte: u8) -> Place {
        (self.at(at) == byte).then_some(NonZeroUsize::MIN.saturating_add(at))
    }

    #[inline(always)]
    pub fn blanks(self, at: usize) -> usize {
        if self.at(at) > b' ' {
            return at;
        }
        self.more_blanks(at)
    }

    #[inline(never)]
    fn more_blanks(self, mut at: usize) -> usize {
        while matches!(self.at(at), b' ' | b'\t') {
            at += 1;
        }
        at
    }

    /// A colon with the blanks around it.
    #[inline(always)]
    pub fn colon(self, at: usize) -> Place {
        let after = self.expect(self.blanks(at), b':')?.get();
        NonZeroUsize::new(self.blanks(after))
    }

    /// What is left of a string without escapes, and its quote.
    #[inline(always)]
    pub fn plain_string(self, start: usize) -> Place {
        let end = self.ordinary(start);
        if end.byte != b'"' || !self.is_utf8(start, end) {
            return None;
        }
        NonZeroUsize::new(end.at + 1)
    }

    /// What is left of a string, and its quote.
    #[inline(always)]
    fn string(self, start: usize) -> Place {
        let end = self.ordinary(start);
        if end.byte != b'"' {
            return self.string_with_escapes(start, end);
        }
        if !self.is_utf8(start, end) {
            return None;
        }
        NonZeroUsize::new(end.at + 1)
    }

    #[inline(never)]
    fn string_with_escapes(self, start: usize, mut end: End) -> Place {
        while end.byte != b'"' {
            let at = self.expect(end.at, b'\\')?.get();
            let escape_bytes = match self.at(at) {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 1,
                b'u' if (1..5).all(|digit| self.at(at + digit).is_ascii_hexdigit()) => 5,
                _ => return None,
            };
            let seen = end.seen;
            end = self.ordinary(at + escape_bytes);
            end.seen |= seen;
        }
        if !self.is_utf8(start, end) {
            return None;
        }
        NonZeroUsize::new(end.at + 1)
    }

    /// The next byte of a string that does not stand for itself.
    #[inline(always)]
    fn ordinary(self, at: usize) -> End {
        let word = self.word(at);
        match special(word) {
            0 => self.more_ordinary(at + 8, word),
            found => End::in_word(at, word, found, word),
        }
    }

    #[inline(never)]
    fn more_ordinary(self, mut at: usize, mut seen: u64) -> End {
        loop {
            let (one, two) = (self.word(at), self.word(at + 8));
            seen |= one | two;
            let (in_one, in_two) = (special(one), special(two));
            if in_one != 0 {
                return End::in_word(at, one, in_one, seen);
            }
            if in_two != 0 {
                return End::in_word(at + 8, two, in_two, seen);
            }
            at += 16;
        }
    }

    #[inline(always)]
    fn is_utf8(self, start: usize, end: End) -> bool {
        end.seen & HIGH == 0 || self.is_utf8_to(start, end.at)
    }

    #[inline(never)]
    fn is_utf8_to(self, start: usize, upto: usize) -> bool {
        self.0.get(start..upto).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok())
    }

    /// A value of any kind.
    #[inline(always)]
    pub fn value(self, at: usize) -> Place {
        match self.at(at) {
            b'"' => self.string(at + 1),
            b'{' | b'[' => self.nested(at),
            _ => self.scalar(at),
        }
    }

    /// A number, `true`, `false` or `null`.
    #[inline(always)]
    fn scalar(self, at: usize) -> Place {
        let word = self.word(at);
        match digits(word) {
            // `digits` below 8, so that the byte behind them is in the word as well.
            digits @ 1..8 if word as u8 != b'0' || digits == 1 => match (word >> (8 * digits)) as u8 {
                b'.' | b'e' | b'E' => self.number(at),
                _ => NonZeroUsize::new(at + digits as usize),
            },
            _ => self.other_scalar(at),
        }
    }

    #[inline(never)]
    fn other_scalar(self, at: usize) -> Place {
        match self.at(at) {
            b't' => self.word_of(at, b"true"),
            b'f' => self.word_of(at, b"false"),
            b'n' => self.word_of(at, b"null"),
            _ => self.number(at),
        }
    }

    fn word_of(self, at: usize, word: &[u8]) -> Place {
        let is_there = self.0.get(at..).is_some_and(|rest| rest.starts_with(word));
        is_there.then_some(NonZeroUsize::new(at + word.len())?)
    }

    #[inline(never)]
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

    fn digits(self, start: usize) -> Place {
        let mut at = start;
        loop {
            let digits = digits(self.word(at));
            at += digits as usize;
            if digits < 8 {
                return NonZeroUsize::new(at).filter(|at| at.get() > start);
            }
        }
    }

    /// An object or array.
    #[inline(never)]
    fn nested(self, mut at: usize) -> Place {
        // Of each value that is open, the innermost lowest: whether it is an object.
        let (mut objects, mut depth) = (0_u64, 0);
        loop {
            // Here a value begins.
            match self.at(at) {
                b'"' => at = self.string(at + 1)?.get(),
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
                            at = self.name(at)?.get();
                        }
                        continue;
                    }
                }
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
                            at = self.name(at)?.get();
                        }
                        break;
                    }
                    (b'}', 1) | (b']', 0) => (at, objects, depth) = (at + 1, objects >> 1, depth - 1),
                    _ => return None,
                }
            }
        }
    }

    /// The name of a member inside, and its colon.
    #[inline(always)]
    fn name(self, at: usize) -> Place {
        self.colon(self.string(self.expect(at, b'"')?.get())?.get())
    }
}

/// The highest bit of the first byte that is a control, a quote or a backslash; above it there may be more.
#[inline(always)]
fn special(word: u64) -> u64 {
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    // A quote and what is below a space are what is below 0x21 once this bit is turned.
    let control_or_quote = below(word ^ (ONES * 0x02), 0x21);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (control_or_quote | backslash) & HIGH
}

/// How many of the first bytes are digits.
#[inline(always)]
fn digits(word: u64) -> u32 {
    let value = word ^ (ONES * u64::from(b'0'));
    let others = (value.wrapping_add(ONES * (0x80 - 10)) | value) & HIGH;
    others.trailing_zeros() / 8
}
