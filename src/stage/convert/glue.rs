//! A table of AWS Glue, as its API and `aws glue get-table` tell it, into a [`TableSchema`].
//!
//! Read: `Table.StorageDescriptor.Columns[].{Name, Type}`, also without the outer `Table`. Partition keys are not
//! written to the objects and are left out, as is everything else.

use super::ddl::parse_type;
use super::schema::{Field, TableSchema};
use serde_json::Value;

/// A text that is not a Glue table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadGlueTable(String);

/// The table that the JSON text describes.
pub fn parse_glue_table(text: &str) -> Result<TableSchema, BadGlueTable> {
    let bad = |what: String| BadGlueTable(what);
    let json: Value = serde_json::from_str(text).map_err(|error| bad(format!("not JSON: {error}")))?;
    glue_table(json.get("Table").unwrap_or(&json))
}

/// The table in a `Table` of Glue's.
pub fn glue_table(table: &Value) -> Result<TableSchema, BadGlueTable> {
    let bad = |what: String| BadGlueTable(what);
    let columns = table.pointer("/StorageDescriptor/Columns").and_then(Value::as_array).ok_or_else(|| {
        bad("Table.StorageDescriptor.Columns is missing: expected what 'aws glue get-table' prints".to_owned())
    })?;
    let mut fields = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        let name = column.get("Name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| bad(format!("column {} has no Name", i + 1)))?;
        let kind = column.get("Type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| bad(format!("column '{name}' has no Type")))?;
        let kind = parse_type(kind).map_err(|error| bad(format!("column '{name}', type '{kind}', {error}")))?;
        fields.push(Field { name: name.to_owned(), kind });
    }
    TableSchema::new(fields).map_err(|error| bad(error.to_string()))
}
