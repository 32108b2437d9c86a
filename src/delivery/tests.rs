//! Log to destination with real parts but the destination, which is a map with create-only semantics.

mod backup;
mod faults;
mod learning;
mod names;
mod partitioned;
mod power_loss;
mod processors;
mod statuses;
mod target;
mod updating;

use super::run::{RunPlan, StageRunError, stage_run};
use super::sealing::{StageFailure, store_seal};
use super::status::LaneStatus;
use super::*;
use crate::catalog::{Redefinition, Status, StreamRecord};
use crate::clock::{Clock, SystemClock};
use crate::destination::{Consignment, DeliveryError, Guarantee};
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

/// Objects by key; a second object under a key is an error unless it is the same parcel again.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pub objects: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    /// Errors to answer with, first one first; every second one is raised after the object was written.
    pub faults: Mutex<Vec<DeliveryError>>,
    /// What objects whose keys begin so are answered with, as long as it stands here.
    pub refused: Mutex<Option<(&'static str, DeliveryError)>>,
}

#[async_trait]
impl Destination for MemoryStore {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let mut bytes = vec![0; consignment.bytes.length_bytes() as usize];
        consignment.bytes.read_exact_at(&mut bytes, 0).map_err(|e| fault(&e.to_string(), Retry::Backoff))?;
        assert_eq!(bytes.len() as u64, consignment.parcel.length_bytes);
        assert_eq!(crc32c::crc32c(&bytes), consignment.parcel.crc32c);
        if let Some((prefix, error)) = &*self.refused.lock()
            && consignment.parcel.key.starts_with(prefix)
        {
            return Err(error.clone());
        }
        let (fault, before) = {
            let mut faults = self.faults.lock();
            (faults.pop(), faults.len().is_multiple_of(2))
        };
        if let Some(fault) = &fault
            && before
        {
            return Err(fault.clone());
        }
        let object = (consignment.parcel_id(), bytes);
        let mut objects = self.objects.lock();
        let known = objects.entry(consignment.parcel.key.clone()).or_insert_with(|| object.clone());
        assert_eq!(*known, object, "two contents under {}", consignment.parcel.key);
        fault.map_or(Ok(()), Err)
    }
}

/// A stage that cannot go through a record with this in it. In the way of every object that a test makes.
pub const POISON: &str = "poison for a stage";

/// Panics if a record is poison.
pub fn panic_at_poison(chunk: &crate::record::Chunk) {
    let is_poison = |bytes: &[u8]| memchr::memmem::find(bytes, POISON.as_bytes()).is_some();
    assert!(!chunk.iter().any(|(_, bytes)| is_poison(bytes)), "a record is poison");
}

pub fn fault(text: &str, retry: Retry) -> DeliveryError {
    DeliveryError { code: "S3.Test".to_owned(), message: text.to_owned(), class: Class::Upstream, retry }
}

impl MemoryStore {
    /// All records of the objects that are not a source backup's, split at newlines.
    pub fn lines(&self) -> Vec<String> {
        self.lines_of(|key| !key.starts_with("copy/"))
    }

    /// All records of source backups' objects, split at newlines.
    pub fn backup_lines(&self) -> Vec<String> {
        self.lines_of(|key| key.starts_with("copy/"))
    }

    fn lines_of(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, (_, bytes)) in self.objects.lock().iter().filter(|(key, _)| is_wanted(key)) {
            let mut text = String::new();
            if key.ends_with(".gz") {
                flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(bytes.clone()).unwrap();
            }
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }
}

/// A node over a disk and a store that outlive it.
pub struct Node {
    pub context: Arc<DeliveryContext>,
    pub supervisor: Arc<Supervisor>,
    pub pool: Arc<CommitPool>,
}

impl Node {
    pub async fn start(disk: Arc<dyn Disk>, root: PathBuf, store: Arc<dyn Destination>) -> Result<Self, String> {
        Self::start_by(disk, root, store, Arc::new(SystemClock::new())).await
    }

    pub async fn start_by(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        store: Arc<dyn Destination>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let budget = Arc::new(DiskBudget::unlimited());
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let journal = Arc::new(
            Journal::open(disk.clone(), root.join("journal"), JournalOptions::default()).map_err(|e| text(&e))?,
        );
        let catalog = Arc::new(Catalog::open(disk.clone(), root.join("catalog")).map_err(|e| text(&e))?);
        let rows = catalog.all();
        let has_row = |incarnation| rows.iter().any(|row| row.definition.incarnation == incarnation);
        let deleted = DeletedStreams::open(disk.clone(), root.join("deleted.json"), has_row).map_err(|e| text(&e))?;
        let pool = CommitPool::start(2).unwrap();
        let log_context = LogContext {
            disk: disk.clone(),
            budget: budget.clone(),
            clock: clock.clone(),
            options: LogOptions { segment_bytes: 2048, ..LogOptions::default() },
        };
        let cursors = Arc::new(JournalCursors(journal.clone()));
        let options = DeliveryOptions {
            backoff_first: Duration::from_micros(100),
            backoff_longest: Duration::from_millis(1),
            operator_pause: Duration::from_millis(1),
            ..DeliveryOptions::default()
        };
        let context = Arc::new(DeliveryContext {
            streams_dir: root.join("streams"),
            catalog,
            logs: Logs::new(log_context, pool.clone(), root.join("streams"), cursors),
            journal,
            deleted: Arc::new(deleted),
            outbox: Arc::new(Outbox::new(disk.clone(), root.join("streams"), budget)),
            destination: store,
            transforms: Arc::new(TransformFolder::new(root.join("transforms"), TransformLimits::default()).unwrap()),
            schemas: Arc::new(Schemas::new(root.join("schemas"), None)),
            learnt: LearntTables::new(disk.clone(), root.join("streams")),
            clock,
            region: "us-east-1".to_owned(),
            stages: StagePool::start(2).map_err(|e| text(&e))?,
            transform_stages: StagePool::start(2).map_err(|e| text(&e))?,
            send_permits: Arc::new(Semaphore::new(4)),
            failing_permits: Arc::new(Semaphore::new(2)),
            options,
            disk,
        });
        let supervisor = Supervisor::start(context.clone()).await.map_err(|e| text(&e))?;
        Ok(Self { context, supervisor, pool })
    }

    pub fn create(&self, definition: Definition) -> Result<(), String> {
        let record = StreamRecord {
            definition: Arc::new(definition),
            status: Status::Active,
            created_ms: 0,
            updated_ms: None,
            request: serde_json::Value::Null,
            tags: BTreeMap::new(),
        };
        self.context.catalog.create(record, None).map(drop).map_err(|e| e.to_string())
    }

    /// Makes the next revision of a stream out of its newest one.
    pub fn redefine(&self, name: &str, change: impl FnOnce(&mut Definition)) -> Result<Definition, String> {
        let row = self.context.catalog.find(name).ok_or("no such stream")?;
        let mut definition = Definition::clone(&row.definition);
        change(&mut definition);
        definition.follow(&row.definition);
        let (request, tags) = (row.request.clone(), row.tags.clone());
        let new = Redefinition { definition: definition.clone(), request, tags, updated_ms: 1 };
        self.context.catalog.redefine(new).map_err(|error| error.to_string())?;
        Ok(definition)
    }

    pub async fn put<R: AsRef<[u8]>>(&self, incarnation: Incarnation, records: &[R]) -> Result<(), String> {
        let log = self.context.logs.get(incarnation).await.map_err(|e| e.to_string())?;
        let body = FrameBody {
            lengths: records.iter().map(|r| r.as_ref().len() as u32).collect(),
            payload: records.iter().flat_map(|r| r.as_ref()).copied().collect(),
            extensions: Vec::new(),
        };
        log.append(body).await.map(drop).map_err(|e| e.to_string())
    }

    /// The stream's lane, with its log open.
    pub async fn lane(&self, incarnation: Incarnation) -> LocalLane {
        let log = self.context.logs.get(incarnation).await.unwrap();
        self.context.logs.lane(log, LaneId::direct_put(incarnation))
    }

    /// Waits until `done` holds for the stream.
    pub async fn until(&self, name: &str, done: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
        loop {
            if let Some(status) = self.supervisor.stream(name).filter(&done) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn stop(self) {
        self.supervisor.stop().await;
        let (pool, journal) = (self.pool, self.context.journal.clone());
        tokio::task::spawn_blocking(move || {
            pool.stop();
            journal.stop();
        })
        .await
        .unwrap();
    }
}

pub fn definition(name: &str, compression: Compression, size_bytes: u64, interval_ms: u64) -> Definition {
    Definition {
        name: name.parse::<StreamName>().unwrap(),
        incarnation: Incarnation::random(),
        revision: 1,
        arn: format!("arn:aws:firehose:us-east-1:000000000000:deliverystream/{name}"),
        hints: Hints { size_bytes, interval_ms },
        s3: S3Target {
            bucket: "b".to_owned(),
            prefix: String::new(),
            error_prefix: None,
            time_zone: TimeZone::UTC,
            file_extension: String::new(),
            compression,
            kms_key: None,
        },
        processors: Processors::default(),
        transform: None,
        convert: None,
        target_object_bytes: None,
        backup: None,
        partitioning: None,
    }
}

/// A source backup into the bucket `backup` below `copy/`, in objects of this size.
pub fn backup(compression: Compression, size_bytes: u64, interval_ms: u64) -> BackupSpec {
    let s3 = S3Target {
        bucket: "backup".to_owned(),
        prefix: "copy/".to_owned(),
        error_prefix: None,
        file_extension: String::new(),
        compression,
        kms_key: None,
        time_zone: TimeZone::UTC,
    };
    BackupSpec { hints: Hints { size_bytes, interval_ms }, s3, since_revision: 1 }
}

pub fn records(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|i| format!("record {i} {}\n", "y".repeat(i % 90))).collect()
}

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
            let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store).await.unwrap();
    assert_eq!(node.supervisor.overview().deleted, moment);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_damaged_log_holds_is_shown_and_counted_when_it_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let definition = definition("d", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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

    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_loop_hold_up_no_stream_without_one_and_end_with_their_stream() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
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
