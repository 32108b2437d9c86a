//! The file as a file: metadata, row groups, streaming, empty objects, preview.

use super::super::check;
use super::super::ddl::parse_table;
use super::super::encode::ParquetEncoder;
use super::super::preview::preview;
use super::super::rules::Rules;
use super::{convert, encoder, openx, read, spec};
use crate::record::Chunk;
use crate::stage::Encoder;
use crate::stream::definition::{BLOOM_FILTER_FPP, DEFAULT_BLOOM_FILTER_FPP, ParquetCompression};
use bytes::Bytes;
use parquet::basic::{Compression, Type as Physical};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use std::io::{self, Write};
use std::sync::Arc;

#[test]
fn options_reach_the_file() {
    let cases = [
        (ParquetCompression::Uncompressed, Compression::UNCOMPRESSED),
        (ParquetCompression::Gzip, Compression::GZIP(Default::default())),
        (ParquetCompression::Snappy, Compression::SNAPPY),
        (ParquetCompression::Zstd, Compression::ZSTD(Default::default())),
        (ParquetCompression::Lz4Raw, Compression::LZ4_RAW),
    ];
    for (asked, written) in cases {
        for (dictionary, writer_v2) in [(false, false), (true, true)] {
            let mut spec = spec(openx());
            (spec.parquet.compression, spec.parquet.dictionary, spec.parquet.writer_v2) =
                (asked, dictionary, writer_v2);
            let records = vec![&br#"{"a":1,"b":"xxxxxxxxxxxxxxxx"}"#[..]; 500];
            let (object, count, _) = convert("create table t (a int, b string)", &spec, &records);
            assert_eq!(count, 500);
            let reader = SerializedFileReader::new(Bytes::from(object.clone())).unwrap();
            let file = reader.metadata().file_metadata();
            assert_eq!(file.created_by(), Some(concat!("hydrant version ", env!("CARGO_PKG_VERSION"))));
            assert_eq!(file.version(), if writer_v2 { 2 } else { 1 });
            let pairs = file.key_value_metadata().unwrap();
            let value = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
            assert_eq!(value("hydrant.revision").as_deref(), Some("7"));
            assert_eq!(value("hydrant.schema").map(|hash| hash.len()), Some(64));
            let column = reader.metadata().row_group(0).column(1);
            assert_eq!(column.compression(), written);
            assert_eq!(column.dictionary_page_offset().is_some(), dictionary);
            assert_eq!(read(object).len(), 500);
        }
    }
}

#[test]
fn timestamps_may_be_int96() {
    let mut spec = spec(openx());
    spec.parquet.int96_timestamps = true;
    let records: [&[u8]; 3] = [br#"{"a":"1969-12-31 23:59:59.999999","b":[0]}"#, b"{}", br#"{"a":1700000000123}"#];
    for dictionary in [false, true] {
        spec.parquet.dictionary = dictionary;
        let (object, count, _) = convert("create table t (a timestamp, b array<timestamp>)", &spec, &records);
        assert_eq!(count, 3);
        let reader = SerializedFileReader::new(Bytes::from(object)).unwrap();
        let column = reader.metadata().row_group(0).column(0);
        assert_eq!(column.column_type(), Physical::INT96);
        // INT96 has no order that readers agree on.
        let statistics = column.statistics().unwrap();
        assert_eq!((statistics.min_bytes_opt(), statistics.null_count_opt()), (None, Some(1)));
        assert_eq!((column.column_index_offset(), column.offset_index_offset().is_some()), (None, true));
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert!(rows[0].contains("1969-12-31 23:59:59.999"), "{rows:?}");
        assert!(rows[0].contains("1970-01-01 00:00:00"), "{rows:?}");
        assert!(rows[2].contains("2023-11-14 22:13:20.123"), "{rows:?}");
    }
}

#[test]
fn bloom_filters_know_every_value_and_few_others() {
    let table = "create table t (id string, n int, tags array<string>, other string)";
    for (asked, columns) in [("id", vec![0]), ("N", vec![1]), ("tags", vec![2]), ("tags.list.element", vec![2])] {
        for distinct in [10, 5000] {
            let mut spec = spec(openx());
            spec.parquet.bloom_filter_columns = vec![asked.to_owned()];
            spec.parquet.bloom_filter_fpp = 0.01;
            let line = |i: i32| {
                let k = i % distinct;
                format!(r#"{{"id":"key {k}","n":{k},"tags":["key {k}"],"other":"x"}}"#).into_bytes()
            };
            let records: Vec<_> = (0..5000).map(line).collect();
            let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
            check(&spec, &parse_table(table).unwrap()).unwrap();
            let (object, _, _) = convert(table, &spec, &records);
            let options = ReaderProperties::builder().set_read_bloom_filter(true).build();
            let options = ReadOptionsBuilder::new().with_reader_properties(options).build();
            let reader = SerializedFileReader::new_with_options(Bytes::from(object), options).unwrap();
            let group = reader.get_row_group(0).unwrap();
            for column in 0..4 {
                assert_eq!(group.get_column_bloom_filter(column).is_some(), columns.contains(&column), "{asked}");
            }
            let filter = group.get_column_bloom_filter(columns[0]).unwrap();
            let knows = |k: i32| if asked == "N" { filter.check(&k) } else { filter.check(&*format!("key {k}")) };
            assert!((0..distinct).all(knows), "{asked} of {distinct}");
            let wrong = (10_000..20_000).filter(|k| knows(*k)).count();
            assert!(wrong < 300, "{wrong} of 10,000 absent values are reported in {asked} of {distinct}");
        }
    }
    for absent in ["nothing", "tags.element", "flag"] {
        let mut spec = spec(openx());
        spec.parquet.bloom_filter_columns = vec![absent.to_owned()];
        let table = parse_table("create table t (id string, tags array<string>, flag boolean)").unwrap();
        assert!(check(&spec, &table).unwrap_err().to_string().contains(absent));
    }
}

#[test]
fn bloom_filters_are_bounded() {
    let columns: Vec<_> = (0..40).map(|i| format!("c{i}:int")).collect();
    let table = parse_table(&format!("create table t (s struct<{}>, id string)", columns.join(","))).unwrap();
    let mut spec = spec(openx());
    spec.parquet.bloom_filter_columns = vec!["id".to_owned()];
    for fpp in [*BLOOM_FILTER_FPP.start(), *BLOOM_FILTER_FPP.end()] {
        spec.parquet.bloom_filter_fpp = fpp;
        check(&spec, &table).unwrap();
    }
    spec.parquet.bloom_filter_columns.push("s".to_owned());
    spec.parquet.bloom_filter_fpp = DEFAULT_BLOOM_FILTER_FPP;
    let text = check(&spec, &table).unwrap_err().to_string();
    assert!(text.contains("would take 41 MiB"), "{text}");
}

/// What is small as JSON and large in columns ends row groups and pages by its size in memory.
#[test]
fn places_of_nested_columns_are_counted() {
    let columns: Vec<_> = (0..200).map(|i| format!("c{i}:int")).collect();
    let table = format!("create table t (a array<struct<{}>>)", columns.join(","));
    let nulls = format!("{{\"a\":[{}]}}", vec!["null"; 1000].join(","));
    let records = vec![nulls.as_bytes(); 600];
    let (object, count, _) = convert(&table, &spec(openx()), &records);
    assert_eq!(count, 600);
    let reader = SerializedFileReader::new(Bytes::from(object)).unwrap();
    // 600 × 1,000 × 200 places of two levels are 240 MB.
    assert!(reader.num_row_groups() > 2, "{} row groups", reader.num_row_groups());
    let places: i64 = reader.metadata().row_groups().iter().map(|group| group.column(7).num_values()).sum();
    assert_eq!(places, 600_000);
}

#[test]
fn row_groups_may_begin_at_blocks() {
    let mut spec = spec(openx());
    spec.parquet.block_size_bytes = 64 << 10;
    spec.parquet.compression = ParquetCompression::Uncompressed;
    let records: Vec<_> = (0..8000).map(|n| format!("{{\"n\":\"{n:01000}\"}}").into_bytes()).collect();
    let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
    let starts = |max_padding_bytes| {
        let mut spec = spec.clone();
        spec.parquet.max_padding_bytes = max_padding_bytes;
        let (object, _, _) = convert("create table t (n string)", &spec, &records);
        let rows = read(object.clone());
        assert!(rows.len() == 8000 && rows.iter().enumerate().all(|(n, row)| row[0] == format!("{n:01000}")));
        let reader = SerializedFileReader::new(Bytes::from(object)).unwrap();
        let groups = reader.metadata().row_groups().iter();
        groups.skip(1).map(|group| group.column(0).data_page_offset() as u64).collect::<Vec<_>>()
    };
    assert!(starts(0).iter().any(|start| start % (64 << 10) != 0));
    let aligned = starts(64 << 10);
    assert!(aligned.len() > 2 && aligned.iter().all(|start| start.is_multiple_of(64 << 10)), "{aligned:?}");
}

/// Counts bytes and fails from a limit on.
struct Narrow {
    written: usize,
    limit: usize,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written + bytes.len() > self.limit {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "full"));
        }
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn row_groups_go_out_as_they_fill() {
    let table = "create table t (n bigint, text string)";
    let mut random = fastrand::Rng::with_seed(1);
    let text: String = (0..20_000).map(|_| random.alphanumeric()).collect();
    let records: Vec<String> =
        (0..1000).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", &text[n..n + 18_000])).collect();
    let mut options = spec(openx());
    options.parquet.block_size_bytes = 1 << 20;
    options.parquet.compression = ParquetCompression::Uncompressed;
    let schema = Arc::new(parse_table(table).unwrap());
    let mut encoder_ = encoder(&options, Arc::clone(&schema), 1).unwrap();
    let mut object = Vec::new();
    let mut halfway = 0;
    for (i, some) in records.chunks(100).enumerate() {
        let chunk = Chunk::from_records(some.iter().map(|record| record.as_bytes()), 100 * i as u64, 0);
        assert_eq!(encoder_.push(&chunk, &mut object).unwrap(), []);
        if i == 4 {
            halfway = object.len();
        }
    }
    assert!(halfway > 1 << 20, "{halfway} bytes out after half of the records");
    assert_eq!(encoder_.finish(&mut object).unwrap(), 1000);
    let reader = SerializedFileReader::new(Bytes::from(object.clone())).unwrap();
    assert!(reader.num_row_groups() > 1);
    let rows = read(object);
    assert!(rows.iter().enumerate().all(|(n, row)| row[0] == n && row[1] == text[n..n + 18_000]));

    // A sink that fails ends the attempt with its own error, wherever that happens.
    for limit in [0, 1 << 20, 3 << 20] {
        let mut encoder = encoder(&options, Arc::clone(&schema), 1).unwrap();
        let mut sink = Narrow { written: 0, limit };
        let chunk = Chunk::from_records(records.iter().map(|record| record.as_bytes()), 0, 0);
        let outcome = encoder.push(&chunk, &mut sink).and_then(|_| encoder.finish(&mut sink));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::StorageFull, "{limit}");
    }
}

#[test]
fn no_record_no_byte() {
    let (object, count, refused) = convert("create table t (a int)", &spec(openx()), &[b"x", b"", b"{\"a\":[]}"]);
    assert_eq!((object, count, refused.len()), (Vec::new(), 0, 3));
    let origins: Vec<u64> = refused.iter().map(|refused| refused.origin.ordinal).collect();
    assert_eq!(origins, [0, 1, 2]);
    assert_eq!(convert("create table t (a int)", &spec(openx()), &[]).1, 0);
}

#[test]
fn the_preview_is_a_table() {
    let table = "create table t (id bigint, `text` string, tags array<string>)";
    let records: [&[u8]; 3] = [
        br#"{"id":1,"text":"short","tags":["a","b"]}"#,
        br#"{"id":22222,"text":"a text that is\nmuch longer than a column"}"#,
        br#"{"id":3}"#,
    ];
    let (object, _, _) = convert(table, &spec(openx()), &records);
    let text = preview(Bytes::from(object), 2).unwrap();
    let expected = "\
id     text                      tags
─────  ────────────────────────  ────────────────────────
1      short                     [\"a\", \"b\"]
22222  a text that is much lon…  null
2 of 3 rows, 3 columns, 1 row group
";
    let squeeze = |text: &str| text.replace('─', "").replace("  ", " ").replace("  ", " ").replace("  ", " ");
    assert_eq!(squeeze(&text), squeeze(expected));
    assert!(preview(Bytes::from_static(b"not Parquet"), 1).is_err());
}

#[test]
fn the_other_build_differs_in_bytes_and_verdicts() {
    let spec = spec(openx());
    let schema = Arc::new(parse_table("create table t (a int)").unwrap());
    let records: Vec<String> = (0..700).map(|a| format!("{{\"a\":{a}}}")).collect();
    let chunk = Chunk::from_records(records.iter().map(|record| record.as_bytes()), 0, 0);
    let run = |differently| {
        let rules = Rules::new(&spec).unwrap();
        let encoder = ParquetEncoder::deciding(Arc::clone(&schema), &rules, spec.parquet.clone(), 1, differently);
        let (mut encoder, mut object) = (Box::new(encoder), Vec::new());
        let refused = encoder.push(&chunk, &mut object).unwrap();
        let count = encoder.finish(&mut object).unwrap();
        assert_eq!(count + refused.len() as u64, 700);
        (object, refused)
    };
    let ((object, refused), (other, other_refused)) = (run(false), run(true));
    assert_eq!((refused.len(), &run(false).0), (0, &object), "the same records are the same bytes");
    assert!((50..150).contains(&other_refused.len()), "{}", other_refused.len());
    assert_eq!(other_refused[0].cause.code, "DataFormatConversion.MalformedData");
    assert_ne!(object, other);
    assert_eq!(read(other).len(), 700 - other_refused.len());
}
