//! Records as wholes: keys, several objects, everything that is refused and with which text.

use super::{convert, hive, openx, read, rows, spec};
use crate::record::ErrorKind;
use crate::stream::definition::Deserializer;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TABLE: &str = "create table t (a int, b string, c array<struct<d:double, e:map<string,int>>>)";

#[test]
fn each_object_of_a_record_is_a_row() {
    let records = [r#"{"a":1}{"a":2} {"b":"x"}"#, "{\"a\":3}\r\n", "\n{}\n", " {\"a\":4}\n{\"a\":5}\n"];
    let (found, causes) = rows(TABLE, openx(), &records);
    assert_eq!(causes, []);
    let columns: Vec<_> = found.iter().map(|row| json!([row[0], row[1]])).collect();
    assert_eq!(
        json!(columns),
        json!([[1, null], [2, null], [null, "x"], [3, null], [null, null], [4, null], [5, null]])
    );
}

#[test]
fn a_bad_record_leaves_nothing_behind() {
    let good = r#"{"a":1,"b":"x","c":[{"d":1,"e":{"k":1}}]}"#;
    let bad = [
        r#"{"a":2,"b":"yy","c":[{"d":2,"e":{"k":2}},{"d":"x"}]}"#,
        r#"{"a":2,"b":"yy","c":[{"d":2,"e":{"k":2,"l":{}}}]}"#,
        r#"{"a":2,"b":"yy","c":[{"d":2,"e":{"k":2}}]}{"a":3,"b":"zz"}{"a":"x"}"#,
        r#"{"a":2,"b":"yy","c":[{"d":2,"e":{"k":2}}]}{"a":3,"b":"zz"#,
        r#"{"c":[{},{},{"e":{"k":2}}],"a":2,"b":"yy"} x"#,
        r#"{"b":"yy","a":99999999999}"#,
    ];
    for bad in bad {
        let (found, causes) = rows(TABLE, openx(), &[good, bad, good, bad, bad, good]);
        let row = json!([1, "x", [[1.0, [["k", 1]]]]]);
        assert_eq!(found, [row.clone(), row.clone(), row], "{bad}");
        assert_eq!(causes.len(), 3, "{bad}");
    }
}

#[test]
fn refusals_have_the_known_codes_and_texts() {
    let malformed = "Data does not match the schema. ";
    let parse = "Encountered malformed JSON. ";
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    let open = "[".repeat(100_000);
    let open_object = format!("{{\"a\":{open}");
    let long_key = format!("{{\"{}\":1}}", "k".repeat(262_145));
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", malformed, "The record was empty or contained only whitespace."),
        (b" \r\n\t", malformed, "The record was empty or contained only whitespace."),
        (b"{\"b\":\"\xe4\"}", malformed, "The data cannot be decoded as UTF-8."),
        (b"{\"b\":\"\xed\xa0\x80\"}", malformed, "The data cannot be decoded as UTF-8."),
        (b"{\"a\":\x001}", malformed, "Illegal character found between tokens. (byte 5)"),
        (b"\x0b{}", malformed, "Illegal character found between tokens. (byte 0)"),
        (b"{\"b\":\"a\tb\"}", malformed, "Encountered invalid characters. (byte 7)"),
        (b"{\"zz\":\"a\nb\"}", malformed, "Encountered invalid characters. (byte 8)"),
        (deep.as_bytes(), malformed, "Data contains a highly nested JSON structure that is not supported."),
        (open_object.as_bytes(), malformed, "Data contains a highly nested JSON structure that is not supported."),
        (open.as_bytes(), malformed, "Data contains a highly nested JSON structure that is not supported."),
        (long_key.as_bytes(), malformed, "Length of json key must not be greater than 262144"),
        (b"[{\"a\":1}]", malformed, "The top level of a record must be a JSON object."),
        (b"1", malformed, "The top level of a record must be a JSON object."),
        (b"{\"a\":1} \"x\"", malformed, "The top level of a record must be a JSON object."),
        (b"null", malformed, "The top level of a record must be a JSON object."),
        (
            b"{\"c\":[{\"d\":1},{\"e\":{\"k\":1.5}}]}",
            malformed,
            "One or more fields have incorrect format. Column c[].e.value (int): 1.5 is not a whole number",
        ),
        (b"{\"a\":[1, 2]}", malformed, "One or more fields have incorrect format. Column a (int): [1, 2] does not fit"),
        (b"$GPGGA,1", parse, "Unexpected character '$' at byte 0: expected a JSON object."),
        (b"{\"a\":1", parse, "Unexpected end of the record at byte 6: expected ',' or '}'."),
        (b"{\"a\":1,}", parse, "Unexpected character '}' at byte 7: expected a key in quotes."),
        (b"{\"a\" 1}", parse, "Unexpected character '1' at byte 5: expected ':'."),
        (b"{\"a\":01}", parse, "Unexpected character '1' at byte 6: expected no digit after a leading zero."),
        (b"{\"x\":1.}", parse, "Unexpected character '}' at byte 7: expected a digit."),
        (b"{\"a\":-}", parse, "Unexpected character '}' at byte 6: expected a digit."),
        (b"{\"x\":\"\\x\"}", parse, "Unexpected character 'x' at byte 7: expected an escape character."),
        (b"{\"b\":\"\\u12g4\"}", parse, "Unexpected character 'g' at byte 10: expected four hex digits after \\u."),
        (b"{\"b\":\"abc", parse, "Unexpected end of the record at byte 9: expected '\"'."),
        (b"{\"x\":nul}", parse, "Unexpected character 'n' at byte 5: expected a value."),
        (b"\xef\xbb\xbf{}", parse, "Unexpected character '\u{feff}' at byte 0: expected a JSON object."),
        // Malformed JSON is told before a mismatch, wherever it is.
        (b"{\"a\":\"x\",\"b\":tru}", parse, "Unexpected character 't' at byte 13: expected a value."),
        (b"[1,", parse, "Unexpected end of the record at byte 3: expected a value."),
    ];
    for (record, head, detail) in cases {
        let shown = String::from_utf8_lossy(&record[..record.len().min(40)]);
        let (object, count, refused) = convert(TABLE, &spec(openx()), &[record]);
        assert_eq!((object.len(), count, refused.len()), (0, 0, 1), "{shown}");
        let cause = &refused[0].cause;
        assert_eq!(cause.message, format!("{head}{detail}"), "{shown}");
        let code = if *head == parse { "ParseError" } else { "MalformedData" };
        assert_eq!(cause.code, format!("DataFormatConversion.{code}"), "{shown}");
        assert_eq!((cause.kind, cause.attempts), (ErrorKind::FormatConversionFailed, 1));
    }
}

#[test]
fn unknown_fields_are_skipped_with_their_syntax_checked() {
    let skipped = [
        "null",
        "true",
        "-1.5e+3",
        "0",
        r#""\u0000\n""#,
        "[]",
        "{}",
        r#"[1,[],{},[[{"a":[{"a":1}]}]]]"#,
        r#"{"a":{"a":1},"b":[{"c":null}]}"#,
    ];
    for value in skipped {
        let record = format!("{{ \"zz\" : {value} , \"a\" : 1 }}");
        assert_eq!(rows(TABLE, openx(), &[&record]).0, [json!([1, null, null])], "{value}");
    }
    let broken = [
        "",
        "+1",
        ".5",
        "1.",
        "1e",
        "00",
        "-",
        "nan",
        "True",
        "'x'",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{,}",
        "[}",
        "{]",
        "[1",
        "{\"a\":1",
        r#""\""#,
        r#""\u00""#,
        "\"\u{1}\"",
        "1 2",
        "tru",
        "nulll",
    ];
    for value in broken {
        let record = format!("{{\"zz\":{value},\"a\":1}}");
        assert_eq!(rows(TABLE, openx(), &[&record]).1.len(), 1, "{value}");
    }
    let nested = format!("{{\"zz\":{}{},\"a\":1}}", "[".repeat(999), "]".repeat(999));
    assert_eq!(rows(TABLE, openx(), &[&nested]).0, [json!([1, null, null])]);
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let table = "create table t (a int, s struct<x:int,y:array<int>>, m map<string,int>, l string)";
    let records = [
        r#"{"a":1,"A":2}"#,
        r#"{"a":1,"a":null}"#,
        r#"{"s":{"x":1,"y":[1,2]},"s":{"y":[3]}}"#,
        r#"{"s":{"x":1,"X":2,"y":[1],"y":[]}}"#,
        r#"{"m":{"k":1,"l":2,"k":3}}"#,
        r#"{"l":"long","l":"s"}"#,
        r#"{"a":7}"#,
    ];
    let (found, causes) = rows(table, openx(), &records);
    assert_eq!(causes, []);
    let expected = json!([
        [2, null, null, null],
        [null, null, null, null],
        [null, [null, [3]], null, null],
        [null, [2, []], null, null],
        [null, null, [["l", 2], ["k", 3]], null],
        [null, null, null, "s"],
        [7, null, null, null],
    ]);
    assert_eq!(Value::from(found), expected);
    // Many keys of a map, the first of them shadowed, and keys that are equal only as numbers.
    let many: Vec<String> = (0..40).map(|i| format!("\"{}\":{i}", i % 39)).collect();
    let (found, _) = rows("create table t (m map<int,int>)", openx(), &[&format!("{{\"m\":{{{}}}}}", many.join(","))]);
    let found = found[0][0].as_array().unwrap().clone();
    assert_eq!((found.len(), &found[0], &found[38]), (39, &json!([1, 1]), &json!([0, 39])));
    assert_eq!(rows("create table t (m map<int,int>)", openx(), &[r#"{"m":{"1":1,"01":2}}"#]).0, [json!([[[1, 2]]])]);
    for kind in ["float", "double"] {
        let table = format!("create table t (m map<{kind},int>)");
        assert_eq!(rows(&table, openx(), &[r#"{"m":{"0":1,"-0":2}}"#]).0, [json!([[[-0.0, 2]]])], "{kind}");
    }
}

fn keys(case_insensitive: bool, dots_to_underscores: bool, mappings: &[(&str, &str)]) -> Deserializer {
    let key_mappings: BTreeMap<_, _> = mappings.iter().map(|&(c, k)| (c.to_owned(), k.to_owned())).collect();
    Deserializer::OpenX { case_insensitive, key_mappings, dots_to_underscores }
}

#[test]
fn keys_find_columns() {
    let table = "create table t (ts int, user_id int, n struct<ts:int,`Inner`:int>)";
    let record = r#"{"TS":1,"User.ID":2,"timestamp":3,"N":{"ts":4,"INNER":5,"TimeStamp":6},"user_id":7}"#;
    let cases: &[(Deserializer, Value)] = &[
        (keys(true, false, &[]), json!([1, 7, [4, 5]])),
        (keys(true, true, &[]), json!([1, 7, [4, 5]])),
        (keys(true, false, &[("ts", "timestamp")]), json!([3, 7, [6, 5]])),
        (keys(true, false, &[("TS", "TIMESTAMP"), ("user_id", "user.id")]), json!([3, 2, [6, 5]])),
        (keys(true, true, &[("user_id", "user.id")]), json!([1, 7, [4, 5]])),
        // Two columns of one key.
        (keys(true, false, &[("user_id", "ts")]), json!([1, 1, [4, 5]])),
        (keys(false, false, &[]), json!([null, 7, null])),
        (keys(false, false, &[("ts", "TS"), ("n", "N")]), json!([1, 7, [4, null]])),
        (hive(&[]), json!([1, 7, [4, 5]])),
    ];
    for (deserializer, expected) in cases {
        let (found, causes) = rows(table, deserializer.clone(), &[record]);
        assert_eq!(causes, []);
        assert_eq!(found[0], *expected, "{deserializer:?}");
    }
    let (found, _) = rows("create table t (a_b int)", keys(true, true, &[]), &[r#"{"A.B":1}"#, r#"{"a_b":2}"#]);
    assert_eq!(found, [json!([1]), json!([2])]);
    let (found, _) =
        rows("create table t (`größe` int)", openx(), &[r#"{"GRÖSSE":1,"GRÖßE":2}"#, r#"{"gr\u00f6\u00DFe":3}"#]);
    assert_eq!(found, [json!([2]), json!([3])]);
}

#[test]
fn more_keys_than_are_learnt_are_still_found() {
    let mut records: Vec<String> = (0..6000).map(|i| format!("{{\"u{i}\":1,\"A\":{i}}}")).collect();
    records.push(format!("{{\"{}\":1,\"B\":\"x\",\"{}\":2}}", "k".repeat(200_000), "l".repeat(200_000)));
    records.push("{\"new\":1,\"A\":7,\"newer\":2,\"B\":\"y\"}".to_owned());
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let (found, causes) = rows(TABLE, openx(), &records);
    assert_eq!(causes, []);
    assert_eq!(found[5999], json!([5999, null, null]));
    assert_eq!(found[6000], json!([null, "x", null]));
    assert_eq!(found[6001], json!([7, "y", null]));
}

#[test]
fn an_array_of_empty_wide_structs_cannot_take_all_memory() {
    let fields: Vec<String> = (0..2000).map(|i| format!("f{i}:bigint")).collect();
    let table = format!("create table t (a array<struct<{}>>)", fields.join(","));
    let record = format!("{{\"a\":[{}{{}}]}}", "{},".repeat(20_000));
    let (object, _, refused) = convert(&table, &spec(openx()), &[record.as_bytes()]);
    assert_eq!(refused[0].cause.message, "Data does not match the schema. The record is larger than a row may be.");
    assert_eq!(read(object), [] as [Value; 0]);
}
