//! What waits in the spool: in thousands of chunks, in parts of records, with damage beside it.

use super::partitioned::{KEYS, partitioned, rows_under};
use super::*;
use crate::delivery::spooled::{Half, Spooled, partition_hints};
use crate::stream::definition::{Deaggregation, Decompression};
use crate::stream::seal::{Close, ParcelKind, Place, SpooledChunk};

/// Stages runs of the first half, of so many records each, and seals them with what `change` makes of their chunks; the
/// last seal stays open. What is cut of the spool then.
async fn spooled_by_hand(
    node: &Node,
    definition: &Definition,
    runs: u64,
    max_records: u64,
    change: impl Fn(&mut SpooledChunk),
) -> RunPlan {
    let incarnation = definition.incarnation;
    let spooled = Arc::new(Spooled::recover(&node.context, incarnation).unwrap());
    let never = StopSource::new();
    let plan = RunPlan {
        definition: Arc::new(definition.clone()),
        from: Position::start(),
        number: 1,
        cut: CutReason::Flush,
        max_bytes: u64::MAX,
        max_expanded_bytes: u64::MAX,
        max_staging: Duration::MAX,
        target_object_bytes: None,
        half: Half::First(spooled.clone()),
        cuts: Vec::new(),
        max_records,
        refuse_all: None,
        records_read: Arc::default(),
        stop: never.stop(),
        abandon: never.stop(),
    };
    std::mem::forget(never);
    let lane = node.lane(incarnation).await;
    let now = node.context.clock.monotonic();
    let mut from = plan.from.clone();
    for number in 1..=runs {
        let plan = RunPlan { from, number, ..plan.clone() };
        let mut staged = stage_run(&node.context, &lane, &plan).unwrap().unwrap();
        change(staged.seal.spooled.as_mut().unwrap());
        from = staged.seal.run.to.clone();
        node.context.journal.seal(staged.seal.clone(), staged.inline).await.unwrap();
        spooled.add(&staged.seal, staged.seal.spooled.as_ref().unwrap(), &staged.partitions, now);
        if number < runs {
            let close = Close { seal: staged.seal.id, lane: LaneId::direct_put(incarnation), number };
            node.context.journal.close(close).await.unwrap();
        }
    }
    let cuts = spooled.cut(&partition_hints(definition), now, Some(CutReason::Flush), usize::MAX);
    RunPlan { half: Half::Second(spooled), cuts, max_records: u64::MAX, ..plan }
}

#[tokio::test]
async fn a_cut_that_no_name_fits_is_refused() {
    let disk = FaultyDisk::new();
    let node = Node::start(Arc::new(disk), "/data".into(), Arc::new(MemoryStore::default())).await.unwrap();
    let mut definition = partitioned(1 << 20, 900_000);
    let long = "v".repeat(400);
    node.put(definition.incarnation, &[format!("{{\"k\":\"{long}\"}}\n"), "{\"k\":\"v\"}\n".to_owned()]).await.unwrap();
    definition.revision = 2;
    let too_long = format!("{}/k=!{{partitionKeyFromQuery:k}}/", "p".repeat(200));
    let mut plan = spooled_by_hand(&node, &definition, 1, u64::MAX, |chunk| chunk.prefix = too_long.clone()).await;
    Arc::make_mut(&mut plan.definition).s3.prefix = too_long;
    let staged = stage_run(&node.context, &node.lane(definition.incarnation).await, &plan).unwrap().unwrap();
    assert_eq!((staged.seal.fates.delivered.records, staged.seal.fates.refused.records), (1, 1));
    let parcels: Vec<_> = staged.seal.parcels.iter().map(|parcel| (parcel.kind.clone(), parcel.records)).collect();
    let refused = ParcelKind::Error("partitioning-failed".to_owned());
    assert_eq!(parcels, [(ParcelKind::Data, 1), (refused, 1)]);
    node.stop().await;
}

#[tokio::test]
async fn thousands_of_chunks_go_into_one_seal() {
    const CHUNKS: u64 = 2_000;
    let node =
        Node::start(Arc::new(FaultyDisk::new()), "/data".into(), Arc::new(MemoryStore::default())).await.unwrap();
    let definition = partitioned(1 << 20, 900_000);
    let rows: Vec<String> = (0..2 * CHUNKS).map(|i| format!("{{\"k\":\"v{}\",\"i\":{i}}}\n", i % 2)).collect();
    node.put(definition.incarnation, &rows).await.unwrap();
    let plan = spooled_by_hand(&node, &definition, CHUNKS, 2, |_| {}).await;
    let (source, partitions) = (LaneId::direct_put(definition.incarnation), LaneId::partitions(definition.incarnation));
    let lane = node.lane(definition.incarnation).await;
    let staged = stage_run(&node.context, &lane, &plan).unwrap().unwrap();
    assert_eq!((staged.seal.taken.len() as u64, staged.seal.fates.delivered.records), (CHUNKS, 2 * CHUNKS));
    assert_eq!(staged.seal.parcels.len(), 2);
    // A seal that takes the last chunk twice takes nothing at all.
    let mut twice = staged.seal.clone();
    twice.taken.push(twice.taken[CHUNKS as usize - 1].clone());
    assert!(node.context.journal.seal(twice, staged.inline.clone()).await.is_err());
    assert!(node.context.journal.lane(&source).chunks.iter().all(|(_, chunk)| chunk.sealed.is_empty()));

    let seal = staged.seal;
    node.context.journal.seal(seal.clone(), staged.inline).await.unwrap();
    let last = node.context.journal.lane(&source).open[0].id;
    node.context.journal.close(Close { seal: last, lane: source.clone(), number: CHUNKS }).await.unwrap();
    assert_eq!(node.context.journal.lane(&source).chunks.len() as u64, CHUNKS);
    node.context.journal.close(Close { seal: seal.id, lane: partitions, number: 1 }).await.unwrap();
    assert!(node.context.journal.lane(&source).chunks.is_empty());
    node.stop().await;
}

/// Records that were packed and split: each of them holds rows of all partitions.
fn packed(count: u64, is_poison: impl Fn(u64) -> bool) -> Vec<u8> {
    let event = |i: u64| {
        let poison = if is_poison(i) { POISON } else { "" };
        serde_json::json!({"message": format!("{{\"k\":\"v{}\",\"i\":{i},\"is\":\"{poison}\"}}", i % KEYS as u64)})
    };
    let events: Vec<_> = (0..count).map(event).collect();
    let message = serde_json::json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut encoder, message.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_record_in_parts_is_spooled_once_and_has_one_error_line() {
    let node =
        Node::start(Arc::new(FaultyDisk::new()), "/data".into(), Arc::new(MemoryStore::default())).await.unwrap();
    let mut definition = partitioned(1 << 20, 900_000);
    definition.processors = Processors {
        decompress: Some(Decompression { extract_messages: true }),
        deaggregate: Some(Deaggregation::Json),
        append_delimiter: Some("\n".to_owned()),
    };
    // Of the first, three parts in as many partitions; of the second, two in one.
    let is_poison = |i: u64| [3, 4, 5].contains(&i);
    let records = [packed(70, is_poison), packed(70, |i| [0, 7].contains(&i)), packed(70, |_| false)];
    let sources: usize = records.iter().map(Vec::len).sum();
    node.put(definition.incarnation, &records).await.unwrap();
    let mut plan =
        spooled_by_hand(&node, &definition, 1, u64::MAX, |chunk| assert!(chunk.shows_records_of_parts)).await;
    let source = node.context.journal.lane(&LaneId::direct_put(definition.incarnation));
    let chunk_bytes = source.chunks[0].1.spooled.length_bytes as usize;
    let parts_bytes = 3 * 70 * 100;
    assert!(chunk_bytes < sources + parts_bytes, "{chunk_bytes} for {sources}");

    // As after a stage panicked.
    plan.max_records = 1;
    let staged = stage_run(&node.context, &node.lane(definition.incarnation).await, &plan).unwrap().unwrap();
    let fates = staged.seal.fates;
    assert_eq!((fates.delivered.records, fates.refused.records), (3 * 70 - 5, 5));
    let errors: Vec<_> = staged.seal.parcels.iter().filter(|parcel| parcel.kind != ParcelKind::Data).collect();
    assert_eq!(errors.iter().map(|parcel| parcel.records).collect::<Vec<_>>(), [2]);
    let Place::Inline { offset_bytes } = errors[0].place else { panic!("{errors:?}") };
    let lines = &staged.inline[offset_bytes as usize..][..errors[0].length_bytes as usize];
    let mut shown = Vec::new();
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let error: serde_json::Value = serde_json::from_str(line).unwrap();
        shown.push(base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap());
    }
    shown.sort();
    let mut expected = records[..2].to_vec();
    expected.sort();
    assert_eq!(shown, expected);
    node.stop().await;
}

/// What the ledger says is always the whole: each record, or each part of it, is told once.
fn adds_up(status: &StreamStatus) -> bool {
    let ledger = &status.ledger;
    let told = [ledger.delivered, ledger.refused, ledger.dropped, ledger.discarded, ledger.in_flight];
    ledger.received.records + ledger.split == told.iter().map(|count| count.records).sum::<u64>()
        && ledger.received.bytes == told.iter().map(|count| count.bytes).sum::<u64>()
}

/// Files of a stream's folder.
fn files(dir: &Path, incarnation: Incarnation, folder: &str) -> Vec<PathBuf> {
    let folder = dir.join("streams").join(incarnation.to_string()).join(folder);
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

/// Two chunks of ten records each in the spool, and twenty records more in the log; the first half's last seal is open.
async fn half_spooled(dir: &Path) -> Definition {
    let store = Arc::new(MemoryStore::default());
    let node = Node::start(Arc::new(RealDisk), dir.to_owned(), store).await.unwrap();
    let definition = partitioned(1 << 20, 900_000);
    for from in [0, 10, 20, 30] {
        let rows: Vec<String> = (from..from + 10).map(|i| format!("{{\"k\":\"v{}\",\"i\":{i}}}\n", i % 3)).collect();
        node.put(definition.incarnation, &rows).await.unwrap();
    }
    spooled_by_hand(&node, &definition, 2, 10, |_| {}).await;
    node.stop().await;
    definition
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_does_not_stop_what_is_spooled() {
    let dir = tempfile::tempdir().unwrap();
    let definition = half_spooled(dir.path()).await;
    let incarnation = definition.incarnation;
    for file in files(dir.path(), incarnation, "log") {
        let mut bytes = std::fs::read(&file).unwrap();
        if let Some(at) = memchr::memmem::find(&bytes, b"\"i\":25}") {
            bytes[at] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
        }
    }
    let store = Arc::new(MemoryStore::default());
    let node = Node::in_folder(dir.path(), &store).await;
    node.create(definition).unwrap();
    // The last request is not known to have been synced, those before it are.
    let is_told = |s: &StreamStatus| s.state == StreamState::Faulted && s.waiting_records == 30;
    let status = node.until("s", is_told).await;
    assert!(status.ledger.in_flight.records == status.waiting_records && adds_up(&status), "{status:?}");
    node.supervisor.flush("s").unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 20).await;
    assert!(status.state == StreamState::Faulted && adds_up(&status), "{status:?}");
    let mut rows: Vec<u64> = rows_under(&store, "k=").concat();
    rows.sort_unstable();
    assert_eq!(rows, (0..20).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_damaged_spool_holds_is_shown_and_delivered_once_it_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let definition = half_spooled(dir.path()).await;
    let incarnation = definition.incarnation;
    let file = files(dir.path(), incarnation, "outbox").into_iter().next().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut bad = whole.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bad).unwrap();
    let store = Arc::new(MemoryStore::default());
    let node = Node::in_folder(dir.path(), &store).await;
    node.create(definition.clone()).unwrap();
    let is_told = |s: &StreamStatus| s.state == StreamState::Faulted && s.ledger.received.records == 40;
    let status = node.until("s", is_told).await;
    assert_eq!((status.ledger.in_flight.records, status.ledger.in_flight), (40, status.ledger.received));
    assert!(status.last_error.unwrap().contains("from a copy"));
    node.stop().await;

    // As much is known to be thrown away.
    let copy = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("cp").arg("-r").arg(dir.path()).arg(copy.path()).status().unwrap().success());
    let copied = copy.path().join(dir.path().file_name().unwrap());
    let node = Node::start(Arc::new(RealDisk), copied, store.clone()).await.unwrap();
    node.until("s", is_told).await;
    node.context.catalog.mark_deleting("s", true).unwrap();
    while node.supervisor.overview().deleted.ledger.discarded != status.ledger.in_flight {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    node.stop().await;

    let node = Node::in_folder(dir.path(), &store).await;
    node.until("s", is_told).await;
    std::fs::write(&file, &whole).unwrap();
    node.supervisor.resume("s").unwrap();
    node.until("s", |s| s.state == StreamState::Running && s.waiting_records == 40).await;
    node.supervisor.flush("s").unwrap();
    let status = node.until("s", |s| s.ledger.delivered.records == 40).await;
    assert!(adds_up(&status) && status.ledger.in_flight == Count::default(), "{status:?}");
    let mut rows: Vec<u64> = rows_under(&store, "k=").concat();
    rows.sort_unstable();
    assert_eq!(rows, (0..40).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_counted_while_an_error_parcel_of_the_first_half_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    *store.refused.lock() = Some(("bad/", fault("the error area is shut", Retry::AfterOperator)));
    let node = Node::in_folder(dir.path(), &store).await;
    let mut definition = partitioned(1 << 20, 0);
    definition.processors.deaggregate = Some(Deaggregation::Json);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    let part = |i: u64| format!("{{\"k\":\"v{}\",\"i\":{i}}}", i % 3);
    let record = (0..40).map(part).collect::<String>() + "!bad";
    node.put(incarnation, &[record]).await.unwrap();
    // Whenever it is looked at.
    let mut status = node.supervisor.stream("s").unwrap();
    while (status.ledger.delivered.records, status.state) != (40, StreamState::NeedsOperator) {
        status = node.supervisor.stream("s").unwrap();
        assert!(adds_up(&status), "{status:?}");
        tokio::task::yield_now().await;
    }
    let ledger = &status.ledger;
    assert_eq!((ledger.received.records, ledger.split, ledger.in_flight.records), (1, 40, 1));
    *store.refused.lock() = None;
    node.supervisor.resume("s").unwrap();
    let status = node.until("s", |s| s.ledger.refused.records == 1).await;
    assert!(adds_up(&status) && status.ledger.split == 40, "{status:?}");
    node.stop().await;
}
