//! Folder creation and file replacement that survive a power cut at any instant.

use super::{Disk, DiskFile};
use std::io::{self, Write};
use std::path::Path;

/// Creates `dir` and its missing parents, and makes their entries durable; also that of a `dir` that is there already,
/// since a process that died right after creating it may not have synced it.
pub fn create_dir_durable(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
    let is_there = disk.list(dir).is_ok();
    if !is_there {
        if let Some(parent) = parent {
            create_dir_durable(disk, parent)?;
        }
        disk.create_dir(dir)?;
    }
    // ORDER: the entry is synced before anybody puts a file below it that must be found again.
    match parent.map_or(Ok(()), |parent| disk.sync_dir(parent)) {
        // A folder above the data folder that only others may read was not made here.
        Err(e) if is_there && e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Puts `bytes` at `path` so that a reader sees either the old content whole or the new content whole, and the new one
/// for certain once this returned `Ok`. The temporary name is `path` + `.tmp`; a left-over one is replaced.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    match disk.remove_file(Path::new(&temporary)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    replace_with(disk, path, Path::new(&temporary), |file| file.write_all(bytes))
}

/// As [`replace_file`], with what `write` writes, and under a temporary name in the same folder that nobody else has. If
/// it fails, the old content stays and nothing is left over.
pub fn replace_with(
    disk: &dyn Disk,
    path: &Path,
    temporary: &Path,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> io::Result<()> {
    let file = disk.create_new(temporary)?;
    let written = write(&mut Appender { file: &*file, offset_bytes: 0 });
    // ORDER: content before name, name before return.
    if let Err(error) = written.and_then(|()| file.sync_data()) {
        let _ = disk.remove_file(temporary);
        return Err(error);
    }
    disk.rename(temporary, path)?;
    match path.parent() {
        Some(dir) if dir.as_os_str().is_empty() => disk.sync_dir(Path::new(".")),
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}

/// Writes a file from its start on.
struct Appender<'a> {
    file: &'a dyn DiskFile,
    offset_bytes: u64,
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(&[bytes], self.offset_bytes)?;
        self.offset_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
