//! Convert: JSON records to one Parquet file.
//!
//! From: `delivery` pushes chunks and says where finished bytes go. To: the outbox behind that sink. The way of a record:
//! `decode` reads its JSON straight into `columns`, `writer` encodes these when a batch is full. The table comes
//! from `folder` (`ddl`, `glue`), the deserializer's options from `rules`, the causes of refusals are in `rejection`.

mod columns;
pub mod ddl;
mod decode;
mod encode;
pub mod folder;
pub mod glue;
mod lex;
pub mod preview;
mod rejection;
mod rules;
pub mod schema;
mod writer;

#[cfg(test)]
mod tests;

pub use folder::{LoadError, SchemaFolder};
pub use schema::TableSchema;

use super::Encoder;
use crate::fault::{Class, Fault, Retry};
use crate::stream::definition::{ConvertSpec, Deserializer};
use decode::joda::BadFormat;
use rules::Rules;
use std::sync::Arc;

/// A conversion that cannot be done, whatever the records are.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// TimestampFormats.
    #[error(transparent)]
    Format(#[from] BadFormat),
    /// ColumnToJsonKeyMappings.
    #[error("ColumnToJsonKeyMappings names the column '{0}' twice (names are compared without case).")]
    Mapping(String),
    /// BloomFilterColumns.
    #[error(
        "BloomFilterColumns names '{0}', which is neither a column of the table nor a leaf in one by its dotted path, or is boolean."
    )]
    BloomFilter(String),
    /// The table.
    #[error("The table cannot be written as Parquet: {0}.")]
    Schema(String),
}

impl Fault for ConvertError {
    fn class(&self) -> Class {
        Class::User
    }

    fn retry(&self) -> Retry {
        Retry::AfterOperator
    }
}

/// An encoder for one object. `revision` is that of the stream's definition and goes into the file's metadata.
pub fn encoder(spec: &ConvertSpec, schema: Arc<TableSchema>, revision: u64) -> Result<Box<dyn Encoder>, ConvertError> {
    let rules = Rules::new(&spec.deserializer)?;
    Ok(Box::new(encode::ParquetEncoder::new(schema, &rules, spec.parquet.clone(), revision)))
}

/// Whether a deserializer's options can be used, whatever the table is. `control` refuses a stream whose cannot.
pub fn check_options(deserializer: &Deserializer) -> Result<(), ConvertError> {
    Rules::new(deserializer).map(drop)
}

/// Whether records can be converted by `spec` under `schema`: asked when a stream is created and by `hydrant check`, so
/// that what can be known beforehand does not fail at a cut.
pub fn check(spec: &ConvertSpec, schema: &TableSchema) -> Result<(), ConvertError> {
    check_options(&spec.deserializer)?;
    for name in &spec.parquet.bloom_filter_columns {
        if !writer::can_have_bloom_filter(schema, name) {
            return Err(ConvertError::BloomFilter(name.clone()));
        }
    }
    writer::check(schema, &spec.parquet).map_err(|error| ConvertError::Schema(error.to_string()))
}
