//! What a guest of the world transform-packed returns: the same by two readings of the layout.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/stage/transform/tests/second_reading.rs"]
mod second_reading;

fuzz_target!(|output: &[u8]| {
    assert_eq!(hydrant::stage::transform::packed_texts(output), second_reading::read(output));
});
