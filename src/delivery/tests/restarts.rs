//! Intervals over a restart: a record has waited since it arrived, not since the service began.

use super::names::Hands;
use super::partitioned::partitioned;
use super::*;

const INTERVAL_MS: u64 = 600_000;

/// `spools`: the records wait in the spool; there are two, as the first half cuts when both are there.
async fn waits_on(definition: Definition, spools: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = (Arc::new(MemoryStore::default()), Hands::at(0));
    let start = || Node::start_by(Arc::new(RealDisk), dir.path().to_owned(), store.clone(), clock.clone());
    let incarnation = definition.incarnation;
    let node = start().await.unwrap();
    node.create(definition).unwrap();
    let records: Vec<_> =
        ["a", "b"].iter().map(|key| format!("{{\"k\":\"{key}\",\"pad\":\"0123456789\"}}\n")).collect();
    node.put(incarnation, &records).await.unwrap();
    let chunks = |node: &Node| node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.len();
    let wanted = usize::from(spools);
    node.until("s", |s| s.waiting_records == 2 && chunks(&node) == wanted && s.open_seals == 0).await;
    node.stop().await;
    // Half of it: the record is as old as it is, and waits.
    clock.set(INTERVAL_MS as i64 / 2);
    let node = start().await.unwrap();
    let halfway = INTERVAL_MS / 2..INTERVAL_MS;
    node.until("s", |s| s.oldest_undelivered_age_ms.is_some_and(|age_ms| halfway.contains(&age_ms))).await;
    assert!(store.objects.lock().is_empty());
    node.stop().await;
    clock.set(INTERVAL_MS as i64 + 1);
    let node = start().await.unwrap();
    node.until("s", |s| s.ledger.delivered.records == 2).await;
    node.stop().await;
    assert_eq!(store.objects.lock().len(), 1 + usize::from(spools));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interval_goes_on_over_a_restart() {
    waits_on(definition("s", Compression::Gzip, 1 << 20, INTERVAL_MS), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_that_of_a_partition_in_the_spool() {
    let definition = partitioned(50, INTERVAL_MS);
    waits_on(definition, true).await;
}
