//! Parquet read back by the `parquet` crate, as JSON. Shared with the fuzz target.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

/// The rows of an object, each an array of its columns' values.
pub fn read(object: Vec<u8>) -> Vec<Value> {
    if object.is_empty() {
        return Vec::new();
    }
    let reader = SerializedFileReader::new(bytes::Bytes::from(object)).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().get_column_iter().map(|(_, field)| plain(field)).collect()).collect()
}

/// Times as microseconds, dates as days, bytes and decimals as text, maps as arrays of pairs.
fn plain(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Byte(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) | Field::Date(value) => json!(value),
        Field::Long(value) | Field::TimestampMicros(value) => json!(value),
        Field::Float(value) if value.is_finite() => json!(value),
        Field::Float(value) => json!(value.to_string()),
        Field::Double(value) if value.is_finite() => json!(value),
        Field::Double(value) => json!(value.to_string()),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(String::from_utf8_lossy(bytes.data())),
        Field::Group(row) => row.get_column_iter().map(|(_, field)| plain(field)).collect(),
        Field::ListInternal(list) => list.elements().iter().map(plain).collect(),
        Field::MapInternal(map) => map.entries().iter().map(|(key, value)| json!([plain(key), plain(value)])).collect(),
        other => json!(other.to_string()),
    }
}
