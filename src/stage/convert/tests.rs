//! Conversion as a whole: records in, Parquet out, read back.

use super::ddl::parse_table;
use super::{encoder, preview};
use crate::record::{Chunk, Refused};
use crate::stream::definition::{ConvertSpec, Deserializer, ParquetCompression, ParquetOptions, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;

mod data_sets;

fn openx() -> Deserializer {
    Deserializer::OpenX { case_insensitive: true, key_mappings: BTreeMap::new(), dots_to_underscores: false }
}

fn spec(deserializer: Deserializer) -> ConvertSpec {
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
        parquet: ParquetOptions {
            block_size_bytes: 256 << 20,
            page_size_bytes: 1 << 20,
            compression: ParquetCompression::Snappy,
            dictionary: false,
            writer_v2: false,
        },
    }
}

/// One object of these records, and the refused ones.
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
