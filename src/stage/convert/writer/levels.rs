//! Parquet's RLE / bit-packing hybrid: levels and dictionary indices.
//!
//! Used by `chunk` and `coder`. Format: Apache Parquet, Encodings, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)":
//! runs, each headed by a varint whose lowest bit tells bit-packed groups of eight values (1) from repeats (0).

use super::super::columns::Bits;

/// Fewest equal values that are worth a run of repeats.
const LEAST_REPEATS: usize = 16;

/// Bits that hold every value up to `max`, at least one.
pub fn width_of(max: u32) -> u32 {
    (u32::BITS - max.leading_zeros()).max(1)
}

/// Appends values of `width` bits each.
pub fn put_values<T: Copy + Eq + Into<u32>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    let mut packed = 0;
    let mut at = 0;
    while at < values.len() {
        let value = values[at];
        let end = at + values[at..].iter().take_while(|other| **other == value).count();
        // Bit-packed groups are whole ones, so the first of the repeats fill up the last group.
        let first = end.min(packed + (at - packed).next_multiple_of(8));
        if end - first >= LEAST_REPEATS {
            put_packed(&values[packed..first], width, out);
            put_repeats(end - first, value.into(), width, out);
            packed = end;
        }
        at = end;
    }
    put_packed(&values[packed..], width, out);
}

/// Appends levels. Where they repeat much, each run is one of repeats even if packing it would take a little less: runs
/// begin at bytes, so that a codec finds what comes again, and are read faster.
pub fn put_levels(levels: &[u8], width: u32, out: &mut Vec<u8>) {
    let runs = levels.chunk_by(|a, b| a == b);
    let packed_bytes = levels.len() * width as usize / 8;
    if runs.clone().count() * 2 > packed_bytes + packed_bytes / 4 {
        return put_values(levels, width, out);
    }
    for run in runs {
        put_repeats(run.len(), u32::from(run[0]), width, out);
    }
}

/// Appends bits as values of width 1.
pub fn put_bits(bits: &Bits, out: &mut Vec<u8>) {
    let groups = bits.len.div_ceil(8);
    let bytes = |from: usize, upto: usize| (from..upto).map(|at| (bits.words[at / 8] >> (at % 8 * 8)) as u8);
    // Behind the last bit there are zeros, which no run of ones may count.
    let whole = bits.len / 8;
    let run_end = |from: usize, of: u8| {
        let same = if of == 0 { 0 } else { u64::MAX };
        let mut end = from;
        while end < whole {
            if end.is_multiple_of(8) && end + 8 <= whole && bits.words[end / 8] == same {
                end += 8;
            } else if (bits.words[end / 8] >> (end % 8 * 8)) as u8 == of {
                end += 1;
            } else {
                break;
            }
        }
        end
    };
    let put_literals = |from: usize, upto: usize, out: &mut Vec<u8>| {
        if from < upto {
            put_varint((((upto - from) as u64) << 1) | 1, out);
            out.extend(bytes(from, upto));
        }
    };
    let mut packed = 0;
    let mut at = 0;
    while at < whole {
        let byte = (bits.words[at / 8] >> (at % 8 * 8)) as u8;
        let end = if byte == 0 || byte == 0xff { run_end(at, byte) } else { at };
        if (end - at) * 8 >= 2 * LEAST_REPEATS {
            put_literals(packed, at, out);
            put_repeats((end - at) * 8, u32::from(byte & 1), 1, out);
            packed = end;
        }
        at = end.max(at + 1);
    }
    put_literals(packed, groups, out);
}

/// Appends a run of `count` times `value`.
pub fn put_repeats(count: usize, value: u32, width: u32, out: &mut Vec<u8>) {
    put_varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn put_packed<T: Copy + Into<u32>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    put_varint(((groups as u64) << 1) | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut word, mut filled) = (0u64, 0);
    for value in values {
        word |= u64::from((*value).into()) << filled;
        filled += width;
        if filled >= 32 {
            out.extend_from_slice(&(word as u32).to_le_bytes());
            word >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `count` values of `width` bits, as the format's text says.
    fn read(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, (header >> 1) as usize));
                bytes = rest;
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) as usize * width as usize);
                let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                for value in 0..(header >> 1) as usize * 8 {
                    let first = value * width as usize;
                    values.push((0..width as usize).fold(0, |sum, i| sum | bit(first + i) << i));
                }
                bytes = rest;
            }
        }
        assert!(bytes.is_empty());
        // Only the last group may hold more, and zeros.
        assert!(values.len() < count + 8 && values[count..].iter().all(|value| *value == 0));
        values.truncate(count);
        values
    }

    #[test]
    fn runs_of_all_kinds_are_read_back() {
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..2000 {
            let width = random.u32(1..=21);
            let mut values: Vec<u32> = Vec::new();
            for _ in 0..random.usize(0..12) {
                let value = random.u32(0..1 << width);
                match random.u8(0..3) {
                    0 => values.extend(std::iter::repeat_n(value, random.usize(0..100))),
                    1 => values.push(value),
                    _ => values.extend((0..random.usize(0..40)).map(|_| random.u32(0..1 << width))),
                }
            }
            let mut out = Vec::new();
            put_values(&values, width, &mut out);
            assert_eq!(read(&out, width, values.len()), values, "round {round}");

            let levels: Vec<u8> = values.iter().map(|value| *value as u8 & 3).collect();
            let mut out = Vec::new();
            put_levels(&levels, 2, &mut out);
            let expected: Vec<u32> = levels.iter().map(|level| u32::from(*level)).collect();
            assert_eq!(read(&out, 2, levels.len()), expected, "levels of round {round}");

            let mut bits = Bits::default();
            values.iter().for_each(|value| bits.push(value & 1 == 1));
            let mut out = Vec::new();
            put_bits(&bits, &mut out);
            let expected: Vec<u32> = values.iter().map(|value| value & 1).collect();
            assert_eq!(read(&out, 1, values.len()), expected, "bits of round {round}");
        }
        let mut out = Vec::new();
        put_values(&[5u32; 1000], 3, &mut out);
        assert_eq!(out, [0xd0, 0x0f, 5]);
        assert_eq!([0, 1, 2, 3, 255, 256].map(width_of), [1, 1, 2, 2, 8, 9]);
    }
}
