//! Other programs at work: a scratch folder, and what they have to say when they fail.

use crate::cli::Failure;
use crate::disk::{Disk, RealDisk};
use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of a failed program that are shown.
const SHOWN_LINES: usize = 25;

/// A folder that is removed when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// An empty one, which nobody else can enter.
    pub fn new() -> Result<Self, Failure> {
        let folder = env::temp_dir().join(format!("hydrant-wrap-{:016x}", fastrand::u64(..)));
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        // Programs that run in it may not take a path through a link.
        Ok(Self(fs::canonicalize(folder)?))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it.
    pub fn put(&self, path: &str, content: &str) -> io::Result<()> {
        put(&self.0.join(path), content)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It lies where the system removes what is left.
        let _ = RealDisk.remove_dir_all(&self.0);
    }
}

/// Writes a file, and the folders above it.
#[allow(clippy::disallowed_methods, reason = "for a program that runs at once; made anew when it is not there")]
pub(super) fn put(file: &Path, content: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content)
}

/// An empty folder of this path.
#[allow(clippy::disallowed_methods, reason = "a cache, which is made anew when it is not whole")]
pub(super) fn anew(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(folder)
}

/// Held by one process at a time; others wait.
pub(super) struct Locked(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl Locked {
    /// Waits for it. `file`: an empty one, which stays.
    #[allow(clippy::disallowed_methods, reason = "nothing is written to it")]
    pub fn new(file: &Path) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().write(true).create(true).truncate(false).open(file)?;
        file.lock()?;
        Ok(Self(file))
    }
}

/// A program of the PATH, by its name, what to install where it is missing, and the least version that will do.
pub(super) fn program((name, needs, least): (&str, &str, (u32, u32))) -> Result<Command, Failure> {
    let told = Command::new(name).arg("--version").stdin(Stdio::null()).output();
    let told = told.map_err(|error| format!("this needs {needs}, but '{name}' cannot be run: {error}"))?;
    let told = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    if version(&told).is_some_and(|version| version < least) {
        return Err(format!("this needs {needs}, but '{name}' is {told}").into());
    }
    Ok(Command::new(name))
}

/// The first two numbers of a text.
fn version(text: &str) -> Option<(u32, u32)> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[from..].split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Runs a program that says nothing unless it fails.
pub(super) fn run(mut command: Command, what: &str) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).env_remove("RUST_BACKTRACE").output();
    let output = output.map_err(|error| format!("{what} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("{what} failed ({}):\n{}", output.status, essence(&String::from_utf8_lossy(&text))).into())
}

/// What a failed program says, without the places in the program itself: of a chain of errors the innermost.
fn essence(text: &str) -> String {
    let text = text.rsplit_once("\nCaused by:\n").map_or(text, |(_, cause)| cause);
    let is_place =
        |line: &str| line.starts_with("    at ") && (line.contains("node_modules/") || line.contains("file:///"));
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty() && !is_place(line)).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_goes_with_its_owner() {
        let scratch = Scratch::new().unwrap();
        scratch.put("a/b", "text").unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::read_to_string(path.join("a/b")).unwrap(), "text");
        anew(&path.join("a")).unwrap();
        assert!(path.join("a").is_dir() && !path.join("a/b").exists());
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_program_says_is_told_when_it_fails() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            run(command, "the shell").map_err(|error| error.to_string())
        };
        assert_eq!(shell("echo fine"), Ok(()));
        let error = shell("seq 100; echo bad >&2; exit 3").unwrap_err();
        assert!(error.starts_with("the shell failed (exit status: 3):\n77\n"), "{error}");
        assert!(error.ends_with("\n100\nbad"), "{error}");
    }

    #[test]
    fn of_long_stories_the_point_is_told() {
        let python = "Traceback (most recent call last):\n  File \"x\", line 8\nAssertionError: …\n\n\nCaused by:\n    SyntaxError: bad (app.py, line 2)\n";
        assert_eq!(essence(python), "    SyntaxError: bad (app.py, line 2)");
        let rolldown = "Error: no 'x'\n    at onLog (file:///tmp/a.mjs:1:2)\n    at #build (/c/node_modules/r.mjs:1:2)\n    at noon\n";
        assert_eq!(essence(rolldown), "Error: no 'x'\n    at noon");
    }

    #[test]
    fn a_program_that_is_missing_or_old_is_named() {
        let told = |name, least| program((name, "a thing", least)).map_err(|error| error.to_string());
        let error = told("hydrant-has-no-such-program", (0, 0)).unwrap_err();
        assert!(error.starts_with("this needs a thing, but 'hydrant-has-no-such-program' cannot be run: "), "{error}");
        assert!(told("cargo", (1, 50)).is_ok());
        let error = told("cargo", (1000, 0)).unwrap_err();
        assert!(error.starts_with("this needs a thing, but 'cargo' is cargo 1."), "{error}");
        assert_eq!(version("v18.19.1"), Some((18, 19)));
        assert_eq!(version("Python 3.11.7"), Some((3, 11)));
        assert_eq!((version("no"), version("7")), (None, None));
    }
}
