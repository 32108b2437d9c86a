//! Convert: JSON records to one Parquet file.
//!
//! From: `delivery` pushes chunks and says where finished bytes go. To: the outbox behind that sink. The way of a record:
//! `decode` reads its JSON straight into `columns`, `writer` encodes these when a batch is full. The caller brings the
//! table, which `ddl` and `glue` parse; the deserializer's options are from `rules`, the causes of refusals in
//! `rejection`.

mod columns;
pub mod ddl;
pub mod declare;
mod decode;
mod encode;
pub mod glue;
pub mod infer;
mod lex;
pub mod preview;
mod rejection;
mod rules;
pub mod schema;
#[cfg(feature = "bench")]
pub mod stages;
mod writer;

#[cfg(test)]
mod tests;

pub(in crate::stage) use decode::scan;
pub use schema::TableSchema;

use super::Encoder;
use crate::fault::{Class, Fault, Retry};
use crate::stream::definition::{ConvertSpec, ParquetOptions};
use decode::joda::BadFormat;
use infer::LearntTable;
use parquet::errors::ParquetError;
use rules::Rules;
use schema::{Field, HiveType};
use std::sync::Arc;

/// Most bytes of the Bloom filters of a row group that is being written.
const MAX_BLOOM_FILTERS_BYTES: usize = 32 << 20;

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
    /// BloomFilterColumns.
    #[error(
        "BloomFilterColumns names columns whose filters would take {mib} MiB for a row group, and they may take {} MiB: \
         name fewer, or let BloomFilterFalsePositiveProbability be larger.",
        MAX_BLOOM_FILTERS_BYTES >> 20
    )]
    BloomFilters {
        /// Their size.
        mib: usize,
    },
    /// ColumnToJsonKeyMappings and UnknownFieldsColumn.
    #[error("ColumnToJsonKeyMappings names the column '{0}', which UnknownFieldsColumn gives to unknown fields.")]
    MappedUnknown(String),
    /// UnknownFieldsColumn.
    #[error("The column '{name}' that UnknownFieldsColumn names is {kind} in the table; it must be string.")]
    UnknownFields {
        /// The column.
        name: String,
        /// Its type.
        kind: String,
    },
    /// CaseInsensitive.
    #[error("CaseInsensitive cannot be false where the schema is inferred: names of columns are lower case.")]
    CaseSensitive,
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

/// The table that is written: `schema`, with the column of unknown fields behind it when it does not declare that.
pub fn written(spec: &ConvertSpec, schema: Arc<TableSchema>) -> Result<Arc<TableSchema>, ConvertError> {
    let Some(name) = spec.unknown_fields_column.as_ref().map(|name| name.to_lowercase()) else { return Ok(schema) };
    match schema.columns.iter().find(|column| column.name == name) {
        Some(Field { kind: HiveType::String, .. }) => Ok(schema),
        Some(other) => Err(ConvertError::UnknownFields { name, kind: other.kind.to_string() }),
        None => {
            let added = Field { name, kind: HiveType::String };
            let columns = schema.columns.iter().cloned().chain([added]).collect();
            TableSchema::new(columns).map(Arc::new).map_err(|error| ConvertError::Schema(error.to_string()))
        }
    }
}

/// An encoder for one object. `revision` is that of the stream's definition and goes into the file's metadata.
pub fn encoder(spec: &ConvertSpec, schema: Arc<TableSchema>, revision: u64) -> Result<Box<dyn Encoder>, ConvertError> {
    let rules = Rules::new(spec)?;
    let schema = written(spec, schema)?;
    Ok(Box::new(encode::ParquetEncoder::new(schema, &rules, spec.parquet.clone(), revision)))
}

/// An encoder for one object of a learnt table. Once [`Encoder::fits`] says no, the table has to learn from the records
/// given last and those that follow, and the object is begun anew; but where `is_final`, records that do not fit are
/// refused. Names of BloomFilterColumns that no column has say nothing; the last ones go unheeded while all filters
/// together are too large.
pub fn learnt_encoder(
    spec: &ConvertSpec,
    table: &LearntTable,
    revision: u64,
    is_final: bool,
) -> Result<Box<dyn Encoder>, ConvertError> {
    let rules = Rules::strict(spec, table.closed)?;
    let schema = written(spec, Arc::clone(&table.schema))?;
    let mut parquet = spec.parquet.clone();
    let filters_bytes = |parquet: &ParquetOptions| {
        writer::bloom_filters_bytes(&schema, parquet).map_err(|error| ConvertError::Schema(error.to_string()))
    };
    // Nobody can be told that a table has grown too large for them.
    while filters_bytes(&parquet)? > MAX_BLOOM_FILTERS_BYTES {
        parquet.bloom_filter_columns.pop();
    }
    let mut encoder = encode::ParquetEncoder::new(schema, &rules, parquet, revision);
    if !is_final {
        encoder.learns(table);
    }
    Ok(Box::new(encoder))
}

/// An encoder for a table of which no column has been learnt: it refuses every record.
pub fn unlearnt_encoder(spec: &ConvertSpec) -> Result<Box<dyn Encoder>, ConvertError> {
    let encoder = infer::Unlearnt::new(&Rules::strict(spec, false)?);
    Ok(Box::new(encoder.map_err(|error| ConvertError::Schema(error.to_string()))?))
}

/// Whether BloomFilterColumns may have this name under `schema`.
pub fn can_have_bloom_filter(schema: &TableSchema, name: &str) -> bool {
    writer::can_have_bloom_filter(schema, name)
}

/// Whether a table can be learnt by `spec`: asked as [`check`] is.
pub fn check_inferred(spec: &ConvertSpec) -> Result<(), ConvertError> {
    Rules::strict(spec, false).map(drop)
}

/// Whether the options of a conversion can be used, whatever the table is. `control` refuses a stream whose cannot.
pub fn check_options(spec: &ConvertSpec) -> Result<(), ConvertError> {
    Rules::new(spec).map(drop)
}

/// Whether records can be converted by `spec` under `schema`: asked when a stream is created and by `hydrant check`, so
/// that what can be known beforehand does not fail at a cut.
pub fn check(spec: &ConvertSpec, schema: &TableSchema) -> Result<(), ConvertError> {
    check_options(spec)?;
    let written = written(spec, Arc::new(schema.clone()))?;
    for name in &spec.parquet.bloom_filter_columns {
        if !writer::can_have_bloom_filter(&written, name) {
            return Err(ConvertError::BloomFilter(name.clone()));
        }
    }
    let schema_error = |error: ParquetError| ConvertError::Schema(error.to_string());
    let filters_bytes = writer::bloom_filters_bytes(&written, &spec.parquet).map_err(schema_error)?;
    if filters_bytes > MAX_BLOOM_FILTERS_BYTES {
        return Err(ConvertError::BloomFilters { mib: filters_bytes >> 20 });
    }
    writer::check(&written, &spec.parquet).map_err(schema_error)
}
