//! Arrow arrays into the bytes of one Parquet file, streamed.
//!
//! From: `encode`, a batch at a time. To: the sink it hands in. A row group is kept encoded and compressed until it has
//! its size, then goes out column by column; nothing of the file is kept but its footer's entries.

use super::arrays::{View, schema};
use super::schema::TableSchema;
use crate::stream::definition::{ParquetCompression, ParquetOptions};
use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, SchemaRef};
use parking_lot::Mutex;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
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
    spool: Spool,
    group: Option<Group>,
    group_bytes: usize,
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
        let group_bytes = options.parquet.block_size_bytes.min(MAX_GROUP_BYTES) as usize;
        Ok(Self { file, factory, schema, spool, group: None, group_bytes })
    }

    /// Encodes a batch of `rows` rows; closes the row group when it has its size.
    pub fn write(&mut self, arrays: &[ArrayRef], rows: usize, sink: &mut dyn Write) -> io::Result<()> {
        let number = self.file.flushed_row_groups().len();
        let group = match &mut self.group {
            Some(group) => group,
            none => {
                none.insert(Group { columns: self.factory.create_column_writers(number).map_err(broken)?, rows: 0 })
            }
        };
        let mut columns = group.columns.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(arrays) {
            for leaf in compute_leaves(field, array).map_err(broken)? {
                let column = columns.next().ok_or_else(|| broken("more leaves than columns"))?;
                column.write(&leaf).map_err(broken)?;
            }
        }
        group.rows += rows;
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
        for column in group.columns {
            column.close().and_then(|chunk| chunk.append_to_row_group(&mut writer)).map_err(broken)?;
            self.spool.drain(sink)?;
        }
        writer.close().map_err(broken)?;
        Ok(())
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
