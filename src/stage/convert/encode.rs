//! The encoder: records to rows to one Parquet file.
//!
//! From: `delivery`, chunk by chunk. To: `decode`, then `arrays` and `writer` whenever a batch is full. A large chunk is
//! decoded in parts on all processors, and its columns are encoded on all of them; rows keep the records' order.
//! Rule D3: an encoder that took no record writes nothing.

use super::arrays;
use super::decode::Decoder;
use super::rejection::Rejection;
use super::rules::Rules;
use super::schema::TableSchema;
use super::writer::{Batch, FileOptions, FileWriter, broken};
use crate::failpoint;
use crate::record::{Chunk, Refused, Slot};
use crate::stage::Encoder;
use crate::stream::definition::{ParquetCompression, ParquetOptions};
use rayon::prelude::*;
use std::io::{self, Write};
use std::sync::Arc;

/// A batch is full at this many rows,
const BATCH_ROWS: usize = 65_536;
/// or at this many bytes of JSON,
const BATCH_JSON_BYTES: usize = 8 << 20;
/// or when its fixed widths come to this many bytes.
const BATCH_SPREAD_BYTES: u64 = 32 << 20;

/// Least JSON that is worth a thread of its own.
const PART_JSON_BYTES: usize = 256 << 10;

/// JSON records to one Parquet file.
pub struct ParquetEncoder {
    schema: Arc<TableSchema>,
    options: FileOptions,
    rules: Rules,
    differently: bool,
    /// One for each part of a chunk that is decoded at the same time; made when first needed.
    decoders: Vec<PartDecoder>,
    writer: Option<FileWriter>,
    records: u64,
}

/// Decodes a part of a chunk.
struct PartDecoder {
    decoder: Decoder,
    json_bytes: usize,
    differently: bool,
    decoded: Decoded,
}

/// What came of it.
#[derive(Default)]
struct Decoded {
    batches: Vec<Batch>,
    refused: Vec<Refused>,
    records: u64,
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
        Self { schema, options, rules: rules.clone(), differently, decoders: Vec::new(), writer: None, records: 0 }
    }

    /// The first `count` decoders.
    fn decoders(&mut self, count: usize) -> &mut [PartDecoder] {
        while self.decoders.len() < count {
            self.decoders.push(PartDecoder {
                decoder: Decoder::new(&self.schema, &self.rules),
                json_bytes: 0,
                differently: self.differently,
                decoded: Decoded::default(),
            });
        }
        &mut self.decoders[..count]
    }

    fn write(&mut self, batches: &[Batch], sink: &mut dyn Write) -> io::Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(FileWriter::new(&self.schema, &self.options).map_err(broken)?),
        };
        writer.write(batches, sink)
    }
}

impl PartDecoder {
    /// Decodes records that follow those given before.
    fn decode(&mut self, chunk: &Chunk, slots: &[Slot]) -> io::Result<()> {
        for slot in slots {
            let record = chunk.bytes(slot);
            let outcome = if self.differently && crc32c::crc32c(record).is_multiple_of(7) {
                Err(Box::new(refused_differently()))
            } else {
                self.decoder.record(record)
            };
            match outcome {
                Ok(()) => self.decoded.records += 1,
                Err(rejection) => {
                    self.decoded.refused.push(Refused { origin: slot.origin, cause: rejection.cause() });
                }
            }
            self.json_bytes += record.len();
            let is_full = self.decoder.rows >= BATCH_ROWS
                || self.json_bytes >= BATCH_JSON_BYTES
                || self.decoder.spread_bytes >= BATCH_SPREAD_BYTES;
            if is_full {
                self.end_batch()?;
            }
        }
        Ok(())
    }

    fn end_batch(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.decoder.rows);
        self.decoder.spread_bytes = 0;
        self.json_bytes = 0;
        if rows > 0 {
            let columns = arrays::take(&mut self.decoder.columns, rows).map_err(broken)?;
            self.decoded.batches.push(Batch { columns, rows });
        }
        Ok(())
    }
}

impl Encoder for ParquetEncoder {
    fn push(&mut self, chunk: &Chunk, sink: &mut dyn Write) -> io::Result<Vec<Refused>> {
        let parts = parts(&chunk.slots, rayon::current_num_threads());
        let decoders = self.decoders(parts.len());
        if let ([part], [decoder]) = (&parts[..], &mut *decoders) {
            // Its rows may wait for those of the next chunk.
            decoder.decode(chunk, part)?;
        } else {
            let decoders = decoders.par_iter_mut().zip(&parts);
            // None may wait: the rows of the next part come behind them.
            decoders.try_for_each(|(decoder, part)| decoder.decode(chunk, part).and_then(|()| decoder.end_batch()))?;
        }
        let mut refused = Vec::new();
        let mut batches = Vec::new();
        for decoder in &mut self.decoders {
            let decoded = std::mem::take(&mut decoder.decoded);
            self.records += decoded.records;
            refused.extend(decoded.refused);
            batches.extend(decoded.batches);
        }
        self.write(&batches, sink)?;
        Ok(refused)
    }

    fn finish(mut self: Box<Self>, sink: &mut dyn Write) -> io::Result<u64> {
        if let Some(first) = self.decoders.first_mut() {
            first.end_batch()?;
            let rest = std::mem::take(&mut first.decoded.batches);
            self.write(&rest, sink)?;
        }
        if let Some(writer) = self.writer {
            writer.finish(sink)?;
        }
        Ok(self.records)
    }
}

/// At most `most` parts of about the same size, in order; one if there is too little to share out.
fn parts(slots: &[Slot], most: usize) -> Vec<&[Slot]> {
    let bytes: usize = slots.iter().map(|slot| slot.len as usize).sum();
    let part_bytes = bytes.div_ceil(most.max(1)).max(PART_JSON_BYTES);
    let mut parts = Vec::with_capacity(most);
    let (mut from, mut held) = (0, 0);
    for (at, slot) in slots.iter().enumerate() {
        held += slot.len as usize;
        if held >= part_bytes && parts.len() + 1 < most {
            parts.push(&slots[from..=at]);
            (from, held) = (at + 1, 0);
        }
    }
    if from < slots.len() || parts.is_empty() {
        parts.push(&slots[from..]);
    }
    parts
}

/// What the test build that decides differently says.
fn refused_differently() -> Rejection {
    Rejection::Mismatch { path: Vec::new(), what: "(test build)".to_owned() }
}
