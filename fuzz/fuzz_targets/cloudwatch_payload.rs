//! A record of a CloudWatch Logs subscription: its messages as a second reading finds them. The first byte chooses whether
//! the rest is the record or what is compressed in it.

#![no_main]

use flate2::Compression;
use flate2::write::GzEncoder;
use hydrant::record::Chunk;
use hydrant::stage::Expand;
use hydrant::stage::decompress::{DecompressStage, looks_like_payload};
use hydrant::stream::definition::Decompression;
use libfuzzer_sys::fuzz_target;
use std::io::Write;

#[path = "../../src/stage/decompress/tests/second_reading.rs"]
mod second_reading;

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let is_packed = first % 2 == 0;
    let record = if is_packed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    } else {
        text.to_vec()
    };
    looks_like_payload(&record);
    let mut stage = DecompressStage::new(Decompression { extract_messages: true });
    stage.begin(Chunk::from_records([&record[..]], 0, 0));
    let staged = stage.next().expect("one record");
    assert!(stage.next().is_none());
    assert_eq!(staged.passed.slots.len() + staged.dropped.len() + staged.refused.len(), 1);
    if !is_packed {
        return;
    }
    match second_reading::messages(text) {
        Some(Some(messages)) if staged.refused.is_empty() => assert_eq!(staged.passed.buffer, messages),
        // Values take the last of equal names.
        Some(Some(_)) => assert!(staged.refused[0].cause.message.contains("duplicate field")),
        Some(None) => assert!(!staged.refused.is_empty()),
        None => {}
    }
});
