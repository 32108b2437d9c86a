//! Which function of which file is the handler. Pure, but for the look at the file.
//!
//! Lambda names it by its setting Handler: `MODULE.FUNCTION`, where MODULE is the path of the file from the root of the
//! package, without extension, with slashes (of Python: or dots) in it.

use crate::cli::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// A language that Lambda handlers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    Python,
}

impl Language {
    /// What handlers' files end in.
    pub const FILES: &str = ".mjs, .js, .cjs, .ts, .mts, .cts and .py";

    /// By the name of a handler's file.
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "js" | "mjs" | "cjs" | "ts" | "mts" | "cts" => Some(Self::JavaScript),
            "py" => Some(Self::Python),
            _ => None,
        }
    }

    /// The function's name in most handlers.
    fn usual_function(self) -> &'static str {
        match self {
            Self::JavaScript => "handler",
            Self::Python => "lambda_handler",
        }
    }
}

/// A function of Lambda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handler {
    pub language: Language,
    /// Absolute.
    pub file: PathBuf,
    /// The root of its package, from which its modules are imported.
    pub root: PathBuf,
    /// The file's path from there as Python imports it: `package.module`.
    pub module: String,
    pub function: String,
}

impl Handler {
    /// `named`: what the function is called, alone or as Lambda's setting.
    pub fn new(file: &Path, language: Language, named: Option<&str>) -> Result<Self, Failure> {
        let cannot = |error| format!("cannot read {}: {error}", file.display());
        let found = fs::canonicalize(file).map_err(cannot)?;
        if !found.is_file() {
            return Err(format!("{} is no file", file.display()).into());
        }
        fs::File::open(&found).map_err(cannot)?;
        Ok(Self::of(found, language, named).map_err(|why| format!("{}: {why}", file.display()))?)
    }

    fn of(file: PathBuf, language: Language, named: Option<&str>) -> Result<Self, String> {
        let setting = named.unwrap_or(language.usual_function());
        let (module, function) = match language {
            // Folders may have dots in their names there.
            Language::JavaScript => {
                let (folders, last) = setting.rsplit_once('/').map_or(("", setting), |(folders, last)| (folders, last));
                let (stem, function) = last.split_once('.').unwrap_or(("", last));
                (folders.split('/').chain([stem]).collect::<Vec<_>>(), function)
            }
            Language::Python => {
                let (module, function) = setting.rsplit_once('.').unwrap_or(("", setting));
                (module.split(['.', '/']).collect(), function)
            }
        };
        if !is_identifier(function) {
            return Err(format!("'{function}' is no name of a function"));
        }
        let mut module: PathBuf = module.into_iter().filter(|part| !part.is_empty()).collect();
        let path = file.with_extension("");
        if module.as_os_str().is_empty() {
            module.extend(path.file_name());
        } else if !path.ends_with(&module) {
            return Err(format!("'{setting}' is the handler of another file, {}", module.display()));
        }
        let root = path.ancestors().nth(module.components().count()).unwrap_or(Path::new("/")).to_owned();
        let parts: Option<Vec<_>> =
            module.iter().map(|part| part.to_str().filter(|part| !part.contains(['.', '"', '\\']))).collect();
        let module = match parts {
            Some(parts) => parts.join("."),
            None if language == Language::JavaScript => String::new(),
            None => return Err("it has no name that Python can import".to_owned()),
        };
        Ok(Self { language, root, module, function: function.to_owned(), file })
    }
}

fn is_identifier(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    text.chars().all(word) && text.starts_with(|c: char| !c.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, named: Option<&str>) -> Result<[String; 3], String> {
        let language = Language::of(Path::new(file)).unwrap();
        let handler = Handler::of(PathBuf::from(file), language, named)?;
        Ok([handler.root.display().to_string(), handler.module, handler.function])
    }

    #[test]
    fn a_function_is_named_alone_or_as_lambda_names_it() {
        for (file, named, wanted) in [
            ("/a/b/app.py", None, ["/a/b", "app", "lambda_handler"]),
            ("/a/b/app.py", Some("run"), ["/a/b", "app", "run"]),
            ("/a/b/app.py", Some("app.run"), ["/a/b", "app", "run"]),
            ("/a/b/app.py", Some("b.app.run"), ["/a", "b.app", "run"]),
            ("/a/b/app.py", Some("b/app.run"), ["/a", "b.app", "run"]),
            ("/app.py", Some("app.run"), ["/", "app", "run"]),
            ("/a/my-app.py", None, ["/a", "my-app", "lambda_handler"]),
            ("/a/b/index.mjs", None, ["/a/b", "index", "handler"]),
            ("/a/b/index.ts", Some("index.run"), ["/a/b", "index", "run"]),
            ("/a/b.c/index.js", Some("b.c/index.run"), ["/a", "", "run"]),
            ("/a/v1.2.js", Some("run"), ["/a", "", "run"]),
        ] {
            assert_eq!(of(file, named), Ok(wanted.map(str::to_owned)), "{file} {named:?}");
        }
    }

    #[test]
    fn what_names_no_function_of_the_file_is_refused() {
        for (file, named, wanted) in [
            ("/a/app.py", Some("index.run"), "'index.run' is the handler of another file, index"),
            ("/a/index.js", Some("src/index.run"), "'src/index.run' is the handler of another file, src/index"),
            ("/a/index.js", Some("index.a.b"), "'a.b' is no name of a function"),
            ("/a/app.py", Some("app."), "'' is no name of a function"),
            ("/a/app.py", Some("a b"), "'a b' is no name of a function"),
            ("/a/v1.2.py", None, "it has no name that Python can import"),
        ] {
            assert_eq!(of(file, named), Err(wanted.to_owned()), "{file} {named:?}");
        }
    }
}
