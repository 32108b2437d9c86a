//! The source backup: a second cursor over the same log.

use super::*;

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn with_backup(compression: Compression, backup_compression: Compression) -> Definition {
    let mut definition = definition("s", compression, 3000, 20);
    definition.backup = Some(backup(backup_compression, 2000, 10));
    definition
}

/// Waits until the backup's ledger and the stream's own satisfy `done`.
async fn backed_up(node: &Node, records: u64) -> StreamStatus {
    let done = |s: &StreamStatus| {
        let backup = s.backup.as_ref().map(|b| b.ledger.delivered.records);
        backup == Some(records) && s.ledger.in_flight.records == 0
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), node.until("s", done)).await;
    waited.unwrap_or_else(|_| panic!("stuck: {:?}", node.supervisor.stream("s")))
}

/// Bytes of segment files in the stream's log.
fn log_files(dir: &std::path::Path, incarnation: Incarnation) -> usize {
    std::fs::read_dir(dir.join("streams").join(incarnation.to_string()).join("log")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_lanes_hold_every_record_once_over_restarts_and_faults() {
    for (compression, copy) in
        [(Compression::Gzip, Compression::Uncompressed), (Compression::Uncompressed, Compression::Gzip)]
    {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::default());
        let definition = with_backup(compression, copy);
        let incarnation = definition.incarnation;
        let mut sent = 0;
        for round in 0..4 {
            let node = Node::in_folder(dir.path(), &store).await;
            if round == 0 {
                node.create(definition.clone()).unwrap();
            }
            for i in 0..7u32 {
                let retry = if i % 2 == 0 { Retry::Backoff } else { Retry::AfterOperator };
                store.faults.lock().push(fault("scripted", retry));
                let count = 1 + 13 * i as usize;
                node.put(incarnation, &records(sent, count)).await.unwrap();
                sent += count;
            }
            if round == 3 {
                let status = backed_up(&node, sent as u64).await;
                assert_eq!(status.ledger.received, status.ledger.delivered);
                let backup = status.backup.unwrap();
                assert_eq!((backup.ledger, backup.held_bytes), (status.ledger, 0));
            }
            node.stop().await;
        }
        assert_eq!(sorted(store.lines()), expected(sent));
        assert_eq!(sorted(store.backup_lines()), expected(sent));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_what_a_backup_that_is_down_has_not_got_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let definition = with_backup(Compression::Gzip, Compression::Gzip);
    let incarnation = definition.incarnation;
    *store.refused.lock() = Some(("copy/", fault("the backup's bucket is shut", Retry::AfterOperator)));
    let mut sent = 0;
    for round in 0..3 {
        let node = Node::in_folder(dir.path(), &store).await;
        if round == 0 {
            node.create(definition.clone()).unwrap();
        }
        for _ in 0..40 {
            node.put(incarnation, &records(sent, 7)).await.unwrap();
            sent += 7;
        }
        // The stream itself is not held up, and its part of the status is as ever.
        let refused = |s: &StreamStatus| s.backup.as_ref().is_some_and(|b| b.state == StreamState::NeedsOperator);
        let done = |s: &StreamStatus| s.ledger.delivered.records == sent as u64 && s.open_seals == 0 && refused(s);
        let status = node.until("s", done).await;
        assert_eq!(status.state, StreamState::Running);
        let said = status.last_error.unwrap();
        assert!(said.starts_with("source backup: ") && said.contains("bucket is shut"), "{said}");
        let backup = status.backup.unwrap();
        assert_eq!(backup.ledger.received, status.ledger.received);
        assert_eq!(backup.ledger.in_flight, status.ledger.received);
        assert_eq!(backup.held_bytes, status.ledger.received.bytes);
        assert!(backup.open_seals >= 1);
        node.context.logs.close_idle(Duration::ZERO);
        assert!(log_files(dir.path(), incarnation) > 5 * (round + 1), "the log forgot what is not backed up");
        if round < 2 {
            node.stop().await;
            continue;
        }
        assert!(store.backup_lines().is_empty());
        *store.refused.lock() = None;
        node.supervisor.resume("s").unwrap();
        let status = backed_up(&node, sent as u64).await;
        assert_eq!((status.last_error, status.backup.unwrap().ledger), (None, status.ledger));
        // What is closed is told before it is forgotten.
        let forgotten = async {
            while log_files(dir.path(), incarnation) > 1 {
                node.context.logs.close_idle(Duration::ZERO);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(HANG, forgotten).await.expect("the log forgets what is delivered and backed up");
        node.stop().await;
    }
    assert_eq!(sorted(store.lines()), expected(sent));
    assert_eq!(sorted(store.backup_lines()), expected(sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_what_the_stream_has_not_got_though_it_is_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let mut definition = with_backup(Compression::Gzip, Compression::Gzip);
    definition.s3.prefix = "data/".to_owned();
    let incarnation = definition.incarnation;
    *store.refused.lock() = Some(("data/", fault("shut", Retry::Backoff)));
    let mut sent = 0;
    for round in 0..2 {
        let node = Node::in_folder(dir.path(), &store).await;
        if round == 0 {
            node.create(definition.clone()).unwrap();
        }
        for _ in 0..40 {
            node.put(incarnation, &records(sent, 7)).await.unwrap();
            sent += 7;
        }
        let copied = |s: &StreamStatus| s.backup.as_ref().is_some_and(|b| b.ledger.delivered.records == sent as u64);
        let status = node.until("s", |s| copied(s) && s.state == StreamState::Retrying).await;
        assert_eq!((status.ledger.in_flight.records, status.backup.unwrap().held_bytes), (sent as u64, 0));
        if round == 1 {
            *store.refused.lock() = None;
            backed_up(&node, sent as u64).await;
        }
        node.stop().await;
    }
    assert_eq!(sorted(store.lines()), expected(sent));
    assert_eq!(sorted(store.backup_lines()), expected(sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_enabled_later_begins_with_what_is_newest_then() {
    let (dir, store, node) = Node::new().await;
    let definition = definition("s", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 30)).await.unwrap();
    node.until("s", |s| s.waiting_records == 30).await;
    node.supervisor.flush("s").unwrap();
    node.until("s", |s| s.ledger.delivered.records == 30).await;
    node.put(incarnation, &records(30, 10)).await.unwrap();
    let enable = |definition: &mut Definition| {
        definition.backup = Some(backup(Compression::Uncompressed, 1 << 20, 900_000));
    };
    node.redefine("s", enable).unwrap();
    // In the journal before anything else: from here on the log keeps what is not backed up.
    let lane = LaneId::source_backup(incarnation);
    while node.context.journal.cursor(&lane).is_none() {
        tokio::task::yield_now().await;
    }
    node.put(incarnation, &records(40, 25)).await.unwrap();
    let ready =
        |s: &StreamStatus| s.waiting_records == 35 && s.backup.as_ref().is_some_and(|b| b.waiting_records == 25);
    let status = node.until("s", ready).await;
    let bytes: usize = records(40, 25).iter().map(String::len).sum();
    assert_eq!(status.backup.unwrap().waiting_bytes, bytes as u64);
    node.stop().await;

    // Later revisions keep it as it is.
    let node = Node::in_folder(dir.path(), &store).await;
    let again = node.redefine("s", enable).unwrap();
    assert_eq!((again.revision, again.backup.as_ref().unwrap().since_revision), (3, 2));
    let status = node.until("s", ready).await;
    assert_eq!(status.backup.unwrap().waiting_bytes, bytes as u64);
    node.supervisor.flush("s").unwrap();
    let status = backed_up(&node, 25).await;
    assert_eq!(status.ledger.delivered.records, 65);
    assert_eq!(status.backup.unwrap().ledger.received, Count { records: 25, bytes: bytes as u64 });
    node.stop().await;
    assert_eq!(sorted(store.lines()), expected(65));
    let copied: Vec<_> = records(40, 25).iter().map(|r| r.trim_end().to_owned()).collect();
    assert_eq!(sorted(store.backup_lines()), sorted(copied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_act_on_both_lanes_and_a_delete_waits_for_both() {
    let (dir, store, node) = Node::new().await;
    let mut definition = definition("s", Compression::Gzip, 1 << 20, 900_000);
    definition.backup = Some(backup(Compression::Gzip, 1 << 20, 900_000));
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.supervisor.pause("s").unwrap();
    node.put(incarnation, &records(0, 5)).await.unwrap();
    let paused = |s: &StreamStatus| {
        let state = s.backup.as_ref().map(|b| (b.state, b.waiting_records));
        s.waiting_records == 5 && state == Some((StreamState::Paused, 5))
    };
    node.until("s", paused).await;
    node.supervisor.resume("s").unwrap();
    node.supervisor.flush("s").unwrap();
    backed_up(&node, 5).await;

    // The stream's own lane is done; the deletion waits for the backup and says so.
    *store.refused.lock() = Some(("copy/", fault("the backup's bucket is shut", Retry::Backoff)));
    node.put(incarnation, &records(5, 6)).await.unwrap();
    node.context.catalog.mark_deleting("s", false).unwrap();
    let held = |s: &StreamStatus| {
        s.ledger.delivered.records == 11 && s.last_error.as_ref().is_some_and(|e| e.starts_with("source backup: "))
    };
    let status = node.until("s", held).await;
    assert_eq!((status.state, status.backup.unwrap().state), (StreamState::Deleting, StreamState::Deleting));
    assert!(node.put(incarnation, &records(99, 1)).await.is_err());
    *store.refused.lock() = None;
    while node.supervisor.stream("s").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((store.lines().len(), store.backup_lines().len()), (11, 11));
    assert!(node.context.journal.lanes().is_empty());
    assert!(std::fs::read_dir(dir.path().join("streams")).unwrap().next().is_none());
    assert_eq!(node.supervisor.overview().deleted.ledger.received.records, 11);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_delete_discards_what_either_lane_holds() {
    let (_dir, store, node) = Node::new().await;
    let definition = with_backup(Compression::Gzip, Compression::Gzip);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    *store.refused.lock() = Some(("copy/", fault("shut", Retry::Backoff)));
    node.put(incarnation, &records(0, 90)).await.unwrap();
    node.until("s", |s| s.ledger.delivered.records == 90 && s.backup.as_ref().is_some_and(|b| b.open_seals > 0)).await;
    node.context.catalog.mark_deleting("s", true).unwrap();
    while node.supervisor.stream("s").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The stream's records have their fates; what was not backed up is none of them.
    let ledger = node.supervisor.overview().deleted.ledger;
    assert_eq!((ledger.delivered.records, ledger.discarded.records), (90, 0));
    assert!(node.context.journal.lanes().is_empty() && store.backup_lines().is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_one_lane_is_seen_and_the_other_goes_on() {
    for (prefix, is_backup) in [("copy/", true), ("data/", false)] {
        let (_dir, store, node) = Node::new().await;
        let mut definition = with_backup(Compression::Gzip, Compression::Gzip);
        definition.s3.prefix = "data/".to_owned();
        let incarnation = definition.incarnation;
        node.create(definition).unwrap();
        *store.refused.lock() = Some((prefix, fault("a foreign object", Retry::Never)));
        let faulted = |s: &StreamStatus| {
            let Some(backup) = &s.backup else { return false };
            (if is_backup { backup.state } else { s.state }) == StreamState::Faulted
        };
        node.put(incarnation, &records(0, 50)).await.unwrap();
        node.until("s", faulted).await;
        node.put(incarnation, &records(50, 50)).await.unwrap();
        let other = |s: &StreamStatus| {
            let Some(backup) = &s.backup else { return false };
            (if is_backup { s.ledger } else { backup.ledger }).delivered.records == 100
        };
        let status = node.until("s", other).await;
        assert!(faulted(&status) && status.last_error.unwrap().contains("a foreign object"));
        *store.refused.lock() = None;
        node.supervisor.resume("s").unwrap();
        backed_up(&node, 100).await;
        node.stop().await;
        assert_eq!(sorted(store.lines()), expected(100));
        assert_eq!(sorted(store.backup_lines()), expected(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backup_takes_the_records_before_the_transform() {
    let (dir, store, node) = Node::new().await;
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/poison-packed.wasm");
    std::fs::copy(guest, dir.path().join("transforms/t.wasm")).unwrap();
    let mut definition = with_backup(Compression::Gzip, Compression::Uncompressed);
    definition.transform = Some(transform(60_000));
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    let mut sent = records(0, 20);
    sent.push("trap!\n".to_owned());
    node.put(incarnation, &sent).await.unwrap();
    let status = backed_up(&node, 21).await;
    assert_eq!((status.ledger.delivered.records, status.ledger.refused.records), (20, 1));
    let bytes: Vec<u8> = store
        .objects
        .lock()
        .iter()
        .filter(|(key, _)| key.starts_with("copy/"))
        .flat_map(|(_, (_, b))| b.clone())
        .collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), sent.concat());
    let open = node.context.journal.lane(&LaneId::source_backup(incarnation));
    assert_eq!((open.closed.number(), open.open.len()), (Some(21), 0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_waits_and_says_so_while_its_error_object_cannot_be_written() {
    let (dir, store, node) = Node::new().await;
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/poison-packed.wasm");
    std::fs::copy(guest, dir.path().join("transforms/t.wasm")).unwrap();
    let mut definition = definition("s", Compression::Uncompressed, 1 << 20, 0);
    definition.s3.prefix = "data/".to_owned();
    definition.s3.error_prefix = Some("errors/".to_owned());
    definition.transform = Some(transform(60_000));
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    *store.refused.lock() = Some(("errors/", fault("the error area is shut", Retry::AfterOperator)));
    node.put(incarnation, &["good\n".to_owned(), "trap!\n".to_owned()]).await.unwrap();
    let waits = |s: &StreamStatus| s.state == StreamState::NeedsOperator && s.open_seals == 1;
    let status = node.until("s", |s| waits(s) && store.objects.lock().len() == 1).await;
    assert!(status.last_error.unwrap().contains("the error area is shut"));
    // The data object is there, yet nothing of the run has a fate: it closes as one.
    assert_eq!((status.ledger.in_flight.records, status.ledger.delivered.records), (2, 0));
    for i in 0..4 {
        node.put(incarnation, &[format!("{i} trap!\n")]).await.unwrap();
    }
    let most = node.context.options.max_open_seals_failing as u64;
    let status = node.until("s", |s| s.ledger.received.records == 6 && s.open_seals == most).await;
    assert_eq!(status.ledger.in_flight.records, 6);
    *store.refused.lock() = None;
    node.supervisor.resume("s").unwrap();
    let status = node.until("s", |s| s.ledger.in_flight.records == 0).await;
    assert_eq!((status.ledger.delivered.records, status.ledger.refused.records, status.last_error), (1, 5, None));
    assert_eq!(node.context.journal.lane(&LaneId::direct_put(incarnation)).open.len(), 0);
    node.stop().await;
}
