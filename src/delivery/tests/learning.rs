//! A stream that learns its table while what it gets changes, over restarts and power cuts. Oracle: each acknowledged
//! record in exactly one object with the value it was sent with; of each table that an object has, one declaration.

use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::stage::convert::ddl::parse_table;
use crate::stream::definition::{ConvertSpec, Deserializer, ParquetCompression, ParquetOptions, SchemaRef};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::collections::{BTreeSet, HashMap};

pub fn learning(name: &str, size_bytes: u64, interval_ms: u64) -> Definition {
    let mut definition = definition(name, Compression::Uncompressed, size_bytes, interval_ms);
    definition.s3.prefix = "events/y=".to_owned();
    let text = str::to_owned;
    definition.convert = Some(ConvertSpec {
        schema: SchemaRef {
            catalog_id: text("000000000000"),
            database: text("hydrant"),
            table: text("infer"),
            region: text("us-east-1"),
            version_id: text("LATEST"),
            role_arn: text("arn:aws:iam::000000000000:role/r"),
        },
        deserializer: Deserializer::OpenX {
            case_insensitive: true,
            key_mappings: BTreeMap::new(),
            dots_to_underscores: false,
        },
        unknown_fields_column: None,
        parquet: ParquetOptions {
            block_size_bytes: 1 << 20,
            page_size_bytes: 1 << 16,
            compression: ParquetCompression::Snappy,
            dictionary: true,
            writer_v2: false,
            max_padding_bytes: 0,
            int96_timestamps: false,
            bloom_filter_columns: Vec::new(),
            bloom_filter_fpp: 0.01,
        },
    });
    definition
}

/// Record `id`, whose shape is of its time.
fn record(id: usize) -> String {
    let v = value(id);
    match id / 10 {
        0 => format!("{{\"id\":{id},\"v\":{v}}}\n"),
        1 => format!("{{\"id\":{id},\"v\":{v},\"o\":{{\"k\":true}}}}\n"),
        2 => format!("{{\"v\":\"{v}\",\"o\":{{\"l{}\":[{id}]}},\"id\":{id}}}\n", id % 3),
        era => format!("{{\"id\":{id},\"v\":[{v}],\"new{era}\":null,\"e{era}\":[]}}\n"),
    }
}

fn value(id: usize) -> String {
    if id.is_multiple_of(7) { format!("{id}.5") } else { format!("{}", id * 3) }
}

/// What stands in a store, checked as far as it can be alone: the ids of all rows, revisions of tables.
fn rows(store: &MemoryStore) -> (Vec<usize>, Vec<u64>) {
    let (mut ids, mut revisions) = (Vec::new(), Vec::new());
    let (mut declared, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (key, (_, bytes)) in store.objects.lock().iter() {
        if let Some(name) = key.strip_prefix("events/_schema/s-") {
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains("LOCATION 's3://b/events/'") && key.ends_with(".sql"), "{key}: {text}");
            declared.insert(parse_table(&text).unwrap().version);
            revisions.push(name.split('-').next().unwrap().parse().unwrap());
            continue;
        }
        assert!(key.starts_with("events/y=") && key.ends_with(".parquet"), "{key}");
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
        let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
        used.extend(pairs.iter().filter(|pair| pair.key == "hydrant.schema").filter_map(|pair| pair.value.clone()));
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let fields: HashMap<&String, &Field> = row.get_column_iter().collect();
            let Field::Long(id) = fields[&"id".to_owned()] else { panic!("{row}") };
            let found = match fields[&"v".to_owned()] {
                Field::Long(value) => value.to_string(),
                Field::Double(value) => value.to_string(),
                Field::Str(text) => text.trim_matches(['[', ']']).to_owned(),
                other => panic!("{other}"),
            };
            assert_eq!(found, value(*id as usize), "{key}: record {id}");
            ids.push(*id as usize);
        }
    }
    assert!(used.is_subset(&declared), "used {used:?}, declared {declared:?}");
    ids.sort_unstable();
    revisions.sort_unstable();
    (ids, revisions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_learns_what_comes_and_goes_on_with_it_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let definition = learning("s", 1 << 20, 900_000);
    let incarnation = definition.incarnation;
    let mut learnt = 0;
    for life in 0..5usize {
        let node = Node::in_folder(dir.path(), &store).await;
        if life == 0 {
            node.create(definition.clone()).unwrap();
            // As long as nothing has a value there is no table.
            node.put(incarnation, &["{}\n".to_owned(), "{\"n\":null}\n".to_owned(), "no JSON\n".to_owned()])
                .await
                .unwrap();
            flush(&node, 3).await;
            assert_eq!(node.supervisor.stream("s").unwrap().ledger.refused.records, 3);
            assert_eq!(node.supervisor.stream("s").unwrap().learnt, None);
            store.objects.lock().clear();
        }
        let status = node.until("s", |status| life == 0 || status.learnt.is_some()).await;
        assert_eq!(status.learnt.map_or(0, |learnt| learnt.revision), learnt);
        for part in 0..2 {
            let from = life * 10 + part * 5;
            let records: Vec<String> = (from..from + 5).map(record).collect();
            node.put(incarnation, &records).await.unwrap();
            flush(&node, 3 + from as u64 + 5).await;
        }
        let status = node.supervisor.stream("s").unwrap();
        learnt = status.learnt.unwrap().revision;
        assert_eq!(status.ledger.refused.records, 3);
        node.stop().await;
    }
    let (ids, revisions) = rows(&store);
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
    assert_eq!(revisions, (1..=learnt).collect::<Vec<_>>(), "one declaration of each");
    assert!(learnt >= 5, "{learnt}");
    // The last one has everything, in the order in which it was learnt.
    let objects = store.objects.lock();
    let last = objects.iter().find(|(key, _)| key.starts_with(&format!("events/_schema/s-{learnt}-"))).unwrap();
    let schema = parse_table(std::str::from_utf8(&last.1.1).unwrap()).unwrap();
    let columns: Vec<_> = schema.columns.iter().map(|column| column.to_string()).collect();
    assert_eq!(
        columns.join(", "),
        "id bigint, v string, o struct<k:boolean,l2:array<bigint>,l0:array<bigint>,l1:array<bigint>>, \
         e3 array<string>, e4 array<string>"
    );
}

/// Waits until all that was put has a fate.
async fn flush(node: &Node, records: u64) {
    node.until("s", |status| status.ledger.received.records == records).await;
    node.supervisor.flush("s").unwrap();
    node.until("s", |status| status.ledger.in_flight.records == 0).await;
}

/// A life that ends at disk operation `cut_after`, one that ends soon after, and one that drains.
async fn lives(cut_after: Option<u64>, is_power_cut: bool) -> u64 {
    let (mut disk, store) = (FaultyDisk::new(), Arc::new(MemoryStore::default()));
    let definition = learning("s", 120, 0);
    let incarnation = definition.incarnation;
    let (mut next, mut acknowledged) = (0, BTreeSet::new());
    let cuts = [cut_after, cut_after.map(|operations| operations % 29 + 3), None];
    let mut operations = 0;
    for cut in cuts {
        if let Some(more) = cut {
            disk.cut_after(disk.operations() + more);
        }
        match Node::start(Arc::new(disk.clone()), "/data".into(), store.clone()).await {
            Ok(node) => {
                if node.context.catalog.find("s").is_some() || node.create(definition.clone()).is_ok() {
                    for _ in 0..8 {
                        let ids: Vec<usize> = (next..next + 4).collect();
                        next += 4;
                        let records: Vec<String> = ids.iter().map(|id| record(*id)).collect();
                        if node.put(incarnation, &records).await.is_ok() {
                            acknowledged.extend(ids);
                        }
                        if disk.is_off() {
                            break;
                        }
                    }
                }
                if cut.is_none() {
                    let done = |status: &StreamStatus| {
                        status.state == StreamState::Faulted
                            || (status.ledger.received.records > 0 && status.ledger.in_flight.records == 0)
                    };
                    let status = tokio::time::timeout(Duration::from_secs(60), node.until("s", done)).await.unwrap();
                    assert_eq!((status.state, status.ledger.refused.records), (StreamState::Running, 0), "{status:?}");
                }
                node.stop().await;
            }
            Err(error) => assert!(cut.is_some(), "{error}"),
        }
        operations = disk.operations();
        disk = if is_power_cut { disk.power_cut(cut.unwrap_or(0)) } else { disk.process_crash() };
    }
    let (ids, revisions) = rows(&store);
    let unique: BTreeSet<usize> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "doubled");
    assert!(acknowledged.is_subset(&unique), "lost {:?}", acknowledged.difference(&unique));
    assert!(unique.iter().all(|id| *id < next), "alien");
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "declared twice: {revisions:?}");
    operations
}

#[test]
fn a_learning_stream_may_end_at_every_write_and_sync() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Those of a life that nothing ends.
    let operations = runtime.block_on(lives(None, false));
    assert!(operations > 30, "{operations}");
    for is_power_cut in [true, false] {
        for cut_after in 0..operations {
            runtime.block_on(lives(Some(cut_after), is_power_cut));
        }
    }
    println!("cuts {}", 2 * operations);
}
