//! Which records of a partition's cut make a stage panic, and what objects the others can stand in (rule D3). Pure.
//!
//! From: `partitioned`, after a panic. A cut of the spool is sealed whole, so it cannot be made shorter as a run of the log
//! is; its records are tried in halves instead. Invariants: each record is in one object or refused; one is refused only
//! if no object can be made of it alone; objects have their records in order.

use std::ops::Range;

/// What came of trying.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Isolated {
    /// Records of each object, as ascending ranges. One object, unless some records panic only together.
    pub objects: Vec<Vec<Range<u64>>>,
    /// Records that panic alone, each with the text.
    pub refused: Vec<(u64, String)>,
}

/// Looks for the records that are in the way. `try_object` tells whether an object can be made of ranges of records; a
/// panic's text if not. It is asked for at most twice the records on each level of halving.
pub fn isolate<E>(
    records: Range<u64>,
    try_object: &mut impl FnMut(&[Range<u64>]) -> Result<Result<(), String>, E>,
) -> Result<Isolated, E> {
    if records.is_empty() {
        return Ok(Isolated::default());
    }
    let text = match try_object(std::slice::from_ref(&records))? {
        Ok(()) => return Ok(Isolated { objects: vec![vec![records]], refused: Vec::new() }),
        Err(text) => text,
    };
    let count = records.end - records.start;
    if count == 1 {
        return Ok(Isolated { objects: Vec::new(), refused: vec![(records.start, text)] });
    }
    let middle = records.start + count / 2;
    let mut both = isolate(records.start..middle, try_object)?;
    let behind = isolate(middle..records.end, try_object)?;
    both.objects.extend(behind.objects);
    both.refused.extend(behind.refused);
    // Without a refusal, all together is what was tried just now.
    if both.objects.len() > 1 && !both.refused.is_empty() {
        let mut together: Vec<Range<u64>> = both.objects.iter().flatten().cloned().collect();
        together.sort_unstable_by_key(|range| range.start);
        together.dedup_by(|next, range| {
            let touches = range.end == next.start;
            if touches {
                range.end = next.end;
            }
            touches
        });
        if try_object(&together)?.is_ok() {
            both.objects = vec![together];
        }
    }
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// `alone` panic whatever they are with, `pairs` only in one object.
    fn tried(count: u64, alone: &BTreeSet<u64>, pairs: &[(u64, u64)], mut told: impl FnMut(&[Range<u64>])) -> Isolated {
        let mut try_object = |ranges: &[Range<u64>]| {
            told(ranges);
            let has = |record: &u64| ranges.iter().any(|range| range.contains(record));
            let panics = alone.iter().any(has) || pairs.iter().any(|(a, b)| a != b && has(a) && has(b));
            Ok::<_, ()>(if panics { Err("boom".to_owned()) } else { Ok(()) })
        };
        isolate(0..count, &mut try_object).unwrap()
    }

    proptest! {
        #[test]
        fn the_smallest_set_is_refused(
            count in 0u64..80,
            alone in proptest::collection::btree_set(0u64..80, 0..6),
            pairs in proptest::collection::vec((0u64..80, 0u64..80), 0..4),
        ) {
            let found = tried(count, &alone, &pairs, |_| {});
            let refused: Vec<u64> = found.refused.iter().map(|(record, _)| *record).collect();
            prop_assert_eq!(&refused, &alone.range(..count).copied().collect::<Vec<_>>());
            let mut all = refused;
            for object in &found.objects {
                let records: Vec<u64> = object.iter().cloned().flatten().collect();
                prop_assert!(records.is_sorted() && !records.is_empty());
                prop_assert!(pairs.iter().all(|(a, b)| a == b || !(records.contains(a) && records.contains(b))));
                all.extend(records);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            prop_assert!(!pairs.is_empty() || found.objects.len() <= 1);
        }
    }

    #[test]
    fn it_tries_little_more_than_twice_the_records_of_a_level() {
        let mut records = 0;
        let all = (0..1024).collect();
        let found = tried(1024, &all, &[], |ranges| records += ranges.iter().map(|r| r.end - r.start).sum::<u64>());
        assert_eq!((found.objects.len(), found.refused.len(), records), (0, 1024, 11 * 1024));
        let mut tries = 0;
        let found = tried(1024, &BTreeSet::from([700]), &[], |_| tries += 1);
        assert_eq!(found.objects, [vec![0..700, 701..1024]]);
        assert!(tries <= 3 * 10 + 1, "{tries}");
    }
}
