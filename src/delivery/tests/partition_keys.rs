//! Partitions by random queries over random rows, while revisions change both query and prefix. Oracle: the key of each
//! object tells the values of every row in it, reckoned anew with serde_json, by a revision that may have spooled the row.

use super::partitioned::partitioned;
use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

const MEMBERS: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["x", "y", "z"];
/// Longest a case may take; only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);
/// SizeInMBs, in the bytes of a test: what a put has at least, and most partitions of it have not.
const SIZE_BYTES: u64 = 300;

type Row = [Option<Value>; 3];

/// A revision and the rows that are put while it is the newest one.
#[derive(Debug, Clone)]
struct Step {
    /// Key names of the query, each with the place of its member.
    keys: BTreeMap<usize, usize>,
    interval_ms: u64,
    rows: Vec<Row>,
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[p-r]".prop_map(Value::from),
        1 => "[ =%!{}\u{e9}\u{20ac}\"\\\\p-r]{1,6}".prop_map(Value::from),
        2 => (-2i64..2).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => vec(0u8..3, 0..3).prop_map(Value::from),
        1 => prop_oneof![Just(Value::Null), Just(Value::from(""))],
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let member = || prop::option::weighted(0.9, value());
    let rows = vec([member(), member(), member()], 1..25);
    let interval_ms = prop_oneof![1 => Just(0), 3 => Just(900_000)];
    (btree_map(0..NAMES.len(), 0..MEMBERS.len(), 1..4), interval_ms, rows).prop_map(|(keys, interval_ms, rows)| Step {
        keys,
        interval_ms,
        rows,
    })
}

impl Step {
    fn set(&self, definition: &mut Definition, revision: usize) {
        let query: Vec<_> = self.keys.iter().map(|(name, of)| format!("{}:.{}", NAMES[*name], MEMBERS[*of])).collect();
        definition.partitioning.as_mut().unwrap().query = Some(format!("{{{}}}", query.join(",")));
        let folders = self.keys.keys().map(|name| format!("{0}=!{{partitionKeyFromQuery:{0}}}/", NAMES[*name]));
        definition.s3.prefix = format!("v{revision}/{}", folders.collect::<String>());
        definition.hints = Hints { size_bytes: SIZE_BYTES, interval_ms: self.interval_ms };
    }

    /// The text of a key of this row; `None` if it has none.
    fn text(&self, name: usize, row: &Row) -> Option<String> {
        match row[self.keys[&name]].as_ref()? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        }
    }
}

/// The lines that are put: three rows first that have all members and are not alike, so that something is always spooled.
fn put_of(step: &Step) -> Vec<Row> {
    let whole = |i: usize| MEMBERS.map(|member| Some(format!("{member}{i}{}", "-".repeat(30)).into()));
    (0..3).map(whole).chain(step.rows.iter().cloned()).collect()
}

fn line(i: usize, row: &Row) -> String {
    let mut object = serde_json::Map::from_iter([("i".to_owned(), i.into())]);
    let there = MEMBERS.iter().zip(row).filter_map(|(member, value)| Some(((*member).to_owned(), value.clone()?)));
    object.extend(there);
    format!("{}\n", Value::from(object))
}

/// Rows of an object of partitions, or of an error record, with the place that they were put at.
fn numbers(text: &str) -> Vec<usize> {
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["i"].as_u64().unwrap() as usize;
    text.lines().map(number).collect()
}

/// Puts and updates, and waits until all is delivered or refused. The rows.
async fn run(store: &Arc<MemoryStore>, steps: &[Step]) -> Vec<Row> {
    let node = Node::start(Arc::new(FaultyDisk::new()), "/data".into(), store.clone()).await.unwrap();
    let mut definition = partitioned(SIZE_BYTES, 0);
    let incarnation = definition.incarnation;
    steps[0].set(&mut definition, 1);
    node.create(definition).unwrap();
    let mut sent = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            node.redefine("s", |definition| step.set(definition, at + 1)).unwrap();
        }
        let rows = put_of(step);
        let lines: Vec<_> = rows.iter().enumerate().map(|(i, row)| line(sent.len() + i, row)).collect();
        let before = node.supervisor.stream("s").map_or(0, |status| status.ledger.delivered.records);
        sent.extend(rows);
        node.put(incarnation, &lines).await.unwrap();
        // Something is in the spool or went through it, before the next revision comes.
        let is_spooled = || !node.context.journal.lane(&LaneId::direct_put(incarnation)).chunks.is_empty();
        node.until("s", |status| is_spooled() || status.ledger.delivered.records > before).await;
    }
    node.supervisor.flush("s").unwrap();
    let is_done = |ledger: &crate::telemetry::status::Ledger| {
        ledger.received.records == sent.len() as u64 && ledger.in_flight.records == 0
    };
    node.until("s", |status| is_done(&status.ledger)).await;
    node.stop().await;
    sent
}

fn judge(store: &MemoryStore, steps: &[Step], sent: &[Row]) {
    let mut found = Vec::new();
    for (key, (_, bytes)) in store.objects.lock().iter() {
        if key.starts_with("bad/partitioning-failed/") {
            for error in std::str::from_utf8(bytes).unwrap().lines() {
                let error: Value = serde_json::from_str(error).unwrap();
                let raw = base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap();
                let i = numbers(std::str::from_utf8(&raw).unwrap())[0];
                let row = &sent[i];
                let lacks = |step: &Step| step.keys.keys().any(|name| step.text(*name, row).is_none());
                assert!(steps.iter().any(lacks), "refused with all keys: {error}");
                found.push(i);
            }
            continue;
        }
        let (folder, name) = key.rsplit_once('/').unwrap();
        let cut_by: usize = name.split('-').nth(1).unwrap().parse().unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        for i in numbers(&text) {
            let row = &sent[i];
            // Spooled by one of these: a run that began before an update still takes what comes while it reads.
            let is_folder = |by: usize| {
                let has = |step: &Step| step.keys.keys().all(|name| steps[by].keys.contains_key(name));
                let tells = |named_by: usize| {
                    let step = &steps[named_by];
                    let text = |name: &usize| Some(format!("/{}={}", NAMES[*name], steps[by].text(*name, row)?));
                    let parts: Option<String> = step.keys.keys().map(text).collect();
                    parts.is_some_and(|parts| format!("v{}{parts}", named_by + 1) == folder)
                };
                // Named by the revision that cut it, unless that one wants a key which the partition has not: then by one
                // that spooled some of it, with the same keys.
                match has(&steps[cut_by - 1]) {
                    true => tells(cut_by - 1),
                    false => (0..cut_by).any(|at| steps[at].keys.keys().eq(steps[by].keys.keys()) && tells(at)),
                }
            };
            assert!((0..cut_by).any(is_folder), "{row:?} is in {key}");
            found.push(i);
        }
    }
    found.sort_unstable();
    assert!(found.iter().copied().eq(0..sent.len()), "{found:?} of {}", sent.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_key_of_an_object_tells_the_values_of_its_rows(steps in vec(step(), 1..5)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Arc::new(MemoryStore::default());
        let run = async { tokio::time::timeout(HANG, run(&store, &steps)).await.expect("done in time") };
        let sent = runtime.block_on(run);
        judge(&store, &steps, &sent);
    }
}
