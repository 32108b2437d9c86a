//! Arrow arrays into the bytes of one Parquet file, streamed.
//!
//! From: `encode`, a batch at a time. To: the sink it hands in. A row group is kept encoded and compressed until it has
//! its size, then goes out column by column; nothing of the file is kept but its footer's entries.

use super::arrays::{View, schema};
use super::schema::TableSchema;
use crate::stream::definition::{ParquetCompression, ParquetOptions};
use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use parking_lot::Mutex;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;
use std::io::{self, Write};
use std::sync::Arc;

/// A row group is closed at this size even if BlockSizeBytes allows more: it lies in memory until then.
pub const MAX_GROUP_BYTES: u64 = 32 << 20;
/// Most rows of a row group, so that readers can share out a file of small rows.
const MAX_GROUP_ROWS: usize = 1 << 20;

/// A Parquet file being written.
pub struct FileWriter {
    file: SerializedFileWriter<Spool>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Columns of the file that each field becomes.
    leaves: Vec<usize>,
    spool: Spool,
    group: Option<Group>,
    group_bytes: usize,
}

/// Rows as arrays, one a field of the table.
pub struct Batch {
    /// The arrays.
    pub columns: Vec<ArrayRef>,
    /// Their length.
    pub rows: usize,
}

struct Group {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

/// Where the Parquet writer puts bytes, and the encoder takes them from: a column of a row group at once. In blocks,
/// since one buffer that grows to such a length is copied on its way, and takes up to three times the memory.
#[derive(Clone, Default)]
struct Spool(Arc<Mutex<Vec<Vec<u8>>>>);

/// Size of a block.
const BLOCK_BYTES: usize = 256 << 10;

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut blocks = self.0.lock();
        let mut rest = bytes;
        while !rest.is_empty() {
            match blocks.last_mut() {
                Some(block) if block.len() < BLOCK_BYTES => {
                    let (fits, more) = rest.split_at(rest.len().min(BLOCK_BYTES - block.len()));
                    block.extend_from_slice(fits);
                    rest = more;
                }
                _ => blocks.push(Vec::with_capacity(BLOCK_BYTES)),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spool {
    fn drain(&self, sink: &mut dyn Write) -> io::Result<()> {
        let blocks = std::mem::take(&mut *self.0.lock());
        // Each is freed when it is written.
        blocks.into_iter().try_for_each(|block| sink.write_all(&block))
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

/// The Parquet writer's properties of a stream.
pub fn properties(table: &TableSchema, options: &FileOptions) -> WriterProperties {
    let parquet = &options.parquet;
    let compression = match parquet.compression {
        ParquetCompression::Uncompressed => Compression::UNCOMPRESSED,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        ParquetCompression::Lz4Raw => Compression::LZ4_RAW,
    };
    let version = if parquet.writer_v2 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    WriterProperties::builder()
        .set_created_by(concat!("hydrant version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_writer_version(version)
        .set_dictionary_enabled(parquet.dictionary)
        .set_data_page_size_limit(usize::try_from(parquet.page_size_bytes).unwrap_or(usize::MAX))
        .set_key_value_metadata(Some(vec![
            entry("hydrant.revision", options.revision.to_string()),
            entry("hydrant.schema", table.version.clone()),
        ]))
        .build()
}

impl FileWriter {
    /// A new file for rows of `table`.
    pub fn new(table: &TableSchema, options: &FileOptions) -> Result<Self, ParquetError> {
        let spool = Spool::default();
        let parquet_schema =
            ArrowSchemaConverter::new().schema_root("schema").convert(&schema(table, View::Logical))?;
        let properties = Arc::new(properties(table, options));
        let file = SerializedFileWriter::new(spool.clone(), parquet_schema.root_schema_ptr(), properties)?;
        let schema: SchemaRef = Arc::new(schema(table, View::Physical));
        let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema));
        let leaves = schema.fields().iter().map(|field| leaf_count(field.data_type())).collect();
        let group_bytes = options.parquet.block_size_bytes.min(MAX_GROUP_BYTES) as usize;
        Ok(Self { file, factory, schema, leaves, spool, group: None, group_bytes })
    }

    /// Encodes batches of rows, in order; closes the row group when it has its size.
    pub fn write(&mut self, batches: &[Batch], sink: &mut dyn Write) -> io::Result<()> {
        let number = self.file.flushed_row_groups().len();
        let group = match &mut self.group {
            Some(group) => group,
            none => {
                none.insert(Group { columns: self.factory.create_column_writers(number).map_err(broken)?, rows: 0 })
            }
        };
        // Each field has its leaves' writers; fields are encoded on all processors.
        let mut rest = &mut group.columns[..];
        let mut fields = Vec::with_capacity(self.leaves.len());
        for (at, (field, leaves)) in self.schema.fields().iter().zip(&self.leaves).enumerate() {
            let (writers, others) = rest.split_at_mut_checked(*leaves).ok_or_else(|| broken("too few columns"))?;
            fields.push((at, field, writers));
            rest = others;
        }
        fields
            .into_par_iter()
            .try_for_each(|(at, field, writers)| {
                for batch in batches {
                    let leaves = compute_leaves(field, &batch.columns[at])?;
                    writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))?;
                }
                Ok::<_, ParquetError>(())
            })
            .map_err(broken)?;
        group.rows += batches.iter().map(|batch| batch.rows).sum::<usize>();
        let bytes: usize = group.columns.iter().map(ArrowColumnWriter::memory_size).sum();
        if bytes >= self.group_bytes || group.rows >= MAX_GROUP_ROWS {
            self.close_group(sink)?;
        }
        Ok(())
    }

    /// Writes what is left, and the footer.
    pub fn finish(mut self, sink: &mut dyn Write) -> io::Result<()> {
        self.close_group(sink)?;
        self.file.finish().map_err(broken)?;
        self.spool.drain(sink)
    }

    fn close_group(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let mut writer = self.file.next_row_group().map_err(broken)?;
        let closed: Vec<_> = group.columns.into_par_iter().map(ArrowColumnWriter::close).collect();
        for column in closed {
            column.and_then(|chunk| chunk.append_to_row_group(&mut writer)).map_err(broken)?;
            self.spool.drain(sink)?;
        }
        writer.close().map_err(broken)?;
        Ok(())
    }
}

/// Columns of a Parquet file that a field of this type becomes.
fn leaf_count(kind: &DataType) -> usize {
    match kind {
        DataType::List(item) | DataType::Map(item, _) => leaf_count(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaf_count(field.data_type())).sum(),
        _ => 1,
    }
}

/// A failure of the Parquet writer on bytes in memory: a broken invariant, reported with the attempt to seal.
pub fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

/// Whether a Parquet file can be written for the table at all.
pub fn check(table: &TableSchema) -> Result<(), ArrowError> {
    let options = ParquetOptions {
        block_size_bytes: MAX_GROUP_BYTES,
        page_size_bytes: 1 << 20,
        compression: ParquetCompression::Uncompressed,
        dictionary: false,
        writer_v2: false,
    };
    let writer = FileWriter::new(table, &FileOptions { parquet: options, revision: 0 });
    let made = writer.and_then(|writer| writer.factory.create_column_writers(0).map(drop));
    made.map_err(|error| ArrowError::SchemaError(error.to_string()))
}
