use super::*;
use crate::disk::RealDisk;
use crate::disk::faulty::FaultyDisk;
use crate::stream::Id128;
use std::io::Write;

const STREAM: Incarnation = Id128([1; 16]);
const SEAL: SealId = Id128([2; 16]);

struct Fixture {
    dir: tempfile::TempDir,
    budget: Arc<DiskBudget>,
    outbox: Outbox,
}

impl Fixture {
    fn new(limit_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let budget = Arc::new(DiskBudget::new(limit_bytes, limit_bytes / 2));
        let outbox = Outbox::new(Arc::new(RealDisk), dir.path().join("streams"), Arc::clone(&budget));
        Self { dir, budget, outbox }
    }

    fn files(&self) -> Vec<String> {
        let folder = self.dir.path().join("streams").join(STREAM.to_string()).join("outbox");
        match RealDisk.list(&folder) {
            Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
            Err(_) => Vec::new(),
        }
    }
}

fn content(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[test]
fn length_alone_decides_between_seal_and_file() {
    let t = Fixture::new(1 << 30);
    let lengths = [0, 1, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, 1 << 20, (3 << 20) + 5];
    for piece in [1 << 12, 70_001, 2 << 20] {
        let drafts = lengths.iter().enumerate().map(|(i, length)| {
            let mut draft = t.outbox.begin(STREAM, SEAL, i as u32);
            content(*length).chunks(piece).for_each(|bytes| draft.write_all(bytes).unwrap());
            assert_eq!(draft.length_bytes(), *length as u64);
            draft
        });
        let finished = t.outbox.finish(drafts.collect()).unwrap();
        for (i, (finished, length)) in finished.iter().zip(lengths).enumerate() {
            let bytes = content(length);
            assert_eq!((finished.length_bytes, finished.crc32c), (length as u64, crc32c::crc32c(&bytes)));
            match &finished.content {
                Stored::Inline(inline) => assert!(length <= INLINE_MAX_BYTES && *inline == bytes),
                Stored::File(name) => {
                    assert!(length > INLINE_MAX_BYTES);
                    assert_eq!(*name, format!("{SEAL}-{i}"));
                    let open = t.outbox.open(STREAM, name).unwrap();
                    for _attempt in 0..2 {
                        let mut read = vec![0; open.length_bytes() as usize];
                        for (part, offset) in read.chunks_mut(1 << 19).zip((0..).step_by(1 << 19)) {
                            open.read_exact_at(part, offset).unwrap();
                        }
                        assert!(read == bytes);
                    }
                    assert!(open.read_exact_at(&mut [0; 2], length as u64 - 1).is_err());
                }
            }
        }
        let in_files: u64 = lengths.iter().filter(|l| **l > INLINE_MAX_BYTES).map(|l| *l as u64).sum();
        assert_eq!(t.budget.used_bytes(), in_files);
        for name in t.files() {
            t.outbox.free(STREAM, &name).unwrap();
            t.outbox.free(STREAM, &name).unwrap();
        }
        assert_eq!((t.budget.used_bytes(), t.files().len()), (0, 0));
    }
}

#[test]
fn an_unfinished_draft_leaves_nothing_behind() {
    let t = Fixture::new(1 << 30);
    let mut draft = t.outbox.begin(STREAM, SEAL, 0);
    draft.write_all(&content(3 << 20)).unwrap();
    assert_eq!(t.files().len(), 1);
    drop(draft);
    assert_eq!((t.budget.used_bytes(), t.files().len()), (0, 0));
}

#[test]
fn a_draft_over_the_budget_fails_for_good_and_gives_all_back() {
    let t = Fixture::new(2 << 20);
    let mut draft = t.outbox.begin(STREAM, SEAL, 0);
    // The reserve is there for sealing.
    draft.write_all(&content(2 << 20)).unwrap();
    let error = draft.write_all(&content(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(draft.write_all(b"x").is_err());
    assert!(t.outbox.finish(vec![draft]).is_err());
    assert_eq!((t.budget.used_bytes(), t.files().len()), (0, 0));
}

#[test]
fn a_sweep_keeps_and_counts_what_seals_name() {
    let t = Fixture::new(1 << 30);
    assert_eq!(t.outbox.sweep(STREAM, &HashSet::new()).unwrap(), 0);
    let drafts = (0..3).map(|i| {
        let mut draft = t.outbox.begin(STREAM, SEAL, i);
        draft.write_all(&content(100_000)).unwrap();
        draft
    });
    t.outbox.finish(drafts.collect()).unwrap();

    let budget = Arc::new(DiskBudget::unlimited());
    let restarted = Outbox::new(Arc::new(RealDisk), t.dir.path().join("streams"), Arc::clone(&budget));
    let keep = HashSet::from([format!("{SEAL}-1")]);
    assert_eq!(restarted.sweep(STREAM, &keep).unwrap(), 2);
    assert_eq!(t.files(), [format!("{SEAL}-1")]);
    assert_eq!(budget.used_bytes(), 100_000);
    restarted.forget(STREAM);
    assert_eq!(budget.used_bytes(), 0);

    // A sweep in the process that finished the files, after its lane stopped on a fault.
    assert_eq!(t.outbox.sweep(STREAM, &HashSet::new()).unwrap(), 1);
    t.outbox.free(STREAM, &format!("{SEAL}-0")).unwrap();
    let mut draft = t.outbox.begin(STREAM, SEAL, 4);
    draft.write_all(&content(100_000)).unwrap();
    t.outbox.finish(vec![draft]).unwrap();
    let before = t.budget.used_bytes();
    assert_eq!(t.outbox.sweep(STREAM, &HashSet::new()).unwrap(), 1);
    assert_eq!(t.budget.used_bytes(), before - 100_000);
}

/// Finishes one large and one small parcel on a disk that goes off after `cut_at` operations, cuts the power, and says
/// whether finishing succeeded and whether the large one is whole afterwards.
fn finish_and_cut(bytes: &[u8], cut_at: u64, seed: u64, ignore_syncs: bool) -> (bool, bool) {
    let disk = FaultyDisk::new();
    disk.ignore_syncs(ignore_syncs);
    disk.cut_after(cut_at);
    let unlimited = || Arc::new(DiskBudget::unlimited());
    let outbox = Outbox::new(Arc::new(disk.clone()), PathBuf::from("/data/streams"), unlimited());
    let finish = || {
        let mut large = outbox.begin(STREAM, SEAL, 0);
        let mut small = outbox.begin(STREAM, SEAL, 1);
        large.write_all(bytes)?;
        small.write_all(b"small")?;
        outbox.finish(vec![large, small])
    };
    let finished = finish().is_ok();
    let after = Outbox::new(Arc::new(disk.power_cut(seed)), PathBuf::from("/data/streams"), unlimited());
    let read = || {
        let open = after.open(STREAM, &format!("{SEAL}-0"))?;
        let mut read = vec![0; open.length_bytes() as usize];
        open.read_exact_at(&mut read, 0).map(|()| read)
    };
    (finished, read().is_ok_and(|read| read == bytes))
}

#[test]
fn a_finished_file_survives_a_power_cut_in_any_operation() {
    let bytes = content(INLINE_MAX_BYTES + 999);
    let mut succeeded = 0;
    for cut_at in 0..20 {
        for seed in 0..30 {
            let (finished, whole) = finish_and_cut(&bytes, cut_at, seed, false);
            assert!(whole || !finished, "operation {cut_at}, seed {seed}");
            succeeded += u32::from(finished);
        }
    }
    assert!(succeeded > 0);
    assert!(
        (0..30).any(|seed| finish_and_cut(&bytes, u64::MAX, seed, true) == (true, false)),
        "syncs make no difference"
    );
}

#[test]
fn a_failed_sync_fails_the_whole_run_and_leaves_nothing() {
    let disk = FaultyDisk::new();
    let budget = Arc::new(DiskBudget::unlimited());
    let outbox = Outbox::new(Arc::new(disk.clone()), PathBuf::from("/s"), Arc::clone(&budget));
    let drafts = || {
        (0..2).map(|i| {
            let mut draft = outbox.begin(STREAM, SEAL, i);
            draft.write_all(&content(INLINE_MAX_BYTES + 1)).unwrap();
            draft
        })
    };
    disk.fail_sync_once();
    assert!(outbox.finish(drafts().collect()).is_err());
    let folder = PathBuf::from("/s").join(STREAM.to_string()).join("outbox");
    assert_eq!((disk.list(&folder).unwrap(), budget.used_bytes()), (Vec::new(), 0));
    assert_eq!(outbox.finish(drafts().collect()).unwrap().len(), 2);
}

#[test]
fn bytes_that_outlive_their_seal_are_a_file_however_short() {
    let t = Fixture::new(1 << 30);
    let mut draft = t.outbox.begin(STREAM, SEAL, 0).in_file();
    draft.write_all(b"short").unwrap();
    let finished = t.outbox.finish(vec![draft]).unwrap();
    assert_eq!(finished[0].content, Stored::File(format!("{SEAL}-0")));
    assert_eq!(t.files(), [format!("{SEAL}-0")]);
    let mut read = [0; 5];
    t.outbox.open(STREAM, &t.files()[0]).unwrap().read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"short");
}
