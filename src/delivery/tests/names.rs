//! The time in an object's name: when the oldest record of that object arrived, whatever else its run holds.

use super::*;
use crate::stream::definition::PartitioningSpec;
use std::sync::atomic::{AtomicI64, Ordering};

const HOUR_MS: i64 = 3_600_000;

/// A wall clock that tests set; the other one goes by itself.
#[derive(Debug)]
pub struct Hands {
    pub wall_ms: AtomicI64,
    machine: SystemClock,
}

impl Hands {
    pub fn at(wall_ms: i64) -> Arc<Self> {
        Arc::new(Self { wall_ms: AtomicI64::new(wall_ms), machine: SystemClock::new() })
    }

    pub fn set(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

/// What a stream makes of records put an hour after each other and cut at once: its keys without version and UUID.
async fn keys(mut definition: Definition, hourly: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("schemas")).unwrap();
    std::fs::write(dir.path().join("schemas/db.t.sql"), "create table t (a int)").unwrap();
    let (store, clock) = (Arc::new(MemoryStore::default()), Hands::at(0));
    let node = Node::start_by(Arc::new(RealDisk), dir.path().to_owned(), store.clone(), clock.clone()).await.unwrap();
    let mut spec = super::learning::learning("s", 1, 1).convert.unwrap();
    (spec.schema.database, spec.schema.table) = ("db".to_owned(), "t".to_owned());
    definition.convert = Some(spec);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    for (hour, record) in (0..).zip(hourly) {
        clock.set(hour * HOUR_MS);
        node.put(incarnation, &[record]).await.unwrap();
    }
    let records = hourly.len() as u64;
    node.until("s", |s| s.waiting_records == records).await;
    node.supervisor.flush("s").unwrap();
    node.until("s", |s| s.ledger.in_flight.records == 0 && s.ledger.received.records == records).await;
    node.stop().await;
    let keys = store.objects.lock().keys().cloned().collect::<Vec<_>>();
    let named = |key: &String| {
        let (place, time) = key.split_once("s-1-1970-01-01-").unwrap_or_else(|| panic!("{key}"));
        format!("{place}{}", &time[..2])
    };
    keys.iter().map(named).collect()
}

fn converting() -> Definition {
    let mut definition = definition("s", Compression::Uncompressed, 1 << 20, 24 * HOUR_MS as u64);
    definition.s3.prefix = "!{timestamp:HH}/".to_owned();
    definition.s3.error_prefix = Some("bad/!{firehose:error-output-type}/!{timestamp:HH}/".to_owned());
    definition
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_and_errors_of_a_run_are_named_by_their_own_oldest_record() {
    let bad = "bad/format-conversion-failed";
    let found = keys(converting(), &["no", "{\"a\":1}", "{\"a\":2}", "no"]).await;
    assert_eq!(found, ["01/01", &format!("{bad}/00/00")]);
    let found = keys(converting(), &["{\"a\":1}", "no", "{\"a\":2}", "no"]).await;
    assert_eq!(found, ["00/00", &format!("{bad}/01/01")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_partition_and_its_errors_are_named_by_their_own_oldest_record() {
    let mut definition = converting();
    definition.s3.prefix = "!{partitionKeyFromQuery:k}/!{timestamp:HH}/".to_owned();
    let query = Some("{k:.k}".to_owned());
    definition.partitioning = Some(PartitioningSpec { query, max_active: None, max_waiting_bytes: u64::MAX });
    let rows = [
        "{\"k\":\"x\",\"a\":1}",
        "no key",
        "{\"k\":\"y\",\"a\":\"no number\"}",
        "{\"k\":\"y\",\"a\":2}",
        "{\"k\":\"x\",\"a\":3}",
        "{\"k\":\"z\",\"a\":4}",
        "{\"k\":\"y\",\"a\":5}",
    ];
    let found = keys(definition, &rows).await;
    let expected =
        ["bad/format-conversion-failed/02/02", "bad/partitioning-failed/01/01", "x/00/00", "y/03/03", "z/05/05"];
    assert_eq!(found, expected);
}
