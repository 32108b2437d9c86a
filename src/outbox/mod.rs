//! The outbox: where finished bytes wait until their parcel is delivered.
//!
//! From: `delivery` begins a [`Draft`] for each parcel, encoders write to it, [`Outbox::finish`] makes all drafts of a
//! run durable before the seal that names them is stored (rule D1). To: a small parcel's bytes go into the seal
//! ([`Stored::Inline`], kept by `journal`), a large one's stay in a file that [`Outbox::open`] reads for each attempt and
//! [`Outbox::free`] removes once its seal is closed.
//!
//! Files: `<streams>/<incarnation>/outbox/<seal id>-<parcel>`: no header, exactly the bytes of the parcel, whose length
//! and checksum stand in the seal; or a spool chunk, which outlives the seal that made it. A file that neither an open seal
//! nor a chunk of the journal names is a left-over, removed by
//! [`Outbox::sweep`] at start. Space comes out of the disk budget, reserve included (rule D13).

mod draft;
mod file;
#[cfg(test)]
mod tests;

pub use draft::Draft;

use crate::disk::{Account, Disk, DiskBudget, create_dir_durable};
use crate::record::ParcelBytes;
use crate::stream::{Incarnation, SealId};
use file::FileBytes;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest parcel that lies in the journal instead of a file.
pub const INLINE_MAX_BYTES: usize = 64 << 10;

/// Where the finished bytes of a parcel are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Here: the caller hands them to the journal with the seal.
    Inline(Vec<u8>),
    /// In the outbox's file of this name, durably.
    File(String),
}

/// A draft whose bytes are complete and, when in a file, durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Length of the parcel.
    pub length_bytes: u64,
    /// CRC-32C of the parcel.
    pub crc32c: u32,
    /// Its bytes.
    pub content: Stored,
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    streams_dir: PathBuf,
    budget: Arc<DiskBudget>,
    /// Folders known to be there durably.
    folders: Mutex<HashSet<Incarnation>>,
    /// Finished files and the bytes they take from the budget.
    held_bytes: Mutex<HashMap<(Incarnation, String), u64>>,
}

impl Outbox {
    /// An outbox whose files are in `<streams_dir>/<incarnation>/outbox/`.
    pub fn new(disk: Arc<dyn Disk>, streams_dir: PathBuf, budget: Arc<DiskBudget>) -> Self {
        let (folders, held_bytes) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { disk, streams_dir, budget, folders, held_bytes }) }
    }

    /// Begins the bytes of a parcel. Dropping the draft unfinished leaves nothing behind.
    pub fn begin(&self, incarnation: Incarnation, seal: SealId, parcel: u32) -> Draft {
        Draft::new(Arc::clone(&self.shared), incarnation, file_name(seal, parcel))
    }

    /// Removes what was finished of a parcel that no seal and no turn names after all, if there is anything.
    pub fn discard(&self, incarnation: Incarnation, seal: SealId, parcel: u32) -> io::Result<()> {
        self.free(incarnation, &file_name(seal, parcel))
    }

    /// Completes drafts, in their order: when it returns `Ok`, all files among them are durable. On an error all are
    /// dropped. Blocks. What is finished and not sealed after all must be given to [`Outbox::free`].
    pub fn finish(&self, mut drafts: Vec<Draft>) -> io::Result<Vec<Finished>> {
        let mut folders = HashSet::new();
        for draft in &mut drafts {
            if draft.complete()? {
                folders.insert(draft.incarnation());
            }
        }
        // ORDER: contents, then names, and only then may a seal name the files.
        for incarnation in folders {
            self.shared.disk.sync_dir(&self.shared.folder(incarnation))?;
        }
        Ok(drafts.into_iter().map(Draft::into_finished).collect())
    }

    /// The bytes of a finished file. Opened when first read, closed again when read to the end: a parcel that waits
    /// holds no open file.
    pub fn open(&self, incarnation: Incarnation, name: &str) -> io::Result<Arc<dyn ParcelBytes>> {
        let path = self.shared.folder(incarnation).join(name);
        let held = self.shared.held_bytes.lock().get(&(incarnation, name.to_owned())).copied();
        let length_bytes = match held {
            Some(length_bytes) => length_bytes,
            None => self.shared.disk.open(&path)?.len_bytes()?,
        };
        Ok(Arc::new(FileBytes::new(Arc::clone(&self.shared.disk), path, length_bytes)))
    }

    /// Removes a finished file and gives its bytes back; one that is gone already is `Ok`. A removal that a power cut
    /// undoes is made good by the next start's sweep.
    pub fn free(&self, incarnation: Incarnation, name: &str) -> io::Result<()> {
        match self.shared.disk.remove_file(&self.shared.folder(incarnation).join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        if let Some(bytes) = self.shared.held_bytes.lock().remove(&(incarnation, name.to_owned())) {
            self.shared.account(incarnation).give_back(bytes);
        }
        Ok(())
    }

    /// Before a lane begins anything: removes the files that are not in `keep` and counts the others against the budget.
    /// Returns how many were removed.
    pub fn sweep(&self, incarnation: Incarnation, keep: &HashSet<String>) -> io::Result<u64> {
        let folder = self.shared.folder(incarnation);
        let entries = match self.shared.disk.list(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other?,
        };
        let mut removed = 0;
        for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
            if keep.contains(&entry.name) {
                self.shared.hold(incarnation, entry.name, entry.len_bytes);
            } else {
                self.free(incarnation, &entry.name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Forgets the files of a deleted stream, whose folder the caller removes; with them the stream's account.
    pub fn forget(&self, incarnation: Incarnation) {
        self.shared.folders.lock().remove(&incarnation);
        self.shared.held_bytes.lock().retain(|(owner, _), _| *owner != incarnation);
        self.shared.budget.close_account(&incarnation.to_string());
    }
}

fn file_name(seal: SealId, parcel: u32) -> String {
    format!("{seal}-{parcel}")
}

impl Shared {
    /// The stream's part in the disk budget.
    fn account(&self, incarnation: Incarnation) -> Account {
        self.budget.account(&incarnation.to_string())
    }

    fn folder(&self, incarnation: Incarnation) -> PathBuf {
        self.streams_dir.join(incarnation.to_string()).join("outbox")
    }

    /// The folder, made durable when first asked for.
    fn ready_folder(&self, incarnation: Incarnation) -> io::Result<PathBuf> {
        let folder = self.folder(incarnation);
        if !self.folders.lock().contains(&incarnation) {
            create_dir_durable(&*self.disk, &folder)?;
            self.folders.lock().insert(incarnation);
        }
        Ok(folder)
    }

    /// Counts a file that was there at start.
    fn hold(&self, incarnation: Incarnation, name: String, bytes: u64) {
        let is_new = self.held_bytes.lock().insert((incarnation, name), bytes).is_none();
        if is_new {
            self.account(incarnation).add(bytes);
        }
    }
}
