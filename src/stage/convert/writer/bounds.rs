//! Least and largest values of a page and of a chunk.
//!
//! Used by `coder`. NaN is in no order and left out; a zero bound is -0.0 below and +0.0 above (parquet.thrift,
//! `ColumnOrder`). Long byte strings are cut, so that a bound may lie outside of the values (`is_max_value_exact`).

use super::value::Number;

/// Longest bound of byte strings.
const MAX_BOUND_BYTES: usize = 64;

/// The bounds of numbers.
#[derive(Debug, Clone, Copy)]
pub struct NumberBounds<T> {
    /// Least and largest, once there was a value that is ordered.
    pub bounds: Option<(T, T)>,
    /// NaNs seen.
    pub nans: u64,
}

impl<T: Number> NumberBounds<T> {
    /// None yet.
    pub fn new() -> Self {
        Self { bounds: None, nans: 0 }
    }

    /// Takes a value in.
    #[inline(always)]
    pub fn include(&mut self, value: T) {
        if !T::ORDERED {
            return;
        }
        if T::FLOATING && value.is_nan() {
            self.nans += 1;
            return;
        }
        match &mut self.bounds {
            Some((least, largest)) => {
                if value.is_less(*least) {
                    *least = value;
                }
                if largest.is_less(value) {
                    *largest = value;
                }
            }
            none => *none = Some((value, value)),
        }
    }

    /// Takes all in that another has.
    pub fn merge(&mut self, other: &Self) {
        self.nans += other.nans;
        if let Some((least, largest)) = other.bounds {
            self.include(least);
            self.include(largest);
        }
    }

    /// As statistics have them.
    pub fn safe(&self) -> Option<(T, T)> {
        self.bounds.map(|(least, largest)| (least.as_bound(true), largest.as_bound(false)))
    }
}

/// The bounds of byte strings, which are compared byte by byte, unsigned.
#[derive(Debug, Clone, Default)]
pub struct StringBounds {
    least: Vec<u8>,
    largest: Vec<u8>,
    any: bool,
}

impl StringBounds {
    /// Takes a value in.
    #[inline(always)]
    pub fn include(&mut self, value: &[u8]) {
        let key = first_word(value);
        if self.any {
            if key <= first_word(&self.least) && value < &self.least[..] {
                self.least.clear();
                self.least.extend_from_slice(value);
            } else if key >= first_word(&self.largest) && value > &self.largest[..] {
                self.largest.clear();
                self.largest.extend_from_slice(value);
            }
        } else {
            self.any = true;
            self.least.extend_from_slice(value);
            self.largest.extend_from_slice(value);
        }
    }

    /// Takes all in that another has.
    pub fn merge(&mut self, other: &Self) {
        if other.any {
            self.include(&other.least);
            self.include(&other.largest);
        }
    }

    /// Least and largest, each cut to a length and with whether it is exact. `utf8`: what is cut is still UTF-8. `None`
    /// without values, or if no cut text is large enough.
    pub fn cut(&self, utf8: bool) -> Option<[(Vec<u8>, bool); 2]> {
        if !self.any {
            return None;
        }
        let least = (cut(&self.least, utf8).to_vec(), self.least.len() <= MAX_BOUND_BYTES);
        let largest = if self.largest.len() <= MAX_BOUND_BYTES {
            (self.largest.clone(), true)
        } else {
            (next(cut(&self.largest, utf8), utf8)?, false)
        };
        Some([least, largest])
    }
}

/// The first eight bytes, most significant first.
#[inline(always)]
fn first_word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)) << (8 * (8 - bytes.len()) % 64),
    }
}

/// The longest start that is short enough and, if asked, ends between characters.
fn cut(bytes: &[u8], utf8: bool) -> &[u8] {
    if bytes.len() <= MAX_BOUND_BYTES {
        return bytes;
    }
    let is_start = |at: &usize| !utf8 || bytes[*at] & 0xc0 != 0x80;
    let end = (0..=MAX_BOUND_BYTES).rev().find(is_start).unwrap_or(0);
    &bytes[..end]
}

/// The least string of at most that length that is larger than all that begin with `start`.
fn next(start: &[u8], utf8: bool) -> Option<Vec<u8>> {
    if !utf8 {
        let last = start.iter().rposition(|byte| *byte != 0xff)?;
        let mut next = start[..=last].to_vec();
        next[last] += 1;
        return Some(next);
    }
    let text = std::str::from_utf8(start).ok()?;
    text.char_indices().rev().find_map(|(at, c)| {
        let code = u32::from(c) + 1;
        // A character that takes more bytes than its predecessor would do, but not be short enough.
        let larger = char::from_u32(code).filter(|larger| larger.len_utf8() == c.len_utf8())?;
        let mut next = text[..at].to_owned();
        next.push(larger);
        Some(next.into_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_bounds_enclose_the_values() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..5000 {
            let utf8 = random.bool();
            let mut bounds = StringBounds::default();
            let values: Vec<Vec<u8>> = (0..random.usize(1..5))
                .map(|_| {
                    let len = random.usize(0..90);
                    if utf8 {
                        let letters = ['a', 'b', '\u{7f}', 'é', '\u{7ff}', '\u{d7ff}', '\u{ffff}', '\u{10ffff}'];
                        (0..len).map(|_| letters[random.usize(0..8)]).collect::<String>().into_bytes()
                    } else {
                        (0..len).map(|_| [0, 1, 0xfe, 0xff][random.usize(0..4)]).collect()
                    }
                })
                .collect();
            values.iter().for_each(|value| bounds.include(value));
            let Some([(least, least_exact), (largest, largest_exact)]) = bounds.cut(utf8) else { continue };
            assert!(least.len() <= MAX_BOUND_BYTES && largest.len() <= MAX_BOUND_BYTES);
            assert!(values.iter().all(|value| least <= *value && *value <= largest), "{values:?}");
            assert_eq!(least_exact, values.iter().min() == Some(&least));
            assert_eq!(largest_exact, values.iter().max() == Some(&largest));
            if utf8 {
                assert!(std::str::from_utf8(&least).is_ok() && std::str::from_utf8(&largest).is_ok());
            }
        }
    }

    #[test]
    fn zeros_and_nans_are_safe() {
        let mut bounds = NumberBounds::<f64>::new();
        [f64::NAN, 0.0].into_iter().for_each(|value| bounds.include(value));
        let (least, largest) = bounds.safe().unwrap();
        assert!(least.is_sign_negative() && largest.is_sign_positive() && bounds.nans == 1);
        bounds.merge(&NumberBounds { bounds: Some((-3.0, -0.0)), nans: 2 });
        assert_eq!((bounds.safe(), bounds.nans), (Some((-3.0, 0.0)), 3));
    }
}
