//! The bytes of one parcel while they are written.
//!
//! Small ones stay in the heap; at [`WRITE_BYTES`] the first write creates the file. Which of both it becomes is decided
//! at the end by length alone, unless the bytes outlive their seal.

use super::{Finished, INLINE_MAX_BYTES, Shared, Stored};
use crate::disk::{Account, DiskFile, Purpose};
use crate::stream::Incarnation;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes gathered before a write to the file.
const WRITE_BYTES: usize = 1 << 20;

/// A parcel being written. Keeps length and checksum. An error of a write is final: drop the draft.
#[derive(Debug)]
pub struct Draft {
    shared: Arc<Shared>,
    incarnation: Incarnation,
    name: String,
    waiting: Vec<u8>,
    file: Option<OpenFile>,
    /// Whether it may become a part of its seal.
    may_be_inline: bool,
    written_bytes: u64,
    crc32c: u32,
    failed: bool,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    account: Account,
    taken_bytes: u64,
}

impl Draft {
    pub(super) fn new(shared: Arc<Shared>, incarnation: Incarnation, name: String) -> Self {
        let (waiting, file) = (Vec::new(), None);
        let may_be_inline = true;
        Self { shared, incarnation, name, waiting, file, may_be_inline, written_bytes: 0, crc32c: 0, failed: false }
    }

    /// Makes it a file, however short, of a spool: for bytes that outlive their seal.
    pub fn in_file(mut self) -> Self {
        self.may_be_inline = false;
        self
    }

    /// Bytes so far.
    pub fn length_bytes(&self) -> u64 {
        self.written_bytes + self.waiting.len() as u64
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Writes and syncs what must be in a file. Returns whether there is one.
    pub(super) fn complete(&mut self) -> io::Result<bool> {
        if self.failed {
            return Err(io::Error::other("an earlier write to this parcel failed"));
        }
        if self.may_be_inline && self.file.is_none() && self.waiting.len() <= INLINE_MAX_BYTES {
            self.crc32c = crc32c::crc32c(&self.waiting);
            return Ok(false);
        }
        self.write_out(&[])?;
        if let Some(open) = &self.file {
            open.file.sync_data()?;
        }
        Ok(true)
    }

    pub(super) fn into_finished(mut self) -> Finished {
        let length_bytes = self.length_bytes();
        let content = match self.file.take() {
            Some(open) => {
                let name = std::mem::take(&mut self.name);
                self.shared.held_bytes.lock().insert((self.incarnation, name.clone()), open.taken_bytes);
                Stored::File(name)
            }
            None => {
                self.waiting.shrink_to_fit();
                Stored::Inline(std::mem::take(&mut self.waiting))
            }
        };
        Finished { length_bytes, crc32c: self.crc32c, content }
    }

    /// Writes what waits and then `more` to the file.
    fn write_out(&mut self, more: &[u8]) -> io::Result<()> {
        self.failed = true;
        if self.file.is_none() {
            let path = self.shared.ready_folder(self.incarnation)?.join(&self.name);
            let file = self.shared.disk.create_new(&path)?;
            self.file = Some(OpenFile { file, path, account: self.shared.account(self.incarnation), taken_bytes: 0 });
        }
        let Some(open) = &mut self.file else { return Ok(()) };
        let bytes = (self.waiting.len() + more.len()) as u64;
        let purpose = if self.may_be_inline { Purpose::Sealing } else { Purpose::Spool };
        let taken = open.account.take(bytes, purpose);
        taken.map_err(|over| io::Error::new(io::ErrorKind::StorageFull, over))?;
        open.taken_bytes += bytes;
        open.file.write_all_at(&[&self.waiting, more], self.written_bytes)?;
        self.crc32c = crc32c::crc32c_append(crc32c::crc32c_append(self.crc32c, &self.waiting), more);
        self.written_bytes += bytes;
        self.waiting.clear();
        self.failed = false;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("an earlier write to this parcel failed"));
        }
        if self.waiting.len() + bytes.len() < WRITE_BYTES {
            self.waiting.extend_from_slice(bytes);
        } else {
            self.write_out(bytes)?;
        }
        Ok(bytes.len())
    }

    /// Nothing to do: only [`super::Outbox::finish`] makes the bytes durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(open) = self.file.take() {
            // What cannot be removed now is swept at the next start.
            if let Err(error) = self.shared.disk.remove_file(&open.path) {
                tracing::warn!(path = %open.path.display(), %error, "an unfinished parcel's file is left over");
            }
            open.account.give_back(open.taken_bytes);
        }
    }
}
