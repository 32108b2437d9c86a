//! TargetObjectSizeInMBs: objects of a size, whatever their records are encoded to.

use super::*;

const TARGET: usize = 300_000;

fn sizes(store: &MemoryStore) -> Vec<usize> {
    let mut objects: Vec<_> = store.objects.lock().iter().map(|(key, (_, bytes))| (key.clone(), bytes.len())).collect();
    objects.sort();
    objects.into_iter().map(|(_, length)| length).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_grow_until_they_are_encoded_to_their_size() {
    for compression in [Compression::Gzip, Compression::Uncompressed, Compression::HadoopSnappy] {
        let (_dir, store, node) = Node::new().await;
        let mut definition = definition("t", compression, 1000, 900_000);
        definition.target_object_bytes = Some(TARGET as u64);
        let incarnation = definition.incarnation;
        node.create(definition).unwrap();
        // About a sixth by gzip; noise beside what repeats.
        let mut random = fastrand::Rng::with_seed(7);
        let mut sent = 0;
        for _ in 0..70 {
            let rows: Vec<_> = (0..100)
                .map(|_| format!("{:016x} {}\n", random.u64(..), "some words that repeat ".repeat(12)))
                .collect();
            sent += rows.iter().map(String::len).sum::<usize>();
            node.put(incarnation, &rows).await.unwrap();
        }
        node.supervisor.flush("t").unwrap();
        let status = node.until("t", |s| s.ledger.in_flight.records == 0 && s.open_seals == 0).await;
        assert_eq!(status.ledger.delivered.bytes, sent as u64);
        let sizes = sizes(&store);
        let whole = sizes.iter().filter(|length| (TARGET..TARGET * 5 / 4).contains(*length)).count();
        match compression {
            // The first object and the last may be smaller: what an object comes to is not known yet, and a flush cuts.
            Compression::Uncompressed => assert!(whole == sizes.len() - 1 && whole >= 6, "{sizes:?}"),
            _ => assert!(sizes.iter().all(|length| *length < TARGET * 5 / 4), "{compression:?} {sizes:?}"),
        }
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_is_cut_into_whole_objects_and_the_estimate_is_learnt() {
    let (_dir, store, node) = Node::new().await;
    let mut definition = definition("t", Compression::Gzip, 1000, 900_000);
    definition.target_object_bytes = Some(TARGET as u64);
    let incarnation = definition.incarnation;
    node.create(definition).unwrap();
    node.supervisor.pause("t").unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut rows = || -> Vec<String> {
        (0..500).map(|_| format!("{:032x} {}\n", random.u128(..), "some words that repeat ".repeat(12))).collect()
    };
    for _ in 0..80 {
        node.put(incarnation, &rows()).await.unwrap();
    }
    node.until("t", |s| s.waiting_records == 40_000).await;
    node.supervisor.resume("t").unwrap();
    // Far more than SizeInMBs waits, and more than the first estimate; what is left in the end is less than an object.
    let is_done = |s: &StreamStatus| s.open_seals == 0 && s.ledger.delivered.records > 20_000;
    let status = node.until("t", is_done).await;
    let whole = sizes(&store);
    assert!(whole.len() >= 2 && whole.iter().all(|length| (TARGET..TARGET * 5 / 4).contains(length)), "{whole:?}");
    // New records come one after the other: the cut waits for what the objects so far needed.
    let mut left = status.waiting_records;
    let before = whole.len();
    while sizes(&store).len() == before {
        node.put(incarnation, &rows()).await.unwrap();
        left += 500;
        node.until("t", |s| s.waiting_records == left || s.ledger.delivered.records > status.ledger.delivered.records)
            .await;
        assert!(left < 40_000, "no cut comes");
    }
    let all = sizes(&store);
    assert!(all.iter().all(|length| (TARGET..TARGET * 5 / 4).contains(length)), "{all:?}");
    node.stop().await;
}
