//! What is a part and what is not; whatever the records, parts and what stood between them are the records.

mod second_reading;

use super::*;
use crate::fuzz_tests::{ended, fuzz};
use proptest::collection::vec;
use proptest::prelude::*;

fn delimited(delimiter: &[u8]) -> Deaggregation {
    Deaggregation::Delimited { delimiter: delimiter.to_vec() }
}

/// All parts of the records, passed or refused, with their fate. Checks numbers and order.
fn split(spec: &Deaggregation, records: &[Vec<u8>]) -> Vec<Vec<(Vec<u8>, Option<String>)>> {
    let chunk = Chunk::from_records(records.iter().map(Vec::as_slice), 5, 9);
    let whole = chunk.buffer.as_ptr_range();
    let mut stage = DeaggregateStage::new(spec);
    stage.begin(chunk);
    let mut parts = vec![Vec::new(); records.len()];
    while let Some(staged) = stage.next() {
        assert!(staged.passed.slots.len() + staged.refused.len() <= ENOUGH_PARTS && staged.dropped.is_empty());
        assert!(whole.contains(&staged.passed.buffer.as_ptr()) || staged.passed.buffer.is_empty(), "copied");
        assert!(staged.passed.slots.is_sorted_by(|a, b| a.origin < b.origin));
        let cut_off = Chunk { buffer: staged.passed.buffer.clone(), slots: staged.refused_parts.clone() };
        let mut all: Vec<_> = staged.passed.iter().map(|(slot, bytes)| (*slot, bytes.to_vec(), None)).collect();
        assert_eq!(staged.refused.len(), cut_off.slots.len());
        for refused in &staged.refused {
            let slot = *cut_off.find(refused.origin).unwrap();
            assert_eq!(refused.cause.kind, ErrorKind::PartitioningFailed);
            all.push((slot, cut_off.bytes(&slot).to_vec(), Some(refused.cause.message.clone())));
        }
        all.sort_by_key(|(slot, ..)| slot.origin);
        for (slot, bytes, refusal) in all {
            let of_record = &mut parts[slot.origin.ordinal as usize - 5];
            assert_eq!((slot.origin.part as usize, slot.arrival_ms), (of_record.len(), 9));
            of_record.push((bytes, refusal));
        }
    }
    assert!(parts.iter().all(|parts| !parts.is_empty()), "a record without a part");
    parts
}

/// Passed parts, and the refused rest with a word of its cause.
fn outcome(spec: &Deaggregation, record: &[u8]) -> (Vec<String>, Option<(String, String)>) {
    let parts = split(spec, &[record.to_vec()]).remove(0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let passed = parts.iter().filter(|part| part.1.is_none()).map(|part| text(&part.0)).collect();
    let refused = parts.iter().find_map(|part| Some((text(&part.0), part.1.clone()?)));
    (passed, refused)
}

#[test]
fn json_objects_are_told_apart() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for (record, parts) in [
        (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
        (r#"{"a":1}{"a":2}"#, vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        ("{\"a\":1}\n{\"a\":2}\r\n\t {}\n", vec![r#"{"a":1}"#, r#"{"a":2}"#, "{}"]),
        (r#" {"a":"}{","b":{"c":[{},[]]}}"#, vec![r#"{"a":"}{","b":{"c":[{},[]]}}"#]),
        (
            "{ \"a\" : [ 1 , -0.5e+3 , true , null , false ] }",
            vec!["{ \"a\" : [ 1 , -0.5e+3 , true , null , false ] }"],
        ),
        (r#"{"\"\\\u00e9\ud800é":""}"#, vec![r#"{"\"\\\u00e9\ud800é":""}"#]),
        (&deep, vec![&deep]),
    ] {
        let (passed, refused) = outcome(&Deaggregation::Json, record.as_bytes());
        assert_eq!((passed.iter().map(String::as_str).collect::<Vec<_>>(), refused), (parts, None));
    }
}

#[test]
fn what_is_not_json_is_refused_from_there_on() {
    let truncated = r#"{"a":1}{"a":"#;
    for (record, passed, rest, why) in [
        ("", 0, "", "at byte 0 an object is expected, and the record ends"),
        (" \n", 0, " \n", "an object is expected, and the record ends"),
        ("[{\"a\":1},{\"a\":2}]", 0, "[{\"a\":1},{\"a\":2}]", "an object is expected, and there is '['"),
        ("plain", 0, "plain", "at byte 0 an object is expected, and there is 'p'"),
        (r#"{"a":1},{"a":2}"#, 1, r#",{"a":2}"#, "at byte 7 an object is expected, and there is ','"),
        ("{\"a\":1}\n\n 5\n", 1, "5\n", "at byte 10 an object is expected, and there is '5'"),
        (truncated, 1, r#"{"a":"#, "at byte 12 a value is expected, and the record ends"),
        (r#"  {"a":1]}"#, 0, r#"  {"a":1]}"#, "',' or '}' is expected, and there is ']'"),
        (r#"{"a":[1}"#, 0, r#"{"a":[1}"#, "',' or ']' is expected"),
        (r#"{a:1}"#, 0, r#"{a:1}"#, "a name in quotes is expected"),
        (r#"{"a" 1}"#, 0, r#"{"a" 1}"#, "':' is expected"),
        (r#"{"a":1,}"#, 0, r#"{"a":1,}"#, "a name in quotes is expected"),
        (r#"{"a":[1,]}"#, 0, r#"{"a":[1,]}"#, "a value is expected"),
        (r#"{"a":01}"#, 0, r#"{"a":01}"#, "',' or '}' is expected"),
        (r#"{"a":-}"#, 0, r#"{"a":-}"#, "a digit is expected"),
        (r#"{"a":1.}"#, 0, r#"{"a":1.}"#, "a digit is expected"),
        (r#"{"a":nul}"#, 0, r#"{"a":nul}"#, "a value is expected"),
        (r#"{"a":"\x"}"#, 0, r#"{"a":"\x"}"#, "an escape that JSON knows is expected"),
        (r#"{"a":"\u12g4"}"#, 0, r#"{"a":"\u12g4"}"#, "a hex digit is expected"),
        (
            "{\"a\":\"\t\"}",
            0,
            "{\"a\":\"\t\"}",
            "no control character in a string is expected, and there is the byte 0x09",
        ),
        (r#"{"a":"open"#, 0, r#"{"a":"open"#, "the end of a string is expected, and the record ends"),
        ("{}\u{feff}{}", 1, "\u{feff}{}", "an object is expected, and there is the byte 0xef"),
    ] {
        let (found, refused) = outcome(&Deaggregation::Json, record.as_bytes());
        let (found_rest, message) = refused.unwrap_or_else(|| panic!("taken: {record}"));
        assert_eq!((found.len(), found_rest.as_str()), (passed, rest), "{record}");
        assert!(message.contains(why), "{record}: {message}");
    }
    let (found, refused) = outcome(&Deaggregation::Json, b"{\"a\":\"\xc3\xa9\"}{\"b\":\"\xff\"}{}");
    assert_eq!(found, ["{\"a\":\"é\"}"]);
    assert!(refused.unwrap().1.contains("not UTF-8 from byte 16 on"));
}

#[test]
fn pieces_are_what_stands_between_delimiters() {
    for (delimiter, record, pieces) in [
        ("####", "a####b####c", vec!["a", "b", "c"]),
        ("####", "a####b####", vec!["a", "b"]),
        ("####", "####a#####b###", vec!["a", "#b###"]),
        ("\n", "a\n\n\nb\n", vec!["a", "b"]),
        ("\n", "a", vec!["a"]),
        // An empty record stays one.
        ("\n", "", vec![""]),
        ("\n", "\n\n", vec![""]),
        ("aa", "aaa", vec!["a"]),
    ] {
        assert_eq!(outcome(&delimited(delimiter.as_bytes()), record.as_bytes()), (strings(&pieces), None), "{record}");
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_record_of_many_parts_comes_out_in_pieces() {
    let records = [b"{}".repeat(100_000), b"{\"a\":1}".to_vec(), b"{}{".to_vec(), b"{} ".repeat(70_000)];
    let parts = split(&Deaggregation::Json, &records);
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [100_000, 1, 2, 70_000]);
    let parts = split(&delimited(b","), &[b"1,".repeat(200_000)]);
    assert_eq!(parts[0].len(), 200_000);
}

/// What mutations insert.
const TOKENS: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "true", "0", "-", ".", "e5", " ", "\n", "\0", "é", "{}", "\\u12",
    "\\ud800", "\u{feff}",
];

#[test]
fn objects_are_those_that_another_parser_finds() {
    fuzz("JSON objects in records", "objects", TOKENS, &mut |records| {
        let chunk = split(&Deaggregation::Json, records);
        let judged = chunk.iter().zip(records).map(|(parts, record)| {
            let passed = parts.iter().filter(|part| part.1.is_none()).count();
            let is_whole = passed == parts.len();
            assert_eq!((passed, !is_whole), second_reading::objects(record), "{:?}", String::from_utf8_lossy(record));
            ended(is_whole)
        });
        judged.collect()
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_blanks_stands_between_parts(
        pieces in vec(prop_oneof![
            6 => "[ \n\r\t]{0,3}",
            6 => Just("{\"a\":[1,{\"b\":\"}\"}]}".to_owned()),
            1 => "[a-z{}\\[\\]\",:]{0,6}",
        ], 0..30),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = pieces.concat().into_bytes();
        let records = cut(&whole, &cuts);
        for (parts, record) in split(&Deaggregation::Json, &records).iter().zip(&records) {
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.0.clone()).collect();
            let without_blanks = |bytes: &[u8]| -> Vec<u8> {
                bytes.iter().copied().filter(|byte| !b" \n\r\t".contains(byte)).collect()
            };
            prop_assert_eq!(without_blanks(&joined), without_blanks(record));
        }
    }

    #[test]
    fn pieces_joined_are_the_record(
        delimiter in prop_oneof![Just("\n"), Just("##"), Just("aab")],
        text in "[ab#\n]{0,60}",
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let records = cut(text.as_bytes(), &cuts);
        for (parts, record) in split(&delimited(delimiter.as_bytes()), &records).iter().zip(&records) {
            let record = std::str::from_utf8(record).unwrap();
            let expected: Vec<_> = record.split(delimiter).filter(|piece| !piece.is_empty()).collect();
            let found: Vec<_> = parts.iter().map(|part| std::str::from_utf8(&part.0).unwrap()).collect();
            prop_assert_eq!(found, if expected.is_empty() { vec![""] } else { expected });
        }
    }
}

fn cut(whole: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).chain([0, whole.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| whole[pair[0]..pair[1]].to_vec()).collect()
}
