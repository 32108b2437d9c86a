//! The parts of the conversion one by one, to be measured by `benches/stages`. In builds with the feature `bench` alone.
//!
//! What `encode` does with a chunk, in the same sizes but on one thread and without a sink.

use super::ConvertError;
use super::decode::Decoder;
use super::rules::Rules;
use super::schema::TableSchema;
use super::writer::{Batch, FileOptions, FileWriter, compression};
use crate::record::Chunk;
use crate::stream::definition::ConvertSpec;
use std::io;
use std::sync::Arc;

/// A conversion taken apart.
pub struct Stages {
    schema: Arc<TableSchema>,
    rules: Rules,
    options: FileOptions,
}

/// Rows in columns.
pub struct Decoded(Batch);

impl Stages {
    /// The parts of the conversion by `spec` under `schema`.
    pub fn new(spec: &ConvertSpec, schema: Arc<TableSchema>) -> Result<Self, ConvertError> {
        let options = FileOptions { parquet: spec.parquet.clone(), revision: 0 };
        Ok(Self { schema: super::written(spec, schema)?, rules: Rules::new(spec)?, options })
    }

    /// JSON into columns; `chunks` are a batch each. Records that are refused are left out.
    pub fn decode(&self, chunks: &[Chunk]) -> Vec<Decoded> {
        let mut decoder = Decoder::new(&self.schema, &self.rules);
        let decode = |chunk: &Chunk| {
            let is_utf8 = simdutf8::basic::from_utf8(&chunk.buffer).is_ok();
            chunk.iter().for_each(|(_, record)| drop(decoder.record(record, is_utf8)));
            let (columns, rows) = decoder.take(None);
            Decoded(Batch { columns, rows, spread_bytes: 0 })
        };
        chunks.iter().map(decode).collect()
    }

    /// Columns into a file, compressed as the options say.
    pub fn encode(&self, decoded: Vec<Decoded>) -> io::Result<Vec<u8>> {
        let mut file = Vec::new();
        let mut writer = FileWriter::new(&self.schema, &self.options).map_err(io::Error::other)?;
        for Decoded(batch) in decoded {
            writer.encode(&[batch])?;
            writer.flush(&mut file)?;
        }
        writer.finish(&mut file)?;
        Ok(file)
    }

    /// Compresses bytes as a page of them would be.
    pub fn compress(&self, page: Vec<u8>) -> io::Result<Vec<u8>> {
        compression::compress(self.options.parquet.compression, page).map_err(io::Error::other)
    }
}
