//! One byte budget for everything on disk: log, spools, outbox, journal (rule D13).
//!
//! A reserve at the end of it is for sealing alone, so that a full log can always be drained. Each stream has an equal
//! share and may borrow what others leave; once the budget is tight only borrowers are throttled.

use std::sync::atomic::{AtomicU64, Ordering};

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
#[error("the disk budget of {limit_bytes} bytes is used up ({used_bytes} in use)")]
pub struct OverBudget {
    /// The budget.
    pub limit_bytes: u64,
    /// In use now.
    pub used_bytes: u64,
}

/// Bytes in use against a limit. Shared by reference; counters only.
#[derive(Debug)]
pub struct DiskBudget {
    limit_bytes: u64,
    reserve_bytes: u64,
    used_bytes: AtomicU64,
}

impl DiskBudget {
    /// A budget of `limit_bytes`, the last `reserve_bytes` of which only sealing may use.
    pub fn new(limit_bytes: u64, reserve_bytes: u64) -> Self {
        Self { limit_bytes, reserve_bytes: reserve_bytes.min(limit_bytes), used_bytes: AtomicU64::new(0) }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX, 0)
    }

    /// Takes `bytes` or says why not.
    pub fn take(&self, bytes: u64, purpose: Purpose) -> Result<(), OverBudget> {
        let limit = match purpose {
            Purpose::Ingest => self.limit_bytes - self.reserve_bytes,
            Purpose::Sealing => self.limit_bytes,
        };
        self.used_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|after| *after <= limit)
            })
            .map(|_| ())
            .map_err(|used_bytes| OverBudget { limit_bytes: limit, used_bytes })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_for_sealing_alone() {
        let budget = DiskBudget::new(100, 20);
        budget.take(80, Purpose::Ingest).unwrap();
        assert!(budget.take(1, Purpose::Ingest).is_err());
        budget.take(20, Purpose::Sealing).unwrap();
        assert!(budget.take(1, Purpose::Sealing).is_err());
        budget.give_back(50);
        budget.take(30, Purpose::Ingest).unwrap();
    }
}
