//! Memory of a guest of the world transform, with its answer in it: whatever it holds, it is read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|memory: &[u8]| {
    let _ = hydrant::stage::transform::flat_texts(memory);
});
