//! JSON text straight into columns: no tree, no allocation a record.
//!
//! From: `encode` hands in one record after the other. To: `columns`. A record is checked to be UTF-8, then read once,
//! driven by the schema: each key goes to its column (`keys`), each value is appended to it (`value`), what the schema
//! does not name is skipped with its syntax checked (`scan`). A record that fails is taken out of all columns again and
//! refused alone. Malformed JSON is reported before a mismatch with the schema, wherever the two stand in the record.

pub mod joda;
pub mod keys;
pub mod number;
pub mod scalar;
pub mod scan;
pub mod timestamp;
pub mod value;

use super::columns::Struct;
use super::rejection::{MAX_RECORD_BYTES, Outcome, Rejection};
use super::rules::Rules;
use super::schema::TableSchema;
use scan::Cursor;
use std::mem;
use std::sync::Arc;
use value::Context;

/// Rows under construction.
#[derive(Debug)]
pub struct Decoder {
    /// The table's columns, each as long as its last value needs.
    pub columns: Struct,
    /// Rows in them.
    pub rows: usize,
    /// Bytes that nulls and fixed widths of these rows take at least.
    pub spread_bytes: u64,
    schema: Arc<TableSchema>,
    rules: Rules,
    scratch: Vec<u8>,
}

impl Decoder {
    /// An empty one for a table.
    pub fn new(schema: &Arc<TableSchema>, rules: &Rules) -> Self {
        Self {
            columns: columns(schema, rules),
            rows: 0,
            spread_bytes: 0,
            schema: Arc::clone(schema),
            rules: rules.clone(),
            scratch: Vec::new(),
        }
    }

    /// Takes the rows out, to go on with `empty` columns of the same table, or with new ones.
    pub fn take(&mut self, empty: Option<Struct>) -> (Struct, usize) {
        let empty = empty.unwrap_or_else(|| columns(&self.schema, &self.rules));
        self.spread_bytes = 0;
        (mem::replace(&mut self.columns, empty), mem::take(&mut self.rows))
    }

    /// Appends the objects of one record, each a row. A record with anything wrong in it adds no row. `is_utf8`: it was
    /// checked to be UTF-8 already.
    #[inline]
    pub fn record(&mut self, record: &[u8], is_utf8: bool) -> Outcome<()> {
        let first = self.rows;
        let spread_bytes = self.spread_bytes;
        self.objects(record, is_utf8).map_err(|rejection| {
            self.columns.truncate(first);
            self.rows = first;
            self.spread_bytes = spread_bytes;
            if rejection.is_about_schema() { check_syntax(record).err().unwrap_or(rejection) } else { rejection }
        })
    }

    fn objects(&mut self, record: &[u8], is_utf8: bool) -> Outcome<()> {
        if record.len() > MAX_RECORD_BYTES {
            return Err(Box::new(Rejection::Large));
        }
        if !is_utf8 && simdutf8::basic::from_utf8(record).is_err() {
            return Err(Box::new(Rejection::NotUtf8));
        }
        let first = self.rows;
        let mut cursor = Cursor { bytes: record, pos: 0 };
        let mut context = Context { dialect: &self.rules.dialect, scratch: &mut self.scratch, spread_bytes: 0 };
        loop {
            match cursor.token() {
                b'{' => value::object(&mut self.columns, self.rows, &mut cursor, &mut context, 1)?,
                0 if cursor.at_end() && self.rows == first => return Err(Box::new(Rejection::Blank)),
                0 if cursor.at_end() => break,
                b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => return Err(Box::new(Rejection::TopLevel)),
                _ => return Err(cursor.unexpected("a JSON object")),
            }
            self.rows += 1;
        }
        self.spread_bytes += context.spread_bytes;
        Ok(())
    }
}

/// Empty columns of a table.
fn columns(schema: &TableSchema, rules: &Rules) -> Struct {
    let mut columns = Struct::new(&schema.columns, &|fields| rules.field_keys(fields));
    columns.keys = rules.column_keys(&schema.columns);
    columns.unknown = rules.unknown_fields(&schema.columns);
    columns
}

/// Whether all of the record is JSON values.
#[cold]
fn check_syntax(record: &[u8]) -> Outcome<()> {
    let mut cursor = Cursor { bytes: record, pos: 0 };
    loop {
        if cursor.token() == 0 && cursor.at_end() {
            return Ok(());
        }
        cursor.skip(0)?;
    }
}
