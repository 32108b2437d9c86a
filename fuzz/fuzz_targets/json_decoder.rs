//! The conversion of one record against its oracle. The first byte chooses table and deserializer.

#![no_main]

use hydrant::record::Chunk;
use hydrant::stage::convert::ddl::parse_table;
use hydrant::stage::convert::encoder;
use hydrant::stage::convert::schema::{Field, HiveType, TableSchema};
use hydrant::stream::definition::{
    ConvertSpec, DEFAULT_BLOOM_FILTER_FPP, Deserializer, ParquetCompression, ParquetOptions, SchemaRef,
};
use libfuzzer_sys::fuzz_target;
use oracle::{Verdict, judge, matches};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

#[path = "../../src/stage/convert/tests/oracle.rs"]
mod oracle;
#[path = "../../src/stage/convert/tests/plain.rs"]
mod plain;
#[path = "../../src/stage/convert/tests/fuzz_tables.rs"]
mod tables;

static TABLES: LazyLock<Vec<Arc<TableSchema>>> =
    LazyLock::new(|| tables::TABLES.iter().map(|ddl| Arc::new(parse_table(ddl).expect("a table"))).collect());

fn spec(lenient: bool) -> ConvertSpec {
    let text = String::new;
    ConvertSpec {
        schema: SchemaRef {
            catalog_id: text(),
            database: text(),
            table: text(),
            region: text(),
            version_id: text(),
            role_arn: text(),
        },
        deserializer: if lenient {
            Deserializer::OpenX { case_insensitive: true, key_mappings: BTreeMap::new(), dots_to_underscores: false }
        } else {
            Deserializer::Hive { timestamp_formats: Vec::new() }
        },
        unknown_fields_column: lenient.then(|| tables::REST.to_owned()),
        parquet: ParquetOptions {
            block_size_bytes: 64 << 20,
            page_size_bytes: 1 << 20,
            compression: ParquetCompression::Uncompressed,
            dictionary: false,
            writer_v2: false,
            max_padding_bytes: 0,
            int96_timestamps: false,
            bloom_filter_columns: Vec::new(),
            bloom_filter_fpp: DEFAULT_BLOOM_FILTER_FPP,
        },
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, record)) = input.split_first() else { return };
    let (table, lenient) = (&TABLES[usize::from(first % 4 / 2)], first % 2 == 0);
    let mut encoder = encoder(&spec(lenient), Arc::clone(table), 1).expect("a table that can be written");
    let mut object = Vec::new();
    let chunk = Chunk::from_records([record], 0, 0);
    let refused = encoder.push(&chunk, &mut object).expect("memory");
    encoder.finish(&mut object).expect("memory");
    let found = plain::read(object);
    match judge(table, record, lenient, lenient) {
        Verdict::Rows(rows) => {
            assert!(refused.is_empty());
            assert_eq!(rows.len(), found.len());
            rows.iter()
                .zip(&found)
                .for_each(|(row, found)| assert!(matches(row, found), "expected {row:?}, found {found}"));
        }
        Verdict::Refused => assert!(refused.len() == 1 && found.is_empty()),
        Verdict::Undecided => {}
    }
});
