//! The distinct values of a column chunk, each with the number by which pages refer to it.
//!
//! Used by `coder`. A table of open addressing over numbers; the values themselves lie in a [`Store`]. Invariants: the
//! table is at most half full; numbers are given out in the order of first appearance, from 0.

use super::value::{Number, hash_bytes, hash_word};

/// Values by number.
pub trait Store: Send {
    /// One value.
    type Value: ?Sized;
    /// How many.
    fn len(&self) -> usize;
    /// Their plain encoding in bytes.
    fn plain_bytes(&self) -> usize;
    /// Value number `at`.
    fn get(&self, at: u32) -> &Self::Value;
    /// Appends a value.
    fn push(&mut self, value: &Self::Value);
    /// Whether value number `at` is this one.
    fn is(&self, at: u32, value: &Self::Value) -> bool;
    /// A hash of a value.
    fn hash(value: &Self::Value) -> u64;
    /// Appends a value's plain encoding.
    fn put(&self, value: &Self::Value, out: &mut Vec<u8>);
    /// Appends a value's plain encoding without its length.
    fn put_content(&self, value: &Self::Value, out: &mut Vec<u8>);
    /// Removes the values from number `len` on.
    fn truncate(&mut self, len: usize);
}

/// See the module.
#[derive(Debug)]
pub struct Dictionary<S> {
    /// The values.
    pub store: S,
    /// Upper half: a part of the hash; lower half: the number + 1. 0: free.
    slots: Vec<u64>,
}

impl<S: Store> Dictionary<S> {
    /// An empty one.
    pub fn new(store: S) -> Self {
        Self { store, slots: Vec::new() }
    }

    /// The number of a value, a new one if need be.
    #[inline(always)]
    pub fn number(&mut self, value: &S::Value) -> u32 {
        if self.store.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = S::hash(value);
        let tag = hash & 0xffff_ffff_0000_0000;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if slot & 0xffff_ffff_0000_0000 == tag && self.store.is(slot as u32 - 1, value) {
                return slot as u32 - 1;
            }
            at = (at + 1) & mask;
        }
        let number = self.store.len() as u32;
        self.store.push(value);
        self.slots[at] = tag | u64::from(number + 1);
        number
    }

    #[cold]
    fn grow(&mut self) {
        let len = (self.slots.len() * 4).max(64);
        self.slots.clear();
        self.slots.resize(len, 0);
        for number in 0..self.store.len() as u32 {
            let hash = S::hash(self.store.get(number));
            let mut at = hash as usize & (len - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = (hash & 0xffff_ffff_0000_0000) | u64::from(number + 1);
        }
    }

    /// Keeps the first `len` values, to be read by number only.
    pub fn close(&mut self, len: usize) {
        self.store.truncate(len);
        self.slots = Vec::new();
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * 8 + self.store.plain_bytes()
    }
}

/// Numbers of fixed width.
#[derive(Debug)]
pub struct Numbers<T> {
    values: Vec<T>,
    /// Bytes of a plain value.
    width: usize,
}

impl<T> Numbers<T> {
    /// None yet; each takes `width` bytes.
    pub fn new(width: usize) -> Self {
        Self { values: Vec::new(), width }
    }

    /// Bytes of a plain value.
    pub fn width(&self) -> usize {
        self.width
    }
}

impl<T: Number> Store for Numbers<T> {
    type Value = T;

    fn len(&self) -> usize {
        self.values.len()
    }

    fn plain_bytes(&self) -> usize {
        self.values.len() * self.width
    }

    #[inline(always)]
    fn get(&self, at: u32) -> &T {
        &self.values[at as usize]
    }

    fn push(&mut self, value: &T) {
        self.values.push(*value);
    }

    #[inline(always)]
    fn is(&self, at: u32, value: &T) -> bool {
        self.values[at as usize].is(*value)
    }

    #[inline(always)]
    fn hash(value: &T) -> u64 {
        hash_word(value.bits())
    }

    #[inline(always)]
    fn put(&self, value: &T, out: &mut Vec<u8>) {
        value.put(self.width, out);
    }

    fn put_content(&self, value: &T, out: &mut Vec<u8>) {
        value.put(self.width, out);
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }
}

/// Byte strings.
#[derive(Debug)]
pub struct Strings {
    /// Where each begins in `bytes`, and the end of the last.
    starts: Vec<u32>,
    bytes: Vec<u8>,
}

impl Strings {
    /// None yet.
    pub fn new() -> Self {
        Self { starts: vec![0], bytes: Vec::new() }
    }
}

impl Store for Strings {
    type Value = [u8];

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn plain_bytes(&self) -> usize {
        self.bytes.len() + 4 * self.len()
    }

    #[inline(always)]
    fn get(&self, at: u32) -> &[u8] {
        &self.bytes[self.starts[at as usize] as usize..self.starts[at as usize + 1] as usize]
    }

    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.starts.push(self.bytes.len() as u32);
    }

    #[inline(always)]
    fn is(&self, at: u32, value: &[u8]) -> bool {
        self.get(at) == value
    }

    #[inline(always)]
    fn hash(value: &[u8]) -> u64 {
        hash_bytes(value)
    }

    #[inline(always)]
    fn put(&self, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(value);
    }

    fn put_content(&self, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(value);
    }

    fn truncate(&mut self, len: usize) {
        self.starts.truncate(len + 1);
        self.bytes.truncate(self.starts.last().map_or(0, |end| *end as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_number() {
        let mut texts = Dictionary::new(Strings::new());
        let mut doubles = Dictionary::new(Numbers::<f64>::new(8));
        for round in 0..3 {
            for i in 0..5000u32 {
                let text = "x".repeat(i as usize % 37) + &i.to_string();
                assert_eq!(texts.number(text.as_bytes()), i, "round {round}");
                assert_eq!(doubles.number(&f64::from(i)), i);
            }
        }
        assert_eq!(texts.number(b""), 5000);
        let plain_bytes = texts.store.plain_bytes();
        texts.close(10);
        assert!(
            texts.store.len() == 10 && texts.store.get(9) == b"xxxxxxxxx9" && texts.store.plain_bytes() < plain_bytes
        );
        // Values are told apart by their bits.
        assert_eq!(doubles.number(&-0.0), 5000);
        assert_eq!([doubles.number(&f64::NAN), doubles.number(&f64::NAN)], [5001, 5001]);
    }
}
