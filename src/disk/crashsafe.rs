//! Folder creation and file replacement that survive a power cut at any instant.

use super::Disk;
use std::io;
use std::path::Path;

/// Creates `dir` and its missing parents, and makes their entries durable.
pub fn create_dir_durable(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    if disk.list(dir).is_ok() {
        return Ok(());
    }
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_dir_durable(disk, parent)?;
    }
    disk.create_dir(dir)?;
    // ORDER: the entry is synced before anybody puts a file below it that must be found again.
    match parent {
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

/// Puts `bytes` at `path` so that a reader sees either the old content whole or the new content whole, and the new one
/// for certain once this returned `Ok`. The temporary name is `path` + `.tmp`; a left-over one is replaced.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    match disk.remove_file(temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create_new(temporary)?;
    file.write_all_at(&[bytes], 0)?;
    // ORDER: content before name, name before return.
    file.sync_data()?;
    disk.rename(temporary, path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}
