//! Random verdicts of a scripted guest through whole nodes: the ledger is exact, in records and in bytes, and each record is
//! where its verdict says. The script are words in the records (`tests/guests/poison`).

use super::*;

/// A word, and what becomes of a record that ends with it: how often its bytes are delivered, the code of its error record,
/// or neither.
const WORDS: [(&str, Fate); 18] = [
    ("plain", Fate::Delivered(1)),
    ("fan!", Fate::Delivered(2)),
    ("alien!", Fate::Delivered(1)),
    ("reverse!", Fate::Delivered(1)),
    ("third!", Fate::Delivered(1)),
    ("log!", Fate::Delivered(1)),
    ("drop!", Fate::Dropped),
    ("fail!", Fate::Refused("Lambda.ProcessingFailedStatus")),
    ("mute!", Fate::Refused("Lambda.ProcessingFailedStatus")),
    ("missing!", Fate::Refused("Lambda.MissingRecordId")),
    ("wrong!", Fate::Refused("Lambda.MissingRecordId")),
    ("twice!", Fate::Refused("Lambda.DuplicatedRecordId")),
    ("null!", Fate::Refused("Lambda.InvalidReturnFormat")),
    ("utf8!", Fate::Refused("Lambda.InvalidReturnFormat")),
    ("beyond!", Fate::Refused("Lambda.InvalidReturnFormat")),
    ("trap!", Fate::Refused("Lambda.FunctionError")),
    ("silent!", Fate::Refused("Lambda.FunctionError")),
    ("err!", Fate::Refused("Lambda.FunctionError")),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered(usize),
    Refused(&'static str),
    Dropped,
}

/// A record, half of the time a plain one.
fn record(random: &mut fastrand::Rng, number: usize) -> (String, Fate) {
    let (word, fate) = *WORDS.get(random.usize(..2 * WORDS.len())).unwrap_or(&WORDS[0]);
    (format!("{number} {} {word}\n", "y".repeat(random.usize(..90))), fate)
}

fn ledger(sent: &[(String, Fate)], is: impl Fn(Fate) -> bool) -> Count {
    let of = sent.iter().filter(|(_, fate)| is(*fate));
    of.fold(Count::default(), |sum, (text, _)| Count { records: sum.records + 1, bytes: sum.bytes + text.len() as u64 })
}

/// The lines of the data, and the records of the error area with their codes; each list sorted.
fn found(store: &MemoryStore) -> (Vec<String>, Vec<(String, String)>) {
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    for (key, (_, bytes)) in store.objects.lock().iter() {
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            if !key.starts_with("bad/processing-failed/") {
                lines.push(format!("{line}\n"));
                continue;
            }
            let error: serde_json::Value = serde_json::from_str(line).unwrap();
            let raw = base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap();
            refused.push((String::from_utf8(raw).unwrap(), error["errorCode"].as_str().unwrap().to_owned()));
        }
    }
    lines.sort();
    refused.sort();
    (lines, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_exact_whatever_the_verdicts() {
    let seed =
        std::env::var("HYDRANT_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let guest =
        |world: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guests/poison-{world}.wasm"));
    let files = ["list", "packed"].map(guest);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    for case in 0..6 {
        let name = format!("s{case}");
        let store = Arc::new(MemoryStore::default());
        let mut definition = definition(&name, Compression::Uncompressed, random.u64(300..6000), 10);
        definition.s3.error_prefix = Some("bad/!{firehose:error-output-type}/".to_owned());
        definition.transform = Some(TransformSpec {
            retries: random.u32(..2),
            batch_bytes: random.u64(1..2000),
            is_stateless: random.bool(),
            ..transform(60_000)
        });
        let (incarnation, mut sent) = (definition.incarnation, Vec::new());
        for round in 0..2 {
            // Another world for each round, and for the half of one.
            std::fs::copy(random.choice(&files).unwrap(), dir.path().join("transforms/t.wasm")).unwrap();
            let node = Node::in_folder(dir.path(), &store).await;
            if round == 0 {
                node.create(definition.clone()).unwrap();
            }
            for put in 0..4 {
                if put == 2 {
                    std::fs::copy(random.choice(&files).unwrap(), dir.path().join("transforms/t.wasm")).unwrap();
                }
                store.faults.lock().push(fault("scripted", Retry::Backoff));
                let records: Vec<_> = (0..random.usize(1..50)).map(|n| record(&mut random, sent.len() + n)).collect();
                let texts: Vec<_> = records.iter().map(|(text, _)| text.clone()).collect();
                sent.extend(records);
                node.put(incarnation, &texts).await.unwrap();
            }
            if round == 1 {
                let waited = node.until(&name, |s| s.ledger.in_flight.records == 0);
                let status = tokio::time::timeout(Duration::from_secs(120), waited).await;
                let status = status.unwrap_or_else(|_| panic!("stuck: {:?}", node.supervisor.stream(&name)));
                let fates = &status.ledger;
                assert_eq!(fates.received, ledger(&sent, |_| true));
                assert_eq!(fates.delivered, ledger(&sent, |fate| matches!(fate, Fate::Delivered(_))));
                assert_eq!(fates.refused, ledger(&sent, |fate| matches!(fate, Fate::Refused(_))));
                assert_eq!(fates.dropped, ledger(&sent, |fate| fate == Fate::Dropped));
            }
            node.stop().await;
        }
        let (mut lines, mut refused) = (Vec::new(), Vec::new());
        for (text, fate) in sent {
            match fate {
                Fate::Delivered(times) => lines.extend(vec![text; times]),
                Fate::Refused(code) => refused.push((text, code.to_owned())),
                Fate::Dropped => {}
            }
        }
        lines.sort();
        refused.sort();
        assert_eq!(found(&store), (lines, refused));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_takes_long_is_sealed_as_far_as_it_is() {
    let (dir, _store, node) = Node::new().await;
    std::fs::create_dir(dir.path().join("transforms")).unwrap();
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/poison-packed.wasm");
    std::fs::copy(guest, dir.path().join("transforms/t.wasm")).unwrap();
    let mut definition = definition("s", Compression::Gzip, 1 << 20, 900_000);
    definition.transform = Some(transform(60_000));
    let incarnation = definition.incarnation;
    // Three are a chunk.
    node.put(incarnation, &vec!["x".repeat(1_000_000); 5]).await.unwrap();
    let lane = node.lane(incarnation).await;
    let (stop, abandon) = (StopSource::new(), StopSource::new());
    let mut plan = RunPlan {
        definition: Arc::new(definition),
        from: Position::start(),
        number: 1,
        cut: CutReason::Flush,
        half: super::super::spooled::Half::Whole,
        cuts: Vec::new(),
        max_bytes: u64::MAX,
        target_object_bytes: None,
        max_expanded_bytes: u64::MAX,
        max_staging: Duration::ZERO,
        max_records: u64::MAX,
        refuse_all: None,
        records_read: Arc::default(),
        stop: stop.stop(),
        abandon: abandon.stop(),
    };
    for (from, longest, records) in [(0, Duration::ZERO, 3), (3, Duration::MAX, 2)] {
        (plan.from, plan.max_staging) = (Position::from_number(from), longest);
        let seal = stage_run(&node.context, &lane, &plan).unwrap().unwrap().seal;
        assert_eq!((seal.fates.delivered.records, seal.fates.total().records), (records, records));
    }
    node.stop().await;
}
