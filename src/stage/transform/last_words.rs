//! What a guest said before it trapped. A trap ends a call without an answer, and a panic in WebAssembly has nowhere to
//! print to; so a guest may leave its text in its memory, behind a mark, where it is looked for.
//!
//! From: [`super::module`], with the memories of an instance that trapped. The layout, in a static of the guest: 16 bytes
//! of [`MARK`], then the text's address and its length, each a little-endian u32; both 0 as long as there is none. A guest
//! can say what it likes: nothing is read but its own memory, and of that not more than [`LONGEST_BYTES`].

use super::host::Confined;
use std::sync::OnceLock;
use wasmtime::{Store, WasmCoreDump};

/// What stands before the address.
const MARK: &[u8; 16] = b"hydrant.lastword";
/// The longest text that is taken.
const LONGEST_BYTES: usize = 1024;
/// How far into a memory the mark is looked for: statics stand at its beginning.
const SEARCHED_BYTES: usize = 64 << 20;

/// Where the guests of one module leave their words; looked for once, since statics do not move.
#[derive(Debug, Default)]
pub struct LastWords {
    is_marked: bool,
    place: OnceLock<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Number of the memory in its instance.
    memory: usize,
    /// Of the mark in it.
    offset: usize,
}

impl LastWords {
    /// Of the guest in this component. One without a mark of its own leaves none: else a producer could plant one.
    pub fn of(component: &[u8]) -> Self {
        Self { is_marked: memchr::memmem::find(component, MARK).is_some(), place: OnceLock::new() }
    }

    /// Of the guest in `store`, whose call ended with `error`. To be asked of complete instances only.
    pub fn read(&self, error: &wasmtime::Error, store: &Store<Confined>) -> Option<String> {
        if !self.is_marked {
            return None;
        }
        let memories = error.downcast_ref::<WasmCoreDump>()?.memories();
        let place = match self.place.get() {
            Some(place) => *place,
            None => {
                let found = find(memories.iter().map(|memory| memory.data(store)))?;
                *self.place.get_or_init(|| found)
            }
        };
        text(memories.get(place.memory)?.data(store), place.offset)
    }
}

fn find<'a>(memories: impl Iterator<Item = &'a [u8]>) -> Option<Place> {
    memories.enumerate().find_map(|(memory, bytes)| {
        let searched = &bytes[..bytes.len().min(SEARCHED_BYTES)];
        memchr::memmem::find(searched, MARK).map(|offset| Place { memory, offset })
    })
}

/// The text whose mark is at `offset`, without what surrounds it.
fn text(memory: &[u8], offset: usize) -> Option<String> {
    let fields = memory.get(offset..)?.strip_prefix(MARK)?;
    let (address, fields) = fields.split_first_chunk()?;
    let (length_bytes, _) = fields.split_first_chunk()?;
    let length_bytes = u32::from_le_bytes(*length_bytes) as usize;
    let bytes = memory.get(u32::from_le_bytes(*address) as usize..)?.get(..length_bytes)?;
    let text = String::from_utf8_lossy(&bytes[..length_bytes.min(LONGEST_BYTES)]);
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn memory(address: u32, length_bytes: u32, behind: &[u8]) -> Vec<u8> {
        [&b"zz"[..], MARK, &address.to_le_bytes(), &length_bytes.to_le_bytes(), behind].concat()
    }

    #[test]
    fn words_are_found_behind_the_mark() {
        let said = memory(26, 6, b" boom\n.");
        assert_eq!(find([&b"hydrant.lastwor"[..], &said].into_iter()), Some(Place { memory: 1, offset: 2 }));
        assert_eq!(text(&said, 2).as_deref(), Some("boom"));
        assert_eq!(text(&memory(0, 0, b""), 2), None, "nothing said");
        assert_eq!(text(&memory(26, 3, b" \n "), 2), None, "nothing but space");
        assert_eq!(text(&said, 3), None, "no mark there");
        assert_eq!(text(&memory(26, 8, b"boom"), 2), None, "longer than the memory");
        assert_eq!(text(&memory(u32::MAX, u32::MAX, b""), 2), None);
        assert_eq!(text(&memory(26, 3, b"a\xffb"), 2).as_deref(), Some("a\u{fffd}b"));
        let long = vec![b'w'; 5000];
        assert_eq!(text(&memory(26, 5000, &long), 2).map(|text| text.len()), Some(LONGEST_BYTES));
        assert_eq!(text(&said[..20], 2), None, "cut off");
    }

    proptest! {
        #[test]
        fn no_memory_brings_the_reader_down(address in 0u32..60, length in 0u32..60, rest: Vec<u8>, offset in 0usize..70) {
            let memory = memory(address, length, &rest);
            let _ = text(&memory, offset);
            if let Some(words) = text(&memory, 2) {
                prop_assert!(!words.is_empty());
            }
        }
    }
}
