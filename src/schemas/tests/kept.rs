//! The form of kept tables, and their folder.

use super::super::glue::kept::{DecodeError, decode, encode};
use super::super::glue::{KeptTable, KeptTables, OpenError, TableKey};
use crate::disk::RealDisk;
use crate::stage::convert::ddl::parse_table;
use proptest::prelude::*;
use std::fs;
use std::sync::Arc;

/// A kept table as a program of format 1 wrote it.
const GOLDEN: &[u8] = include_bytes!("kept_1.json");

fn key(version_id: &str) -> TableKey {
    TableKey {
        region: "eu-west-1".to_owned(),
        catalog_id: "123456789012".to_owned(),
        database: "shop".to_owned(),
        table: "orders".to_owned(),
        version_id: version_id.to_owned(),
    }
}

fn table() -> KeptTable {
    let ddl = "create table t (id bigint, `two words` string, price decimal(10,2), c char(3), \
               s struct<`a b`:int,Big:array<map<string,timestamp>>>)";
    KeptTable {
        key: key("LATEST"),
        version: Some("12".to_owned()),
        told_ms: 1_783_951_509_364,
        schema: Arc::new(parse_table(ddl).unwrap()),
    }
}

#[test]
fn the_form_of_format_1_is_written_and_read() {
    assert_eq!(String::from_utf8(encode(&table()).unwrap()).unwrap(), String::from_utf8_lossy(GOLDEN));
    assert_eq!(decode(GOLDEN).unwrap(), table());
    // A member that a later program of the same format adds does no harm.
    let text = String::from_utf8_lossy(GOLDEN).replacen("\"format\": 1,", "\"format\": 1, \"later\": {\"x\": []},", 1);
    assert_eq!(decode(text.as_bytes()).unwrap(), table());
}

#[test]
fn newer_and_damaged_files_are_told_apart() {
    assert_eq!(decode(br#"{"format": 2, "what": "ever"}"#), Err(DecodeError::Newer(2)));
    for text in ["", "{}", "{\"format\": 0}", "{\"format\": 1}", "[1]"] {
        assert!(matches!(decode(text.as_bytes()), Err(DecodeError::Damaged(_))), "{text}");
    }
    let bad_type = String::from_utf8_lossy(GOLDEN).replace("bigint", "bigger");
    assert!(decode(bad_type.as_bytes()).unwrap_err().to_string().contains("'id'"));
    for end in 0..GOLDEN.len() - 2 {
        assert!(decode(&GOLDEN[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn the_folder_keeps_forgets_and_survives_damage() {
    let dir = tempfile::tempdir().unwrap();
    let open = || KeptTables::open(Arc::new(RealDisk), dir.path().join("tables"));
    let (kept, none) = open().unwrap();
    assert_eq!(none, []);
    let mut newer = table();
    newer.version = Some("13".to_owned());
    let pinned = KeptTable { key: key("3"), ..table() };
    for table in [&table(), &pinned, &newer] {
        kept.keep(table).unwrap();
    }
    let mut found = open().unwrap().1;
    found.sort_by(|a, b| b.key.cmp(&a.key));
    assert_eq!(found, [newer.clone(), pinned.clone()]);
    kept.forget(&newer.key).unwrap();
    kept.forget(&newer.key).unwrap();
    assert_eq!(open().unwrap().1, [pinned]);
    let path = fs::read_dir(dir.path().join("tables")).unwrap().next().unwrap().unwrap().path();
    fs::write(&path, "{\"format\": 1").unwrap();
    assert_eq!(open().unwrap().1, [], "a damaged file is left out");
    fs::write(&path, "{\"format\": 9}").unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }) && error.to_string().contains("newer"), "{error}");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        parts in prop::collection::vec("\\PC{0,12}", 5),
        version in prop::option::of("\\PC{0,8}"),
        told_ms in any::<i64>(),
        names in prop::collection::btree_set("[a-z][a-z0-9 `'-]{0,8}[a-z]", 1..6),
        kinds in prop::collection::vec(0usize..6, 6),
    ) {
        const KINDS: [&str; 6] =
            ["int", "decimal(38,9)", "varchar(7)", "array<struct<`x y`:int,B:binary>>", "map<date,double>", "string"];
        let quoted = |name: &String| name.replace('`', "``");
        let columns: Vec<_> =
            names.iter().zip(&kinds).map(|(name, kind)| format!("`{}` {}", quoted(name), KINDS[*kind])).collect();
        let [region, catalog_id, database, table, version_id] = <[String; 5]>::try_from(parts).unwrap();
        let table = KeptTable {
            key: TableKey { region, catalog_id, database, table, version_id },
            version,
            told_ms,
            schema: Arc::new(parse_table(&format!("create table t ({})", columns.join(","))).unwrap()),
        };
        prop_assert_eq!(decode(&encode(&table).unwrap()).unwrap(), table);
    }
}
