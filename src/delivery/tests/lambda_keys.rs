//! Partitions by the keys that a transform tells, alone and beside those of a query, over restarts and faults. Oracle:
//! the words of the rows, which are the script of the guest (`tests/guests/poison`).

use super::partitioned::partitioned;
use super::*;
use std::collections::HashMap;

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// So many lines in an object of this folder.
    Object(String, usize),
    /// A line in the error area.
    Refused(&'static str, &'static str),
    Dropped,
}

/// Words: no space is in them.
const VALUES: [&str; 6] = ["x", "y/z", "é\u{1f600}", "..x", "0", "x"];

/// A row whose words make the guest tell keys `a` and `b`, and what must become of it.
fn row(random: &mut fastrand::Rng, i: usize, has_query: bool) -> (String, Fate) {
    let (a, b, q) = (VALUES[random.usize(..6)], VALUES[random.usize(..6)], random.u8(..3));
    let none = Fate::Refused("partitioning-failed", "DynamicPartitioning.MetadataExtractionFailed");
    let folder = if has_query { format!("a={a}/q={q}/b={b}/") } else { format!("a={a}/b={b}/") };
    let told = format!("@c={i} @b={b} @a={a}");
    let (words, mut fate) = match random.u8(..20) {
        0 => (format!("@a={a}"), none.clone()),
        1 => (format!("@a={a} @b="), none.clone()),
        2 => (format!("{told} @b={b}"), none.clone()),
        3 => (format!("@a=x/../y @b={b}"), none.clone()),
        4 => (format!("@a={} @b={b}", "v".repeat(600)), none.clone()),
        5 => (format!("{told} fail!"), Fate::Refused("processing-failed", "Lambda.ProcessingFailedStatus")),
        6 => (format!("{told} trap!"), Fate::Refused("processing-failed", "Lambda.FunctionError")),
        7 => (format!("{told} missing!"), Fate::Refused("processing-failed", "Lambda.MissingRecordId")),
        8 => ("drop!".to_owned(), Fate::Dropped),
        // Twice the record is two values, of which no query tells keys.
        9 if has_query => (format!("{told} fan!"), none.clone()),
        9 => (format!("{told} fan!"), Fate::Object(folder, 2)),
        // What the prefix does not name makes no partition, whatever is told of it.
        10 => (format!("@c=1 @c=1 @d= {told}"), Fate::Object(folder, 1)),
        _ => (told, Fate::Object(folder, 1)),
    };
    let mut value = serde_json::json!({"i": i, "words": format!(" {words} "), "q": q.to_string()});
    if has_query && random.u8(..20) == 0 {
        value.as_object_mut().unwrap().remove("q");
        if let Fate::Object(..) = fate {
            fate = none;
        }
    }
    (format!("{value}\n"), fate)
}

fn judge(store: &MemoryStore, expected: &[Fate]) {
    let mut found: HashMap<usize, Fate> = HashMap::new();
    for (key, (_, bytes)) in store.objects.lock().iter() {
        if let Some(rest) = key.strip_prefix("bad/") {
            let kind = rest.split('/').next().unwrap();
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let error: serde_json::Value = serde_json::from_str(line).unwrap();
                let raw = base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap();
                let row: serde_json::Value = serde_json::from_slice(&raw).unwrap();
                let i = row["i"].as_u64().unwrap() as usize;
                let Fate::Refused(wanted_kind, wanted_code) = expected[i] else { panic!("{error} of {row}") };
                assert_eq!((kind, error["errorCode"].as_str().unwrap()), (wanted_kind, wanted_code), "{row}");
                let before = found.insert(i, expected[i].clone());
                assert_eq!(before, None, "{row}");
            }
            continue;
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let i = serde_json::from_str::<serde_json::Value>(line).unwrap()["i"].as_u64().unwrap() as usize;
            let Fate::Object(folder, _) = &expected[i] else { panic!("{line} is in {key}") };
            assert!(
                key.strip_prefix(folder.as_str()).is_some_and(|name| name.starts_with("s-1-")),
                "{line} is in {key}"
            );
            let Fate::Object(_, lines) = found.entry(i).or_insert_with(|| Fate::Object(folder.clone(), 0)) else {
                panic!("{line} is in {key} and in the error area");
            };
            *lines += 1;
        }
    }
    for (i, fate) in expected.iter().enumerate() {
        assert_eq!(found.get(&i).unwrap_or(&Fate::Dropped), fate, "row {i}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_object_has_the_rows_of_its_keys() {
    let seed =
        std::env::var("HYDRANT_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (guest, has_query) in [("poison-list", false), ("poison-packed", true)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::default());
        std::fs::create_dir(dir.path().join("transforms")).unwrap();
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guests/{guest}.wasm"));
        std::fs::copy(file, dir.path().join("transforms/t.wasm")).unwrap();
        let mut definition = partitioned(4000, 20);
        definition.transform = Some(transform(60_000));
        let query = if has_query { "q=!{partitionKeyFromQuery:q}/" } else { "" };
        definition.s3.prefix = format!("a=!{{partitionKeyFromLambda:a}}/{query}b=!{{partitionKeyFromLambda:b}}/");
        definition.partitioning.as_mut().unwrap().query = has_query.then(|| "{q:.q}".to_owned());
        let incarnation = definition.incarnation;
        let mut expected = Vec::new();
        for round in 0..2 {
            let node = Node::start(Arc::new(RealDisk), dir.path().to_owned(), store.clone()).await.unwrap();
            if round == 0 {
                node.create(definition.clone()).unwrap();
            }
            for i in 0..5 {
                let retry = if i % 2 == 0 { Retry::Backoff } else { Retry::AfterOperator };
                store.faults.lock().push(fault("scripted", retry));
                let (rows, fates): (Vec<_>, Vec<_>) =
                    (0..random.usize(1..60)).map(|n| row(&mut random, expected.len() + n, has_query)).unzip();
                expected.extend(fates);
                node.put(incarnation, &rows).await.unwrap();
            }
            if round == 1 {
                let count = |is: fn(&Fate) -> bool| expected.iter().filter(|fate| is(fate)).count() as u64;
                let wanted = (
                    count(|fate| matches!(fate, Fate::Object(..))),
                    count(|fate| matches!(fate, Fate::Refused(..))),
                    count(|fate| matches!(fate, Fate::Dropped)),
                    0,
                );
                let done = |s: &StreamStatus| {
                    let ledger = &s.ledger;
                    let fates = [ledger.delivered, ledger.refused, ledger.dropped].map(|count| count.records);
                    (fates[0], fates[1], fates[2], s.open_seals) == wanted
                };
                let waited = tokio::time::timeout(Duration::from_secs(120), node.until("s", done)).await;
                waited.unwrap_or_else(|_| panic!("stuck before {wanted:?}: {:?}", node.supervisor.stream("s")));
            }
            node.stop().await;
        }
        judge(&store, &expected);
    }
}
