//! Other programs at work: a scratch folder, and what they have to say when they fail.

use crate::cli::Failure;
use crate::disk::{Disk, RealDisk};
use std::env;
use std::fs;
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

/// A program of the PATH; `needs` says what to install where it is missing.
pub(super) fn program(name: &str, needs: &str) -> Result<Command, Failure> {
    let is_there = Command::new(name).arg("--version").stdin(Stdio::null()).output();
    match is_there {
        Ok(_) => Ok(Command::new(name)),
        Err(error) => Err(format!("this needs {needs}, but '{name}' cannot be run: {error}").into()),
    }
}

/// Runs a program that says nothing unless it fails.
pub(super) fn run(mut command: Command, what: &str) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{what} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    Err(format!("{what} failed ({}):\n{last}", output.status).into())
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
        let error = program("hydrant-has-no-such-program", "a thing").unwrap_err().to_string();
        assert!(error.starts_with("this needs a thing, but 'hydrant-has-no-such-program' cannot be run: "), "{error}");
    }
}
