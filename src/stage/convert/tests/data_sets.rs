//! The data sets under the tables of tests/schemas, written where `tests/python/check_parquet.py` can judge them.

use super::{convert, openx, spec};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Records of all kinds of damage: each is a row or refused, and `check_parquet.py --may-refuse` finds the same.
#[test]
fn each_dirty_record_has_one_fate() {
    let Some(data) = std::env::var_os("HYDRANT_TEST_DATA") else {
        println!("skipped: HYDRANT_TEST_DATA is not set");
        return;
    };
    let mut text = Vec::new();
    let file = fs::File::open(Path::new(&data).join("dirty.ndjson.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
    let ddl = "create table dirty (class string, type string, device varchar(4), mag decimal(4,1), lat double, lon double,
        mmsi bigint, eventid smallint, `time` timestamp, timecreated timestamp, a array<int>, b string, properties
        struct<mag:float,place:string,`time`:timestamp,felt:int,ids:string>, geometry struct<type:string,coordinates:array<double>>)";
    let records: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let (object, count, refused) = convert(ddl, &spec(openx()), &records);
    assert_eq!(count as usize + refused.len(), 18_165);
    assert!(count > 9_000, "{count}");
    if let Some(out) = std::env::var_os("HYDRANT_CONVERT_OUT") {
        let numbers: String = refused.iter().map(|refused| format!("{}\n", refused.origin.ordinal + 1)).collect();
        fs::write(Path::new(&out).join("dirty.sql"), ddl).unwrap();
        fs::write(Path::new(&out).join("dirty.refused"), numbers).unwrap();
        fs::write(Path::new(&out).join("dirty.parquet"), &object).unwrap();
    }
    println!("{count} rows, {} refused", refused.len());
}

/// Converts every data set of `HYDRANT_TEST_DATA` that has a table; the objects go to `HYDRANT_CONVERT_OUT` if set.
#[test]
fn data_sets_convert_whole() {
    let Some(data) = std::env::var_os("HYDRANT_TEST_DATA") else {
        println!("skipped: HYDRANT_TEST_DATA is not set");
        return;
    };
    for (set, rows) in [("wiki_edits", 39_244), ("web_access", 10_000), ("gps_telemetry", 33_415)] {
        let mut text = Vec::new();
        let file = fs::File::open(Path::new(&data).join(format!("{set}.ndjson.gz"))).unwrap();
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
        let ddl = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/schemas/tests.{set}.sql"));
        let records: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let (object, count, refused) = convert(&fs::read_to_string(ddl).unwrap(), &spec(openx()), &records);
        assert_eq!(refused, [], "{set}");
        assert_eq!(count, rows, "{set}");
        if let Some(out) = std::env::var_os("HYDRANT_CONVERT_OUT") {
            fs::write(Path::new(&out).join(format!("{set}.parquet")), &object).unwrap();
        }
        let table = super::super::preview::preview(bytes::Bytes::from(object), 3).unwrap();
        assert!(table.contains(&format!("3 of {rows} rows")), "{table}");
        println!("{table}");
    }
}
