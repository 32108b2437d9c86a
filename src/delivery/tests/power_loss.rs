//! Power cuts and kills at every write and sync of a short run, and at random in a long one, on a disk that drops,
//! tears and reorders what was not synced. Oracle: every acknowledged record in exactly one object, every other in at
//! most one, nothing else anywhere. The same of the source backup's objects, and both have the same records. Of partitions
//! also: each object has the rows of its own key, each row with a usable key is in one, and the others in error records.
//! Of requests also: what the endpoint takes it has under one id, and what is given up is in one error record. Of loads
//! also: the table has each load once, and what is given up is in an object of which a manifest is kept.

use super::loads::{Outcome, Warehouse, given_up_lines, to_warehouse};
use super::partitioned::partitioned;
use super::requests::{Endpoint, error_records, to_endpoint};
use super::*;
use crate::disk::faulty::FaultyDisk;
use std::collections::{BTreeSet, HashMap};
use std::io::BufRead;

/// What producers know.
#[derive(Default)]
struct Producers {
    acknowledged: BTreeSet<String>,
    tried: BTreeSet<String>,
}

/// What a case delivers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// Runs as they are, and a source backup.
    Runs,
    /// [`keys`] partitions and rows without a key, and a source backup.
    Partitions,
    /// Lines of the data sets by members that they have, and a source backup.
    Sets,
    /// Requests to an endpoint that refuses some of them for good, and a source backup.
    Requests,
    /// Loads into a table, of which some are given up and of some the commit's answer is lost, and a source backup.
    Loads,
}

impl What {
    /// Partitions that a run has at least; of rows by [`row`] no more.
    fn partitions(self) -> usize {
        if matches!(self, Self::Runs | Self::Requests | Self::Loads) { 0 } else { keys() }
    }
}

fn is_full() -> bool {
    std::env::var("HYDRANT_TEST_FULL").is_ok()
}

/// Partitions of a case.
fn keys() -> usize {
    if is_full() { 2000 } else { 200 }
}

/// The key of a data set's line, the first of these members.
const SETS_QUERY: &str = "{k:(.eventName // .page // .type // .class)}";
const SETS_MEMBERS: [&str; 4] = ["eventName", "page", "type", "class"];

/// Different lines of the data sets in turn, each with its newline; none without HYDRANT_TEST_DATA.
fn set_lines() -> &'static [String] {
    static LINES: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    LINES.get_or_init(|| {
        let Some(folder) = std::env::var_os("HYDRANT_TEST_DATA") else { return Vec::new() };
        let sets = ["cloudtrail", "github_events", "wiki_edits", "dirty"].map(|name| {
            let file = std::fs::File::open(Path::new(&folder).join(format!("{name}.ndjson.gz"))).unwrap();
            let lines = std::io::BufReader::new(flate2::read::GzDecoder::new(file)).split(b'\n');
            // What the store gives back is split as text.
            let lines = lines.filter_map(|line| String::from_utf8(line.unwrap()).ok());
            lines.filter(|line| !line.is_empty() && !line.contains('\r')).take(keys() * 2).collect::<Vec<_>>()
        });
        let mut seen = BTreeSet::new();
        let turns = (0..keys() * 2).flat_map(|i| sets.iter().filter_map(move |lines| lines.get(i)));
        turns.filter(|line| seen.insert(*line)).map(|line| format!("{line}\n")).collect()
    })
}

/// How a case ends a process.
#[derive(Clone, Copy)]
enum End {
    PowerCut,
    Kill,
}

struct World {
    disk: FaultyDisk,
    store: Arc<MemoryStore>,
    endpoint: Arc<Endpoint>,
    warehouse: Arc<Warehouse>,
    producers: Producers,
    definition: Definition,
    what: What,
}

/// Longest a case may take; only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

impl World {
    fn new(what: What, ignore_syncs: bool) -> Self {
        let disk = FaultyDisk::new();
        disk.ignore_syncs(ignore_syncs);
        let mut definition = match what {
            What::Runs => definition("s", Compression::Gzip, 1500, 0),
            What::Partitions => partitioned(500, 0),
            What::Sets => partitioned(20_000, 0),
            What::Requests => to_endpoint(7_200_000),
            What::Loads => to_warehouse(0),
        };
        if what == What::Sets {
            definition.partitioning.as_mut().unwrap().query = Some(SETS_QUERY.to_owned());
        }
        if matches!(what, What::Requests | What::Loads) {
            definition.hints = Hints { size_bytes: 1500, interval_ms: 0 };
        }
        // By its id alone, so that a request which was taken once is never given up after a restart.
        let endpoint = Endpoint::new(|id, before| match id.as_bytes()[0] % 3 {
            0 => Some(fault("too large", Retry::GiveUp)),
            1 if before == 0 => Some(fault("down", Retry::Backoff)),
            _ => None,
        });
        let store: Arc<MemoryStore> = Arc::default();
        let warehouse = Warehouse::new(&store, |id, before| match id.as_bytes()[0] % 4 {
            0 => Outcome::Fails(fault("refused", Retry::AfterOperator)),
            1 if before == 0 => Outcome::Late(fault("cut off", Retry::Backoff)),
            _ => Outcome::Loads,
        });
        // Cut elsewhere than the stream's own, and a range of the log where that serves it cheaply.
        definition.backup = Some(backup(Compression::Uncompressed, 700, 0));
        Self { disk, store, endpoint, warehouse, producers: Producers::default(), definition, what }
    }

    /// One life of the process: puts until it is done or the disk goes off. Then the disk as the next life finds it.
    async fn live(&mut self, puts: usize, cut_after: Option<u64>, end: End, seed: u64) -> Result<(), String> {
        if let Some(operations) = cut_after {
            self.disk.cut_after(self.disk.operations() + operations);
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let router = match self.what {
            What::Requests => {
                Router { objects: self.store.clone(), requests: self.endpoint.clone(), loads: self.endpoint.clone() }
            }
            What::Loads => {
                Router { objects: self.store.clone(), requests: self.endpoint.clone(), loads: self.warehouse.clone() }
            }
            _ => Router::to(self.store.clone()),
        };
        match Node::start_routed(disk, "/data".into(), router, Arc::new(SystemClock::new())).await {
            Ok(node) => {
                self.produce(&node, puts).await;
                if cut_after.is_none() {
                    self.drain(&node).await?;
                }
                node.stop().await;
            }
            Err(error) if cut_after.is_none() => return Err(format!("the node does not start: {error}")),
            Err(_) => {}
        }
        self.disk = match end {
            End::PowerCut => self.disk.power_cut(seed),
            End::Kill => self.disk.process_crash(),
        };
        Ok(())
    }

    async fn produce(&mut self, node: &Node, puts: usize) {
        if node.context.catalog.find("s").is_none() && node.create(self.definition.clone()).is_err() {
            return;
        }
        for i in 0..puts {
            let new = self.records(self.producers.tried.len(), 1 + i % 5);
            if new.is_empty() {
                return;
            }
            self.producers.tried.extend(new.iter().cloned());
            if node.put(self.definition.incarnation, &new).await.is_ok() {
                self.producers.acknowledged.extend(new);
            }
            if self.disk.is_off() {
                return;
            }
        }
    }

    /// Of partitions so many that six puts have every key.
    fn records(&self, from: usize, count: usize) -> Vec<String> {
        let many = count * keys() * 3 / 40;
        match self.what {
            What::Runs | What::Requests | What::Loads => records(from, count),
            What::Partitions => (from..from + many).map(row).collect(),
            What::Sets => set_lines().iter().skip(from).take(many).cloned().collect(),
        }
    }

    async fn drain(&self, node: &Node) -> Result<(), String> {
        if node.context.catalog.find("s").is_none() {
            return Ok(());
        }
        let done = |s: &StreamStatus| {
            let Some(backup) = &s.backup else { return false };
            let is_faulted = [s.state, backup.state].contains(&StreamState::Faulted);
            let in_flight = s.ledger.in_flight.records + backup.ledger.in_flight.records;
            is_faulted || (s.ledger.received.records > 0 && backup.ledger.received.records > 0 && in_flight == 0)
        };
        if self.producers.acknowledged.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(HANG, node.until("s", done)).await {
            Err(_) => Err(format!("stuck: {:?}", node.supervisor.stream("s"))),
            Ok(status) if is_backed_up(&status) => Ok(()),
            Ok(status) => Err(format!("faulted, or other records backed up than received: {status:?}")),
        }
    }

    /// The number of acknowledged records, and of partitions.
    fn check(&self) -> Result<(usize, usize), String> {
        let (lines, partitions) = match self.what {
            What::Runs => (self.store.lines(), BTreeSet::new()),
            What::Requests => {
                let refused = error_records(&self.store).into_keys();
                (self.endpoint.lines().into_iter().chain(refused).collect(), BTreeSet::new())
            }
            What::Loads => {
                let refused = given_up_lines(&self.store);
                (self.warehouse.lines().into_iter().chain(refused).collect(), BTreeSet::new())
            }
            What::Partitions | What::Sets => self.partitions()?,
        };
        let count = self.check_lines(lines.clone())?;
        self.check_lines(self.store.backup_lines()).map_err(|error| format!("source backup: {error}"))?;
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        match sorted(lines) == sorted(self.store.backup_lines()) {
            true => Ok((count, partitions.len())),
            false => Err("other records are backed up than delivered".to_owned()),
        }
    }

    /// The rows of the objects and of the error records, and the keys of the objects.
    fn partitions(&self) -> Result<(Vec<String>, BTreeSet<String>), String> {
        let (mut lines, mut found) = (Vec::new(), BTreeSet::new());
        for (key, (_, bytes)) in self.store.objects.lock().iter().filter(|(key, _)| !key.starts_with("copy/")) {
            if key.starts_with("bad/partitioning-failed/") {
                for line in std::str::from_utf8(bytes).unwrap().lines() {
                    let error: serde_json::Value = serde_json::from_str(line).unwrap();
                    let raw = base64_simd::STANDARD.decode_to_vec(error["rawData"].as_str().unwrap()).unwrap();
                    let row = String::from_utf8(raw).unwrap().trim_end_matches('\n').to_owned();
                    match self.key_of(&row) {
                        Some(key) if is_usable(&key) => return Err(format!("refused with a key: {error}")),
                        _ => lines.push(row),
                    }
                }
                continue;
            }
            let folder = key.strip_prefix("k=").and_then(|rest| rest.rsplit_once('/'));
            let (value, _) = folder.ok_or_else(|| format!("a key of nothing: {key}"))?;
            let mut text = String::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            if let Some(alien) = text.lines().find(|line| self.key_of(line).as_deref() != Some(value)) {
                return Err(format!("{alien} is in {key}"));
            }
            lines.extend(text.lines().map(str::to_owned));
            found.insert(value.to_owned());
        }
        Ok((lines, found))
    }

    /// The key of a row, if it has one.
    fn key_of(&self, row: &str) -> Option<String> {
        let row: serde_json::Value = serde_json::from_str(row).ok()?;
        let members: &[&str] = if self.what == What::Sets { &SETS_MEMBERS } else { &["k"] };
        members.iter().find_map(|member| row.get(member)?.as_str().map(str::to_owned))
    }

    fn check_lines(&self, lines: Vec<String>) -> Result<usize, String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for line in lines {
            *seen.entry(line + "\n").or_default() += 1;
        }
        let lost = self.producers.acknowledged.iter().filter(|r| !seen.contains_key(*r)).count();
        let doubled = seen.values().filter(|count| **count > 1).count();
        let alien = seen.keys().filter(|r| !self.producers.tried.contains(*r)).count();
        match (lost, doubled, alien) {
            (0, 0, 0) => Ok(self.producers.acknowledged.len()),
            _ => Err(format!("lost {lost}, doubled {doubled}, alien {alien}")),
        }
    }
}

/// Every eleventh has no key; of the others each key comes in turn.
fn row(i: usize) -> String {
    match i % 11 {
        10 => format!("{{\"i\":{i}}}\n"),
        _ => format!("{{\"k\":\"{}\",\"i\":{i}}}\n", (i - i / 11) % keys()),
    }
}

/// Whether a value may stand in a key, of those that are in the data sets.
fn is_usable(key: &str) -> bool {
    (1..=512).contains(&key.len())
        && !key.contains(char::is_control)
        && !key.split('/').any(|part| [".", ".."].contains(&part))
}

/// Whether the source backup has what was received, and each record of it ended.
fn is_backed_up(status: &StreamStatus) -> bool {
    let Some(backup) = &status.backup else { return false };
    let of = &status.ledger;
    let (all, delivered) = (backup.ledger.received, backup.ledger.delivered);
    let ended = (of.delivered.records + of.refused.records, of.delivered.bytes + of.refused.bytes);
    all == of.received && all == delivered && ended == (all.records, all.bytes)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A short run that ends at disk operation `cut_after`, a second life that ends soon after, and a third that drains.
fn short_case(what: What, cut_after: u64, end: End, ignore_syncs: bool) -> Result<(usize, usize), String> {
    runtime().block_on(async {
        let mut world = World::new(what, ignore_syncs);
        world.live(6, Some(cut_after), end, cut_after).await?;
        world.live(2, Some(cut_after % 23 + 1), end, cut_after + 1).await?;
        world.live(1, None, end, 0).await?;
        world.check()
    })
}

/// Operations that a short run needs when nothing ends it.
fn short_run_operations(what: What) -> u64 {
    runtime().block_on(async {
        let mut world = World::new(what, false);
        let disk = world.disk.clone();
        world.live(6, None, End::Kill, 0).await.unwrap();
        let (acknowledged, partitions) = world.check().unwrap();
        assert_eq!((acknowledged, partitions), (world.producers.tried.len(), what.partitions()));
        disk.operations()
    })
}

#[test]
fn a_short_run_may_end_at_every_write_and_sync() {
    ends_everywhere(What::Runs);
}

#[test]
fn a_short_run_of_partitions_may_end_at_every_write_and_sync() {
    ends_everywhere(What::Partitions);
}

#[test]
fn a_short_run_of_requests_may_end_at_every_write_and_sync() {
    ends_everywhere(What::Requests);
}

#[test]
fn a_short_run_of_loads_may_end_at_every_write_and_sync() {
    ends_everywhere(What::Loads);
}

fn ends_everywhere(what: What) {
    let operations = short_run_operations(what);
    assert!(operations > 30, "{operations}");
    // Of the 2,000 partitions of the long form a part only; the short one leaves out none.
    let stride = if is_full() && what == What::Partitions { operations.div_ceil(50) as usize } else { 1 };
    let (mut acknowledged, mut most) = (0, 0);
    for end in [End::PowerCut, End::Kill] {
        for cut_after in (0..operations).step_by(stride) {
            match short_case(what, cut_after, end, false) {
                Ok((count, partitions)) => {
                    acknowledged += count;
                    most = most.max(partitions);
                }
                Err(error) => panic!("cut after operation {cut_after} of {operations}: {error}"),
            }
        }
    }
    println!(
        "acked {acknowledged}, cuts {}, partitions {most}, lost 0, doubled 0",
        4 * operations.div_ceil(stride as u64)
    );
    assert!(acknowledged > 0 && most == what.partitions(), "{acknowledged} {most}");
}

#[test]
fn a_long_run_survives_cuts_at_random() {
    survives_cuts(What::Runs);
}

#[test]
fn a_long_run_of_partitions_survives_cuts_at_random() {
    survives_cuts(What::Partitions);
}

#[test]
fn a_long_run_of_requests_survives_cuts_at_random() {
    survives_cuts(What::Requests);
}

#[test]
fn a_long_run_of_loads_survives_cuts_at_random() {
    survives_cuts(What::Loads);
}

#[test]
fn a_long_run_of_the_data_sets_survives_cuts_at_random() {
    if set_lines().is_empty() {
        println!("skipped: HYDRANT_TEST_DATA is not set");
        return;
    }
    survives_cuts(What::Sets);
}

fn survives_cuts(what: What) {
    let seed =
        std::env::var("HYDRANT_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let cuts = match (is_full(), what) {
        (false, _) => 25,
        (true, What::Runs | What::Requests | What::Loads) => 500,
        (true, _) => 100,
    };
    runtime().block_on(async {
        let mut world = World::new(what, false);
        for _ in 0..cuts {
            let end = if random.bool() { End::PowerCut } else { End::Kill };
            world.live(30, Some(random.u64(1..120)), end, random.u64(..)).await.unwrap();
        }
        world.live(6, None, End::Kill, 0).await.unwrap();
        let (acknowledged, partitions) = world.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        println!("acked {acknowledged}, cuts {cuts}, partitions {partitions}, lost 0, doubled 0");
        assert!(partitions >= what.partitions(), "{partitions}");
    });
}

#[test]
fn without_fdatasync_the_same_test_fails() {
    let operations = short_run_operations(What::Runs);
    let failed = (0..operations).any(|cut_after| short_case(What::Runs, cut_after, End::PowerCut, true).is_err());
    assert!(failed, "a disk that ignores syncs lost nothing: the test proves nothing");
}
