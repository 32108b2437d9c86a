//! What `hydrant check` tells beyond a parse: files that are named, settings that a store may not take.

use super::*;

#[test]
fn a_check_looks_for_the_files_that_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hydrant.yaml");
    let missing = check(&path);
    assert!(missing[0].to_string().ends_with("No such file or directory (os error 2)"), "{}", missing[0]);
    std::fs::write(
        &path,
        with(
            r#"api: {tls_cert: c.pem, tls_key: k.pem}
s3: {credentials: {access_key_id: {env: HYDRANT_NO_SUCH_VARIABLE}, secret_access_key: {file: key}}}
transforms_dir: t
schemas_dir: s
streams:
- DeliveryStreamName: a
  ExtendedS3DestinationConfiguration:
    RoleARN: arn:aws:iam::000000000000:role/r
    BucketARN: arn:aws:s3:::lake
    ProcessingConfiguration:
      Enabled: true
      Processors:
      - Type: Lambda
        Parameters: [{ParameterName: LambdaArn, ParameterValue: "arn:aws:lambda:us-east-1:000000000000:function:f:2"}]
    DataFormatConversionConfiguration:
      SchemaConfiguration: {RoleARN: r, DatabaseName: db, TableName: t}
      InputFormatConfiguration: {Deserializer: {OpenXJsonSerDe: {}}}
      OutputFormatConfiguration: {Serializer: {ParquetSerDe: {}}}
"#,
        ),
    )
    .unwrap();
    let members = || check(&path).into_iter().map(|problem| problem.member).collect::<Vec<_>>();
    let keys = ["s3.credentials.access_key_id", "s3.credentials.secret_access_key"];
    assert_eq!(
        members(),
        [
            "api.tls_cert",
            "api.tls_key",
            keys[0],
            keys[1],
            "transforms_dir",
            "schemas_dir",
            "streams.a",
            "streams.a.SchemaConfiguration"
        ]
    );
    let lines: Vec<_> = check(&path).into_iter().map(|problem| problem.line.unwrap()).collect();
    assert_eq!(lines, [3, 3, 4, 4, 5, 6, 8, 18]);
    let variable = super::missing(&path, &load(&path).unwrap()).remove(0);
    assert_eq!((variable.member.as_str(), variable.line), (keys[0], Some(4)));
    for folder in ["t", "s"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for file in ["c.pem", "k.pem", "key", "t/f@2.wasm", "s/db.t.sql"] {
        std::fs::write(dir.path().join(file), "x").unwrap();
    }
    let schema = "streams.a.SchemaConfiguration";
    assert_eq!(members(), [keys[0], "streams.a", schema], "x is no transform and declares no table");
    let problem = check(&path).swap_remove(1).to_string();
    assert!(problem.contains("cannot use f@2.wasm: not a WebAssembly component"), "{problem}");
    std::fs::write(dir.path().join("t/f@2.wasm"), include_bytes!("../../../transforms/enrich.wasm")).unwrap();
    std::fs::write(dir.path().join("s/db.t.sql"), "create table t (a int)").unwrap();
    assert_eq!(members(), keys[..1]);
    // One that is learnt needs no file.
    std::fs::remove_file(dir.path().join("s/db.t.sql")).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("DatabaseName: db, TableName: t", "DatabaseName: hydrant, TableName: infer"))
        .unwrap();
    assert_eq!(members(), keys[..1]);
    std::fs::write(&path, text).unwrap();
    std::fs::write(dir.path().join("s/db.t.sql"), "create table t (a int)").unwrap();
    // A table without a file is Glue's, of which nothing is asked here.
    std::fs::remove_file(dir.path().join("s/db.t.sql")).unwrap();
    let glue = "glue: {ca_file: ca, credentials: {access_key_id: {file: key}, secret_access_key: {file: none}}}\n";
    let text = std::fs::read_to_string(&path).unwrap() + glue;
    std::fs::write(&path, text).unwrap();
    assert_eq!(members(), [keys[0], "glue.ca_file", "glue.credentials.secret_access_key"]);
}

#[test]
fn a_check_tells_of_parts_that_s3_does_not_take() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hydrant.yaml");
    let sections = "s3:\n  part_size: 5MiB\n  buckets:\n    a.b: {part_size: 4MiB}\n    a: {}\nregon: x\n";
    std::fs::write(&path, with(sections)).unwrap();
    let found: Vec<_> = check(&path).into_iter().map(|problem| (problem.line, problem.member)).collect();
    assert_eq!(found, [(Some(6), "s3.buckets.a.b.part_size".to_owned()), (Some(8), "regon".to_owned())]);
    let text = with(sections).replace("regon", "region");
    assert!(parse(&path, &text).is_ok_and(|config| doubtful(&config).len() == 1), "a service starts with it");
}
