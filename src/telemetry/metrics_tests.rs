//! Labels in the order of their enums, names by the convention, and the buckets of a histogram.

use super::super::series::BOUNDS_US;
use super::*;

#[test]
fn labels_stand_in_the_order_of_their_enums() {
    let put = |kind: PutKind, outcome: usize| PUT_REQUESTS[kind as usize * OUTCOMES + outcome].labels;
    assert_eq!(put(PutKind::Record, 0), r#"kind="put_record",outcome="accepted""#);
    assert_eq!(put(PutKind::Batch, PutFailure::Throttled as usize), r#"kind="put_record_batch",outcome="throttled""#);
    assert_eq!(put(PutKind::Lines, PutFailure::Failed as usize), r#"kind="records",outcome="failed""#);
    assert_eq!(PUT_BYTES[PutKind::Lines as usize].labels, r#"kind="records""#);
    assert_eq!(CUTS[Cut::LaneEnd as usize].labels, r#"reason="lane_end""#);
    assert_eq!(S3_DELIVERIES[S3Outcome::Assumed as usize].labels, r#"outcome="assumed""#);
    assert_eq!(S3_DELIVERIES[S3Outcome::Failed as usize].labels, r#"outcome="failed""#);
    assert_eq!(HTTP_REQUESTS[RequestOutcome::Invalid as usize].labels, r#"outcome="invalid""#);
    assert_eq!(DELIVERY_ATTEMPTS[AttemptFailure::Fault as usize].labels, r#"outcome="fault""#);
}

#[test]
fn names_are_unique_and_follow_the_convention() {
    let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
    for metric in ALL {
        assert!(metric.name.starts_with("hydrant_"));
        assert_eq!(metric.name.ends_with("_total"), matches!(metric.series, Series::Counters(_)), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_seconds"), matches!(metric.series, Series::Histogram(_)));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn an_observation_lands_in_the_bucket_whose_bound_it_does_not_exceed() {
    let histogram = Histogram::new();
    for us in [1, 100, 101, 250, 200_000_000] {
        histogram.observe(Duration::from_micros(us));
    }
    let (buckets, sum_us) = histogram.get();
    assert_eq!((buckets[0], buckets[1], buckets[BOUNDS_US.len()]), (2, 2, 1));
    assert_eq!(sum_us, 1 + 100 + 101 + 250 + 200_000_000);
}
