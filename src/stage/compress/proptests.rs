//! Whatever the records and however they are chunked: the content comes back, and the body is the same.

use super::tests::{ALL, decode, encode};
use crate::record::Chunk;
use proptest::collection::vec;
use proptest::prelude::*;

/// A record: short text, noise, or a run long enough to cross blocks.
fn record() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z0-9{}\":, ]{0,80}\n".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), 0..300_000usize).prop_map(|(byte, bytes)| vec![byte; bytes]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn content_comes_back_whatever_the_chunks(records in vec(record(), 0..40), sizes in vec(1usize..9, 1..9)) {
        let joined = records.concat();
        let whole = [Chunk::from_records(records.iter().map(Vec::as_slice), 0, 0)];
        let mut parts = Vec::new();
        let mut rest = &records[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at(rest.len().min(*size));
            parts.push(Chunk::from_records(head.iter().map(Vec::as_slice), 0, 0));
            rest = tail;
        }
        for compression in ALL {
            let body = encode(compression, &whole);
            if records.is_empty() {
                prop_assert!(body.is_empty());
                continue;
            }
            prop_assert_eq!(decode(compression, &body), &joined[..]);
            let parted = encode(compression, &parts);
            prop_assert_eq!(decode(compression, &parted), &joined[..]);
        }
    }
}
