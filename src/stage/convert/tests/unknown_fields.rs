//! The column of what no column takes.

use super::super::ddl::parse_table;
use super::super::{ConvertError, check, check_options, written};
use super::{convert, hive, openx, read, spec};
use crate::stream::definition::{ConvertSpec, Deserializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn collecting(deserializer: Deserializer, column: &str) -> ConvertSpec {
    ConvertSpec { unknown_fields_column: Some(column.to_owned()), ..spec(deserializer) }
}

fn rows(ddl: &str, spec: &ConvertSpec, records: &[&str]) -> Vec<Value> {
    let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
    read(convert(ddl, spec, &records).0)
}

#[test]
fn fields_without_a_column_are_kept_as_written() {
    let records = [
        r#"{"a":1}"#,
        r#"{}"#,
        r#"{"x":1}"#,
        "{ \"x\" : 1.50 , \"A\":2,\t\"y\":\n{ \"b\" : [ 1,{\"x\":null} ] }\r\n, \"z\" : \"\\u00e9\\/é\" }",
        r#"{"x":1,"x":2,"a":3,"X":null}"#,
        r#"{"k\"\u0061":true}{"a":4}{"l":"m","rest":"n"}"#,
        r#"{"s":{"in":5,"out":6},"t":[]}"#,
    ];
    let found = rows("create table t (a int, s struct<`in`:int>)", &collecting(openx(), "rest"), &records);
    let expected = [
        json!([1, null, null]),
        json!([null, null, null]),
        json!([null, null, r#"{"x":1}"#]),
        json!([2, null, "{\"x\":1.50,\"y\":{ \"b\" : [ 1,{\"x\":null} ] },\"z\":\"\\u00e9\\/é\"}"]),
        json!([3, null, r#"{"x":1,"x":2,"X":null}"#]),
        json!([null, null, r#"{"k\"\u0061":true}"#]),
        json!([4, null, null]),
        json!([null, null, r#"{"l":"m","rest":"n"}"#]),
        json!([null, [5], r#"{"t":[]}"#]),
    ];
    assert_eq!(found, expected);
    let hive = rows("create table t (a int, s struct<`in`:int>)", &collecting(hive(&[]), "rest"), &records);
    assert_eq!(hive, expected);
}

#[test]
fn a_declared_column_stays_where_it_is_and_takes_no_key() {
    let spec = collecting(openx(), "Rest");
    let found = rows("create table t (rest string, a int)", &spec, &[r#"{"rest":"x","a":1,"REST":{}}"#, r#"{"a":2}"#]);
    assert_eq!(found, [json!([r#"{"rest":"x","REST":{}}"#, 1]), json!([null, 2])]);
    let table = Arc::new(parse_table("create table t (a int)").unwrap());
    let written = written(&spec, Arc::clone(&table)).unwrap();
    assert_eq!(written.columns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a int", "rest string"]);
    assert_ne!(written.version, table.version);
}

#[test]
fn a_refused_record_takes_its_unknown_fields_with_it() {
    let good = r#"{"x":1,"a":1,"y":2}"#;
    let bad = [
        r#"{"x":"gone","a":"no"}"#,
        r#"{"x":"gone","y":"gone","a":"no"}"#,
        r#"{"x":"gone"}{"y":"gone","a":"no"}"#,
        r#"{"x":"gone","y":01}"#,
        r#"{"x":"gone","y"#,
        r#"{"a":1}{"b":{}} ["#,
    ];
    for bad in bad {
        let records: Vec<&[u8]> = [bad, good, bad, bad, good, good, bad].map(str::as_bytes).to_vec();
        let (object, count, refused) = convert("create table t (a int)", &collecting(openx(), "rest"), &records);
        assert_eq!((count, refused.len()), (3, 4), "{bad}");
        assert_eq!(read(object), vec![json!([1, r#"{"x":1,"y":2}"#]); 3], "{bad}");
    }
}

#[test]
fn what_cannot_be_is_said_beforehand() {
    let table = parse_table("create table t (a int, b varchar(9), s string)").unwrap();
    let error = check(&collecting(openx(), "B"), &table).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The column 'b' that UnknownFieldsColumn names is varchar(9) in the table; it must be string."
    );
    check(&collecting(openx(), "S"), &table).unwrap();
    check(&collecting(openx(), "t"), &table).unwrap();
    let mapped = Deserializer::OpenX {
        case_insensitive: true,
        key_mappings: BTreeMap::from([("S".to_owned(), "key".to_owned())]),
        dots_to_underscores: false,
    };
    let error = check_options(&collecting(mapped, "s")).unwrap_err();
    assert!(matches!(&error, ConvertError::MappedUnknown(name) if name == "s"), "{error}");
}
