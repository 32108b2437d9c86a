//! The log against a small model: random appends, releases, idle closings, failed syncs, full disks, reopens, kills and
//! power cuts. What was acknowledged is there under its number, byte for byte; nothing else but what was tried.

use super::*;
use crate::clock::SystemClock;
use crate::disk::faulty::FaultyDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

struct Model {
    disk: FaultyDisk,
    random: fastrand::Rng,
    incarnation: Incarnation,
    /// Acknowledged records by number.
    acknowledged: BTreeMap<u64, Vec<u8>>,
    tried: BTreeSet<Vec<u8>>,
    closed: u64,
    appends: u64,
}

impl Model {
    fn open(&self, pool: &Arc<CommitPool>) -> Result<Arc<StreamLog>, RecoveryError> {
        let options = LogOptions { segment_bytes: 700, ..LogOptions::default() };
        let context = LogContext {
            disk: Arc::new(self.disk.clone()),
            budget: Arc::new(DiskBudget::unlimited()),
            clock: Arc::new(SystemClock::new()),
            options,
        };
        StreamLog::open(
            context,
            pool.clone(),
            "/data/log".into(),
            self.incarnation,
            &LogCursors::one(self.closed, self.closed),
        )
    }

    async fn append(&mut self, log: &Arc<StreamLog>) {
        let count = self.random.usize(1..4);
        let records: Vec<Vec<u8>> = (0..count)
            .map(|i| format!("{}-{i}-{}", self.appends, "z".repeat(self.random.usize(0..60))).into_bytes())
            .collect();
        self.appends += 1;
        self.tried.extend(records.iter().cloned());
        let body = FrameBody {
            lengths: records.iter().map(|r| r.len() as u32).collect(),
            payload: records.concat(),
            extensions: Vec::new(),
        };
        if let Ok(appended) = log.append(body).await {
            for (i, record) in records.into_iter().enumerate() {
                let before = self.acknowledged.insert(appended.first + i as u64, record);
                assert!(before.is_none(), "a number was given twice");
            }
        }
    }

    fn check(&self, log: &Arc<StreamLog>) -> Result<(), String> {
        let mut reader = log.reader(self.closed, u64::MAX);
        let mut number = self.closed;
        while let Some(chunk) = reader.next_chunk(200, u64::MAX).map_err(|e| e.to_string())? {
            for (_, bytes) in chunk.iter() {
                number += 1;
                match self.acknowledged.get(&number) {
                    Some(expected) if expected == bytes => {}
                    Some(_) => return Err(format!("record {number} has other bytes")),
                    None if self.tried.contains(bytes) => {}
                    None => return Err(format!("record {number} was never put")),
                }
            }
        }
        let last = self.acknowledged.keys().next_back().copied().unwrap_or(0).max(self.closed);
        if number < last { Err(format!("records {}..={last} are lost", number + 1)) } else { Ok(()) }
    }
}

async fn case(seed: u64, steps: usize, ignore_syncs: bool) -> Result<(), String> {
    let disk = FaultyDisk::new();
    disk.ignore_syncs(ignore_syncs);
    let mut model = Model {
        disk,
        random: fastrand::Rng::with_seed(seed),
        incarnation: Incarnation::random(),
        acknowledged: BTreeMap::new(),
        tried: BTreeSet::new(),
        closed: 0,
        appends: 0,
    };
    let pool = CommitPool::start(1).map_err(|e| e.to_string())?;
    let mut log = model.open(&pool).map_err(|e| e.to_string())?;
    for _ in 0..steps {
        match model.random.u32(0..20) {
            0..12 => model.append(&log).await,
            12 => {
                log.close_if_idle(Duration::ZERO);
            }
            13 => {
                // A cursor moves over synced records only.
                model.closed = model.random.u64(model.closed..=log.synced_last());
                log.release(|| model.closed);
            }
            14 => model.disk.fail_sync_once(),
            15 => model.disk.disk_full_after(model.random.u64(0..300)),
            16 => model.disk.disk_full_after(u64::MAX),
            17 => model.check(&log)?,
            crash => {
                model.disk.disk_full_after(u64::MAX);
                if crash == 18 {
                    model.disk.cut_after(model.disk.operations() + model.random.u64(0..6));
                    for _ in 0..4 {
                        model.append(&log).await;
                    }
                }
                drop(log);
                model.disk = if model.random.bool() {
                    model.disk.power_cut(model.random.u64(..))
                } else {
                    model.disk.process_crash()
                };
                log = model.open(&pool).map_err(|e| e.to_string())?;
                model.check(&log)?;
            }
        }
    }
    model.check(&log)
}

fn run(cases: u64, steps: usize, first_seed: u64, ignore_syncs: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    for seed in first_seed..first_seed + cases {
        runtime.block_on(case(seed, steps, ignore_syncs)).map_err(|e| format!("HYDRANT_TEST_SEED={seed}: {e}"))?;
    }
    Ok(())
}

#[test]
fn the_log_agrees_with_the_model() {
    let given = std::env::var("HYDRANT_TEST_SEED").ok().and_then(|s| s.parse().ok());
    let first = given.unwrap_or_else(|| fastrand::u64(..1 << 60));
    println!("HYDRANT_TEST_SEED={first}");
    let cases = if given.is_some() { 1 } else { 150 };
    if let Err(error) = run(cases, 120, first, false) {
        panic!("{error}");
    }
}

#[test]
fn on_a_disk_that_does_not_sync_the_model_sees_the_loss() {
    assert!(run(40, 120, 0, true).is_err());
}
