//! What a stream tells of its parts: two halves with dynamic partitioning, and a source backup that has begun or not.

use super::names::Hands;
use super::partitioned::partitioned;
use super::*;
use crate::stream::seal::{Fates, Tally};

const HOUR_MS: i64 = 3_600_000;

/// So many bytes in `partitions` partitions, which the first half cuts by size and the second one does not.
fn spread(partitions: usize, length: usize) -> Vec<String> {
    (0..partitions).map(|i| format!("{{\"k\":\"v{i}\",\"pad\":\"{}\"}}\n", "y".repeat(length))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_record_may_wait_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = (Arc::new(MemoryStore::default()), Hands::at(0));
    let start = || Node::start_by(Arc::new(RealDisk), dir.path().to_owned(), store.clone(), clock.clone());
    let node = start().await.unwrap();
    let definition = partitioned(2000, 24 * HOUR_MS as u64);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &spread(5, 500)).await.unwrap();
    let chunks = |node: &Node| node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.len();
    node.until("s", |_| chunks(&node) == 1).await;
    clock.set(HOUR_MS);
    let hours = |s: &StreamStatus| s.oldest_undelivered_age_ms.map(|age_ms| age_ms as i64 / HOUR_MS);
    node.until("s", |s| s.open_seals == 0 && hours(s) == Some(1)).await;
    // One that is full goes out; the others are as old as before.
    node.put(incarnation, &spread(1, 2000)).await.unwrap();
    node.until("s", |s| s.ledger.delivered.records == 2 && s.open_seals == 0).await;
    clock.set(2 * HOUR_MS);
    node.until("s", |s| hours(s) == Some(2)).await;
    node.stop().await;
    let node = start().await.unwrap();
    node.until("s", |s| hours(s) == Some(2) && s.waiting_records == 4).await;
    // What is put now waits in the log, and is younger.
    node.put(incarnation, &spread(1, 10)).await.unwrap();
    node.until("s", |s| hours(s) == Some(2) && s.waiting_records == 5).await;
    node.supervisor.flush("s").unwrap();
    node.until("s", |s| s.ledger.in_flight.records == 0 && s.oldest_undelivered_age_ms.is_none()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_holds_for_the_backup_what_lies_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    *store.refused.lock() = Some(("copy/", fault("shut", Retry::AfterOperator)));
    let node = Node::in_folder(dir.path(), &store).await;
    let mut definition = partitioned(2000, 900_000);
    definition.backup = Some(backup(Compression::Gzip, 2000, 10));
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &spread(5, 500)).await.unwrap();
    let closed = || node.context.journal.lane(&LaneId::direct_put(incarnation)).ledger.total();
    let status = node.until("s", |s| closed().records > 0 && s.backup.as_ref().is_some_and(|b| b.open_seals > 0)).await;
    assert_eq!(status.ledger.in_flight, status.ledger.received);
    node.until("s", |s| s.backup.as_ref().is_some_and(|b| b.held_bytes == closed().bytes)).await;
    *store.refused.lock() = None;
    node.supervisor.resume("s").unwrap();
    let status = node.until("s", |s| s.backup.as_ref().is_some_and(|b| b.ledger.in_flight.records == 0)).await;
    assert_eq!(status.backup.unwrap().held_bytes, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_has_not_begun_is_not_shown_and_its_failure_is() {
    let (dir, store, node) = Node::new().await;
    let definition = definition("s", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 3)).await.unwrap();
    node.put(incarnation, &records(3, 3)).await.unwrap();
    // Its worker has opened the lane.
    node.until("s", |s| s.waiting_records == 6 && s.oldest_undelivered_age_ms.is_some()).await;
    let journal = node.context.journal.clone();
    tokio::task::spawn_blocking(move || journal.stop()).await.unwrap();
    node.redefine("s", |definition| definition.backup = Some(backup(Compression::Gzip, 2000, 10))).unwrap();
    let status = node.until("s", |s| s.last_error.is_some()).await;
    let said = status.last_error.unwrap();
    assert!(said.starts_with("source backup: ") && said.contains("could not be begun"), "{said}");
    assert_eq!((status.backup, status.ledger.received.records), (None, 6));
    node.stop().await;

    // Nor does a damaged log let it begin, or tell what it would have.
    let log = dir.path().join("streams").join(incarnation.to_string()).join("log");
    let segment = std::fs::read_dir(log).unwrap().next().unwrap().unwrap().path();
    let flip = || {
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[70] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
    };
    flip();
    let node = Node::in_folder(dir.path(), &store).await;
    let status = node.until("s", |s| s.state == StreamState::Faulted).await;
    assert_eq!(status.backup, None, "{status:?}");
    assert!(status.ledger.in_flight.records > 0, "{status:?}");
    flip();
    // Both lanes read the damaged log, and either may find out after the other one was resumed.
    let resumed = |s: &StreamStatus| {
        node.supervisor.resume("s").unwrap();
        s.backup.is_some() && s.last_error.is_none()
    };
    let status = node.until("s", resumed).await;
    assert_eq!(status.backup.unwrap().ledger.received.records, 0);
    node.put(incarnation, &records(6, 1)).await.unwrap();
    node.until("s", |s| s.backup.as_ref().unwrap().ledger.delivered.records == 1).await;
    assert_eq!(store.backup_lines().len(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_told_though_the_spool_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
    let definition = partitioned(2000, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &spread(5, 500)).await.unwrap();
    let chunk = node.until("s", |_| !node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.is_empty());
    let received = chunk.await.ledger.received;
    node.stop().await;

    let outbox = dir.path().join("streams").join(incarnation.to_string()).join("outbox");
    let file = std::fs::read_dir(outbox).unwrap().next().unwrap().unwrap().path();
    let flip = || {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    flip();
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
    let status = node.until("s", |s| s.state == StreamState::Faulted).await;
    assert_eq!((status.ledger.received, status.ledger.in_flight), (received, received));
    node.put(incarnation, &spread(1, 10)).await.unwrap();
    let status = node.until("s", |s| s.ledger.received.records == 6).await;
    assert_eq!(status.ledger.in_flight, status.ledger.received);
    flip();
    node.supervisor.resume("s").unwrap();
    node.until("s", |s| s.state == StreamState::Running).await;
    node.supervisor.flush("s").unwrap();
    let status = node.until("s", |s| s.ledger.in_flight.records == 0).await;
    assert_eq!((status.ledger.delivered, status.ledger.received.records), (status.ledger.received, 6));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_before_a_worker_opened_the_lanes_is_in_flight() {
    let (_dir, store, node) = Node::new().await;
    // No worker comes to streams that are created now.
    node.supervisor.stop().await;
    for (name, backup) in [("alone", None), ("copied", Some(backup(Compression::Gzip, 2000, 10)))] {
        let mut definition = definition(name, Compression::Gzip, 2000, 10);
        definition.backup = backup;
        let (incarnation, has_backup) = (definition.incarnation, definition.backup.is_some());
        node.create(definition).unwrap();
        assert_eq!(node.supervisor.stream(name).unwrap().ledger.received.records, 0);
        for puts in 1..3 {
            node.put(incarnation, &records(0, 7)).await.unwrap();
            let status = node.supervisor.stream(name).unwrap();
            assert_eq!(status.ledger.received.records, 7 * puts);
            assert_eq!(status.ledger.in_flight, status.ledger.received);
            let backup = status.backup.map(|backup| (backup.ledger, backup.held_bytes));
            assert_eq!(backup, has_backup.then_some((status.ledger, 0)));
            let shown = node.supervisor.overview().streams.into_iter().find(|shown| shown.name == name);
            assert_eq!(shown.map(|shown| shown.ledger), Some(status.ledger));
        }
    }
    assert!(store.lines().is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_name_of_one_that_is_going_has_a_ledger_of_its_own() {
    let (_dir, _store, node) = Node::new().await;
    // Nobody removes what is going.
    node.supervisor.stop().await;
    let lives = [(); 2].map(|()| definition("s", Compression::Gzip, 2000, 10));
    let going = lives[0].incarnation;
    node.create(lives[0].clone()).unwrap();
    node.put(going, &records(0, 7)).await.unwrap();
    assert_eq!(node.supervisor.stream("s").unwrap().ledger.received.records, 7);
    node.context.deleted.count(going, Fates { discarded: Tally { records: 7, bytes: 70 }, ..Fates::default() });
    node.context.catalog.remove("s", going).unwrap();
    assert_eq!(node.supervisor.stream("s").unwrap().ledger.discarded.records, 7, "its files are there yet");

    node.create(lives[1].clone()).unwrap();
    node.put(lives[1].incarnation, &records(0, 3)).await.unwrap();
    let overview = node.supervisor.overview();
    let received: Vec<_> = overview.streams.iter().map(|shown| shown.ledger.received.records).collect();
    assert_eq!((received, overview.deleted.ledger.discarded.records), (vec![3], 7));
    assert_eq!(node.supervisor.stream("s").unwrap().ledger.received.records, 3);
    node.stop().await;
}
