//! Spool chunks are taken apart by seals of another lane, over restarts and snapshots; each partition goes out once.

use super::super::{Journal, JournalError, JournalOptions, OrderError};
use super::fixtures::{Maker, close_of, lane};
use crate::disk::faulty::FaultyDisk;
use crate::stream::seal::{LaneId, Seal, SpooledChunk, Taken};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A seal that made a chunk, as it should be known.
#[derive(Debug, Clone, Default, PartialEq)]
struct ModelChunk {
    partitions: u32,
    sealed: BTreeSet<u32>,
    closed: BTreeSet<u32>,
}

fn spooled(number: u64, partitions: u32) -> SpooledChunk {
    SpooledChunk {
        name: format!("chunk-{number}"),
        length_bytes: 10,
        crc32c: 7,
        partitions,
        prefix: String::new(),
        time_zone: None,
        file_extension: None,
        shows_records_of_parts: false,
    }
}

fn shown(journal: &Journal, source: &LaneId) -> BTreeMap<u64, ModelChunk> {
    let lane = journal.lane(source);
    let chunk = |(number, chunk): &(u64, Arc<super::super::Chunk>)| {
        assert_eq!(chunk.spooled, spooled(*number, chunk.spooled.partitions));
        let numbers =
            |set: &crate::stream::NumberSet| (0..chunk.spooled.partitions).filter(|n| set.contains(*n)).collect();
        let (sealed, closed) = (numbers(&chunk.sealed), numbers(&chunk.closed));
        (*number, ModelChunk { partitions: chunk.spooled.partitions, sealed, closed })
    };
    lane.chunks.iter().map(chunk).collect()
}

fn partition_lane(source: &LaneId) -> LaneId {
    LaneId::partitions(source.incarnation)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_is_taken_once_whatever_restarts() {
    let seed = std::env::var("HYDRANT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}; HYDRANT_TEST_SEED repeats it");
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = FaultyDisk::new();
    let options = JournalOptions { roll_bytes: 4 << 10, ..JournalOptions::default() };
    let open = || Journal::open(Arc::new(disk.clone()), "/journal".into(), options.clone()).unwrap();
    let source = lane(1);
    let (mut maker, mut journal) = (Maker::default(), open());
    let mut model = BTreeMap::<u64, ModelChunk>::new();
    let mut open_runs: Vec<Seal> = Vec::new();
    let mut open_cuts: Vec<Seal> = Vec::new();
    let mut closed_number = 0;
    for _ in 0..400 {
        match random.u8(..12) {
            0..=2 if open_runs.len() < 4 => {
                let (mut seal, inline) = maker.seal(&source, 3, &[b"error"]);
                let partitions = random.u32(1..6);
                seal.spooled = Some(spooled(seal.number, partitions));
                journal.seal(seal.clone(), inline).await.unwrap();
                model.insert(seal.number, ModelChunk { partitions, ..ModelChunk::default() });
                open_runs.push(seal);
            }
            3..=6 if open_cuts.len() < 4 => {
                let mut wanted = BTreeMap::<u64, Vec<u32>>::new();
                for (number, chunk) in &model {
                    let free = (0..chunk.partitions).filter(|partition| !chunk.sealed.contains(partition));
                    let some: Vec<u32> = free.filter(|_| random.bool()).collect();
                    if !some.is_empty() {
                        wanted.insert(*number, some);
                    }
                }
                if wanted.is_empty() {
                    continue;
                }
                let before = maker.clone();
                let (mut seal, inline) = maker.seal(&partition_lane(&source), 1, &[b"data"]);
                let taken = |(chunk, partitions): (&u64, &Vec<u32>)| Taken {
                    lane: source.lane.clone(),
                    chunk: *chunk,
                    partitions: partitions.iter().copied().collect(),
                };
                seal.taken = wanted.iter().map(taken).collect();
                if random.u8(..4) == 0 {
                    // Takes one of them twice, or what never was: nothing of it may stay.
                    let again =
                        if random.bool() { seal.taken[0].partitions.clone() } else { [9].into_iter().collect() };
                    seal.taken.push(Taken { partitions: again, ..seal.taken[0].clone() });
                    let refused = journal.seal(seal, inline).await;
                    assert!(matches!(refused, Err(JournalError::Order(OrderError::NotSpooled { .. }))), "{refused:?}");
                    maker = before;
                    maker.skip_ids(1_000);
                } else {
                    journal.seal(seal.clone(), inline).await.unwrap();
                    for (number, partitions) in wanted {
                        model.get_mut(&number).unwrap().sealed.extend(partitions);
                    }
                    open_cuts.push(seal);
                }
            }
            7..=8 if !open_runs.is_empty() => {
                let seal = open_runs.remove(0);
                journal.close(close_of(&seal)).await.unwrap();
                closed_number = seal.number;
            }
            9..=10 if !open_cuts.is_empty() => {
                let seal = open_cuts.remove(0);
                journal.close(close_of(&seal)).await.unwrap();
                for taken in &seal.taken {
                    let chunk = model.get_mut(&taken.chunk).unwrap();
                    chunk.closed.extend((0..chunk.partitions).filter(|n| taken.partitions.contains(*n)));
                }
            }
            11 => {
                drop(journal);
                journal = open();
            }
            _ => {}
        }
        model.retain(|number, chunk| *number > closed_number || chunk.closed.len() < chunk.partitions as usize);
        assert_eq!(shown(&journal, &source), model);
    }
}
