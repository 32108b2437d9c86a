//! Tests of the journal: callers and threads here; `crash` holds it against `model` on a faulty disk, `damage` breaks its
//! files byte by byte, `chunks` takes spool chunks apart, `format` holds the persisted form, `fixtures` makes entries.

mod chunks;
mod crash;
mod damage;
mod fixtures;
mod format;
mod model;

use super::*;
use crate::disk::RealDisk;
use fixtures::{Maker, close_of, inline_parcel, lane, read_all};

fn open(dir: &std::path::Path) -> Journal {
    Journal::open(Arc::new(RealDisk), dir.to_owned(), JournalOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn open_seals_and_sums_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/journal");
    let (lane_a, lane_b) = (lane(1), lane(2));
    let mut maker = Maker::default();
    let (first, first_inline) = maker.seal(&lane_a, 3, &[b"one", b"two"]);
    let (second, second_inline) = maker.seal(&lane_a, 2, &[b"three"]);
    let (other, other_inline) = maker.seal(&lane_b, 1, &[]);
    {
        let journal = open(&folder);
        assert_eq!(journal.lane(&lane_a), LaneState::default());
        journal.seal(first.clone(), first_inline).await.unwrap();
        journal.seal(second.clone(), second_inline).await.unwrap();
        journal.seal(other.clone(), other_inline).await.unwrap();
        journal.close(close_of(&first)).await.unwrap();
    }
    for _ in 0..3 {
        let journal = open(&folder);
        assert_eq!(journal.lanes(), [lane_a.clone(), lane_b.clone()]);
        let state = journal.lane(&lane_a);
        assert_eq!((state.closed, state.closed_number), (first.run.to.clone(), 1));
        assert_eq!((state.sealed, state.sealed_number), (second.run.to.clone(), 2));
        assert_eq!(state.ledger, first.fates);
        assert_eq!(state.open, [Arc::new(second.clone())]);
        assert_eq!(read_all(&*journal.inline(second.id, 0).unwrap()), b"three");
        assert!(journal.inline(first.id, 0).is_none());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "superseded segments are removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_may_begin_behind_the_start_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let lane_id = LaneId::source_backup(lane(1).incarnation);
    let mut maker = Maker::default();
    let (mut seal, inline) = maker.seal(&lane(1), 3, &[b"x"]);
    seal.lane = lane_id.clone();
    seal.run = crate::stream::Run { from: Position::from_number(7), to: Position::from_number(10) };
    {
        let journal = open(dir.path());
        assert_eq!(journal.cursor(&lane_id), None);
        journal.begin(lane_id.clone(), Position::from_number(7)).await.unwrap();
        let again = journal.begin(lane_id.clone(), Position::from_number(8)).await;
        assert!(matches!(again, Err(JournalError::Order(OrderError::Snapshot))), "{again:?}");
    }
    let journal = open(dir.path());
    assert_eq!(journal.cursor(&lane_id), Some((Position::from_number(7), Position::from_number(7))));
    let mut wrong = seal.clone();
    wrong.run.to = Position::from_number(11);
    let wrong = journal.seal(wrong, inline.clone()).await;
    assert!(matches!(wrong, Err(JournalError::Order(OrderError::FatesSum { .. }))), "{wrong:?}");
    journal.seal(seal.clone(), inline).await.unwrap();
    assert_eq!(journal.cursor(&lane_id), Some((Position::from_number(7), Position::from_number(10))));
    journal.close(close_of(&seal)).await.unwrap();
    let state = open(dir.path()).lane(&lane_id);
    assert_eq!((state.closed.number(), state.closed_number, state.ledger), (Some(10), 1, seal.fates));
    journal.forget(lane_id.incarnation).await.unwrap();
    assert!(journal.lanes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_out_of_order_are_refused_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let lane = lane(1);
    let mut maker = Maker::default();
    let (first, inline) = maker.seal(&lane, 3, &[b"x"]);
    let (second, second_inline) = maker.seal(&lane, 2, &[]);
    let journal = open(dir.path());

    let refused = |result: Result<(), JournalError>| match result {
        Err(JournalError::Order(error)) => error,
        other => panic!("{other:?}"),
    };
    let gap = journal.seal(second.clone(), second_inline.clone()).await;
    assert!(matches!(refused(gap), OrderError::SealNumber { number: 2, expected: 1, .. }));
    let late =
        Seal { run: crate::stream::Run { from: Position::from_number(1), ..first.run.clone() }, ..first.clone() };
    assert!(matches!(refused(journal.seal(late, inline.clone()).await), OrderError::RunStart { .. }));
    let mut short = first.clone();
    short.fates.delivered.records -= 1;
    assert!(matches!(
        refused(journal.seal(short, inline.clone()).await),
        OrderError::FatesSum { fates: 2, records: 3, .. }
    ));
    assert!(matches!(refused(journal.seal(first.clone(), b"y".to_vec()).await), OrderError::InlineBytes { .. }));
    assert!(matches!(refused(journal.close(close_of(&first)).await), OrderError::NotOpen(_)));

    journal.seal(first.clone(), inline.clone()).await.unwrap();
    assert!(matches!(refused(journal.seal(first.clone(), inline).await), OrderError::SealTwice(_)));
    journal.seal(second.clone(), second_inline).await.unwrap();
    assert!(matches!(
        refused(journal.close(close_of(&second)).await),
        OrderError::CloseOrder { number: 2, expected: 1, .. }
    ));
    let twice = inline_parcel(0, 0, b"e");
    let turn = Turn { instead: twice, ..maker.turn(&first, 0, b"e").0 };
    assert!(matches!(refused(journal.turn(turn, b"e".to_vec()).await), OrderError::ParcelTwice { .. }));
    let before = journal.lane(&lane);
    drop(journal);
    assert_eq!(open(dir.path()).lane(&lane), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_moves_its_records_from_delivered_to_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lane = lane(7);
    let mut maker = Maker::default();
    let (seal, inline) = maker.seal(&lane, 5, &[b"data"]);
    let (turn, error) = maker.turn(&seal, 0, b"error record");
    let journal = open(dir.path());
    journal.seal(seal.clone(), inline).await.unwrap();
    journal.turn(turn.clone(), error).await.unwrap();
    drop(journal);

    let journal = open(dir.path());
    assert_eq!(journal.lane(&lane).turns, [Arc::new(turn.clone())]);
    assert_eq!(read_all(&*journal.inline(seal.id, turn.instead.number).unwrap()), b"error record");
    journal.close(close_of(&seal)).await.unwrap();
    let ledger = journal.lane(&lane).ledger;
    assert_eq!(ledger.total(), seal.fates.total());
    assert_eq!((ledger.delivered.records, ledger.refused.records), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_lanes_share_syncs_and_a_forgotten_stream_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(dir.path()));
    let mut maker = Maker::default();
    let made: Vec<_> = (0..1000).map(|i| maker.seal(&lane(i), 1, &[b"x"])).collect();
    let tasks: Vec<_> = made
        .iter()
        .cloned()
        .map(|(seal, inline)| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move { journal.seal(seal, inline).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(journal.lanes().len(), 1000);
    journal.forget(lane(500).incarnation).await.unwrap();
    assert_eq!(journal.lane(&lane(500)), LaneState::default());
    journal.stop();
    assert_eq!(journal.forget(lane(1).incarnation).await, Err(JournalError::Stopped));
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(journal.lanes().len(), 999);
    assert!(journal.inline(made[500].0.id, 0).is_none());
    assert_eq!(read_all(&*journal.inline(made[999].0.id, 0).unwrap()), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_segment_is_followed_by_a_short_one_and_old_readers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Arc::new(crate::disk::DiskBudget::unlimited());
    let options = JournalOptions { roll_bytes: 16 << 10, budget: Some(Arc::clone(&budget)) };
    let journal = Journal::open(Arc::new(RealDisk), dir.path().to_owned(), options).unwrap();
    let mut maker = Maker::default();
    let (kept, inline) = maker.seal(&lane(1), 1, &[b"kept"]);
    journal.seal(kept.clone(), inline).await.unwrap();
    let early = journal.inline(kept.id, 0).unwrap();
    for _ in 0..200 {
        let (seal, inline) = maker.seal(&lane(2), 1, &[&[7; 1000]]);
        journal.seal(seal.clone(), inline).await.unwrap();
        journal.close(close_of(&seal)).await.unwrap();
    }
    journal.stop();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
    assert_eq!(files.len(), 1);
    assert!(files[0] < 64 << 10, "{files:?}");
    assert_eq!(read_all(&*early), b"kept");
    assert_eq!(read_all(&*journal.inline(kept.id, 0).unwrap()), b"kept");
    assert_eq!(journal.lane(&lane(2)).ledger.total().records, 200);
}
