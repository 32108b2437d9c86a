//! Which partitions are cut, and when: each by its own size and interval (reference: dynamic partitioning, run time).
//!
//! From: `delivery`, with what the spool has of each partition. Pure: time is handed in. Invariants: a partition is
//! there from its first waiting piece until all of them are taken; what is taken of a partition is its oldest pieces, so
//! that its records keep their order.

use super::Decision;
use crate::stream::definition::Hints;
use crate::stream::seal::CutReason;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A partition's part of a spool chunk that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Number of the chunk, ascending.
    pub chunk: u64,
    /// Number of the partition in the chunk.
    pub partition: u32,
    /// Where the chunk tells of it: (offset, length).
    pub place: (u32, u32),
    /// Its records.
    pub records: u64,
    /// Source bytes of its records, for sums: of a record that was split, its first part has all.
    pub bytes: u64,
    /// Source bytes of its records, for hints.
    pub size_bytes: u64,
    /// Arrival of its oldest record, ms since the epoch.
    pub oldest_arrival_ms: i64,
}

/// What of a partition is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionCut {
    /// Key of the partition.
    pub key: Arc<[u8]>,
    /// Why.
    pub reason: CutReason,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

/// When partitions are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionHints {
    /// Size and interval of each.
    pub hints: Hints,
    /// Source bytes that may wait in all partitions; above, those that had no record for the longest time are cut.
    pub max_waiting_bytes: u64,
    /// Partitions that may wait; above, as with bytes.
    pub max_waiting: u64,
    /// Pieces that may wait in all partitions; above, as with bytes.
    pub max_waiting_pieces: u64,
}

/// What is cut at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutBounds {
    /// Most partitions.
    pub partitions: usize,
    /// No further partition once there are so many source bytes.
    pub bytes: u64,
    /// No further partition once there are so many pieces.
    pub pieces: usize,
}

/// The partitions that wait.
#[derive(Debug, Default)]
pub struct Partitions {
    waiting: HashMap<Arc<[u8]>, Waiting>,
    /// By the time since which the first piece waits.
    by_age: BTreeSet<(Duration, Arc<[u8]>)>,
    /// By the time of the last piece.
    by_use: BTreeSet<(Duration, Arc<[u8]>)>,
    /// By bytes that wait.
    by_bytes: BTreeSet<(u64, Arc<[u8]>)>,
    /// How many pieces have this oldest arrival.
    arrivals: BTreeMap<i64, u64>,
    pieces: u64,
    records: u64,
    bytes: u64,
    size_bytes: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    since: Duration,
    used: Duration,
    records: u64,
    bytes: u64,
    size_bytes: u64,
    pieces: VecDeque<Piece>,
}

impl Partitions {
    /// Number of partitions that wait.
    pub fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// (records, source bytes) that wait.
    pub fn totals(&self) -> (u64, u64) {
        (self.records, self.bytes)
    }

    /// Source bytes that wait, as hints have them.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Arrival of the oldest record that waits, ms since the epoch.
    pub fn oldest_arrival_ms(&self) -> Option<i64> {
        self.arrivals.first_key_value().map(|(arrival_ms, _)| *arrival_ms)
    }

    /// Pieces that wait.
    pub fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Whether the partition waits.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.waiting.contains_key(key)
    }

    /// A piece came, behind those that the partition has.
    pub fn add(&mut self, key: &[u8], piece: Piece, now: Duration) {
        let key = match self.waiting.get_key_value(key) {
            Some((key, _)) => key.clone(),
            None => Arc::from(key),
        };
        let mut waiting = self.take_out(&key).unwrap_or_else(|| Waiting { since: now, ..Waiting::default() });
        waiting.used = now;
        waiting.records += piece.records;
        waiting.bytes += piece.bytes;
        waiting.size_bytes += piece.size_bytes;
        waiting.pieces.push_back(piece);
        self.note_arrival(&piece);
        self.put_in(key, waiting);
    }

    /// Whether something is to be cut, or when to ask again. `everything`: all that waits goes out, for this reason.
    pub fn decide(&self, hints: &PartitionHints, now: Duration, everything: Option<CutReason>) -> Decision {
        match (self.next_due(hints, now, everything), self.by_age.first()) {
            (Some((_, reason)), _) => Decision::Cut(reason),
            (None, Some((since, _))) => {
                Decision::Wait((*since + Duration::from_millis(hints.hints.interval_ms)).saturating_sub(now))
            }
            (None, None) => Decision::Nothing,
        }
    }

    /// What is to be cut. It no longer waits.
    pub fn cut(
        &mut self,
        hints: &PartitionHints,
        now: Duration,
        everything: Option<CutReason>,
        most: CutBounds,
    ) -> Vec<PartitionCut> {
        let mut cuts: Vec<PartitionCut> = Vec::new();
        let (mut bytes, mut pieces) = (0, 0);
        while cuts.len() < most.partitions && bytes < most.bytes && pieces < most.pieces {
            let Some((key, reason)) = self.next_due(hints, now, everything) else { break };
            let Some(cut) = self.take(&key, hints.hints.size_bytes, reason) else { break };
            bytes += cut.pieces.iter().map(|piece| piece.size_bytes).sum::<u64>();
            pieces += cut.pieces.len();
            cuts.push(cut);
        }
        cuts
    }

    /// Puts back what could not be sealed; it is due again at once.
    pub fn give_back(&mut self, cut: PartitionCut) {
        let mut waiting = self.take_out(&cut.key).unwrap_or_default();
        waiting.since = Duration::ZERO;
        for piece in cut.pieces.into_iter().rev() {
            waiting.records += piece.records;
            waiting.bytes += piece.bytes;
            waiting.size_bytes += piece.size_bytes;
            waiting.pieces.push_front(piece);
            self.note_arrival(&piece);
        }
        self.put_in(cut.key, waiting);
    }

    fn next_due(
        &self,
        hints: &PartitionHints,
        now: Duration,
        everything: Option<CutReason>,
    ) -> Option<(Arc<[u8]>, CutReason)> {
        let (bytes, largest) = self.by_bytes.last()?;
        let (since, oldest) = self.by_age.first()?;
        let (_, least_used) = self.by_use.first()?;
        let is_over = self.size_bytes > hints.max_waiting_bytes
            || self.len() > hints.max_waiting
            || self.pieces > hints.max_waiting_pieces;
        Some(if *bytes >= hints.hints.size_bytes {
            (largest.clone(), CutReason::Size)
        } else if now.saturating_sub(*since) >= Duration::from_millis(hints.hints.interval_ms) {
            (oldest.clone(), CutReason::Interval)
        } else if let Some(reason) = everything {
            (oldest.clone(), reason)
        } else if is_over {
            (least_used.clone(), CutReason::Size)
        } else {
            return None;
        })
    }

    /// Its oldest pieces, until they have the size.
    fn take(&mut self, key: &Arc<[u8]>, size_bytes: u64, reason: CutReason) -> Option<PartitionCut> {
        let mut waiting = self.take_out(key)?;
        let (mut pieces, mut taken_bytes) = (Vec::new(), 0);
        while taken_bytes < size_bytes
            && let Some(piece) = waiting.pieces.pop_front()
        {
            taken_bytes += piece.size_bytes;
            waiting.records -= piece.records;
            waiting.bytes -= piece.bytes;
            waiting.size_bytes -= piece.size_bytes;
            pieces.push(piece);
            self.forget_arrival(&piece);
        }
        if !waiting.pieces.is_empty() {
            // Those that are left may be younger; when the first of them came is not kept.
            self.put_in(key.clone(), waiting);
        }
        Some(PartitionCut { key: key.clone(), reason, pieces })
    }

    fn note_arrival(&mut self, piece: &Piece) {
        *self.arrivals.entry(piece.oldest_arrival_ms).or_default() += 1;
    }

    fn forget_arrival(&mut self, piece: &Piece) {
        if let Entry::Occupied(mut count) = self.arrivals.entry(piece.oldest_arrival_ms) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn take_out(&mut self, key: &Arc<[u8]>) -> Option<Waiting> {
        let waiting = self.waiting.remove(key)?;
        self.by_age.remove(&(waiting.since, key.clone()));
        self.by_use.remove(&(waiting.used, key.clone()));
        self.by_bytes.remove(&(waiting.size_bytes, key.clone()));
        self.pieces -= waiting.pieces.len() as u64;
        self.bytes -= waiting.bytes;
        self.size_bytes -= waiting.size_bytes;
        self.records -= waiting.records;
        Some(waiting)
    }

    fn put_in(&mut self, key: Arc<[u8]>, waiting: Waiting) {
        self.by_age.insert((waiting.since, key.clone()));
        self.by_use.insert((waiting.used, key.clone()));
        self.by_bytes.insert((waiting.size_bytes, key.clone()));
        self.pieces += waiting.pieces.len() as u64;
        self.bytes += waiting.bytes;
        self.size_bytes += waiting.size_bytes;
        self.records += waiting.records;
        self.waiting.insert(key, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hints(size_bytes: u64, interval_s: u64) -> PartitionHints {
        let hints = Hints { size_bytes, interval_ms: interval_s * 1000 };
        PartitionHints { hints, max_waiting_bytes: u64::MAX, max_waiting: u64::MAX, max_waiting_pieces: u64::MAX }
    }

    fn most(partitions: usize, bytes: u64) -> CutBounds {
        CutBounds { partitions, bytes, pieces: usize::MAX }
    }

    fn piece(chunk: u64, bytes: u64) -> Piece {
        // Of two chunks in a row the later one may have the older record: what is written is what passed the stages.
        let oldest_arrival_ms = (chunk ^ 1) as i64;
        Piece { chunk, partition: 0, place: (0, 0), records: 1, bytes, size_bytes: bytes, oldest_arrival_ms }
    }

    fn told(cuts: &[PartitionCut]) -> Vec<(&str, CutReason, Vec<u64>)> {
        let chunks = |cut: &PartitionCut| cut.pieces.iter().map(|piece| piece.chunk).collect();
        cuts.iter().map(|cut| (std::str::from_utf8(&cut.key).unwrap(), cut.reason, chunks(cut))).collect()
    }

    #[test]
    fn each_is_cut_by_its_own_size_and_interval() {
        let mut partitions = Partitions::default();
        partitions.add(b"a", piece(1, 60), SECOND);
        partitions.add(b"b", piece(1, 10), 2 * SECOND);
        let hints = hints(100, 10);
        assert_eq!(partitions.decide(&hints, 3 * SECOND, None), Decision::Wait(8 * SECOND));
        assert_eq!(partitions.cut(&hints, 3 * SECOND, None, most(9, 999)), []);
        partitions.add(b"a", piece(2, 50), 3 * SECOND);
        partitions.add(b"a", piece(3, 50), 3 * SECOND);
        assert_eq!(partitions.decide(&hints, 4 * SECOND, None), Decision::Cut(CutReason::Size));
        let cuts = partitions.cut(&hints, 4 * SECOND, None, most(9, 999));
        assert_eq!(told(&cuts), [("a", CutReason::Size, vec![1, 2])]);
        assert_eq!(partitions.decide(&hints, 4 * SECOND, None), Decision::Wait(7 * SECOND));
        assert_eq!((partitions.len(), partitions.totals()), (2, (2, 60)));
        let cuts = partitions.cut(&hints, 11 * SECOND, None, most(9, 999));
        assert_eq!(told(&cuts), [("a", CutReason::Interval, vec![3])]);
        assert_eq!(partitions.decide(&hints, 11 * SECOND, None), Decision::Wait(SECOND));
        let cuts = partitions.cut(&hints, 12 * SECOND, None, most(9, 999));
        assert_eq!(told(&cuts), [("b", CutReason::Interval, vec![1])]);
        assert_eq!(partitions.decide(&hints, 12 * SECOND, Some(CutReason::Flush)), Decision::Nothing);
        assert!(partitions.is_empty() && partitions.totals() == (0, 0));
    }

    #[test]
    fn above_the_bounds_the_least_recently_used_go() {
        let mut partitions = Partitions::default();
        for (at, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "a")] {
            partitions.add(key.as_bytes(), piece(at, 10), u32::try_from(at).unwrap() * SECOND);
        }
        let few = PartitionHints { max_waiting: 2, ..hints(100, 900) };
        assert_eq!(told(&partitions.cut(&few, 5 * SECOND, None, most(9, 999))), [("b", CutReason::Size, vec![2])]);
        let small = PartitionHints { max_waiting_bytes: 20, ..hints(100, 900) };
        assert_eq!(told(&partitions.cut(&small, 5 * SECOND, None, most(9, 999))), [("c", CutReason::Size, vec![3])]);
        assert!(partitions.contains(b"a") && !partitions.contains(b"c"));
        partitions.add(b"d", piece(5, 0), 6 * SECOND);
        let few = PartitionHints { max_waiting_pieces: 2, ..hints(100, 900) };
        assert_eq!(told(&partitions.cut(&few, 6 * SECOND, None, most(9, 999))), [("a", CutReason::Size, vec![1, 4])]);
        assert_eq!(partitions.pieces(), 1);
    }

    /// Chunks with a byte of each of many partitions: what waits is little, and in very many pieces.
    #[test]
    fn the_memory_of_pieces_is_bounded() {
        let mut partitions = Partitions::default();
        let few = PartitionHints { max_waiting_pieces: 50_000, ..hints(u64::MAX, 900) };
        let mut taken = 0;
        for chunk in 0..200u64 {
            for key in 0..1_000u32 {
                partitions.add(&key.to_le_bytes(), piece(chunk, 1), Duration::from_millis(chunk));
            }
            let cuts = partitions.cut(&few, Duration::from_millis(chunk), None, most(usize::MAX, u64::MAX));
            taken += cuts.iter().map(|cut| cut.pieces.len() as u64).sum::<u64>();
            assert!(partitions.pieces() <= 50_000, "{}", partitions.pieces());
        }
        assert_eq!(taken + partitions.pieces(), 200_000);
        let held: usize = partitions.waiting.values().map(|waiting| waiting.pieces.capacity()).sum();
        // A list grows by doubling, from four pieces on.
        assert!(held <= 2 * 50_000 + 1_000 * 4, "{held}");
        assert!(partitions.arrivals.len() <= 50_000);
    }

    #[test]
    fn everything_goes_out_some_at_a_time() {
        let mut partitions = Partitions::default();
        for key in ["a", "b", "c"] {
            partitions.add(key.as_bytes(), piece(1, 10), SECOND);
        }
        let flush = Some(CutReason::Flush);
        assert_eq!(partitions.cut(&hints(100, 900), SECOND, flush, most(9, 1)).len(), 1);
        assert_eq!(partitions.cut(&hints(100, 900), SECOND, flush, most(1, 999)).len(), 1);
        let cuts = partitions.cut(&hints(100, 900), SECOND, flush, most(9, 999));
        assert_eq!(told(&cuts), [("c", CutReason::Flush, vec![1])]);
    }

    #[test]
    fn pieces_are_taken_once_and_in_order() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut partitions, hints) = (Partitions::default(), hints(50, 5));
        let (mut added, mut taken) = (BTreeMap::<String, Vec<u64>>::new(), BTreeMap::<String, Vec<u64>>::new());
        for step in 0..2_000u64 {
            let now = Duration::from_millis(step * 100);
            let key = format!("k{}", random.u32(0..20));
            partitions.add(key.as_bytes(), piece(step, random.u64(0..30)), now);
            added.entry(key).or_default().push(step);
            let everything = (step == 1_999).then_some(CutReason::Stop);
            let mut cuts = partitions.cut(&hints, now, everything, most(usize::MAX, u64::MAX));
            if random.u8(0..4) == 0 {
                // Two of the same partition go back in the other order.
                cuts.into_iter().rev().for_each(|cut| partitions.give_back(cut));
                cuts = partitions.cut(&hints, now, everything, most(usize::MAX, u64::MAX));
            }
            for (key, _, chunks) in told(&cuts) {
                taken.entry(key.to_owned()).or_default().extend(chunks);
            }
            let waits = |(key, chunks): (&String, &Vec<u64>)| chunks[taken.get(key).map_or(0, Vec::len)..].to_vec();
            let oldest = added.iter().flat_map(waits).map(|chunk| (chunk ^ 1) as i64).min();
            assert_eq!(partitions.oldest_arrival_ms(), oldest);
            assert!(partitions.by_age.first().is_none_or(|(since, _)| now - *since < 5 * SECOND));
        }
        assert_eq!(taken, added);
        assert!(partitions.is_empty() && partitions.by_use.is_empty() && partitions.by_bytes.is_empty());
    }
}
