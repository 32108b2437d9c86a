//! Power cuts and kills at every write and sync of a short run, and at random in a long one, on a disk that drops,
//! tears and reorders what was not synced. Oracle: every acknowledged record in exactly one object, every other in at
//! most one, nothing else anywhere. The same of the source backup's objects, and both have the same records.

use super::partitioned::partitioned;
use super::*;
use crate::disk::faulty::FaultyDisk;
use std::collections::{BTreeSet, HashMap};

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
    /// Partitions, and a source backup.
    Partitions,
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
        };
        // Cut elsewhere than the stream's own, and a range of the log where that serves it cheaply.
        definition.backup = Some(backup(Compression::Uncompressed, 700, 0));
        Self { disk, store: Arc::default(), producers: Producers::default(), definition, what }
    }

    /// One life of the process: puts until it is done or the disk goes off. Then the disk as the next life finds it.
    async fn live(&mut self, puts: usize, cut_after: Option<u64>, end: End, seed: u64) -> Result<(), String> {
        if let Some(operations) = cut_after {
            self.disk.cut_after(self.disk.operations() + operations);
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        match Node::start(disk, "/data".into(), self.store.clone()).await {
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
            self.producers.tried.extend(new.iter().cloned());
            if node.put(self.definition.incarnation, &new).await.is_ok() {
                self.producers.acknowledged.extend(new);
            }
            if self.disk.is_off() {
                return;
            }
        }
    }

    fn records(&self, from: usize, count: usize) -> Vec<String> {
        match self.what {
            What::Runs => records(from, count),
            What::Partitions => (from..from + count).map(|i| format!("{{\"k\":\"{}\",\"i\":{i}}}\n", i % 3)).collect(),
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
            Ok(status) if status.backup.as_ref().is_some_and(|backup| backup.ledger == status.ledger) => Ok(()),
            Ok(status) => Err(format!("faulted, or other records backed up than received: {status:?}")),
        }
    }

    fn check(&self) -> Result<usize, String> {
        let count = self.check_lines(self.store.lines())?;
        self.check_lines(self.store.backup_lines()).map_err(|error| format!("source backup: {error}"))?;
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        match sorted(self.store.lines()) == sorted(self.store.backup_lines()) {
            true => Ok(count),
            false => Err("other records are backed up than delivered".to_owned()),
        }
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A short run that ends at disk operation `cut_after`, a second life that ends soon after, and a third that drains.
fn short_case(what: What, cut_after: u64, end: End, ignore_syncs: bool) -> Result<usize, String> {
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

fn ends_everywhere(what: What) {
    let operations = short_run_operations(what);
    assert!(operations > 30, "{operations}");
    let mut acknowledged = 0;
    for end in [End::PowerCut, End::Kill] {
        for cut_after in 0..operations {
            match short_case(what, cut_after, end, false) {
                Ok(count) => acknowledged += count,
                Err(error) => panic!("cut after operation {cut_after} of {operations}: {error}"),
            }
        }
    }
    println!("acked {acknowledged}, cuts {}, lost 0, doubled 0", 4 * operations);
    assert!(acknowledged > 0);
}

#[test]
fn a_long_run_survives_cuts_at_random() {
    survives_cuts(What::Runs);
}

#[test]
fn a_long_run_of_partitions_survives_cuts_at_random() {
    survives_cuts(What::Partitions);
}

fn survives_cuts(what: What) {
    let full = std::env::var("HYDRANT_TEST_FULL").is_ok();
    let seed =
        std::env::var("HYDRANT_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let cuts = if full { 500 } else { 25 };
    runtime().block_on(async {
        let mut world = World::new(what, false);
        for _ in 0..cuts {
            let end = if random.bool() { End::PowerCut } else { End::Kill };
            world.live(30, Some(random.u64(1..120)), end, random.u64(..)).await.unwrap();
        }
        world.live(1, None, End::Kill, 0).await.unwrap();
        let acknowledged = world.check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        println!("acked {acknowledged}, cuts {cuts}, lost 0, doubled 0");
    });
}

#[test]
fn without_fdatasync_the_same_test_fails() {
    let operations = short_run_operations(What::Runs);
    let failed = (0..operations).any(|cut_after| short_case(What::Runs, cut_after, End::PowerCut, true).is_err());
    assert!(failed, "a disk that ignores syncs lost nothing: the test proves nothing");
}
