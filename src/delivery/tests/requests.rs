//! A stream to an endpoint: requests, each with an outcome of its own, and giving one up.

use super::*;
use crate::stream::definition::{HttpTarget, RequestFormat};
use crate::stream::seal::ParcelKind;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;

/// Says what becomes of an attempt: of this request, so many attempts of it before.
type Script = Box<dyn Fn(&str, usize) -> Option<DeliveryError> + Send + Sync>;

/// An endpoint that keeps what it takes by request id.
pub struct Endpoint {
    script: Mutex<Script>,
    taken: Mutex<BTreeMap<String, Vec<u8>>>,
    attempts: Mutex<BTreeMap<String, usize>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoint")
    }
}

impl Endpoint {
    pub fn new(script: impl Fn(&str, usize) -> Option<DeliveryError> + Send + Sync + 'static) -> Arc<Self> {
        let (taken, attempts) = (Mutex::default(), Mutex::default());
        Arc::new(Self { script: Mutex::new(Box::new(script)), taken, attempts })
    }

    fn attempts(&self) -> usize {
        self.attempts.lock().values().sum()
    }

    /// The records in all requests.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for body in self.taken.lock().values() {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            for record in body["records"].as_array().unwrap() {
                let data = base64_simd::STANDARD.decode_to_vec(record["data"].as_str().unwrap()).unwrap();
                lines.push(String::from_utf8(data).unwrap().trim_end_matches('\n').to_owned());
            }
        }
        lines.sort();
        lines
    }
}

#[async_trait]
impl Destination for Endpoint {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let parcel = &consignment.parcel;
        assert!(matches!(parcel.kind, ParcelKind::Request(_)));
        assert_eq!(parcel.key, consignment.seal.parcel_uuid(parcel.number));
        assert!(consignment.definition.as_ref().is_some_and(|definition| definition.http.is_some()));
        let before = {
            let mut attempts = self.attempts.lock();
            let count = attempts.entry(parcel.key.clone()).or_default();
            *count += 1;
            *count - 1
        };
        if let Some(error) = (self.script.lock())(&parcel.key, before) {
            return Err(error);
        }
        let mut bytes = vec![0; parcel.length_bytes as usize];
        consignment.bytes.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(crc32c::crc32c(&bytes), parcel.crc32c);
        let known = self.taken.lock().entry(parcel.key.clone()).or_insert_with(|| bytes.clone()).clone();
        assert!(known == bytes, "two contents under one id");
        Ok(())
    }
}

pub fn to_endpoint(retry_ms: u64) -> Definition {
    let mut definition = definition("s", Compression::Uncompressed, 1 << 20, 10);
    definition.http = Some(HttpTarget {
        url: "https://endpoint.example".to_owned(),
        access_key: None,
        secret_arn: None,
        gzip: false,
        common_attributes: Vec::new(),
        retry_ms,
        format: RequestFormat::Firehose,
    });
    definition
}

async fn start(dir: &Path, store: &Arc<MemoryStore>, endpoint: &Arc<Endpoint>) -> Node {
    let router = Router { objects: store.clone(), requests: endpoint.clone(), loads: endpoint.clone() };
    Node::start_routed(Arc::new(RealDisk), dir.to_owned(), router, Arc::new(SystemClock::new())).await.unwrap()
}

/// The error records in the store, by their raw data.
pub fn error_records(store: &MemoryStore) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    for (key, (_, bytes)) in store.objects.lock().iter().filter(|(key, _)| !key.starts_with("copy/")) {
        assert!(key.starts_with("http-endpoint-failed/"), "{key}");
        for line in String::from_utf8(bytes.clone()).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let raw = base64_simd::STANDARD.decode_to_vec(record["rawData"].as_str().unwrap()).unwrap();
            let raw = String::from_utf8(raw).unwrap().trim_end_matches('\n').to_owned();
            assert!(found.insert(raw, record).is_none(), "told twice");
        }
    }
    found
}

fn outbox_files(dir: &Path, incarnation: Incarnation) -> usize {
    let outbox = dir.join("streams").join(incarnation.to_string()).join("outbox");
    std::fs::read_dir(outbox).map_or(0, Iterator::count)
}

fn down(text: &str) -> DeliveryError {
    DeliveryError { code: "HttpEndpoint.ConnectionFailed".to_owned(), ..fault(text, Retry::Backoff) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_out_in_requests_that_fail_each_by_itself() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let failed = Mutex::new(BTreeSet::new());
    // The first two requests fail some times, the others never.
    let endpoint = Endpoint::new(move |id, before| {
        let mut failed = failed.lock();
        if failed.len() < 2 {
            failed.insert(id.to_owned());
        }
        (failed.contains(id) && before < 5).then(|| down("down"))
    });
    let node = start(dir.path(), &store, &endpoint).await;
    let definition = to_endpoint(7_200_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.supervisor.pause("s").unwrap();
    // More than a request takes.
    for part in 0..5 {
        node.put(incarnation, &records(part * 5000, 5000)).await.unwrap();
    }
    node.supervisor.resume("s").unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 25_000).await;
    assert_eq!((status.ledger.received, status.ledger.refused), (status.ledger.delivered, Count::default()));
    assert_eq!(endpoint.lines(), expected(25_000));
    assert!(endpoint.taken.lock().len() >= 3);
    let destination = node.until("s", |s| s.open_seals == 0 && s.last_error.is_none()).await.destination;
    assert_eq!((destination.given_up, destination.failing_parcels), (0, 0));
    assert_eq!(destination.attempts - destination.successes, 10);
    assert!(store.objects.lock().is_empty());
    node.stop().await;
    assert_eq!(outbox_files(dir.path(), incarnation), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_in_the_error_area_and_counts_as_refused() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let endpoint = Endpoint::new(|_, before| (before < 1000).then(|| down("down \"for\" good")));
    let node = start(dir.path(), &store, &endpoint).await;
    // Enough for an error parcel that is a file.
    let (count, definition) = (2000, to_endpoint(20));
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, count)).await.unwrap();
    let status = node.until("s", |s| s.ledger.refused.records == count as u64 && s.open_seals == 0).await;
    assert_eq!((status.ledger.received, status.ledger.delivered), (status.ledger.refused, Count::default()));
    assert_eq!((status.destination.given_up, status.destination.successes), (1, 0));
    assert_eq!(status.error_area.as_ref().map(|area| area.successes), Some(1));
    // The endpoint is still told to be in trouble: nothing says that it works.
    assert_eq!(status.state, StreamState::Retrying);
    let found = error_records(&store);
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), expected(count));
    let attempts = endpoint.attempts();
    for (at, line) in records(0, count).iter().enumerate() {
        let record = &found[line.trim_end_matches('\n')];
        assert_eq!(record["attemptsMade"], attempts);
        assert_eq!(record["errorCode"], "HttpEndpoint.ConnectionFailed");
        assert_eq!(record["errorMessage"], "down \"for\" good");
        assert_eq!(record["dataId"], format!("{}.0", at + 1));
        assert!(record["arrivalTimestamp"].as_i64() <= record["attemptEndingTimestamp"].as_i64());
    }
    // 413 and its like: no second attempt.
    *endpoint.script.lock() = Box::new(|_, _| Some(fault("too large", Retry::GiveUp)));
    node.put(incarnation, &records(count, 3)).await.unwrap();
    node.until("s", |s| s.ledger.refused.records == count as u64 + 3 && s.open_seals == 0).await;
    assert_eq!(endpoint.attempts(), attempts + 1);
    *endpoint.script.lock() = Box::new(|_, _| None);
    node.put(incarnation, &records(count + 3, 3)).await.unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 3 && s.open_seals == 0).await;
    assert_eq!((status.state, status.last_error), (StreamState::Running, None));
    node.stop().await;
    assert_eq!(outbox_files(dir.path(), incarnation), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_not_given_up() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let endpoint = Endpoint::new(|_, _| Some(down("down")));
    let node = start(dir.path(), &store, &endpoint).await;
    let definition = to_endpoint(7_200_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 4000)).await.unwrap();
    node.until("s", |s| s.last_error.is_some()).await;
    let outbox = dir.path().join("streams").join(incarnation.to_string()).join("outbox");
    let files: Vec<_> = std::fs::read_dir(outbox).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let file = std::fs::File::options().read(true).write(true).open(&files[0]).unwrap();
    let (middle, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    node.redefine("s", |definition| definition.http.as_mut().unwrap().retry_ms = 0).unwrap();
    let status = node.until("s", |s| s.state == StreamState::Faulted).await;
    assert!(status.last_error.as_ref().is_some_and(|text| text.contains("the data folder is damaged")), "{status:?}");
    assert_eq!((status.ledger.refused.records, status.ledger.in_flight.records), (0, 4000));
    assert!(error_records(&store).is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_for_good_and_its_error_parcel_goes_out_after_a_restart() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let endpoint = Endpoint::new(|_, _| Some(down("down")));
    *store.refused.lock() = Some(("", fault("down too", Retry::Backoff)));
    let mut node = start(dir.path(), &store, &endpoint).await;
    let definition = to_endpoint(0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 2000)).await.unwrap();
    let lane = LaneId::direct_put(incarnation);
    node.until("s", |s| s.error_area.as_ref().is_some_and(|area| area.failing_parcels == 1)).await;
    assert_eq!(endpoint.attempts(), 1);
    for _ in 0..3 {
        // Refused already, though the error area does not have it yet.
        let status = node.until("s", |s| s.last_error.is_some()).await;
        assert_eq!((status.ledger.in_flight.records, status.open_seals), (2000, 1));
        let stored = node.context.journal.lane(&lane);
        assert_eq!((stored.turns.len(), stored.turns[0].attempts), (1, 1));
        assert_eq!(stored.turns[0].refused.records, 2000);
        node.stop().await;
        node = start(dir.path(), &store, &endpoint).await;
    }
    *store.refused.lock() = None;
    node.supervisor.resume("s").unwrap();
    node.until("s", |s| s.ledger.refused.records == 2000 && s.open_seals == 0).await;
    assert_eq!((endpoint.attempts(), error_records(&store).len()), (1, 2000));
    node.stop().await;
    assert_eq!(outbox_files(dir.path(), incarnation), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_neither_reset_attempts_nor_end_them() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let endpoint = Endpoint::new(|_, _| Some(down("down")));
    let definition = to_endpoint(7_200_000);
    let incarnation = definition.incarnation;
    let lane = LaneId::direct_put(incarnation);
    let (mut failed, mut paused_ms) = (0, 0);
    for round in 0..3 {
        let node = start(dir.path(), &store, &endpoint).await;
        if round == 0 {
            node.create(definition.clone()).unwrap();
            node.put(incarnation, &records(0, 3)).await.unwrap();
        }
        let stored = || node.context.journal.lane(&lane).attempts.first().cloned();
        node.until("s", |_| stored().is_some_and(|attempts| attempts.failed >= failed + 4)).await;
        let stored = stored().unwrap();
        assert!(stored.paused_ms >= paused_ms && stored.last_error.contains("down"));
        (failed, paused_ms) = (stored.failed, stored.paused_ms);
        assert!(failed <= endpoint.attempts() as u64);
        node.stop().await;
    }
    // With the retry time of a newer revision it is over.
    let node = start(dir.path(), &store, &endpoint).await;
    node.redefine("s", |definition| definition.http.as_mut().unwrap().retry_ms = 0).unwrap();
    node.until("s", |s| s.ledger.refused.records == 3 && s.open_seals == 0).await;
    let made = error_records(&store).values().next().unwrap()["attemptsMade"].as_u64().unwrap();
    assert!(made > failed && made <= endpoint.attempts() as u64, "{made}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_before_a_restart_is_told_before_the_first_attempt_behind_it() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let endpoint = Endpoint::new(|_, _| Some(down("out of order")));
    let definition = to_endpoint(7_200_000);
    let incarnation = definition.incarnation;
    let node = start(dir.path(), &store, &endpoint).await;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 3)).await.unwrap();
    let journal = node.context.journal.clone();
    node.until("s", |_| !journal.lane(&LaneId::direct_put(incarnation)).attempts.is_empty()).await;
    node.stop().await;

    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = Mutex::new(answers);
    *endpoint.script.lock() = Box::new(move |_, _| {
        answers.lock().recv().unwrap();
        None
    });
    let node = start(dir.path(), &store, &endpoint).await;
    let status = node.supervisor.stream("s").unwrap();
    assert_eq!((status.state, status.destination.attempts), (StreamState::Retrying, 0));
    assert_eq!(status.destination.failing_parcels, 1);
    assert!(status.last_error.is_some_and(|error| error.contains("out of order")));
    answer.send(()).unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 3 && s.open_seals == 0).await;
    assert_eq!((status.state, status.last_error), (StreamState::Running, None));
    assert_eq!((status.destination.attempts, status.destination.failing_parcels), (1, 0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_no_request_takes_is_refused_alone() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
    let endpoint = Endpoint::new(|_, _| None);
    let node = start(dir.path(), &store, &endpoint).await;
    let mut definition = to_endpoint(0);
    definition.http.as_mut().unwrap().format = RequestFormat::JsonArray;
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &["{\"a\":1}", "not json", "[2]\n"]).await.unwrap();
    node.until("s", |s| s.ledger.delivered.records == 2 && s.ledger.refused.records == 1 && s.open_seals == 0).await;
    let bodies: Vec<_> = endpoint.taken.lock().values().cloned().collect();
    assert_eq!(bodies, [b"[{\"a\":1},[2]\n]"]);
    let found = error_records(&store);
    assert_eq!(found["not json"]["errorCode"], "HttpEndpoint.InvalidRecord");
    assert_eq!((&found["not json"]["attemptsMade"], &found["not json"]["dataId"]), (&0.into(), &"2.0".into()));
    node.stop().await;
}
