//! Dynamic partitioning: each object has the records of one partition, and every record is in one object.

use super::*;
use crate::stream::definition::PartitioningSpec;

pub const KEYS: usize = 7;

pub fn partitioned(size_bytes: u64, interval_ms: u64) -> Definition {
    let mut definition = definition("s", Compression::Gzip, size_bytes, interval_ms);
    definition.s3.prefix = "k=!{partitionKeyFromQuery:k}/".to_owned();
    definition.s3.error_prefix = Some("bad/!{firehose:error-output-type}/".to_owned());
    let query = Some("{k:.k}".to_owned());
    definition.partitioning = Some(PartitioningSpec { query, max_active: None, max_waiting_bytes: u64::MAX });
    definition
}

/// Every eleventh has no key.
fn rows(from: usize, count: usize) -> Vec<String> {
    let row = |i: usize| match i % 11 {
        10 => format!("{{\"i\":{i}}}\n"),
        _ => format!("{{\"k\":\"v{}\",\"i\":{i},\"pad\":\"{}\"}}\n", i % KEYS, "y".repeat(i % 90)),
    };
    (from..from + count).map(row).collect()
}

fn bad(count: usize) -> u64 {
    (0..count).filter(|i| i % 11 == 10).count() as u64
}

/// What is under the keys is what was put, each object of one partition.
fn judge(store: &MemoryStore, count: usize) {
    let mut found = Vec::new();
    for (key, (_, bytes)) in store.objects.lock().iter() {
        let mut text = String::new();
        if let Some(value) = key.strip_prefix("k=").and_then(|rest| rest.split('/').next()) {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            for line in text.lines() {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(row["k"], value, "{key}");
                found.push(row["i"].as_u64().unwrap());
            }
        } else {
            assert!(key.starts_with("bad/partitioning-failed/"), "{key}");
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let error: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(error["errorCode"], "DynamicPartitioning.MetadataExtractionFailed");
                let raw = base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap();
                let row: serde_json::Value = serde_json::from_slice(&raw).unwrap();
                assert_eq!(row.get("k"), None);
                found.push(row["i"].as_u64().unwrap());
            }
        }
    }
    found.sort_unstable();
    assert!(found.iter().copied().eq(0..count as u64), "{} rows of {count}", found.len());
}

async fn settled(node: &Node, count: usize) -> StreamStatus {
    let (delivered, refused) = (count as u64 - bad(count), bad(count));
    let done = |s: &StreamStatus| {
        (s.ledger.delivered.records, s.ledger.refused.records, s.open_seals) == (delivered, refused, 0)
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), node.until("s", done)).await;
    waited.unwrap_or_else(|_| panic!("stuck: {:?}", node.supervisor.stream("s")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_object_is_of_one_partition_over_restarts_and_faults() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let definition = partitioned(3000, 20);
    let incarnation = definition.incarnation;
    let mut sent = 0;
    for round in 0..4 {
        let node = Node::in_folder(dir.path(), &store).await;
        if round == 0 {
            node.create(definition.clone()).unwrap();
        }
        for i in 0..9u32 {
            let retry = if i % 2 == 0 { Retry::Backoff } else { Retry::AfterOperator };
            store.faults.lock().push(fault("scripted", retry));
            let count = 1 + 13 * i as usize;
            node.put(incarnation, &rows(sent, count)).await.unwrap();
            sent += count;
            let ledger = node.supervisor.stream("s").unwrap().ledger;
            let fates = [ledger.delivered, ledger.refused, ledger.in_flight];
            assert_eq!(ledger.received.records, fates.iter().map(|count| count.records).sum::<u64>());
            assert_eq!(ledger.received.bytes, fates.iter().map(|count| count.bytes).sum::<u64>());
        }
        if round == 3 {
            let status = settled(&node, sent).await;
            assert_eq!((status.ledger.in_flight, status.waiting_bytes), (Count::default(), 0));
            // Nothing is left of the spool.
            assert!(node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.is_empty());
            let outbox = dir.path().join("streams").join(incarnation.to_string()).join("outbox");
            while std::fs::read_dir(&outbox).unwrap().next().is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        node.stop().await;
    }
    judge(&store, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_wait_for_their_interval_and_a_flush_sends_them() {
    let (_dir, store, node) = Node::new().await;
    let definition = partitioned(1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &rows(0, 100)).await.unwrap();
    assert!(store.objects.lock().is_empty());
    node.supervisor.flush("s").unwrap();
    settled(&node, 100).await;
    judge(&store, 100);
    assert_eq!(store.objects.lock().len(), KEYS + 1, "one object a partition, and one of errors");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_staged_is_cut_again_without_a_new_record() {
    let (_dir, store, node) = Node::new().await;
    let mut definition = partitioned(1 << 20, 10);
    // A table that is not there: records are spooled, and no object can be made of them.
    definition.convert = Some(missing_table());
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &rows(0, 100)).await.unwrap();
    node.until("s", |s| s.last_error.as_ref().is_some_and(|error| error.contains("no_such_table"))).await;
    let spooled = || node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.len();
    while spooled() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    node.redefine("s", |definition| definition.convert = None).unwrap();
    settled(&node, 100).await;
    judge(&store, 100);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_no_key_may_have_are_refused() {
    let (_dir, store, node) = Node::new().await;
    let mut definition = partitioned(1 << 20, 0);
    definition.s3.prefix = "k/!{partitionKeyFromQuery:k}/".to_owned();
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    let long = "v".repeat(600);
    let bad = ["a\\u0000b", "..", ".", "x/../y", &long];
    let rows: Vec<String> = bad.iter().map(|value| format!("{{\"k\":\"{value}\"}}\n")).collect();
    node.put(incarnation, &rows).await.unwrap();
    node.put(incarnation, &["{\"k\":\"..a/b.\"}\n"]).await.unwrap();
    node.until("s", |s| (s.ledger.refused.records, s.ledger.delivered.records) == (5, 1)).await;
    assert_eq!(store.objects.lock().keys().filter(|key| key.starts_with("k/..a/b./")).count(), 1);
    node.stop().await;
}

fn missing_table() -> crate::stream::definition::ConvertSpec {
    let mut spec = super::learning::learning("s", 1, 0).convert.unwrap();
    (spec.schema.database, spec.schema.table) = ("db".to_owned(), "no_such_table".to_owned());
    spec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_is_down_leaves_the_rest_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    *store.refused.lock() = Some(("k=", fault("the bucket is shut", Retry::AfterOperator)));
    let node = Node::in_folder(dir.path(), &store).await;
    let definition = partitioned(500, 0);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &rows(0, 20)).await.unwrap();
    node.until("s", |s| s.state == StreamState::NeedsOperator).await;
    let mut sent = 20;
    for _ in 0..60 {
        node.put(incarnation, &rows(sent, 20)).await.unwrap();
        sent += 20;
    }
    let chunks = node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.len();
    assert!(chunks < 30, "{chunks} chunks");
    *store.refused.lock() = None;
    node.supervisor.resume("s").unwrap();
    settled(&node, sent).await;
    judge(&store, sent);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_delivers_what_is_spooled() {
    let (dir, store, node) = Node::new().await;
    let definition = partitioned(1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &rows(0, 100)).await.unwrap();
    node.context.catalog.mark_deleting("s", false).unwrap();
    while node.context.catalog.find("s").is_some() || node.supervisor.stream("s").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    judge(&store, 100);
    assert!(std::fs::read_dir(dir.path().join("streams")).unwrap().next().is_none());
    assert!(node.context.journal.lanes().is_empty());
    let sums = node.supervisor.overview().deleted;
    assert_eq!(sums.ledger.delivered.records, 100 - bad(100), "{sums:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_prefix_takes_what_its_keys_allow() {
    let (_dir, store, node) = Node::new().await;
    let definition = partitioned(1 << 20, 600);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &rows(0, 50)).await.unwrap();
    // Spooled by the one revision, cut by the next.
    node.until("s", |_| !node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.is_empty()).await;
    node.redefine("s", |definition| {
        definition.s3.prefix = "k=!{partitionKeyFromQuery:k}/other=!{partitionKeyFromQuery:other}/".to_owned();
        let spec = definition.partitioning.as_mut().unwrap();
        spec.query = Some("{k:.k,other:.k}".to_owned());
    })
    .unwrap();
    node.put(incarnation, &rows(50, 50)).await.unwrap();
    settled(&node, 100).await;
    judge(&store, 100);
    node.stop().await;
}

/// Values of `i` in the objects whose keys begin so, an object after the other.
pub fn rows_under(store: &MemoryStore, start: &str) -> Vec<Vec<u64>> {
    let objects = store.objects.lock();
    let objects = objects.iter().filter(|(key, _)| key.starts_with(start));
    let rows = |(_, (_, bytes)): (&String, &(String, Vec<u8>))| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["i"].as_u64().unwrap();
        text.lines().map(row).collect()
    };
    objects.map(rows).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_partition_only_the_records_that_make_a_stage_panic_are_refused() {
    let (_dir, store, node) = Node::new().await;
    let definition = partitioned(1 << 20, 900_000);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    let poison = [3, 40, 41, 98];
    let row = |i: u64| match poison.contains(&i) {
        true => format!("{{\"k\":\"a\",\"i\":{i},\"is\":\"{POISON}\"}}\n"),
        false => format!("{{\"k\":\"{}\",\"i\":{i}}}\n", if i.is_multiple_of(3) { "b" } else { "a" }),
    };
    let rows: Vec<String> = (0..100).map(row).collect();
    for some in rows.chunks(17) {
        node.put(incarnation, some).await.unwrap();
    }
    node.supervisor.flush("s").unwrap();
    let status = node.until("s", |s| s.ledger.in_flight.records == 0 && s.ledger.received.records == 100).await;
    assert_eq!((status.ledger.delivered.records, status.ledger.refused.records), (96, 4));
    let refused_bytes: usize = poison.iter().map(|i| rows[*i as usize].len()).sum();
    assert_eq!(status.ledger.refused.bytes, refused_bytes as u64);
    let of = |key: &str| (0..100).filter(|i| !poison.contains(i) && (i % 3 == 0) == (key == "b")).collect::<Vec<u64>>();
    // Each in one object, in order.
    assert_eq!(rows_under(&store, "k=a/"), [of("a")]);
    assert_eq!(rows_under(&store, "k=b/"), [of("b")]);
    let mut refused = Vec::new();
    for (key, (_, bytes)) in store.objects.lock().iter().filter(|(key, _)| key.starts_with("bad/")) {
        assert!(key.starts_with("bad/processing-failed/"), "{key}");
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            let error: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(error["errorCode"], "InternalError");
            assert!(error["errorMessage"].as_str().unwrap().contains("a record is poison"), "{error}");
            let raw = base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap();
            refused.push(serde_json::from_slice::<serde_json::Value>(&raw).unwrap()["i"].as_u64().unwrap());
        }
    }
    refused.sort_unstable();
    assert_eq!(refused, poison);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_grew_gives_way_to_the_one_it_was_spooled_by() {
    let (_dir, store, node) = Node::new().await;
    let mut definition = partitioned(1 << 20, 600);
    // Longer in characters of three bytes, so that the limit of the key is met before that of the prefix.
    let value = "\u{20ac}".repeat(300);
    definition.s3.file_extension = ".x".to_owned();
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.put(incarnation, &[format!("{{\"k\":\"{value}\",\"i\":0}}\n")]).await.unwrap();
    node.until("s", |_| !node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.is_empty()).await;
    node.redefine("s", |definition| definition.s3.file_extension = format!(".{}", "y".repeat(120))).unwrap();
    node.until("s", |s| s.ledger.delivered.records == 1).await;
    let keys: Vec<String> = store.objects.lock().keys().cloned().collect();
    assert!(keys.len() == 1 && keys[0].ends_with(".x"), "{keys:?}");
    node.stop().await;
}
