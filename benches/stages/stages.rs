//! Scan, decode, encode and compress of one processor, in bytes of JSON a second.
//!
//! `HYDRANT_BENCH_DIR` has the data sets as `benches/convert --stages` puts them there. The scans are ceilings: nothing
//! that reads each byte is faster than the newline scan, no parser faster than the structural one.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hydrant::record::Chunk;
use hydrant::stage::convert::ddl::parse_table;
use hydrant::stage::convert::stages::Stages;
use hydrant::stream::definition::{
    ConvertSpec, DEFAULT_BLOOM_FILTER_FPP, Deserializer, ParquetCompression, ParquetOptions, SchemaRef,
};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// JSON of a batch.
const BATCH_BYTES: usize = 2 << 20;
/// Bytes that are compressed at once.
const PAGE_BYTES: usize = 1 << 20;

fn spec(compression: ParquetCompression) -> ConvertSpec {
    let nowhere = String::new;
    ConvertSpec {
        schema: SchemaRef {
            catalog_id: nowhere(),
            database: nowhere(),
            table: nowhere(),
            region: nowhere(),
            version_id: nowhere(),
            role_arn: nowhere(),
        },
        deserializer: Deserializer::OpenX {
            case_insensitive: true,
            key_mappings: BTreeMap::new(),
            dots_to_underscores: false,
        },
        unknown_fields_column: None,
        parquet: ParquetOptions {
            block_size_bytes: 64 << 20,
            page_size_bytes: 1 << 20,
            compression,
            dictionary: true,
            writer_v2: false,
            max_padding_bytes: 0,
            int96_timestamps: false,
            bloom_filter_columns: Vec::new(),
            bloom_filter_fpp: DEFAULT_BLOOM_FILTER_FPP,
        },
    }
}

/// Lines in chunks of about [`BATCH_BYTES`].
fn chunks(text: &[u8]) -> Vec<Chunk> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let (mut chunks, mut from, mut held) = (Vec::new(), 0, 0);
    for (at, line) in lines.iter().enumerate() {
        held += line.len();
        if held >= BATCH_BYTES || at + 1 == lines.len() {
            chunks.push(Chunk::from_records(lines[from..=at].iter().copied(), from as u64, 0));
            (from, held) = (at + 1, 0);
        }
    }
    chunks
}

/// How many bytes mean something to a parser.
fn structural(text: &[u8]) -> usize {
    let is_structural = |byte: &&u8| matches!(**byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"' | b'\\');
    text.iter().filter(is_structural).count()
}

fn stages(criterion: &mut Criterion) {
    let folder = PathBuf::from(std::env::var_os("HYDRANT_BENCH_DIR").expect("HYDRANT_BENCH_DIR: see benches/convert"));
    for set in ["wiki_edits", "web_access", "gps_telemetry"] {
        let text = std::fs::read(folder.join(format!("{set}-20.ndjson"))).expect("made by benches/convert");
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/schemas");
        let ddl = std::fs::read_to_string(schemas.join(format!("tests.{set}.sql"))).expect("in the repository");
        let schema = Arc::new(parse_table(&ddl).expect("a table"));
        let of = |compression| Stages::new(&spec(compression), Arc::clone(&schema)).expect("a conversion");
        let (plain, snappy) = (of(ParquetCompression::Uncompressed), of(ParquetCompression::Snappy));
        let chunks = chunks(&text);
        let file = plain.encode(plain.decode(&chunks)).expect("memory");

        let mut group = criterion.benchmark_group(set);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
        group.bench_function("scan: newlines", |b| b.iter(|| memchr::memchr_iter(b'\n', black_box(&text)).count()));
        group.bench_function("scan: structural", |b| b.iter(|| structural(black_box(&text))));
        group.bench_function("scan: UTF-8", |b| b.iter(|| simdutf8::basic::from_utf8(black_box(&text)).is_ok()));
        group.bench_function("decode", |b| b.iter(|| plain.decode(black_box(&chunks)).len()));
        group.bench_function("encode", |b| {
            let decode = || plain.decode(&chunks);
            b.iter_batched(decode, |decoded| plain.encode(decoded).map(|file| file.len()), BatchSize::PerIteration);
        });
        group.bench_function("compress: snappy", |b| {
            let pages = || file.chunks(PAGE_BYTES).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let compress = |pages: Vec<Vec<u8>>| -> usize {
                pages.into_iter().map(|page| snappy.compress(page).map_or(0, |page| page.len())).sum()
            };
            b.iter_batched(pages, compress, BatchSize::PerIteration);
        });
        group.bench_function("decode, encode, compress", |b| {
            b.iter(|| snappy.encode(snappy.decode(black_box(&chunks))).map(|file| file.len()));
        });
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
