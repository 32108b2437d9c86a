//! An input that can be read twice: a file is opened again; what comes from a pipe is kept in a file without a name
//! while it is read for the first time.

use super::{Failure, Input, from, opened};
use crate::disk::{Disk, DiskFile, RealDisk};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module.
pub struct TwiceReadable {
    input: PathBuf,
    /// Where there is room for what has to be kept.
    beside: PathBuf,
    kept: Option<Arc<dyn DiskFile>>,
}

impl TwiceReadable {
    /// Nothing is opened yet. What has to be kept is kept in the folder of the file `beside`.
    pub fn new(input: &Path, beside: &Path) -> Self {
        Self { input: input.to_owned(), beside: beside.to_owned(), kept: None }
    }

    /// Opens it from its start on. The first reading has to have come to the end when this is called again.
    pub fn open(&mut self) -> Result<Input, Failure> {
        if let Some(kept) = &self.kept {
            let length_bytes = kept.len_bytes()?;
            return from(Kept { file: Arc::clone(kept), offset_bytes: 0 }, Some(length_bytes));
        }
        let (source, length_bytes) = opened(&self.input)?;
        if length_bytes.is_some() {
            return from(source, length_bytes);
        }
        let mut path = self.beside.as_os_str().to_owned();
        path.push(format!(".input-{:016x}.tmp", fastrand::u64(..)));
        let cannot = |error| format!("cannot keep the input in {}: {error}", Path::new(&path).display());
        let file = RealDisk.create_new(Path::new(&path)).map_err(cannot)?;
        // It lives until it is closed, whatever becomes of this process.
        RealDisk.remove_file(Path::new(&path)).map_err(cannot)?;
        self.kept = Some(Arc::clone(&file));
        from(Keeping { source, file, length_bytes: 0 }, None)
    }
}

/// Keeps what is read.
struct Keeping<R> {
    source: R,
    file: Arc<dyn DiskFile>,
    length_bytes: u64,
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.file.write_all_at(&[&buffer[..count]], self.length_bytes)?;
        self.length_bytes += count as u64;
        Ok(count)
    }
}

/// Reads what was kept.
struct Kept {
    file: Arc<dyn DiskFile>,
    offset_bytes: u64,
}

impl Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset_bytes)?;
        self.offset_bytes += count as u64;
        Ok(count)
    }
}
