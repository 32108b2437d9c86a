//! When to cut: size or interval, whichever is reached first (reference: buffering hints), by source bytes.

use crate::stream::definition::Hints;
use crate::stream::seal::CutReason;
use std::time::Duration;

/// What is known when the question is asked.
#[derive(Debug, Clone, Copy)]
pub struct CutFacts {
    /// Records readable and not yet cut.
    pub waiting_records: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// How long the first of them has waited, on the monotonic clock.
    pub waited: Duration,
    /// The stream's hints.
    pub hints: Hints,
    /// The operator asked for a cut.
    pub flush: bool,
    /// The stream is being deleted: everything goes out.
    pub ending: bool,
    /// The source lane will bring nothing more.
    pub lane_ended: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Cut now.
    Cut(CutReason),
    /// Ask again when that much time has passed, or when something changed.
    Wait(Duration),
    /// Ask again when records come.
    Nothing,
}

/// Decides whether a run ends here.
pub fn decide(facts: &CutFacts) -> Decision {
    let interval = Duration::from_millis(facts.hints.interval_ms);
    if facts.waiting_records == 0 {
        Decision::Nothing
    } else if facts.waiting_bytes >= facts.hints.size_bytes {
        Decision::Cut(CutReason::Size)
    } else if facts.waited >= interval {
        Decision::Cut(CutReason::Interval)
    } else if facts.ending {
        Decision::Cut(CutReason::Stop)
    } else if facts.lane_ended {
        Decision::Cut(CutReason::LaneEnd)
    } else if facts.flush {
        Decision::Cut(CutReason::Flush)
    } else {
        Decision::Wait(interval - facts.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> CutFacts {
        CutFacts {
            waiting_records: 1,
            waiting_bytes: 99,
            waited: Duration::from_millis(400),
            hints: Hints { size_bytes: 100, interval_ms: 1000 },
            flush: false,
            ending: false,
            lane_ended: false,
        }
    }

    #[test]
    fn whichever_is_reached_first_cuts() {
        assert_eq!(decide(&facts()), Decision::Wait(Duration::from_millis(600)));
        assert_eq!(decide(&CutFacts { waiting_bytes: 100, ..facts() }), Decision::Cut(CutReason::Size));
        let waited = Duration::from_millis(1000);
        assert_eq!(decide(&CutFacts { waited, ..facts() }), Decision::Cut(CutReason::Interval));
        assert_eq!(decide(&CutFacts { waited, waiting_records: 0, ..facts() }), Decision::Nothing);
    }

    #[test]
    fn interval_zero_cuts_what_is_there() {
        let hints = Hints { size_bytes: 100, interval_ms: 0 };
        let decision = decide(&CutFacts { hints, waited: Duration::ZERO, ..facts() });
        assert_eq!(decision, Decision::Cut(CutReason::Interval));
    }

    #[test]
    fn flush_ending_and_lane_end_cut_early_but_never_nothing() {
        for (flush, ending, lane_ended, reason) in [
            (true, false, false, CutReason::Flush),
            (true, true, false, CutReason::Stop),
            (false, false, true, CutReason::LaneEnd),
        ] {
            let asked = CutFacts { flush, ending, lane_ended, ..facts() };
            assert_eq!(decide(&asked), Decision::Cut(reason));
            assert_eq!(decide(&CutFacts { waiting_records: 0, ..asked }), Decision::Nothing);
        }
    }
}
