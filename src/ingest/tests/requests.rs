//! The parser against serde_json on generated requests, and its errors one by one.

use super::double::records;
use super::oracle::{self, Verdict};
use crate::ingest::{MAX_RECORD_BYTES, Put, parse_put_record, parse_put_record_batch};
use crate::wire::ApiError;
use proptest::prelude::*;

pub(super) fn verdict(parsed: Result<Put, ApiError>) -> Verdict {
    match parsed {
        Ok(put) => Verdict::Accepted { records: records(&put.body), stream: put.stream },
        Err(error) if error.kind == "SerializationException" => {
            Verdict::Refused { kind: error.kind, message: String::new() }
        }
        Err(error) => Verdict::Refused { kind: error.kind, message: error.message },
    }
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// White space between tokens, mostly none.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}", 1 => Just("\u{b}".to_owned())]
}

/// A JSON string of `value` with each character escaped in one of its ways.
fn quoted(value: String) -> impl Strategy<Value = String> {
    let length = value.chars().count();
    prop::collection::vec(0..40u8, length).prop_map(move |ways| {
        let mut text = String::from("\"");
        for (c, way) in value.chars().zip(ways) {
            match (way, c) {
                (0, c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
                (1, c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04X}"))),
                (2..20, '/') => text.push_str("\\/"),
                (_, '"') => text.push_str("\\\""),
                (_, '\\') => text.push_str("\\\\"),
                (2..39, c) if c < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
                (_, c) => text.push(c),
            }
        }
        text.push('"');
        text
    })
}

/// A value of any type, also for where another is expected.
fn value(of: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    prop_oneof![
        20 => of,
        1 => Just("null".to_owned()),
        1 => prop::sample::select(vec!["nul", "nullx", "true", "0", "-1.5e3", "{}", "[]", "[null]", "\"\"", "\"x\"", "", "\""])
            .prop_map(str::to_owned),
    ]
    .boxed()
}

fn data() -> BoxedStrategy<String> {
    let good = prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| base64(&bytes));
    let any_text = prop_oneof![12 => good, 1 => "[A-Za-z0-9+/=]{0,9}", 1 => any::<String>()];
    value(any_text.prop_flat_map(quoted))
}

fn member(name: &'static str, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let name = prop_oneof![
        40 => Just(name.to_owned()),
        1 => Just(name.to_lowercase()),
        1 => Just("Other".to_owned()),
    ];
    (name.prop_flat_map(quoted), space(), space(), value).prop_map(|(n, a, b, v)| format!("{n}{a}:{b}{v}")).boxed()
}

/// Members in any order, some missing or twice, with or without the right punctuation.
fn object(members: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let count = members.len();
    let picks = prop_oneof![
        20 => Just((0..count).collect::<Vec<_>>()).prop_shuffle(),
        1 => prop::collection::vec(0..count, 0..count + 2),
    ];
    let comma = prop_oneof![60 => Just(","), 1 => Just(""), 1 => Just(",,")];
    (picks, members, space(), comma)
        .prop_map(|(picks, members, space, comma)| {
            let picked: Vec<_> = picks.iter().map(|i| members[*i].clone()).collect();
            format!("{{{space}{}{space}}}", picked.join(&format!("{space}{comma}{space}")))
        })
        .boxed()
}

fn stream_name() -> BoxedStrategy<String> {
    let name = prop_oneof![8 => "[a-zA-Z0-9_.-]{1,20}", 1 => "[a-z]{60,70}", 1 => any::<String>()];
    value(name.prop_flat_map(quoted))
}

fn record() -> BoxedStrategy<String> {
    value(object(vec![member("Data", data())]))
}

fn batch() -> impl Strategy<Value = String> {
    let list = prop::collection::vec(record(), 0..6).prop_map(|all| format!("[{}]", all.join(",")));
    let body = object(vec![member("DeliveryStreamName", stream_name()), member("Records", value(list))]);
    (space(), body, space()).prop_map(|(a, body, b)| format!("{a}{body}{b}"))
}

fn single() -> impl Strategy<Value = String> {
    object(vec![member("DeliveryStreamName", stream_name()), member("Record", record())])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn batches_are_read_as_serde_json_reads_them(text in batch()) {
        prop_assert_eq!(verdict(parse_put_record_batch(text.as_bytes())), oracle::put_record_batch(text.as_bytes()));
    }

    #[test]
    fn single_records_are_read_as_serde_json_reads_them(text in single()) {
        prop_assert_eq!(verdict(parse_put_record(text.as_bytes())), oracle::put_record(text.as_bytes()));
    }
}

fn batch_of(lengths: &[usize]) -> String {
    let entries: Vec<_> = lengths.iter().map(|n| format!("{{\"Data\":\"{}\"}}", base64(&vec![b'x'; *n]))).collect();
    format!("{{\"DeliveryStreamName\":\"s\",\"Records\":[{}]}}", entries.join(","))
}

fn error_of(text: &str) -> (&'static str, String) {
    let error = parse_put_record_batch(text.as_bytes()).unwrap_err();
    assert_eq!(verdict(parse_put_record_batch(text.as_bytes())), oracle::put_record_batch(text.as_bytes()));
    (error.kind, error.message)
}

#[test]
fn limits_are_inclusive() {
    assert_eq!(parse_put_record_batch(batch_of(&[0; 500]).as_bytes()).unwrap().body.lengths.len(), 500);
    let (kind, message) = error_of(&batch_of(&[1; 501]));
    assert_eq!(kind, "ValidationException");
    assert!(
        message.ends_with("'records' failed to satisfy constraint: Member must have length less than or equal to 500")
    );

    let four = [MAX_RECORD_BYTES, MAX_RECORD_BYTES, MAX_RECORD_BYTES, MAX_RECORD_BYTES];
    let exact = [&four[..], &[4 * 1024 * 1024 - 4 * MAX_RECORD_BYTES]].concat();
    assert_eq!(parse_put_record_batch(batch_of(&exact).as_bytes()).unwrap().body.payload.len(), 4 * 1024 * 1024);
    let over = [&exact[..], &[1]].concat();
    let expected = ("InvalidArgumentException", "Records size exceeds 4 MB limit".to_owned());
    assert_eq!(error_of(&batch_of(&over)), expected);

    let (kind, message) = error_of(&batch_of(&[1, MAX_RECORD_BYTES + 1]));
    assert_eq!(kind, "ValidationException");
    assert_eq!(
        message,
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1024001 cap=1024001]' at \
         'records.2.member.data' failed to satisfy constraint: Member must have length less than or equal to 1024000"
    );
}

#[test]
fn a_body_full_of_flaws_is_answered_shortly() {
    for flawed in ["null", "{}", r#"{"Data":null}"#] {
        let records = vec![flawed; (1 << 20) / flawed.len()].join(",");
        let (kind, message) = error_of(&format!("{{\"DeliveryStreamName\":\"s\",\"Records\":[{records}]}}"));
        assert_eq!(kind, "ValidationException");
        assert!(message.starts_with("501 validation errors detected: "), "{}", &message[..80]);
        assert!(message.len() < 100_000, "{} bytes", message.len());
    }
}

#[test]
fn a_single_record_has_its_own_paths() {
    let text = format!("{{\"DeliveryStreamName\":\"s\",\"Record\":{{\"Data\":\"{}\"}}}}", base64(&vec![0; 1_024_001]));
    let error = parse_put_record(text.as_bytes()).unwrap_err();
    assert!(error.message.contains("at 'record.data' failed"), "{}", error.message);
    let error = parse_put_record(b"{}").unwrap_err();
    assert_eq!(
        error.message,
        "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must not be \
         null; Value at 'record' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn a_serialization_error_says_where() {
    let error = parse_put_record(br#"{"DeliveryStreamName":7}"#).unwrap_err();
    assert_eq!(error.kind, "SerializationException");
    assert_eq!(error.message, "DeliveryStreamName is a string (at byte 22)");
    let cases = [
        (r#"{"Record":{}}"#, "unknown member: 'Record'; did you mean 'Records'? (at byte 2)"),
        (r#"{"zzz":{}}"#, "unknown member: 'zzz' (at byte 2)"),
        (
            r#"{"Records":[{"Data":""},{"data":1}]}"#,
            "unknown member of a record: 'data'; did you mean 'Data'? in record 2 (at byte 26)",
        ),
        (r#"{"Records":[null,{"Data":""},{"Data":"YQ"}]}"#, "Data is not base64 in record 3 (at byte 38)"),
        (r#"{"Records":[{"Data":""}}"#, "',' or ']' is expected (at byte 23)"),
    ];
    for (body, expected) in cases {
        assert_eq!(parse_put_record_batch(body.as_bytes()).unwrap_err().message, expected, "{body}");
    }
    let error = parse_put_record(br#"{"Record":{"Data":"YQ"}}"#).unwrap_err();
    assert_eq!(error.message, "Data is not base64 (at byte 19)");
    let long = format!("{{\"{}\":1}}", "x".repeat(1 << 20));
    assert!(parse_put_record(long.as_bytes()).unwrap_err().message.len() < 100);
}

#[test]
fn decoding_allocates_the_payload_once() {
    let text = batch_of(&[436; 500]);
    let put = parse_put_record_batch(text.as_bytes()).unwrap();
    assert_eq!(put.body.payload.capacity(), text.len() / 4 * 3);
}
