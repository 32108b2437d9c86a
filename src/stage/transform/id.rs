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
        let mut text = String::with_capacity(slots.len() * ID_BYTES);
        for slot in slots {
            push_hex(&mut text, slot.origin.ordinal, 16);
            push_hex(&mut text, u64::from(slot.origin.part), 8);
        }
        Self { text }
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

fn push_hex(text: &mut String, value: u64, digits: u32) {
    for digit in (0..digits).rev() {
        text.push(char::from(b"0123456789abcdef"[(value >> (4 * digit)) as usize & 0xf]));
    }
}

fn parse(id: &[u8]) -> Option<Origin> {
    let text = std::str::from_utf8(id).ok().filter(|text| text.len() == ID_BYTES)?;
    Some(Origin {
        ordinal: u64::from_str_radix(text.get(..16)?, 16).ok()?,
        part: u32::from_str_radix(text.get(16..)?, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
