//! A file that is written but has no name anybody looks at; removed unless it is put in its place.

use super::details::etag_of;
use crate::disk::{Disk, RealDisk};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes on their way into the store.
#[derive(Debug)]
pub struct Staged {
    file: File,
    path: PathBuf,
    length_bytes: u64,
    placed: bool,
}

impl Staged {
    /// A new empty one in `dir`.
    #[allow(clippy::disallowed_methods, reason = "sets the modification time, which disk::DiskFile has not")]
    pub fn create(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, length_bytes: 0, placed: false })
    }

    /// Appends.
    pub fn write(&mut self, chunks: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> =
            chunks.iter().map(|chunk| IoSlice::new(chunk.as_ref())).filter(|slice| !slice.is_empty()).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match self.file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.length_bytes += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Appends all that `from` still holds.
    pub fn write_from(&mut self, from: &mut impl io::Read) -> io::Result<u64> {
        let copied = io::copy(from, &mut self.file)?;
        self.length_bytes += copied;
        Ok(copied)
    }

    /// Bytes written so far.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Where it lies now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the modification time and makes everything durable; returns the ETag that results. The time is part of the
    /// version's identity, hence synced with the data.
    pub fn seal(&self, modified: SystemTime) -> io::Result<String> {
        self.file.set_modified(modified)?;
        self.file.sync_all()?;
        etag_of(&self.file.metadata()?)
    }

    /// Makes the bytes durable, where the modification time means nothing.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// It has been renamed: nothing to remove any more.
    pub fn placed(mut self) {
        self.placed = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // Left-overs are removed at the next start as well.
            let _ = RealDisk.remove_file(&self.path);
        }
    }
}
