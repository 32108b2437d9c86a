//! A [`TableSchema`] as Hive's and Athena's `CREATE EXTERNAL TABLE`, the other way round than `ddl`.
//!
//! Invariant: `ddl::parse_table` reads the same columns back.

use super::schema::TableSchema;
use std::fmt::Write;

/// The declaration of a table of Parquet files at `location` (`s3://bucket/prefix/`). `name` may be `database.table`.
pub fn declaration(schema: &TableSchema, name: &str, location: &str) -> String {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let table = name.split('.').map(quoted).collect::<Vec<_>>().join(".");
    let mut text = format!("CREATE EXTERNAL TABLE {table} (\n");
    for (number, column) in (1..).zip(&schema.columns) {
        let comma = if number == schema.columns.len() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {} {}{comma}", quoted(&column.name), column.kind);
    }
    let location = location.replace('\\', "\\\\").replace('\'', "\\'");
    let _ = writeln!(text, ")\nSTORED AS PARQUET\nLOCATION '{location}';");
    text
}
