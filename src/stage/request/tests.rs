//! Bodies by other readers, and back again.

use super::notes::Note;
use super::read::Records;
use super::*;
use crate::stream::definition::RequestFormat::{Firehose, JsonArray, Ndjson};
use proptest::prelude::*;
use std::io::Read;

const ID: &str = "00010203-0405-8607-8809-0a0b0c0d0e0f";

fn body(format: RequestFormat, is_gzip: bool, items: &[Item<'_>]) -> (Vec<u8>, Ended) {
    let mut body = Body::begin(format, is_gzip, ID, 1_700_000_000_123);
    let mut out = Vec::new();
    for item in items {
        assert!(body.has_room(item.bytes.len()));
        body.push(item, &mut out).unwrap();
    }
    let ended = body.finish(&mut out).unwrap();
    (out, ended)
}

fn items<'a>(records: &'a [&'a [u8]]) -> Vec<Item<'a>> {
    let item = |(at, bytes): (usize, &&'a [u8])| Item { bytes, sequence: 7 + at as u64, part: 0, arrival_ms: 5 };
    records.iter().enumerate().map(item).collect()
}

#[test]
fn bodies_of_each_format() {
    let records: [&[u8]; 4] = [b"{\"a\":1}\n", b"", b"\xff\x00", b"x"];
    let (text, ended) = body(Firehose, false, &items(&records));
    assert_eq!(
        String::from_utf8(text).unwrap(),
        format!(
            r#"{{"requestId":"{ID}","timestamp":1700000000123,"records":[{{"data":"eyJhIjoxfQo="}},{{"data":""}},{{"data":"/wA="}},{{"data":"eA=="}}]}}"#
        )
    );
    assert_eq!((ended.records, ended.oldest_arrival_ms), (4, 5));
    // Version, no lengths, one span of four whole records from 7 on, arrival 5.
    assert_eq!(ended.notes, [1, 0, 1, 8, 14, 10]);

    let (text, _) = body(Ndjson, false, &items(&records));
    assert_eq!(text, b"{\"a\":1}\n\n\xff\x00\nx\n");
    let (text, _) = body(JsonArray, false, &items(&[b"{\"a\":1}\n", b"2", b" \"x\" "]));
    assert_eq!(text, b"[{\"a\":1}\n,2, \"x\" ]");

    let (packed, _) = body(Firehose, true, &items(&records));
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, body(Firehose, false, &items(&records)).0);
}

#[test]
fn what_no_request_takes_is_refused() {
    assert_eq!(refusal(Firehose, &vec![0; MAX_RECORD_BYTES]), None);
    assert!(refusal(Firehose, &vec![0; MAX_RECORD_BYTES + 1]).unwrap().contains("1024002"));
    assert_eq!(refusal(Ndjson, &vec![0; MAX_RECORD_BYTES + 1]), None);
    for good in [&b"{}"[..], b" [1] \n", b"\"\xc3\xa9\"", b"-0.5"] {
        assert_eq!(refusal(JsonArray, good), None, "{good:?}");
    }
    for bad in [&b""[..], b"{}{}", b"{", b"\"\xff\"", b"1,2"] {
        assert!(refusal(JsonArray, bad).unwrap().contains("JSON_ARRAY"), "{bad:?}");
    }
}

#[test]
fn a_body_has_an_end() {
    let mut many = Body::begin(Firehose, false, ID, 0);
    let mut out = io::sink();
    for sequence in 0..MAX_RECORDS {
        assert!(many.has_room(1));
        many.push(&Item { bytes: b"x", sequence, part: 0, arrival_ms: 0 }, &mut out).unwrap();
    }
    assert!(!many.has_room(0));

    let (mut large, mut out, record) = (Body::begin(Firehose, false, ID, 0), Vec::new(), vec![7; MAX_RECORD_BYTES]);
    let mut sequence = 0;
    while large.has_room(record.len()) {
        large.push(&Item { bytes: &record, sequence, part: 0, arrival_ms: 0 }, &mut out).unwrap();
        sequence += 1;
    }
    large.finish(&mut out).unwrap();
    assert_eq!(sequence, 49);
    assert!(out.len() as u64 <= MAX_BODY_BYTES);
}

#[derive(Debug, Clone)]
struct Made {
    bytes: Vec<u8>,
    sequence: u64,
    part: u32,
    arrival_ms: i64,
}

/// Records in the order in which stages hand them on: some are missing, some are split.
fn made() -> impl Strategy<Value = Vec<Made>> {
    let step = (proptest::collection::vec(any::<u8>(), 0..40), 0u64..3, 0u32..3, 0i64..2);
    proptest::collection::vec(step, 1..60).prop_map(|steps| {
        let (mut sequence, mut part, mut arrival_ms) = (1 << 40, 0, 1_700_000_000_000);
        let mut all = Vec::new();
        for (bytes, gap, parts, later_ms) in steps {
            if gap == 0 && !all.is_empty() {
                part += 1 + parts;
            } else {
                (sequence, part) = (sequence + gap.max(1), if parts == 2 { 1 } else { 0 });
                arrival_ms += later_ms;
            }
            all.push(Made { bytes, sequence, part, arrival_ms });
        }
        all
    })
}

proptest! {
    #[test]
    fn records_and_notes_come_back(made in made(), is_gzip: bool, is_firehose: bool) {
        let format = if is_firehose { Firehose } else { Ndjson };
        let items: Vec<_> = made
            .iter()
            .map(|m| Item { bytes: &m.bytes, sequence: m.sequence, part: m.part, arrival_ms: m.arrival_ms })
            .collect();
        let (text, ended) = body(format, is_gzip, &items);
        let notes = notes::read(&ended.notes).unwrap();
        prop_assert_eq!(notes.len(), made.len());
        let mut records = Records::of(format, is_gzip, &text[..]).unwrap();
        for (note, made) in notes.iter().zip(&made) {
            let length_bytes = (!is_firehose).then_some(made.bytes.len() as u64);
            let (sequence, part, arrival_ms) = (made.sequence, made.part, made.arrival_ms);
            prop_assert_eq!(*note, Note { sequence, part, arrival_ms, length_bytes });
            let raw = records.next_base64(note).unwrap();
            prop_assert_eq!(base64_simd::STANDARD.decode_to_vec(raw).unwrap(), made.bytes.clone());
        }
        // Cut anywhere, notes are refused and nothing panics.
        for upto in 0..ended.notes.len() {
            prop_assert!(notes::read(&ended.notes[..upto]).is_err());
        }
    }

    #[test]
    fn json_values_come_back(values in proptest::collection::vec("[a-z]{0,9}", 1..9)) {
        let records: Vec<Vec<u8>> = values.iter().map(|v| format!(" {{\"v\":\"{v}\"}}\n").into_bytes()).collect();
        let borrowed: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let (text, ended) = body(JsonArray, false, &items(&borrowed));
        let parsed: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(parsed.len(), values.len());
        let mut read = Records::of(JsonArray, false, &text[..]).unwrap();
        for (note, record) in notes::read(&ended.notes).unwrap().iter().zip(&records) {
            let raw = read.next_base64(note).unwrap();
            prop_assert_eq!(&base64_simd::STANDARD.decode_to_vec(raw).unwrap(), record);
        }
    }

    #[test]
    fn foreign_notes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = notes::read(&bytes);
    }
}
