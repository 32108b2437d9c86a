//! One value into one column: what each type takes from each kind of JSON value, by deserializer.

use super::{hive, openx, rows};
use crate::stream::definition::Deserializer;
use serde_json::{Value, json};

/// The value that `text` has in a column of `kind`, or the message of its refusal.
fn convert(kind: &str, text: &str, deserializer: Deserializer) -> Result<Value, String> {
    let table = format!("create table t (c {kind})");
    let (mut rows, causes) = rows(&table, deserializer, &[&format!("{{\"c\":{text}}}")]);
    match causes.into_iter().next() {
        None => Ok(rows.remove(0)[0].take()),
        Some(cause) => {
            assert_eq!(cause.code, "DataFormatConversion.MalformedData", "{kind} {text}: {}", cause.message);
            Err(cause.message)
        }
    }
}

fn table(deserializer: &dyn Fn() -> Deserializer, cases: &[(&str, &str, Value)]) {
    for (kind, text, expected) in cases {
        match convert(kind, text, deserializer()) {
            Ok(value) => assert_eq!(value, *expected, "{kind} {text}"),
            Err(message) => panic!("{kind} {text}: {message}"),
        }
    }
}

fn refusals(deserializer: &dyn Fn() -> Deserializer, cases: &[(&str, &str)]) {
    for (kind, text) in cases {
        match convert(kind, text, deserializer()) {
            Ok(value) => panic!("{kind} {text} became {value}"),
            Err(message) => {
                let head = "Data does not match the schema. One or more fields have incorrect format. Column c";
                assert!(message.starts_with(head), "{kind} {text}: {message}");
            }
        }
    }
}

#[test]
fn every_type_takes_its_own_values_in_both_dialects() {
    for deserializer in [&openx as &dyn Fn() -> Deserializer, &|| hive(&[])] {
        table(
            deserializer,
            &[
                ("tinyint", "-128", json!(-128)),
                ("tinyint", "127", json!(127)),
                ("smallint", "-32768", json!(-32768)),
                ("smallint", "32767", json!(32767)),
                ("int", "2147483647", json!(2147483647)),
                ("int", "-2147483648", json!(-2147483648i64)),
                ("int", "1.0", json!(1)),
                ("int", "12e2", json!(1200)),
                ("int", "1200e-2", json!(12)),
                ("bigint", "9007199254740993", json!(9007199254740993i64)),
                ("bigint", "9223372036854775807", json!(i64::MAX)),
                ("bigint", "-9223372036854775808", json!(i64::MIN)),
                ("bigint", "922337203685477580.7e1", json!(i64::MAX)),
                ("bigint", "-0", json!(0)),
                ("float", "0.1", json!(0.1f32)),
                ("float", "16777217", json!(16777216.0f32)),
                ("double", "0.1", json!(0.1)),
                ("double", "1e23", json!(1e23)),
                ("double", "9007199254740993", json!(9007199254740992.0)),
                ("double", "123456789012345678901234567890", json!(123456789012345678901234567890.0)),
                ("double", "5e-324", json!(5e-324)),
                ("double", "1e-999", json!(0.0)),
                ("boolean", "true", json!(true)),
                ("boolean", "false", json!(false)),
                ("string", r#""""#, json!("")),
                ("string", r#""a\"\\\/\b\f\n\r\tä€\ud83d\ude00 é€😀""#, json!("a\"\\/\u{8}\u{c}\n\r\tä€😀 é€😀")),
                ("string", r#""\ud800""#, json!("\u{fffd}")),
                ("string", r#""\ud800A""#, json!("\u{fffd}A")),
                ("string", r#""\udc00\ud83d\ude00""#, json!("\u{fffd}😀")),
                ("string", "9007199254740993", json!("9007199254740993")),
                ("string", "1.50", json!("1.50")),
                ("string", "true", json!("true")),
                ("char(3)", r#""äöüß""#, json!("äöü")),
                ("varchar(3)", r#""ab""#, json!("ab")),
                ("varchar(3)", r#""abcd""#, json!("abc")),
                ("varchar(2)", "1234", json!("12")),
                ("date", r#""1970-01-02""#, json!(1)),
                ("date", r#""2024-2-9""#, json!(19762)),
                ("date", r#""0001-01-01""#, json!(-719162)),
                ("date", r#""9999-12-31""#, json!(2932896)),
                ("decimal(5,2)", "123.45", json!("123.45")),
                ("decimal(5,2)", "-999.99", json!("-999.99")),
                ("decimal(5,2)", "0.005", json!("0.01")),
                ("decimal(5,2)", "-0.005", json!("-0.01")),
                ("decimal(5,2)", "0.0049999", json!("0.00")),
                ("decimal(5,2)", "1e2", json!("100.00")),
                ("decimal(18,0)", "999999999999999999", json!("999999999999999999.")),
                (
                    "decimal(38,10)",
                    "1234567890123456789012345678.0123456789",
                    json!("1234567890123456789012345678.0123456789"),
                ),
                ("array<int>", "[]", json!([])),
                ("array<int>", "[1,null,3]", json!([1, null, 3])),
                ("array<array<string>>", r#"[["a"],[],null,["b",null]]"#, json!([["a"], [], null, ["b", null]])),
                ("map<string,int>", r#"{"B":1,"a":null}"#, json!([["B", 1], ["a", null]])),
                ("map<int,string>", r#"{"1":"x","-2":"y"}"#, json!([[1, "x"], [-2, "y"]])),
                ("struct<a:int,b:string>", r#"{"b":"x","c":[{}],"A":1}"#, json!([1, "x"])),
                (
                    "struct<a:struct<b:array<struct<c:int>>>>",
                    r#"{"a":{"b":[{"c":1},{},null]}}"#,
                    json!([[[[1], [null], null]]]),
                ),
            ],
        );
        for kind in
            ["tinyint", "int", "bigint", "float", "double", "boolean", "string", "char(2)", "binary", "timestamp"]
        {
            table(deserializer, &[(kind, "null", Value::Null)]);
        }
        for kind in ["date", "decimal(4,1)", "array<int>", "map<string,int>", "struct<a:int>"] {
            table(deserializer, &[(kind, "null", Value::Null)]);
        }
        refusals(
            deserializer,
            &[
                ("tinyint", "128"),
                ("tinyint", "-129"),
                ("smallint", "32768"),
                ("int", "2147483648"),
                ("int", "1.5"),
                ("int", "1e-1"),
                ("int", "1e400"),
                ("int", "true"),
                ("int", "[1]"),
                ("int", "{}"),
                ("bigint", "9223372036854775808"),
                ("bigint", "-9223372036854775809"),
                ("bigint", "99999999999999999999"),
                ("float", "1e39"),
                ("double", "1e309"),
                ("double", "true"),
                ("boolean", "1"),
                ("boolean", "[]"),
                ("decimal(5,2)", "1000"),
                ("decimal(5,2)", "999.995"),
                ("decimal(38,0)", "1e38"),
                ("decimal(38,0)", "1e999999999"),
                ("date", r#""2023-02-29""#),
                ("date", r#""2023-13-01""#),
                ("date", r#""2023-01-00""#),
                ("date", r#""23-01-01""#),
                ("date", r#""2023-01-01T00:00:00Z""#),
                ("date", "19000"),
                ("timestamp", "true"),
                ("timestamp", "{}"),
                ("timestamp", r#""2023-02-29 00:00:00""#),
                ("timestamp", r#""2023-02-28 24:00:00""#),
                ("timestamp", r#""2023-02-28 00:00:60""#),
                ("timestamp", r#""yesterday""#),
                ("timestamp", r#""2023-02-28 00:00:00.1234567890""#),
                ("array<int>", "1"),
                ("array<int>", "{}"),
                ("array<int>", r#""[]""#),
                ("array<int>", "[1,[2]]"),
                ("map<string,int>", "[]"),
                ("map<string,int>", r#""x""#),
                ("map<int,int>", r#"{"x":1}"#),
                ("struct<a:int>", "[]"),
                ("struct<a:int>", "1"),
                ("struct<a:int>", r#"{"a":{}}"#),
            ],
        );
    }
}

#[test]
fn openx_coerces() {
    table(
        &openx,
        &[
            ("int", r#""20""#, json!(20)),
            ("int", r#""+020""#, json!(20)),
            ("int", "\"\\u0032\\u0030\"", json!(20)),
            ("tinyint", r#""-7""#, json!(-7)),
            ("bigint", r#""9223372036854775807""#, json!(i64::MAX)),
            ("double", r#""1.5e3""#, json!(1500.0)),
            ("double", r#""-0.25""#, json!(-0.25)),
            ("double", r#""NaN""#, json!("NaN")),
            ("double", r#""-Infinity""#, json!("-inf")),
            ("float", r#""2.5""#, json!(2.5)),
            ("decimal(6,3)", r#""12.3456""#, json!("12.346")),
            ("boolean", r#""True""#, json!(true)),
            ("boolean", r#""false""#, json!(false)),
            ("string", r#"{"a": [1, "x"]}"#, json!(r#"{"a": [1, "x"]}"#)),
            ("string", "[ 1 ]", json!("[ 1 ]")),
            ("binary", r#""aGVsbG8=""#, json!("hello")),
            ("binary", r#""aGVsbG8""#, json!("hello")),
            ("map<boolean,double>", r#"{"true":"1"}"#, json!([[true, 1.0]])),
            // Timestamps.
            ("timestamp", r#""1970-01-01T00:00:01Z""#, json!(1_000_000)),
            ("timestamp", r#""2015-09-12T00:46:58.771Z""#, json!(1442018818771000i64)),
            ("timestamp", r#""2015-09-12T00:46:58.123456789Z""#, json!(1442018818123456i64)),
            ("timestamp", r#""2015-09-12 00:46:58.771""#, json!(1442018818771000i64)),
            ("timestamp", r#""2015-9-2 0:6:8""#, json!(1441152368000000i64)),
            ("timestamp", r#""0001-01-01T00:00:00Z""#, json!(-62135596800000000i64)),
            ("timestamp", r#""9999-12-31T23:59:59.999999Z""#, json!(253402300799999999i64)),
            ("timestamp", "0", json!(0)),
            ("timestamp", "-1", json!(-1_000_000)),
            ("timestamp", "1442018818", json!(1442018818000000i64)),
            ("timestamp", "1442018818.771", json!(1442018818771000i64)),
            ("timestamp", "1442018818.1234567", json!(1442018818123456i64)),
            ("timestamp", "1.442018818e9", json!(1442018818000000i64)),
            ("timestamp", "999999999999", json!(999999999999000000i64)),
            ("timestamp", "1000000000000", json!(1000000000000000i64)),
            ("timestamp", "-999999999999", json!(-999999999999000000i64)),
            ("timestamp", "-1000000000000", json!(-1000000000000000i64)),
            ("timestamp", "1442018818771", json!(1442018818771000i64)),
            ("timestamp", r#""1442018818771""#, json!(1442018818771000i64)),
            ("timestamp", r#""1442018818.5""#, json!(1442018818500000i64)),
        ],
    );
    refusals(
        &openx,
        &[
            ("int", r#""""#),
            ("int", r#"" 1""#),
            ("int", r#""1x""#),
            ("int", r#""0x10""#),
            ("int", r#""2147483648""#),
            ("int", r#""NaN""#),
            ("double", r#""nan""#),
            ("double", r#""1e309""#),
            ("boolean", r#""yes""#),
            ("binary", r#""a""#),
            ("binary", "1"),
            ("timestamp", r#""2015-9-12T00:46:58Z""#),
            ("timestamp", r#""2015-09-12T00:46:58""#),
            ("timestamp", r#""2015-09-12T00:46:58+00:00""#),
            ("timestamp", r#""2015-09-12""#),
            ("timestamp", "9223372036854775807"),
        ],
    );
}

#[test]
fn hive_does_not_coerce() {
    let plain = || hive(&[]);
    table(
        &plain,
        &[
            ("binary", r#""hello""#, json!("hello")),
            ("timestamp", r#""2015-09-12 00:46:58.771""#, json!(1442018818771000i64)),
            ("timestamp", r#""2015-09-12 00:46:58""#, json!(1442018818000000i64)),
        ],
    );
    refusals(
        &plain,
        &[
            ("int", r#""20""#),
            ("double", r#""1.5""#),
            ("decimal(5,2)", r#""1.5""#),
            ("boolean", r#""true""#),
            ("string", "{}"),
            ("string", "[]"),
            ("timestamp", "1442018818"),
            ("timestamp", r#""2015-09-12T00:46:58Z""#),
        ],
    );
}

#[test]
fn hive_formats() {
    let cases = [
        ("millis", "1442018818771", 1442018818771000i64),
        ("millis", r#""1442018818771""#, 1442018818771000),
        ("millis", "1.5", 1500),
        ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", r#""2015-09-12T00:46:58.771Z""#, 1442018818771000),
        ("yyyy-MM-dd'T'HH:mm:ssZ", r#""2015-09-12T02:46:58+0200""#, 1442018818000000),
        ("yyyy-MM-dd'T'HH:mm:ssZZ", r#""2015-09-11T19:16:58-05:30""#, 1442018818000000),
        ("dd/MMM/yyyy:HH:mm:ss Z", r#""12/Sep/2015:00:46:58 +0000""#, 1442018818000000),
        ("EEE, d MMMM yyyy h:mm a", r#""Sat, 12 September 2015 1:05 PM""#, 1442063100000000),
        ("yyyyMMddHHmmssSSS", r#""20150912004658771""#, 1442018818771000),
        ("yyyyMMdd", "20150912", 1442016000000000),
        ("yyyy-DDD", r#""2015-255""#, 1442016000000000),
        ("yy/M/d", r#""15/9/12""#, 1442016000000000),
        ("HH 'o''clock'", r#""03 o'clock""#, 10800000000),
        ("hh a", r#""12 am""#, 0),
    ];
    for (format, text, micros) in cases {
        let value = convert("timestamp", text, hive(&["'unused'", format]));
        assert_eq!(value, Ok(json!(micros)), "{format} {text}");
    }
    // Hive's default form stays beside the formats.
    let value = convert("timestamp", r#""1970-01-01 00:00:01""#, hive(&["millis"]));
    assert_eq!(value, Ok(json!(1_000_000)));
    refusals(
        &|| hive(&["yyyy-MM-dd'T'HH:mm", "yyyyMMdd", "yyyy-DDD", "hh a"]),
        &[
            ("timestamp", r#""2015-02-29T00:00""#),
            ("timestamp", r#""2015-02-28T00:00Z""#),
            ("timestamp", r#""2015-09-12T""#),
            ("timestamp", r#""201509""#),
            ("timestamp", r#""2015-366""#),
            ("timestamp", r#""13 pm""#),
        ],
    );
}
