//! What the writer has to know of each physical type: its plain bytes, its hash, its order.
//!
//! Used by `dictionary`, `bounds` and `coder`. Plain encoding: Apache Parquet, Encodings, "Plain (PLAIN = 0)"; order of
//! values: parquet.thrift, `ColumnOrder.TYPE_ORDER`.

use super::super::columns::{Bytes, Data};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::statistics::{Statistics, ValueStatistics};

/// Microseconds since 1970, written as INT96: nanoseconds of the day, then the Julian day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instant96(pub i64);

/// A decimal of more than 18 digits.
pub type Wide = i128;

const DAY_US: i64 = 86_400_000_000;
/// Julian day number of 1970-01-01.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;

/// A value of fixed width.
pub trait Number: Copy + Send + std::fmt::Debug + 'static {
    /// Whether the type has an order that statistics can tell.
    const ORDERED: bool = true;
    /// Whether it is a floating-point type.
    const FLOATING: bool = false;
    /// The values that a column holds, those of numbers `from` up to `upto`.
    fn each(data: &Data, from: usize, upto: usize, take: impl FnMut(Self));
    /// For the dictionary: values are the same when all bits are.
    fn bits(self) -> u64;
    /// Whether it is the same as another whose [`Self::bits`] are equal.
    fn is(self, other: Self) -> bool {
        self.bits() == other.bits()
    }
    /// Appends its plain bytes, `length` of them where the type does not fix that.
    fn put(self, length: usize, out: &mut Vec<u8>);
    /// Whether it comes before another.
    fn is_less(self, other: Self) -> bool;
    /// Whether it is not a number, and so in no order.
    fn is_nan(self) -> bool {
        false
    }
    /// As the least or the largest value in statistics: a zero takes the sign that is safe.
    fn as_bound(self, _least: bool) -> Self {
        self
    }
    /// Statistics of a chunk; `nans` counts for floating-point types.
    fn statistics(bounds: Option<(Self, Self)>, length: usize, nulls: u64, nans: u64) -> Statistics;
}

impl Number for i32 {
    fn each(data: &Data, from: usize, upto: usize, mut take: impl FnMut(Self)) {
        match data {
            Data::Ints { values, .. } | Data::Days(values) => values[from..upto].iter().for_each(|v| take(*v)),
            Data::Decimals { values, .. } => values[from..upto].iter().for_each(|v| take(*v as i32)),
            _ => {}
        }
    }

    fn bits(self) -> u64 {
        u64::from(self as u32)
    }

    fn put(self, _length: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn is_less(self, other: Self) -> bool {
        self < other
    }

    fn statistics(bounds: Option<(Self, Self)>, _length: usize, nulls: u64, _nans: u64) -> Statistics {
        Statistics::int32(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false)
    }
}

impl Number for i64 {
    fn each(data: &Data, from: usize, upto: usize, mut take: impl FnMut(Self)) {
        match data {
            Data::Longs(values) | Data::Instants(values) => values[from..upto].iter().for_each(|v| take(*v)),
            Data::Decimals { values, .. } => values[from..upto].iter().for_each(|v| take(*v as i64)),
            _ => {}
        }
    }

    fn bits(self) -> u64 {
        self as u64
    }

    fn put(self, _length: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn is_less(self, other: Self) -> bool {
        self < other
    }

    fn statistics(bounds: Option<(Self, Self)>, _length: usize, nulls: u64, _nans: u64) -> Statistics {
        Statistics::int64(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false)
    }
}

impl Number for f32 {
    const FLOATING: bool = true;

    fn each(data: &Data, from: usize, upto: usize, mut take: impl FnMut(Self)) {
        if let Data::Floats(values) = data {
            values[from..upto].iter().for_each(|v| take(*v));
        }
    }

    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }

    fn put(self, _length: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn is_less(self, other: Self) -> bool {
        self < other
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn as_bound(self, least: bool) -> Self {
        if self == 0.0 && least { -0.0 } else { self + 0.0 }
    }

    fn statistics(bounds: Option<(Self, Self)>, _length: usize, nulls: u64, nans: u64) -> Statistics {
        let statistics = ValueStatistics::new(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false);
        Statistics::Float(statistics.with_nan_count(Some(nans)))
    }
}

impl Number for f64 {
    const FLOATING: bool = true;

    fn each(data: &Data, from: usize, upto: usize, mut take: impl FnMut(Self)) {
        if let Data::Doubles(values) = data {
            values[from..upto].iter().for_each(|v| take(*v));
        }
    }

    fn bits(self) -> u64 {
        self.to_bits()
    }

    fn put(self, _length: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn is_less(self, other: Self) -> bool {
        self < other
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn as_bound(self, least: bool) -> Self {
        if self == 0.0 && least { -0.0 } else { self + 0.0 }
    }

    fn statistics(bounds: Option<(Self, Self)>, _length: usize, nulls: u64, nans: u64) -> Statistics {
        let statistics = ValueStatistics::new(bounds.map(|b| b.0), bounds.map(|b| b.1), None, Some(nulls), false);
        Statistics::Double(statistics.with_nan_count(Some(nans)))
    }
}

impl Number for Instant96 {
    const ORDERED: bool = false;

    fn each(data: &Data, from: usize, upto: usize, mut take: impl FnMut(Self)) {
        if let Data::Instants(values) = data {
            values[from..upto].iter().for_each(|v| take(Self(*v)));
        }
    }

    fn bits(self) -> u64 {
        self.0 as u64
    }

    fn put(self, _length: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0.rem_euclid(DAY_US) * 1000).to_le_bytes());
        out.extend_from_slice(&((self.0.div_euclid(DAY_US) + EPOCH_JULIAN_DAY) as i32).to_le_bytes());
    }

    fn is_less(self, _other: Self) -> bool {
        false
    }

    fn statistics(_bounds: Option<(Self, Self)>, _length: usize, nulls: u64, _nans: u64) -> Statistics {
        Statistics::int96(None, None, None, Some(nulls), false)
    }
}

impl Number for Wide {
    fn each(data: &Data, from: usize, upto: usize, mut take: impl FnMut(Self)) {
        if let Data::Decimals { values, .. } = data {
            values[from..upto].iter().for_each(|v| take(*v));
        }
    }

    fn bits(self) -> u64 {
        (self >> 64) as u64 ^ self as u64
    }

    fn is(self, other: Self) -> bool {
        self == other
    }

    fn put(self, length: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes()[16 - length..]);
    }

    fn is_less(self, other: Self) -> bool {
        self < other
    }

    fn statistics(bounds: Option<(Self, Self)>, length: usize, nulls: u64, _nans: u64) -> Statistics {
        let bytes = |value: Self| {
            let mut bytes = Vec::with_capacity(length);
            value.put(length, &mut bytes);
            FixedLenByteArray::from(bytes)
        };
        let (least, largest) = (bounds.map(|b| bytes(b.0)), bounds.map(|b| bytes(b.1)));
        Statistics::fixed_len_byte_array(least, largest, None, Some(nulls), false)
    }
}

/// The byte strings of a column.
pub fn strings(data: &Data) -> Option<&Bytes> {
    match data {
        Data::Texts { texts, .. } => Some(texts),
        Data::Blobs(blobs) => Some(blobs),
        _ => None,
    }
}

/// Statistics of a chunk of byte strings; a bound that was cut is told to be inexact.
pub fn string_statistics(bounds: Option<[(Vec<u8>, bool); 2]>, nulls: u64) -> Statistics {
    let (least, largest) = bounds.map_or((None, None), |[least, largest]| (Some(least), Some(largest)));
    let exact = |bound: &Option<(Vec<u8>, bool)>| bound.as_ref().is_some_and(|bound| bound.1);
    let (least_exact, largest_exact) = (exact(&least), exact(&largest));
    let bytes = |bound: Option<(Vec<u8>, bool)>| bound.map(|(bytes, _)| ByteArray::from(bytes));
    let statistics = ValueStatistics::new(bytes(least), bytes(largest), None, Some(nulls), false);
    Statistics::ByteArray(statistics.with_min_is_exact(least_exact).with_max_is_exact(largest_exact))
}

/// A hash good enough for a table of bounded size: eight bytes at a time, multiplied and folded.
#[inline(always)]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = hash_word(hash ^ u64::from_le_bytes(*chunk));
    }
    if !rest.is_empty() {
        // The last eight bytes overlap those before; a shorter string is taken byte by byte.
        let word = match bytes.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last),
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        hash = hash_word(hash ^ word);
    }
    hash
}

/// The same for one word.
#[inline(always)]
pub fn hash_word(word: u64) -> u64 {
    let wide = u128::from(word ^ 0x2545_f491_4f6c_dd1d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (wide >> 64) as u64 ^ wide as u64
}
