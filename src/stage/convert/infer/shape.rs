//! What was learnt, as far as it is a table: types in the form that is kept and that columns are made of.
//!
//! From: `tree` exports it. To: [`TableSchema`] for the decoder, `codec` for the disk. Invariants: what `tree` bounds:
//! names are usable and differ without case, nesting and number of fields are limited.

use super::super::columns::{Column, Data, Struct};
use super::super::decode::scan::Cursor;
use super::super::schema::{Field, HiveType, TableSchema};
use super::observe::MAX_EXACT;
use std::sync::Arc;

/// The type of a learnt column or field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// boolean.
    Boolean,
    /// bigint; `large` once a value beyond 2^53 was seen, which a double could not hold.
    Integer {
        /// See above.
        large: bool,
    },
    /// double.
    Double,
    /// string; `empty` while nothing but empty objects or items was seen, so that another type may yet come.
    Text {
        /// See above.
        empty: bool,
    },
    /// array.
    Array(Box<Shape>),
    /// struct.
    Struct(Vec<(String, Shape)>),
}

/// The columns of a learnt table, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shapes {
    /// Name and type.
    pub columns: Vec<(String, Shape)>,
    /// It has as many columns as it may have: keys without a column are left out.
    pub closed: bool,
}

/// A learnt table as the encoder needs it.
#[derive(Debug, Clone)]
pub struct LearntTable {
    /// The columns.
    pub schema: Arc<TableSchema>,
    /// See [`Shapes::closed`].
    pub closed: bool,
    /// Places of the texts that are `empty`, and of the integers that are not `large`: the number of the column, then of
    /// each field on the way; arrays are gone through without a number.
    pub narrow: Vec<Vec<u16>>,
}

impl Shape {
    /// Its Hive type.
    pub fn hive_type(&self) -> HiveType {
        match self {
            Self::Boolean => HiveType::Boolean,
            Self::Integer { .. } => HiveType::BigInt,
            Self::Double => HiveType::Double,
            Self::Text { .. } => HiveType::String,
            Self::Array(item) => HiveType::Array(Box::new(item.hive_type())),
            Self::Struct(fields) => HiveType::Struct(hive_fields(fields)),
        }
    }

    fn find_narrow(&self, path: &mut Vec<u16>, found: &mut Vec<Vec<u16>>) {
        match self {
            Self::Text { empty: true } | Self::Integer { large: false } => found.push(path.clone()),
            Self::Array(item) => item.find_narrow(path, found),
            Self::Struct(fields) => find_narrow(fields, path, found),
            _ => {}
        }
    }
}

fn hive_fields(fields: &[(String, Shape)]) -> Vec<Field> {
    fields.iter().map(|(name, shape)| Field { name: name.clone(), kind: shape.hive_type() }).collect()
}

fn find_narrow(fields: &[(String, Shape)], path: &mut Vec<u16>, found: &mut Vec<Vec<u16>>) {
    for (number, (_, shape)) in (0u16..).zip(fields) {
        path.push(number);
        shape.find_narrow(path, found);
        path.pop();
    }
}

impl Shapes {
    /// The table; `None` while it has no column.
    pub fn table(&self) -> Option<LearntTable> {
        let schema = TableSchema::new(hive_fields(&self.columns)).ok()?;
        let mut narrow = Vec::new();
        find_narrow(&self.columns, &mut Vec::new(), &mut narrow);
        Some(LearntTable { schema: Arc::new(schema), closed: self.closed, narrow })
    }
}

/// Whether the values at `place` (see [`LearntTable::narrow`]) are more than was learnt: texts that are no objects without
/// values, integers beyond 2^53. An empty string is not seen; it would leave the type what it is.
pub fn is_outgrown(columns: &Struct, place: &[u16]) -> bool {
    let Some((number, rest)) = place.split_first() else { return false };
    let mut column: Option<&Column> = columns.fields.get(usize::from(*number));
    while let Some(Data::List { items, .. }) = column.map(|column| &column.data) {
        column = Some(items);
    }
    match column.map(|column| &column.data) {
        Some(Data::Struct(record)) => is_outgrown(record, rest),
        Some(Data::Longs(values)) => values.iter().any(|value| value.unsigned_abs() > MAX_EXACT),
        Some(Data::Texts { texts, .. }) => {
            texts.ends.windows(2).any(|ends| has_value(&texts.bytes[ends[0] as usize..ends[1] as usize]))
        }
        _ => false,
    }
}

/// Whether a text is anything else than nothing or an object of nulls.
fn has_value(text: &[u8]) -> bool {
    let mut cursor = Cursor { bytes: text, pos: 0 };
    if text.is_empty() {
        return false;
    }
    if cursor.peek() != b'{' {
        return true;
    }
    cursor.pos += 1;
    while cursor.token() == b'"' {
        let is_null = cursor.skip_key().is_ok() && cursor.token() == b'n' && cursor.literal("null").is_ok();
        if !is_null {
            return true;
        }
        if cursor.token() == b',' {
            cursor.pos += 1;
        }
    }
    cursor.peek() != b'}'
}
