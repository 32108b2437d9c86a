//! Where the compiled code of transforms is kept: `compiled/<boot>-<version>/` in the data folder.
//!
//! What is there is run as it is, and it is written without syncs: a power cut may leave half of it. So a folder serves
//! one boot of the machine, over all starts of the service in it, and one version of the service; others are removed.
//! Inside it is the engine's: a folder for each of its versions, with a file for each module.

use crate::disk::Disk;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Random, another one after each boot of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// In the names of files that the engine has not written to their end. It does not write one anew while it is there.
const UNFINISHED: &str = ".wip-atomic-write-";

/// The folder to keep code in, and old ones removed; `None` where boots cannot be told apart.
pub fn code_dir(disk: &dyn Disk, parent: &Path) -> Option<PathBuf> {
    let boot = std::fs::read_to_string(BOOT_ID).ok()?;
    let name = format!("{}-{}", boot.trim(), env!("CARGO_PKG_VERSION"));
    if let Err(error) = remove_others(disk, parent, &name) {
        tracing::warn!(dir = %parent.display(), "old compiled code is not removed: {error}");
    }
    let dir = parent.join(name);
    // What is in there is run: nobody else may write it, whatever the umask is.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    if let Err(error) = made {
        tracing::warn!(dir = %dir.display(), "compiled code is not kept: {error}");
        return None;
    }
    Some(dir)
}

/// Removes from `code_dir` what a start that was killed left unfinished. For who has the folder to himself.
pub fn remove_unfinished(disk: &dyn Disk, code_dir: &Path) -> io::Result<()> {
    let modules = code_dir.join("modules");
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let list = |dir: &Path| disk.list(dir).or_else(|error| if is_absent(&error) { Ok(Vec::new()) } else { Err(error) });
    for version in list(&modules)?.iter().filter(|entry| entry.is_dir) {
        let dir = modules.join(&version.name);
        for file in list(&dir)?.iter().filter(|entry| entry.name.contains(UNFINISHED)) {
            disk.remove_file(&dir.join(&file.name))
                .or_else(|error| if is_absent(&error) { Ok(()) } else { Err(error) })?;
        }
    }
    Ok(())
}

fn remove_others(disk: &dyn Disk, parent: &Path, kept: &str) -> io::Result<()> {
    let entries = match disk.list(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.iter().filter(|entry| entry.is_dir && entry.name != kept) {
        disk.remove_dir_all(&parent.join(&entry.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_folder_serves_one_boot_and_version() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("compiled");
        let Some(code) = code_dir(&RealDisk, &parent) else {
            println!("skipped: no boot id on this machine");
            return;
        };
        assert_eq!(code.parent(), Some(&*parent));
        for old in ["another-boot-0.0.1", code.file_name().unwrap().to_str().unwrap()] {
            std::fs::create_dir_all(parent.join(old).join("modules")).unwrap();
        }
        assert_eq!(code_dir(&RealDisk, &parent).unwrap(), code);
        let left: Vec<_> = std::fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [code]);
    }

    #[test]
    fn what_a_kill_left_unfinished_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let Some(code) = code_dir(&RealDisk, dir.path()) else {
            println!("skipped: no boot id on this machine");
            return;
        };
        let modules = code.join("modules").join("engine-1");
        std::fs::create_dir_all(&modules).unwrap();
        for name in ["abc", "def.wip-atomic-write-mod", "abc.wip-atomic-write-stats"] {
            std::fs::write(modules.join(name), "code").unwrap();
        }
        remove_unfinished(&RealDisk, &code).unwrap();
        let left: Vec<_> = std::fs::read_dir(&modules).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["abc"]);
    }
}
