//! One byte budget for everything on disk: log, spools, outbox, journal (rule D13).
//!
//! A reserve at the end of it is for sealing alone, so that a full log can always be drained. Each stream has an equal
//! share of the rest and may borrow what others leave, until the budget is tight: then a stream that holds more than its
//! share is throttled, and the room that is left is for those that hold less. The file system may have less than the
//! budget allows; `room` judges that.

use super::Disk;
use super::room::{FileSystem, Room, Short};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Part of what records may fill above which nobody borrows and closed data goes before its time, in percent.
const TIGHT_PERCENT: u64 = 80;

/// What the space is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Records on their way in. May not touch the reserve.
    Ingest,
    /// Records that wait by partition. Half of the reserve is kept from them: what they become needs room before any of
    /// them goes.
    Spool,
    /// Sealed bytes, journal entries, recovery. May use the whole budget.
    Sealing,
}

/// There is no room for this purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// By all together.
    #[error("the disk budget of {limit_bytes} bytes is used up ({used_bytes} in use)")]
    All {
        /// What may be used for this purpose.
        limit_bytes: u64,
        /// In use now.
        used_bytes: u64,
    },
    /// The stream holds more than its share, and there is little left to borrow.
    #[error(
        "the disk budget is tight and the stream holds more than its share of it ({used_bytes} of {share_bytes} bytes)"
    )]
    Share {
        /// The stream's share.
        share_bytes: u64,
        /// What it holds.
        used_bytes: u64,
    },
    /// The file system is full although the budget is not used up.
    #[error(transparent)]
    FileSystem(#[from] Short),
}

/// Bytes in use against a limit. Shared by reference.
#[derive(Debug)]
pub struct DiskBudget {
    limit_bytes: u64,
    reserve_bytes: u64,
    used_bytes: AtomicU64,
    accounts: Mutex<HashMap<String, Arc<AtomicU64>>>,
    account_count: AtomicUsize,
    file_system: Option<FileSystem>,
    /// Taken for records that are not written yet, so that a look at the file system does not see them.
    unwritten_bytes: AtomicU64,
}

/// Bytes that are taken and about to be written; until this is dropped, the file system's free bytes still hold them.
#[derive(Debug)]
pub struct Unwritten {
    budget: Arc<DiskBudget>,
    bytes: u64,
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.budget.unwritten_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// One stream's part in the budget. What it takes counts for the whole as well.
#[derive(Debug, Clone)]
pub struct Account {
    budget: Arc<DiskBudget>,
    used_bytes: Arc<AtomicU64>,
}

impl DiskBudget {
    /// A budget of `limit_bytes`, the last `reserve_bytes` of which only sealing may use.
    pub fn new(limit_bytes: u64, reserve_bytes: u64) -> Self {
        Self {
            limit_bytes,
            reserve_bytes: reserve_bytes.min(limit_bytes),
            used_bytes: AtomicU64::new(0),
            accounts: Mutex::default(),
            account_count: AtomicUsize::new(0),
            file_system: None,
            unwritten_bytes: AtomicU64::new(0),
        }
    }

    /// The same budget, within what the file system of `dir` has left.
    pub fn on_file_system(self, disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { file_system: Some(FileSystem::new(disk, dir)), ..self }
    }

    /// Whether a file system could never hold what the budget allows.
    pub fn exceeds(&self, room: Room) -> bool {
        self.limit_bytes > room.total_bytes
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX, 0)
    }

    /// The account of a stream, by its incarnation; the same for its log and its outbox. Each account lowers the share
    /// of all.
    pub fn account(self: &Arc<Self>, stream: &str) -> Account {
        let mut accounts = self.accounts.lock();
        let used_bytes = accounts.entry(stream.to_owned()).or_default().clone();
        self.account_count.store(accounts.len(), Ordering::Release);
        Account { budget: self.clone(), used_bytes }
    }

    /// Forgets a stream that is deleted, with all that it holds.
    pub fn close_account(&self, stream: &str) {
        let mut accounts = self.accounts.lock();
        if let Some(used_bytes) = accounts.remove(stream) {
            self.give_back(used_bytes.swap(0, Ordering::AcqRel));
        }
        self.account_count.store(accounts.len(), Ordering::Release);
    }

    /// Whether so little is left that nobody may borrow and closed data goes before its time.
    pub fn is_tight(&self) -> bool {
        let is_short = |file_system: &FileSystem| file_system.is_tight(&self.unwritten_bytes);
        self.used_bytes() >= self.tight_bytes() || self.file_system.as_ref().is_some_and(is_short)
    }

    fn ingest_bytes(&self) -> u64 {
        self.limit_bytes - self.reserve_bytes
    }

    fn tight_bytes(&self) -> u64 {
        self.ingest_bytes() / 100 * TIGHT_PERCENT
    }

    /// Each stream's part of what records may fill.
    fn share_bytes(&self) -> u64 {
        self.ingest_bytes() / self.account_count.load(Ordering::Acquire).max(1) as u64
    }

    /// Takes `bytes` while no more than `limit_bytes` are in use; else says how many are.
    fn take_upto(&self, bytes: u64, limit_bytes: u64) -> Result<(), u64> {
        self.used_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|after| *after <= limit_bytes)
            })
            .map(drop)
    }

    /// Counts bytes that are there already (found at start, or written without asking).
    pub fn add(&self, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: u64) {
        let before = self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
        debug_assert!(before >= bytes, "more given back than taken");
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Acquire)
    }

    /// The limit.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }
}

impl Account {
    /// Takes `bytes` or says why not.
    pub fn take(&self, bytes: u64, purpose: Purpose) -> Result<(), OverBudget> {
        let budget = &self.budget;
        let limit_bytes = match purpose {
            Purpose::Sealing => budget.limit_bytes,
            Purpose::Spool => budget.limit_bytes - budget.reserve_bytes / 2,
            Purpose::Ingest => budget.ingest_bytes(),
        };
        if let Some(file_system) = &budget.file_system {
            match purpose {
                Purpose::Sealing | Purpose::Spool => file_system.admit_sealed(bytes)?,
                Purpose::Ingest => file_system.admit_records(bytes, &budget.unwritten_bytes)?,
            }
        }
        let (own_bytes, share_bytes) = (self.used_bytes(), budget.share_bytes());
        let is_alone = share_bytes == budget.ingest_bytes();
        if purpose == Purpose::Ingest && !is_alone && own_bytes.saturating_add(bytes) > share_bytes {
            let taken = budget.take_upto(bytes, budget.tight_bytes());
            taken.map_err(|_| OverBudget::Share { share_bytes, used_bytes: own_bytes })?;
        } else {
            let taken = budget.take_upto(bytes, limit_bytes);
            taken.map_err(|used_bytes| OverBudget::All { limit_bytes, used_bytes })?;
        }
        self.used_bytes.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }

    /// Says that taken bytes are yet to be written. Held until they are, or never will be.
    pub fn unwritten(&self, bytes: u64) -> Unwritten {
        self.budget.unwritten_bytes.fetch_add(bytes, Ordering::AcqRel);
        Unwritten { budget: self.budget.clone(), bytes }
    }

    /// Counts bytes that are there already (found at start, or written without asking).
    pub fn add(&self, bytes: u64) {
        self.budget.add(bytes);
        self.used_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: u64) {
        // What a closed account held is given back already.
        let own = |used: u64| Some(used.saturating_sub(bytes));
        let before = self.used_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, own).unwrap_or(0);
        self.budget.give_back(bytes.min(before));
    }

    /// Bytes the stream holds.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Acquire)
    }

    /// The whole, for what concerns all.
    pub fn budget(&self) -> &DiskBudget {
        &self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::FaultyDisk;

    #[test]
    fn the_reserve_is_for_sealing_alone() {
        let budget = Arc::new(DiskBudget::new(100, 20));
        let stream = budget.account("s");
        stream.take(80, Purpose::Ingest).unwrap();
        assert_eq!(stream.take(1, Purpose::Ingest), Err(OverBudget::All { limit_bytes: 80, used_bytes: 80 }));
        stream.take(10, Purpose::Spool).unwrap();
        assert_eq!(stream.take(1, Purpose::Spool), Err(OverBudget::All { limit_bytes: 90, used_bytes: 90 }));
        stream.take(10, Purpose::Sealing).unwrap();
        assert!(stream.take(1, Purpose::Sealing).is_err());
        stream.give_back(50);
        stream.take(30, Purpose::Ingest).unwrap();
    }

    #[test]
    fn only_borrowers_are_throttled_when_room_is_short() {
        let budget = Arc::new(DiskBudget::new(1000, 0));
        let [greedy, modest, late, _idle] = ["greedy", "modest", "late", "idle"].map(|name| budget.account(name));
        // A share is 250; what others leave may be borrowed until the budget is tight.
        greedy.take(600, Purpose::Ingest).unwrap();
        modest.take(200, Purpose::Ingest).unwrap();
        assert!(budget.is_tight());
        assert_eq!(greedy.take(1, Purpose::Ingest), Err(OverBudget::Share { share_bytes: 250, used_bytes: 600 }));
        late.take(100, Purpose::Ingest).unwrap();
        modest.take(50, Purpose::Ingest).unwrap();
        assert!(modest.take(1, Purpose::Ingest).is_err());
        // Room that is given back is for all again.
        greedy.give_back(400);
        greedy.take(50, Purpose::Ingest).unwrap();
        assert_eq!((greedy.used_bytes(), budget.used_bytes()), (250, 600));
    }

    #[test]
    fn a_closed_account_leaves_nothing_and_its_share_to_the_others() {
        let budget = Arc::new(DiskBudget::new(1000, 0));
        let (stays, goes) = (budget.account("stays"), budget.account("goes"));
        goes.take(300, Purpose::Ingest).unwrap();
        budget.close_account("goes");
        // A commit that was under way at the delete.
        goes.give_back(100);
        assert_eq!(budget.used_bytes(), 0);
        stays.take(1000, Purpose::Ingest).unwrap();
    }

    #[test]
    fn a_full_file_system_throttles_although_the_budget_is_not_used_up() {
        const MIB: u64 = 1 << 20;
        let disk = FaultyDisk::new();
        let set_free = |free_mib: u64| disk.report_room(Room { free_bytes: free_mib * MIB, total_bytes: 60 * MIB });
        set_free(60);
        let budget = DiskBudget::new(1 << 40, 0).on_file_system(Arc::new(disk.clone()), Path::new("/data"));
        assert!(budget.exceeds(Room { free_bytes: 0, total_bytes: MIB }));
        let budget = Arc::new(budget);
        let stream = budget.account("s");
        // Nothing is on disk yet, so only what is promised tells.
        let mut promised = Vec::new();
        let refusal = loop {
            match stream.take(MIB, Purpose::Ingest) {
                Ok(()) => promised.push(stream.unwritten(MIB)),
                Err(refusal) => break refusal,
            }
        };
        // 8 MiB are kept.
        assert_eq!(promised.len(), 52);
        assert!(budget.is_tight());
        let text = refusal.to_string();
        assert!(text.contains("/data has 62914560 bytes free, and 8388608 bytes are kept for deliveries"), "{text}");
        // Written, they are seen by the disk instead.
        promised.clear();
        set_free(8);
        stream.take(MIB, Purpose::Ingest).unwrap_err();
        // Sealing goes on, but leaves the journal a quarter of what is kept.
        stream.take(6 * MIB, Purpose::Sealing).unwrap();
        let refusal = stream.take(6 * MIB + 1, Purpose::Sealing).unwrap_err();
        assert!(refusal.to_string().contains("2097152 bytes are kept for the journal"), "{refusal}");
        set_free(30);
        stream.take(MIB, Purpose::Ingest).unwrap();
        assert!(!budget.is_tight());
    }
}
