//! The persisted form: round trips, the golden file, and forms of a newer program.

use super::super::JournalError;
use super::super::codec::{
    ChunkBase, Decoded, Envelope, Forget, HEAD_BYTES, LaneBase, Payload, SnapshotEnd, Unreadable, decode_entry,
    decode_head, encode,
};
use super::super::segment::{SegmentName, encode_header, scan};
use super::super::writer::{JournalOptions, Writer};
use super::fixtures::{Maker, close_of, inline_parcel, lane};
use super::model::Entry;
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk, create_dir_durable};
use crate::stream::definition::{CopyCommand, LoadMethod, RequestFormat};
use crate::stream::prefix::TimeZone;
use crate::stream::seal::{
    Attempts, CutReason, Fates, LaneId, Load, Notes, Parcel, ParcelKind, Place, Request, Seal, SpooledChunk, Taken,
    Tally, Turn,
};
use crate::stream::{Id128, NumberSet, Position, Run};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![
        Just(Position::start()),
        any::<u64>().prop_map(Position::from_number),
        "([0-9a-f][0-9a-f]){1,64}(\\.[1-9][0-9]{0,17})?".prop_map(|text| text.parse().unwrap()),
    ]
}

fn id() -> impl Strategy<Value = Id128> {
    any::<[u8; 16]>().prop_map(Id128)
}

fn lane_id() -> impl Strategy<Value = LaneId> {
    (id(), ".{0,20}").prop_map(|(incarnation, lane)| LaneId { incarnation, lane })
}

fn tally() -> impl Strategy<Value = Tally> {
    any::<(u64, u64)>().prop_map(|(records, bytes)| Tally { records, bytes })
}

fn fates() -> impl Strategy<Value = Fates> {
    let split = prop_oneof![Just(0), any::<u64>()];
    (tally(), tally(), tally(), tally(), split).prop_map(|(delivered, refused, dropped, discarded, split)| Fates {
        delivered,
        refused,
        dropped,
        discarded,
        split,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let format =
        prop_oneof![Just(RequestFormat::Firehose), Just(RequestFormat::Ndjson), Just(RequestFormat::JsonArray)];
    let attributes = proptest::option::of(".{0,20}");
    (format, attributes, any::<(u64, i64)>(), any::<(u64, u64, u32)>()).prop_map(
        |(format, common_attributes, (source_bytes, oldest_arrival_ms), (offset_bytes, length_bytes, crc32c))| {
            let notes = Notes { offset_bytes, length_bytes, crc32c };
            Request { format, common_attributes, source_bytes, oldest_arrival_ms, notes }
        },
    )
}

fn load() -> impl Strategy<Value = Load> {
    let method = prop_oneof![Just(LoadMethod::Copy), Just(LoadMethod::CopyFromStdin)];
    let texts = (".{0,40}", ".{0,40}", ".{0,20}");
    let copy = (".{1,20}", ".{0,20}", ".{0,20}");
    (".{0,40}", texts, copy, method, any::<(u64, u64, i64)>()).prop_map(|(lane, texts, copy, method, numbers)| {
        let ((manifest_key, object_key, ledger), (table, columns, options)) = (texts, copy);
        let (sequence, source_bytes, oldest_arrival_ms) = numbers;
        let copy = CopyCommand { table, columns, options };
        Load { lane, sequence, manifest_key, object_key, copy, method, ledger, source_bytes, oldest_arrival_ms }
    })
}

fn attempts() -> impl Strategy<Value = Attempts> {
    (id(), lane_id(), any::<(u32, u64, u64)>(), ".{0,30}").prop_map(
        |(seal, lane, (parcel, failed, paused_ms), last_error)| Attempts {
            seal,
            lane,
            parcel,
            failed,
            paused_ms,
            last_error,
        },
    )
}

fn parcel() -> impl Strategy<Value = Parcel> {
    let kind = prop_oneof![
        Just(ParcelKind::Data),
        ".{0,10}".prop_map(ParcelKind::Error),
        request().prop_map(ParcelKind::Request),
        load().prop_map(ParcelKind::Load)
    ];
    let place = prop_oneof![
        any::<u64>().prop_map(|offset_bytes| Place::Inline { offset_bytes }),
        ".{0,10}".prop_map(|name| Place::File { name }),
        Just(Place::Log),
    ];
    let texts = (".{0,10}", ".{0,40}", ".{0,10}", proptest::option::of(".{0,10}"), proptest::option::of(".{0,10}"));
    (any::<(u32, u64, u32, u64)>(), kind, texts, place).prop_map(
        |((number, length_bytes, crc32c, records), kind, texts, place)| {
            let (bucket, key, content_type, content_encoding, kms_key) = texts;
            Parcel {
                number,
                kind,
                bucket,
                key,
                content_type,
                content_encoding,
                kms_key,
                length_bytes,
                crc32c,
                records,
                place,
            }
        },
    )
}

fn number_set() -> impl Strategy<Value = NumberSet> {
    proptest::collection::vec(0u32..30, 0..6).prop_map(|numbers| numbers.into_iter().collect())
}

fn spooled() -> impl Strategy<Value = SpooledChunk> {
    let zone = proptest::option::of(Just(TimeZone::from_id("Asia/Calcutta").unwrap()));
    let naming = (".{0,10}", zone, proptest::option::of(".{0,10}"), any::<bool>());
    (".{0,10}", any::<(u64, u32, u32)>(), naming).prop_map(|(name, (length_bytes, crc32c, partitions), naming)| {
        let (prefix, time_zone, file_extension, shows_records_of_parts) = naming;
        SpooledChunk {
            name,
            length_bytes,
            crc32c,
            partitions,
            prefix,
            time_zone,
            file_extension,
            shows_records_of_parts,
        }
    })
}

fn taken() -> impl Strategy<Value = Taken> {
    (".{0,10}", any::<u64>(), number_set()).prop_map(|(lane, chunk, partitions)| Taken { lane, chunk, partitions })
}

fn chunk_base() -> impl Strategy<Value = ChunkBase> {
    (any::<u64>(), spooled(), number_set()).prop_map(|(number, chunk, closed)| ChunkBase { number, chunk, closed })
}

fn seal() -> impl Strategy<Value = Seal> {
    let cut = prop_oneof![
        Just(CutReason::Size),
        Just(CutReason::Interval),
        Just(CutReason::Flush),
        Just(CutReason::Stop),
        Just(CutReason::LaneEnd),
    ];
    let texts = (".{0,10}", proptest::option::of(".{0,10}"), proptest::option::of(".{0,10}"));
    let extra = proptest::collection::btree_map("x_[a-z]{1,5}", any::<i64>().prop_map(Into::into), 0..3);
    let parcels = proptest::collection::vec(parcel(), 0..4);
    let run = (position(), position());
    let about = (any::<(u64, u64, i64, i64)>(), cut, texts);
    let spool = (proptest::option::of(spooled()), proptest::collection::vec(taken(), 0..3));
    (id(), lane_id(), run, about, fates(), parcels, spool, extra).prop_map(
        |(id, lane, (from, to), about, fates, parcels, (spooled, taken), extra)| {
            let ((number, revision, oldest, newest), cut, texts) = about;
            Seal {
                id,
                lane,
                number,
                run: Run { from, to },
                revision,
                engine: texts.0,
                cut,
                oldest_arrival_ms: oldest,
                newest_arrival_ms: newest,
                schema: texts.1,
                module: texts.2,
                fates,
                parcels,
                spooled,
                taken,
                extra,
            }
        },
    )
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (lane_id(), position(), any::<u64>(), fates(), proptest::collection::vec(chunk_base(), 0..3)).prop_map(
            |(lane, closed, closed_number, ledger, chunks)| {
                Payload::Lane(LaneBase { lane, closed, closed_number, ledger, chunks })
            }
        ),
        any::<(u64, u64)>().prop_map(|(lanes, open_seals)| Payload::SnapshotEnd(SnapshotEnd { lanes, open_seals })),
        seal().prop_map(|seal| Payload::Seal(Arc::new(seal))),
        (seal(), parcel(), any::<(u32, u64)>(), ".{0,30}", tally()).prop_map(
            |(seal, instead, (parcel, attempts), last_error, refused)| {
                let (seal, lane) = (seal.id, seal.lane);
                Payload::Turn(Arc::new(Turn { seal, lane, parcel, attempts, last_error, instead, refused }))
            }
        ),
        seal().prop_map(|seal| Payload::Close(close_of(&seal))),
        id().prop_map(|incarnation| Payload::Forget(Forget { incarnation })),
        attempts().prop_map(|attempts| Payload::Attempts(Arc::new(attempts))),
    ]
}

fn envelope() -> impl Strategy<Value = Envelope> {
    any::<(u64, u64, u64, bool)>().prop_map(|(nonce, number, synced_upto, in_snapshot)| Envelope {
        nonce,
        number,
        synced_upto,
        in_snapshot,
    })
}

fn head_of(entry: &[u8], nonce: u64) -> super::super::codec::Head {
    match decode_head(entry[..HEAD_BYTES].try_into().unwrap(), nonce) {
        Ok(Decoded::Whole(head)) => head,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn entries_round_trip(
        envelope in envelope(),
        payload in payload(),
        inline in proptest::collection::vec(any::<u8>(), 0..300),
        before in 0..10usize,
    ) {
        let mut bytes = vec![9; before];
        let inline_at = encode(envelope, &payload, &inline, &mut bytes).unwrap();
        let entry = &bytes[before..];
        let head = head_of(entry, envelope.nonce);
        prop_assert_eq!(head.envelope, envelope);
        prop_assert_eq!(head.entry_bytes(), entry.len() as u64);
        prop_assert_eq!(head.inline_offset() as usize, inline_at - before);
        prop_assert_eq!(decode_entry(&head, entry).unwrap(), Decoded::Whole((payload, inline.as_slice())));
    }

    #[test]
    fn a_flipped_bit_never_passes_for_an_entry(
        envelope in envelope(),
        payload in payload(),
        at in any::<proptest::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut bytes = Vec::new();
        encode(envelope, &payload, b"inline", &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        match decode_head(bytes[..HEAD_BYTES].try_into().unwrap(), envelope.nonce) {
            Ok(Decoded::Broken(_)) => prop_assert!(at < HEAD_BYTES),
            Ok(Decoded::Whole(head)) => prop_assert!(matches!(decode_entry(&head, &bytes), Ok(Decoded::Broken(_)))),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

/// A segment with an entry of each kind, always the same.
fn golden_segment() -> (SegmentName, Vec<u8>, Vec<Entry>) {
    let name = SegmentName { id: 2, nonce: 0x0123_4567_89ab_cdef };
    let mut maker = Maker::default();
    let tally = |records| Tally { records, bytes: records * 10 };
    let ledger = Fates { delivered: tally(4), refused: tally(3), dropped: tally(2), discarded: tally(1), split: 0 };
    let base =
        LaneBase { lane: lane(1), closed: Position::from_number(10), closed_number: 2, ledger, chunks: Vec::new() };
    maker.set(&lane(1), 2, 10);
    let (mut seal, mut inline) = maker.seal(&lane(1), 5, &[b"first parcel", b"\x00\x01\xff"]);
    seal.schema = Some("v7".to_owned());
    seal.module = Some("ab".repeat(32));
    seal.parcels[0].content_encoding = Some("gzip".to_owned());
    seal.parcels[0].kms_key = Some("arn:aws:kms:us-east-1:000000000000:key/k".to_owned());
    seal.parcels.push(Parcel { number: 2, place: Place::File { name: "f".to_owned() }, ..seal.parcels[0].clone() });
    seal.parcels.push(Parcel { number: 3, place: Place::Log, ..seal.parcels[1].clone() });
    let (turn, error) = maker.turn(&seal, 1, b"error");
    let close = close_of(&seal);
    let forget = Forget { incarnation: lane(1).incarnation };
    let seal = Payload::Seal(Arc::new(seal));
    let entries = vec![
        (Payload::Lane(base), Vec::new()),
        (Payload::SnapshotEnd(SnapshotEnd { lanes: 1, open_seals: 0 }), Vec::new()),
        (seal, std::mem::take(&mut inline)),
        (Payload::Turn(Arc::new(turn)), error),
        (Payload::Close(close), Vec::new()),
        (Payload::Forget(forget), Vec::new()),
    ];
    let mut bytes = encode_header(name, 41).to_vec();
    for (i, (payload, inline)) in entries.iter().enumerate() {
        let number = 41 + i as u64;
        let envelope = Envelope { nonce: name.nonce, number, synced_upto: 40.max(number - 1), in_snapshot: i < 2 };
        encode(envelope, payload, inline, &mut bytes).unwrap();
    }
    (name, bytes, entries)
}

fn put(name: SegmentName, bytes: &[u8]) -> FaultyDisk {
    let disk = FaultyDisk::new();
    create_dir_durable(&disk, Path::new("/j")).unwrap();
    disk.create_new(&Path::new("/j").join(name.to_string())).unwrap().write_all_at(&[bytes], 0).unwrap();
    disk
}

#[test]
fn segments_of_version_1_are_written_and_read_as_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal/segment-v1.journal");
    let (name, bytes, entries) = golden_segment();
    if std::env::var("HYDRANT_WRITE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &bytes).unwrap();
    }
    let kept = std::fs::read(&golden).unwrap();
    assert!(kept == bytes, "version 1 is written differently; old journals must stay readable under a new version");

    let disk = put(name, &kept);
    let file = disk.open(&Path::new("/j").join(name.to_string())).unwrap();
    let mut found = Vec::new();
    let outline = scan(&*file, name, |entry| {
        found.push((entry.payload.clone(), entry.inline.to_vec()));
        Ok(())
    });
    let outline = outline.unwrap();
    assert_eq!(found, entries);
    assert_eq!((outline.next_number, outline.synced_upto, outline.bad), (Some(47), 45, None));
    Writer::open(Arc::new(disk), PathBuf::from("/j"), JournalOptions::default()).unwrap();
}

/// Opens a journal whose segment `change` has changed, checksums made right again.
fn open_changed(change: impl FnOnce(&mut Vec<u8>)) -> JournalError {
    let (name, mut bytes, _) = golden_segment();
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[..36]).to_le_bytes();
    bytes[36..40].copy_from_slice(&crc);
    let entry = 40;
    let crc = crc32c::crc32c(&bytes[entry..entry + 40]).to_le_bytes();
    bytes[entry + 40..entry + 44].copy_from_slice(&crc);
    let body_bytes = u32::from_le_bytes(bytes[entry + 32..entry + 36].try_into().unwrap()) as usize;
    let end = entry + HEAD_BYTES + body_bytes;
    let crc = crc32c::crc32c(&bytes[entry..end]).to_le_bytes();
    bytes[end..end + 4].copy_from_slice(&crc);
    let disk = Arc::new(put(name, &bytes));
    match Writer::open(disk, PathBuf::from("/j"), JournalOptions::default()) {
        Err(error) => error,
        Ok(_) => panic!("it starts"),
    }
}

#[test]
fn a_newer_or_unknown_form_is_refused_by_name() {
    let newer = |error: JournalError| assert!(matches!(error, JournalError::Newer { .. }), "{error}");
    newer(open_changed(|bytes| bytes[8] = 2));
    newer(open_changed(|bytes| bytes[44] = 2));
    newer(open_changed(|bytes| {
        let at = memchr::memmem::find(bytes, b"\"version\":1").unwrap();
        bytes[at + 10] = b'5';
    }));
    match open_changed(|bytes| bytes[45] = 17) {
        JournalError::Damaged { offset_bytes: 40, reason, .. } => assert!(reason.contains("kind 17"), "{reason}"),
        other => panic!("{other}"),
    }
}

#[test]
fn entries_that_tell_of_spool_requests_or_loads_are_newer_than_others() {
    let version = |payload: Payload| {
        let mut bytes = Vec::new();
        let envelope = Envelope { nonce: 1, number: 1, synced_upto: 0, in_snapshot: false };
        encode(envelope, &payload, &[], &mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[HEAD_BYTES..]).chars().skip(11).take(1).collect::<String>()
    };
    let mut seal = Maker::default().seal(&lane(1), 5, &[]).0;
    assert_eq!(version(Payload::Seal(Arc::new(seal.clone()))), "1");
    seal.taken.push(Taken { lane: "put".to_owned(), chunk: 1, partitions: [0].into_iter().collect() });
    assert_eq!(version(Payload::Seal(Arc::new(seal.clone()))), "2");
    seal.parcels.push(request_parcel());
    assert_eq!(version(Payload::Seal(Arc::new(seal.clone()))), "3");
    assert_eq!(version(Payload::Attempts(Arc::new(attempts_of(&seal)))), "3");
    seal.parcels.push(load_parcel(&seal));
    assert_eq!(version(Payload::Seal(Arc::new(seal.clone()))), "4");
    assert_eq!(version(Payload::Attempts(Arc::new(attempts_of(&seal)))), "3");
}

/// A load of the first parcel's bytes.
fn load_parcel(seal: &Seal) -> Parcel {
    let load = Load {
        lane: format!("{}/put", seal.lane.incarnation),
        sequence: seal.number,
        manifest_key: "p/manifests/2026/07/13/14/s-2026-07-13-14-05-09-m".to_owned(),
        object_key: "p/2026/07/13/14/s-1-2026-07-13-14-05-09-o".to_owned(),
        copy: CopyCommand { table: "t".to_owned(), columns: "a, b".to_owned(), options: String::new() },
        method: LoadMethod::CopyFromStdin,
        ledger: "hydrant_loads".to_owned(),
        source_bytes: 500,
        oldest_arrival_ms: 1_700_000_000_000,
    };
    let mut parcel = seal.parcels[0].clone();
    (parcel.number, parcel.kind) = (7, ParcelKind::Load(load));
    parcel
}

/// A request with the notes `n`, behind the body `b`.
fn request_parcel() -> Parcel {
    let request = Request {
        format: RequestFormat::Firehose,
        common_attributes: Some(r#"{"commonAttributes":{"a":"b"}}"#.to_owned()),
        source_bytes: 500,
        oldest_arrival_ms: 1_700_000_000_000,
        notes: Notes { offset_bytes: 1, length_bytes: 1, crc32c: crc32c::crc32c(b"n") },
    };
    let mut parcel = inline_parcel(0, 0, b"b");
    (parcel.kind, parcel.bucket) = (ParcelKind::Request(request), String::new());
    parcel
}

fn attempts_of(seal: &Seal) -> Attempts {
    let last_error = "HttpEndpoint.RequestTimeout".to_owned();
    Attempts { seal: seal.id, lane: seal.lane.clone(), parcel: 0, failed: 3, paused_ms: 1234, last_error }
}

/// Entries of version 3: a seal with a request, its attempts, its turn, its close.
#[test]
fn requests_are_written_and_read_as_ever() {
    let mut maker = Maker::default();
    let (mut seal, _) = maker.seal(&lane(1), 5, &[]);
    seal.parcels.push(request_parcel());
    holds_its_form("requests-v3.journal", &mut maker, seal, 0, b"bn");
}

/// Entries of version 4: a seal with a load, its attempts, its turn, its close.
#[test]
fn loads_are_written_and_read_as_ever() {
    let mut maker = Maker::default();
    let (mut seal, inline) = maker.seal(&lane(1), 5, &[b"rows"]);
    seal.parcels.push(load_parcel(&seal));
    holds_its_form("loads-v4.journal", &mut maker, seal, 7, &inline);
}

/// A seal, and attempts and a turn of its parcel `number`, stand in the golden file as they are written.
fn holds_its_form(golden: &str, maker: &mut Maker, seal: Seal, number: u32, inline: &[u8]) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal").join(golden);
    let name = SegmentName { id: 1, nonce: 0x0123_4567_89ab_cdef };
    let attempts = Attempts { parcel: number, ..attempts_of(&seal) };
    let (turn, error) = maker.turn(&seal, number, b"error");
    let close = close_of(&seal);
    let entries: Vec<Entry> = vec![
        (Payload::SnapshotEnd(SnapshotEnd { lanes: 0, open_seals: 0 }), Vec::new()),
        (Payload::Seal(Arc::new(seal)), inline.to_vec()),
        (Payload::Attempts(Arc::new(attempts)), Vec::new()),
        (Payload::Turn(Arc::new(turn)), error),
        (Payload::Close(close), Vec::new()),
    ];
    let mut bytes = encode_header(name, 1).to_vec();
    for (number, (payload, inline)) in (1..).zip(&entries) {
        let envelope = Envelope { nonce: name.nonce, number, synced_upto: number - 1, in_snapshot: number == 1 };
        encode(envelope, payload, inline, &mut bytes).unwrap();
    }
    if std::env::var("HYDRANT_WRITE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&golden, &bytes).unwrap();
    }
    let kept = std::fs::read(&golden).unwrap();
    assert!(kept == bytes, "written differently; old journals must stay readable under a new version");
    let disk = put(name, &kept);
    let file = disk.open(&Path::new("/j").join(name.to_string())).unwrap();
    let mut found = Vec::new();
    scan(&*file, name, |entry| {
        found.push((entry.payload.clone(), entry.inline.to_vec()));
        Ok(())
    })
    .unwrap();
    assert_eq!(found, entries);
    Writer::open(Arc::new(disk), PathBuf::from("/j"), JournalOptions::default()).unwrap();
}

#[test]
fn unknown_members_of_a_seal_are_kept() {
    let json = br#"{"version":1,"seal":{"id":"000102030405060708090a0b0c0d0e0f","lane":{"incarnation":
        "00000000000000000000000000000001","lane":"put"},"number":1,"run":{"from":"","to":"0000000000000001"},
        "revision":1,"engine":"9","cut":"size","oldest_arrival_ms":1,"newest_arrival_ms":1,"fates":{
        "delivered":{"records":1,"bytes":1},"refused":{"records":0,"bytes":0},"dropped":{"records":0,"bytes":0},
        "discarded":{"records":0,"bytes":0}},"parcels":[],"later":{"a":[1,2]}}}"#;
    let mut bytes = Vec::new();
    let envelope = Envelope { nonce: 1, number: 1, synced_upto: 0, in_snapshot: false };
    let Payload::Seal(seal) = Payload::from_json(3, json).unwrap() else { unreachable!() };
    assert_eq!(seal.extra["later"].to_string(), r#"{"a":[1,2]}"#);
    let payload = Payload::Seal(seal);
    encode(envelope, &payload, &[], &mut bytes).unwrap();
    let head = head_of(&bytes, 1);
    assert_eq!(decode_entry(&head, &bytes), Ok::<_, Unreadable>(Decoded::Whole((payload, &[][..]))));
}
