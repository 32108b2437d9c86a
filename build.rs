//! Lists the adapters for Lambda handlers (`transforms/js-lambda`, `transforms/python-lambda`), so that the program
//! carries every file of them: `adapters.rs` in the folder of the build, read by `src/cli/transform/wrap`.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

/// What is in these folders without being of the adapter.
const LEFT_OUT: [&str; 5] = ["node_modules", "target", "__pycache__", "sample.mjs", "sample.py"];

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut text = String::new();
    for (name, folder) in [("JS", "js-lambda"), ("PYTHON", "python-lambda")] {
        let folder = Path::new(&root).join("transforms").join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        if folder.is_dir() {
            list(&folder, "", &mut files)?;
        }
        files.sort();
        let _ = writeln!(text, "pub const {name}: &[(&str, &str)] = &[");
        for file in files {
            let _ = writeln!(text, "    ({file:?}, include_str!({:?})),", folder.join(&file));
        }
        text.push_str("];\n");
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    #[allow(clippy::disallowed_methods, reason = "made anew by every build")]
    fs::write(Path::new(&out).join("adapters.rs"), text)
}

/// Adds the files below `folder`, whose path from the adapter's folder is `path`.
fn list(folder: &Path, path: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?}")))?;
        if name.starts_with('.') || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        if entry.file_type()?.is_dir() { list(&entry.path(), &path, files)? } else { files.push(path) }
    }
    Ok(())
}
