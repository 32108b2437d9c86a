//! One column chunk: levels and values into pages, compressed as they fill, and what the footer says of them.
//!
//! From: `shred` with the levels of a batch. To: `footer`, which puts closed chunks behind each other. Pages end between
//! rows. Format: Apache Parquet, Data Pages and Page Index; headers are serialised by the parquet crate.

use super::super::columns::{Bits, Column, Data};
use super::coder::Coder;
use super::compression::compress;
use super::levels::{put_bits, put_levels, width_of};
use crate::stream::definition::ParquetCompression;
use bytes::Bytes;
use parquet::basic::{Encoding, PageType};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::sync::Arc;

/// A page is full at so many rows if it has [`LEAST_PAGE_BYTES`], so that the page index is worth reading,
const PAGE_ROWS: usize = 20_000;
const LEAST_PAGE_BYTES: usize = 64 << 10;
/// and in any case at so many,
const MAX_PAGE_ROWS: usize = 131_072;
/// or when so many values, nulls included, are in these rows.
const MAX_PAGE_SLOTS: usize = 1 << 19;
/// Rows that stay together when a batch is shared out to pages.
const STEP: usize = 64;

/// How pages are written.
#[derive(Debug, Clone)]
pub struct PageOptions {
    /// Bytes of a page, before compression.
    pub page_bytes: usize,
    /// Compression.
    pub compression: ParquetCompression,
    /// Data pages of version 2.
    pub v2: bool,
    /// False positives of Bloom filters.
    pub bloom_filter_fpp: f64,
}

/// The levels of a batch. A slot is a place where a value of the column may stand.
#[derive(Clone, Copy)]
pub enum Levels<'a> {
    /// Of a column of the table itself: one slot a row. Bits behind the last one are 0.
    Flat {
        /// Which values are there.
        valid: &'a Bits,
        /// Slots.
        rows: usize,
    },
    /// Inside of others.
    Nested {
        /// Definition levels.
        def: &'a [u8],
        /// Repetition levels; none if no list or map is around.
        rep: &'a [u8],
    },
}

impl Levels<'_> {
    fn slots(&self) -> usize {
        match self {
            Self::Flat { rows, .. } => *rows,
            Self::Nested { def, .. } => def.len(),
        }
    }

    /// Values in the slots from `from` up to `upto`.
    fn present(&self, from: usize, upto: usize, max_def: u8) -> usize {
        match self {
            Self::Flat { valid, .. } => valid.ones(from, upto),
            Self::Nested { def, .. } => def[from..upto].iter().filter(|level| **level == max_def).count(),
        }
    }

    /// Rows that begin in these slots.
    fn rows(&self, from: usize, upto: usize) -> usize {
        match self {
            Self::Nested { rep, .. } if !rep.is_empty() => rep[from..upto].iter().filter(|level| **level == 0).count(),
            _ => upto - from,
        }
    }

    /// The first slot from `at` on in which a row begins.
    fn row_start(&self, at: usize) -> usize {
        match self {
            Self::Nested { rep, .. } if !rep.is_empty() => {
                at + rep[at.min(rep.len())..].iter().take_while(|level| **level != 0).count()
            }
            _ => at,
        }
        .min(self.slots())
    }
}

/// A column chunk being written.
pub struct ChunkWriter {
    column: ColumnDescPtr,
    options: Arc<PageOptions>,
    coder: Box<dyn Coder>,
    max_def: u8,
    max_rep: u8,
    page: PageLevels,
    /// Data pages with their headers; empty in the places of those that are not compressed yet.
    pages: Vec<Bytes>,
    uncompressed: Vec<UncompressedPage>,
    told: Vec<PageTold>,
    uncompressed_bytes: usize,
}

/// Levels of the page under construction.
#[derive(Default)]
struct PageLevels {
    /// Definition levels of a flat column.
    flat: Bits,
    def: Vec<u8>,
    rep: Vec<u8>,
    slots: usize,
    rows: usize,
    nulls: usize,
}

/// A full page, to be compressed.
pub struct UncompressedPage {
    /// Among the data pages of its chunk.
    number: usize,
    /// Repetition levels, definition levels, values.
    body: Vec<u8>,
    rep_bytes: usize,
    def_bytes: usize,
    slots: usize,
    rows: usize,
    nulls: usize,
    encoding: Encoding,
    /// As it stands in the file, and its bytes before compression, header included.
    written: Option<(Bytes, usize)>,
}

impl UncompressedPage {
    /// Makes the page what stands in the file.
    pub fn compress(&mut self, options: &PageOptions) -> Result<()> {
        let mut body = std::mem::take(&mut self.body);
        let uncompressed_bytes = body.len();
        let (num_values, encoding) = (self.slots as u32, self.encoding);
        let page = if options.v2 {
            // Levels are not compressed, and values only if that makes them smaller.
            let levels_bytes = self.rep_bytes + self.def_bytes;
            let packed = compress(options.compression, body[levels_bytes..].to_vec())?;
            let is_compressed = packed.len() < uncompressed_bytes - levels_bytes;
            if is_compressed {
                body.truncate(levels_bytes);
                body.extend_from_slice(&packed);
            }
            Page::DataPageV2 {
                buf: Bytes::from(body),
                num_values,
                encoding,
                num_nulls: self.nulls as u32,
                num_rows: self.rows as u32,
                def_levels_byte_len: self.def_bytes as u32,
                rep_levels_byte_len: self.rep_bytes as u32,
                is_compressed,
                statistics: None,
            }
        } else {
            let buf = Bytes::from(compress(options.compression, body)?);
            let (def_level_encoding, rep_level_encoding) = (Encoding::RLE, Encoding::RLE);
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics: None }
        };
        self.written = Some(with_header(page, uncompressed_bytes)?);
        Ok(())
    }
}

/// What the indexes say of a page.
struct PageTold {
    slots: usize,
    rows: usize,
    nulls: usize,
    encoding: Encoding,
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    nans: Option<i64>,
}

/// A closed chunk: its bytes in pieces, and what the footer says of them.
pub struct ClosedChunk {
    /// The dictionary page.
    pub dictionary: Option<Bytes>,
    /// The data pages, with their rows.
    pub pages: Vec<(Bytes, usize)>,
    /// For the footer; it has no offsets yet.
    pub metadata: ColumnChunkMetaData,
    /// Bounds of the pages, if all have some.
    pub column_index: Option<ColumnIndexMetaData>,
    /// Bloom filter.
    pub bloom: Option<Sbbf>,
}

impl ChunkWriter {
    /// An empty chunk of `column`.
    pub fn new(column: ColumnDescPtr, options: Arc<PageOptions>, coder: Box<dyn Coder>) -> Self {
        // Types nest up to 64 levels of at most two each.
        let (max_def, max_rep) = (column.max_def_level() as u8, column.max_rep_level() as u8);
        let page = PageLevels::default();
        Self {
            column,
            options,
            coder,
            max_def,
            max_rep,
            page,
            pages: Vec::new(),
            uncompressed: Vec::new(),
            told: Vec::new(),
            uncompressed_bytes: 0,
        }
    }

    /// Takes the values of a column, with their levels.
    pub fn write(&mut self, column: &Column, levels: Levels) {
        let slots = levels.slots();
        let (mut at, mut value) = (0, 0);
        while at < slots {
            let (end, value_end) = self.fitting(&column.data, column.present, levels, at, value);
            self.take_levels(levels, at, end, value_end - value);
            self.coder.append(&column.data, value, value_end);
            (at, value) = (end, value_end);
            if self.is_full() {
                self.end_page();
            }
        }
    }

    /// The slots and values, from `at` and `value` on, that go into this page: all if they fit.
    fn fitting(&self, data: &Data, present: usize, levels: Levels, at: usize, value: usize) -> (usize, usize) {
        let slots = levels.slots();
        let room = self.options.page_bytes.saturating_sub(self.coder.page_bytes());
        let rows_room = MAX_PAGE_ROWS.saturating_sub(self.page.rows);
        if self.coder.size_bytes(data, value, present) <= room && slots - at <= rows_room {
            return (slots, present);
        }
        let (mut end, mut value_end) = (at, value);
        loop {
            let next = levels.row_start((end + STEP).min(slots));
            value_end += levels.present(end, next, self.max_def);
            end = next;
            let full = self.coder.size_bytes(data, value, value_end) >= room || end - at >= rows_room;
            if full || end == slots {
                return (end, value_end);
            }
        }
    }

    fn take_levels(&mut self, levels: Levels, from: usize, upto: usize, present: usize) {
        let page = &mut self.page;
        match levels {
            Levels::Flat { valid, .. } => page.flat.append(valid, from, upto),
            Levels::Nested { def, rep } => {
                page.def.extend_from_slice(&def[from..upto]);
                page.rep.extend_from_slice(rep.get(from..upto).unwrap_or_default());
            }
        }
        page.slots += upto - from;
        page.rows += levels.rows(from, upto);
        page.nulls += upto - from - present;
    }

    fn is_full(&self) -> bool {
        let bytes = self.coder.page_bytes() + self.page.def.len() / 4;
        let PageLevels { rows, slots, .. } = self.page;
        bytes >= self.options.page_bytes
            || rows >= MAX_PAGE_ROWS
            || slots >= MAX_PAGE_SLOTS
            || rows >= PAGE_ROWS && bytes >= LEAST_PAGE_BYTES
    }

    fn end_page(&mut self) {
        let page = std::mem::take(&mut self.page);
        if page.slots == 0 {
            return;
        }
        let mut body = Vec::with_capacity(self.coder.page_bytes() + page.slots / 8 + 64);
        let v1 = !self.options.v2;
        let rep_bytes = if self.max_rep > 0 {
            section(&mut body, v1, |out| put_levels(&page.rep, width_of(u32::from(self.max_rep)), out))
        } else {
            0
        };
        let def_bytes = match self.max_def {
            0 => 0,
            _ if page.def.is_empty() => section(&mut body, v1, |out| put_bits(&page.flat, out)),
            max => section(&mut body, v1, |out| put_levels(&page.def, width_of(u32::from(max)), out)),
        };
        let values = self.coder.end_page(&mut body);
        let (slots, rows, nulls, encoding) = (page.slots, page.rows, page.nulls, values.encoding);
        let (bounds, nans) = (values.bounds, values.nans);
        self.uncompressed.push(UncompressedPage {
            number: self.pages.len(),
            body,
            rep_bytes,
            def_bytes,
            slots,
            rows,
            nulls,
            encoding,
            written: None,
        });
        self.pages.push(Bytes::new());
        self.told.push(PageTold { slots, rows, nulls, encoding, bounds, nans });
        // Room for the next page's levels is kept.
        let PageLevels { mut flat, mut def, mut rep, .. } = page;
        flat.clear();
        def.clear();
        rep.clear();
        self.page = PageLevels { flat, def, rep, ..PageLevels::default() };
    }

    /// The pages that are full and not yet compressed, to be compressed wherever there is a processor for it.
    pub fn take_uncompressed(&mut self) -> Vec<UncompressedPage> {
        std::mem::take(&mut self.uncompressed)
    }

    /// Puts compressed pages in their places.
    pub fn put_compressed(&mut self, pages: Vec<UncompressedPage>) {
        for page in pages {
            if let Some((bytes, uncompressed_bytes)) = page.written {
                self.pages[page.number] = bytes;
                self.uncompressed_bytes += uncompressed_bytes;
            }
        }
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        let PageLevels { flat, def, rep, .. } = &self.page;
        let levels_bytes = flat.words.capacity() * 8 + def.capacity() + rep.capacity();
        self.encoded_bytes() + self.coder.memory_bytes() + levels_bytes
    }

    /// About the bytes of the chunk so far in the file.
    pub fn encoded_bytes(&self) -> usize {
        let waiting = self.uncompressed.iter().map(|page| page.body.len()).sum::<usize>();
        self.pages.iter().map(Bytes::len).sum::<usize>() + waiting + self.coder.page_bytes()
    }

    /// About the bytes that the pages so far will have in the file: what is not compressed yet becomes as small as what is.
    pub fn expected_bytes(&self) -> usize {
        let compressed = self.pages.iter().map(Bytes::len).sum::<usize>();
        let waiting = self.encoded_bytes() - compressed;
        match self.uncompressed_bytes {
            0 => compressed + waiting,
            before => compressed + (waiting as f64 * (compressed as f64 / before as f64)) as usize,
        }
    }

    /// Ends the chunk.
    pub fn close(mut self) -> Result<ClosedChunk> {
        self.end_page();
        let mut last = self.take_uncompressed();
        last.iter_mut().try_for_each(|page| page.compress(&self.options))?;
        self.put_compressed(last);
        let total = |of: fn(&PageTold) -> usize| self.told.iter().map(of).sum::<usize>();
        let (slots, nulls) = (total(|page| page.slots), total(|page| page.nulls));
        let mut values = self.coder.end_chunk(nulls as u64);
        if let Some(bloom) = &mut values.bloom {
            bloom.fold_to_target_fpp(self.options.bloom_filter_fpp);
        }
        let mut dictionary = None;
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        let mut stats = Vec::new();
        if let Some((bytes, num_values)) = values.dictionary {
            let uncompressed_bytes = bytes.len();
            let buf = Bytes::from(compress(self.options.compression, bytes)?);
            let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            let (bytes, uncompressed_bytes) = with_header(page, uncompressed_bytes)?;
            dictionary = Some(bytes);
            self.uncompressed_bytes += uncompressed_bytes;
            encodings.push(Encoding::RLE_DICTIONARY);
            stats.push(PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 });
        }
        let page_type = if self.options.v2 { PageType::DATA_PAGE_V2 } else { PageType::DATA_PAGE };
        for encoding in [Encoding::RLE_DICTIONARY, Encoding::PLAIN] {
            let count = self.told.iter().filter(|page| page.encoding == encoding).count() as i32;
            if count > 0 {
                stats.push(PageEncodingStats { page_type, encoding, count });
            }
        }
        let mut bounds = ColumnIndexBuilder::new(self.column.physical_type());
        for told in &self.told {
            let is_null = told.nulls == told.slots;
            match &told.bounds {
                Some((least, largest)) => {
                    bounds.append(false, least.clone(), largest.clone(), told.nulls as i64, told.nans);
                }
                None if is_null => bounds.append(true, Vec::new(), Vec::new(), told.nulls as i64, told.nans),
                // Values without an order: the index could say nothing true of this page.
                None => bounds.to_invalid(),
            }
        }
        let pages: Vec<_> = self.pages.into_iter().zip(self.told.iter().map(|told| told.rows)).collect();
        let compressed_bytes =
            dictionary.iter().chain(pages.iter().map(|(page, _)| page)).map(Bytes::len).sum::<usize>();
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(super::compression::codec(self.options.compression))
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_total_compressed_size(compressed_bytes as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_num_values(slots as i64)
            .set_statistics(values.statistics);
        let column_index = if bounds.valid() { Some(bounds.build()?) } else { None };
        Ok(ClosedChunk { dictionary, pages, metadata: metadata.build()?, column_index, bloom: values.bloom })
    }
}

/// Appends levels, before version 2 with their length in four bytes; returns the bytes appended.
fn section(body: &mut Vec<u8>, with_length: bool, put: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = body.len();
    if with_length {
        body.extend_from_slice(&[0; 4]);
    }
    let first = body.len();
    put(body);
    let length = ((body.len() - first) as u32).to_le_bytes();
    if with_length {
        body[start..first].copy_from_slice(&length);
    }
    body.len() - start
}

/// A page as it stands in the file, and its bytes before compression, header included.
fn with_header(page: Page, uncompressed_bytes: usize) -> Result<(Bytes, usize)> {
    let mut sink = TrackedWrite::new(Vec::with_capacity(page.buffer().len() + 64));
    let page = CompressedPage::new(page, uncompressed_bytes);
    let spec = SerializedPageWriter::new(&mut sink).write_page(page)?;
    Ok((Bytes::from(sink.into_inner()?), spec.uncompressed_size))
}
