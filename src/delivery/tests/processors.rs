//! Streams whose records are decompressed and split, over restarts and a store that fails. Oracle: what the records hold
//! by another reading, and a ledger in which every part has one fate.

use super::*;
use crate::stream::definition::{Deaggregation, Decompression};
use crate::stream::seal::Place;
use crate::telemetry::status::Ledger;
use std::io::Write;

/// A line of an object is `{"n":…}`; what is refused begins with `!`.
struct Sent {
    records: Vec<Vec<u8>>,
    bytes: u64,
    good: Vec<String>,
    bad: u64,
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn put_together(random: &mut fastrand::Rng, is_packed: bool, next: &mut u64) -> Sent {
    let mut sent = Sent { records: Vec::new(), bytes: 0, good: Vec::new(), bad: 0 };
    for _ in 0..random.usize(1..20) {
        let mut objects = Vec::new();
        for _ in 0..[1, 1, 2, 5, 40][random.usize(..5)] {
            *next += 1;
            objects.push(format!("{{\"n\":{next},\"t\":\"{}\"}}", "}{".repeat(random.usize(..20))));
        }
        let is_bad = random.u8(..5) == 0;
        let rest = if is_bad { "!bad" } else { "" };
        let record = if is_packed {
            let events: Vec<_> = objects.iter().map(|object| serde_json::json!({"message": object})).collect();
            match is_bad {
                true => gzip("!bad"),
                false => gzip(&serde_json::json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string()),
            }
        } else {
            format!("{}{rest}", objects.concat()).into_bytes()
        };
        sent.bytes += record.len() as u64;
        sent.records.push(record);
        sent.bad += u64::from(is_bad);
        // A payload that is bad is bad as a whole.
        if !(is_packed && is_bad) {
            sent.good.extend(objects);
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_a_record_has_one_fate_over_restarts_and_faults() {
    let seed =
        std::env::var("HYDRANT_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (is_packed, compression) in [(false, Compression::Uncompressed), (true, Compression::Gzip)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::default());
        let mut definition = definition("s", compression, 3000, 20);
        definition.s3.prefix = "data/".to_owned();
        definition.s3.error_prefix = Some("error/".to_owned());
        definition.processors = Processors {
            decompress: is_packed.then_some(Decompression { extract_messages: true }),
            deaggregate: Some(Deaggregation::Json),
            append_delimiter: Some("\n".to_owned()),
        };
        let incarnation = definition.incarnation;
        let (mut all, mut next) = (Vec::new(), 0);
        let mut last = Ledger::default();
        for round in 0..4 {
            let node = Node::in_folder(dir.path(), &store).await;
            if round == 0 {
                node.create(definition.clone()).unwrap();
            }
            for i in 0..7u32 {
                let retry = if i % 2 == 0 { Retry::Backoff } else { Retry::AfterOperator };
                store.faults.lock().push(fault("scripted", retry));
                let sent = put_together(&mut random, is_packed, &mut next);
                node.put(incarnation, &sent.records).await.unwrap();
                all.push(sent);
            }
            if round == 3 {
                let records: u64 = all.iter().map(|sent| sent.records.len() as u64).sum();
                let is_done =
                    |s: &StreamStatus| s.ledger.received.records == records && s.ledger.in_flight.records == 0;
                last = node.until("s", is_done).await.ledger;
            }
            node.stop().await;
        }
        let sum = |of: fn(&Sent) -> u64| all.iter().map(of).sum::<u64>();
        let (good, bad) = (sum(|sent| sent.good.len() as u64), sum(|sent| sent.bad));
        assert_eq!((last.delivered.records, last.refused.records, last.dropped.records), (good, bad, 0));
        assert_eq!(last.received.records + last.split, good + bad);
        assert_eq!(last.received.bytes, sum(|sent| sent.bytes));
        assert_eq!(last.delivered.bytes + last.refused.bytes, last.received.bytes);
        let (mut lines, errors): (Vec<_>, Vec<_>) =
            store.lines().into_iter().partition(|line| line.starts_with("{\"n\":"));
        let mut expected: Vec<_> = all.iter().flat_map(|sent| sent.good.clone()).collect();
        lines.sort();
        expected.sort();
        assert!(lines == expected, "{} lines of {}", lines.len(), expected.len());
        assert_eq!(errors.len() as u64, bad);
        let raw = if is_packed { gzip("!bad") } else { b"!bad".to_vec() };
        let raw = format!("\"rawData\":\"{}\"", base64_simd::STANDARD.encode_to_string(raw));
        assert!(errors.iter().all(|line| line.contains(&raw)), "{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_nothing_changes_are_a_range_of_the_log_whatever_the_other_streams_do() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), Arc::new(MemoryStore::default())).await.unwrap();
    for delimiter in [None, Some("\n".to_owned())] {
        let mut definition = definition("s", Compression::Uncompressed, 1 << 20, 900_000);
        definition.processors.append_delimiter = delimiter.clone();
        let incarnation = definition.incarnation;
        node.put(incarnation, &["x".repeat(300_000)]).await.unwrap();
        let lane = node.lane(incarnation).await;
        let (stop, abandon) = (StopSource::new(), StopSource::new());
        let plan = RunPlan {
            definition: Arc::new(definition),
            from: Position::start(),
            number: 1,
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
            abandon: abandon.stop(),
        };
        let staged = stage_run(&node.context, &lane, &plan).unwrap().unwrap();
        let parcel = &staged.seal.parcels[0];
        let added = delimiter.map_or(0, |delimiter| delimiter.len() as u64);
        assert_eq!(parcel.length_bytes, 300_000 + added);
        assert_eq!(parcel.place == Place::Log, added == 0, "{:?}", parcel.place);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_once_it_has_decompressed_enough() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), Arc::new(MemoryStore::default())).await.unwrap();
    let mut definition = definition("s", Compression::Uncompressed, 1 << 20, 900_000);
    definition.processors.decompress = Some(Decompression { extract_messages: true });
    let incarnation = definition.incarnation;
    let event = serde_json::json!({"message": "x".repeat(1 << 16)});
    let record = gzip(&serde_json::json!({"messageType": "DATA_MESSAGE", "logEvents": [event]}).to_string());
    // Two are a chunk: so many are read at once.
    let packed: Vec<_> = (0..8).map(|_| [record.clone(), noise(220_000)].concat()).collect();
    node.put(incarnation, &packed).await.unwrap();
    let lane = node.lane(incarnation).await;
    let (stop, abandon) = (StopSource::new(), StopSource::new());
    let mut plan = RunPlan {
        definition: Arc::new(definition),
        from: Position::start(),
        number: 1,
        cut: CutReason::Flush,
        half: crate::delivery::spooled::Half::Whole,
        cuts: Vec::new(),
        max_bytes: u64::MAX,
        target_object_bytes: None,
        max_expanded_bytes: 3 << 16,
        max_staging: Duration::MAX,
        max_records: u64::MAX,
        refuse_all: None,
        records_read: Arc::default(),
        stop: stop.stop(),
        abandon: abandon.stop(),
    };
    for (from, records) in [(0, 4), (4, 4)] {
        plan.from = Position::from_number(from);
        let seal = stage_run(&node.context, &lane, &plan).unwrap().unwrap().seal;
        assert_eq!((seal.fates.delivered.records, seal.fates.total().records), (records, records));
    }
    node.stop().await;
}

/// Gzip members without content, whose names nothing makes shorter; so many bytes and some more.
fn noise(bytes: usize) -> Vec<u8> {
    let mut members = Vec::new();
    while members.len() < bytes {
        members.extend_from_slice(&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255]);
        members.extend(std::iter::repeat_n(b'n', 10_000));
        members.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    members
}
