//! What the parsers of tables accept comes through its own notation unchanged. Shared with the fuzz targets; the parent
//! imports what is of the crate.

use super::{TableSchema, parse_glue_table, parse_table, parse_type};
use serde_json::json;

/// A table's declaration, or a type; whether it is one.
pub fn declaration(text: &str) -> bool {
    let kind = parse_type(text);
    if let Ok(kind) = &kind {
        assert_eq!(parse_type(&kind.to_string()).as_ref(), Ok(kind), "{text:?}");
    }
    let table = parse_table(text);
    if let Ok(table) = &table {
        through_both(table, text);
    }
    kind.is_ok() || table.is_ok()
}

/// What `aws glue get-table` prints; whether it is that.
pub fn glue(text: &str) -> bool {
    let table = parse_glue_table(text);
    if let Ok(table) = &table {
        through_both(table, text);
    }
    table.is_ok()
}

/// The same columns, and the same version of them, by both notations.
fn through_both(table: &TableSchema, text: &str) {
    let columns: Vec<String> = table.columns.iter().map(ToString::to_string).collect();
    let declared = parse_table(&format!("CREATE TABLE t ({})", columns.join(", ")));
    assert_eq!(declared.as_ref(), Ok(table), "{text:?}");
    let columns = table.columns.iter().map(|column| json!({"Name": column.name, "Type": column.kind.to_string()}));
    let printed = json!({"Table": {"StorageDescriptor": {"Columns": columns.collect::<Vec<_>>()}}}).to_string();
    assert_eq!(parse_glue_table(&printed).as_ref(), Ok(table), "{text:?}");
}
