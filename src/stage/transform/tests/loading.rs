//! Which files are taken as transforms, when a changed one is, and the compiled code that is kept.

use super::*;
use std::fs;

#[test]
fn a_component_needs_the_right_shape() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path().to_owned());
    let load = |name: &str, wasm: &[u8]| {
        fs::write(dir.path().join(format!("{name}.wasm")), wasm).unwrap();
        folder.load(&spec(name)).unwrap_err()
    };
    assert!(matches!(load("text", b"not wasm at all"), LoadError::NotAComponent(_)));
    // An empty core module, and an empty component.
    assert!(matches!(load("core", b"\0asm\x01\0\0\0"), LoadError::NotAComponent(_)));
    let LoadError::NoWorld(exports) = load("empty", b"\0asm\x0d\0\x01\0") else { panic!("no world") };
    assert_eq!(exports, ["nothing"]);
    let imports = fs::read(guests().join("imports.wasm")).unwrap();
    assert!(matches!(load("cut", &imports[..imports.len() / 2]), LoadError::Invalid(_)));
    let LoadError::Imports(names) = load("imports", &imports) else { panic!("imports") };
    assert_eq!(names, ["test:guest/clock#now", "beep"]);
    let LoadError::Imports(names) = load("wasi", &fs::read(guests().join("wasi.wasm")).unwrap()) else {
        panic!("wasi")
    };
    let expected = "io/error#error io/streams#output-stream io/streams#error \
                    io/streams#[method]output-stream.blocking-write-and-flush \
                    cli/environment#get-environment cli/environment#get-arguments cli/exit#exit \
                    cli/stdout#output-stream cli/stdout#get-stdout \
                    clocks/wall-clock#now random/random#get-random-u64";
    let short = names.iter().map(|name| name.trim_start_matches("wasi:").replace("@0.2.3", "")).collect::<Vec<_>>();
    assert_eq!(short.join(" "), expected);
    let types = fs::read(guests().join("wrong-types.wasm")).unwrap();
    assert!(matches!(load("types", &types), LoadError::Types(_)));
}

#[test]
fn files_are_found_by_name_and_version_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guests().join("poison-list.wasm"), dir.path().join("t.wasm")).unwrap();
    fs::copy(guests().join("poison-packed.wasm"), dir.path().join("t@7.wasm")).unwrap();
    let folder = folder(dir.path().to_owned());
    let load = |function: &str, version: Option<&str>| {
        folder.load(&TransformSpec { version: version.map(str::to_owned), ..spec(function) })
    };
    let newest = load("t", None).unwrap();
    assert_eq!(newest.sha256_hex.len(), 64);
    assert!(Arc::ptr_eq(&newest, &load("t", Some("$LATEST")).unwrap()), "compiled once");
    assert_ne!(newest.sha256_hex, load("t", Some("7")).unwrap().sha256_hex);
    assert!(matches!(load("t", Some("8")), Err(LoadError::NotFound(_))));
    for bad in ["", "../t", "a/b", ".t", "t\0"] {
        assert!(matches!(load(bad, None), Err(LoadError::BadName(_))), "{bad:?}");
    }
}

#[test]
fn a_changed_file_is_adopted_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.wasm");
    let folder = folder(dir.path().to_owned());
    let spec = spec("t");
    assert!(matches!(folder.load(&spec), Err(LoadError::NotFound(_))));
    fs::copy(guests().join("poison-list.wasm"), &file).unwrap();
    let first = folder.load(&spec).unwrap();
    assert!(folder.problem(&spec).is_none());

    fs::write(&file, b"half a file").unwrap();
    assert!(Arc::ptr_eq(&first, &folder.load(&spec).unwrap()));
    assert!(matches!(folder.problem(&spec), Some(LoadError::NotAComponent(_))));
    assert!(Arc::ptr_eq(&first, &folder.load(&spec).unwrap()), "still");

    fs::copy(guests().join("poison-packed.wasm"), &file).unwrap();
    let second = folder.load(&spec).unwrap();
    assert_ne!(first.sha256_hex, second.sha256_hex);
    assert!(folder.problem(&spec).is_none());
    // Who holds the old one goes on with it.
    assert_eq!(passed(&apply_with(&first, &spec, &["a"])), ["a"]);

    fs::remove_file(&file).unwrap();
    assert!(Arc::ptr_eq(&second, &folder.load(&spec).unwrap()));
    assert!(matches!(folder.problem(&spec), Some(LoadError::NotFound(_))));
}

#[test]
fn compiled_code_is_found_again_and_never_trusted_when_broken() {
    let dir = tempfile::tempdir().unwrap();
    let code = dir.path().join("code");
    let load = || {
        let folder = TransformFolder::keeping_code(guests(), TransformLimits::default(), Some(code.clone())).unwrap();
        let module = folder.load(&spec("poison-packed")).unwrap();
        assert_eq!(passed(&apply_with(&module, &spec("poison-packed"), &["a", "drop!"])), ["a"]);
        module.host.found_compiled()
    };
    assert_eq!((load(), load()), (0, 1));
    let mut pending = vec![code.clone()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => pending.push(entry),
                false => fs::write(entry, b"half a file").unwrap(),
            }
        }
    }
    assert_eq!((load(), load()), (0, 1));
    // A folder that cannot be made costs nothing but the time to compile.
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let folder = TransformFolder::keeping_code(guests(), TransformLimits::default(), Some(file.join("code"))).unwrap();
    folder.load(&spec("poison-packed")).unwrap();
}
