//! RecordId: an opaque text of 200 base64 characters, made from the record's place without a look-up.

use crate::stream::Incarnation;

const RAW_BYTES: usize = 150;

/// Puts the id of record `number` of a stream's life into `out` (cleared first). Same input, same id; another record,
/// another id.
pub fn record_id(incarnation: Incarnation, number: u64, out: &mut String) {
    let half = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| incarnation.0[at + i]));
    // The first word is a bijection of the number, so ids of one stream never meet.
    let mut state = half(0) ^ number;
    let step = half(8) | 1;
    let mut raw = [0; RAW_BYTES.next_multiple_of(8)];
    for word in raw.chunks_exact_mut(8) {
        state = state.wrapping_add(step);
        word.copy_from_slice(&mix(state).to_le_bytes());
    }
    out.clear();
    base64_simd::STANDARD.encode_append(&raw[..RAW_BYTES], out);
}

/// The finaliser of SplitMix64: a bijection that spreads every bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
