//! What is done about a run whose outcome finds no room on disk: a smaller one is tried (rule D13). Pure.
//!
//! Once records fill the budget, what is left is the reserve. A run that needs more than that would be staged again for
//! ever, and nothing freed.

use crate::batch::PartitionHints;
use crate::stream::definition::Hints;

/// Runs are not made smaller than this.
const LEAST_BYTES: u64 = 256 << 10;
/// From here on they are as large as the stream wants them.
const PLENTY_BYTES: u64 = 128 << 20;

/// How large runs may be.
#[derive(Debug, Default)]
pub struct Narrow {
    most_bytes: Option<u64>,
}

impl Narrow {
    /// A size, within what finds room.
    pub fn bytes(&self, bytes: u64) -> u64 {
        self.most_bytes.map_or(bytes, |most| bytes.min(most))
    }

    /// The hints, within what finds room.
    pub fn hints(&self, hints: Hints) -> Hints {
        Hints { size_bytes: self.bytes(hints.size_bytes), ..hints }
    }

    /// The same for partitions, each.
    pub fn partition_hints(&self, hints: PartitionHints) -> PartitionHints {
        PartitionHints { hints: self.hints(hints.hints), ..hints }
    }

    /// Partitions that may be sealed together.
    pub fn most_partitions(&self) -> usize {
        self.most_bytes.map_or(usize::MAX, |most| usize::try_from(most / LEAST_BYTES).unwrap_or(usize::MAX))
    }

    /// There was no room for what a run of at most `run_bytes` source bytes became.
    pub fn note_no_room(&mut self, run_bytes: u64) {
        let tried = self.most_bytes.map_or(run_bytes, |most| most.min(run_bytes));
        self.most_bytes = Some((tried / 2).max(LEAST_BYTES));
    }

    /// A run was sealed: larger ones are tried step by step.
    pub fn note_sealed(&mut self) {
        self.most_bytes = self.most_bytes.map(|most| most * 2).filter(|most| *most < PLENTY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halved_without_room_and_doubled_with_it() {
        let hints = Hints { size_bytes: 64 << 20, interval_ms: 5 };
        let mut narrow = Narrow::default();
        assert_eq!((narrow.hints(hints), narrow.most_partitions()), (hints, usize::MAX));
        narrow.note_no_room(50 << 20);
        assert_eq!(narrow.hints(hints), Hints { size_bytes: 25 << 20, interval_ms: 5 });
        // What is already small stays.
        let small = Hints { size_bytes: 1 << 20, interval_ms: 5 };
        assert_eq!(narrow.hints(small), small);
        for _ in 0..40 {
            narrow.note_no_room(25 << 20);
        }
        assert_eq!((narrow.hints(hints).size_bytes, narrow.most_partitions()), (LEAST_BYTES, 1));
        let mut seals = 0;
        while narrow.hints(hints) != hints {
            narrow.note_sealed();
            seals += 1;
        }
        assert_eq!(seals, 8);
        narrow.note_sealed();
        assert_eq!(narrow.most_partitions(), usize::MAX);
    }
}
