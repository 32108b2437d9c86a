//! Columns under construction: plain vectors of values, bits and offsets.
//!
//! From: `decode` appends to them. To: `arrays` turns them into Arrow arrays when a batch is full.
//! A missing value costs nothing when it is met: a column may be shorter than its parent, and is filled up with nulls
//! when its next value comes or the batch ends. Invariants: all vectors of a column have its length; `ends` of texts,
//! lists and maps begin with 0; the bits behind the last one of [`Bits`] are 0.

use super::schema::HiveType;
use crate::stage::convert::decode::keys::Keys;

/// A column, or the values of a nested one.
#[derive(Debug)]
pub struct Column {
    /// Name of the column or field; `[]` for items, `key` and `value` for those of a map.
    pub name: String,
    /// Declared type.
    pub kind: HiveType,
    /// Which values are not null.
    pub valid: Bits,
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
    /// Eight a byte.
    pub bytes: Vec<u8>,
    /// Number of bits.
    pub len: usize,
}

impl Bits {
    /// Appends one bit.
    #[inline(always)]
    pub fn push(&mut self, bit: bool) {
        let at = self.len % 8;
        self.len += 1;
        if at == 0 {
            self.bytes.push(u8::from(bit));
        } else if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << at;
        }
    }

    /// Appends zeros up to `len`.
    pub fn zeros_to(&mut self, len: usize) {
        self.bytes.resize(len.div_ceil(8), 0);
        self.len = len;
    }

    /// Cuts off what is behind `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = len;
        self.bytes.truncate(len.div_ceil(8));
        if let (Some(last), 1..) = (self.bytes.last_mut(), len % 8) {
            *last &= (1 << (len % 8)) - 1;
        }
    }
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
}

impl Column {
    /// An empty column of `kind`; `keys` makes the key table of each struct.
    pub fn new(name: &str, kind: &HiveType, keys: &dyn Fn(&[super::schema::Field]) -> Keys) -> Self {
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
        Self { name: name.to_owned(), kind: kind.clone(), valid: Bits::default(), data }
    }

    /// Values so far; the nulls behind the last value are not counted.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.valid.len
    }

    /// Bytes that one null takes.
    fn width_bytes(&self) -> u64 {
        match &self.data {
            Data::Booleans(_) => 1,
            Data::Longs(_) | Data::Doubles(_) | Data::Instants(_) => 8,
            Data::Decimals { .. } => 16,
            Data::Struct(record) => record.width_bytes + 1,
            _ => 4,
        }
    }

    /// Fills up with nulls to `len` values.
    #[inline(always)]
    pub fn fill_to(&mut self, len: usize) {
        if self.valid.len < len {
            self.fill(len);
        }
    }

    #[inline(never)]
    fn fill(&mut self, len: usize) {
        self.valid.zeros_to(len);
        match &mut self.data {
            Data::Booleans(bits) => bits.zeros_to(len),
            Data::Ints { values, .. } | Data::Days(values) => values.resize(len, 0),
            Data::Longs(values) | Data::Instants(values) => values.resize(len, 0),
            Data::Floats(values) => values.resize(len, 0.0),
            Data::Doubles(values) => values.resize(len, 0.0),
            Data::Decimals { values, .. } => values.resize(len, 0),
            Data::Texts { texts, .. } | Data::Blobs(texts) => texts.ends.resize(len + 1, texts.bytes.len() as i32),
            Data::List { ends, .. } | Data::Map { ends, .. } => ends.resize(len + 1, ends.last().copied().unwrap_or(0)),
            Data::Struct(_) => {}
        }
    }

    /// Takes off every value from number `len` on, and those inside them. A value that was being appended when its
    /// record was refused goes too, whatever part of it is there.
    pub fn truncate(&mut self, len: usize) {
        if self.valid.len > len {
            self.valid.truncate(len);
        }
        let kept = len.min(self.valid.len);
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
            Data::Struct(record) => record.truncate(len),
        }
    }
}

impl Struct {
    /// Empty fields.
    pub fn new(fields: &[super::schema::Field], keys: &dyn Fn(&[super::schema::Field]) -> Keys) -> Self {
        let columns: Vec<_> = fields.iter().map(|field| Column::new(&field.name, &field.kind, keys)).collect();
        let width_bytes = columns.iter().map(Column::width_bytes).sum();
        Self { keys: keys(fields), fields: columns, width_bytes }
    }

    /// Takes off every value from number `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.fields.iter_mut().for_each(|field| field.truncate(len));
    }
}

/// The last of a list of ends, as an index.
pub fn last_end(ends: &[i32]) -> usize {
    ends.last().map_or(0, |end| *end as usize)
}
