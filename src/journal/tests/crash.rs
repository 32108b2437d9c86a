//! The writer against the model, through restarts, crashes, power cuts, failed syncs and full disks.
//!
//! After each start the journal must show what was acknowledged, at most followed by a beginning of one batch that was
//! not answered or was answered with an I/O error. What it shows counts as acknowledged from then on: a served seal that
//! is not durable would be missed after the next cut. `HYDRANT_SEED=n` replays one case, `HYDRANT_CASES=n` runs more.

use super::super::writer::{JournalOptions, Writer};
use super::super::{Journal, JournalError};
use super::fixtures::Maker;
use super::model::{Entry, Model};
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk, DiskBudget, RealDisk};
use fastrand::Rng;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/data/journal";

fn options(random: &mut Rng) -> JournalOptions {
    let roll_bytes = [1 << 10, 16 << 10, 64 << 20][random.usize(..3)];
    JournalOptions { roll_bytes, budget: Some(Arc::new(DiskBudget::unlimited())) }
}

/// One run of a case.
struct Case {
    /// The disk, if it can go off.
    disk: Option<FaultyDisk>,
    random: Rng,
    maker: Maker,
    /// Acknowledged.
    stored: Model,
    /// States a start may find: `stored`, or that with a beginning of a batch of unknown outcome.
    possible: Vec<Model>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let (stored, possible) = (Model::default(), vec![Model::default()]);
        Self { disk: None, random: Rng::with_seed(seed), maker: Maker::default(), stored, possible }
    }

    /// Whether the disk still answers reads.
    fn answers(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| !disk.is_off())
    }

    fn compare(&self, writer: &Writer, when: &str) -> Result<(), String> {
        let compared = self.stored.compare(&writer.published().read(), self.answers());
        compared.map_err(|difference| format!("{when}: {difference}"))
    }

    fn open_faulty(&mut self, disk: &FaultyDisk) -> Result<Result<Writer, JournalError>, String> {
        self.disk = Some(disk.clone());
        self.open(Arc::new(disk.clone()), Path::new(DIR))
    }

    /// Opens what a start finds.
    fn open(&mut self, disk: Arc<dyn Disk>, dir: &Path) -> Result<Result<Writer, JournalError>, String> {
        let writer = match Writer::open(disk, dir.to_owned(), options(&mut self.random)) {
            Ok(writer) => writer,
            Err(error) => return Ok(Err(error)),
        };
        let published = writer.published();
        let shown = published.read();
        let differs = |model: &Model| model.compare(&shown, self.answers()).err();
        let fits = self.possible.iter().find(|model| differs(model).is_none()).cloned();
        let difference = || self.possible.last().and_then(differs).unwrap_or_default();
        self.stored = fits.ok_or_else(|| format!("after a start: {}", difference()))?;
        self.possible = vec![self.stored.clone()];
        drop(shown);
        Ok(Ok(writer))
    }

    /// Commits a random batch and compares. Returns whether the disk did its part.
    fn commit(&mut self, writer: &mut Writer) -> Result<bool, String> {
        let mut batch: Vec<Entry> = Vec::new();
        let mut fits = Vec::new();
        let mut beginnings = vec![self.stored.clone()];
        for _ in 0..self.random.usize(1..6) {
            let mut model = beginnings[beginnings.len() - 1].clone();
            let (entry, entry_fits) = model.random_entry(&mut self.maker, &mut self.random, 4);
            if entry_fits {
                model.apply(&entry);
                beginnings.push(model);
            }
            batch.push(entry);
            fits.push(entry_fits);
        }
        let answers = writer.commit(&batch);
        let io = |answer: &Result<(), JournalError>| matches!(answer, Err(JournalError::Io { .. }));
        let failed = answers.iter().any(io);
        for (answer, fits) in answers.iter().zip(&fits) {
            let expected = match answer {
                Ok(()) => *fits && !failed,
                Err(JournalError::Order(_)) => !*fits,
                Err(JournalError::Io { .. }) => failed,
                Err(_) => false,
            };
            if !expected {
                return Err(format!("an entry that fits: {fits}, was answered {answer:?}"));
            }
        }
        if failed {
            self.possible.extend(beginnings.drain(1..));
        } else {
            self.stored = beginnings.pop().unwrap_or_default();
            self.possible = vec![self.stored.clone()];
        }
        self.compare(writer, "after a batch")?;
        Ok(!failed)
    }
}

/// Runs one case; an error says what was lost.
fn run(seed: u64, ignore_syncs: bool) -> Result<(), String> {
    let mut case = Case::new(seed);
    let mut disk = FaultyDisk::new();
    disk.ignore_syncs(ignore_syncs);
    for _life in 0..case.random.usize(2..8) {
        if case.random.u8(..2) == 0 {
            disk.cut_after(case.random.u64(..60));
        }
        match case.open_faulty(&disk)? {
            Err(error) if !disk.is_off() => return Err(format!("it does not start: {error}")),
            Err(_) => {}
            Ok(mut writer) => {
                for _ in 0..case.random.usize(..20) {
                    match case.random.u8(..24) {
                        0 => disk.fail_sync_once(),
                        1 => disk.fail_sync_dir_once(),
                        2 => disk.disk_full_after(case.random.u64(..3000)),
                        3..=5 => disk.disk_full_after(u64::MAX),
                        _ => {}
                    }
                    case.commit(&mut writer)?;
                    writer.maintain();
                    case.compare(&writer, "after a roll")?;
                }
            }
        }
        disk = match case.random.u8(..4) {
            0 => disk.process_crash(),
            _ => disk.power_cut(case.random.u64(..)),
        };
    }
    match case.open_faulty(&disk)? {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it does not start at last: {error}")),
    }
}

#[test]
fn acknowledged_entries_survive_whatever_the_disk_does() {
    if let Some(seed) = std::env::var("HYDRANT_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed, false).unwrap_or_else(|e| panic!("HYDRANT_SEED={seed}: {e}"));
    }
    // Half of the seeds are the same every time, half are new ones.
    let cases = std::env::var("HYDRANT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let base = fastrand::u64(1 << 32..1 << 48);
    for seed in (0..cases / 2).chain(base..base + cases / 2) {
        run(seed, false).unwrap_or_else(|e| panic!("HYDRANT_SEED={seed}: {e}"));
    }
}

#[test]
fn without_syncs_the_same_test_sees_loss() {
    let lost = (0..50).filter(|seed| run(*seed, true).is_err()).count();
    assert!(lost > 25, "only {lost} of 50 cases noticed that nothing was ever synced");
}

#[test]
fn a_power_cut_in_every_single_operation_loses_nothing() {
    for seed in 0..6 {
        let mut cut_at = 0;
        loop {
            let mut case = Case::new(seed);
            let disk = FaultyDisk::new();
            disk.cut_after(cut_at);
            if let Ok(mut writer) = case.open_faulty(&disk).unwrap() {
                for _ in 0..12 {
                    if !disk.is_off() {
                        let _ = case.commit(&mut writer).unwrap_or(false);
                        writer.maintain();
                    }
                }
            }
            for cut_seed in 0..6 {
                let (stored, possible) = (case.stored.clone(), case.possible.clone());
                let after = disk.power_cut(cut_seed);
                let opened = case.open_faulty(&after);
                let opened = opened.unwrap_or_else(|e| panic!("seed {seed}, operation {cut_at}, cut {cut_seed}: {e}"));
                opened.unwrap_or_else(|e| panic!("seed {seed}, operation {cut_at}, cut {cut_seed}: {e}"));
                (case.stored, case.possible) = (stored, possible);
            }
            if disk.operations() <= cut_at {
                break;
            }
            cut_at += 1;
        }
        assert!(cut_at > 20, "the run was too short to mean anything: {cut_at} operations");
    }
}

#[test]
fn the_machines_disk_keeps_the_same_promises_through_restarts() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let mut case = Case::new(seed);
        for _life in 0..4 {
            let mut writer = case.open(Arc::new(RealDisk), &dir.path().join("journal")).unwrap().unwrap();
            for _ in 0..15 {
                assert!(case.commit(&mut writer).unwrap());
                writer.maintain();
            }
        }
    }
}

#[test]
fn after_a_failed_sync_the_next_entry_goes_to_a_new_segment() {
    let disk = FaultyDisk::new();
    let mut case = Case::new(1);
    let mut writer = case.open_faulty(&disk).unwrap().unwrap();
    assert!(case.commit(&mut writer).unwrap());
    let segments = || disk.list(Path::new(DIR)).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    let before = segments();
    disk.fail_sync_once();
    assert!(!case.commit(&mut writer).unwrap());
    assert_eq!(segments(), before);
    assert!(case.commit(&mut writer).unwrap());
    assert_eq!(segments().len(), 1);
    assert_ne!(segments(), before);
}

#[test]
fn on_a_full_disk_attempts_leave_no_files_and_room_mends_it() {
    let disk = FaultyDisk::new();
    let mut case = Case::new(2);
    let mut writer = case.open_faulty(&disk).unwrap().unwrap();
    assert!(case.commit(&mut writer).unwrap());
    disk.disk_full_after(5);
    for _ in 0..5 {
        // A batch of which nothing fits the lanes' order succeeds without touching the disk.
        let _ = case.commit(&mut writer).unwrap();
    }
    assert!(disk.list(Path::new(DIR)).unwrap().len() <= 2);
    disk.disk_full_after(u64::MAX);
    assert!(case.commit(&mut writer).unwrap());
    assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), 1);
}

#[test]
fn a_segment_that_may_come_back_is_never_gone_behind() {
    // A roll whose new segment is whole but can be neither made durable nor surely removed.
    for cut_seed in 0..40 {
        let disk = FaultyDisk::new();
        let mut case = Case::new(3);
        case.disk = Some(disk.clone());
        let options = JournalOptions { roll_bytes: 1, budget: None };
        let mut writer = Writer::open(Arc::new(disk.clone()), PathBuf::from(DIR), options).unwrap();
        for _ in 0..8 {
            assert!(case.commit(&mut writer).unwrap());
            disk.fail_sync_dir_once();
            disk.fail_sync_dir_once();
            writer.maintain();
            // What the roll did not use up must not hit the next batch.
            disk.clear_faults();
            assert!(case.commit(&mut writer).unwrap());
        }
        case.open_faulty(&disk.power_cut(cut_seed)).unwrap_or_else(|e| panic!("cut {cut_seed}: {e}")).unwrap();
    }
}

/// The whole journal with its thread, callers in parallel, killed at a random operation.
#[test]
fn callers_in_parallel_lose_nothing_in_a_power_cut() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let disk = FaultyDisk::new();
        let journal = Journal::open(
            Arc::new(disk.clone()),
            PathBuf::from(DIR),
            JournalOptions { roll_bytes: 2048, budget: None },
        );
        let journal = Arc::new(journal.unwrap());
        disk.cut_after(disk.operations() + random.u64(1..40));
        let tasks: Vec<_> = (0..8)
            .map(|i| {
                let journal = Arc::clone(&journal);
                runtime.spawn(async move {
                    let (mut maker, lane) = (Maker::default(), super::fixtures::lane(i));
                    maker.skip_ids(i * 1000);
                    let mut sealed = Vec::new();
                    for _ in 0..10 {
                        let (seal, inline) = maker.seal(&lane, 1, &[&[i as u8; 100]]);
                        let answer = journal.seal(seal.clone(), inline).await;
                        sealed.push((seal, answer.is_ok()));
                        if answer.is_err() {
                            break;
                        }
                    }
                    (lane, sealed)
                })
            })
            .collect();
        let done: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
        drop(journal);
        let after = Arc::new(disk.power_cut(seed));
        let journal = Journal::open(after, PathBuf::from(DIR), JournalOptions::default()).unwrap();
        for (lane, sealed) in done {
            let found = journal.lane(&lane).open;
            let acknowledged = sealed.iter().filter(|(_, ok)| *ok).count();
            assert!(found.len() >= acknowledged, "seed {seed}: {acknowledged} acknowledged, {} found", found.len());
            assert!(found.iter().zip(&sealed).all(|(found, (sealed, _))| **found == *sealed), "seed {seed}");
        }
    }
}
