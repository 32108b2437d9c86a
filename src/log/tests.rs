//! Append, read, stop in every way, and what is there afterwards.

use super::*;
use crate::clock::SystemClock;
use crate::disk::RealDisk;
use std::time::Duration;

struct Fixture {
    dir: tempfile::TempDir,
    context: LogContext,
    pool: Arc<CommitPool>,
    incarnation: Incarnation,
}

impl Fixture {
    fn new(segment_bytes: u64) -> Self {
        let options = LogOptions { segment_bytes, ..LogOptions::default() };
        let context = LogContext {
            disk: Arc::new(RealDisk),
            budget: Arc::new(DiskBudget::unlimited()),
            clock: Arc::new(SystemClock::new()),
            options,
        };
        Self {
            dir: tempfile::tempdir().unwrap(),
            context,
            pool: CommitPool::start(2).unwrap(),
            incarnation: Incarnation::random(),
        }
    }

    fn try_open(&self, closed: u64, sealed: u64) -> Result<Arc<StreamLog>, RecoveryError> {
        let dir = self.dir.path().join("log");
        StreamLog::open(
            self.context.clone(),
            self.pool.clone(),
            dir,
            self.incarnation,
            &LogCursors::one(closed, sealed),
        )
    }

    fn open(&self) -> Arc<StreamLog> {
        self.try_open(0, 0).unwrap()
    }

    fn segment_files(&self) -> Vec<PathBuf> {
        let entries = self.context.disk.list(&self.dir.path().join("log")).unwrap();
        entries.iter().map(|e| self.dir.path().join("log").join(&e.name)).collect()
    }
}

fn body(records: &[Vec<u8>]) -> FrameBody {
    FrameBody {
        lengths: records.iter().map(|r| r.len() as u32).collect(),
        payload: records.concat(),
        extensions: Vec::new(),
    }
}

fn records(from: usize, count: usize) -> Vec<Vec<u8>> {
    (from..from + count).map(|i| format!("record {i} {}", "x".repeat(i % 70)).into_bytes()).collect()
}

fn read_all(log: &Arc<StreamLog>, from: u64, max_bytes: u64) -> Vec<Vec<u8>> {
    let mut reader = log.reader(from, u64::MAX);
    let mut found = Vec::new();
    while let Some(chunk) = reader.next_chunk(max_bytes, 3).unwrap() {
        for (slot, bytes) in chunk.iter() {
            assert_eq!(slot.origin.ordinal, found.len() as u64);
            found.push(bytes.to_vec());
        }
    }
    assert_eq!(reader.last(), from + found.len() as u64);
    found
}

#[tokio::test]
async fn what_was_appended_is_read_in_order_after_any_number_of_reopens() {
    let fixture = Fixture::new(4096);
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for round in 0..6 {
        let log = fixture.open();
        assert_eq!(log.synced_last(), expected.len() as u64);
        let waiting: u64 = expected.iter().map(|r| r.len() as u64).sum();
        assert_eq!(log.progress().borrow().bytes, waiting);
        for i in 0..20 {
            let new = records(round * 1000 + i * 10, 1 + i % 7);
            let appended = log.append(body(&new)).await.unwrap();
            assert_eq!(appended.first, expected.len() as u64 + 1);
            expected.extend(new);
            assert_eq!(appended.last, expected.len() as u64);
        }
        assert!(log.close_if_idle(Duration::ZERO));
        assert_eq!(read_all(&log, 0, 100), expected);
        let middle = expected.len() as u64 / 2;
        assert_eq!(read_all(&log, middle, 1 << 20), expected[middle as usize..]);
    }
    assert!(fixture.segment_files().len() > 6);
}

#[tokio::test]
async fn closed_segments_go_and_numbers_are_never_given_twice() {
    let fixture = Fixture::new(1024);
    let log = fixture.open();
    for i in 0..40 {
        log.append(body(&records(i, 3))).await.unwrap();
    }
    log.release(|| 100);
    assert_eq!(read_all(&log, 100, 1 << 20).len(), 20);
    assert!(log.reader(10, 20).next_chunk(10, 9).is_err());
    log.close_if_idle(Duration::ZERO);
    log.release(|| 120);
    assert!(fixture.segment_files().is_empty());
    drop(log);
    let log = fixture.try_open(120, 120).unwrap();
    assert_eq!(log.append(body(&records(0, 1))).await.unwrap().first, 121);
}

#[tokio::test]
async fn a_lane_that_begins_while_closed_data_is_let_go_loses_nothing() {
    let fixture = Fixture::new(1024);
    let log = fixture.open();
    for i in 0..20 {
        log.append(body(&records(i, 3))).await.unwrap();
    }
    let hold = log.hold();
    for i in 20..40 {
        log.append(body(&records(i, 3))).await.unwrap();
    }
    // Whoever asks stalls until the lane has begun and its hold is on its way out; the lane's cursor came too late.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            told.recv().unwrap();
            drop(hold);
        });
        log.release(|| {
            assert!(log.segments.is_locked(), "the hold can be let go before its answer counts");
            let _ = tell.send(());
            120
        });
    });
    assert_eq!(read_all(&log, 60, 1 << 20).len(), 60);
    log.release(|| 100);
    assert!(log.reader(61, 62).next_chunk(10, 9).is_err());
}

#[tokio::test]
async fn two_cursors_find_the_bytes_before_them_and_what_either_needs() {
    let fixture = Fixture::new(1024);
    let log = fixture.open();
    for i in 0..40 {
        log.append(body(&records(i, 3))).await.unwrap();
    }
    let bytes_upto = |upto: usize| -> u64 {
        let all = (0..40).flat_map(|i| records(i, 3));
        all.take(upto).map(|record| record.len() as u64).sum()
    };
    drop(log);
    let cursors = LogCursors { closed: 10, sealed: vec![100, 31] };
    let dir = fixture.dir.path().join("log");
    let open = |cursors: &LogCursors| {
        StreamLog::open(fixture.context.clone(), fixture.pool.clone(), dir.clone(), fixture.incarnation, cursors)
    };
    let log = open(&cursors).unwrap();
    let readable = *log.progress().borrow();
    assert_eq!(readable.bytes, bytes_upto(120) - bytes_upto(31));
    assert_eq!(log.upto(31), Tally { records: 31, bytes: 0 });
    assert_eq!(log.upto(100), Tally { records: 100, bytes: bytes_upto(100) - bytes_upto(31) });
    // A cursor that begins now holds what comes, whatever the others close.
    let hold = log.hold();
    assert_eq!((hold.number, log.upto(120)), (120, Tally { records: 120, bytes: readable.bytes }));
    for i in 40..60 {
        log.append(body(&records(i, 3))).await.unwrap();
    }
    log.release(|| 180);
    assert_eq!(read_all(&log, 120, 1 << 20).len(), 60);
    drop(hold);
    log.release(|| 160);
    assert!(log.reader(121, 122).next_chunk(10, 9).is_err());
    drop(log);
    // What the one that is behind still needs is missing: damage, though the other has passed it.
    let behind = LogCursors { closed: 10, sealed: vec![180, 31] };
    assert!(matches!(open(&behind), Err(RecoveryError::Damaged { record: 32, .. })));
    let ahead = LogCursors { closed: 160, sealed: vec![180, 165] };
    let log = open(&ahead).unwrap();
    assert_eq!((log.upto(165).bytes, log.upto(180).bytes), (0, log.progress().borrow().bytes));
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_damage_below_a_mark_is_a_fault() {
    let fixture = Fixture::new(1 << 20);
    let log = fixture.open();
    for _ in 0..3 {
        log.append(body(&records(5, 2))).await.unwrap();
    }
    drop(log);
    let path = fixture.segment_files().pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let frame = (whole.len() - 64) / 3;
    // The last frame torn at any byte: the two before stay.
    for cut in 1..frame {
        for file in fixture.segment_files() {
            std::fs::remove_file(file).unwrap();
        }
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let log = fixture.open();
        assert_eq!(log.synced_last(), 4, "cut {cut}");
        assert_eq!(read_all(&log, 0, 1 << 20).len(), 4);
    }
    // A flipped byte in the first frame, which the later ones mark as synced.
    for at in [64 + 10, 64 + 70, 64 + frame - 1] {
        for file in fixture.segment_files() {
            std::fs::remove_file(file).unwrap();
        }
        let mut bad = whole.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let error = fixture.try_open(0, 0).unwrap_err();
        assert!(matches!(error, RecoveryError::Damaged { record: 1, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_full_budget_throttles_and_taking_resumes_when_there_is_room() {
    let mut fixture = Fixture::new(512);
    fixture.context.budget = Arc::new(DiskBudget::new(2048, 0));
    let log = fixture.open();
    let mut taken = 0;
    let refusal = loop {
        match log.append(body(&records(30, 2))).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, AppendError::NoRoom(_)));
    assert!(taken > 2);
    log.release(|| log.synced_last());
    log.append(body(&records(0, 1))).await.unwrap();
}

#[tokio::test]
async fn closed_data_in_the_active_segment_goes_when_room_is_short() {
    let mut fixture = Fixture::new(64 << 20);
    fixture.context.budget = Arc::new(DiskBudget::new(4 << 20, 0));
    let log = fixture.open();
    let fill = || async { while log.append(body(&[vec![b'x'; 100_000]])).await.is_ok() {} };
    fill().await;
    // All of it closed: it goes although its file is open.
    log.release(|| log.synced_last());
    assert_eq!(log.file_bytes(), 0);
    fill().await;
    // Part of it closed: what comes goes to another segment, and this one when the rest is closed.
    let last = log.synced_last();
    log.release(|| last - 1);
    assert!(log.append(body(&[vec![b'x'; 100_000]])).await.is_err());
    log.release(|| last);
    assert_eq!(log.append(body(&records(0, 1))).await.unwrap().first, last + 1);
    assert_eq!(fixture.segment_files().len(), 1);
}

#[test]
fn frame_golden() {
    let encoded = frame::EncodedBody::new(FrameBody {
        lengths: vec![3, 0, 2],
        payload: b"abcde".to_vec(),
        extensions: vec![Extension { kind: frame::extension_kind::TOKEN, value: b"t".to_vec() }],
    });
    let assigned = frame::Assigned { segment_id: 7, first: 41, arrival_ms: 1_700_000_000_123, synced_last: 40 };
    let log = crate::stream::Id128([7; 16]);
    let mut bytes = encoded.header(&assigned, log).to_vec();
    encoded.parts().iter().for_each(|p| bytes.extend_from_slice(p));
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/log/frame-v1.hex");
    if std::env::var("HYDRANT_WRITE_GOLDEN").is_ok() {
        std::fs::create_dir_all(std::path::Path::new(golden).parent().unwrap()).unwrap();
        std::fs::write(golden, format!("{hex}\n")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(golden).unwrap().trim(), hex);
    let header = frame::FrameHeader::parse(&bytes, log).unwrap();
    assert!(frame::FrameHeader::parse(&bytes, crate::stream::Id128([8; 16])).is_err());
    assert_eq!((header.assigned, header.last()), (assigned, 43));
    let opened = header.open(&bytes[frame::HEADER_BYTES..]).unwrap();
    assert_eq!(opened.lengths().collect::<Vec<_>>(), [3, 0, 2]);
    assert_eq!(opened.payload, b"abcde");
    assert_eq!(opened.extensions().unwrap().len(), 1);
}

/// A clock that a test moves.
#[derive(Debug, Default)]
struct Hands(std::sync::atomic::AtomicI64);

impl Clock for Hands {
    fn wall_ms(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.wall_ms() as u64)
    }
}

#[tokio::test]
async fn what_is_kept_for_replay_is_kept_as_long_over_a_restart() {
    let mut fixture = Fixture::new(300);
    let clock = Arc::new(Hands::default());
    fixture.context.clock = clock.clone();
    fixture.context.options.retention_ms = 1000;
    let log = fixture.open();
    let mut last = 0;
    // The first segment is begun at 0 and takes records up to 900.
    for now_ms in [0, 900, 900, 900, 900] {
        clock.0.store(now_ms, std::sync::atomic::Ordering::Relaxed);
        last = log.append(body(&records(60, 1))).await.unwrap().last;
    }
    assert!(fixture.segment_files().len() >= 2);
    drop(log);
    let before = fixture.segment_files();
    for (now_ms, gone) in [(1500, 0), (1899, 0), (1900, before.len())] {
        clock.0.store(now_ms, std::sync::atomic::Ordering::Relaxed);
        drop(fixture.try_open(last, last).unwrap());
        let left = fixture.segment_files().into_iter().filter(|file| before.contains(file)).count();
        assert_eq!(left, before.len() - gone, "at {now_ms}");
    }
}

#[tokio::test]
async fn the_budget_holds_what_a_crash_left_behind_the_last_frame_until_the_file_goes() {
    let mut fixture = Fixture::new(1 << 20);
    let log = fixture.open();
    log.append(body(&records(0, 3))).await.unwrap();
    log.append(body(&records(3, 3))).await.unwrap();
    drop(log);
    let path = fixture.segment_files().pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([7; 5000]);
    std::fs::write(&path, bytes).unwrap();
    fixture.context.budget = Arc::new(DiskBudget::unlimited());
    let on_disk = || fixture.segment_files().iter().map(|file| std::fs::metadata(file).unwrap().len()).sum::<u64>();
    let log = fixture.open();
    assert!(on_disk() > 5000);
    assert_eq!(fixture.context.budget.used_bytes(), on_disk());
    log.append(body(&records(6, 3))).await.unwrap();
    log.close_if_idle(Duration::ZERO);
    log.release(|| 9);
    assert_eq!((fixture.context.budget.used_bytes(), on_disk()), (0, 0));
}

#[tokio::test]
async fn a_failed_commit_leaves_no_empty_file_and_no_uncounted_byte() {
    let disk = crate::disk::faulty::FaultyDisk::new();
    let mut fixture = Fixture::new(1 << 20);
    fixture.context.disk = Arc::new(disk.clone());
    let log = fixture.open();
    let on_disk = || {
        let entries = disk.list(&fixture.dir.path().join("log")).unwrap();
        (entries.len(), entries.iter().map(|entry| entry.len_bytes).sum::<u64>())
    };
    // Room for the header of a segment and half a frame.
    for _ in 0..5 {
        disk.disk_full_after(segment::HEADER_BYTES + 100);
        assert!(log.append(body(&records(60, 3))).await.is_err());
        assert_eq!((on_disk(), fixture.context.budget.used_bytes()), ((0, 0), 0));
    }
    disk.disk_full_after(u64::MAX);
    log.append(body(&records(0, 3))).await.unwrap();
    disk.disk_full_after(100);
    assert!(log.append(body(&records(60, 3))).await.is_err());
    assert_eq!((on_disk().0, on_disk().1), (1, fixture.context.budget.used_bytes()));
    disk.disk_full_after(u64::MAX);
    assert_eq!(log.append(body(&records(3, 3))).await.unwrap().first, 4);
    assert_eq!(on_disk(), (2, fixture.context.budget.used_bytes()));
    log.close_if_idle(Duration::ZERO);
    log.release(|| 6);
    assert_eq!((on_disk(), fixture.context.budget.used_bytes()), ((0, 0), 0));
}

#[tokio::test]
async fn a_record_that_imitates_a_frame_makes_no_mark() {
    let fixture = Fixture::new(1 << 20);
    let log = fixture.open();
    log.append(body(&records(0, 2))).await.unwrap();
    let assigned = frame::Assigned { segment_id: 1, first: 5000, arrival_ms: 0, synced_last: 4999 };
    // The best a producer can do, who does not know the log's incarnation.
    let imitation = frame::EncodedBody::new(body(&records(0, 1))).header(&assigned, Incarnation::random()).to_vec();
    // The frame of the imitation is torn behind it.
    log.append(body(&[imitation, vec![b'x'; 100]])).await.unwrap();
    drop(log);
    let path = fixture.segment_files().pop().unwrap();
    let mut torn = std::fs::read(&path).unwrap();
    torn.truncate(torn.len() - 10);
    std::fs::write(&path, torn).unwrap();
    let log = fixture.open();
    assert_eq!((log.synced_last(), read_all(&log, 0, 1 << 20)), (2, records(0, 2)));
}
