//! The answers of the puts, written by hand: a batch's answer is half as long as its records.
//!
//! A RecordId is 200 characters: 184 that depend on the stream's life alone, written once a request and copied, and
//! the record's number in 16 hex digits. Same record, same id; ids of different records never meet.

use crate::stream::Incarnation;
use crate::wire::record_id;

const PREFIX_CHARS: usize = 184;
const NUMBER_CHARS: usize = 16;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Answer of a PutRecord.
pub(super) fn put_record(incarnation: Incarnation, number: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"RecordId\":\"");
    out.extend_from_slice(&prefix(incarnation));
    out.extend_from_slice(&digits(number));
    out.extend_from_slice(b"\",\"Encrypted\":false}");
    out
}

/// Answer of a PutRecordBatch whose records got the numbers `first` to `last`.
pub(super) fn put_record_batch(incarnation: Incarnation, first: u64, last: u64) -> Vec<u8> {
    const HEAD: &[u8] = b"{\"FailedPutCount\":0,\"Encrypted\":false,\"RequestResponses\":[";
    const OPEN: &[u8] = b"{\"RecordId\":\"";
    const CLOSE: &[u8] = b"\"},";
    const ENTRY_BYTES: usize = OPEN.len() + PREFIX_CHARS + NUMBER_CHARS + CLOSE.len();

    let mut entry = [0; ENTRY_BYTES];
    entry[..OPEN.len()].copy_from_slice(OPEN);
    entry[OPEN.len()..OPEN.len() + PREFIX_CHARS].copy_from_slice(&prefix(incarnation));
    entry[ENTRY_BYTES - CLOSE.len()..].copy_from_slice(CLOSE);

    let count = usize::try_from(last - first + 1).unwrap_or_default();
    let mut out = Vec::with_capacity(HEAD.len() + count * ENTRY_BYTES + 2);
    out.extend_from_slice(HEAD);
    for number in first..=last {
        entry[OPEN.len() + PREFIX_CHARS..ENTRY_BYTES - CLOSE.len()].copy_from_slice(&digits(number));
        out.extend_from_slice(&entry);
    }
    // The comma after the last entry.
    out.pop();
    out.extend_from_slice(b"]}");
    out
}

fn prefix(incarnation: Incarnation) -> [u8; PREFIX_CHARS] {
    let mut id = String::new();
    record_id(incarnation, 0, &mut id);
    let mut prefix = [b'A'; PREFIX_CHARS];
    let known = id.len().min(PREFIX_CHARS);
    prefix[..known].copy_from_slice(&id.as_bytes()[..known]);
    prefix
}

fn digits(number: u64) -> [u8; NUMBER_CHARS] {
    std::array::from_fn(|i| HEX[(number >> (4 * (NUMBER_CHARS - 1 - i))) as usize & 15])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::HashSet;

    #[test]
    fn answers_are_the_json_of_the_model_with_an_own_id_for_each_record() {
        let incarnation = Incarnation::random();
        let batch: Value = serde_json::from_slice(&put_record_batch(incarnation, 9, 508)).unwrap();
        assert_eq!(batch["FailedPutCount"], 0);
        assert_eq!(batch["Encrypted"], false);
        let entries = batch["RequestResponses"].as_array().unwrap();
        let ids: HashSet<_> = entries.iter().map(|entry| entry["RecordId"].as_str().unwrap()).collect();
        assert_eq!((entries.len(), ids.len()), (500, 500));
        assert!(ids.iter().all(|id| id.len() == 200));

        let one: Value = serde_json::from_slice(&put_record(incarnation, 9)).unwrap();
        assert_eq!(one["RecordId"], entries[0]["RecordId"]);
        assert_eq!(one["Encrypted"], false);
        let other: Value = serde_json::from_slice(&put_record(Incarnation::random(), 9)).unwrap();
        assert_ne!(one["RecordId"], other["RecordId"]);
    }
}
