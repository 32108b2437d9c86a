//! Columns under construction: plain vectors of values, bits and offsets.
//!
//! From: `decode` appends to them. To: `writer` encodes them when a batch is full, and gives them back empty.
//! Only values that are not null are kept; which those are says `valid`. A missing value costs nothing when it is met:
//! `valid` may be shorter than the parent has values, and is filled up with zeros when the next value comes. Invariants:
//! `present` counts the ones of `valid`; all vectors of a column have that length; `ends` of texts, lists and maps
//! begin with 0; the fields of a struct have as many places as there are structs that are not null; the bits behind the
//! last one of [`Bits`] are 0.

use super::schema::{Field, HiveType};
use crate::stage::convert::decode::keys::Keys;

/// More room than this is not kept by an empty vector of bytes: one huge record shall not be paid for ever.
const MAX_KEPT_BYTES: usize = 8 << 20;

/// A column, or the values of a nested one.
#[derive(Debug)]
pub struct Column {
    /// Name of the column or field; `[]` for items, `key` and `value` for those of a map.
    pub name: String,
    /// Declared type.
    pub kind: HiveType,
    /// Which values are not null.
    pub valid: Bits,
    /// How many are not null.
    pub present: usize,
    /// The values.
    pub data: Data,
}

/// Values by how they are kept.
#[derive(Debug)]
pub enum Data {
    /// boolean.
    Booleans(Bits),
    /// tinyint, smallint, int.
    Ints {
        /// Values.
        values: Vec<i32>,
        /// Least value of the type; the largest is `-1 - least`.
        least: i32,
    },
    /// bigint.
    Longs(Vec<i64>),
    /// float.
    Floats(Vec<f32>),
    /// double.
    Doubles(Vec<f64>),
    /// decimal, as integers scaled by 10^scale.
    Decimals {
        /// Values.
        values: Vec<i128>,
        /// The first integer with too many digits.
        bound: i128,
        /// Digits behind the point.
        scale: u8,
    },
    /// date, in days.
    Days(Vec<i32>),
    /// timestamp, in microseconds.
    Instants(Vec<i64>),
    /// string, char, varchar: UTF-8.
    Texts {
        /// The texts.
        texts: Bytes,
        /// Most characters, if the type has a length.
        most: Option<u32>,
    },
    /// binary.
    Blobs(Bytes),
    /// array.
    List {
        /// End of each list in `items`.
        ends: Vec<i32>,
        /// All items.
        items: Box<Column>,
    },
    /// map.
    Map {
        /// End of each map in `keys` and `values`.
        ends: Vec<i32>,
        /// All keys.
        keys: Box<Column>,
        /// All values.
        values: Box<Column>,
    },
    /// struct.
    Struct(Struct),
}

/// The fields of a struct, or the columns of the table.
#[derive(Debug)]
pub struct Struct {
    /// Which key goes to which field.
    pub keys: Keys,
    /// Fields in order.
    pub fields: Vec<Column>,
    /// The field, of text, that takes what no key of `keys` names; of the table's columns only.
    pub unknown: Option<usize>,
    /// Bytes that one value takes at least in all fields together, nulls included.
    pub width_bytes: u64,
}

/// Byte strings back to back.
#[derive(Debug)]
pub struct Bytes {
    /// End of each string; the first entry is 0.
    pub ends: Vec<i32>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Bits, least significant first.
#[derive(Debug, Default)]
pub struct Bits {
    /// 64 a word.
    pub words: Vec<u64>,
    /// Number of bits.
    pub len: usize,
}

impl Bits {
    /// Appends one bit.
    #[inline(always)]
    pub fn push(&mut self, bit: bool) {
        let at = self.len % 64;
        self.len += 1;
        if at == 0 {
            self.words.push(u64::from(bit));
        } else if let Some(last) = self.words.last_mut() {
            *last |= u64::from(bit) << at;
        }
    }

    /// Bit number `at`; 0 behind the last one.
    #[inline(always)]
    pub fn get(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// The 64 bits from number `at` on; 0 behind the last one.
    #[inline(always)]
    pub fn word_at(&self, at: usize) -> u64 {
        let word = |number: usize| self.words.get(number).copied().unwrap_or(0);
        let low = word(at / 64) >> (at % 64);
        if at.is_multiple_of(64) { low } else { low | word(at / 64 + 1) << (64 - at % 64) }
    }

    /// Ones among the bits from `from` up to `upto`.
    pub fn ones(&self, from: usize, upto: usize) -> usize {
        let mut ones = 0;
        let mut at = from;
        while at < upto {
            let count = (upto - at).min(64);
            ones += (self.word_at(at) & low_bits(count)).count_ones() as usize;
            at += count;
        }
        ones
    }

    /// Appends the bits of `other` from `from` up to `upto`; those behind its last one count as 0.
    pub fn append(&mut self, other: &Self, from: usize, upto: usize) {
        let mut at = from;
        while at < upto {
            let free = 64 - self.len % 64;
            let count = free.min(upto - at);
            let bits = other.word_at(at) & low_bits(count);
            match self.words.last_mut() {
                Some(last) if free < 64 => *last |= bits << (64 - free),
                _ => self.words.push(bits),
            }
            self.len += count;
            at += count;
        }
    }

    /// Appends zeros up to `len`.
    pub fn zeros_to(&mut self, len: usize) {
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
    }

    /// Cuts off what is behind `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = len;
        self.words.truncate(len.div_ceil(64));
        if let (Some(last), 1..) = (self.words.last_mut(), len % 64) {
            *last &= low_bits(len % 64);
        }
    }

    /// Cuts off everything.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }
}

/// A word whose lowest `count` bits are ones; `count` is 1 to 64.
fn low_bits(count: usize) -> u64 {
    u64::MAX >> (64 - count)
}

impl Bytes {
    /// None yet.
    pub fn new() -> Self {
        Self { ends: vec![0], bytes: Vec::new() }
    }

    /// Ends the string whose bytes were appended.
    #[inline(always)]
    pub fn close(&mut self) {
        self.ends.push(self.bytes.len() as i32);
    }

    /// String number `at`.
    #[inline(always)]
    pub fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.ends[at] as usize..self.ends[at + 1] as usize]
    }
}

impl Column {
    /// An empty column of `kind`; `keys` makes the key table of each struct.
    pub fn new(name: &str, kind: &HiveType, keys: &dyn Fn(&[Field]) -> Keys) -> Self {
        let data = match kind {
            HiveType::TinyInt => Data::Ints { values: Vec::new(), least: i32::from(i8::MIN) },
            HiveType::SmallInt => Data::Ints { values: Vec::new(), least: i32::from(i16::MIN) },
            HiveType::Int => Data::Ints { values: Vec::new(), least: i32::MIN },
            HiveType::BigInt => Data::Longs(Vec::new()),
            HiveType::Float => Data::Floats(Vec::new()),
            HiveType::Double => Data::Doubles(Vec::new()),
            HiveType::Boolean => Data::Booleans(Bits::default()),
            HiveType::String => Data::Texts { texts: Bytes::new(), most: None },
            HiveType::Char(most) | HiveType::Varchar(most) => Data::Texts { texts: Bytes::new(), most: Some(*most) },
            HiveType::Binary => Data::Blobs(Bytes::new()),
            HiveType::Timestamp => Data::Instants(Vec::new()),
            HiveType::Date => Data::Days(Vec::new()),
            HiveType::Decimal { precision, scale } => {
                Data::Decimals { values: Vec::new(), bound: 10i128.pow(u32::from(*precision)), scale: *scale }
            }
            HiveType::Array(item) => Data::List { ends: vec![0], items: Box::new(Self::new("[]", item, keys)) },
            HiveType::Map(key, value) => Data::Map {
                ends: vec![0],
                keys: Box::new(Self::new("key", key, keys)),
                values: Box::new(Self::new("value", value, keys)),
            },
            HiveType::Struct(fields) => Data::Struct(Struct::new(fields, keys)),
        };
        Self { name: name.to_owned(), kind: kind.clone(), valid: Bits::default(), present: 0, data }
    }

    /// Values so far, nulls included; the nulls behind the last value are not counted.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.valid.len
    }

    /// Bytes that one null takes in memory while a record is read and encoded. A list or map without entries still has
    /// a place in each of its leaves, of two levels.
    pub fn width_bytes(&self) -> u64 {
        match &self.data {
            Data::Booleans(_) => 1,
            Data::Longs(_) | Data::Doubles(_) | Data::Instants(_) => 8,
            Data::Decimals { .. } => 16,
            Data::Struct(record) => record.width_bytes + 1,
            Data::List { items, .. } => 4 + 2 * items.leaves(),
            Data::Map { keys, values, .. } => 4 + 2 * (keys.leaves() + values.leaves()),
            _ => 4,
        }
    }

    /// Columns of a primitive type in it.
    fn leaves(&self) -> u64 {
        match &self.data {
            Data::Struct(record) => record.fields.iter().map(Self::leaves).sum(),
            Data::List { items, .. } => items.leaves(),
            Data::Map { keys, values, .. } => keys.leaves() + values.leaves(),
            _ => 1,
        }
    }

    /// Fills up with nulls to `len` values.
    #[inline(always)]
    pub fn fill_to(&mut self, len: usize) {
        if self.valid.len < len {
            self.valid.zeros_to(len);
        }
    }

    /// The value that was appended to `data` is there.
    #[inline(always)]
    pub fn push_valid(&mut self) {
        self.valid.push(true);
        self.present += 1;
    }

    /// Takes off every value from number `len` on, and those inside them. A value that was being appended when its
    /// record was refused goes too, whatever part of it is there.
    pub fn truncate(&mut self, len: usize) {
        if self.valid.len > len {
            self.present -= self.valid.ones(len, self.valid.len);
            self.valid.truncate(len);
        }
        let kept = self.present;
        match &mut self.data {
            Data::Booleans(bits) => bits.truncate(kept),
            Data::Ints { values, .. } | Data::Days(values) => values.truncate(kept),
            Data::Longs(values) | Data::Instants(values) => values.truncate(kept),
            Data::Floats(values) => values.truncate(kept),
            Data::Doubles(values) => values.truncate(kept),
            Data::Decimals { values, .. } => values.truncate(kept),
            Data::Texts { texts, .. } | Data::Blobs(texts) => {
                texts.ends.truncate(kept + 1);
                texts.bytes.truncate(last_end(&texts.ends));
            }
            Data::List { ends, items } => {
                ends.truncate(kept + 1);
                items.truncate(last_end(ends));
            }
            Data::Map { ends, keys, values } => {
                ends.truncate(kept + 1);
                keys.truncate(last_end(ends));
                values.truncate(last_end(ends));
            }
            Data::Struct(record) => record.truncate(kept),
        }
    }

    /// Takes off everything; keeps room for as much again, within bounds.
    fn clear(&mut self) {
        self.truncate(0);
        match &mut self.data {
            Data::Texts { texts, .. } | Data::Blobs(texts) if texts.bytes.capacity() > MAX_KEPT_BYTES => {
                texts.bytes = Vec::new();
            }
            Data::List { items, .. } => items.clear(),
            Data::Map { keys, values, .. } => {
                keys.clear();
                values.clear();
            }
            Data::Struct(record) => record.clear(),
            _ => {}
        }
    }
}

impl Struct {
    /// Empty fields.
    pub fn new(fields: &[Field], keys: &dyn Fn(&[Field]) -> Keys) -> Self {
        let columns: Vec<_> = fields.iter().map(|field| Column::new(&field.name, &field.kind, keys)).collect();
        let width_bytes = columns.iter().map(Column::width_bytes).sum();
        Self { keys: keys(fields), fields: columns, unknown: None, width_bytes }
    }

    /// Takes off every value from number `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.fields.iter_mut().for_each(|field| field.truncate(len));
    }

    /// Takes off every value, to be filled anew.
    pub fn clear(&mut self) {
        self.fields.iter_mut().for_each(Column::clear);
    }
}

/// The last of a list of ends, as an index.
pub fn last_end(ends: &[i32]) -> usize {
    ends.last().map_or(0, |end| *end as usize)
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn bits_are_appended_counted_and_cut_at_any_place() {
        let source: Vec<bool> = (0..300u32).map(|i| i.wrapping_mul(2_654_435_761) >> 13 & 3 == 1).collect();
        let mut bits = Bits::default();
        source.iter().for_each(|bit| bits.push(*bit));
        for from in (0..300).step_by(7) {
            for upto in (from..330).step_by(11) {
                let expected: Vec<bool> = (from..upto).map(|i| source.get(i).copied().unwrap_or(false)).collect();
                for before in [0, 3, 64, 70] {
                    let mut joined = Bits::default();
                    joined.append(&bits, 0, before);
                    joined.append(&bits, from, upto);
                    let found: Vec<bool> = (before..joined.len).map(|i| joined.get(i)).collect();
                    assert_eq!(found, expected);
                }
                assert_eq!(bits.ones(from, upto), expected.iter().filter(|bit| **bit).count());
            }
        }
        bits.truncate(65);
        assert_eq!((bits.len, bits.words.len(), bits.words[1] >> 1), (65, 2, 0));
        bits.zeros_to(200);
        assert_eq!(bits.ones(65, 200), 0);
    }
}
