//! The bytes of a finished file, for as many attempts as it takes.

use crate::disk::{Disk, DiskFile};
use crate::record::ParcelBytes;
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// See the module. The file is open from the first read of an attempt to the one that reaches its end.
#[derive(Debug)]
pub struct FileBytes {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    length_bytes: u64,
    open: Mutex<Option<Arc<dyn DiskFile>>>,
}

impl FileBytes {
    /// The file at `path`, which is `length_bytes` long.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf, length_bytes: u64) -> Self {
        Self { disk, path, length_bytes, open: Mutex::default() }
    }

    fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        if let Some(file) = &*open {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path)?;
        *open = Some(Arc::clone(&file));
        Ok(file)
    }
}

impl ParcelBytes for FileBytes {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.file()?.read_exact_at(buffer, offset_bytes)?;
        if offset_bytes + buffer.len() as u64 >= self.length_bytes {
            self.open.lock().take();
        }
        Ok(())
    }
}
