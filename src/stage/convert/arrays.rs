//! Columns into Arrow arrays, and the Parquet schema they are written under.
//!
//! From: `columns`, when a batch is full. To: `writer`. Two schemas: the logical one names types as readers shall see
//! them and becomes the Parquet schema; the arrays have the physical one, where text is bytes, dates and times are
//! integers and small integers are 32 bits wide. Parquet stores both alike, and bytes that the decoder has checked to
//! be UTF-8 need not be checked again.

use super::columns::{Bits, Column, Data, Struct};
use super::schema::{Field as HiveField, HiveType, TableSchema};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, MapArray, StructArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use std::sync::Arc;

/// Which of the two schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As readers see it.
    Logical,
    /// As the arrays are.
    Physical,
}

/// The Arrow schema of a table.
pub fn schema(table: &TableSchema, view: View) -> Schema {
    Schema::new(fields(&table.columns, view))
}

fn fields(fields: &[HiveField], view: View) -> Fields {
    fields.iter().map(|field| Field::new(&field.name, data_type(&field.kind, view), true)).collect()
}

fn data_type(kind: &HiveType, view: View) -> DataType {
    let logical = view == View::Logical;
    match kind {
        HiveType::TinyInt if logical => DataType::Int8,
        HiveType::SmallInt if logical => DataType::Int16,
        HiveType::Timestamp if logical => DataType::Timestamp(TimeUnit::Microsecond, None),
        HiveType::Date if logical => DataType::Date32,
        HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) if logical => DataType::Utf8,
        HiveType::TinyInt | HiveType::SmallInt | HiveType::Int | HiveType::Date => DataType::Int32,
        HiveType::BigInt | HiveType::Timestamp => DataType::Int64,
        HiveType::Float => DataType::Float32,
        HiveType::Double => DataType::Float64,
        HiveType::Boolean => DataType::Boolean,
        HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) | HiveType::Binary => DataType::Binary,
        HiveType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        HiveType::Array(item) => DataType::List(item_field(item, view)),
        HiveType::Map(key, value) => DataType::Map(entries_field(key, value, view), false),
        HiveType::Struct(members) => DataType::Struct(fields(members, view)),
    }
}

fn item_field(item: &HiveType, view: View) -> FieldRef {
    Arc::new(Field::new("element", data_type(item, view), true))
}

fn entries_field(key: &HiveType, value: &HiveType, view: View) -> FieldRef {
    let key = Field::new("key", data_type(key, view), false);
    let value = Field::new("value", data_type(value, view), true);
    Arc::new(Field::new("key_value", DataType::Struct(vec![key, value].into()), false))
}

/// The columns of a batch of `rows` rows, in order; the columns are empty afterwards.
pub fn take(columns: &mut Struct, rows: usize) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.fields.iter_mut().map(|column| array(column, rows)).collect()
}

fn array(column: &mut Column, len: usize) -> Result<ArrayRef, ArrowError> {
    column.fill_to(len);
    let nulls = Some(NullBuffer::new(bits(&mut column.valid))).filter(|nulls| nulls.null_count() > 0);
    Ok(match &mut column.data {
        Data::Booleans(values) => Arc::new(BooleanArray::new(bits(values), nulls)),
        Data::Ints { values, .. } | Data::Days(values) => Arc::new(Int32Array::try_new(values_of(values), nulls)?),
        Data::Longs(values) | Data::Instants(values) => Arc::new(Int64Array::try_new(values_of(values), nulls)?),
        Data::Floats(values) => Arc::new(Float32Array::try_new(values_of(values), nulls)?),
        Data::Doubles(values) => Arc::new(Float64Array::try_new(values_of(values), nulls)?),
        Data::Decimals { values, .. } => {
            let array = Decimal128Array::try_new(values_of(values), nulls)?;
            let HiveType::Decimal { precision, scale } = column.kind else {
                return Err(ArrowError::SchemaError("a decimal column has another type".to_owned()));
            };
            Arc::new(array.with_precision_and_scale(precision, scale as i8)?)
        }
        Data::Texts { texts, .. } | Data::Blobs(texts) => {
            let bytes = Buffer::from_vec(std::mem::take(&mut texts.bytes));
            Arc::new(BinaryArray::try_new(offsets(&mut texts.ends), bytes, nulls)?)
        }
        Data::List { ends, items } => {
            let ends = offsets(ends);
            let items = array(items, last(&ends))?;
            let field = Arc::new(Field::new("element", items.data_type().clone(), true));
            Arc::new(ListArray::try_new(field, ends, items, nulls)?)
        }
        Data::Map { ends, keys, values } => {
            let ends = offsets(ends);
            let keys = array(keys, last(&ends))?;
            let values = array(values, last(&ends))?;
            let key = Field::new("key", keys.data_type().clone(), false);
            let value = Field::new("value", values.data_type().clone(), true);
            let entries = StructArray::try_new(vec![key, value].into(), vec![keys, values], None)?;
            let field = Arc::new(Field::new("key_value", entries.data_type().clone(), false));
            Arc::new(MapArray::try_new(field, ends, entries, nulls, false)?)
        }
        Data::Struct(record) => {
            let arrays = take(record, len)?;
            let fields = record.fields.iter().zip(&arrays);
            let fields: Fields =
                fields.map(|(field, array)| Field::new(&field.name, array.data_type().clone(), true)).collect();
            Arc::new(StructArray::try_new_with_length(fields, arrays, nulls, len)?)
        }
    })
}

/// Takes a vector out and leaves one of the same capacity, since the next batch will need as much.
fn values_of<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next).into()
}

fn bits(bits: &mut Bits) -> BooleanBuffer {
    let Bits { bytes, len } = std::mem::take(bits);
    BooleanBuffer::new(Buffer::from_vec(bytes), 0, len)
}

fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut next = Vec::with_capacity(ends.len());
    next.push(0);
    OffsetBuffer::new(std::mem::replace(ends, next).into())
}

fn last(ends: &OffsetBuffer<i32>) -> usize {
    ends.last() as usize
}
