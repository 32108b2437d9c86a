//! What the file system itself has left, whatever the budget says: others may write to it, or the budget may be larger.
//!
//! Its last part is kept from producers, because deliveries need room before they free any, and the very last from
//! sealing, because a journal that cannot write stops everything, the next start included. Asked without a clock:
//! one look grants a few bytes, and the next look is due once they are taken.

use super::Disk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bounds of what is kept from producers.
const KEPT_LEAST_BYTES: u64 = 8 << 20;
const KEPT_MOST_BYTES: u64 = 1 << 30;
/// Most bytes that one look grants; on a small file system less, see [`grant_bytes`].
const GRANT_MOST_BYTES: u64 = 4 << 20;

/// Room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// All bytes it has.
    pub total_bytes: u64,
}

impl Room {
    /// Bytes kept for deliveries: a sixteenth, within 8 MiB and 1 GiB.
    pub fn kept_bytes(&self) -> u64 {
        (self.total_bytes / 16).clamp(KEPT_LEAST_BYTES, KEPT_MOST_BYTES)
    }

    /// Bytes of these that not even sealing may use.
    fn journal_bytes(&self) -> u64 {
        self.kept_bytes() / 4
    }

    /// Bytes that producers may take before the next look, or none if too much is promised already.
    /// `unwritten_bytes` are those promised that may not be on disk yet.
    fn grant_bytes(&self, unwritten_bytes: u64) -> Option<u64> {
        let spare_bytes = self.free_bytes.checked_sub(self.kept_bytes())?.checked_sub(unwritten_bytes)?;
        Some(spare_bytes.min(GRANT_MOST_BYTES).min(self.kept_bytes() / 8))
    }

    /// Whether closed data should go, before producers are throttled.
    fn is_tight(&self, unwritten_bytes: u64) -> bool {
        self.free_bytes.saturating_sub(unwritten_bytes) < self.kept_bytes() * 2
    }
}

/// The file system has too little room left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file system of {dir} has {free_bytes} bytes free, and {kept_bytes} bytes are kept for {kept_for}", dir = dir.display())]
pub struct Short {
    /// A folder on it.
    pub dir: PathBuf,
    /// Free bytes.
    pub free_bytes: u64,
    /// Bytes that this purpose may not use.
    pub kept_bytes: u64,
    /// What they are for.
    pub kept_for: &'static str,
}

/// The file system under the data folder.
#[derive(Debug)]
pub(super) struct FileSystem {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// What producers may take without another look.
    granted_bytes: AtomicU64,
    /// Producers were refused, and there is not plenty of room again; said once each.
    refusing: AtomicBool,
}

impl FileSystem {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned(), granted_bytes: AtomicU64::new(0), refusing: AtomicBool::new(false) }
    }

    /// What it has left; none if that cannot be known, and then nothing is refused for it.
    fn room(&self) -> Option<Room> {
        self.disk.room(&self.dir).ok().flatten()
    }

    /// Whether producers may write `bytes` more. `unwritten_bytes` says how many they may already but have not.
    pub(super) fn admit_records(&self, bytes: u64, unwritten_bytes: &AtomicU64) -> Result<(), Short> {
        let take = |granted: u64| granted.checked_sub(bytes);
        if self.granted_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() {
            return Ok(());
        }
        // ORDER: what is written between the two looks counts twice rather than not at all.
        let promised_bytes = unwritten_bytes.load(Ordering::Acquire).saturating_add(bytes);
        let Some(room) = self.room() else { return Ok(()) };
        let grant_bytes = room.grant_bytes(promised_bytes);
        self.granted_bytes.store(grant_bytes.unwrap_or(0), Ordering::Release);
        if grant_bytes.is_some() {
            if !room.is_tight(promised_bytes) && self.refusing.swap(false, Ordering::AcqRel) {
                tracing::info!(free_bytes = room.free_bytes, "the file system has room for records again");
            }
            return Ok(());
        }
        let short = self.short(room, room.kept_bytes(), "deliveries");
        if !self.refusing.swap(true, Ordering::AcqRel) {
            tracing::warn!("producers are throttled until there is room: {short}");
        }
        Err(short)
    }

    /// Whether sealing may write `bytes` more.
    pub(super) fn admit_sealed(&self, bytes: u64) -> Result<(), Short> {
        match self.room() {
            Some(room) if room.free_bytes < room.journal_bytes().saturating_add(bytes) => {
                Err(self.short(room, room.journal_bytes(), "the journal"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_tight(&self, unwritten_bytes: &AtomicU64) -> bool {
        let unwritten_bytes = unwritten_bytes.load(Ordering::Acquire);
        self.room().is_some_and(|room| room.is_tight(unwritten_bytes))
    }

    fn short(&self, room: Room, kept_bytes: u64, kept_for: &'static str) -> Short {
        Short { dir: self.dir.clone(), free_bytes: room.free_bytes, kept_bytes, kept_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_sixteenth_is_kept_within_bounds() {
        let kept = |total_bytes| Room { free_bytes: 0, total_bytes }.kept_bytes();
        assert_eq!([0, 60 * MIB, 128 * MIB].map(kept), [8 * MIB; 3]);
        assert_eq!([1600 * MIB, 16 << 30, 1 << 50].map(kept), [100 * MIB, 1 << 30, 1 << 30]);
    }

    #[test]
    fn what_is_promised_but_not_written_counts() {
        let room = |free_mib: u64| Room { free_bytes: free_mib * MIB, total_bytes: 1600 * MIB };
        assert_eq!(room(1000).grant_bytes(MIB), Some(4 * MIB));
        assert_eq!(room(104).grant_bytes(MIB), Some(3 * MIB));
        assert_eq!(room(104).grant_bytes(4 * MIB), Some(0));
        assert_eq!(room(104).grant_bytes(5 * MIB), None);
        assert_eq!(room(99).grant_bytes(0), None);
        // A grant is small against what is kept, since others may write meanwhile.
        assert_eq!(Room { free_bytes: 60 * MIB, total_bytes: 60 * MIB }.grant_bytes(0), Some(MIB));
        assert!(room(199).is_tight(0) && room(201).is_tight(2 * MIB) && !room(201).is_tight(MIB));
    }
}
