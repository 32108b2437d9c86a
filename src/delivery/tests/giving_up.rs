//! Giving a request up beside what happens to its lane meanwhile: faults, stops in the middle of a pause, a full disk.

use super::requests::{error_records, to_endpoint};
use super::*;
use crate::disk::{DiskFile, Entry};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// An endpoint of which the test answers each attempt, first come first served.
#[derive(Debug)]
struct Asked {
    arrived: Semaphore,
    answers: tokio::sync::Mutex<mpsc::UnboundedReceiver<Result<(), DeliveryError>>>,
}

type Answers = mpsc::UnboundedSender<Result<(), DeliveryError>>;

impl Asked {
    fn new() -> (Arc<Self>, Answers) {
        let (answer, answers) = mpsc::unbounded_channel();
        (Arc::new(Self { arrived: Semaphore::new(0), answers: tokio::sync::Mutex::new(answers) }), answer)
    }

    /// Waits for the next attempt.
    async fn attempted(&self) {
        tokio::time::timeout(HANG, self.arrived.acquire()).await.expect("no attempt is made").unwrap().forget();
    }
}

#[async_trait]
impl Destination for Asked {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn deliver(&self, _consignment: &Consignment) -> Result<(), DeliveryError> {
        self.arrived.add_permits(1);
        self.answers.lock().await.recv().await.unwrap_or(Ok(()))
    }
}

/// The machine's clocks, of which the monotonic one is put forward by each look at it: no pause is shorter than that.
#[derive(Debug)]
struct Ahead {
    machine: SystemClock,
    ahead_ms: AtomicU64,
}

const LOOK_MS: u64 = 20_000;

impl Clock for Ahead {
    fn wall_ms(&self) -> i64 {
        self.machine.wall_ms()
    }
    fn monotonic(&self) -> Duration {
        self.machine.monotonic() + Duration::from_millis(self.ahead_ms.fetch_add(LOOK_MS, Ordering::Relaxed))
    }
}

fn clock() -> Arc<Ahead> {
    Arc::new(Ahead { machine: SystemClock::new(), ahead_ms: AtomicU64::new(0) })
}

async fn start(disk: Arc<dyn Disk>, dir: &Path, store: &Arc<MemoryStore>, endpoint: &Arc<Asked>) -> Node {
    start_by(disk, dir, store, endpoint, clock()).await
}

async fn start_by(
    disk: Arc<dyn Disk>,
    dir: &Path,
    store: &Arc<MemoryStore>,
    endpoint: &Arc<Asked>,
    clock: Arc<dyn Clock>,
) -> Node {
    let router = Router { objects: store.clone(), requests: endpoint.clone(), loads: endpoint.clone() };
    Node::start_routed(disk, dir.to_owned(), router, clock).await.unwrap()
}

#[tokio::test]
async fn a_lane_that_faults_does_not_end_before_a_turn_that_is_being_made() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let (endpoint, answer) = Asked::new();
    let node = start(Arc::new(RealDisk), dir.path(), &store, &endpoint).await;
    let definition = to_endpoint(0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    for at in 0..2 {
        node.put(incarnation, &records(at * 5, 5)).await.unwrap();
        endpoint.attempted().await;
    }
    // The threads that make error parcels have something else to do.
    let (mut holding, mut held) = (JoinSet::new(), Vec::new());
    let (began, mut begins) = mpsc::unbounded_channel();
    for _ in 0..2 {
        let (context, began) = (node.context.clone(), began.clone());
        let (hold, let_go) = std::sync::mpsc::channel::<()>();
        held.push(hold);
        holding.spawn(async move {
            let wait = move || {
                began.send(()).unwrap();
                // Until the other end is dropped.
                let_go.recv().unwrap_err();
            };
            context.stages.run(wait).await.unwrap();
        });
    }
    for _ in 0..2 {
        begins.recv().await.unwrap();
    }
    answer.send(Err(fault("refused for good", Retry::GiveUp))).unwrap();
    let is_made = async {
        while node.context.stages.waiting() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, is_made).await.expect("no error parcel is made");
    // The other request stops the lane. One thread: its worker takes the fault as soon as it may run.
    answer.send(Err(fault("a fault", Retry::Never))).unwrap();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let status = node.supervisor.stream("s").unwrap();
    assert_ne!(status.state, StreamState::Faulted, "its error parcel is still being made");
    drop(held);
    let status = node.until("s", |s| s.state == StreamState::Faulted).await;
    assert_eq!((status.ledger.refused.records, status.ledger.in_flight.records), (0, 10));
    assert!(node.context.journal.lane(&LaneId::direct_put(incarnation)).turns.is_empty(), "nobody waits for it");
    node.supervisor.resume("s").unwrap();
    for _ in 0..2 {
        answer.send(Ok(())).unwrap();
    }
    node.until("s", |s| s.ledger.delivered.records == 10 && s.open_seals == 0).await;
    assert!(store.objects.lock().is_empty());
    while holding.join_next().await.is_some() {}
    node.stop().await;
}

#[tokio::test]
async fn a_pause_that_a_stop_cuts_short_is_stored_and_is_no_attempt() {
    let (dir, store, clock) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()), clock());
    let (endpoint, answer) = Asked::new();
    let later = DeliveryError { not_before: Some(Duration::from_secs(3000)), ..fault("busy", Retry::Backoff) };
    let definition = to_endpoint(7_200_000);
    let (incarnation, lane) = (definition.incarnation, LaneId::direct_put(definition.incarnation));
    let node = start_by(Arc::new(RealDisk), dir.path(), &store, &endpoint, clock.clone()).await;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 5)).await.unwrap();
    endpoint.attempted().await;
    answer.send(Err(later.clone())).unwrap();
    let journal = node.context.journal.clone();
    let stored = || journal.lane(&lane).attempts.first().map(|stored| (stored.failed, stored.paused_ms));
    node.until("s", |_| stored() == Some((1, 0))).await;
    node.stop().await;
    let (failed, paused_ms) = stored().unwrap();
    assert!(failed == 1 && paused_ms >= LOOK_MS, "{failed} attempts, {paused_ms} ms");

    // The next start goes on from there, and what a pause took is stored before the attempt behind it has an end.
    let node = start_by(Arc::new(RealDisk), dir.path(), &store, &endpoint, clock.clone()).await;
    let journal = node.context.journal.clone();
    let stored = || journal.lane(&lane).attempts.first().map(|stored| (stored.failed, stored.paused_ms));
    assert_eq!(stored(), Some((1, paused_ms)));
    endpoint.attempted().await;
    answer.send(Err(later)).unwrap();
    node.until("s", |_| stored() == Some((2, paused_ms))).await;
    node.supervisor.resume("s").unwrap();
    endpoint.attempted().await;
    let (failed, longer_ms) = stored().unwrap();
    assert!(failed == 2 && longer_ms >= paused_ms + LOOK_MS, "{failed} attempts, {longer_ms} ms");
    answer.send(Ok(())).unwrap();
    node.until("s", |s| s.ledger.delivered.records == 5 && s.open_seals == 0).await;
    node.stop().await;
}

#[tokio::test]
async fn a_refusal_by_settings_that_are_mended_meanwhile_is_no_reason_to_give_up() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let (endpoint, answer) = Asked::new();
    let node = start(Arc::new(RealDisk), dir.path(), &store, &endpoint).await;
    let definition = to_endpoint(0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    for (at, is_mended) in [true, false].into_iter().enumerate() {
        node.put(incarnation, &records(at * 5, 5)).await.unwrap();
        endpoint.attempted().await;
        node.redefine("s", |definition| definition.http.as_mut().unwrap().url = format!("https://{at}.example"))
            .unwrap();
        answer.send(Err(fault("refused for good", Retry::GiveUp))).unwrap();
        endpoint.attempted().await;
        answer.send(if is_mended { Ok(()) } else { Err(fault("refused for good", Retry::GiveUp)) }).unwrap();
        let refused = if is_mended { 0 } else { 5 };
        let status = node.until("s", |s| s.ledger.in_flight.records == 0 && s.open_seals == 0).await;
        assert_eq!((status.ledger.delivered.records, status.ledger.refused.records), (5, refused));
    }
    node.stop().await;
}

/// A disk with no room for new files of an outbox, as long as it says so.
#[derive(Debug, Default)]
struct Full {
    is_full: AtomicBool,
    refused: AtomicU64,
}

impl Disk for Full {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.is_full.load(Ordering::SeqCst) && path.components().any(|part| part.as_os_str() == "outbox") {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.create_new(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_no_room_for_its_error_parcel_is_attempted_until_there_is() {
    for takes_it_after_all in [false, true] {
        let (dir, store, disk) =
            (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()), Arc::new(Full::default()));
        let (endpoint, answer) = Asked::new();
        let node = start(disk.clone(), dir.path(), &store, &endpoint).await;
        let definition = to_endpoint(0);
        let incarnation = definition.incarnation;
        node.create(definition).unwrap();
        // Enough for an error parcel that is a file.
        node.put(incarnation, &records(0, 4000)).await.unwrap();
        endpoint.attempted().await;
        disk.is_full.store(true, Ordering::SeqCst);
        for before in 0..3 {
            answer.send(Err(fault("refused for good", Retry::GiveUp))).unwrap();
            // There was no room, and it is attempted again.
            endpoint.attempted().await;
            assert!(disk.refused.load(Ordering::SeqCst) > before);
        }
        let status = node.supervisor.stream("s").unwrap();
        assert_eq!((status.ledger.in_flight.records, status.ledger.refused.records), (4000, 0));
        assert!(node.context.journal.lane(&LaneId::direct_put(incarnation)).turns.is_empty());
        assert!(store.objects.lock().is_empty());
        if takes_it_after_all {
            answer.send(Ok(())).unwrap();
            node.until("s", |s| s.ledger.delivered.records == 4000 && s.open_seals == 0).await;
            assert!(store.objects.lock().is_empty());
        } else {
            disk.is_full.store(false, Ordering::SeqCst);
            answer.send(Err(fault("refused for good", Retry::GiveUp))).unwrap();
            node.until("s", |s| s.ledger.refused.records == 4000 && s.open_seals == 0).await;
            let found = error_records(&store);
            assert_eq!(found.keys().cloned().collect::<Vec<_>>(), expected(4000));
            assert!(found.values().all(|record| record["attemptsMade"] == 4), "each attempt counts");
        }
        node.stop().await;
        let outbox = dir.path().join("streams").join(incarnation.to_string()).join("outbox");
        assert_eq!(std::fs::read_dir(outbox).map_or(0, Iterator::count), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_area_that_needs_the_operator_is_told_before_the_refusal_that_led_there() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    *store.refused.lock() = Some(("http-endpoint-failed/", fault("the bucket is shut", Retry::AfterOperator)));
    let (endpoint, answer) = Asked::new();
    answer.send(Err(fault("refused for good", Retry::GiveUp))).unwrap();
    let node = start(Arc::new(RealDisk), dir.path(), &store, &endpoint).await;
    let definition = to_endpoint(7_200_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 3)).await.unwrap();
    let is_shut = |s: &StreamStatus| s.error_area.as_ref().is_some_and(|area| area.failing_parcels == 1);
    let status = node.until("s", is_shut).await;
    assert_eq!(status.state, StreamState::NeedsOperator);
    assert!(status.last_error.is_some_and(|error| error.contains("the bucket is shut")));
    *store.refused.lock() = None;
    node.until("s", |s| s.ledger.refused.records == 3 && s.open_seals == 0).await;
    assert_eq!(error_records(&store).len(), 3);
    node.stop().await;
}
