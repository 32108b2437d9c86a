use super::codec::{self, SpoolError};
use super::*;
use crate::record::{Origin, ParcelBytes, Slot};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

#[derive(Debug)]
struct InMemory(Vec<u8>);

impl ParcelBytes for InMemory {
    fn length_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let rest = self.0.get(offset_bytes as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(rest.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// (key, ordinal, part, arrival, record, source, counted bytes).
type Pushed = (Vec<u8>, u64, u32, i64, Vec<u8>, Option<Vec<u8>>, u64);

fn written(records: &[Pushed]) -> (Vec<u8>, Vec<Partition>) {
    let mut bytes = Vec::new();
    let mut writer = SpoolWriter::new(&mut bytes).unwrap();
    for (key, ordinal, part, arrival_ms, record, source, counted_bytes) in records {
        let origin = Origin { ordinal: *ordinal, part: *part };
        let slot = Slot { start: 0, len: record.len() as u32, origin, arrival_ms: *arrival_ms };
        let (source, counted_bytes) = (source.as_deref(), *counted_bytes);
        writer.push(key, Spooled { slot, bytes: record, source, counted_bytes }).unwrap();
    }
    let (partitions, _) = writer.finish().unwrap();
    (bytes, partitions)
}

fn read(bytes: Vec<u8>) -> io::Result<BTreeMap<Vec<u8>, Vec<Pushed>>> {
    let chunk = SpoolChunk::new(Arc::new(InMemory(bytes)));
    let mut found = BTreeMap::new();
    for partition in chunk.partitions()? {
        assert_eq!(chunk.partition(partition.entry)?, partition);
        let mut records = Vec::new();
        for extent in &partition.extents {
            let read = chunk.records(extent)?;
            assert_eq!(read.passed.slots.len(), extent.records as usize);
            assert_eq!(read.counted_bytes.iter().sum::<u64>(), extent.counted_bytes);
            for (place, ((slot, record), counted_bytes)) in read.passed.iter().zip(&read.counted_bytes).enumerate() {
                assert!((extent.oldest_arrival_ms..=extent.newest_arrival_ms).contains(&slot.arrival_ms));
                let source = chunk.source(&read, place)?;
                let source = (*source != *record).then(|| source.to_vec());
                let Origin { ordinal, part } = slot.origin;
                records.push((
                    partition.key.to_vec(),
                    ordinal,
                    part,
                    slot.arrival_ms,
                    record.to_vec(),
                    source,
                    *counted_bytes,
                ));
            }
        }
        assert_eq!(partition.records(), records.len() as u64);
        assert!(found.insert(partition.key.to_vec(), records).is_none(), "a key stands for one partition");
    }
    Ok(found)
}

/// As a record is pushed, but for the step from the ordinal before.
type Random = (u8, u64, u32, i64, Vec<u8>, Option<Vec<u8>>, u64);

fn pushed() -> impl Strategy<Value = Vec<Pushed>> {
    let record = || proptest::collection::vec(any::<u8>(), 0..40);
    let one = (0u8..4, 0u64..3, 0u32..3, any::<i64>(), record(), proptest::option::of(record()), 0u64..50);
    proptest::collection::vec(one, 0..60).prop_map(|records| {
        let mut last = 0;
        let ascending = |(key, step, part, arrival_ms, record, source, counted): Random| {
            last += step;
            let source = source.filter(|source| *source != record);
            (vec![key; usize::from(key)], last, part, arrival_ms, record, source, counted)
        };
        records.into_iter().map(ascending).collect()
    })
}

proptest! {
    #[test]
    fn records_come_back_by_partition(records in pushed()) {
        let (bytes, partitions) = written(&records);
        let mut expected: BTreeMap<Vec<u8>, Vec<Pushed>> = BTreeMap::new();
        for record in records {
            expected.entry(record.0.clone()).or_default().push(record);
        }
        let chunk = SpoolChunk::new(Arc::new(InMemory(bytes.clone())));
        prop_assert_eq!(chunk.partitions().unwrap(), partitions);
        prop_assert_eq!(read(bytes).unwrap(), expected);
    }

    #[test]
    fn damage_is_found(records in pushed(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        let (bytes, _) = written(&records);
        let mut damaged = bytes.clone();
        let at = at.index(bytes.len());
        match cut {
            true => damaged.truncate(at),
            // Bytes 6 and 7 are reserved.
            false => damaged[if at == 6 || at == 7 { 0 } else { at }] ^= 1 << bit,
        }
        prop_assert!(read(damaged).is_err());
    }

    #[test]
    fn foreign_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut sealed = bytes.clone();
        sealed.extend(crc32c::crc32c(&bytes).to_le_bytes());
        let _ = codec::parse_footer(&sealed, 1 << 20);
        if let Ok(read) = codec::parse_extent(sealed.into()) {
            let chunk = SpoolChunk::new(Arc::new(InMemory(bytes)));
            (0..read.sources.len()).for_each(|place| drop(chunk.source(&read, place)));
        }
    }
}

#[test]
fn more_than_a_section_keeps_its_order() {
    let record = vec![b'x'; SECTION_BYTES / 5];
    let pushed = |i: u64| (vec![(i % 2) as u8], i, 0, i as i64, record.clone(), None, record.len() as u64);
    let records: Vec<Pushed> = (0..12).map(pushed).collect();
    let (bytes, partitions) = written(&records);
    assert_eq!(partitions.iter().map(|partition| partition.extents.len()).collect::<Vec<_>>(), [3, 3]);
    let found = read(bytes).unwrap();
    let ordinals = |key: u8| found[&vec![key]].iter().map(|record| record.1).collect::<Vec<_>>();
    assert_eq!((ordinals(0), ordinals(1)), (vec![0, 2, 4, 6, 8, 10], vec![1, 3, 5, 7, 9, 11]));
}

#[test]
fn a_newer_chunk_is_refused_by_name() {
    let (mut bytes, _) = written(&[]);
    bytes[4] = 3;
    let error = read(bytes).unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&SpoolError::Newer(3)));
}

fn golden(name: &str) -> String {
    format!("{}/tests/golden/spool/{name}.hex", env!("CARGO_MANIFEST_DIR"))
}

fn golden_records() -> [Pushed; 3] {
    [
        (b"a".to_vec(), 7, 0, 1_783_951_509_364, b"{\"k\":1}".to_vec(), None, 7),
        (b"b".to_vec(), 8, 0, 1_783_951_509_365, b"".to_vec(), Some(b"src".to_vec()), 3),
        (b"a".to_vec(), 9, 1, 1_783_951_509_300, b"{\"k\":2}".to_vec(), Some(b"".to_vec()), 900),
    ]
}

/// The records of the golden file, and a record in three parts of two partitions.
fn write_golden() -> Vec<u8> {
    let source = b"[1,2,3]";
    let mut bytes = Vec::new();
    let mut writer = SpoolWriter::new(&mut bytes).unwrap();
    for (key, ordinal, part, arrival_ms, record, source, counted_bytes) in &golden_records() {
        let slot =
            Slot { start: 0, len: 0, origin: Origin { ordinal: *ordinal, part: *part }, arrival_ms: *arrival_ms };
        let (source, counted_bytes) = (source.as_deref(), *counted_bytes);
        writer.push(key, Spooled { slot, bytes: record, source, counted_bytes }).unwrap();
    }
    for (part, key) in [(0, b"a"), (1, b"b"), (2, b"b")] {
        let slot = Slot { start: 0, len: 0, origin: Origin { ordinal: 10, part }, arrival_ms: 1_783_951_509_400 };
        let counted_bytes = if part == 0 { 7 } else { 0 };
        writer.push(key, Spooled { slot, bytes: b"p", source: Some(source), counted_bytes }).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// What this build writes; other builds read it.
#[test]
fn the_format_is_kept() {
    let bytes = write_golden();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if std::env::var_os("HYDRANT_WRITE_GOLDEN").is_some() {
        std::fs::write(golden("chunk-v2"), format!("{hex}\n")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(golden("chunk-v2")).unwrap().trim(), hex);
    let found = read(bytes).unwrap();
    let shared = |part: u32| (10, part, 1_783_951_509_400, b"p".to_vec(), Some(b"[1,2,3]".to_vec()));
    let of = |key: &[u8]| -> Vec<_> {
        found[key].iter().filter(|r| r.1 == 10).map(|r| (r.1, r.2, r.3, r.4.clone(), r.5.clone())).collect()
    };
    assert_eq!((of(b"a"), of(b"b")), (vec![shared(0)], vec![shared(1), shared(2)]));
}

/// What builds before wrote for the same records.
#[test]
fn version_1_is_read() {
    let hex = std::fs::read_to_string(golden("chunk-v1")).unwrap();
    let digits = hex.trim().as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    let found = read(digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()).unwrap();
    let records = golden_records();
    assert_eq!(found[&b"a".to_vec()], [records[0].clone(), records[2].clone()]);
    assert_eq!(found[&b"b".to_vec()], [records[1].clone()]);
}

#[test]
fn parts_of_a_record_share_its_source() {
    let source = vec![b's'; 10_000];
    for partitions in [1, 7, 50] {
        let mut bytes = Vec::new();
        let mut writer = SpoolWriter::new(&mut bytes).unwrap();
        for part in 0..50u32 {
            let slot = Slot { start: 0, len: 1, origin: Origin { ordinal: 3, part }, arrival_ms: 5 };
            let counted_bytes = if part == 0 { 10_000 } else { 0 };
            let key = [(part % partitions) as u8];
            writer.push(&key, Spooled { slot, bytes: b"p", source: Some(&source), counted_bytes }).unwrap();
        }
        writer.finish().unwrap();
        assert!(bytes.len() < 10_000 + 60 * 50, "{partitions} partitions: {}", bytes.len());
        let found = read(bytes.clone()).unwrap();
        assert!(found.values().flatten().all(|record| record.5.as_ref() == Some(&source)));
        // Damage of it is found by who looks at it.
        let at = bytes.iter().position(|byte| *byte == b's').unwrap();
        bytes[at] ^= 1;
        assert!(read(bytes).is_err());
    }
}
