//! Payloads, other records, bounds; and payloads of any kind against a second reading.

mod second_reading;

use super::*;
use crate::fuzz_tests::{End, fuzz};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn payload(messages: &[&str]) -> Vec<u8> {
    let events: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(i, message)| json!({"id": i.to_string(), "timestamp": 1_432_826_855_000u64, "message": message}))
        .collect();
    let envelope = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "g", "logStream": "s",
        "subscriptionFilters": ["f"], "logEvents": events,
    });
    envelope.to_string().into_bytes()
}

fn control() -> Vec<u8> {
    let text = "CWL CONTROL MESSAGE: Checking health of destination Firehose.";
    let envelope = json!({
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
        "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": 1, "message": text}],
    });
    envelope.to_string().into_bytes()
}

/// What became of one record: what passed, or `dropped`, or the code and text of its refusal.
fn fate(extract_messages: bool, record: &[u8]) -> Result<Option<Vec<u8>>, (String, String)> {
    let mut stage = DecompressStage::new(Decompression { extract_messages });
    stage.begin(Chunk::from_records([record], 0, 7));
    let staged = stage.next().unwrap();
    assert!(stage.next().is_none());
    let counts = (staged.passed.slots.len(), staged.dropped.len(), staged.refused.len());
    match counts {
        (1, 0, 0) => Ok(Some(staged.passed.bytes(&staged.passed.slots[0]).to_vec())),
        (0, 1, 0) => Ok(None),
        (0, 0, 1) => {
            let cause = staged.refused[0].cause.clone();
            assert_eq!((cause.kind, cause.attempts), (ErrorKind::DecompressionFailed, 1));
            Err((cause.code, cause.message))
        }
        _ => panic!("one record, {counts:?} fates"),
    }
}

#[test]
fn payloads_pass_or_give_their_messages() {
    let data = payload(&["one", "two\nlines", "é \"q\"", ""]);
    let messages = "one\ntwo\nlines\né \"q\"\n\n".as_bytes().to_vec();
    let two = [gzip(&payload(&["a"])), gzip(&payload(&["b", "c"]))].concat();
    let with_control = [gzip(&control()), gzip(&payload(&["b"]))].concat();
    // A member may end anywhere.
    let cut = [gzip(&data[..17]), gzip(&data[17..])].concat();
    for (record, whole, extracted) in [
        (gzip(&data), data.clone(), Some(messages.clone())),
        (cut, data.clone(), Some(messages)),
        (two, [payload(&["a"]), payload(&["b", "c"])].concat(), Some(b"a\nb\nc\n".to_vec())),
        (with_control, [control(), payload(&["b"])].concat(), Some(b"b\n".to_vec())),
        (gzip(&control()), control(), None),
        (gzip(&payload(&[])), payload(&[]), None),
    ] {
        assert_eq!(fate(false, &record), Ok(Some(whole)));
        assert_eq!(fate(true, &record), Ok(extracted));
        assert!(looks_like_payload(&record));
    }
}

#[test]
fn anything_else_is_refused() {
    let good = gzip(&payload(&["x"]));
    let mut wrong_sum = good.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let not_utf8 = gzip(b"{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"\xff\",\"logEvents\":[]}");
    for (record, code, text) in [
        (Vec::new(), "InvalidGzip", "does not begin with the bytes 1f 8b"),
        (b"plain".to_vec(), "InvalidGzip", "does not begin with the bytes 1f 8b"),
        (payload(&["plain"]), "InvalidGzip", "does not begin with the bytes 1f 8b"),
        (good[..good.len() - 3].to_vec(), "InvalidGzip", "not valid gzip"),
        (good[..5].to_vec(), "InvalidGzip", "not valid gzip"),
        (wrong_sum, "InvalidGzip", "not valid gzip"),
        (
            [good.clone(), b"tail".to_vec()].concat(),
            "InvalidGzip",
            "not valid gzip: 4 bytes that are no gzip follow it",
        ),
        ([good.clone(), b"xx".to_vec()].concat(), "InvalidGzip", "not valid gzip: 2 bytes that are no gzip follow it"),
        (gzip(b""), "InvalidPayload", "it is empty"),
        (gzip(b"a line of a vended log\n"), "InvalidPayload", "expected value"),
        (gzip(b"[]"), "InvalidPayload", "invalid length 0"),
        (gzip(b"{\"a\":1}"), "InvalidPayload", "missing field `messageType`"),
        (gzip(b"{\"messageType\":\"DATA_MESSAGE\"}"), "InvalidPayload", "missing field `logEvents`"),
        (gzip(b"{\"messageType\":\"X\",\"logEvents\":[]}"), "InvalidPayload", "messageType is 'X'"),
        (gzip(b"{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{}]}"), "InvalidPayload", "missing field `message`"),
        (gzip(&[payload(&["a"]), b"x".to_vec()].concat()), "InvalidPayload", "expected value"),
        (not_utf8, "InvalidPayload", "not UTF-8"),
        (gzip(b"\"text\""), "InvalidPayload", "invalid type: string \"text\", expected an object with messageType"),
        (gzip(format!("\"{}\"", "é".repeat(9000)).as_bytes()), "InvalidPayload", "éé…."),
    ] {
        for extract in [false, true] {
            let (found, message) = fate(extract, &record).unwrap_err();
            assert_eq!(found, format!("Decompression.{code}"), "{message}");
            assert!(message.contains(text) && message.len() < 400, "{message}");
        }
    }
    for record in [&b""[..], b"plain", &payload(&["plain"]), &good[..5], &gzip(b"[]"), &gzip(b"{\"a\":1}")] {
        assert!(!looks_like_payload(record));
    }
}

#[test]
fn what_expands_too_far_is_refused_and_memory_stays_bounded() {
    let zeros = vec![b' '; MAX_EXPANDED_BYTES];
    let mut fits = payload(&["x"]);
    fits.resize(MAX_EXPANDED_BYTES, b' ');
    assert_eq!(fate(false, &gzip(&fits)), Ok(Some(fits)));
    let bomb = gzip(&[zeros, b"  ".to_vec()].concat());
    assert!(bomb.len() < 20_000);
    for extract in [false, true] {
        assert_eq!(fate(extract, &bomb).unwrap_err().0, "Decompression.TooLong");
        assert!(!looks_like_payload(&bomb));
    }
    // Records that each keep within the bound come out a few at a time.
    let message = "m".repeat(1 << 20);
    let record = gzip(&payload(&[&message]));
    let chunk = Chunk::from_records([&record[..]; 40], 3, 7);
    let mut stage = DecompressStage::new(Decompression { extract_messages: true });
    stage.begin(chunk);
    let (mut next, mut pieces) = (3, 0);
    while let Some(staged) = stage.next() {
        assert!(staged.passed.buffer.len() <= ENOUGH_BYTES + message.len() + 1);
        for (slot, bytes) in staged.passed.iter() {
            assert_eq!((slot.origin.ordinal, slot.origin.part, slot.arrival_ms), (next, 0, 7));
            assert_eq!((bytes.len(), bytes.last()), (message.len() + 1, Some(&b'\n')));
            next += 1;
        }
        pieces += 1;
    }
    assert_eq!((next, pieces), (43, 10));
}

/// What mutations insert.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "0",
    " ",
    "\n",
    "\0",
    "é",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\"message\":\"m\"",
    "\"logEvents\":[",
    "DATA_MESSAGE",
    "CONTROL_MESSAGE",
    "{\"message\":\"\"},",
];

#[test]
fn payloads_get_the_verdict_of_a_second_reading() {
    let mut random = fastrand::Rng::with_seed(1);
    fuzz("CloudWatch Logs payloads", "payloads", TOKENS, &mut |texts| {
        let judged = texts.iter().map(|text| {
            let record = stored(text);
            // Damaged gzip must not do worse than be refused.
            let mut damaged = record.clone();
            let at = random.usize(..damaged.len());
            damaged[at] ^= 1 << random.u8(..8);
            let _ = fate(true, &damaged);
            let (found, shown) = (fate(true, &record), String::from_utf8_lossy(text));
            match second_reading::messages(text) {
                Some(Some(messages)) => match found {
                    Ok(found) => {
                        assert_eq!(found.unwrap_or_default(), messages, "{shown}");
                        End::Accepted
                    }
                    // Plain values take the last of equal names, whatever the others hold.
                    Err((_, message)) => {
                        assert!(has_equal_names(text), "{message} of {shown}");
                        End::Refused
                    }
                },
                Some(None) => {
                    assert!(found.is_err(), "taken: {shown}");
                    End::Refused
                }
                None => End::Undecided,
            }
        });
        judged.collect()
    });
}

/// Whether a name that is read stands more often in `text` than in what plain values keep of it.
fn has_equal_names(text: &[u8]) -> bool {
    let values = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>();
    let kept: String = values.map_while(Result::ok).map(|value| value.to_string()).collect();
    let text = String::from_utf8_lossy(text);
    ["\"messageType\"", "\"logEvents\"", "\"message\""]
        .iter()
        .any(|name| text.matches(name).count() != kept.matches(name).count())
}

/// Gzip without compression, which costs least.
fn stored(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
