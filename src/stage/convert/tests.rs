//! Conversion as a whole: records in, Parquet out, read back.

use super::ddl::{parse_table, parse_type};
use super::encoder;
use super::glue::parse_glue_table;
use super::schema::{Field, HiveType, TableSchema};
use crate::record::{Cause, Chunk, Refused};
use crate::stream::definition::{
    ConvertSpec, DEFAULT_BLOOM_FILTER_FPP, Deserializer, ParquetCompression, ParquetOptions, SchemaRef,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use plain::read;

mod coercions;
mod data_sets;
mod files;
mod fuzz;
mod fuzz_tables;
mod oracle;
mod plain;
mod properties;
mod records;
mod round_trips;
mod schemas;
mod unknown_fields;

pub(super) fn openx() -> Deserializer {
    Deserializer::OpenX { case_insensitive: true, key_mappings: BTreeMap::new(), dots_to_underscores: false }
}

pub(super) fn hive(formats: &[&str]) -> Deserializer {
    Deserializer::Hive { timestamp_formats: formats.iter().map(|&format| format.to_owned()).collect() }
}

pub(super) fn spec(deserializer: Deserializer) -> ConvertSpec {
    ConvertSpec {
        schema: SchemaRef {
            catalog_id: "000000000000".to_owned(),
            database: "db".to_owned(),
            table: "t".to_owned(),
            region: "us-east-1".to_owned(),
            version_id: "LATEST".to_owned(),
            role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
        },
        deserializer,
        unknown_fields_column: None,
        parquet: ParquetOptions {
            block_size_bytes: 256 << 20,
            page_size_bytes: 1 << 20,
            compression: ParquetCompression::Snappy,
            dictionary: false,
            writer_v2: false,
            max_padding_bytes: 0,
            int96_timestamps: false,
            bloom_filter_columns: Vec::new(),
            bloom_filter_fpp: DEFAULT_BLOOM_FILTER_FPP,
        },
    }
}

/// One object of these records, how many are in it, and the refused ones.
fn convert(ddl: &str, spec: &ConvertSpec, records: &[&[u8]]) -> (Vec<u8>, u64, Vec<Refused>) {
    let schema = Arc::new(parse_table(ddl).unwrap());
    let mut encoder = encoder(spec, schema, 7).unwrap();
    let mut object = Vec::new();
    let mut refused = Vec::new();
    for (i, some) in records.chunks(1000).enumerate() {
        let chunk = Chunk::from_records(some.iter().copied(), 1000 * i as u64, 0);
        refused.extend(encoder.push(&chunk, &mut object).unwrap());
    }
    let count = encoder.finish(&mut object).unwrap();
    (object, count, refused)
}

/// The rows that records become, and the causes of those that do not.
fn rows(ddl: &str, deserializer: Deserializer, records: &[&str]) -> (Vec<Value>, Vec<Cause>) {
    let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
    let (object, count, refused) = convert(ddl, &spec(deserializer), &records);
    assert_eq!(count as usize + refused.len(), records.len());
    (read(object), refused.into_iter().map(|refused| refused.cause).collect())
}
