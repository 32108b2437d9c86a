//! A component of a Lambda handler in JavaScript or Python: the adapter of `transforms/js-lambda` or
//! `transforms/python-lambda`, written into a folder of its own, and there the language's tools.
//!
//! The tools come from npm and pip, at the versions that the adapters name, once for each of these versions; they stay in
//! the user's cache.

use super::component::WIT;
use super::handler::{Handler, Language};
use super::tools::{Locked, Scratch, anew, program, put, run};
use crate::cli::Failure;
use crate::cli::transform::modules::{self, cache_dir};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The adapters' files: paths below their folders, and contents.
mod adapters {
    include!(concat!(env!("OUT_DIR"), "/adapters.rs"));
}

/// Features of componentize-js that would be imports of the component.
const JS_LEFT_OUT: [&str; 5] = ["stdio", "random", "clocks", "http", "fetch-event"];
/// Files below the root of a handler in Python, all of whose folders componentize-py goes through.
const MOST_FILES: usize = 100_000;
/// In the folder of tools once they are all there.
const INSTALLED: &str = "installed";
/// What a program must say when asked for its version.
const NODE: (&str, &str, (u32, u32)) = ("node", "Node.js 20 or newer with npm", (20, 0));
const NPM: (&str, &str, (u32, u32)) = ("npm", NODE.1, (0, 0));
const PYTHON: (&str, &str, (u32, u32)) = ("python3", "Python 3.10 or newer with pip and venv", (3, 10));

impl Language {
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::JavaScript => adapters::JS,
            Self::Python => adapters::PYTHON,
        }
    }

    /// The file that names its tools.
    fn requirements(self) -> &'static str {
        match self {
            Self::JavaScript => "package.json",
            Self::Python => "requirements.txt",
        }
    }
}

/// Makes the component.
pub(super) fn component(handler: &Handler) -> Result<Vec<u8>, Failure> {
    let language = handler.language;
    if language.files().is_empty() {
        return Err("this build of hydrant carries no adapter for Lambda handlers".into());
    }
    let scratch = Scratch::new()?;
    for (path, content) in language.files() {
        scratch.put(path, content)?;
    }
    scratch.put("wit/transform.wit", WIT)?;
    match language {
        Language::JavaScript => javascript(scratch.path(), handler)?,
        Language::Python => python(&scratch, handler)?,
    }
    modules::read(&scratch.path().join("out.wasm"))
}

/// Why a handler that fails without records with this text would fail with any, if that is certain.
pub(super) fn unusable(text: &str) -> Option<String> {
    let advice = if text.starts_with("NoHandler: ") {
        "name the function with --handler"
    } else if text.starts_with("ModuleNotFoundError: ") {
        "install it beside the handler (pip install -t FOLDER PACKAGE)"
    } else if text.starts_with("ImportError: attempted relative import") {
        "name the function as Lambda does, with its package: --handler PACKAGE.MODULE.NAME"
    } else {
        return None;
    };
    Some(format!("{}; {advice}", text.strip_prefix("NoHandler: ").unwrap_or(text)))
}

fn javascript(work: &Path, handler: &Handler) -> Result<(), Failure> {
    program(NODE)?;
    let tools = tools(handler.language, work, |folder, requirements| {
        put(&folder.join("package.json"), requirements)?;
        let mut npm = program(NPM)?;
        npm.current_dir(folder).args(["install", "--no-fund", "--no-audit", "--no-package-lock", "--loglevel=error"]);
        run(npm, "npm install")
    })?;
    std::os::unix::fs::symlink(tools.join("node_modules"), work.join("node_modules"))?;
    let bin = Path::new("node_modules/.bin");
    let mut rolldown = Command::new(work.join(bin).join("rolldown"));
    rolldown.current_dir(work).args(["-c", "rolldown.config.mjs"]).env("BUNDLE", work.join("bundle.mjs"));
    rolldown.env("HANDLER_FILE", &handler.file).env("HANDLER_EXPORT", &handler.function);
    run(rolldown, "bundling the handler")?;
    let mut componentize = Command::new(work.join(bin).join("componentize-js"));
    componentize.current_dir(work).args(["bundle.mjs", "--wit", "wit", "-n", "transform-packed", "-d"]);
    componentize.args(JS_LEFT_OUT).args(["-o", "out.wasm"]);
    run(componentize, "componentize-js")
}

fn python(scratch: &Scratch, handler: &Handler) -> Result<(), Failure> {
    let work = scratch.path();
    if has_more_files(&handler.root, MOST_FILES) {
        let (root, why) = (handler.root.display(), "or a link that leads back to itself");
        return Err(format!(
            "{root} holds more than {MOST_FILES} files, {why}; give the handler and what it imports a folder of their own"
        )
        .into());
    }
    scratch.put("hydrant_lambda/target.py", &format!("HANDLER = \"{}.{}\"\n", handler.module, handler.function))?;
    let tools = tools(handler.language, work, |folder, requirements| {
        put(&folder.join("requirements.txt"), requirements)?;
        let mut venv = program(PYTHON)?;
        venv.current_dir(folder).args(["-m", "venv", "venv"]);
        run(venv, "python3 -m venv")?;
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.current_dir(folder).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["-r", "requirements.txt"]);
        run(pip, "pip install")
    })?;
    let mut componentize = Command::new(tools.join("venv/bin/componentize-py"));
    componentize.current_dir(work).args(["-d", "wit", "-w", "transform", "componentize", "--stub-wasi"]);
    componentize.arg("-p").arg(work).arg("-p").arg(&handler.root);
    componentize.args(["-o", "out.wasm", "hydrant_lambda.adapter"]);
    run(componentize, "componentize-py")
}

/// Whether there are more files than that below a folder. Links are followed.
fn has_more_files(folder: &Path, most: usize) -> bool {
    let (mut folders, mut found) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            found += 1;
            if found > most {
                return true;
            }
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    false
}

/// The folder with a language's tools, which `install` fetches if they are not there.
fn tools(
    language: Language,
    work: &Path,
    install: impl Fn(&Path, &str) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let name = language.requirements();
    let requirements = language.files().iter().find(|(path, _)| *path == name).map_or("", |(_, content)| content);
    let digest: String = Sha256::digest(requirements).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let parent = cache_dir().map_or_else(|| work.join("tools"), |cache| cache.join("tools"));
    let folder = parent.join(format!("{language:?}-{digest}").to_lowercase());
    let installed = folder.join(INSTALLED);
    if installed.is_file() {
        return Ok(folder);
    }
    let cannot = |error| format!("cannot make {}: {error}", folder.display());
    // Another run may be fetching them.
    let _locked = Locked::new(&folder.with_extension("lock")).map_err(cannot)?;
    if installed.is_file() {
        return Ok(folder);
    }
    eprintln!("hydrant: fetching the tools for {language:?} into {} (once)", folder.display());
    anew(&folder).map_err(cannot)?;
    install(&folder, requirements)?;
    put(&installed, "")?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_end_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("a/b"), "").unwrap();
        assert!(!has_more_files(dir.path(), 2) && has_more_files(dir.path(), 1));
        std::os::unix::fs::symlink("..", dir.path().join("a/up")).unwrap();
        assert!(has_more_files(dir.path(), 50));
    }

    #[test]
    fn what_no_record_can_mend_is_told_with_advice() {
        let text = "NoHandler: there is no function 'handler', but run";
        assert_eq!(
            unusable(text).unwrap(),
            "there is no function 'handler', but run; name the function with --handler"
        );
        assert!(
            unusable("ModuleNotFoundError: No module named 'x'").unwrap().contains("; install it beside the handler")
        );
        assert_eq!(unusable("KeyError: 'TABLE'"), None);
    }
}
