//! Which records make a call fail: a failed batch is halved until the records that cause it stand alone; only these
//! are refused. Pure: calls and their durations come from the caller.
//!
//! What it may cost, N records with a limit of T for the whole batch; all times are processor time:
//! - Calls: with k bad records about 2 k log2(N / k), at most 2 N, and the retries of those k. A call that traps costs
//!   microseconds, so even an all-bad batch of 5,000 is a fraction of a second.
//! - Time: a part gets twice its share of T (by weight), at least [`LEAST_SHARE`] and at most T, so that the parts of a
//!   level take no longer than 2 T together however many of them run into it. What failed calls take is added up, and
//!   when a batch has used [`budget`] of it, the parts still known to fail are given up, good records among them: an
//!   all-looping batch ends after some T, as an invocation with its retries does at AWS, not after N × T.
//!
//! Retries are those of single records: an invocation error is tried 1 + NumberOfRetries times before it is final. An
//! answer that cannot be read is a verdict on the guest and is not asked for again.

use std::ops::Range;
use std::time::Duration;

/// The least time a part gets, unless the whole limit is shorter: a call has costs of its own, such as the memory it asks for.
const LEAST_SHARE: Duration = Duration::from_secs(1);
/// Time limits a batch may use up in failed calls, beside one for each retry.
const BUDGET_LIMITS: u32 = 5;
/// And so many of the least share, or of shorter limits: what it takes to find two records that loop among thousands.
const BUDGET_SHARES: u32 = 30;
/// Retries beyond this do not raise the budget.
const BUDGET_RETRIES: u32 = 5;

/// What a stream allows.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Time limit of the whole batch.
    pub limit: Duration,
    /// NumberOfRetries.
    pub retries: u32,
}

/// A call that failed.
pub struct Failed<E> {
    /// Why.
    pub error: E,
    /// What it took of the processor.
    pub took: Duration,
    /// Whether the same call may be tried again.
    pub may_retry: bool,
    /// Whether a record may be the cause; if not, halving is of no use.
    pub by_records: bool,
}

/// A batch whose parts can be called. Parts are settled in order: by a call that succeeds, or by `refuse`.
pub trait Batch {
    /// Why a call fails.
    type Error: Clone;

    /// Calls these records; on success they are settled.
    fn call(&mut self, records: Range<usize>, limit: Duration) -> Result<(), Failed<Self::Error>>;

    /// Settles these records as refused, after so many attempts.
    fn refuse(&mut self, records: Range<usize>, error: &Self::Error, attempts: u32);

    /// Settles these records as refused although none of them was called alone: they took part in so many failed calls,
    /// and the budget is used up. `error` is that of the last failed call, perhaps of other records.
    fn give_up(&mut self, records: Range<usize>, error: &Self::Error, failed_calls: u32);
}

/// Time that failed calls of one batch may take together.
pub fn budget(effort: Effort) -> Duration {
    let limits = effort.limit.saturating_mul(BUDGET_LIMITS + effort.retries.min(BUDGET_RETRIES));
    limits.saturating_add(LEAST_SHARE.min(effort.limit) * BUDGET_SHARES)
}

struct Part {
    records: Range<usize>,
    /// Failed calls these records took part in.
    failed_calls: u32,
}

/// Calls the whole batch, and on failure its halves. `weights` are the records' (bytes, roughly).
pub fn settle<B: Batch>(batch: &mut B, weights: &[u64], effort: Effort) {
    let total: u64 = weights.iter().sum();
    let budget = budget(effort);
    let mut used = Duration::ZERO;
    let mut last_error = None;
    let mut parts = vec![Part { records: 0..weights.len(), failed_calls: 0 }];
    while let Some(Part { records, failed_calls }) = parts.pop() {
        if let Some(error) = last_error.as_ref().filter(|_| used >= budget) {
            batch.give_up(records, error, failed_calls);
            continue;
        }
        let limit = share(effort.limit, weights[records.clone()].iter().sum(), total);
        let mut attempts = 0;
        let failed = loop {
            attempts += 1;
            let Err(failed) = batch.call(records.clone(), limit) else { break None };
            used += failed.took;
            let final_here = records.len() == 1 || !failed.by_records;
            if !final_here || !failed.may_retry || attempts > effort.retries || used >= budget {
                break Some((failed.error, final_here));
            }
        };
        match failed {
            None => {}
            Some((error, true)) => batch.refuse(records, &error, attempts),
            Some((error, false)) => {
                last_error = Some(error);
                let failed_calls = failed_calls + 1;
                let middle = records.start + records.len() / 2;
                parts.push(Part { records: middle..records.end, failed_calls });
                parts.push(Part { records: records.start..middle, failed_calls });
            }
        }
    }
}

/// Twice the share of `limit` that `weight` of `total` has, within the bounds.
fn share(limit: Duration, weight: u64, total: u64) -> Duration {
    let share = limit.as_micros().saturating_mul(2 * u128::from(weight)) / u128::from(total.max(1));
    Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX)).max(LEAST_SHARE).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const LIMIT: Duration = Duration::from_secs(60);

    /// What one record of a scripted batch does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Does {
        Passes,
        Traps,
        Loops,
        /// Needs this long, in ms, and passes.
        Takes(u64),
        /// Fails this often, then passes.
        Recovers(u32),
    }

    /// A guest without WASM on a clock without waiting.
    struct Scripted {
        does: Vec<Does>,
        calls_of: Vec<u32>,
        calls: u64,
        took: Duration,
        /// Per record in the order of settling: passed, or the attempts after which it was refused.
        fates: Vec<(usize, Option<u32>)>,
        called_alone: HashSet<usize>,
        given_up: Vec<usize>,
    }

    impl Scripted {
        fn settled(does: Vec<Does>, retries: u32) -> Self {
            Self::settled_within(LIMIT, does, retries)
        }

        fn settled_within(limit: Duration, does: Vec<Does>, retries: u32) -> Self {
            let (records, calls_of) = (does.len(), vec![0; does.len()]);
            let (called_alone, given_up) = (HashSet::new(), Vec::new());
            let took = Duration::ZERO;
            let mut batch = Self { does, calls_of, calls: 0, took, fates: Vec::new(), called_alone, given_up };
            settle(&mut batch, &vec![100; records], Effort { limit, retries });
            let order: Vec<usize> = batch.fates.iter().map(|(index, _)| *index).collect();
            assert_eq!(order, (0..records).collect::<Vec<_>>(), "each record once, in order");
            batch
        }

        fn refused(&self) -> Vec<usize> {
            self.fates.iter().filter(|(_, attempts)| attempts.is_some()).map(|(index, _)| *index).collect()
        }
    }

    impl Batch for Scripted {
        type Error = &'static str;

        fn call(&mut self, records: Range<usize>, limit: Duration) -> Result<(), Failed<&'static str>> {
            self.calls += 1;
            if records.len() == 1 {
                self.called_alone.insert(records.start);
            }
            let mut took = Duration::ZERO;
            let mut error = None;
            for index in records.clone() {
                self.calls_of[index] += 1;
                match self.does[index] {
                    Does::Passes => took += Duration::from_micros(5),
                    Does::Takes(ms) => took += Duration::from_millis(ms),
                    Does::Loops => took = limit,
                    Does::Traps => error = Some("trap"),
                    Does::Recovers(times) if self.calls_of[index] <= times => error = Some("trap"),
                    Does::Recovers(_) => {}
                }
                if error.is_none() && took >= limit {
                    (took, error) = (limit, Some("time"));
                }
                if error.is_some() {
                    break;
                }
            }
            self.took += took;
            match error {
                Some(error) => Err(Failed { error, took, may_retry: true, by_records: true }),
                None => {
                    self.fates.extend(records.map(|index| (index, None)));
                    Ok(())
                }
            }
        }

        fn refuse(&mut self, records: Range<usize>, _: &&'static str, attempts: u32) {
            self.fates.extend(records.map(|index| (index, Some(attempts))));
        }

        fn give_up(&mut self, records: Range<usize>, error: &&'static str, failed_calls: u32) {
            self.given_up.extend(records.clone());
            self.refuse(records, error, failed_calls);
        }
    }

    #[test]
    fn a_batch_of_endless_loops_costs_some_limits_not_thousands() {
        let batch = Scripted::settled(vec![Does::Loops; 5000], 3);
        assert_eq!(batch.refused().len(), 5000);
        assert!(batch.took <= budget(Effort { limit: LIMIT, retries: 3 }) + LIMIT, "{:?}", batch.took);
        assert!(batch.took <= LIMIT * 10);
    }

    #[test]
    fn a_batch_of_traps_is_bounded_in_calls() {
        let batch = Scripted::settled(vec![Does::Traps; 5000], 3);
        assert_eq!(batch.refused().len(), 5000);
        assert!(batch.fates.iter().all(|(_, attempts)| *attempts == Some(4)));
        assert_eq!(batch.calls, 4999 + 4 * 5000);
    }

    #[test]
    fn a_few_loops_cost_their_neighbours_nothing() {
        let mut does = vec![Does::Passes; 5000];
        for index in [0, 2501, 4999] {
            does[index] = Does::Loops;
        }
        let batch = Scripted::settled(does, 3);
        assert_eq!(batch.refused(), [0, 2501, 4999]);
    }

    #[test]
    fn a_short_limit_is_time_enough_to_find_them() {
        for limit_ms in [100, 1000, 5000] {
            let mut does = vec![Does::Passes; 5000];
            (does[17], does[3333]) = (Does::Loops, Does::Loops);
            let limit = Duration::from_millis(limit_ms);
            let batch = Scripted::settled_within(limit, does, 0);
            assert_eq!(batch.refused(), [17, 3333]);
            let batch = Scripted::settled_within(limit, vec![Does::Loops; 5000], 3);
            assert_eq!(batch.refused().len(), 5000);
            assert!(batch.took <= limit * 39, "{:?}", batch.took);
        }
    }

    #[test]
    fn what_was_never_called_alone_is_given_up_and_nothing_else() {
        let mut does = vec![Does::Passes; 5000];
        for index in (0..5000).step_by(100) {
            does[index] = Does::Loops;
        }
        let batch = Scripted::settled(does, 0);
        assert!(batch.took <= LIMIT * 7, "{:?}", batch.took);
        let refused: HashSet<_> = batch.refused().into_iter().collect();
        let given_up: HashSet<_> = batch.given_up.iter().copied().collect();
        assert!(!given_up.is_empty() && given_up.len() < refused.len());
        assert_eq!(given_up, refused.difference(&batch.called_alone).copied().collect());
        assert!(given_up.iter().any(|index| batch.does[*index] == Does::Passes), "the price of a bound");
        assert!(batch.fates.iter().all(|(_, attempts)| *attempts != Some(0)));
    }

    #[test]
    fn an_honest_batch_that_is_too_slow_as_a_whole_passes_in_parts() {
        let batch = Scripted::settled(vec![Does::Takes(15); 5000], 3);
        assert!(batch.refused().is_empty());
    }

    #[test]
    fn a_retry_may_help() {
        // The first call is of both, the second of the record alone.
        let batch = Scripted::settled(vec![Does::Recovers(3), Does::Passes], 3);
        assert!(batch.refused().is_empty());
        let batch = Scripted::settled(vec![Does::Recovers(3)], 2);
        assert_eq!(batch.fates, [(0, Some(3))]);
    }

    #[test]
    fn what_no_record_causes_is_not_halved() {
        struct Dead(Vec<(Range<usize>, u32)>);
        impl Batch for Dead {
            type Error = ();
            fn call(&mut self, _: Range<usize>, _: Duration) -> Result<(), Failed<()>> {
                Err(Failed { error: (), took: Duration::ZERO, may_retry: true, by_records: false })
            }
            fn refuse(&mut self, records: Range<usize>, (): &(), attempts: u32) {
                self.0.push((records, attempts));
            }
            fn give_up(&mut self, _: Range<usize>, (): &(), _: u32) {
                unreachable!("failed calls take no time here");
            }
        }
        let mut dead = Dead(Vec::new());
        settle(&mut dead, &[1; 100], Effort { limit: LIMIT, retries: 3 });
        assert_eq!(dead.0, [(0..100, 4)]);
    }

    proptest! {
        #[test]
        fn exactly_the_bad_ones_are_refused(bad in proptest::collection::vec(0u8..40, 1..300), retries in 0u32..4) {
            let does: Vec<_> = bad.iter().map(|n| if *n == 0 { Does::Traps } else { Does::Passes }).collect();
            let expected: Vec<_> = (0..does.len()).filter(|index| does[*index] == Does::Traps).collect();
            let records = does.len() as u64;
            let batch = Scripted::settled(does, retries);
            prop_assert_eq!(batch.refused(), expected.clone());
            let depth = u64::from(records.ilog2()) + 2;
            prop_assert!(batch.calls <= 1 + expected.len() as u64 * (2 * depth + u64::from(retries)));
        }
    }
}
