//! One byte budget for everything on disk: log, spools, outbox, journal (rule D13).
//!
//! A reserve at the end of it is for sealing alone, so that a full log can always be drained. Each stream has an equal
//! share of the rest and may borrow what others leave, until the budget is tight: then a stream that holds more than its
//! share is throttled, and the room that is left is for those that hold less.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Part of what records may fill above which nobody borrows and closed data goes before its time, in percent.
const TIGHT_PERCENT: u64 = 80;

/// What the space is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Records on their way in. May not touch the reserve.
    Ingest,
    /// Sealed bytes, journal entries, recovery. May use everything.
    Sealing,
}

/// The budget is used up for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
}

/// Bytes in use against a limit. Shared by reference.
#[derive(Debug)]
pub struct DiskBudget {
    limit_bytes: u64,
    reserve_bytes: u64,
    used_bytes: AtomicU64,
    accounts: Mutex<HashMap<String, Arc<AtomicU64>>>,
    account_count: AtomicUsize,
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
        }
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
        self.used_bytes() >= self.tight_bytes()
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
            Purpose::Ingest => budget.ingest_bytes(),
        };
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

    #[test]
    fn the_reserve_is_for_sealing_alone() {
        let budget = Arc::new(DiskBudget::new(100, 20));
        let stream = budget.account("s");
        stream.take(80, Purpose::Ingest).unwrap();
        assert_eq!(stream.take(1, Purpose::Ingest), Err(OverBudget::All { limit_bytes: 80, used_bytes: 80 }));
        stream.take(20, Purpose::Sealing).unwrap();
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
}
