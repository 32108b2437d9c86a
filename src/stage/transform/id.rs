//! Record ids as guests see them: the origin in 24 hex digits. Opaque to guests, cheap to write and to find again.

use crate::record::{Origin, Slot};

/// Length of an id: 16 digits of ordinal, 8 of part.
pub const ID_BYTES: usize = 24;

/// The ids of a batch, back to back.
pub struct Ids {
    text: String,
}

impl Ids {
    /// The ids of `slots`, in their order.
    pub fn of(slots: &[Slot]) -> Self {
        let mut text = Vec::with_capacity(slots.len() * ID_BYTES);
        for Slot { origin, .. } in slots {
            let (high, low) = ((origin.ordinal >> 32) as u32, origin.ordinal as u32);
            text.extend_from_slice([hex(high), hex(low), hex(origin.part)].as_flattened());
        }
        // Digits are always text.
        Self { text: String::from_utf8(text).unwrap_or_default() }
    }

    /// The id of the slot at `index`.
    pub fn get(&self, index: usize) -> &str {
        &self.text[index * ID_BYTES..][..ID_BYTES]
    }

    /// Index of the slot whose id this is. `likely` is tried first: answers mostly come in the order of the records.
    pub fn find(&self, slots: &[Slot], likely: usize, id: &[u8]) -> Option<usize> {
        if likely < slots.len() && self.get(likely).as_bytes() == id {
            return Some(likely);
        }
        let origin = parse(id)?;
        let index = slots.binary_search_by_key(&origin, |slot| slot.origin).ok()?;
        // The same number written in another way is not the id.
        (self.get(index).as_bytes() == id).then_some(index)
    }
}

/// The eight digits of a number, computed side by side.
fn hex(value: u32) -> [u8; 8] {
    // Each nibble to a byte of its own, the lowest first.
    let mut nibbles = u64::from(value);
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where the digit is a letter.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

fn parse(id: &[u8]) -> Option<Origin> {
    let text = Some(id).filter(|id| id.len() == ID_BYTES).and_then(|id| std::str::from_utf8(id).ok())?;
    Some(Origin {
        ordinal: u64::from_str_radix(text.get(..16)?, 16).ok()?,
        part: u32::from_str_radix(text.get(16..)?, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_origin_in_hex() {
        for value in [0, 1, 9, 10, 15, 0x1234_5678, 0x9abc_def0, u32::MAX] {
            assert_eq!(hex(value), format!("{value:08x}").as_bytes());
        }
    }

    #[test]
    fn an_id_leads_back_to_its_slot_only() {
        let origins = [(0, 0), (0, 1), (7, u32::MAX), (u64::MAX, 3)];
        let slots =
            origins.map(|(ordinal, part)| Slot { start: 0, len: 0, origin: Origin { ordinal, part }, arrival_ms: 0 });
        let ids = Ids::of(&slots);
        for index in 0..slots.len() {
            for likely in 0..=slots.len() {
                assert_eq!(ids.find(&slots, likely, ids.get(index).as_bytes()), Some(index));
            }
        }
        for unknown in ["", "x", "0000000000000007FFFFFFFF", "+00000000000000000000001", "000000000000000000000002"] {
            assert_eq!(ids.find(&slots, 0, unknown.as_bytes()), None, "{unknown}");
        }
    }
}
