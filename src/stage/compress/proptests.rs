//! Whatever the records and however they are chunked: the content comes back, and the body is the same.

use super::tests::{ALL, decode, encode};
use super::{Compression, encoder};
use crate::record::{Chunk, Slot};
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

    #[test]
    fn a_delimiter_follows_each_record_wherever_the_record_stands(
        buffer in "[ab\n]{0,60}",
        places in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12),
        delimiter in prop_oneof![Just("\n"), Just("ab"), Just("b\na"), Just("a delimiter as long as some records are")],
        long in any::<bool>(),
    ) {
        // Records that overlap, touch, or have the delimiter behind them already.
        let buffer = if long { buffer.repeat(400) } else { buffer };
        let mut chunk = Chunk::from_records([buffer.as_bytes()], 0, 0);
        let slot = chunk.slots.remove(0);
        let mut expected = String::new();
        for (start, upto) in places {
            let (start, upto) = (start.index(buffer.len() + 1), upto.index(buffer.len() + 1));
            let (start, upto) = (start.min(upto), start.max(upto));
            chunk.slots.push(Slot { start: start as u32, len: (upto - start) as u32, ..slot });
            expected += &buffer[start..upto];
            expected += delimiter;
        }
        for compression in [Compression::Uncompressed, Compression::Gzip] {
            let mut body = Vec::new();
            let mut encoder = encoder(compression, "", delimiter);
            encoder.push(&chunk, &mut body).unwrap();
            prop_assert_eq!(encoder.finish(&mut body).unwrap(), chunk.slots.len() as u64);
            if !chunk.slots.is_empty() {
                prop_assert_eq!(decode(compression, &body), expected.as_bytes());
            }
        }
    }
}
