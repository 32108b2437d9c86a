//! Columns into the bytes of one Parquet file, streamed.
//!
//! From: `encode`, some batches at a time. To: the sink it hands in. A row group is kept encoded and compressed until it
//! has its size, then goes out; nothing of the file is kept but its footer's entries. Columns are
//! encoded by code of our own, from the shape in which the decoder leaves them: `shred` finds levels, `chunk` makes
//! pages, `coder` encodes values by `dictionary` or plain, `footer` puts the file together. Page headers, indexes and the
//! footer are serialised by the parquet crate.

mod bounds;
mod chunk;
mod coder;
pub mod compression;
mod dictionary;
mod footer;
mod levels;
mod shred;
mod types;
mod value;

use super::columns::Struct;
use super::schema::{HiveType, TableSchema};
use crate::stream::definition::ParquetOptions;
use chunk::{ChunkWriter, PageOptions};
use coder::{BooleanCoder, Coder, NumberCoder, StringCoder};
use footer::{FileFacts, FileLayout};
use parquet::basic::Type as Physical;
use parquet::bloom_filter::Sbbf;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use rayon::prelude::*;
use shred::Node;
use std::io::{self, Write};
use std::sync::Arc;
use value::{Instant96, Wide};

/// A row group is closed at this size even if BlockSizeBytes allows more: it lies in memory until then.
pub const MAX_GROUP_BYTES: u64 = 64 << 20;
/// Most bytes that a row group may take in memory, dictionaries and pages under construction included.
const MAX_GROUP_MEMORY_BYTES: usize = 80 << 20;
/// Most bytes of padding before a row group; they lie in memory too.
const MAX_PADDING_BYTES: u64 = 64 << 20;
/// Rows that take up to so many bytes beside their values are encoded at once, before sizes are looked at.
const MAX_SPREAD_AT_ONCE_BYTES: u64 = 32 << 20;
/// Most rows of a row group, so that readers can share out a file of small rows.
const MAX_GROUP_ROWS: usize = 1 << 20;

/// A Parquet file being written.
pub struct FileWriter {
    file: FileLayout,
    table: Arc<TableSchema>,
    parquet: ParquetOptions,
    pages: Arc<PageOptions>,
    group: Option<Group>,
}

/// Rows in columns.
pub struct Batch {
    /// The columns.
    pub columns: Struct,
    /// Their length.
    pub rows: usize,
    /// Bytes that nulls, fixed widths and levels of these rows take at least.
    pub spread_bytes: u64,
}

struct Group {
    columns: Vec<Node>,
    rows: usize,
    expected_bytes: u64,
}

impl Group {
    /// Shows all chunks, in the order of the schema.
    fn each_chunk<'a>(&'a mut self, mut take: impl FnMut(&'a mut ChunkWriter)) {
        self.columns.iter_mut().for_each(|node| node.each_chunk(&mut take));
    }
}

/// Options of a file beside its schema.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// ParquetSerDe.
    pub parquet: ParquetOptions,
    /// Revision of the stream's definition.
    pub revision: u64,
}

fn facts(table: &TableSchema, options: &FileOptions) -> FileFacts {
    let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    FileFacts {
        created_by: concat!("hydrant version ", env!("CARGO_PKG_VERSION")).to_owned(),
        version: if options.parquet.writer_v2 { 2 } else { 1 },
        entries: vec![
            entry("hydrant.revision", options.revision.to_string()),
            entry("hydrant.schema", table.version.clone()),
        ],
    }
}

impl FileWriter {
    /// A new file for rows of `table`.
    pub fn new(table: &Arc<TableSchema>, options: &FileOptions) -> Result<Self> {
        let parquet = options.parquet.clone();
        let schema = SchemaDescriptor::new(types::schema(table, parquet.int96_timestamps)?);
        let file = FileLayout::new(Arc::new(schema), facts(table, options));
        let pages = Arc::new(PageOptions {
            page_bytes: usize::try_from(parquet.page_size_bytes).unwrap_or(usize::MAX),
            compression: parquet.compression,
            v2: parquet.writer_v2,
            bloom_filter_fpp: parquet.bloom_filter_fpp,
        });
        Ok(Self { file, table: Arc::clone(table), parquet, pages, group: None })
    }

    /// Encodes batches of rows, in order; closes row groups that have their size.
    pub fn encode(&mut self, batches: &[Batch]) -> io::Result<()> {
        let mut rest = batches;
        while !rest.is_empty() {
            let mut spread_bytes = 0;
            let fitting = rest.iter().take_while(|batch| {
                spread_bytes += batch.spread_bytes;
                spread_bytes <= MAX_SPREAD_AT_ONCE_BYTES
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            self.encode_at_once(now)?;
            self.close_full_group()?;
            rest = later;
        }
        Ok(())
    }

    fn encode_at_once(&mut self, batches: &[Batch]) -> io::Result<()> {
        let mut group = match self.group.take() {
            Some(group) => group,
            None => self.new_group().map_err(broken)?,
        };
        // Fields are encoded on all processors, while the pages that became full last time are compressed: what a few
        // large columns have to compress at times would hold up all the others.
        let mut full = Vec::new();
        group.each_chunk(|chunk| full.push(chunk.take_uncompressed()));
        let columns = group.columns.par_iter_mut().enumerate().with_max_len(1);
        let encode = || {
            columns.try_for_each(|(at, node)| {
                batches.iter().try_for_each(|batch| node.write(&batch.columns.fields[at], batch.rows))
            })
        };
        let options = &self.pages;
        let pages: Vec<_> = full.iter_mut().flatten().collect();
        let compress = || pages.into_par_iter().with_max_len(1).try_for_each(|page| page.compress(options));
        let (outcome, encoded) = rayon::join(compress, encode);
        outcome.and(encoded).map_err(broken)?;
        let mut compressed = full.into_iter();
        group.each_chunk(|chunk| chunk.put_compressed(compressed.next().unwrap_or_default()));
        group.rows += batches.iter().map(|batch| batch.rows).sum::<usize>();
        self.group = Some(group);
        Ok(())
    }

    /// Writes what is ready.
    pub fn flush(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        self.file.flush(sink)
    }

    /// Bytes of the file so far.
    pub fn length_bytes(&self) -> u64 {
        self.file.length_bytes()
    }

    /// About the bytes in the file of the row group that is being made.
    pub fn pending_bytes(&self) -> u64 {
        self.group.as_ref().map_or(0, |group| group.expected_bytes)
    }

    fn close_full_group(&mut self) -> io::Result<()> {
        let Some(mut group) = self.group.take() else { return Ok(()) };
        let (mut encoded, mut expected, mut memory) = (0, 0, 0);
        group.each_chunk(|chunk| {
            encoded += chunk.encoded_bytes();
            expected += chunk.expected_bytes();
            memory += chunk.memory_bytes();
        });
        group.expected_bytes = expected as u64;
        let is_full = encoded as u64 >= self.parquet.block_size_bytes.min(MAX_GROUP_BYTES)
            || memory >= MAX_GROUP_MEMORY_BYTES
            || group.rows >= MAX_GROUP_ROWS;
        if is_full {
            return self.close_group(group);
        }
        self.group = Some(group);
        Ok(())
    }

    /// Writes what is left, and the footer.
    pub fn finish(mut self, sink: &mut dyn Write) -> io::Result<()> {
        if let Some(group) = self.group.take() {
            self.close_group(group)?;
        }
        self.file.finish(sink)
    }

    fn new_group(&self) -> Result<Group> {
        let mut leaves = self.file.schema().columns().iter();
        let mut leaf = |kind: &HiveType| {
            let column = leaves.next().ok_or_else(|| ParquetError::General("too few columns".to_owned()))?;
            let coder = coder(kind, column, &self.parquet)?;
            Ok(ChunkWriter::new(column.clone(), Arc::clone(&self.pages), coder))
        };
        let columns =
            self.table.columns.iter().map(|field| Node::new(&field.kind, &mut leaf)).collect::<Result<_>>()?;
        Ok(Group { columns, rows: 0, expected_bytes: 0 })
    }

    fn close_group(&mut self, group: Group) -> io::Result<()> {
        let close = |node: Node| {
            let mut chunks = Vec::new();
            node.close(&mut chunks).map(|()| chunks)
        };
        let closed: Vec<_> = group.columns.into_par_iter().map(close).collect::<Result<_>>().map_err(broken)?;
        let padding = padding(self.file.length_bytes(), &self.parquet);
        self.file.put(vec![0; padding].into());
        self.file.put_row_group(closed.into_iter().flatten().collect(), group.rows).map_err(broken)
    }
}

/// Zeros before a row group that would begin at `at`.
fn padding(at: u64, parquet: &ParquetOptions) -> usize {
    let left = at.next_multiple_of(parquet.block_size_bytes.max(1)) - at;
    if left <= parquet.max_padding_bytes.min(MAX_PADDING_BYTES) { left as usize } else { 0 }
}

/// The coder of a leaf.
fn coder(kind: &HiveType, column: &ColumnDescPtr, parquet: &ParquetOptions) -> Result<Box<dyn Coder>> {
    let bloom = if is_filtered(column, parquet) { Some(new_filter(parquet)?) } else { None };
    let dictionary = parquet.dictionary;
    Ok(match kind {
        HiveType::Boolean => Box::new(BooleanCoder::default()),
        HiveType::TinyInt | HiveType::SmallInt | HiveType::Int | HiveType::Date => {
            Box::new(NumberCoder::<i32>::new(4, dictionary, bloom))
        }
        HiveType::Decimal { precision, .. } if *precision <= types::DECIMAL_DIGITS[0] => {
            Box::new(NumberCoder::<i32>::new(4, dictionary, bloom))
        }
        HiveType::Decimal { precision, .. } if *precision <= types::DECIMAL_DIGITS[1] => {
            Box::new(NumberCoder::<i64>::new(8, dictionary, bloom))
        }
        HiveType::Decimal { precision, .. } => {
            Box::new(NumberCoder::<Wide>::new(types::decimal_bytes(*precision), dictionary, bloom))
        }
        HiveType::Timestamp if parquet.int96_timestamps => {
            Box::new(NumberCoder::<Instant96>::new(12, dictionary, bloom))
        }
        HiveType::BigInt | HiveType::Timestamp => Box::new(NumberCoder::<i64>::new(8, dictionary, bloom)),
        HiveType::Float => Box::new(NumberCoder::<f32>::new(4, dictionary, bloom)),
        HiveType::Double => Box::new(NumberCoder::<f64>::new(8, dictionary, bloom)),
        HiveType::Binary => Box::new(StringCoder::new(false, dictionary, bloom)),
        _ => Box::new(StringCoder::new(true, dictionary, bloom)),
    })
}

/// Bytes that the Bloom filters of a row group of `table` take while it is written.
pub fn bloom_filters_bytes(table: &TableSchema, parquet: &ParquetOptions) -> Result<usize> {
    let columns = SchemaDescriptor::new(types::schema(table, false)?);
    let filters = columns.columns().iter().filter(|column| is_filtered(column, parquet)).count();
    Ok(filters * new_filter(parquet)?.num_blocks() * coder::BLOOM_BLOCK_BYTES)
}

fn is_filtered(column: &ColumnDescPtr, parquet: &ParquetOptions) -> bool {
    column.physical_type() != Physical::BOOLEAN
        && parquet.bloom_filter_columns.iter().any(|name| is_named(column, name))
}

fn new_filter(parquet: &ParquetOptions) -> Result<Sbbf> {
    Sbbf::new_with_ndv_fpp(MAX_GROUP_ROWS as u64, parquet.bloom_filter_fpp)
}

/// Whether `name` is that of a column, or of a leaf by its dotted path, of which there is anything to filter.
pub fn can_have_bloom_filter(table: &TableSchema, name: &str) -> bool {
    let Ok(schema) = types::schema(table, false) else { return false };
    let columns = SchemaDescriptor::new(schema);
    columns.columns().iter().any(|column| column.physical_type() != Physical::BOOLEAN && is_named(column, name))
}

/// Whether `name` is a leaf's dotted path or the name of the table's column it is part of.
fn is_named(column: &ColumnDescPtr, name: &str) -> bool {
    let top = column.path().parts().first().map_or("", String::as_str);
    name.eq_ignore_ascii_case(top) || name.eq_ignore_ascii_case(&column.path().string())
}

/// A failure of the Parquet writer on bytes in memory: a broken invariant, reported with the attempt to seal.
pub fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

/// Whether a Parquet file can be written for the table at all.
pub fn check(table: &TableSchema, parquet: &ParquetOptions) -> Result<()> {
    let table = Arc::new(table.clone());
    let writer = FileWriter::new(&table, &FileOptions { parquet: parquet.clone(), revision: 0 })?;
    writer.new_group().map(drop)
}
