//! Which field a JSON key goes to, without looking at most keys twice.
//!
//! A table learns the keys as they are written (escapes and all) with the fields they go to, none for a key to skip,
//! and which key followed which. The next object's key is then usually confirmed by one comparison; else it is found by
//! hash; else its name is resolved by the rules (case, dots, mappings) and learnt. What is learnt is bounded.

use super::super::rejection::{MAX_KEY_BYTES, Outcome, Rejection};
use super::scan::{Cursor, unescape};
use std::collections::HashMap;

/// Most keys learnt by one table.
const MAX_LEARNT: usize = 4096;
/// Most bytes of learnt keys in one table.
const MAX_LEARNT_BYTES: usize = 256 << 10;
/// No entry.
const NONE: u32 = u32::MAX;
/// The entry number that stands for the beginning of an object.
pub const START: u32 = 0;

/// The keys of one struct.
#[derive(Debug)]
pub struct Keys {
    /// Fields by normalised name. Two columns may be mapped to one key.
    names: HashMap<Box<[u8]>, Box<[u16]>>,
    rules: KeyRules,
    /// Learnt keys as written, each with its quotes and a colon, back to back.
    written: Vec<u8>,
    /// Entry 0 is the beginning of an object.
    entries: Vec<Entry>,
    /// Open addressing over entries; its length is a power of two.
    slots: Vec<u32>,
    scratch: Vec<u8>,
    /// The fields of the last key that could not be learnt.
    unlearnt: Box<[u16]>,
}

#[derive(Debug)]
struct Entry {
    start: u32,
    /// Length with quotes and colon.
    len: u32,
    /// The entry that followed last time.
    next: u32,
    /// The first eight bytes as written, the bytes behind a shorter key being 0.
    head: u64,
    /// The last eight bytes, of a key of nine and more.
    tail: u64,
    fields: Box<[u16]>,
}

/// How keys are normalised before they are compared with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRules {
    /// Keys become lower case.
    pub lower: bool,
    /// Dots become underscores.
    pub dots_to_underscores: bool,
}

impl Entry {
    /// Whether `text` begins with this key, its quotes and colon. Keys of up to sixteen bytes are compared as two words.
    #[inline(always)]
    fn is_at(&self, text: &[u8], written: &[u8]) -> bool {
        let len = self.len as usize;
        let Some(head) = text.first_chunk::<8>().filter(|_| text.len() >= len) else {
            return text.starts_with(&written[self.start as usize..self.start as usize + len]);
        };
        let head = u64::from_le_bytes(*head);
        if len <= 8 {
            return (head ^ self.head) << (64 - 8 * len) == 0;
        }
        let tail = text[len - 8..].first_chunk::<8>().map_or(0, |tail| u64::from_le_bytes(*tail));
        head == self.head
            && tail == self.tail
            && (len <= 16 || text[8..len - 8] == written[self.start as usize + 8..self.start as usize + len - 8])
    }
}

/// Up to eight bytes as a word, least significant first.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

impl KeyRules {
    /// The name that a key stands for.
    pub fn normalise(self, key: &str) -> String {
        let key = if self.lower { key.to_lowercase() } else { key.to_owned() };
        if self.dots_to_underscores { key.replace('.', "_") } else { key }
    }
}

impl Keys {
    /// A table for these normalised names and the fields they go to.
    pub fn new(names: HashMap<Box<[u8]>, Box<[u16]>>, rules: KeyRules) -> Self {
        let start = Entry { start: 0, len: 0, next: NONE, head: 0, tail: 0, fields: Box::default() };
        Self {
            names,
            rules,
            written: Vec::new(),
            entries: vec![start],
            slots: vec![NONE; 64],
            scratch: Vec::new(),
            unlearnt: Box::default(),
        }
    }

    /// Takes the key that is next (its quote was seen) and its colon; `last` is the entry before it in the object.
    #[inline(always)]
    pub fn take(&mut self, cursor: &mut Cursor, last: u32) -> Outcome<u32> {
        let next = self.entries[last as usize].next;
        if let Some(guess) = self.entries.get(next as usize)
            && guess.is_at(&cursor.bytes[cursor.pos..], &self.written)
        {
            cursor.pos += guess.len as usize;
            return Ok(next);
        }
        self.look_up(cursor, last)
    }

    /// The fields of an entry that [`Self::take`] returned last.
    #[inline(always)]
    pub fn fields(&self, entry: u32) -> &[u16] {
        if entry == START { &self.unlearnt } else { &self.entries[entry as usize].fields }
    }

    #[inline(never)]
    fn look_up(&mut self, cursor: &mut Cursor, last: u32) -> Outcome<u32> {
        let (content, escaped) = cursor.string()?;
        if content.len() > MAX_KEY_BYTES {
            return Err(Box::new(Rejection::LongKey));
        }
        cursor.colon()?;
        let mut slot = hash(content) as usize & (self.slots.len() - 1);
        while let Some(entry) = self.entries.get(self.slots[slot] as usize) {
            let start = entry.start as usize + 1;
            if &self.written[start..start + entry.len as usize - 3] == content {
                let found = self.slots[slot];
                self.entries[last as usize].next = found;
                return Ok(found);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.scratch.clear();
        if escaped {
            unescape(content, &mut self.scratch);
        } else {
            self.scratch.extend_from_slice(content);
        }
        let name = self.rules.normalise(&String::from_utf8_lossy(&self.scratch));
        let fields = self.names.get(name.as_bytes()).cloned().unwrap_or_default();
        if self.entries.len() >= MAX_LEARNT || self.written.len() + content.len() + 3 > MAX_LEARNT_BYTES {
            self.unlearnt = fields;
            return Ok(START);
        }
        let entry = self.entries.len() as u32;
        let start = self.written.len() as u32;
        self.written.push(b'"');
        self.written.extend_from_slice(content);
        self.written.extend_from_slice(b"\":");
        let written = &self.written[start as usize..];
        let (head, tail) = (word(written), word(&written[written.len().saturating_sub(8)..]));
        self.entries.push(Entry { start, len: content.len() as u32 + 3, next: NONE, head, tail, fields });
        self.slots[slot] = entry;
        self.entries[last as usize].next = entry;
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
        Ok(entry)
    }

    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        self.slots = vec![NONE; len];
        for (number, entry) in (0u32..).zip(&self.entries).skip(1) {
            let start = entry.start as usize + 1;
            let mut slot = hash(&self.written[start..start + entry.len as usize - 3]) as usize & (len - 1);
            while self.slots[slot] != NONE {
                slot = (slot + 1) & (len - 1);
            }
            self.slots[slot] = number;
        }
    }
}

/// A hash of a key, good enough for a table of bounded size: eight bytes at a time, multiplied and folded.
fn hash(key: &[u8]) -> u64 {
    let mut hash = key.len() as u64;
    let mut mix = |word: u64| {
        let wide = u128::from(hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (wide >> 64) as u64 ^ wide as u64;
    };
    let (chunks, rest) = key.as_chunks::<8>();
    for chunk in chunks {
        mix(u64::from_le_bytes(*chunk));
    }
    mix(word(rest));
    hash
}
