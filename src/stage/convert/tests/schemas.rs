//! Table declarations, Glue tables, options.

use super::super::ddl::{parse_table, parse_type};
use super::super::glue::parse_glue_table;
use super::super::schema::TableSchema;
use super::super::{ConvertError, check};
use super::{hive, openx, spec};
use crate::stream::definition::Deserializer;

fn columns(schema: &TableSchema) -> Vec<String> {
    schema.columns.iter().map(ToString::to_string).collect()
}

#[test]
fn declarations_are_read() {
    let text = r"
        -- a comment
        CREATE EXTERNAL TABLE IF NOT EXISTS `db`.`t` ( /* and
            another */
          Id BIGINT COMMENT 'it''s; \'quoted\' )',
          `Two Words` string, price decimal(10, 2), d decimal, n numeric(5),
          c char(3), v VARCHAR(65535), i integer, dp double precision,
          tags array<string>,
          m map<string, array<struct<`a b`: int, x-y: date comment 'c', z:map<int,double>>>>,
          b binary NOT NULL
        )
        COMMENT 'table'
        PARTITIONED BY (day string, hour int)
        ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' WITH SERDEPROPERTIES ('a' = 'b;)')
        STORED AS PARQUET
        LOCATION 's3://bucket/x/'
        TBLPROPERTIES ('k'='v', 'classification'='parquet');
    ";
    let schema = parse_table(text).unwrap();
    let expected = [
        "id bigint",
        "`two words` string",
        "price decimal(10,2)",
        "d decimal(10,0)",
        "n decimal(5,0)",
        "c char(3)",
        "v varchar(65535)",
        "i int",
        "dp double",
        "tags array<string>",
        "m map<string,array<struct<`a b`:int,`x-y`:date,z:map<int,double>>>>",
        "b binary",
    ];
    assert_eq!(columns(&schema), expected);
    // The same columns in other clothes are the same version; other columns are not.
    let again = format!("create table x ({})", expected.join(" , -- c\n"));
    assert_eq!(parse_table(&again).unwrap().version, schema.version);
    let less = format!("create table x ({})", expected[1..].join(","));
    assert_ne!(parse_table(&less).unwrap().version, schema.version);
    // A type's text reads back as the same type.
    for column in &schema.columns {
        assert_eq!(parse_type(&column.kind.to_string()).unwrap(), column.kind);
    }
}

#[test]
fn errors_name_line_and_column() {
    let deep = format!("create table t (a {}int{})", "array<".repeat(64), ">".repeat(64));
    let cases = [
        ("", "line 1, column 1: expected CREATE, found the end of the text"),
        ("create view t (a int)", "line 1, column 8: expected TABLE, found 'view'"),
        ("create table t (a int\n  b int)", "line 2, column 3: expected ')' or ',' after the column, found 'b'"),
        ("create table t (a int,\n)", "line 2, column 1: expected a column's name, found ')'"),
        ("create table t ()", "line 1, column 17: expected a column's name, found ')'"),
        ("create table t (a text)", "line 1, column 19: 'text' is not a Hive type"),
        ("create table t (a uniontype<int>)", "line 1, column 19: the type uniontype is not supported"),
        ("create table t (a set<int>)", "line 1, column 19: the type set is not supported"),
        (
            "create table t (a map<array<int>,int>)",
            "line 1, column 23: the key of a map is a primitive type, not array<int>",
        ),
        ("create table t (a array<int)", "line 1, column 28: expected '>' after the array's type, found ')'"),
        ("create table t (a struct<>)", "line 1, column 26: expected a field's name, found '>'"),
        ("create table t (a decimal(39))", "line 1, column 27: expected a precision from 1 to 38, found '39'"),
        ("create table t (a decimal(5,6))", "line 1, column 29: expected a scale from 0 to 5, found '6'"),
        ("create table t (a char)", "line 1, column 23: expected '(' and a length, found ')'"),
        ("create table t (a varchar(0))", "line 1, column 27: expected a length from 1 to 65535, found '0'"),
        (
            "create table t (a int, A string)",
            "line 1, column 1: 'a' is declared twice (names are compared without case)",
        ),
        (
            "create table t (a int) stored as parquet; drop table t",
            "line 1, column 43: 'drop' after the end of the statement",
        ),
        ("create table `t (a int)", "line 1, column 14: the name in backticks is not closed"),
        ("create table t /* (a int)", "line 1, column 16: the comment is not closed"),
        ("create table t (a int comment 5)", "line 1, column 31: expected the comment in quotes, found '5'"),
        (deep.as_str(), "line 1, column 403: types may be nested 64 levels deep"),
    ];
    for (text, message) in cases {
        assert_eq!(parse_table(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn glue_tables_are_read() {
    let text = r#"{"Table":{"Name":"t","DatabaseName":"db","PartitionKeys":[{"Name":"day","Type":"string"}],
        "StorageDescriptor":{"Columns":[{"Name":"ID","Type":"bigint","Comment":"c"},
        {"Name":"x","Type":"array<struct<a-b:int,C:decimal(5,2)>>"}],"Location":"s3://b/"}}}"#;
    let schema = parse_glue_table(text).unwrap();
    assert_eq!(columns(&schema), ["id bigint", "x array<struct<`a-b`:int,C:decimal(5,2)>>"]);
    let bad = [
        ("{", "not JSON: "),
        ("{}", "Table.StorageDescriptor.Columns is missing"),
        (r#"{"Table":{"StorageDescriptor":{"Columns":[]}}}"#, "the table has no columns"),
        (r#"{"Table":{"StorageDescriptor":{"Columns":[{"Type":"int"}]}}}"#, "column 1 has no Name"),
        (r#"{"Table":{"StorageDescriptor":{"Columns":[{"Name":"a"}]}}}"#, "column 'a' has no Type"),
        (
            r#"{"Table":{"StorageDescriptor":{"Columns":[{"Name":"a","Type":"array<txt>"}]}}}"#,
            "column 'a', type 'array<txt>', line 1, column 7: 'txt' is not a Hive type",
        ),
    ];
    for (text, head) in bad {
        let message = parse_glue_table(text).unwrap_err().to_string();
        assert!(message.starts_with(head), "{text}: {message}");
    }
}

#[test]
fn options_are_checked_beforehand() {
    let table = parse_table("create table t (a int, s struct<m:map<string,array<decimal(9,2)>>>)").unwrap();
    check(&spec(openx()), &table).unwrap();
    check(&spec(hive(&["millis", "yyyy-MM-dd'T'HH:mm:ss"])), &table).unwrap();
    let invalid = check(&spec(hive(&["bbbb"])), &table).unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "Invalid deserializer option(s): One or more SerDe options are invalid for \
         org.apache.hcatalog.data.JsonSerDe: [Key: timestamp.formats Value: bbbb]"
    );
    for format in ["yyyy-MM-ddTHH:mm", "'open"] {
        assert!(check(&spec(hive(&[format])), &table).unwrap_err().to_string().starts_with("Invalid"), "{format}");
    }
    let unsupported = check(&spec(hive(&["YYYY-'W'ww"])), &table).unwrap_err();
    assert!(unsupported.to_string().contains("with the letter 'w'"), "{unsupported}");
    let mut mapped = openx();
    if let Deserializer::OpenX { key_mappings, .. } = &mut mapped {
        key_mappings.extend([("a".to_owned(), "x".to_owned()), ("A".to_owned(), "y".to_owned())]);
    }
    assert!(matches!(check(&spec(mapped), &table), Err(ConvertError::Mapping(_))));
}
