//! The packed layout against its description, hostile bytes, and random behaviour of guests.

use super::abi::{InputRecord, KafkaMetadata, KinesisMetadata, LogLevel, LogLine, Status};
use super::packed::{self, Malformed, pack};
use super::tests::{WORLDS, apply, passed, spec};
use super::verdict::Answer;
use crate::stream::definition::TransformSpec;
use proptest::collection::vec;
use proptest::prelude::*;

fn input<'a>(record_id: &'a str, data: &'a [u8]) -> InputRecord<'a> {
    let (kinesis_metadata, kafka_metadata) = (None, None);
    InputRecord { record_id, approximate_arrival_timestamp: 258, data, kinesis_metadata, kafka_metadata }
}

/// The records of an output with their ids, and its lines.
type Unpacked<'a> = (Vec<(Vec<u8>, Answer<'a>)>, Vec<LogLine>);

fn unpack(output: &[u8]) -> Result<Unpacked<'_>, Malformed> {
    let mut answers = Vec::new();
    let lines = packed::unpack(output, |id, answer| answers.push((id.to_vec(), answer)))?;
    Ok((answers, lines))
}

#[test]
fn input_is_packed_as_the_contract_says() {
    let kinesis = KinesisMetadata {
        sequence_number: "49",
        subsequence_number: 1,
        partition_key: "p",
        shard_id: "s",
        approximate_arrival_timestamp: 2,
    };
    let kafka = KafkaMetadata { topic: "t", offset: "5", partition_id: "", approximate_arrival_timestamp: 3 };
    let records = [
        input("a", b"xy"),
        InputRecord { kinesis_metadata: Some(&kinesis), ..input("b", b"") },
        InputRecord { kafka_metadata: Some(&kafka), ..input("", b"z") },
    ];
    let expected: Vec<u8> = [
        &b"\x03\0\0\0"[..],
        b"\x14\0\0\0\x01\0\0\0a\x02\x01\0\0\0\0\0\0\x02\0\0\0xy\0",
        b"\x32\0\0\0\x01\0\0\0b\x02\x01\0\0\0\0\0\0\0\0\0\0\x01",
        b"\x02\0\0\x0049\x01\0\0\0\0\0\0\0\x01\0\0\0p\x01\0\0\0s\x02\0\0\0\0\0\0\0",
        b"\x28\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0\x01\0\0\0z\x02",
        b"\x01\0\0\0t\x01\0\0\x005\0\0\0\0\x03\0\0\0\0\0\0\0",
    ]
    .concat();
    let mut out = b"of the call before".to_vec();
    pack(records.into_iter(), &mut out);
    assert_eq!(out, expected);
}

#[test]
fn output_is_read_as_the_contract_says() {
    let output = [
        &b"\x03\0\0\0"[..],
        // The least a record may be.
        b"\x0a\0\0\0\x01\0\0\0a\x01\xff\xff\xff\xff",
        // All fields, and one of a later version after them.
        b"\x34\0\0\0\x01\0\0\0b\x00\x02\0\0\0xy",
        b"\x01\0\0\0\x01\0\0\0k\x01\0\0\0v\x01\x01\x02\0\0\0db\x00\x03\x01\x05\0\0\0hello later",
        // A status without meaning; ends after the keys.
        b"\x0e\0\0\0\x01\0\0\0c\x09\0\0\0\0\0\0\0\0",
        b"\x01\0\0\0\x03\x02\0\0\0no",
    ]
    .concat();
    let (answers, lines) = unpack(&output).unwrap();
    let of = |index: usize| (&answers[index].0[..], answers[index].1.status, answers[index].1.data);
    assert_eq!(of(0), (&b"a"[..], Some(Status::Dropped), None));
    assert_eq!(of(1), (&b"b"[..], Some(Status::Ok), Some(&b"xy"[..])));
    assert_eq!(answers[1].1.message, Some("hello"));
    let keys = |index: usize| answers[index].1.keys.pairs().collect::<Vec<_>>();
    assert_eq!((keys(0), keys(1)), (vec![], vec![("k", "v")]));
    assert_eq!(of(2), (&b"c"[..], None, Some(&b""[..])));
    assert_eq!((lines.len(), lines[0].level, &lines[0].message[..]), (1, LogLevel::Error, "no"));
    // Cut anywhere it is an error, except where the output may end.
    let without_lines = output.len() - 11;
    for upto in (0..output.len()).filter(|upto| *upto != without_lines) {
        assert!(matches!(unpack(&output[..upto]), Err(Malformed::Short(_))), "{upto}");
    }
    assert!(unpack(&output[..without_lines]).unwrap().1.is_empty());
    assert_eq!(unpack(&[&output[..], b"x"].concat()), Err(Malformed::Long(1)));
    // A count that the bytes cannot hold costs nothing.
    assert!(unpack(b"\xff\xff\xff\xff").is_err());
}

/// A word of the guest, and what must become of a record that holds it.
const FATES: &[(&str, &str)] = &[
    ("plain", "plain"),
    ("drop!", "dropped"),
    ("fail!", "Lambda.ProcessingFailedStatus"),
    ("missing!", "Lambda.MissingRecordId"),
    ("wrong!", "Lambda.MissingRecordId"),
    ("beyond!", "Lambda.InvalidReturnFormat"),
    ("third!", "third!"),
    ("twice!", "Lambda.DuplicatedRecordId"),
    ("null!", "Lambda.InvalidReturnFormat"),
    ("trap!", "Lambda.FunctionError"),
    ("err!", "Lambda.FunctionError"),
    ("utf8!", "Lambda.InvalidReturnFormat"),
    ("lines!", "one\ntwo\n"),
    ("reverse!", "reverse!"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_output_brings_the_reader_down(
        counts in (0u32..4, 0u32..40),
        noise in vec(prop_oneof![0u8..4, any::<u8>()], 0..120),
    ) {
        let _ = unpack(&noise);
        // Past the first lengths, where most noise ends.
        let mut output = counts.0.to_le_bytes().to_vec();
        output.extend(counts.1.to_le_bytes());
        output.extend(&noise);
        if let Ok((answers, _)) = unpack(&output) {
            prop_assert_eq!(answers.len(), counts.0 as usize);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_record_meets_its_own_fate(picks in vec(0..FATES.len() * 2, 0..60), batch_bytes in 1u64..200) {
        // Half of the records are plain.
        let expected: Vec<_> = picks.iter().map(|pick| FATES.get(*pick).unwrap_or(&FATES[0])).collect();
        let words: Vec<_> = expected.iter().map(|(word, _)| *word).collect();
        for world in WORLDS {
            let spec = TransformSpec { batch_bytes, retries: 1, ..spec(world) };
            let staged = apply(&spec, &words);
            let mut passed = passed(&staged).into_iter();
            let mut refused = staged.refused.iter();
            for (_, fate) in &expected {
                match *fate {
                    "dropped" => {}
                    code if code.starts_with("Lambda.") => prop_assert_eq!(&refused.next().unwrap().cause.code, code),
                    text => prop_assert_eq!(passed.next().unwrap(), text),
                }
            }
            let dropped = expected.iter().filter(|(_, fate)| *fate == "dropped").count();
            prop_assert_eq!((passed.next(), refused.next(), staged.dropped.len()), (None, None, dropped));
        }
    }
}
