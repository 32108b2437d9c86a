//! Where everything stands in a Parquet file, and the footer that says so.
//!
//! From: `mod`, with closed row groups. To: the sink it hands in. Bytes are handed on as they come, in the buffers they
//! were made in; a copy of a row group would cost more than its compression. Indexes and footer are serialised by the
//! parquet crate. Format: Apache Parquet, File Format, Page Index and Bloom Filter.

use super::chunk::ClosedChunk;
use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::page_index::PageIndexBuilder;
use parquet::file::metadata::{
    ColumnChunkMetaDataBuilder, FileMetaData, KeyValue, OffsetIndexBuilder, ParquetMetaDataBuilder,
    ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::SchemaDescPtr;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

const MAGIC: &[u8] = b"PAR1";
/// Pages smaller than this are written together.
const WRITE_BYTES: usize = 64 << 10;

/// What the footer says beside the row groups.
pub struct FileFacts {
    /// The writer.
    pub created_by: String,
    /// Version of the format.
    pub version: i32,
    /// Key-value metadata.
    pub entries: Vec<KeyValue>,
}

/// A file that is put together from the front.
pub struct FileLayout {
    schema: SchemaDescPtr,
    facts: FileFacts,
    /// Next in the file.
    ready: Vec<Bytes>,
    /// Bytes up to the end of `ready`.
    length_bytes: u64,
    row_groups: Vec<RowGroupMetaData>,
    indexes: Vec<Vec<Indexes>>,
}

/// Of a column chunk.
struct Indexes {
    bounds: Option<ColumnIndexMetaData>,
    offsets: OffsetIndexMetaData,
}

impl FileLayout {
    /// An empty file with these columns.
    pub fn new(schema: SchemaDescPtr, facts: FileFacts) -> Self {
        let (row_groups, indexes) = (Vec::new(), Vec::new());
        let mut layout = Self { schema, facts, ready: Vec::new(), length_bytes: 0, row_groups, indexes };
        layout.put(Bytes::from_static(MAGIC));
        layout
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaDescPtr {
        &self.schema
    }

    /// Bytes so far.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Puts bytes that no reader looks at, or that what is put later tells of.
    pub fn put(&mut self, bytes: Bytes) {
        self.length_bytes += bytes.len() as u64;
        self.ready.push(bytes);
    }

    /// Puts the chunks of all columns, and their Bloom filters behind them.
    pub fn put_row_group(&mut self, chunks: Vec<ClosedChunk>, rows: usize) -> Result<()> {
        let start = self.length_bytes;
        let (mut columns, mut indexes) = (Vec::with_capacity(chunks.len()), Vec::with_capacity(chunks.len()));
        let mut uncompressed_bytes = 0;
        for chunk in chunks {
            let page_rows: usize = chunk.pages.iter().map(|(_, rows)| rows).sum();
            if page_rows != rows {
                let name = chunk.metadata.column_path().string();
                return Err(ParquetError::General(format!("{name} has {page_rows} rows of a group of {rows}")));
            }
            let dictionary_offset = chunk.dictionary.is_some().then_some(self.length_bytes as i64);
            chunk.dictionary.into_iter().for_each(|page| self.put(page));
            let data_offset = self.length_bytes as i64;
            let mut offsets = OffsetIndexBuilder::new();
            for (page, rows) in chunk.pages {
                offsets.append_row_count(rows as i64);
                offsets.append_offset_and_size(self.length_bytes as i64, page.len() as i32);
                self.put(page);
            }
            indexes.push(Indexes { bounds: chunk.column_index, offsets: offsets.build() });
            uncompressed_bytes += chunk.metadata.uncompressed_size();
            let metadata = chunk.metadata.into_builder();
            let metadata = metadata.set_data_page_offset(data_offset).set_dictionary_page_offset(dictionary_offset);
            columns.push((metadata, chunk.bloom));
        }
        let with_filter = |(column, bloom): (ColumnChunkMetaDataBuilder, Option<Sbbf>)| {
            let Some(bloom) = bloom else { return column.build() };
            let mut bytes = Vec::new();
            bloom.write(&mut bytes)?;
            let (offset, length) = (self.length_bytes as i64, bytes.len() as i32);
            self.put(bytes.into());
            column.set_bloom_filter_offset(Some(offset)).set_bloom_filter_length(Some(length)).build()
        };
        let columns = columns.into_iter().map(with_filter).collect::<Result<_>>()?;
        let group = RowGroupMetaData::builder(self.schema.clone())
            .set_column_metadata(columns)
            .set_total_byte_size(uncompressed_bytes)
            .set_num_rows(rows as i64)
            .set_ordinal(self.row_groups.len() as i32)
            .set_file_offset(start as i64);
        self.row_groups.push(group.build()?);
        self.indexes.push(indexes);
        Ok(())
    }

    /// Writes what is ready.
    pub fn flush(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        let mut sink = BufWriter::with_capacity(WRITE_BYTES, sink);
        // Each is freed when it is written.
        self.ready.drain(..).try_for_each(|bytes| sink.write_all(&bytes))?;
        sink.flush()
    }

    /// Writes what is ready, and the footer.
    pub fn finish(mut self, sink: &mut dyn Write) -> io::Result<()> {
        let footer = self.footer().map_err(super::broken)?;
        self.put(footer.into());
        self.flush(sink)
    }

    fn footer(&mut self) -> Result<Vec<u8>> {
        let mut index = PageIndexBuilder::new(self.indexes.len(), self.schema.num_columns());
        for (group, columns) in std::mem::take(&mut self.indexes).into_iter().enumerate() {
            for (column, Indexes { bounds, offsets }) in columns.into_iter().enumerate() {
                index.put_offset_index(offsets, group, column);
                if let Some(bounds) = bounds {
                    index.put_column_index(bounds, group, column);
                }
            }
        }
        let rows = self.row_groups.iter().map(RowGroupMetaData::num_rows).sum();
        let FileFacts { created_by, version, entries } = &self.facts;
        let (created_by, entries) = (Some(created_by.clone()), Some(entries.clone()));
        let file = FileMetaData::new(*version, rows, created_by, entries, self.schema.clone(), None);
        let metadata = ParquetMetaDataBuilder::new(file)
            .set_row_groups(std::mem::take(&mut self.row_groups))
            .set_page_index(Some(Arc::new(index.build())))
            .build();
        let mut footer = Vec::new();
        let mut sink = TrackedWrite::new(Behind { skip_bytes: self.length_bytes, rest: &mut footer });
        // It takes the places of the indexes from the bytes it was given before.
        io::copy(&mut io::repeat(0).take(self.length_bytes), &mut sink)?;
        ParquetMetaDataWriter::new_with_tracked(sink, &metadata).finish()?;
        Ok(footer)
    }
}

/// Drops the first bytes of what is written.
struct Behind<'a> {
    skip_bytes: u64,
    rest: &'a mut Vec<u8>,
}

impl Write for Behind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = self.skip_bytes.min(bytes.len() as u64);
        self.skip_bytes -= skipped;
        self.rest.extend_from_slice(&bytes[skipped as usize..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
