//! Faults of disk and destination in the middle of things: nothing is counted twice, kept open or given up too early.

use super::*;
use crate::disk::{DiskFile, Entry};
use parking_lot::Condvar;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// A disk of which the syncs of the journal can be held up, and the opening of files refused for a while.
#[derive(Debug, Clone, Default)]
struct Held {
    disk: FaultyDisk,
    held: Arc<Gate>,
    /// Openings of files under `streams` that fail.
    fail_opens: Arc<Mutex<u32>>,
    /// Syncs of the catalog's folder before the one that fails.
    catalog_syncs: Arc<Mutex<Option<u32>>>,
}

/// Where syncs wait while it is shut.
#[derive(Debug, Default)]
struct Gate {
    /// Whether it is shut, and how many wait.
    state: Mutex<(bool, u32)>,
    changed: Condvar,
}

#[derive(Debug)]
struct HeldFile {
    file: Arc<dyn DiskFile>,
    held: Arc<Gate>,
}

impl Held {
    fn hold(&self, held: bool) {
        self.held.state.lock().0 = held;
        self.held.changed.notify_all();
    }

    /// Returns once a sync waits.
    async fn until_one_waits(&self) {
        let waits = async {
            while self.held.state.lock().1 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(HANG, waits).await.expect("a sync waits");
    }

    fn wrapped(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let is_journal = path.components().any(|part| part.as_os_str() == "journal");
        if is_journal { Arc::new(HeldFile { file, held: self.held.clone() }) } else { file }
    }
}

impl Disk for Held {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrapped(path, self.disk.create_new(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut fail_opens = self.fail_opens.lock();
        if *fail_opens > 0 && path.components().any(|part| part.as_os_str() == "streams") {
            *fail_opens -= 1;
            return Err(io::Error::from_raw_os_error(24));
        }
        Ok(self.wrapped(path, self.disk.open(path)?))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.ends_with("catalog") {
            let mut left = self.catalog_syncs.lock();
            let fails = *left == Some(0);
            *left = left.and_then(|left| left.checked_sub(1));
            if fails {
                return Err(io::Error::other("the sync failed"));
            }
        }
        self.disk.sync_dir(dir)
    }
}

impl DiskFile for HeldFile {
    fn write_all_at(&self, parts: &[&[u8]], offset_bytes: u64) -> io::Result<()> {
        self.file.write_all_at(parts, offset_bytes)
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset_bytes)
    }
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset_bytes)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.held.state.lock();
        state.1 += 1;
        while state.0 {
            self.held.changed.wait(&mut state);
        }
        state.1 -= 1;
        drop(state);
        self.file.sync_data()
    }
}

/// A store that answers when it is allowed to, first with the refusals it was given.
#[derive(Debug)]
struct Gated {
    store: MemoryStore,
    arrived: Semaphore,
    answers: Semaphore,
    refusals: Mutex<Vec<DeliveryError>>,
}

#[async_trait]
impl Destination for Gated {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        self.arrived.add_permits(1);
        self.answers.acquire().await.unwrap().forget();
        let refusal = self.refusals.lock().pop();
        match refusal {
            Some(refusal) => Err(refusal),
            None => self.store.deliver(consignment).await,
        }
    }
}

#[tokio::test]
async fn a_seal_stored_while_its_lane_faults_is_counted_once_and_sent_after_the_resume() {
    let disk = Held::default();
    let store = Arc::new(Gated {
        store: MemoryStore::default(),
        arrived: Semaphore::new(0),
        answers: Semaphore::new(0),
        refusals: Mutex::new(vec![fault("a foreign object", Retry::Never)]),
    });
    let node = Node::start(Arc::new(disk.clone()), "/data".into(), store.clone()).await.unwrap();
    let definition = definition("s", Compression::Gzip, 1 << 20, 0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 5)).await.unwrap();
    store.arrived.acquire().await.unwrap().forget();

    // The second run is staged and its seal written, not yet synced, when the first one's fault arrives.
    disk.hold(true);
    node.put(incarnation, &records(5, 7)).await.unwrap();
    disk.until_one_waits().await;
    store.answers.add_permits(1);
    // One thread: the worker takes the fault as soon as it may run.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    disk.hold(false);
    let status = node.until("s", |s| s.state == StreamState::Faulted).await;
    assert_eq!((status.ledger.received.records, status.ledger.in_flight.records), (12, 12));

    store.answers.add_permits(100);
    node.supervisor.resume("s").unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 12).await;
    assert_eq!((status.ledger.received.records, status.waiting_records, status.open_seals), (12, 0, 0));
    assert_eq!(store.store.lines().len(), 12);
    node.put(incarnation, &records(12, 1)).await.unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 13).await;
    assert_eq!((status.ledger.received.records, status.state), (13, StreamState::Running));
    node.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_for_a_while_needs_no_operator() {
    let (disk, store) = (Held::default(), Arc::new(MemoryStore::default()));
    let node = Node::start(Arc::new(disk.clone()), "/data".into(), store.clone()).await.unwrap();
    let definition = definition("s", Compression::Uncompressed, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &["x".repeat(9000) + "\n"]).await.unwrap();
    node.stop().await;

    // Too many open files while the log is recovered.
    *disk.fail_opens.lock() = 3;
    let node = Node::start(Arc::new(disk.clone()), "/data".into(), store.clone()).await.unwrap();
    let ends = |s: &StreamStatus| [StreamState::Running, StreamState::Faulted].contains(&s.state);
    let status = node.until("s", |s| ends(s) && s.oldest_undelivered_age_ms.is_some()).await;
    assert_eq!((status.state, status.waiting_records), (StreamState::Running, 1), "{:?}", status.last_error);

    // The same when the range of the log that a seal names is looked up to be sent.
    let permits = node.context.send_permits.acquire_many(4).await.unwrap();
    node.supervisor.flush("s").unwrap();
    node.until("s", |s| s.open_seals == 1).await;
    *disk.fail_opens.lock() = 3;
    drop(permits);
    let status = node.until("s", |s| s.ledger.delivered.records == 1 || s.state == StreamState::Faulted).await;
    assert_eq!(status.state, StreamState::Running, "{:?}", status.last_error);
    node.stop().await;
}

/// A store that fails each parcel of streams `bad…` once, and then does not answer for it.
#[derive(Debug)]
struct Silent {
    store: MemoryStore,
    failed: Mutex<BTreeSet<String>>,
    /// Closed when it shall answer again.
    silence: Semaphore,
}

#[async_trait]
impl Destination for Silent {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        if consignment.parcel.key.contains("/bad") {
            if self.failed.lock().insert(consignment.parcel_id()) {
                return Err(fault("down", Retry::Backoff));
            }
            let _ = self.silence.acquire().await;
        }
        self.store.deliver(consignment).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_does_not_answer_leaves_slots_to_others() {
    let store =
        Arc::new(Silent { store: MemoryStore::default(), failed: Mutex::default(), silence: Semaphore::new(0) });
    let node = Node::start(Arc::new(FaultyDisk::new()), "/data".into(), store.clone()).await.unwrap();
    let put = async |name: &str, from| {
        let definition = definition(name, Compression::Gzip, 1 << 20, 0);
        let incarnation = definition.incarnation;
        node.create(definition).unwrap();
        node.put(incarnation, &records(from, 1)).await.unwrap();
    };
    // As many as there are slots.
    for (from, name) in ["bad-0", "bad-1", "bad-2", "bad-3"].into_iter().enumerate() {
        put(name, from).await;
        node.until(name, |s| s.state == StreamState::Retrying).await;
    }
    put("good", 4).await;
    let delivered = node.until("good", |s| s.ledger.delivered.records == 1);
    tokio::time::timeout(Duration::from_secs(30), delivered).await.expect("it waits for those that do not answer");
    store.silence.close();
    node.until("bad-3", |s| s.ledger.delivered.records == 1).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_row_cannot_be_removed_is_not_gone_before_the_next_start() {
    let (disk, store) = (Held::default(), Arc::new(MemoryStore::default()));
    let node = Node::start(Arc::new(disk.clone()), "/data".into(), store.clone()).await.unwrap();
    let definition = definition("s", Compression::Gzip, 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 3)).await.unwrap();
    node.until("s", |s| s.waiting_records == 3).await;
    // The row is written once more, and then not removed.
    *disk.catalog_syncs.lock() = Some(1);
    node.context.catalog.mark_deleting("s", true).unwrap();
    let failed = |s: &StreamStatus| s.last_error.as_ref().is_some_and(|e| e.contains("the deletion failed"));
    let overview = loop {
        let overview = node.supervisor.overview();
        if overview.deleted.streams > 0 || overview.streams.iter().any(failed) {
            break overview;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((overview.streams.len(), overview.deleted.streams), (1, 0));
    assert_eq!(overview.streams[0].ledger.discarded.records, 3);
    assert!(node.context.catalog.find("s").is_some());
    node.stop().await;
    let node = Node::start(Arc::new(disk), "/data".into(), store).await.unwrap();
    while node.context.catalog.find("s").is_some() || node.supervisor.overview().deleted.streams == 0 {
        tokio::task::yield_now().await;
    }
    let deleted = node.supervisor.overview().deleted;
    assert_eq!((deleted.streams, deleted.ledger.received.records), (1, 3));
    node.stop().await;
}
