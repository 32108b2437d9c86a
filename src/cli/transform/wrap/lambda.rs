//! A component of a Lambda handler in JavaScript or Python: the adapter of `transforms/js-lambda` or
//! `transforms/python-lambda`, written into a folder of its own, and there the language's tools.
//!
//! The tools come from npm and pip, at the versions that the adapters name, once for each of these versions; they stay in
//! the user's cache.

use super::component::WIT;
use super::tools::{Scratch, anew, program, put, run};
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
/// In the folder of tools once they are all there.
const INSTALLED: &str = "installed";

/// A language that Lambda handlers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    Python,
}

impl Language {
    /// By the name of a handler's file.
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "js" | "mjs" | "cjs" => Some(Self::JavaScript),
            "py" => Some(Self::Python),
            _ => None,
        }
    }

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

    /// What is missing when its program is not there.
    fn needs(self) -> &'static str {
        match self {
            Self::JavaScript => "Node.js 20 or newer with npm",
            Self::Python => "Python 3.10 or newer with pip and venv",
        }
    }
}

/// Makes the component. `function`: the name of the handler, if it is not that of most.
pub(super) fn component(handler: &Path, language: Language, function: Option<&str>) -> Result<Vec<u8>, Failure> {
    let handler = fs::canonicalize(handler).map_err(|error| format!("cannot read {}: {error}", handler.display()))?;
    if !handler.is_file() {
        return Err(format!("{} is no file", handler.display()).into());
    }
    if language.files().is_empty() {
        return Err("this build of hydrant carries no adapter for Lambda handlers".into());
    }
    let scratch = Scratch::new()?;
    let work = scratch.path();
    for (path, content) in language.files() {
        scratch.put(path, content)?;
    }
    scratch.put("wit/transform.wit", WIT)?;
    match language {
        Language::JavaScript => javascript(work, &handler, function.unwrap_or("handler"))?,
        Language::Python => python(&scratch, &handler, function.unwrap_or("lambda_handler"))?,
    }
    modules::read(&work.join("out.wasm"))
}

fn javascript(work: &Path, handler: &Path, function: &str) -> Result<(), Failure> {
    let tools = tools(Language::JavaScript, work, |folder, requirements| {
        put(&folder.join("package.json"), requirements)?;
        let mut npm = program("npm", Language::JavaScript.needs())?;
        npm.current_dir(folder).args(["install", "--no-fund", "--no-audit", "--no-package-lock", "--loglevel=error"]);
        run(npm, "npm install")
    })?;
    std::os::unix::fs::symlink(tools.join("node_modules"), work.join("node_modules"))?;
    let bin = Path::new("node_modules/.bin");
    let mut rolldown = Command::new(work.join(bin).join("rolldown"));
    rolldown.current_dir(work).args(["-c", "rolldown.config.mjs"]);
    rolldown.env("HANDLER_FILE", handler).env("HANDLER_EXPORT", function).env("BUNDLE", work.join("bundle.mjs"));
    run(rolldown, "bundling the handler")?;
    let mut componentize = Command::new(work.join(bin).join("componentize-js"));
    componentize.current_dir(work).args(["bundle.mjs", "--wit", "wit", "-n", "transform-packed", "-d"]);
    componentize.args(JS_LEFT_OUT).args(["-o", "out.wasm"]);
    run(componentize, "componentize-js")
}

fn python(scratch: &Scratch, handler: &Path, function: &str) -> Result<(), Failure> {
    let work = scratch.path();
    let module = handler.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_identifier(stem));
    let module = module.ok_or_else(|| format!("{} has no name that Python can import", handler.display()))?;
    if !function.split('.').all(is_identifier) {
        return Err(format!("--handler '{function}' is no name of a function").into());
    }
    scratch.put("lambda_target.py", &format!("HANDLER = \"{module}.{function}\"\n"))?;
    let tools = tools(Language::Python, work, |folder, requirements| {
        put(&folder.join("requirements.txt"), requirements)?;
        let mut venv = program("python3", Language::Python.needs())?;
        venv.current_dir(folder).args(["-m", "venv", "venv"]);
        run(venv, "python3 -m venv")?;
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.current_dir(folder).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["-r", "requirements.txt"]);
        run(pip, "pip install")
    })?;
    let mut componentize = Command::new(tools.join("venv/bin/componentize-py"));
    componentize.current_dir(work).args(["-d", "wit", "-w", "transform", "componentize", "--stub-wasi", "-p"]);
    componentize.arg(work).arg("-p").arg(handler.parent().unwrap_or(Path::new("/")));
    componentize.args(["-o", "out.wasm", "adapter"]);
    run(componentize, "componentize-py")
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
    eprintln!("hydrant: fetching the tools for {language:?} into {} (once)", folder.display());
    anew(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    install(&folder, requirements)?;
    put(&installed, "")?;
    Ok(folder)
}

fn is_identifier(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.chars().all(word)
}
