//! The command from file to file.

use super::*;
use clap::Parser;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ConvertArgs,
}

fn run(dir: &Path, more: &[&str]) -> Result<ExitCode, Failure> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (input, output, schema, rejects) = (file("in"), file("out.parquet"), file("t.sql"), file("rejects"));
    let fixed = ["convert", &input, &output, "--schema", &schema, "--rejects", &rejects, "--quiet"];
    Line::try_parse_from(fixed.iter().chain(more)).unwrap().args.run()
}

#[test]
fn lines_become_rows_and_rejects_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.sql"), "CREATE TABLE t (id bigint, name string)").unwrap();
    fs::write(
        dir.path().join("in"),
        "{\"id\":1,\"name\":\"a\"}\n\n{\"id\":\"x\"}\n{\"ID\":3}{\"id\":4}\n[1]\n{\"id\":5}",
    )
    .unwrap();
    let code = run(dir.path(), &["--compression", "zstd"]).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
    let file = SerializedFileReader::new(fs::File::open(dir.path().join("out.parquet")).unwrap()).unwrap();
    assert_eq!(file.metadata().file_metadata().num_rows(), 4);
    let rejects = fs::read_to_string(dir.path().join("rejects")).unwrap();
    let rejects: Vec<serde_json::Value> = rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = rejects.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!((numbers, &rejects[0]["record"]), (vec![3, 5], &"{\"id\":\"x\"}".into()));
    assert!(rejects[0]["code"].as_str().unwrap().starts_with("DataFormatConversion."), "{rejects:?}");
    // No line is a row: the file that was there stays, and nothing is left over.
    fs::write(dir.path().join("in"), "[]\n").unwrap();
    assert!(run(dir.path(), &[]).unwrap_err().to_string().contains("no line could be converted"));
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["in", "out.parquet", "rejects", "t.sql"]);
}

#[test]
fn unknown_fields_have_a_column_if_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.sql"), "CREATE TABLE t (id bigint)").unwrap();
    fs::write(dir.path().join("in"), "{\"id\":1,\"name\": \"a\"}\n").unwrap();
    run(dir.path(), &["--unknown-fields", "rest"]).unwrap();
    let file = SerializedFileReader::new(fs::File::open(dir.path().join("out.parquet")).unwrap()).unwrap();
    let row = file.get_row_iter(None).unwrap().next().unwrap().unwrap();
    assert_eq!(row.to_string(), r#"{id: 1, rest: "{"name":"a"}"}"#);
    let error = run(dir.path(), &["--unknown-fields", "ID"]).unwrap_err().to_string();
    assert!(error.contains("'id'") && error.contains("bigint"), "{error}");
}

#[test]
fn what_cannot_work_is_said_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let text = |more: &[&str]| run(dir.path(), more).unwrap_err().to_string();
    assert!(text(&[]).contains("t.sql"));
    fs::write(dir.path().join("t.sql"), "CREATE TABLE t (id wrong)").unwrap();
    assert!(text(&[]).contains("wrong"));
    fs::write(dir.path().join("t.sql"), "CREATE TABLE t (id bigint)").unwrap();
    assert!(text(&[]).contains("cannot read"));
    assert!(text(&["--deserializer", "hive", "--timestamp-format", "QQ"]).contains("QQ"));
    assert!(!dir.path().join("out.parquet").exists());
    fs::write(dir.path().join("in"), "{}\n").unwrap();
    std::os::unix::fs::symlink("in", dir.path().join("out.parquet")).unwrap();
    assert!(text(&[]).contains("write to another file"));
    assert_eq!(fs::read(dir.path().join("in")).unwrap(), b"{}\n");
}
