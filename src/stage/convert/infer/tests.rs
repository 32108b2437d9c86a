//! What is learnt, and that every record that was observed comes through the table learnt, value by value.
//!
//! `HYDRANT_TEST_SEED=n` replays a run of the random tests.

use super::super::ddl::parse_table;
use super::super::declare::declaration;
use super::super::learnt_encoder;
use super::super::schema::{Field, HiveType};
use super::super::tests::{hive, openx, read, spec};
use super::*;
use crate::record::Refused;
use crate::stream::definition::Deserializer;
use fastrand::Rng;
use serde_json::Value;
use std::collections::BTreeMap;

mod data_sets;
mod random;

fn learn<'a>(records: impl IntoIterator<Item = &'a str>) -> Learner {
    let mut learner = Learner::new(&spec(openx())).unwrap();
    for record in records {
        learner.observe(record.as_bytes());
    }
    learner
}

/// The columns as in a declaration, or nothing.
fn columns(learner: &Learner) -> String {
    let table = learner.shapes().table();
    let columns = table.iter().flat_map(|table| &table.schema.columns);
    columns.map(Field::to_string).collect::<Vec<_>>().join(", ")
}

fn learnt(records: &[&str]) -> String {
    columns(&learn(records.iter().copied()))
}

/// The columns as they are found again once they were kept.
fn kept_and_read(shapes: &Shapes) -> Shapes {
    let table = codec::KeptTable {
        revision: 3,
        first_seal: 9,
        declared: Some("v s3://b/p/".to_owned()),
        shapes: shapes.clone(),
    };
    let read = codec::decode(&codec::encode(&table)).unwrap();
    assert_eq!(read, table);
    read.shapes
}

/// One object of the records, what was refused, and whether the table took all.
fn convert(table: &LearntTable, is_final: bool, records: &[&[u8]]) -> (Vec<u8>, Vec<Refused>, bool) {
    convert_as(openx(), table, is_final, records)
}

fn convert_as(
    deserializer: Deserializer,
    table: &LearntTable,
    is_final: bool,
    records: &[&[u8]],
) -> (Vec<u8>, Vec<Refused>, bool) {
    let mut encoder = learnt_encoder(&spec(deserializer), table, 7, is_final).unwrap();
    let (mut object, mut refused) = (Vec::new(), Vec::new());
    for (i, some) in records.chunks(500).enumerate() {
        let chunk = Chunk::from_records(some.iter().copied(), 500 * i as u64, 0);
        refused.extend(encoder.push(&chunk, &mut object).unwrap());
    }
    let fits = encoder.fits();
    let count = encoder.finish(&mut object).unwrap();
    assert!(!fits || count as usize + refused.len() == records.len());
    (object, refused, fits)
}

/// Whether the value read back from a column of `kind` is the one in the record.
fn is_same(kind: &HiveType, found: &Value, wanted: &Value) -> bool {
    if wanted.is_null() || found.is_null() {
        return wanted.is_null() && found.is_null();
    }
    match kind {
        HiveType::String => {
            let text = found.as_str().unwrap();
            match wanted {
                Value::String(wanted) => text == wanted,
                other => serde_json::from_str::<Value>(text).is_ok_and(|value| value == *other),
            }
        }
        HiveType::Boolean => found == wanted,
        HiveType::BigInt | HiveType::Double => {
            let is_exact = wanted.as_i64().is_none() || found.as_f64() == Some(wanted.as_i64().unwrap() as f64);
            if *kind == HiveType::BigInt && wanted.is_i64() {
                found == wanted
            } else {
                found.as_f64() == wanted.as_f64() && is_exact
            }
        }
        HiveType::Array(item) => {
            let (found, wanted) = (found.as_array().unwrap(), wanted.as_array().unwrap());
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| is_same(item, found, wanted))
        }
        HiveType::Struct(fields) => is_same_object(fields, found, wanted),
        other => panic!("{other} is never learnt"),
    }
}

/// As [`is_same`]; keys are compared without case, and each that is not null has a field.
fn is_same_object(fields: &[Field], found: &Value, wanted: &Value) -> bool {
    let mut wanted: BTreeMap<String, &Value> =
        wanted.as_object().unwrap().iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
    let found = found.as_array().unwrap();
    let same = fields.iter().zip(found).all(|(field, found)| {
        is_same(&field.kind, found, wanted.remove(&field.name.to_lowercase()).unwrap_or(&Value::Null))
    });
    same && wanted.values().all(|value| value.is_null())
}

#[test]
fn kinds_of_values_become_types() {
    let cases: &[(&[&str], &str)] = &[
        (&[r#"{"a":1}"#], "a bigint"),
        (&[r#"{"a":null}"#], ""),
        (&[r#"{}"#], ""),
        (&[r#"{"a":null,"b":1}"#, r#"{"a":true}"#], "a boolean, b bigint"),
        (&[r#"{"a":1}"#, r#"{"a":1.5}"#], "a double"),
        (&[r#"{"a":1.0}"#], "a double"),
        (&[r#"{"a":1e3}"#], "a double"),
        (&[r#"{"a":9007199254740992}"#, r#"{"a":0.5}"#], "a double"),
        (&[r#"{"a":9007199254740993}"#], "a bigint"),
        (&[r#"{"a":9007199254740993}"#, r#"{"a":0.5}"#], "a string"),
        (&[r#"{"a":0.5}"#, r#"{"a":-9007199254740993}"#], "a string"),
        (&[r#"{"a":9223372036854775807}"#, r#"{"a":-9223372036854775808}"#], "a bigint"),
        (&[r#"{"a":9223372036854775808}"#], "a string"),
        (&[r#"{"a":-9223372036854775809}"#], "a string"),
        (&[r#"{"a":123456789012345678901234567890}"#], "a string"),
        (&[r#"{"a":1e308}"#], "a double"),
        (&[r#"{"a":1e309}"#], "a string"),
        (&[r#"{"a":1e-999}"#], "a double"),
        (&[r#"{"a":"1"}"#], "a string"),
        (&[r#"{"a":"2020-01-01T00:00:00Z"}"#], "a string"),
        (&[r#"{"a":1}"#, r#"{"a":"x"}"#], "a string"),
        (&[r#"{"a":true}"#, r#"{"a":1}"#], "a string"),
        (&[r#"{"a":[]}"#], "a array<string>"),
        (&[r#"{"a":[null]}"#, r#"{"a":[1,2.5]}"#], "a array<double>"),
        (&[r#"{"a":[{"b":1},{"c":[true]},{}]}"#], "a array<struct<b:bigint,c:array<boolean>>>"),
        (&[r#"{"a":{}}"#], "a string"),
        (&[r#"{"a":{"b":null}}"#], "a string"),
        (&[r#"{"a":{}}"#, r#"{"a":{"b":1}}"#], "a struct<b:bigint>"),
        (&[r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#], "a string"),
        (&[r#"{"a":{"b":1}}"#, r#"{"a":1}"#], "a string"),
        // Names.
        (&[r#"{"Ab":1,"aB":2.5}"#], "ab double"),
        (&[r#"{"a":{"Ab":1,"aB":2.5}}"#], "a struct<Ab:double>"),
        (&[r#"{"A b":1,"x`y":{"p q":1}}"#], "`a b` bigint, `x``y` struct<`p q`:bigint>"),
        (&["{\"\\u00c4\":1}"], "`ä` bigint"),
        (&[r#"{"":1," ":2,"a\u0007":3,"b":4}"#], "b bigint"),
        (&[r#"{"a":{"":1}}"#], "a string"),
        (&[r#"{"a":[{"b":{"c\n":1}}]}"#], "a array<struct<b:string>>"),
        // Several objects in a record, and equal keys.
        (&[r#"{"a":1} {"b":2}"#], "a bigint, b bigint"),
        (&[r#"{"a":1,"a":"x"}"#], "a string"),
        // What is no record teaches nothing.
        (&["", " ", "[1]", "1", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a":1}{"b":tru}"#, r#"{"a":01}"#], ""),
        (&[r#"{"a":1,"b":[1,2}"#, r#"{"c":1}"#], "c bigint"),
    ];
    for (records, expected) in cases {
        assert_eq!(learnt(records), *expected, "{records:?}");
    }
    let not_utf8 = b"{\"a\":\"\xff\"}";
    assert!(!Learner::new(&spec(openx())).unwrap().observe(not_utf8));
    let deep = format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(learnt(&[&deep]), "");
}

#[test]
fn keys_are_named_as_the_deserializer_says() {
    let columns = |deserializer: Deserializer, record: &str| {
        let mut learner = Learner::new(&spec(deserializer.clone())).unwrap();
        assert!(learner.observe(record.as_bytes()));
        let table = learner.shapes().table().unwrap();
        let (object, refused, fits) = convert_as(deserializer, &table, false, &[record.as_bytes()]);
        assert!(fits && refused.is_empty(), "{record}: {refused:?}");
        (columns(&learner), Value::Array(read(object)).to_string())
    };
    let mapped = |pairs: &[(&str, &str)], dots_to_underscores| Deserializer::OpenX {
        case_insensitive: true,
        key_mappings: pairs.iter().map(|(column, key)| ((*column).to_owned(), (*key).to_owned())).collect(),
        dots_to_underscores,
    };
    let cases = [
        (mapped(&[], true), r#"{"a.B":1,"c":{"D.e":2}}"#, "a_b bigint, c struct<d_e:bigint>", "[[1,[2]]]"),
        (mapped(&[("ts", "TimeStamp")], false), r#"{"timestamp":1,"ts":"x"}"#, "ts bigint", "[[1]]"),
        (mapped(&[("ts", "t")], false), r#"{"a":{"t":1}}"#, "a struct<ts:bigint>", "[[[1]]]"),
        (mapped(&[("a", "k"), ("b", "k")], false), r#"{"k":[1]}"#, "a array<bigint>, b array<bigint>", "[[[1],[1]]]"),
        // The key of one mapping is the column of another.
        (mapped(&[("a", "b"), ("b", "c")], false), r#"{"b":1,"c":2,"a":3}"#, "a bigint, b bigint", "[[1,2]]"),
        (
            mapped(&[("a", "b"), ("b", "c")], false),
            r#"{"s":{"c":1}}{"s":{"b":2.5}}"#,
            "s struct<b:double,a:double>",
            "[[[1.0,null]],[[2.5,2.5]]]",
        ),
        (
            hive(&["yyyy"]),
            r#"{"A":"2020","b":{"C":[1]}}"#,
            "a string, b struct<C:array<bigint>>",
            r#"[["2020",[[1]]]]"#,
        ),
        (hive(&[]), r#"{"a":{}}{"a":[1, 2]}"#, "a string", r#"[["{}"],["[1, 2]"]]"#),
    ];
    for (deserializer, record, expected, rows) in cases {
        assert_eq!(columns(deserializer, record), (expected.to_owned(), rows.to_owned()), "{record}");
    }
    let sensitive =
        Deserializer::OpenX { case_insensitive: false, key_mappings: BTreeMap::new(), dots_to_underscores: false };
    assert!(matches!(Learner::new(&spec(sensitive)), Err(ConvertError::CaseSensitive)));
}

#[test]
fn what_can_have_no_column_goes_to_that_of_unknown_fields() {
    let mut spec = spec(openx());
    spec.unknown_fields_column = Some("Rest".to_owned());
    let record = br#"{"":1,"a":2,"rest":{"x":[1]},"n":null," ":null,"s":{"b":true}}"#;
    let mut learner = Learner::new(&spec).unwrap();
    assert!(learner.observe(record));
    assert_eq!(columns(&learner), "a bigint, s struct<b:boolean>");
    let table = learner.shapes().table().unwrap();
    let mut encoder = learnt_encoder(&spec, &table, 1, false).unwrap();
    let mut object = Vec::new();
    let chunk = Chunk::from_records([&record[..], br#"{"a":3}"#, br#"{"rest":"y","a":4}"#], 0, 0);
    assert_eq!(encoder.push(&chunk, &mut object).unwrap(), []);
    assert!(encoder.fits());
    encoder.finish(&mut object).unwrap();
    let rows = Value::Array(read(object)).to_string();
    assert_eq!(rows, r#"[[2,[true],"{\"\":1,\"rest\":{\"x\":[1]}}"],[3,null,null],[4,null,"{\"rest\":\"y\"}"]]"#);
    // A key that could have a column of its own does not belong there.
    let mut encoder = learnt_encoder(&spec, &table, 1, false).unwrap();
    encoder.push(&Chunk::from_records([&br#"{"new":1}"#[..]], 0, 0), &mut Vec::new()).unwrap();
    assert!(!encoder.fits());
}

#[test]
fn what_is_beyond_the_limits_is_text_or_left_out() {
    let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(learnt(&[&nested(15)]), format!("a {}bigint{}", "array<".repeat(15), ">".repeat(15)));
    assert_eq!(learnt(&[&nested(16)]), format!("a {}string{}", "array<".repeat(15), ">".repeat(15)));
    assert_eq!(learnt(&[&nested(900)]), format!("a {}string{}", "array<".repeat(15), ">".repeat(15)));

    let object = |keys: std::ops::Range<usize>| {
        let fields: Vec<String> = keys.map(|key| format!("\"k{key}\":{key}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let within = |text: &str| format!("{{\"a\":{text}}}");
    assert!(learnt(&[&within(&object(0..512))]).starts_with("a struct<k0:bigint"));
    assert_eq!(learnt(&[&within(&object(0..513))]), "a string");
    assert_eq!(learnt(&[&within(&object(0..300)), &within(&object(300..600))]), "a string");

    // Columns beyond the limit are left out, and that is no fault of their records.
    let wide = object(0..4100);
    let mut learner = learn([&*wide]);
    let table = learner.freeze().table().unwrap();
    assert!((table.schema.columns.len(), table.closed) == (4000, true));
    let (object_, refused, fits) = convert(&table, false, &[wide.as_bytes(), br#"{"k0":1,"new":2}"#]);
    assert!(fits && refused.is_empty() && !object_.is_empty());
    // A column that became text makes room below it, but not for columns once some were left out.
    let mut learner = learn([&*within(&object(0..500))]);
    assert_eq!(columns(&learner).matches("bigint").count(), 500);
    assert!(learner.observe(b"{\"a\":1}"));
    assert!(learner.observe(object(0..3999).as_bytes()));
    let shapes = learner.shapes();
    assert_eq!((shapes.columns.len(), shapes.closed), (4000, false));
    assert_eq!(columns(&learn([&*format!("{{\"{}\":1,\"{}\":2}}", "x".repeat(255), "y".repeat(256))])).len(), 255 + 7);
}

#[test]
fn frozen_columns_keep_their_places_and_only_widen() {
    let mut learner = learn([r#"{"z":null,"a":1,"e":{},"l":[],"s":{"y":null,"x":1}}"#]);
    let first = "a bigint, e string, l array<string>, s struct<x:bigint>";
    assert_eq!(columns(&learner), first);
    let not_frozen = &[r#"{"e":{"k":1},"l":[1]}"#, r#"{"z":true,"s":{"y":2.5}}"#];
    let table = learner.shapes().table().unwrap();
    assert_eq!(table.narrow, [vec![0], vec![1], vec![2], vec![3, 0]]);
    assert_eq!(learner.freeze().table().unwrap().narrow, [vec![0], vec![3, 0]]);
    assert_eq!(columns(&learner), first);
    not_frozen.iter().for_each(|record| assert!(learner.observe(record.as_bytes())));
    assert_eq!(columns(&learner), "a bigint, e string, l array<string>, s struct<x:bigint,y:double>, z boolean");
    // What is kept goes on in the same way.
    learner.freeze();
    let shapes = kept_and_read(&learner.shapes());
    assert_eq!(shapes, learner.shapes());
    let mut resumed = Learner::resume(&spec(openx()), &shapes).unwrap();
    for record in [r#"{"n":9007199254740993,"a":1.5}"#, r#"{"n":0.5,"s":{"x":[]}}"#, r#"{"s":{"w":1},"z":false}"#] {
        assert!(learner.observe(record.as_bytes()) && resumed.observe(record.as_bytes()));
        assert_eq!(learner.freeze(), resumed.freeze());
    }
    let last = "a double, e string, l array<string>, s struct<x:string,y:double,w:bigint>, z boolean, n string";
    assert_eq!(columns(&resumed), last);
    // A large integer is remembered.
    let mut large = learn([r#"{"n":9007199254740993}"#]);
    let shapes = kept_and_read(&large.freeze());
    let mut large = Learner::resume(&spec(openx()), &shapes).unwrap();
    assert!(large.observe(b"{\"n\":0.5}"));
    assert_eq!(columns(&large), "n string");
}

#[test]
fn what_does_not_fit_ends_the_encoding_or_is_refused_in_the_end() {
    let learner = learn([r#"{"i":1,"d":0.5,"b":true,"t":"x","l":[1],"s":{"x":1},"e":{},"m":[],"z":null}"#]);
    let table = learner.shapes().table().unwrap();
    let fit = [
        r#"{"i":-5,"d":7,"b":null,"t":{"any":["thing"]},"l":[null],"s":{"q":null},"zz":null}"#,
        r#"{"d":9007199254740992,"t":12345678901234567890,"e":{ },"m":[[],null,{}]}"#,
        r#"{"":1,"\u0000":2}"#,
    ];
    // A record that is nothing is refused whatever is learnt.
    let never = ["[1]", "{", "", r#"{"i":"x","b":}"#];
    let records: Vec<&[u8]> = fit.iter().chain(&never).map(|record| record.as_bytes()).collect();
    let (_, refused, fits) = convert(&table, false, &records[..1]);
    assert!(fits && refused.is_empty());
    let (_, refused, fits) =
        convert(&table, false, &[records[0], records[2], records[3], records[4], records[5], records[6]]);
    assert!(fits);
    assert_eq!(refused.len(), 4);
    let unfit = [
        r#"{"i":"20"}"#,
        r#"{"i":1.0}"#,
        r#"{"i":1e2}"#,
        r#"{"i":9223372036854775808}"#,
        r#"{"i":9007199254740993}"#,
        r#"{"l":[2,-9007199254740993]}"#,
        r#"{"s":{"x":9007199254740993}}"#,
        r#"{"d":"0.5"}"#,
        r#"{"d":"NaN"}"#,
        r#"{"d":9007199254740993}"#,
        r#"{"d":99999999999999999999}"#,
        r#"{"d":1e999}"#,
        r#"{"b":"true"}"#,
        r#"{"b":1}"#,
        r#"{"l":1}"#,
        r#"{"l":["1"]}"#,
        r#"{"s":[]}"#,
        r#"{"s":{"y":1}}"#,
        r#"{"z":1}"#,
        r#"{"new":{}}"#,
        r#"{"e":{"k":1}}"#,
        r#"{"e":1}"#,
        r#"{"m":[1]}"#,
        r#"{"m":[["x"]]}"#,
    ];
    for record in unfit {
        let (_, refused, fits) = convert(&table, false, &[fit[0].as_bytes(), record.as_bytes()]);
        assert!(!fits && refused.is_empty(), "{record}");
        // And once it is learnt it fits.
        let mut more = learn([r#"{"i":1,"d":0.5,"b":true,"t":"x","l":[1],"s":{"x":1},"e":{},"m":[],"z":null}"#]);
        assert!(more.observe(record.as_bytes()));
        let (_, refused, fits) =
            convert(&more.shapes().table().unwrap(), false, &[fit[0].as_bytes(), record.as_bytes()]);
        assert!(fits && refused.is_empty(), "{record}: {refused:?}");
    }
    // What could only be empty before is frozen in the end, and fits, as large integers do; the rest is refused.
    let (_, refused, fits) = convert(&table, true, &unfit.map(str::as_bytes));
    assert_eq!((refused.len(), fits), (unfit.len() - 7, true));
}

#[test]
fn the_declaration_is_read_back() {
    let learner = learn([
        r#"{"a b":1,"select":{"x-y":1,"`":[{"date":"x"}],"1":true,"ä":0.5},"`q`":"t","'":[[1]],"--":1,"/*":2,"\\":3}"#,
    ]);
    let schema = learner.shapes().table().unwrap().schema;
    let text = declaration(&schema, "db.my`table", "s3://b/it's/\\");
    assert_eq!(parse_table(&text).unwrap(), *schema, "{text}");
    assert!(text.starts_with("CREATE EXTERNAL TABLE `db`.`my``table` (\n  `a b` bigint,\n"), "{text}");
    assert!(text.ends_with(")\nSTORED AS PARQUET\nLOCATION 's3://b/it\\'s/\\\\';\n"), "{text}");
}

#[test]
fn the_kept_form_is_stable_and_checked() {
    let golden = include_str!("tests/learnt-v1.json");
    let table = codec::decode(golden.as_bytes()).unwrap();
    assert_eq!(codec::encode(&table), golden.as_bytes());
    let declared = codec::KeptTable { declared: Some("\"".to_owned()), ..table.clone() };
    assert_eq!(codec::decode(&codec::encode(&declared)).unwrap(), declared);
    let codec::KeptTable { revision, first_seal, declared: None, shapes } = table else { panic!("{table:?}") };
    let columns: Vec<_> = shapes.table().unwrap().schema.columns.iter().map(Field::to_string).collect();
    assert_eq!(
        columns.join(", "),
        "a boolean, b bigint, c bigint, d double, e string, f array<struct<X:bigint,y:array<string>>>"
    );
    assert_eq!((shapes.closed, revision, first_seal), (true, 12, 345));
    let newer = golden.replace("\"version\":1", "\"version\":2");
    assert_eq!(codec::decode(newer.as_bytes()), Err(codec::CodecError::Newer(2)));
    for (text, by) in [
        ("\"boolean\"", "\"int\""),
        ("[\"b\",", "[\"A\","),
        ("\"revision\":12,", ""),
        ("\"first_seal\":345,", ""),
        ("\"closed\"", "\"declared\":7,\"closed\""),
        ("\"array\"", "\"list\""),
        ("-learnt-", "-"),
        ("[\"e\",\"string\"]", "[\"e\"]"),
    ] {
        assert!(golden.contains(text));
        let damaged = codec::decode(golden.replace(text, by).as_bytes());
        assert!(matches!(damaged, Err(codec::CodecError::Damaged(_))), "{text}: {damaged:?}");
    }
    let deep = golden.replace("\"double\"", &format!("{}\"string\"{}", "{\"array\":".repeat(17), "}".repeat(17)));
    assert!(codec::decode(deep.as_bytes()).is_err());
}
