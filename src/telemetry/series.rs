//! What metrics are made of. For [`super::metrics`], which names them, and [`super::exposition`], which shows them.
//!
//! All are plain atomics: counting costs a few nanoseconds and never waits.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Only goes up.
#[derive(Debug)]
pub struct Counter {
    /// Label pairs without braces; empty for none.
    pub(super) labels: &'static str,
    value: AtomicU64,
}

impl Counter {
    pub(super) const fn new(labels: &'static str) -> Self {
        Self { labels, value: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, count: u64) {
        self.value.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub(super) const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    pub(super) fn add(&self, count: i64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of every histogram, in microseconds: 100 µs to 100 s.
pub const BOUNDS_US: [u64; 19] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

/// Durations by bucket.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub(super) const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS_US.len() + 1], sum_us: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Observations by bucket (not cumulative; the last one is above every bound) and their sum in microseconds.
    pub fn get(&self) -> ([u64; BOUNDS_US.len() + 1], u64) {
        (std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed)), self.sum_us.load(Ordering::Relaxed))
    }
}

/// What a metric is made of.
#[derive(Debug)]
pub enum Series {
    /// One counter for each set of labels.
    Counters(&'static [Counter]),
    /// A value of now.
    Gauge(&'static Gauge),
    /// Seconds.
    Histogram(&'static Histogram),
}

/// A name on `/metrics`.
#[derive(Debug)]
pub struct Metric {
    /// Full name.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Its numbers.
    pub series: Series,
}
