//! Numbers as they are written, and exactly what they are worth as integer, float or decimal.
//!
//! Used by `value` and `timestamp`. Nothing goes through a double that need not: integers and decimals are exact at any
//! length.

use super::super::rejection::Outcome;
use super::scan::Cursor;

/// A number's text, taken apart.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    /// As written.
    pub text: &'a [u8],
    /// With a minus.
    pub negative: bool,
    /// All its digits as one integer, when `exact`.
    pub digits: u64,
    /// The value is `digits` × 10^`exponent`.
    pub exponent: i32,
    /// `digits` and `exponent` hold the whole value.
    pub exact: bool,
    /// Written without fraction and exponent.
    pub whole: bool,
}

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Takes a number of up to 18 digits without fraction or exponent; `None`: the number is another, or none, and nothing
/// is taken.
#[inline(always)]
pub fn take_whole(cursor: &mut Cursor) -> Option<i64> {
    let bytes = &cursor.bytes[cursor.pos..];
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let negative = byte(0) == b'-';
    let first = usize::from(negative);
    let mut at = first;
    let mut value = 0i64;
    while byte(at).is_ascii_digit() && at < first + 18 {
        value = value * 10 + i64::from(byte(at) - b'0');
        at += 1;
    }
    let leading_zero = byte(first) == b'0' && at > first + 1;
    if at == first || leading_zero || matches!(byte(at), b'.' | b'e' | b'E' | b'0'..=b'9') {
        return None;
    }
    cursor.pos += at;
    Some(if negative { -value } else { value })
}

impl<'a> Number<'a> {
    /// Takes the number that is next.
    #[inline]
    pub fn take(cursor: &mut Cursor<'a>) -> Outcome<Self> {
        let start = cursor.pos;
        let bytes = cursor.bytes;
        let mut pos = start;
        let byte = |pos: usize| bytes.get(pos).copied().unwrap_or(0);
        let negative = byte(pos) == b'-';
        pos += usize::from(negative);
        let first = pos;
        let mut digits = 0u64;
        while byte(pos).is_ascii_digit() {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte(pos) - b'0'));
            pos += 1;
        }
        let count = pos - first;
        if count == 0 || (count > 1 && byte(first) == b'0') {
            return Err(Self::bad(cursor));
        }
        if !matches!(byte(pos), b'.' | b'e' | b'E') {
            cursor.pos = pos;
            return Ok(Self {
                text: &bytes[start..pos],
                negative,
                digits,
                exponent: 0,
                exact: count <= 19,
                whole: true,
            });
        }
        let mut fraction = 0;
        if byte(pos) == b'.' {
            pos += 1;
            let first = pos;
            while byte(pos).is_ascii_digit() {
                digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte(pos) - b'0'));
                pos += 1;
            }
            fraction = pos - first;
            if fraction == 0 {
                return Err(Self::bad(cursor));
            }
        }
        let mut exponent = 0i32;
        if matches!(byte(pos), b'e' | b'E') {
            pos += 1;
            let minus = byte(pos) == b'-';
            pos += usize::from(matches!(byte(pos), b'+' | b'-'));
            let first = pos;
            while byte(pos).is_ascii_digit() {
                exponent = exponent.saturating_mul(10).saturating_add(i32::from(byte(pos) - b'0'));
                pos += 1;
            }
            if pos == first {
                return Err(Self::bad(cursor));
            }
            if minus {
                exponent = -exponent;
            }
        }
        cursor.pos = pos;
        Ok(Self {
            text: &bytes[start..pos],
            negative,
            digits,
            exponent: exponent.saturating_sub(i32::try_from(fraction).unwrap_or(i32::MAX)),
            exact: count + fraction <= 19,
            whole: false,
        })
    }

    /// What is wrong with the number here, from the grammar.
    #[cold]
    fn bad(cursor: &mut Cursor<'a>) -> Box<super::super::rejection::Rejection> {
        match cursor.skip_number() {
            Err(rejection) => rejection,
            Ok(()) => cursor.unexpected("a number"),
        }
    }

    /// The number that a string holds: JSON's grammar, and besides a leading `+` and leading zeros.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (minus, mut digits) = match text.first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        while digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit() {
            digits = &digits[1..];
        }
        if !digits.first().is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let mut cursor = Cursor { bytes: digits, pos: 0 };
        let number = Self::take(&mut cursor).ok()?;
        cursor.at_end().then_some(Self { negative: minus, ..number })
    }

    /// The value as an integer, if it is one (`1.0` and `1e3` are) and fits.
    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        if self.whole && self.exact {
            return if self.negative {
                0i64.checked_sub_unsigned(self.digits)
            } else {
                i64::try_from(self.digits).ok()
            };
        }
        let (value, exact) = self.scaled(0, false)?;
        if !exact {
            return None;
        }
        i64::try_from(value).ok()
    }

    /// The nearest double, if it is finite.
    #[inline]
    pub fn as_f64(&self) -> Option<f64> {
        if self.exact && self.digits <= 1 << 53 && self.exponent.unsigned_abs() <= 22 {
            let digits = self.digits as f64;
            let tens = TENS[self.exponent.unsigned_abs() as usize];
            let value = if self.exponent < 0 { digits / tens } else { digits * tens };
            return Some(if self.negative { -value } else { value });
        }
        let value: f64 = std::str::from_utf8(self.text).ok()?.parse().ok()?;
        let value = if self.negative { -value.abs() } else { value };
        value.is_finite().then_some(value)
    }

    /// The nearest float, if it is finite.
    pub fn as_f32(&self) -> Option<f32> {
        if self.exact && self.digits <= 1 << 24 && self.exponent.unsigned_abs() <= 10 {
            // Both are exact in a float, so their quotient or product is rounded once.
            let digits = self.digits as f32;
            let tens = TENS[self.exponent.unsigned_abs() as usize] as f32;
            let value = if self.exponent < 0 { digits / tens } else { digits * tens };
            return Some(if self.negative { -value } else { value });
        }
        let value: f32 = std::str::from_utf8(self.text).ok()?.parse().ok()?;
        let value = if self.negative { -value.abs() } else { value };
        value.is_finite().then_some(value)
    }

    /// The value × 10^`scale` as an integer, and whether that is exact. What is finer is cut off, or, with `round`,
    /// rounded with halves away from zero. `None` beyond 38 digits.
    pub fn scaled(&self, scale: u32, round: bool) -> Option<(i128, bool)> {
        let mut digits = self.text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
        let mut significant = digits.clone().filter(|byte| byte.is_ascii_digit());
        let mut count = digits.clone().filter(|byte| byte.is_ascii_digit()).count() as i64;
        // Leading zeros take no room.
        let zeros = significant.clone().take_while(|byte| **byte == b'0').count() as i64;
        if zeros == count {
            return Some((0, true));
        }
        significant.by_ref().take(zeros as usize).for_each(drop);
        count -= zeros;
        let fraction = if digits.any(|byte| *byte == b'.') { digits.count() as i64 } else { 0 };
        let exponent = if self.whole { 0 } else { i64::from(self.exponent_written()) };
        let kept = count + exponent - fraction + i64::from(scale);
        if kept > 39 {
            return None;
        }
        let mut value = 0i128;
        let mut exact = true;
        let mut round_up = false;
        for (i, digit) in (0i64..).zip(significant) {
            if i < kept {
                value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            } else {
                exact &= *digit == b'0';
                round_up |= round && i == kept && *digit >= b'5';
            }
        }
        for _ in count..kept {
            value = value.checked_mul(10)?;
        }
        value = value.checked_add(i128::from(round_up))?;
        Some((if self.negative { -value } else { value }, exact))
    }

    fn exponent_written(&self) -> i32 {
        let Some(at) = self.text.iter().position(|byte| matches!(byte, b'e' | b'E')) else { return 0 };
        let text = &self.text[at + 1..];
        let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
        let value = digits.iter().fold(0i32, |e, d| e.saturating_mul(10).saturating_add(i32::from(d - b'0')));
        if text.first() == Some(&b'-') { -value } else { value }
    }
}
