//! Where the compiled code of transforms is kept: `compiled/<boot>-<version>/` in the data folder.
//!
//! What is there is run as it is, and it is written without syncs: a power cut may leave half of it. So a folder serves
//! one boot of the machine, over all starts of the service in it, and one version of the service; others are removed.

use crate::disk::Disk;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Random, another one after each boot of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

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
}
