//! Log to destination, on nodes of `fixture`.

mod backup;
mod error_page;
mod faults;
mod fixture;
mod giving_up;
mod lambda_keys;
mod learning;
mod loads;
mod names;
mod partition_keys;
mod partitioned;
mod power_loss;
mod processors;
mod requests;
mod restarts;
mod spooled;
mod statuses;
mod target;
mod updating;
mod verdicts;

pub use fixture::*;

use super::run::{RunPlan, StageRunError, stage_run};
use super::sealing::{StageFailure, store_seal};
use super::status::LaneStatus;
use super::*;
use crate::catalog::{Redefinition, Status, StreamRecord};
use crate::clock::{Clock, SystemClock};
use crate::destination::{Consignment, DeliveryError, Destination, Guarantee, Router};
use crate::disk::faulty::FaultyDisk;
use crate::disk::{DiskBudget, RealDisk};
use crate::fault::{Class, Retry};
use crate::journal::JournalOptions;
use crate::log::{CommitPool, FrameBody, LogContext, LogOptions};
use crate::source::Lane;
use crate::source::local::LocalLane;
use crate::stage::transform::TransformLimits;
use crate::stream::definition::{BackupSpec, Compression, Definition, Hints, Processors, S3Target, TransformSpec};
use crate::stream::prefix::TimeZone;
use crate::stream::seal::{CutReason, LaneId};
use crate::stream::{Incarnation, Position, StreamName};
use crate::task::StopSource;
use crate::telemetry::status::{Count, Deleted, Operations, StreamState, StreamStatus};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

fn expected(count: usize) -> Vec<String> {
    let mut lines: Vec<_> = records(0, count).iter().map(|r| r.trim_end_matches('\n').to_owned()).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_in_exactly_one_object_over_restarts_and_faults() {
    for compression in [Compression::Gzip, Compression::Uncompressed] {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::default());
        let definition = definition("s", compression, 3000, 20);
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
                let status = node.until("s", |s| s.ledger.delivered.records == sent as u64).await;
                assert_eq!(status.ledger.received, status.ledger.delivered);
                assert_eq!((status.waiting_bytes, status.open_seals), (0, 0));
            }
            node.stop().await;
        }
        let mut lines = store.lines();
        lines.sort();
        assert!(lines == expected(sent), "{} lines of {sent}", lines.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_delivers_what_is_there_and_leaves_nothing() {
    let (dir, store, node) = Node::new().await;
    let definition = definition("gone", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 50)).await.unwrap();
    assert!(store.lines().is_empty());
    node.context.catalog.mark_deleting("gone", false).unwrap();
    while node.context.catalog.find("gone").is_some() || node.supervisor.stream("gone").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(store.lines().len(), 50);
    assert!(node.put(incarnation, &records(0, 1)).await.is_err());
    assert!(std::fs::read_dir(dir.path().join("streams")).unwrap().next().is_none());
    assert!(node.context.journal.lanes().is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_forced_delete_discards_stays_in_the_ledger_over_restarts() {
    let (dir, store, node) = Node::new().await;
    let definition = definition("f", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 7)).await.unwrap();
    node.until("f", |s| s.waiting_records == 7).await;
    node.supervisor.flush("f").unwrap();
    node.until("f", |s| s.ledger.delivered.records == 7).await;
    // Eleven that are sealed and cannot be delivered, and five that wait.
    store.faults.lock().extend((0..200_000).map(|_| fault("down", Retry::AfterOperator)));
    node.put(incarnation, &records(7, 11)).await.unwrap();
    node.supervisor.flush("f").unwrap();
    node.until("f", |s| s.open_seals == 1 && s.state == StreamState::NeedsOperator).await;
    node.put(incarnation, &records(18, 5)).await.unwrap();
    let before = node.until("f", |s| s.waiting_records == 5).await.ledger;
    assert_eq!((before.received.records, before.in_flight.records), (23, 16));
    assert_eq!(node.supervisor.overview().deleted, Deleted::default());

    node.context.catalog.mark_deleting("f", true).unwrap();
    let moment = loop {
        let overview = node.supervisor.overview();
        // At every moment each record is counted once.
        let streams: u64 = overview.streams.iter().map(|s| s.ledger.received.records).sum();
        assert_eq!(streams + overview.deleted.ledger.received.records, 23, "{overview:?}");
        if overview.streams.is_empty() {
            break overview.deleted;
        }
        tokio::task::yield_now().await;
    };
    let ledger = moment.ledger;
    assert_eq!((moment.streams, ledger.received), (1, before.received));
    assert_eq!(
        (ledger.delivered, ledger.discarded, ledger.in_flight),
        (before.delivered, before.in_flight, Count::default())
    );
    node.stop().await;
    store.faults.lock().clear();
    let node = Node::in_folder(dir.path(), &store).await;
    assert_eq!(node.supervisor.overview().deleted, moment);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_damaged_log_holds_is_shown_and_counted_when_it_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let definition = definition("d", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    let node = Node::in_folder(dir.path(), &store).await;
    node.create(definition).unwrap();
    for from in [0, 5, 10] {
        node.put(incarnation, &records(from, 5)).await.unwrap();
    }
    node.stop().await;
    let folder = dir.path().join("streams").join(incarnation.to_string()).join("log");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    let mut bad = whole.clone();
    bad[64 + 70] ^= 1;
    std::fs::write(&file, &bad).unwrap();

    let node = Node::in_folder(dir.path(), &store).await;
    let status = node.until("d", |s| s.state == StreamState::Faulted).await;
    // The last request's frame is not known to have been synced; those before it are.
    assert_eq!((status.ledger.received.records, status.ledger.in_flight.records), (10, 10));
    assert!(status.last_error.unwrap().contains("from a copy"));
    // Put back, it goes on where it stood.
    std::fs::write(&file, &whole).unwrap();
    node.supervisor.resume("d").unwrap();
    let status = node.until("d", |s| s.state == StreamState::Running && s.waiting_records == 15).await;
    assert!(status.waiting_bytes > 0);
    node.stop().await;

    for file in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let file = file.unwrap().path();
        let mut bad = std::fs::read(&file).unwrap();
        bad[64 + 70] ^= 1;
        std::fs::write(&file, &bad).unwrap();
    }
    let node = Node::in_folder(dir.path(), &store).await;
    let in_flight = node.until("d", |s| s.state == StreamState::Faulted).await.ledger.in_flight;
    assert!(in_flight.records >= 10, "{in_flight:?}");
    node.context.catalog.mark_deleting("d", true).unwrap();
    while node.supervisor.overview().deleted.ledger.discarded != in_flight {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    node.stop().await;
}

/// The transform `t`.
fn transform(timeout_ms: u64) -> TransformSpec {
    TransformSpec {
        lambda_arn: "arn:aws:lambda:us-east-1:000000000000:function:t".to_owned(),
        function: "t".to_owned(),
        version: None,
        retries: 0,
        batch_bytes: 1 << 20,
        timeout_ms,
        memory_bytes: 64 << 20,
        variables: BTreeMap::new(),
        fuel: None,
        is_stateless: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_loop_hold_up_no_stream_without_one_and_end_with_their_stream() {
    let (dir, _store, node) = Node::new().await;
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/poison-packed.wasm");
    std::fs::copy(guest, dir.path().join("transforms/t.wasm")).unwrap();
    // As many as there are threads for them, with an hour of time each.
    for name in ["loop-0", "loop-1"] {
        let mut definition = definition(name, Compression::Gzip, 1 << 20, 0);
        definition.transform = Some(transform(3_600_000));
        let incarnation = definition.incarnation;
        node.create(definition).unwrap();
        node.put(incarnation, &["loop!".to_owned()]).await.unwrap();
    }
    let plain = definition("plain", Compression::Gzip, 1 << 20, 0);
    let incarnation = plain.incarnation;
    node.create(plain).unwrap();
    node.put(incarnation, &records(0, 9)).await.unwrap();
    node.until("plain", |s| s.ledger.delivered.records == 9).await;
    // A forced delete, a pause and the stop end the calls: else this test would take hours.
    node.context.catalog.mark_deleting("loop-0", true).unwrap();
    while node.supervisor.overview().deleted.ledger.discarded.records != 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(node.supervisor.stream("loop-1").unwrap().ledger.in_flight.records, 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transform_that_went_bad_shows_in_the_status_and_the_old_one_goes_on() {
    let (dir, _store, node) = Node::new().await;
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/poison-packed.wasm");
    let file = dir.path().join("transforms/t.wasm");
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    std::fs::copy(&guest, &file).unwrap();
    let mut definition = definition("t", Compression::Gzip, 1 << 20, 0);
    definition.transform = Some(transform(60_000));
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    let mut sent = 0;
    for (content, problem) in [(None, None), (Some("half a file"), Some("WebAssembly")), (None, None)] {
        match content {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => drop(std::fs::copy(&guest, &file).unwrap()),
        }
        node.put(incarnation, &records(sent, 3)).await.unwrap();
        sent += 3;
        let status = node.until("t", |s| s.ledger.delivered.records == sent as u64).await;
        let shown = status.transform_problem;
        assert_eq!(shown.is_some(), problem.is_some(), "{shown:?}");
        assert!(shown.unwrap_or_default().contains(problem.unwrap_or_default()));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_flush_and_resume_are_obeyed() {
    let (_dir, store, node) = Node::new().await;
    let definition = definition("p", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.until("p", |_| true).await;
    node.supervisor.pause("p").unwrap();
    node.put(incarnation, &records(0, 5)).await.unwrap();
    let refused = node.supervisor.flush("p").unwrap_err().to_string();
    assert!(refused.contains("is paused") && refused.contains("/streams/p/resume"), "{refused}");
    let status = node.until("p", |s| s.state == StreamState::Paused && s.waiting_records == 5).await;
    assert_eq!((status.ledger.in_flight.records, status.open_seals, status.last_error), (5, 0, None));
    node.supervisor.resume("p").unwrap();
    node.supervisor.flush("p").unwrap();
    node.until("p", |s| s.ledger.delivered.records == 5 && s.state == StreamState::Running).await;
    assert_eq!(store.lines().len(), 5);
    // A deletion that delivers what waits is held by a pause, and says so.
    node.supervisor.pause("p").unwrap();
    node.put(incarnation, &records(5, 1)).await.unwrap();
    node.context.catalog.mark_deleting("p", false).unwrap();
    let held = |s: &StreamStatus| s.last_error.as_ref().is_some_and(|e| e.contains("because the stream is paused"));
    let status = node.until("p", held).await;
    assert_eq!((status.state, status.waiting_records), (StreamState::Deleting, 1));
    node.supervisor.resume("p").unwrap();
    while node.supervisor.stream("p").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(store.lines().len(), 6);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_fails_to_be_stored_is_tried_again_until_it_is_or_the_service_stops() {
    let disk = FaultyDisk::new();
    let node = Node::start(Arc::new(disk.clone()), "/data".into(), Arc::new(MemoryStore::default())).await.unwrap();
    let definition = Arc::new(definition("s", Compression::Gzip, 3000, 900_000));
    let incarnation = definition.incarnation;
    node.put(incarnation, &records(0, 20)).await.unwrap();
    let lane = node.lane(incarnation).await;
    let (stop, abandon) = (StopSource::new(), StopSource::new());
    let plan = RunPlan {
        definition,
        from: Position::start(),
        number: 1,
        cut: CutReason::Flush,
        max_bytes: u64::MAX,
        max_expanded_bytes: u64::MAX,
        max_staging: Duration::MAX,
        target_object_bytes: None,
        half: super::spooled::Half::Whole,
        cuts: Vec::new(),
        max_records: u64::MAX,
        refuse_all: None,
        records_read: Arc::default(),
        stop: stop.stop(),
        abandon: abandon.stop(),
    };
    let staged = stage_run(&node.context, &lane, &plan).unwrap().unwrap();
    let status = LaneStatus::new("s".to_owned(), "delivery", node.context.clock.clone());
    let store = |seal, inline| {
        let (stop, abandon) = (stop.stop(), abandon.stop());
        let (context, status) = (&node.context, &status);
        async move { store_seal(context, status, &seal, inline, [stop, abandon]).await }
    };

    // No room at all: only a stop ends the attempts.
    disk.disk_full_after(0);
    let storing = store(staged.seal.clone(), staged.inline.clone());
    let (stored, ()) = tokio::join!(storing, async {
        while !status.is_failing() {
            tokio::task::yield_now().await;
        }
        abandon.ask();
    });
    assert!(matches!(stored, Err(StageFailure::Run(StageRunError::Stopped))), "{stored:?}");
    assert!(matches!(stage_run(&node.context, &lane, &plan), Err(StageRunError::Stopped)));

    let abandon = StopSource::new();
    disk.disk_full_after(u64::MAX);
    disk.fail_sync_once();
    store_seal(&node.context, &status, &staged.seal, staged.inline, [stop.stop(), abandon.stop()]).await.unwrap();
    let open = node.context.journal.lane(lane.id()).open;
    assert_eq!(open.iter().map(|seal| seal.id).collect::<Vec<_>>(), [staged.seal.id]);
    node.stop().await;
}
