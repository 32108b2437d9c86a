//! `hydrant transform new NAME --lang LANGUAGE`: a folder to begin with, from `transforms/templates`.
//!
//! It is made under another name and takes its own at the end: either it is whole or it is not there.

use crate::cli::Failure;
use crate::disk::{Disk, RealDisk, create_dir_durable};
use clap::ValueEnum;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest name.
const MAX_NAME_BYTES: usize = 64;

/// Make a folder with a transform to begin with
///
/// It holds source, sample records with what should become of them, and a README with the commands that build and test
/// it. Rust and C are for new transforms; JavaScript and Python are handlers as AWS Lambda runs them.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:
  hydrant transform new enrich --lang rust && cd enrich && ./build

Exit code: 0 done, 2 nothing was written.")]
pub struct NewArgs {
    /// The folder to make, whose name is the transform's
    #[arg(value_name = "NAME")]
    pub name: PathBuf,
    /// Its language
    #[arg(long, value_name = "LANGUAGE", value_enum)]
    pub lang: Language,
}

/// A language with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust; needs its target wasm32-unknown-unknown
    Rust,
    /// C without a library; needs clang and lld
    C,
    /// JavaScript; needs Node and npm
    Js,
    /// Python; needs pip
    Python,
}

/// The contract.
const WIT: &str = include_str!("../../../transforms/wit/transform.wit");

/// The file of a template that is a program.
const PROGRAM: &str = "build";

/// Files of a template, with their content.
type Files = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($folder:literal: $($from:literal => $to:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("../../../transforms/templates/", $folder, "/", $from)))),*]
    };
}

impl Language {
    fn files(self) -> Files {
        match self {
            Self::Rust => template!("rust":
                "README.md" => "README.md",
                "Cargo.toml" => "Cargo.toml",
                "Cargo.lock" => "Cargo.lock",
                "src/lib.rs" => "src/lib.rs",
                "src/last_words.rs" => "src/last_words.rs",
                "build" => "build",
                "sample.ndjson" => "sample.ndjson",
                "expected.ndjson" => "expected.ndjson",
                "gitignore" => ".gitignore",
            ),
            Self::C => template!("c":
                "README.md" => "README.md",
                "transform.c" => "transform.c",
                "hydrant.h" => "hydrant.h",
                "build" => "build",
                "sample.ndjson" => "sample.ndjson",
                "expected.ndjson" => "expected.ndjson",
                "gitignore" => ".gitignore",
            ),
            Self::Js => template!("js":
                "README.md" => "README.md",
                "index.mjs" => "index.mjs",
                "sample.ndjson" => "sample.ndjson",
                "expected.ndjson" => "expected.ndjson",
                "gitignore" => ".gitignore",
            ),
            Self::Python => template!("python":
                "README.md" => "README.md",
                "handler.py" => "handler.py",
                "sample.ndjson" => "sample.ndjson",
                "expected.ndjson" => "expected.ndjson",
                "gitignore" => ".gitignore",
            ),
        }
    }

    /// Whether its source names the contract.
    fn has_wit(self) -> bool {
        matches!(self, Self::Rust | Self::C)
    }
}

impl NewArgs {
    /// Makes the folder.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let name = self.name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_name(name) {
            return Err(format!(
                "'{}' does not end in a name for a transform: 1 to {MAX_NAME_BYTES} of a-z, 0-9, '_' and '-', a letter first",
                self.name.display()
            )
            .into());
        }
        if fs::symlink_metadata(&self.name).is_ok() {
            return Err(format!("{} is there already; nothing is overwritten", self.name.display()).into());
        }
        let temporary = self.name.with_file_name(format!(".{name}.{:016x}.tmp", fastrand::u64(..)));
        let made = fill(&temporary, name, self.lang).and_then(|()| RealDisk.rename(&temporary, &self.name));
        if let Err(error) = made {
            // What is left of it has a name that nothing reads.
            let _ = RealDisk.remove_dir_all(&temporary);
            return Err(format!("cannot make {}: {error}", self.name.display()).into());
        }
        say!("{}: made; README.md tells how to build and test it", self.name.display());
        Ok(ExitCode::SUCCESS)
    }
}

/// What crates, functions and files may be called alike.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    name.len() <= MAX_NAME_BYTES && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}

fn fill(folder: &Path, name: &str, language: Language) -> io::Result<()> {
    create_dir_durable(&RealDisk, folder)?;
    for (path, content) in language.files() {
        let content = content.replace("{{name}}", name).replace("{{underscored}}", &name.replace('-', "_"));
        put(&folder.join(path), &content)?;
    }
    if language.has_wit() { put(&folder.join("wit/transform.wit"), WIT) } else { Ok(()) }
}

#[allow(clippy::disallowed_methods, reason = "source for a person, who sees at once whether it is there")]
fn put(file: &Path, content: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content)?;
    if file.ends_with(PROGRAM) { fs::set_permissions(file, Permissions::from_mode(0o755)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &Path, lang: Language) -> Result<ExitCode, String> {
        NewArgs { name: name.to_owned(), lang }.run().map_err(|error| error.to_string())
    }

    #[test]
    fn a_template_is_whole_and_bears_the_name() {
        let dir = tempfile::tempdir().unwrap();
        for lang in Language::value_variants() {
            let folder = dir.path().join(format!("my-{lang:?}").to_lowercase());
            made(&folder, *lang).unwrap();
            let name = folder.file_name().unwrap().to_str().unwrap();
            for (path, template) in lang.files() {
                let text = fs::read_to_string(folder.join(path)).unwrap();
                assert!(!text.contains("{{"), "{path}");
                assert_eq!(text.contains(name), template.contains("{{name}}"), "{path}");
                let mode = fs::metadata(folder.join(path)).unwrap().permissions().mode();
                assert_eq!(mode & 0o111 != 0, *path == PROGRAM, "{path}");
            }
            assert_eq!(folder.join("wit/transform.wit").exists(), lang.has_wit());
            let readme = fs::read_to_string(folder.join("README.md")).unwrap();
            assert!(readme.contains(&format!("hydrant transform test {name}.wasm sample.ndjson")), "{readme}");
        }
        assert!(fs::read_to_string(dir.path().join("my-rust/build")).unwrap().contains("release/my_rust.wasm"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), Language::value_variants().len());
    }

    #[test]
    fn nothing_is_overwritten_and_names_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        fs::write(&file, "mine").unwrap();
        assert!(made(&file, Language::C).unwrap_err().ends_with("is there already; nothing is overwritten"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        for bad in ["Upper", "1st", "a b", "dot.", "..", "é", &"x".repeat(65)] {
            let error = made(&dir.path().join(bad), Language::C).unwrap_err();
            assert!(error.contains("does not end in a name for a transform"), "{error}");
        }
        let error = made(&dir.path().join("taken/below"), Language::C).unwrap_err();
        assert!(error.starts_with("cannot make "), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
