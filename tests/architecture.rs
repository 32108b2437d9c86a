//! Holds the table of allowed imports: modules know only what stands above them in `src/lib.rs`, and some know less.
//!
//! The order of `pub mod` lines in `src/lib.rs` is the order in which a record meets the modules; an import that goes
//! up it is a cycle waiting to happen. [`NARROWER`] holds modules that must know less than that. Test code is not
//! looked at: a test may reach for what it likes.

#![allow(clippy::disallowed_methods, reason = "the bans of clippy.toml are about what serves")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that may import less than everything before them, with the reason.
const NARROWER: &[(&str, &[&str], &str)] = &[
    ("clock", &[], "a foundation"),
    ("failpoint", &[], "a foundation"),
    ("task", &["fault"], "a foundation"),
    ("disk", &["fault", "failpoint"], "a foundation: knows files, not what is in them"),
    ("record", &["fault"], "vocabulary: types without I/O"),
    ("stream", &["fault", "record"], "vocabulary: types without I/O"),
    ("wire", &["fault", "record", "stream"], "shapes of the API: no I/O"),
    ("vault", &["fault", "disk", "stream"], "knows secrets, not whose"),
    ("stage", &["fault", "failpoint", "record", "stream"], "pure: no disk, no clock, no network"),
    ("spool", &["record"], "a format: knows neither partitions' keys nor where its bytes lie"),
    ("batch", &["fault", "clock", "record", "stream"], "decides where a run ends: no I/O"),
    (
        "destination",
        &["fault", "clock", "failpoint", "task", "telemetry", "record", "stream", "vault"],
        "gets parcels from its caller: knows neither log nor journal",
    ),
    (
        "schemas",
        &["fault", "clock", "task", "disk", "stream", "stage", "destination"],
        "finds tables for its callers: knows neither streams' rows nor records",
    ),
    (
        "journal",
        &["fault", "clock", "failpoint", "task", "disk", "telemetry", "record", "stream", "destination"],
        "stores seals: does not know how they come about",
    ),
];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of `src/lib.rs`.
fn modules() -> Vec<String> {
    let map = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let names: Vec<String> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect();
    assert!(names.len() > 20, "src/lib.rs no longer lists its modules one a line: {names:?}");
    names
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files of the library with their text, test code left out.
fn library_files() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    rust_files(&source_folder(), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter(|path| !is_test_file(path))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, without_comments_and_tests(&text))
        })
        .collect()
}

/// `tests.rs`, `proptests.rs`, and whatever lies in a folder `tests`.
fn is_test_file(path: &Path) -> bool {
    let below = path.strip_prefix(source_folder()).unwrap();
    below.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part == "tests" || part.trim_end_matches(".rs").ends_with("tests")
    })
}

/// Drops line comments, and everything from an inline `#[cfg(test)] mod … {` on: it ends the file by convention.
fn without_comments_and_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let inline_tests = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ") && next.trim_end().ends_with('{'));
        if inline_tests {
            break;
        }
        kept.push_str(line.split("//").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

/// The top-level module a file belongs to, and how many modules deep the file is (1 for `src/log/mod.rs`).
fn place(path: &Path) -> (String, usize) {
    let below = path.strip_prefix(source_folder()).unwrap().with_extension("");
    let mut parts: Vec<String> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts[0].clone(), parts.len())
}

fn identifiers_after<'a>(rest: &'a str) -> Vec<&'a str> {
    let word = |text: &'a str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let Some(group) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    // `crate::{a::x, b::{y, z}}`: the first word of each item at depth 0.
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(word(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// Top-level modules that a file names, through `crate::` or through enough `super::`.
fn imports(text: &str, depth: usize, modules: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut note = |rest: &str| {
        let named = identifiers_after(rest).into_iter().filter(|name| modules.iter().any(|module| module == name));
        found.extend(named.map(str::to_owned));
    };
    for (at, _) in text.match_indices("crate::") {
        let longer_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if !longer_word {
            note(&text[at + "crate::".len()..]);
        }
    }
    let root = "super::".repeat(depth);
    for (at, _) in text.match_indices(&root) {
        note(&text[at + root.len()..]);
    }
    found
}

#[test]
fn imports_go_down_only() {
    let modules = modules();
    let rank = |name: &str| modules.iter().position(|module| module == name);
    let mut wrong = Vec::new();
    for (path, text) in library_files() {
        let (module, depth) = place(&path);
        let Some(own) = rank(&module) else {
            continue; // lib.rs and main.rs
        };
        for import in imports(&text, depth, &modules) {
            if import == module {
                continue;
            }
            let shown = path.strip_prefix(source_folder()).unwrap().display();
            if rank(&import) > Some(own) {
                wrong.push(format!("src/{shown}: `{module}` imports `{import}`, which comes after it in src/lib.rs"));
            }
            if let Some((_, allowed, reason)) = NARROWER.iter().find(|(name, ..)| *name == module)
                && !allowed.contains(&import.as_str())
            {
                wrong.push(format!("src/{shown}: `{module}` imports `{import}`; it may not ({reason})"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the table:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_names_modules_that_exist() {
    let modules = modules();
    for (name, allowed, _) in NARROWER {
        for module in allowed.iter().chain([name]) {
            assert!(modules.iter().any(|known| known == module), "the table names `{module}`, which src/lib.rs lacks");
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    let mut paths = Vec::new();
    rust_files(&source_folder(), &mut paths);
    let silent: Vec<_> = paths
        .iter()
        .filter(|path| !is_test_file(path))
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().count() > 1 && !text.starts_with("//!")
        })
        .collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {silent:?}");
}

#[test]
fn the_reader_of_imports_finds_them() {
    let modules: Vec<String> = ["disk", "log", "record", "stream"].map(str::to_owned).to_vec();
    let found = |text: &str, depth| Vec::from_iter(imports(&without_comments_and_tests(text), depth, &modules));
    assert_eq!(found("use crate::log::Frame;", 1), ["log"]);
    assert_eq!(found("use crate::{log::Frame, stream::{Lane, SealId},\n    disk};", 2), ["disk", "log", "stream"]);
    assert_eq!(found("fn f() -> crate::record::Chunk {}", 3), ["record"]);
    assert_eq!(found("use super::super::log::Frame;", 2), ["log"]);
    assert_eq!(found("use super::log::Frame;", 2), [""; 0]);
    assert_eq!(found("// use crate::log;\nuse subcrate::log;", 1), [""; 0]);
    assert_eq!(found("#[cfg(test)]\nmod tests {\n    use crate::log;\n}", 1), [""; 0]);
}
