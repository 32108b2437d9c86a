//! The folder of schemas.

use super::super::LookupError;
use super::super::folder::{LoadError, SchemaFolder};
use super::columns;
use std::fs;
use std::sync::Arc;

#[test]
fn the_folder_finds_caches_and_tells() {
    let dir = tempfile::tempdir().unwrap();
    let folder = SchemaFolder::new(dir.path());
    let missing = folder.load("Db", "T").unwrap_err();
    for name in ["Db.T.sql", "Db.T.json"] {
        assert!(missing.to_string().contains(&dir.path().join(name).display().to_string()), "{missing}");
    }
    fs::write(dir.path().join("db.t.sql"), "create table t (a int)").unwrap();
    let schema = folder.load("Db", "T").unwrap();
    assert_eq!(columns(&schema), ["a int"]);
    assert!(Arc::ptr_eq(&schema, &folder.load("db", "t").unwrap()));
    fs::write(dir.path().join("db.t.sql"), "create table t (a int, b int)").unwrap();
    assert_eq!(folder.load("db", "t").unwrap().columns.len(), 2);
    // Of another length: some file systems tell times apart by ticks of milliseconds.
    fs::write(dir.path().join("db.t.sql"), "create table t (a int, b itn) ").unwrap();
    let bad = folder.load("db", "t").unwrap_err();
    let code = |error: LoadError| LookupError::Folder(Arc::new(error)).code();
    let text = bad.to_string();
    assert_eq!(code(bad), "DataFormatConversion.InvalidSchema");
    assert_eq!(code(missing), "DataFormatConversion.EntityNotFound");
    assert!(text.ends_with("db.t.sql: line 1, column 26: 'itn' is not a Hive type"), "{text}");
    fs::write(dir.path().join("db.t.sql"), "create table t (a int)").unwrap();
    fs::write(dir.path().join("db.t.json"), r#"{"StorageDescriptor":{"Columns":[{"Name":"a","Type":"int"}]}}"#)
        .unwrap();
    assert!(matches!(folder.load("db", "t"), Err(LoadError::Ambiguous { .. })));
    fs::remove_file(dir.path().join("db.t.sql")).unwrap();
    assert_eq!(folder.load("db", "t").unwrap().version, schema.version);
    for (database, table) in [("..", "t"), ("a/b", "t"), ("db", "/etc/passwd"), ("", "t"), (".db", "t")] {
        assert!(matches!(folder.load(database, table), Err(LoadError::Name(_))), "{database} {table}");
    }
}
