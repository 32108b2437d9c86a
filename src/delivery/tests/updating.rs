//! Streams that are updated while records come: the next cut is by the newest revision, what is sealed keeps its names,
//! and each record stands in one object, which is as the revision in its key says.

use super::learning::learning;
use super::*;
use crate::stage::convert::ddl::parse_table;
use crate::stream::definition::{ConvertSpec, SchemaRef};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use std::collections::{BTreeSet, HashMap};

async fn delivered(node: &Node, name: &str, records: u64) -> StreamStatus {
    let done = node.until(name, |s| s.ledger.delivered.records == records && s.ledger.in_flight.records == 0);
    tokio::time::timeout(HANG, done).await.expect("delivered in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smaller_hints_cut_what_waits_at_once() {
    let (_dir, store, node) = Node::new().await;
    // An hour that nobody waits for.
    let definition = definition("s", Compression::Gzip, 1 << 30, 3_600_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    for (round, change) in [
        |d: &mut Definition| d.hints.interval_ms = 0,
        |d: &mut Definition| d.hints = Hints { size_bytes: 1 << 30, interval_ms: 3_600_000 },
        |d: &mut Definition| d.hints.size_bytes = 1,
    ]
    .into_iter()
    .enumerate()
    {
        let before = node.supervisor.stream("s").unwrap().ledger.delivered.records;
        if round != 1 {
            node.put(incarnation, &records(round * 5, 5)).await.unwrap();
            node.until("s", |s| s.waiting_records == 5).await;
        }
        let made = node.redefine("s", change).unwrap();
        if round != 1 {
            delivered(&node, "s", before + 5).await;
        }
        assert_eq!(node.until("s", |s| s.version == made.revision).await.version, made.revision);
    }
    let versions: BTreeSet<u64> = store.objects.lock().keys().map(|key| version(key)).collect();
    assert_eq!(versions, BTreeSet::from([2, 4]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_seals_keep_their_names_and_what_comes_later_has_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    store.faults.lock().extend((0..200_000).map(|_| fault("down", Retry::Backoff)));
    let node = Node::in_folder(dir.path(), &store).await;
    let mut first = definition("s", Compression::Gzip, 1 << 20, 0);
    first.s3.prefix = "old/".to_owned();
    let incarnation = first.incarnation;
    node.create(first).unwrap();
    node.put(incarnation, &records(0, 5)).await.unwrap();
    node.until("s", |s| s.open_seals == 1).await;
    node.redefine("s", |d| d.s3.prefix = "new/".to_owned()).unwrap();
    node.put(incarnation, &records(5, 5)).await.unwrap();
    node.until("s", |s| s.open_seals == 2).await;
    node.stop().await;
    store.faults.lock().clear();
    let node = Node::in_folder(dir.path(), &store).await;
    delivered(&node, "s", 10).await;
    node.stop().await;
    let objects = store.objects.lock();
    let keys: Vec<_> = objects.keys().map(|key| (key.split('/').next().unwrap(), version(key))).collect();
    assert!(keys.contains(&("old", 1)) && keys.contains(&("new", 2)), "{keys:?}");
    assert!(keys.iter().all(|key| [("old", 1), ("new", 2)].contains(key)), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_a_thread_takes_nothing_that_came_after_an_update() {
    let (_dir, store, node) = Node::new().await;
    let definition = definition("s", Compression::Gzip, 1 << 30, 3_600_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &records(0, 5)).await.unwrap();
    // The worker has had its own thread for a moment, to learn how old they are.
    node.until("s", |s| s.waiting_records == 5 && s.oldest_undelivered_age_ms.is_some()).await;
    let pool = &node.context.stages;
    let (free, held): (Vec<_>, Vec<_>) = (0..2).map(|_| std::sync::mpsc::channel::<()>()).unzip();
    let holders = futures::future::join_all(held.into_iter().map(|held| pool.run(move || held.recv())));
    let update = async {
        let until_waiting = async |count| {
            let waits = async {
                while pool.waiting() != count {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(HANG, waits).await.expect("as many wait");
        };
        until_waiting(0).await;
        node.supervisor.flush("s").unwrap();
        until_waiting(1).await;
        node.redefine("s", |d| d.s3.prefix = "new/".to_owned()).unwrap();
        node.put(incarnation, &records(5, 5)).await.unwrap();
        node.until("s", |s| s.waiting_records == 10).await;
        drop(free);
        delivered(&node, "s", 10).await;
    };
    tokio::join!(holders, update);
    let keys: Vec<_> = store.objects.lock().keys().map(|key| (key.starts_with("new/"), version(key))).collect();
    assert_eq!(keys, [(true, 2)]);
    node.stop().await;
}

/// The version in a key.
fn version(key: &str) -> u64 {
    key.rsplit('/').next().unwrap().split('-').nth(1).unwrap().parse().unwrap()
}

fn number_record(id: usize) -> String {
    format!("{{\"id\":{id},\"pad\":\"{}\"}}\n", "y".repeat(id % 90))
}

/// Conversion to the table `db.t`.
fn convert() -> ConvertSpec {
    let mut spec = learning("s", 1, 1).convert.unwrap();
    spec.schema = SchemaRef { database: "db".to_owned(), table: "t".to_owned(), ..spec.schema };
    spec
}

/// The ids in an object, read as the definition says whose version its key bears.
fn ids_in(key: &str, bytes: &[u8], definition: &Definition) -> Vec<usize> {
    assert!(key.starts_with(&definition.s3.prefix), "{key} of {definition:?}");
    if definition.convert.is_some() {
        assert!(key.ends_with(".parquet"), "{key} of {definition:?}");
        let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
        return reader.get_row_iter(None).unwrap().map(|row| row.unwrap().get_long(0).unwrap() as usize).collect();
    }
    let mut text = String::new();
    match definition.s3.compression {
        Compression::Gzip => {
            assert!(key.ends_with(".gz"), "{key}");
            flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        }
        _ => {
            assert!(!key.ends_with(".gz") && !key.ends_with(".parquet"), "{key}");
            text = String::from_utf8(bytes.to_vec()).unwrap();
        }
    }
    let id = |line: &str| {
        let id = line.strip_prefix("{\"id\":").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(format!("{line}\n"), number_record(id), "{key}");
        id
    };
    text.lines().map(id).collect()
}

/// Whatever a definition may be changed in.
fn changed(definition: &mut Definition, random: &mut fastrand::Rng) {
    definition.s3.prefix = format!("p{}/", random.u32(..1000));
    definition.s3.compression = random.choice([Compression::Gzip, Compression::Uncompressed]).unwrap();
    definition.hints = Hints { size_bytes: random.u64(500..20_000), interval_ms: random.choice([0, 3, 20]).unwrap() };
    definition.convert = random.bool().then(convert);
    if definition.convert.is_some() {
        definition.s3.compression = Compression::Uncompressed;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_in_one_object_of_the_version_that_its_key_bears() {
    let given = std::env::var("HYDRANT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("schemas")).unwrap();
    std::fs::write(dir.path().join("schemas/db.t.sql"), "create table t (id bigint, pad string)").unwrap();
    let store = Arc::new(MemoryStore::default());
    let first = definition("s", Compression::Gzip, 3000, 3);
    let incarnation = first.incarnation;
    let mut revisions = HashMap::from([(1, first.clone())]);
    let mut sent = 0;
    for life in 0..4 {
        let node = Arc::new(Node::in_folder(dir.path(), &store).await);
        if life == 0 {
            node.create(first.clone()).unwrap();
        }
        store.faults.lock().extend((0..6).map(|_| fault("scripted", Retry::Backoff)));
        let producer = {
            let node = node.clone();
            let mut random = fastrand::Rng::with_seed(random.u64(..));
            let (store, began) = (store.clone(), std::time::Instant::now());
            tokio::spawn(async move {
                let (mut next, mut puts) = (sent, 0);
                let seen = || store.objects.lock().keys().map(|key| version(key)).collect::<BTreeSet<_>>().len();
                // In the last life until several versions have cut.
                while puts < 40 || (life == 3 && seen() <= 4 && began.elapsed() < HANG) {
                    puts += 1;
                    let batch = random.usize(1..30);
                    let records: Vec<_> = (next..next + batch).map(number_record).collect();
                    node.put(incarnation, &records).await.unwrap();
                    next += batch;
                }
                next
            })
        };
        while !producer.is_finished() {
            let made = node.redefine("s", |definition| changed(definition, &mut random)).unwrap();
            revisions.insert(made.revision, made);
            tokio::time::sleep(Duration::from_micros(random.u64(..3000))).await;
        }
        sent = producer.await.unwrap();
        if life == 3 {
            node.redefine("s", |definition| definition.hints.interval_ms = 0)
                .map(|made| revisions.insert(made.revision, made))
                .unwrap();
            delivered(&node, "s", sent as u64).await;
        }
        Arc::into_inner(node).unwrap().stop().await;
    }
    let mut ids = Vec::new();
    let mut versions = BTreeSet::new();
    for (key, (_, bytes)) in store.objects.lock().iter() {
        versions.insert(version(key));
        ids.extend(ids_in(key, bytes, &revisions[&version(key)]));
    }
    ids.sort_unstable();
    assert!(ids == (0..sent).collect::<Vec<_>>(), "{} ids of {sent}", ids.len());
    assert!(versions.len() > 4, "{versions:?} of {} revisions", revisions.len());
}

/// What stands in a store of a stream that learns at times: for each folder the columns that its objects have, and those
/// that are declared there, and the revisions of declarations.
#[derive(Debug, Default)]
struct Learnt {
    used: BTreeSet<(String, String)>,
    declared: BTreeSet<(String, String)>,
    revisions: Vec<u64>,
    ids: Vec<usize>,
}

fn learnt(store: &MemoryStore) -> Learnt {
    let mut found = Learnt::default();
    for (key, (_, bytes)) in store.objects.lock().iter() {
        let folder = key.split('/').next().unwrap().to_owned();
        if key.contains("/_schema/") {
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains(&format!("LOCATION 's3://b/{folder}/'")), "{key}: {text}");
            found.declared.insert((folder, parse_table(&text).unwrap().version));
            found.revisions.push(version(key));
        } else if key.ends_with(".parquet") {
            let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
            let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
            let of = pairs.iter().find(|pair| pair.key == "hydrant.schema").unwrap().value.clone().unwrap();
            found.used.insert((folder, of));
            let id = |row: &parquet::record::Row| {
                row.get_column_iter().position(|(name, _)| name == "id").map(|at| row.get_long(at).unwrap() as usize)
            };
            found.ids.extend(reader.get_row_iter(None).unwrap().map(|row| id(&row.unwrap()).unwrap()));
        } else {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let id =
                |line: &str| line.strip_prefix("{\"id\":").unwrap().split([',', '}']).next().unwrap().parse::<usize>();
            found.ids.extend(text.lines().map(|line| id(line).unwrap()));
        }
    }
    found.revisions.sort_unstable();
    found.ids.sort_unstable();
    found
}

fn columns(id: usize, more: &str) -> String {
    format!("{{\"id\":{id}{more}}}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learnt_table_is_declared_where_its_data_lie_and_as_it_is_written() {
    let (_dir, store, node) = Node::new().await;
    let first = learning("s", 1 << 20, 0);
    let (incarnation, spec) = (first.incarnation, first.convert.clone());
    node.create(first).unwrap();
    let mut sent = 0;
    let mut expected = Vec::new();
    // Each change, whether it leads to a declaration, and what the record has besides its id.
    type Step = (fn(&mut Definition), bool, &'static str);
    let steps: [Step; 9] = [
        (|_| {}, true, ""),
        (|d| d.hints.size_bytes += 1, false, ""),
        (|d| d.s3.prefix = "moved/to".to_owned(), true, ""),
        (|d| d.convert = None, false, ",\"raw\":1"),
        (|_| {}, false, ""),
        (|d| d.s3.file_extension = ".parquet".to_owned(), false, ""),
        (|d| d.convert.as_mut().unwrap().unknown_fields_column = Some("rest".to_owned()), true, ""),
        (|d| d.convert.as_mut().unwrap().unknown_fields_column = None, true, ""),
        (|d| d.s3.prefix = "events/y=".to_owned(), true, ",\"new\":true"),
    ];
    for (number, (change, is_declared, more)) in steps.into_iter().enumerate() {
        node.redefine("s", |definition| {
            if number == 4 {
                definition.convert = spec.clone();
            }
            change(definition);
        })
        .unwrap();
        node.put(incarnation, &[columns(sent, more)]).await.unwrap();
        sent += 1;
        delivered(&node, "s", sent as u64).await;
        if is_declared {
            expected.push(expected.len() as u64 + 1);
        }
        let found = learnt(&store);
        assert_eq!(found.revisions, expected, "after step {number}");
        assert!(found.used.is_subset(&found.declared), "after step {number}: {found:?}");
    }
    assert_eq!(learnt(&store).ids, (0..sent).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_learnt_for_a_seal_that_does_not_use_it_is_declared_by_the_next_that_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::in_folder(dir.path(), &store).await;
    let converts = learning("s", 1 << 20, 0);
    let incarnation = converts.incarnation;
    node.put(incarnation, &[columns(0, "")]).await.unwrap();
    let lane = node.lane(incarnation).await;
    let stop = StopSource::new();
    let stage = |definition: &Definition, number| {
        let plan = RunPlan {
            definition: Arc::new(definition.clone()),
            from: Position::start(),
            number,
            cut: CutReason::Flush,
            half: crate::delivery::spooled::Half::Whole,
            cuts: Vec::new(),
            max_bytes: u64::MAX,
            target_object_bytes: None,
            max_expanded_bytes: u64::MAX,
            max_staging: Duration::MAX,
            max_records: u64::MAX,
            refuse_all: None,
            records_read: Arc::default(),
            stop: stop.stop(),
            abandon: stop.stop(),
        };
        let parcels = stage_run(&node.context, &lane, &plan).unwrap().unwrap().seal.parcels;
        let declarations = parcels.iter().filter(|parcel| parcel.key.contains("_schema/"));
        declarations.map(|parcel| version(&parcel.key)).collect::<Vec<_>>()
    };
    let mut plain = Definition { revision: 2, convert: None, ..converts.clone() };
    let mut again = Definition { revision: 3, ..converts.clone() };
    // Not sealed, so it did not happen; nor did it the second time, after which another prefix counts.
    assert_eq!(stage(&converts, 1), [1]);
    assert_eq!(stage(&converts, 1), [1]);
    again.s3.prefix = "moved/".to_owned();
    assert_eq!(stage(&again, 1), [1]);
    // This one is sealed, without the table.
    assert_eq!(stage(&plain, 1), [0; 0]);
    again.revision = 4;
    assert_eq!(stage(&again, 2), [1]);
    // Sealed: declared once.
    assert_eq!(stage(&again, 3), [0; 0]);
    plain.revision = 5;
    assert_eq!(stage(&plain, 4), [0; 0]);
    again.revision = 6;
    assert_eq!(stage(&again, 5), [0; 0]);
    again.s3.prefix = "on/".to_owned();
    assert_eq!(stage(&again, 6), [2]);
    // Of the one declared with a seal that comes to nothing the next one is told though nobody has loaded the table.
    again.s3.prefix = "off/".to_owned();
    assert_eq!(stage(&again, 7), [3]);
    node.context.learnt.forget(incarnation);
    plain.revision = 7;
    assert_eq!(stage(&plain, 7), [0; 0]);
    again.revision = 8;
    assert_eq!(stage(&again, 8), [3]);
    node.stop().await;
}

/// A life that ends at disk operation `cut_after`, one that ends soon after, and one that drains.
async fn lives(cut_after: Option<u64>, is_power_cut: bool) -> u64 {
    use crate::disk::faulty::FaultyDisk;
    let (mut disk, store) = (FaultyDisk::new(), Arc::new(MemoryStore::default()));
    let first = learning("s", 90, 0);
    let (incarnation, spec) = (first.incarnation, first.convert.clone());
    let (mut next, mut acknowledged) = (0, BTreeSet::new());
    let mut operations = 0;
    for cut in [cut_after, cut_after.map(|operations| operations % 23 + 3), None] {
        if let Some(more) = cut {
            disk.cut_after(disk.operations() + more);
        }
        match Node::start(Arc::new(disk.clone()), "/data".into(), store.clone()).await {
            Ok(node) => {
                if node.context.catalog.find("s").is_some() || node.create(first.clone()).is_ok() {
                    for turn in 0..6 {
                        // One that fails may be there after the restart all the same.
                        let _ = node.redefine("s", |definition| {
                            definition.s3.prefix = if turn % 3 == 2 { "moved/" } else { "events/" }.to_owned();
                            definition.convert = spec.clone().filter(|_| turn % 2 == 0);
                        });
                        let ids: Vec<usize> = (next..next + 3).collect();
                        next += 3;
                        let records: Vec<_> =
                            ids.iter().map(|id| columns(*id, &format!(",\"k{}\":1", id / 20))).collect();
                        if node.put(incarnation, &records).await.is_ok() {
                            acknowledged.extend(ids);
                        }
                        if disk.is_off() {
                            break;
                        }
                    }
                }
                if cut.is_none() {
                    let done = |status: &StreamStatus| {
                        status.state == StreamState::Faulted
                            || (status.ledger.received.records > 0 && status.ledger.in_flight.records == 0)
                    };
                    let status = tokio::time::timeout(HANG, node.until("s", done)).await.unwrap();
                    assert_eq!((status.state, status.ledger.refused.records), (StreamState::Running, 0), "{status:?}");
                }
                node.stop().await;
            }
            Err(error) => assert!(cut.is_some(), "{error}"),
        }
        operations = disk.operations();
        disk = if is_power_cut { disk.power_cut(cut.unwrap_or(0)) } else { disk.process_crash() };
    }
    let found = learnt(&store);
    let unique: BTreeSet<usize> = found.ids.iter().copied().collect();
    assert_eq!(unique.len(), found.ids.len(), "doubled");
    assert!(acknowledged.is_subset(&unique), "lost {:?}", acknowledged.difference(&unique));
    assert!(unique.iter().all(|id| *id < next), "alien");
    assert!(found.revisions.windows(2).all(|pair| pair[0] < pair[1]), "declared twice: {:?}", found.revisions);
    assert!(found.used.is_subset(&found.declared), "cut after {cut_after:?}: {found:?}");
    operations
}

#[test]
fn a_stream_that_is_updated_may_end_at_every_write_and_sync() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let operations = runtime.block_on(lives(None, false));
    assert!(operations > 30, "{operations}");
    for is_power_cut in [true, false] {
        for cut_after in 0..operations {
            runtime.block_on(lives(Some(cut_after), is_power_cut));
        }
    }
    println!("cuts {}", 2 * operations);
}
