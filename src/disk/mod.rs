//! The file system as the log, the journal, the outbox and the catalog see it.
//!
//! One trait, so that a test can put a disk underneath that forgets what was not synced. [`RealDisk`] is the machine's;
//! `faulty` drops, tears and reorders unsynced writes and folder entries.
//!
//! Contract: a written range is durable once [`DiskFile::sync_data`] returned `Ok` after it; a created, renamed or
//! removed name is durable once [`Disk::sync_dir`] of its folder returned `Ok` after it. After a failed sync nothing
//! written since the last good one may be relied on, and the file is not synced again (rule D8).

mod budget;
mod crashsafe;
pub mod faulty;
mod real;
mod room;

pub use budget::{Account, DiskBudget, OverBudget, Purpose, Unwritten};
pub use crashsafe::{create_dir_durable, replace_file, replace_with};
pub use real::{FolderLock, LockError, RealDisk};
pub use room::{Room, Short};

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File or folder name, without its path.
    pub name: String,
    /// Length in bytes; 0 for a folder.
    pub len_bytes: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A file system. All calls block; they run on threads that may.
pub trait Disk: Send + Sync + Debug {
    /// Creates a file that must not exist, open for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file that must not exist and that only its owner may read.
    fn create_private(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.create_new(path)
    }
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading alone: its owner may have no right to write it.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }
    /// The entries of a folder, sorted by name. A missing folder is `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Creates one folder; an existing one is `Ok`.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Renames a file or folder, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and what is in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the folder's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// What the folder's file system has left; none for one that has no end.
    fn room(&self, _dir: &Path) -> io::Result<Option<Room>> {
        Ok(None)
    }
}

/// An open file; positions are explicit, so one handle serves many threads.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all of `parts`, one after the other, from `offset_bytes` on.
    fn write_all_at(&self, parts: &[&[u8]], offset_bytes: u64) -> io::Result<()>;
    /// Fills `buffer` from `offset_bytes`; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize>;
    /// Current length.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Who may do what with it, as Unix has it; where a disk knows nothing of that, its owner alone.
    fn mode(&self) -> io::Result<u32> {
        Ok(0o600)
    }
    /// Makes data and length durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
}
