//! A disk in memory that forgets what was not synced, for power-loss tests.
//!
//! It holds the file system to the letter of the contract in `disk` and to nothing else:
//! - A write is for certain on stable storage after a good `sync_data` of its file. Until then a power cut may keep it
//!   whole, tear it (at any byte or sector), keep single sectors, keep only the length (zeros), leave garbage in its
//!   range, or lose it, independently of earlier and later writes.
//! - A name created, renamed or removed is for certain after a good `sync_dir` of its folder. Until then each may be
//!   kept or lost on its own; a rename is old or new, never both or neither.
//! - After a failed `sync_data` the writes it should have synced look clean: no later sync brings them to storage.
//!
//! [`FaultyDisk::process_crash`] models kill -9 (everything written is still visible, nothing more is synced),
//! [`FaultyDisk::power_cut`] a power cut. Both end the old disk: stragglers of the dead process only get errors.
//! `world` holds the model; this file is its face as a [`Disk`].

mod sample;
#[cfg(test)]
mod tests;
mod world;

use super::{Disk, DiskFile, Entry, Room};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use world::{NodeId, World};

/// See the module. Clones share one disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Debug)]
struct FaultyFile {
    world: Arc<Mutex<World>>,
    node: NodeId,
}

impl FaultyDisk {
    /// An empty disk with no fault armed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power: a disk that holds what `seed` chooses among the possible states. This one is off from now on,
    /// but may be asked again for what other seeds choose.
    pub fn power_cut(&self, seed: u64) -> Self {
        let mut world = self.world.lock();
        world.off = true;
        let after = sample::after_power_cut(&world, &mut fastrand::Rng::with_seed(seed));
        Self { world: Arc::new(Mutex::new(after)) }
    }

    /// Kills the process: a disk that shows everything written, of which what was not synced still is not. This one is
    /// off from now on.
    pub fn process_crash(&self) -> Self {
        let mut world = self.world.lock();
        let mut after = world.clone();
        world.off = true;
        after.restart();
        Self { world: Arc::new(Mutex::new(after)) }
    }

    /// Writes, syncs and changes of names so far, the failed ones included.
    pub fn operations(&self) -> u64 {
        self.world.lock().operations
    }

    /// Goes off in the middle of the operation after number `operations`: that one is begun and not known to be done,
    /// and from then on every call fails.
    pub fn cut_after(&self, operations: u64) {
        self.world.lock().cut_after = Some(operations);
    }

    /// Whether it went off.
    pub fn is_off(&self) -> bool {
        self.world.lock().off
    }

    /// The next `sync_data` fails.
    pub fn fail_sync_once(&self) {
        self.world.lock().fail_syncs += 1;
    }

    /// The next `sync_dir` fails.
    pub fn fail_sync_dir_once(&self) {
        self.world.lock().fail_dir_syncs += 1;
    }

    /// Takes back what is armed: failing syncs, a full disk, a cut to come.
    pub fn clear_faults(&self) {
        let mut world = self.world.lock();
        (world.fail_syncs, world.fail_dir_syncs, world.room_bytes, world.cut_after) = (0, 0, u64::MAX, None);
    }

    /// Takes this many bytes more, then writes fail with `StorageFull` after what still fits. `u64::MAX` makes room.
    pub fn disk_full_after(&self, bytes: u64) {
        self.world.lock().room_bytes = bytes;
    }

    /// Says from now on that this room is left; nothing is refused for it.
    pub fn report_room(&self, room: Room) {
        self.world.lock().reported_room = Some(room);
    }

    /// From now on syncs report `Ok` and do nothing: a test of durability must fail on such a disk.
    pub fn ignore_syncs(&self, ignore: bool) {
        self.world.lock().ignore_syncs = ignore;
    }
}

impl Disk for FaultyDisk {
    fn room(&self, _dir: &Path) -> io::Result<Option<Room>> {
        Ok(self.world.lock().reported_room)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = self.world.lock().create_file(path)?;
        Ok(Arc::new(FaultyFile { world: Arc::clone(&self.world), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = self.world.lock().open_file(path)?;
        Ok(Arc::new(FaultyFile { world: Arc::clone(&self.world), node }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.world.lock().list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.world.lock().create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world.lock().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.world.lock().remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.world.lock().remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.world.lock().sync_dir(dir)
    }
}

impl DiskFile for FaultyFile {
    fn write_all_at(&self, parts: &[&[u8]], mut offset_bytes: u64) -> io::Result<()> {
        for part in parts {
            self.world.lock().write(self.node, part, offset_bytes)?;
            offset_bytes += part.len() as u64;
        }
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        match self.read_at(buffer, offset_bytes)? {
            read if read == buffer.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let world = self.world.lock();
        let content = world.content(self.node)?;
        let start = usize::try_from(offset_bytes).unwrap_or(usize::MAX).min(content.len());
        let length = buffer.len().min(content.len() - start);
        buffer[..length].copy_from_slice(&content[start..start + length]);
        Ok(length)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.world.lock().content(self.node)?.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.world.lock().sync_data(self.node)
    }
}
