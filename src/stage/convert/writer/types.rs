//! A table's columns as a Parquet schema.
//!
//! Used by `mod` for the footer. Lists and maps have the three levels of Apache Parquet, Logical Types ("LIST", "MAP").
//! Everything is optional but the keys of maps.

use super::super::schema::{Field, HiveType, TableSchema};
use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::Result;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// Most digits of a decimal that is a 32-bit integer, and a 64-bit one.
pub const DECIMAL_DIGITS: [u8; 2] = [9, 18];

/// The schema of a file for rows of `table`; `int96` for timestamps that old readers understand.
pub fn schema(table: &TableSchema, int96: bool) -> Result<TypePtr> {
    let fields = fields(&table.columns, int96)?;
    Type::group_type_builder("schema").with_fields(fields).build().map(Arc::new)
}

/// Bytes of a decimal of so many digits as a fixed-length array.
pub fn decimal_bytes(precision: u8) -> usize {
    // The least n with 10^p <= 2^(8n - 1).
    let bound = 10u128.pow(u32::from(precision));
    (1..=16).find(|bytes| bound <= 1 << (8 * bytes - 1)).unwrap_or(16)
}

fn fields(fields: &[Field], int96: bool) -> Result<Vec<TypePtr>> {
    fields.iter().map(|field| node(&field.name, &field.kind, Repetition::OPTIONAL, int96)).collect()
}

fn node(name: &str, kind: &HiveType, repetition: Repetition, int96: bool) -> Result<TypePtr> {
    let group = |fields: Vec<TypePtr>| Type::group_type_builder(name).with_repetition(repetition).with_fields(fields);
    let repeated = |name: &str, fields: Vec<TypePtr>| {
        let group = Type::group_type_builder(name).with_repetition(Repetition::REPEATED).with_fields(fields);
        group.build().map(Arc::new)
    };
    let node = match kind {
        HiveType::Struct(members) => group(fields(members, int96)?).build(),
        HiveType::Array(item) => {
            let element = node("element", item, Repetition::OPTIONAL, int96)?;
            group(vec![repeated("list", vec![element])?])
                .with_logical_type(Some(LogicalType::List))
                .with_converted_type(ConvertedType::LIST)
                .build()
        }
        HiveType::Map(key, value) => {
            let key = node("key", key, Repetition::REQUIRED, int96)?;
            let value = node("value", value, Repetition::OPTIONAL, int96)?;
            group(vec![repeated("key_value", vec![key, value])?])
                .with_logical_type(Some(LogicalType::Map))
                .with_converted_type(ConvertedType::MAP)
                .build()
        }
        primitive => leaf(name, primitive, repetition, int96),
    };
    node.map(Arc::new)
}

fn leaf(name: &str, kind: &HiveType, repetition: Repetition, int96: bool) -> Result<Type> {
    let leaf = |physical| Type::primitive_type_builder(name, physical).with_repetition(repetition);
    let integer = |bits| Some(LogicalType::integer(bits, true));
    match kind {
        HiveType::TinyInt => {
            leaf(Physical::INT32).with_logical_type(integer(8)).with_converted_type(ConvertedType::INT_8)
        }
        HiveType::SmallInt => {
            leaf(Physical::INT32).with_logical_type(integer(16)).with_converted_type(ConvertedType::INT_16)
        }
        HiveType::Int => leaf(Physical::INT32),
        HiveType::BigInt => leaf(Physical::INT64),
        HiveType::Float => leaf(Physical::FLOAT),
        HiveType::Double => leaf(Physical::DOUBLE),
        HiveType::Boolean => leaf(Physical::BOOLEAN),
        HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) => leaf(Physical::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8),
        HiveType::Timestamp if int96 => leaf(Physical::INT96),
        HiveType::Timestamp => {
            leaf(Physical::INT64).with_logical_type(Some(LogicalType::timestamp(false, TimeUnit::MICROS)))
        }
        HiveType::Date => {
            leaf(Physical::INT32).with_logical_type(Some(LogicalType::Date)).with_converted_type(ConvertedType::DATE)
        }
        HiveType::Decimal { precision, scale } => {
            let physical = match precision {
                digits if *digits <= DECIMAL_DIGITS[0] => leaf(Physical::INT32),
                digits if *digits <= DECIMAL_DIGITS[1] => leaf(Physical::INT64),
                _ => leaf(Physical::FIXED_LEN_BYTE_ARRAY).with_length(decimal_bytes(*precision) as i32),
            };
            let (precision, scale) = (i32::from(*precision), i32::from(*scale));
            physical
                .with_logical_type(Some(LogicalType::decimal(scale, precision)))
                .with_converted_type(ConvertedType::DECIMAL)
                .with_precision(precision)
                .with_scale(scale)
        }
        _ => leaf(Physical::BYTE_ARRAY),
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::decimal_bytes;

    #[test]
    fn decimals_take_the_fewest_bytes() {
        // Apache Parquet, Logical Types, DECIMAL: floor(log10(2^(8n - 1) - 1)) digits fit n bytes.
        assert_eq!([2, 4, 9, 18, 19, 28, 38].map(decimal_bytes), [1, 2, 4, 8, 9, 12, 16]);
    }
}
