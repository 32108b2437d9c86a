//! Tests of schemas, by where they are.

mod folder;
mod kept;
mod server;
mod serving;

use crate::stage::convert::TableSchema;

fn columns(schema: &TableSchema) -> Vec<String> {
    schema.columns.iter().map(ToString::to_string).collect()
}
