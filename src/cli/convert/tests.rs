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

#[test]
fn out_is_a_file_or_a_link_to_one_and_takes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
    write("t.sql", "CREATE TABLE t (id bigint)");
    write("in", "{\"id\":1}\n");
    write("out.parquet.tmp", "somebody's");
    write("target", "");
    std::os::unix::fs::symlink("target", path("out.parquet")).unwrap();
    run(dir.path(), &[]).unwrap();
    assert!(fs::symlink_metadata(path("out.parquet")).unwrap().is_symlink());
    assert!(fs::read(path("target")).unwrap().starts_with(b"PAR1"));
    assert_eq!(fs::read(path("out.parquet.tmp")).unwrap(), b"somebody's");
    let refused = |what: &str| {
        let text = run(dir.path(), &[]).unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
    };
    fs::remove_file(path("target")).unwrap();
    refused("leads nowhere");
    fs::remove_file(path("out.parquet")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path("out.parquet")).status().unwrap().success());
    refused("no ordinary file");
    fs::remove_file(path("out.parquet")).unwrap();
    fs::create_dir(path("out.parquet")).unwrap();
    refused("is a folder");
    fs::remove_dir(path("out.parquet")).unwrap();
    // Nothing that teaches: each line says why.
    write("in", "x\n[1]\n");
    assert!(infer(dir.path(), "in", &[]).unwrap_err().to_string().contains("no column can be learnt"));
    assert_eq!(fs::read_to_string(path("rejects")).unwrap().lines().count(), 2);
}

/// The columns of the Parquet file, as text.
fn types(dir: &Path) -> String {
    let file = SerializedFileReader::new(fs::File::open(dir.join("out.parquet")).unwrap()).unwrap();
    let fields = file.metadata().file_metadata().schema().get_fields().to_vec();
    let kind = |field: &parquet::schema::types::Type| match field.is_primitive() {
        true => field.get_physical_type().to_string(),
        false => "group".to_owned(),
    };
    fields.iter().map(|field| format!("{} {}", field.name(), kind(field))).collect::<Vec<_>>().join(", ")
}

fn infer(dir: &Path, input: &str, more: &[&str]) -> Result<ExitCode, Failure> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (input, output, schema, rejects) = (file(input), file("out.parquet"), file("t.sql"), file("rejects"));
    let fixed = ["convert", &input, &output, "--infer", "--write-schema", &schema, "--rejects", &rejects, "--quiet"];
    Line::try_parse_from(fixed.iter().chain(more)).unwrap().args.run()
}

#[test]
fn an_integer_no_double_holds_is_remembered_until_there_are_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let row = |n: &str| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat(1000));
    // The sample of what is packed ends before the large one, and learning begins behind it.
    let rows = |upto: usize| (0..upto).map(|n| row(&n.to_string())).collect::<String>();
    let text = [rows(20_000), row("9007199254740993"), rows(5000), row("0.5")].concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    fs::write(dir.path().join("in.gz"), packed.finish().unwrap()).unwrap();
    let code = infer(dir.path(), "in.gz", &[]).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(types(dir.path()), "n BYTE_ARRAY, text BYTE_ARRAY");
}

#[test]
fn what_fitted_before_is_learnt_from_once_it_no_longer_does() {
    let dir = tempfile::tempdir().unwrap();
    // More than the head that is looked at of what is packed; then texts where there were empty values alone, and far
    // behind them, in another chunk, what makes of these something else.
    let head = format!("{{\"e\":{{}},\"l\":[],\"text\":\"{}\"}}\n", "x".repeat(1000));
    let texts = "{\"e\":\"\"}\n{\"l\":[\"\"]}\n{\"e\":\"{}\"}\n";
    let text = [&head.repeat(17_500), texts, &head.repeat(3000), "{\"e\":{\"k\":1}}\n{\"l\":[1]}\n"].concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    fs::write(dir.path().join("in.gz"), packed.finish().unwrap()).unwrap();
    let code = infer(dir.path(), "in.gz", &[]).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let ddl = fs::read_to_string(dir.path().join("t.sql")).unwrap();
    assert!(ddl.contains("`e` string") && ddl.contains("`l` array<string>"), "{ddl}");
}

/// Rows enough that the sample is not all, and a last one that fits nothing before.
fn surprising(rows: usize) -> String {
    let row = |n: usize| format!("{{\"n\":{n},\"e\":{{}},\"z\":null,\"text\":\"{}\"}}\n", "x".repeat(1000));
    let mut text: String = (0..rows).map(row).collect();
    text.insert_str(0, "[1]\n");
    text.push_str("{\"n\":0.5}\n{oh\n{\"E\":{\"k\":1},\"new\":[true]}\n{\"z\":1}");
    text
}

#[test]
fn a_table_is_learnt_and_learnt_anew_when_a_late_record_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    // One that the sample is all of, and one that is longer; plain and packed.
    for rows in [10, 40_000] {
        let text = surprising(rows);
        fs::write(dir.path().join("in"), &text).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        fs::write(dir.path().join("in.gz"), packed.finish().unwrap()).unwrap();
        fs::remove_file(dir.path().join("in.pipe")).ok();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("in.pipe")).status().unwrap();
        assert!(made.success());
        for input in ["in", "in.gz", "in.pipe"] {
            let writer = (input == "in.pipe").then(|| {
                let (path, text) = (dir.path().join(input), text.clone());
                std::thread::spawn(move || fs::write(path, text).unwrap())
            });
            let code = infer(dir.path(), input, &[]).unwrap();
            if let Some(writer) = writer {
                writer.join().unwrap();
            }
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
            assert_eq!(types(dir.path()), "n DOUBLE, e group, z INT64, text BYTE_ARRAY, new group", "{input} {rows}");
            let file = SerializedFileReader::new(fs::File::open(dir.path().join("out.parquet")).unwrap()).unwrap();
            assert_eq!(file.metadata().file_metadata().num_rows() as usize, rows + 3);
            let ddl = fs::read_to_string(dir.path().join("t.sql")).unwrap();
            assert!(ddl.contains("`e` struct<k:bigint>") && ddl.contains("TABLE `out` ("), "{ddl}");
            let rejects = fs::read_to_string(dir.path().join("rejects")).unwrap();
            let lines: Vec<_> = rejects.lines().map(|line| line.split([':', ',']).nth(1).unwrap()).collect();
            assert_eq!(lines, ["1", (rows + 3).to_string().as_str()], "{input}");
            // The same types as the whole file teaches.
            let file = dir.path().join("whole.sql");
            let args = ["schema", "infer", &dir.path().join("in").display().to_string(), "--table", "out", "-o"];
            let line = args.iter().map(|arg| (*arg).to_owned()).chain([file.display().to_string()]);
            #[derive(Parser)]
            struct SchemaLine {
                #[command(flatten)]
                args: crate::cli::schema::SchemaArgs,
            }
            SchemaLine::try_parse_from(line).unwrap().args.run().unwrap();
            let sorted = |text: &str| {
                let mut lines: Vec<_> = text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&fs::read_to_string(&file).unwrap()), sorted(&ddl));
            // And what it declares converts the same records.
            run(dir.path(), &[]).unwrap();
            let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
        }
    }
}

#[test]
fn what_teaches_nothing_is_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let text = |input: &str, more: &[&str]| {
        fs::write(dir.path().join("in"), input).unwrap();
        infer(dir.path(), "in", more).unwrap_err().to_string()
    };
    for input in ["", "[1]\nx\n", "{\"a\":null}\n{}\n"] {
        assert!(text(input, &[]).contains("no column can be learnt"), "{input}");
    }
    assert!(text("{\"a\":1}", &["--case-sensitive"]).contains("CaseInsensitive"));
    assert!(!dir.path().join("out.parquet").exists() && !dir.path().join("t.sql").exists());
    assert!(Line::try_parse_from(["convert", "a", "b"]).is_err());
    assert!(Line::try_parse_from(["convert", "a", "b", "--infer", "--schema", "c"]).is_err());
    assert!(Line::try_parse_from(["convert", "a", "b", "--schema", "c", "--write-schema", "d"]).is_err());
    let same = Line::try_parse_from(["convert", "a", "b", "--infer", "--write-schema", "b"]).unwrap();
    assert!(same.args.run().unwrap_err().to_string().contains("--write-schema and OUT are the same file"));
}
