//! A stream into a table: objects, manifests and loads in their order, giving one up, and loads that come out late.

use super::*;
use crate::destination::Settled;
use crate::stream::SealId;
use crate::stream::definition::{CopyCommand, LoadMethod, RedshiftTarget};
use crate::stream::seal::{Parcel, ParcelKind};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What becomes of an attempt.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is loaded.
    Loads,
    /// Nothing happens, and it says so.
    Fails(DeliveryError),
    /// It is loaded, and the answer to the commit is lost.
    Late(DeliveryError),
}

/// Says what becomes of an attempt: of this load, so many attempts of it before.
type Script = Box<dyn Fn(&str, usize) -> Outcome + Send + Sync>;

/// A cluster with a ledger as the real one keeps it.
pub struct Warehouse {
    script: Mutex<Script>,
    /// By lane: what the row says, and whether that is loaded.
    ledger: Mutex<BTreeMap<String, (u64, String, bool)>>,
    /// Bytes of the objects that are loaded, by load.
    table: Mutex<BTreeMap<String, Vec<u8>>>,
    attempts: Mutex<BTreeMap<String, usize>>,
    settles: Mutex<Vec<(String, Option<DeliveryError>)>>,
    /// What settling is answered with, as long as it stands here.
    unsettled: Mutex<Option<DeliveryError>>,
    /// Attempts and settlings.
    under_way: AtomicUsize,
    /// Attempts that failed without a trace, and those that were loaded all the same.
    failed: AtomicUsize,
    late: AtomicUsize,
    /// Where the objects must be before.
    store: Arc<MemoryStore>,
    /// Only what is ordered is taken.
    wants_order: AtomicBool,
}

impl std::fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Warehouse")
    }
}

impl Warehouse {
    pub fn new(store: &Arc<MemoryStore>, script: impl Fn(&str, usize) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Box::new(script)),
            ledger: Mutex::default(),
            table: Mutex::default(),
            attempts: Mutex::default(),
            settles: Mutex::default(),
            unsettled: Mutex::default(),
            under_way: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            store: store.clone(),
            wants_order: AtomicBool::new(false),
        })
    }

    fn attempts(&self) -> usize {
        self.attempts.lock().values().sum()
    }

    /// The rows in the table.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for bytes in self.table.lock().values() {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines.sort();
        lines
    }

    /// For as long as it is there, nothing else of the lane goes on.
    async fn alone(&self) -> Alone<'_> {
        assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0, "two at once of a lane");
        let alone = Alone(&self.under_way);
        // Whoever would come in between has the time for it.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        alone
    }

    /// Moves the row of a load; `false`: it is loaded already.
    fn move_row(&self, parcel: &Parcel, loaded: bool) -> bool {
        let ParcelKind::Load(load) = &parcel.kind else { panic!("{parcel:?} is no load") };
        let mut ledger = self.ledger.lock();
        let row = ledger.entry(load.lane.clone()).or_insert((0, String::new(), true));
        assert!(row.0 < load.sequence || row.1 == parcel.key, "load {} behind {row:?}", load.sequence);
        if row.1 == parcel.key && row.2 {
            return false;
        }
        *row = (load.sequence, parcel.key.clone(), loaded);
        true
    }
}

struct Alone<'a>(&'a AtomicUsize);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Destination for Warehouse {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let parcel = &consignment.parcel;
        let ParcelKind::Load(load) = &parcel.kind else { panic!("{parcel:?} is no load") };
        let _alone = self.alone().await;
        assert_eq!(parcel.key, consignment.seal.parcel_uuid(parcel.number));
        assert!(consignment.definition.as_ref().is_some_and(|definition| definition.redshift.is_some()));
        // The object and its manifest are there, and the load has the object's bytes.
        let mut bytes = vec![0; parcel.length_bytes as usize];
        consignment.bytes.read_exact_at(&mut bytes, 0).unwrap();
        {
            let objects = self.store.objects.lock();
            assert_eq!(objects[&load.object_key].1, bytes);
            let manifest = format!(r#"{{"entries":[{{"url":"s3://b/{}","mandatory":true}}]}}"#, load.object_key);
            assert_eq!(String::from_utf8(objects[&load.manifest_key].1.clone()).unwrap(), manifest);
        }
        let before = {
            let mut attempts = self.attempts.lock();
            let count = attempts.entry(parcel.key.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let outcome = match self.wants_order.load(Ordering::SeqCst) && !consignment.is_ordered {
            true => Outcome::Fails(fault("the table is another one by now", Retry::AfterOperator)),
            false => (self.script.lock())(&parcel.key, before),
        };
        if let Outcome::Fails(error) = outcome {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(error);
        }
        if self.move_row(parcel, true) {
            assert!(self.table.lock().insert(parcel.key.clone(), bytes).is_none(), "loaded twice");
        }
        match outcome {
            Outcome::Late(error) => {
                self.late.fetch_add(1, Ordering::SeqCst);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    async fn settle(&self, _: SealId, parcel: &Parcel, newest: Option<&Definition>) -> Result<Settled, DeliveryError> {
        let _alone = self.alone().await;
        assert!(newest.is_some_and(|definition| definition.redshift.is_some()));
        let unsettled = self.unsettled.lock().clone();
        self.settles.lock().push((parcel.key.clone(), unsettled.clone()));
        if let Some(error) = unsettled {
            return Err(error);
        }
        Ok(if self.move_row(parcel, false) { Settled::NotDelivered } else { Settled::Delivered })
    }
}

pub fn to_warehouse(retry_ms: u64) -> Definition {
    let mut definition = definition("s", Compression::Gzip, 1 << 20, 10);
    definition.s3.prefix = "p/".to_owned();
    definition.redshift = Some(RedshiftTarget {
        url: "jdbc:redshift://c.example:5439/dev".to_owned(),
        user: Some("u".to_owned()),
        password: None,
        secret_arn: None,
        role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
        copy: CopyCommand { table: "t".to_owned(), columns: String::new(), options: String::new() },
        retry_ms,
        method: LoadMethod::Copy,
        ledger: "hydrant_loads".to_owned(),
    });
    definition
}

async fn start(dir: &Path, store: &Arc<MemoryStore>, warehouse: &Arc<Warehouse>) -> Node {
    let router = Router { objects: store.clone(), requests: warehouse.clone(), loads: warehouse.clone() };
    Node::start_routed(Arc::new(RealDisk), dir.to_owned(), router, Arc::new(SystemClock::new())).await.unwrap()
}

fn down() -> DeliveryError {
    DeliveryError { code: "Redshift.ConnectionFailed".to_owned(), ..fault("down", Retry::Backoff) }
}

/// The records in objects whose manifests are kept because their loads were given up.
pub fn given_up_lines(store: &MemoryStore) -> Vec<String> {
    let objects = store.objects.lock();
    let mut lines = Vec::new();
    for (key, (_, bytes)) in objects.iter().filter(|(key, _)| key.starts_with("p/errors/manifests/")) {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        // By the same name, where manifests are.
        assert_eq!(&objects[&key.replacen("errors/", "", 1)].1, bytes);
        let object = manifest["entries"][0]["url"].as_str().unwrap().strip_prefix("s3://b/").unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&objects[object].1[..]).read_to_string(&mut text).unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_are_loaded_one_after_the_other_each_once() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    // Of each three loads one fails a while, and of one the answer is lost.
    let seen = Mutex::new(Vec::new());
    let warehouse = Warehouse::new(&store, move |id, before| {
        let mut seen = seen.lock();
        if before == 0 {
            seen.push(id.to_owned());
        }
        match (seen.iter().position(|each| each == id).unwrap() % 3, before) {
            (0, 0..3) => Outcome::Fails(down()),
            (1, 0) => Outcome::Late(down()),
            _ => Outcome::Loads,
        }
    });
    let mut definition = to_warehouse(7_200_000);
    // Many cuts, whatever the times.
    definition.hints.size_bytes = 20_000;
    let incarnation = definition.incarnation;
    let mut node = start(dir.path(), &store, &warehouse).await;
    node.create(definition).unwrap();
    for round in 0..4 {
        for part in 0..10 {
            node.put(incarnation, &records((round * 10 + part) * 100, 100)).await.unwrap();
            tokio::task::yield_now().await;
        }
        node.until("s", |s| s.ledger.delivered.records > round as u64 * 900).await;
        node.stop().await;
        node = start(dir.path(), &store, &warehouse).await;
    }
    let status = node.until("s", |s| s.ledger.delivered.records == 4000 && s.open_seals == 0).await;
    assert_eq!((status.ledger.received, status.ledger.refused), (status.ledger.delivered, Count::default()));
    assert_eq!(warehouse.lines(), expected(4000));
    let (loads, failed, late) = (warehouse.table.lock().len(), &warehouse.failed, &warehouse.late);
    let played = (failed.load(Ordering::SeqCst), late.load(Ordering::SeqCst));
    assert!(loads >= 9, "{loads} loads");
    assert_eq!(played, (3 * loads.div_ceil(3), (loads + 1) / 3), "{loads} loads");
    let folders: BTreeSet<_> = store.objects.lock().keys().map(|key| key.split('/').nth(1).unwrap().len()).collect();
    assert_eq!(folders.into_iter().collect::<Vec<_>>(), [4, 9], "objects below a year, and manifests");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_behind_an_update_is_the_order_for_all_that_was_cut_before() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let warehouse = Warehouse::new(&store, |_, _| Outcome::Loads);
    warehouse.wants_order.store(true, Ordering::SeqCst);
    let definition = to_warehouse(7_200_000);
    let incarnation = definition.incarnation;
    let node = start(dir.path(), &store, &warehouse).await;
    node.create(definition).unwrap();
    // No order for what comes: there is no update yet, and the next one would not be behind it.
    node.supervisor.resume("s").unwrap();
    node.redefine("s", |definition| definition.redshift.as_mut().unwrap().copy.table = "u".to_owned()).unwrap();
    for cut in 0..2 {
        node.put(incarnation, &records(cut * 500, 500)).await.unwrap();
        node.until("s", |s| s.open_seals as usize > cut && warehouse.attempts() > 0).await;
    }
    assert!(warehouse.lines().is_empty());
    // One is enough, however many loads there are.
    node.supervisor.resume("s").unwrap();
    node.until("s", |s| s.ledger.delivered.records == 1000 && s.open_seals == 0).await;
    assert_eq!(warehouse.lines(), expected(1000));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_given_up_leaves_its_manifest_and_counts_as_refused() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let warehouse = Warehouse::new(&store, |_, _| Outcome::Fails(down()));
    let node = start(dir.path(), &store, &warehouse).await;
    let definition = to_warehouse(20);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 2000)).await.unwrap();
    let status = node.until("s", |s| s.ledger.refused.records == 2000 && s.open_seals == 0).await;
    assert_eq!((status.ledger.received, status.ledger.delivered), (status.ledger.refused, Count::default()));
    assert_eq!((status.destination.given_up, status.destination.successes), (1, 0));
    assert_eq!(status.destination.attempts, warehouse.attempts() as u64);
    assert_eq!(warehouse.failed.load(Ordering::SeqCst), warehouse.attempts());
    assert_eq!(given_up_lines(&store), expected(2000));
    assert_eq!(warehouse.ledger.lock().values().map(|row| row.2).collect::<Vec<_>>(), [false]);
    // The next one is behind it in the ledger.
    *warehouse.script.lock() = Box::new(|_, _| Outcome::Loads);
    node.put(incarnation, &records(2000, 5)).await.unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 5 && s.open_seals == 0).await;
    assert_eq!((status.state, status.last_error), (StreamState::Running, None));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_are_gone_are_there_again_when_their_load_is_given_up() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let emptied = store.clone();
    let warehouse = Warehouse::new(&store, move |_, _| {
        emptied.objects.lock().clear();
        Outcome::Fails(DeliveryError { retry: Retry::GiveUp, ..down() })
    });
    let node = start(dir.path(), &store, &warehouse).await;
    let definition = to_warehouse(20);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 2000)).await.unwrap();
    node.until("s", |s| s.ledger.refused.records == 2000 && s.open_seals == 0).await;
    assert_eq!(given_up_lines(&store), expected(2000));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_waits_until_it_can_be_told_that_it_does_not_come_out_late() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let warehouse = Warehouse::new(&store, |_, _| Outcome::Fails(down()));
    *warehouse.unsettled.lock() = Some(down());
    let node = start(dir.path(), &store, &warehouse).await;
    let definition = to_warehouse(0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 10)).await.unwrap();
    node.until("s", |_| warehouse.settles.lock().len() >= 5).await;
    assert!(warehouse.attempts() >= 4, "no attempt between");
    let status = node.until("s", |s| s.last_error.is_some()).await;
    assert_eq!((status.ledger.in_flight.records, status.destination.given_up), (10, 0));
    assert!(status.destination.attempts <= warehouse.attempts() as u64, "an attempt was counted twice");
    // The cluster is back before anybody is told so: it is loaded.
    *warehouse.script.lock() = Box::new(|_, _| Outcome::Loads);
    node.until("s", |s| s.ledger.delivered.records == 10 && s.open_seals == 0).await;
    assert!(given_up_lines(&store).is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_came_out_late_is_delivered_although_its_time_is_over() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let warehouse = Warehouse::new(&store, |_, _| Outcome::Late(down()));
    let node = start(dir.path(), &store, &warehouse).await;
    let definition = to_warehouse(0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 10)).await.unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 10 && s.open_seals == 0).await;
    assert_eq!((warehouse.attempts(), warehouse.settles.lock().len(), status.destination.given_up), (1, 1, 0));
    assert_eq!(warehouse.late.load(Ordering::SeqCst), 1);
    assert_eq!(warehouse.lines(), expected(10));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_fails_by_settings_of_before_is_loaded_by_those_of_now() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let warehouse = Warehouse::new(&store, |_, _| Outcome::Loads);
    let node = start(dir.path(), &store, &warehouse).await;
    let operator = Node { context: node.context.clone(), supervisor: node.supervisor.clone(), pool: node.pool.clone() };
    *warehouse.script.lock() = Box::new(move |_, before| {
        if before > 0 {
            return Outcome::Loads;
        }
        operator.redefine("s", |definition| definition.redshift.as_mut().unwrap().retry_ms = 0).unwrap();
        Outcome::Fails(down())
    });
    let definition = to_warehouse(0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 10)).await.unwrap();
    let status = node
        .until("s", |s| s.ledger.received.records == 10 && s.ledger.in_flight.records == 0 && s.open_seals == 0)
        .await;
    // The row had been moved to "not loaded" in between.
    assert_eq!((warehouse.attempts(), warehouse.settles.lock().len(), status.destination.given_up), (2, 1, 0));
    assert_eq!((status.ledger.delivered.records, status.ledger.refused.records), (10, 0));
    assert_eq!(warehouse.lines(), expected(10));
    *warehouse.script.lock() = Box::new(|_, _| Outcome::Loads);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_without_delivered_records_has_no_load() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let warehouse = Warehouse::new(&store, |_, _| Outcome::Loads);
    let node = start(dir.path(), &store, &warehouse).await;
    let mut definition = to_warehouse(0);
    // What is no gzip is refused by decompression.
    definition.processors.decompress = Some(crate::stream::definition::Decompression { extract_messages: true });
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 10)).await.unwrap();
    node.until("s", |s| s.ledger.refused.records == 10 && s.open_seals == 0).await;
    assert_eq!(warehouse.attempts(), 0);
    assert!(store.objects.lock().keys().all(|key| key.starts_with("p/decompression-failed/")));
    node.stop().await;
}
