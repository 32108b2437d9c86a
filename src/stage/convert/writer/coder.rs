//! The values of a column chunk, page by page: by number in a dictionary while that pays, plain otherwise.
//!
//! From: `chunk`, which has cut the levels off. A dictionary is tried on the first [`TRIAL_VALUES`] of a chunk and given
//! up for the rest of it as soon as it saves too little, or grows beyond [`MAX_DICTIONARY_BYTES`]; pages that refer to it
//! keep it. The values of the page under construction are then written out of it. Format: Apache Parquet, Encodings,
//! PLAIN and RLE_DICTIONARY.

use super::super::columns::{Bits, Data};
use super::bounds::{NumberBounds, StringBounds};
use super::dictionary::{Dictionary, Numbers, Store, Strings};
use super::levels::{put_values, width_of};
use super::value::{Number, string_statistics, strings};
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::file::statistics::Statistics;

/// A dictionary is judged when it has seen so many values.
const TRIAL_VALUES: usize = 16_384;
/// Bytes of a block of a Bloom filter (Apache Parquet, Bloom Filter).
pub const BLOOM_BLOCK_BYTES: usize = 32;
/// It grows no larger than this.
const MAX_DICTIONARY_BYTES: usize = 4 << 20;

/// The values of a chunk of some physical type.
pub trait Coder: Send {
    /// Bytes of some values of `data`, plain.
    fn size_bytes(&self, data: &Data, from: usize, upto: usize) -> usize;
    /// Takes the values from number `from` up to `upto` into the page.
    fn append(&mut self, data: &Data, from: usize, upto: usize);
    /// About the bytes of the page so far, encoded.
    fn page_bytes(&self) -> usize;
    /// Appends the page's values, encoded, to `out`; the next page is empty.
    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues;
    /// What is told once a chunk, of which `nulls` values are null.
    fn end_chunk(&mut self, nulls: u64) -> ChunkValues;
    /// Bytes in memory.
    fn memory_bytes(&self) -> usize;
}

/// What is told of a page's values.
pub struct PageValues {
    /// How they are encoded.
    pub encoding: Encoding,
    /// Least and largest, plain. `None`: no value that has an order.
    pub bounds: Option<(Vec<u8>, Vec<u8>)>,
    /// NaNs among them, for floating-point types.
    pub nans: Option<i64>,
}

/// What is told of a chunk's values.
pub struct ChunkValues {
    /// The dictionary's values, plain, and their number; none if no page refers to it.
    pub dictionary: Option<(Vec<u8>, u32)>,
    /// Statistics.
    pub statistics: Statistics,
    /// A Bloom filter, if asked for.
    pub bloom: Option<Sbbf>,
}

/// Values in a dictionary or plain.
struct Coding<S> {
    dictionary: Dictionary<S>,
    /// Values still go to the dictionary.
    open: bool,
    /// The page's values by number.
    numbers: Vec<u32>,
    /// Pages that refer to the dictionary.
    coded_pages: u32,
    /// Bytes of their numbers.
    coded_bytes: usize,
    /// Values of the dictionary that they refer to: the first ones.
    coded_values: usize,
    /// The page's values, plain.
    plain: Vec<u8>,
    /// Plain bytes of all values that the dictionary saw.
    seen_bytes: usize,
    bloom: Option<Sbbf>,
    scratch: Vec<u8>,
}

impl<S: Store> Coding<S> {
    fn new(store: S, dictionary: bool, bloom: Option<Sbbf>) -> Self {
        Self {
            dictionary: Dictionary::new(store),
            open: dictionary,
            numbers: Vec::new(),
            coded_pages: 0,
            coded_bytes: 0,
            coded_values: 0,
            plain: Vec::new(),
            seen_bytes: 0,
            bloom,
            scratch: Vec::new(),
        }
    }

    #[inline(always)]
    fn code(&mut self, value: &S::Value) {
        self.numbers.push(self.dictionary.number(value));
    }

    #[inline(always)]
    fn put(&mut self, value: &S::Value) {
        self.dictionary.store.put(value, &mut self.plain);
        if self.bloom.is_some() {
            self.note(value);
        }
    }

    /// Takes a value into the Bloom filter, which is about its plain bytes without a length.
    #[inline(never)]
    fn note(&mut self, value: &S::Value) {
        if let Some(bloom) = &mut self.bloom {
            self.scratch.clear();
            self.dictionary.store.put_content(value, &mut self.scratch);
            bloom.insert(&self.scratch[..]);
        }
    }

    fn width(&self) -> u32 {
        width_of((self.dictionary.store.len() as u32).saturating_sub(1))
    }

    /// Whether the dictionary should be given up now.
    fn is_poor(&self, page_ends: bool) -> bool {
        let dictionary_bytes = self.dictionary.store.plain_bytes();
        if dictionary_bytes > MAX_DICTIONARY_BYTES {
            return true;
        }
        let judged = page_ends || self.numbers.len() >= TRIAL_VALUES;
        judged && (dictionary_bytes + self.coded_bytes + self.numbers_bytes()) * 10 > self.seen_bytes * 9
    }

    fn numbers_bytes(&self) -> usize {
        self.numbers.len() * self.width() as usize / 8
    }

    /// Writes the page plain from here on; calls `each` with the values that are in it.
    fn give_up(&mut self, mut each: impl FnMut(&S::Value)) {
        self.open = false;
        for number in std::mem::take(&mut self.numbers) {
            let value = self.dictionary.store.get(number);
            each(value);
            self.dictionary.store.put(value, &mut self.plain);
            if let Some(bloom) = &mut self.bloom {
                self.scratch.clear();
                self.dictionary.store.put_content(value, &mut self.scratch);
                bloom.insert(&self.scratch[..]);
            }
        }
        // The values that came first in this page are written plain.
        self.dictionary.close(self.coded_values);
    }

    fn page_bytes(&self) -> usize {
        if self.open { self.numbers_bytes() } else { self.plain.len() }
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> Encoding {
        if self.numbers.is_empty() {
            out.extend_from_slice(&self.plain);
            self.plain.clear();
            return Encoding::PLAIN;
        }
        let (width, start) = (self.width(), out.len());
        out.push(width as u8);
        put_values(&self.numbers, width, out);
        self.numbers.clear();
        self.coded_pages += 1;
        self.coded_bytes += out.len() - start;
        self.coded_values = self.dictionary.store.len();
        Encoding::RLE_DICTIONARY
    }

    fn end_chunk(&mut self) -> (Option<(Vec<u8>, u32)>, Option<Sbbf>) {
        let store = &self.dictionary.store;
        let dictionary = (self.coded_pages > 0).then(|| {
            let mut bytes = Vec::with_capacity(store.plain_bytes());
            (0..store.len() as u32).for_each(|number| store.put(store.get(number), &mut bytes));
            (bytes, store.len() as u32)
        });
        if let (Some(_), Some(bloom)) = (&dictionary, &mut self.bloom) {
            for number in 0..store.len() as u32 {
                self.scratch.clear();
                store.put_content(store.get(number), &mut self.scratch);
                bloom.insert(&self.scratch[..]);
            }
        }
        (dictionary, self.bloom.take())
    }

    fn memory_bytes(&self) -> usize {
        let bloom_bytes = self.bloom.as_ref().map_or(0, |bloom| bloom.num_blocks() * BLOOM_BLOCK_BYTES);
        self.dictionary.memory_bytes() + self.numbers.capacity() * 4 + self.plain.capacity() + bloom_bytes
    }
}

/// Values of fixed width.
pub struct NumberCoder<T> {
    coding: Coding<Numbers<T>>,
    page: NumberBounds<T>,
    chunk: NumberBounds<T>,
}

impl<T: Number> NumberCoder<T> {
    /// An empty chunk of values of `width` plain bytes.
    pub fn new(width: usize, dictionary: bool, bloom: Option<Sbbf>) -> Self {
        let coding = Coding::new(Numbers::new(width), dictionary, bloom);
        Self { coding, page: NumberBounds::new(), chunk: NumberBounds::new() }
    }

    fn width(&self) -> usize {
        self.coding.dictionary.store.width()
    }
}

impl<T: Number> Coder for NumberCoder<T> {
    fn size_bytes(&self, _data: &Data, from: usize, upto: usize) -> usize {
        (upto - from) * self.width()
    }

    fn append(&mut self, data: &Data, from: usize, upto: usize) {
        let bytes = self.size_bytes(data, from, upto);
        let Self { coding, page, .. } = self;
        if coding.open {
            coding.seen_bytes += bytes;
            T::each(data, from, upto, |value| {
                page.include(value);
                coding.code(&value);
            });
            if coding.is_poor(false) {
                coding.give_up(|_| {});
            }
        } else {
            coding.plain.reserve(bytes);
            T::each(data, from, upto, |value| {
                page.include(value);
                coding.put(&value);
            });
        }
    }

    fn page_bytes(&self) -> usize {
        self.coding.page_bytes()
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues {
        if self.coding.open && self.coding.is_poor(true) {
            self.coding.give_up(|_| {});
        }
        let page = std::mem::replace(&mut self.page, NumberBounds::new());
        self.chunk.merge(&page);
        let width = self.width();
        let plain = |value: T| {
            let mut bytes = Vec::with_capacity(width);
            value.put(width, &mut bytes);
            bytes
        };
        PageValues {
            encoding: self.coding.end_page(out),
            bounds: page.safe().map(|(least, largest)| (plain(least), plain(largest))),
            nans: T::FLOATING.then_some(page.nans as i64),
        }
    }

    fn end_chunk(&mut self, nulls: u64) -> ChunkValues {
        let (dictionary, bloom) = self.coding.end_chunk();
        ChunkValues {
            dictionary,
            statistics: T::statistics(self.chunk.safe(), self.width(), nulls, self.chunk.nans),
            bloom,
        }
    }

    fn memory_bytes(&self) -> usize {
        self.coding.memory_bytes()
    }
}

/// Byte strings.
pub struct StringCoder {
    coding: Coding<Strings>,
    page: StringBounds,
    chunk: StringBounds,
    utf8: bool,
    /// By number in the dictionary: the page in which the value was seen last, counted from 1.
    seen_in: Vec<u32>,
}

impl StringCoder {
    /// An empty chunk.
    pub fn new(utf8: bool, dictionary: bool, bloom: Option<Sbbf>) -> Self {
        let coding = Coding::new(Strings::new(), dictionary, bloom);
        Self { coding, page: StringBounds::default(), chunk: StringBounds::default(), utf8, seen_in: Vec::new() }
    }
}

impl Coder for StringCoder {
    fn size_bytes(&self, data: &Data, from: usize, upto: usize) -> usize {
        strings(data).map_or(0, |s| (s.ends[upto] - s.ends[from]) as usize + 4 * (upto - from))
    }

    fn append(&mut self, data: &Data, from: usize, upto: usize) {
        let Some(strings) = strings(data) else { return };
        let bytes = self.size_bytes(data, from, upto);
        let values =
            strings.ends[from..=upto].windows(2).map(|ends| &strings.bytes[ends[0] as usize..ends[1] as usize]);
        let Self { coding, page, .. } = self;
        if coding.open {
            coding.seen_bytes += bytes;
            coding.numbers.reserve(upto - from);
            values.for_each(|value| coding.code(value));
            if coding.is_poor(false) {
                coding.give_up(|value| page.include(value));
            }
        } else {
            coding.plain.reserve(bytes);
            for value in values {
                page.include(value);
                coding.put(value);
            }
        }
    }

    fn page_bytes(&self) -> usize {
        self.coding.page_bytes()
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues {
        let Self { coding, page, seen_in, .. } = self;
        if coding.open && coding.is_poor(true) {
            coding.give_up(|value| page.include(value));
        }
        // Each value once a page, however often it comes.
        let this_page = coding.coded_pages + 1;
        seen_in.resize(coding.dictionary.store.len(), 0);
        for number in &coding.numbers {
            let seen = &mut seen_in[*number as usize];
            if *seen != this_page {
                *seen = this_page;
                page.include(coding.dictionary.store.get(*number));
            }
        }
        let page = std::mem::take(page);
        self.chunk.merge(&page);
        PageValues {
            encoding: self.coding.end_page(out),
            bounds: page.cut(self.utf8).map(|[least, largest]| (least.0, largest.0)),
            nans: None,
        }
    }

    fn end_chunk(&mut self, nulls: u64) -> ChunkValues {
        let (dictionary, bloom) = self.coding.end_chunk();
        let statistics = string_statistics(self.chunk.cut(self.utf8), nulls);
        ChunkValues { dictionary, statistics, bloom }
    }

    fn memory_bytes(&self) -> usize {
        self.coding.memory_bytes() + self.seen_in.capacity() * 4
    }
}

/// Booleans, a bit each.
#[derive(Default)]
pub struct BooleanCoder {
    page: Bits,
    /// Whether there was a false, a true.
    chunk: [bool; 2],
}

impl Coder for BooleanCoder {
    fn size_bytes(&self, _data: &Data, from: usize, upto: usize) -> usize {
        (upto - from).div_ceil(8)
    }

    fn append(&mut self, data: &Data, from: usize, upto: usize) {
        if let Data::Booleans(bits) = data {
            self.page.append(bits, from, upto);
        }
    }

    fn page_bytes(&self) -> usize {
        self.page.len / 8
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues {
        let trues = self.page.ones(0, self.page.len);
        let [some_false, some_true] = [trues < self.page.len, trues > 0];
        self.chunk = [self.chunk[0] | some_false, self.chunk[1] | some_true];
        let end = out.len() + self.page.len.div_ceil(8);
        self.page.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.truncate(end);
        self.page.clear();
        let bounds = (some_false || some_true).then(|| (vec![u8::from(!some_false)], vec![u8::from(some_true)]));
        PageValues { encoding: Encoding::PLAIN, bounds, nans: None }
    }

    fn end_chunk(&mut self, nulls: u64) -> ChunkValues {
        let any = self.chunk[0] || self.chunk[1];
        let (least, largest) = (any.then_some(!self.chunk[0]), any.then_some(self.chunk[1]));
        let statistics = Statistics::boolean(least, largest, None, Some(nulls), false);
        ChunkValues { dictionary: None, statistics, bloom: None }
    }

    fn memory_bytes(&self) -> usize {
        self.page.words.capacity() * 8
    }
}
