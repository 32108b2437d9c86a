//! The encoder: records to rows to one Parquet file.
//!
//! From: `delivery`, chunk by chunk. To: `decode`, then `arrays` and `writer` whenever a batch is full. Rule D3: an
//! encoder that took no record writes nothing.

use super::arrays;
use super::decode::Decoder;
use super::rejection::Rejection;
use super::rules::Rules;
use super::schema::TableSchema;
use super::writer::{FileOptions, FileWriter, broken};
use crate::failpoint;
use crate::record::{Chunk, Refused};
use crate::stage::Encoder;
use crate::stream::definition::{ParquetCompression, ParquetOptions};
use std::io::{self, Write};
use std::sync::Arc;

/// A batch is full at this many rows,
const BATCH_ROWS: usize = 65_536;
/// or at this many bytes of JSON,
const BATCH_JSON_BYTES: usize = 8 << 20;
/// or when its fixed widths come to this many bytes.
const BATCH_SPREAD_BYTES: u64 = 32 << 20;

/// JSON records to one Parquet file.
pub struct ParquetEncoder {
    schema: Arc<TableSchema>,
    options: FileOptions,
    decoder: Decoder,
    writer: Option<FileWriter>,
    records: u64,
    batch_json_bytes: usize,
    differently: bool,
}

impl ParquetEncoder {
    /// An encoder for rows of `schema`, read by `rules`.
    pub fn new(schema: Arc<TableSchema>, rules: &Rules, parquet: ParquetOptions, revision: u64) -> Self {
        Self::deciding(schema, rules, parquet, revision, failpoint::encodes_differently())
    }

    /// As [`Self::new`]; `differently` writes and refuses as the crash tests' other build does, so that they can tell
    /// sealed bytes from bytes encoded anew.
    pub(super) fn deciding(
        schema: Arc<TableSchema>,
        rules: &Rules,
        parquet: ParquetOptions,
        revision: u64,
        differently: bool,
    ) -> Self {
        let mut options = FileOptions { parquet, revision };
        if differently {
            options.parquet.block_size_bytes = 16 << 10;
            options.parquet.compression = match options.parquet.compression {
                ParquetCompression::Zstd => ParquetCompression::Snappy,
                _ => ParquetCompression::Zstd,
            };
        }
        let decoder = Decoder::new(&schema, rules);
        Self { schema, options, decoder, writer: None, records: 0, batch_json_bytes: 0, differently }
    }

    fn is_full(&self) -> bool {
        self.decoder.rows >= BATCH_ROWS
            || self.batch_json_bytes >= BATCH_JSON_BYTES
            || self.decoder.spread_bytes >= BATCH_SPREAD_BYTES
    }

    fn flush(&mut self, sink: &mut dyn Write) -> io::Result<()> {
        let rows = std::mem::take(&mut self.decoder.rows);
        self.decoder.spread_bytes = 0;
        self.batch_json_bytes = 0;
        if rows == 0 {
            return Ok(());
        }
        let columns = arrays::take(&mut self.decoder.columns, rows).map_err(broken)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(FileWriter::new(&self.schema, &self.options).map_err(broken)?),
        };
        writer.write(&columns, rows, sink)
    }
}

impl Encoder for ParquetEncoder {
    fn push(&mut self, chunk: &Chunk, sink: &mut dyn Write) -> io::Result<Vec<Refused>> {
        let mut refused = Vec::new();
        for (slot, record) in chunk.iter() {
            let outcome = if self.differently && crc32c::crc32c(record).is_multiple_of(7) {
                Err(Box::new(refused_differently()))
            } else {
                self.decoder.record(record)
            };
            match outcome {
                Ok(()) => self.records += 1,
                Err(rejection) => refused.push(Refused { origin: slot.origin, cause: rejection.cause() }),
            }
            self.batch_json_bytes += record.len();
            if self.is_full() {
                self.flush(sink)?;
            }
        }
        Ok(refused)
    }

    fn finish(mut self: Box<Self>, sink: &mut dyn Write) -> io::Result<u64> {
        self.flush(sink)?;
        if let Some(writer) = self.writer {
            writer.finish(sink)?;
        }
        Ok(self.records)
    }
}

/// What the test build that decides differently says.
fn refused_differently() -> Rejection {
    Rejection::Mismatch { path: Vec::new(), what: "(test build)".to_owned() }
}
