//! The encoder: records to rows to one Parquet file.
//!
//! From: `delivery`, chunk by chunk. To: `decode`, then `writer` whenever a batch is full. A large chunk is decoded in
//! parts on all processors, while the columns of the chunk before are encoded on all of them; rows keep the records'
//! order. Columns that are encoded go back to the decoders, with their room. Rule D3: an encoder that took no record
//! writes nothing.

use super::columns::Struct;
use super::decode::Decoder;
use super::infer::{self, LearntTable};
use super::rejection::Rejection;
use super::rules::Rules;
use super::schema::TableSchema;
use super::writer::{Batch, FileOptions, FileWriter, broken};
use crate::failpoint;
use crate::record::{Chunk, Refused, Slot};
use crate::stage::Encoder;
use crate::stream::definition::{ParquetCompression, ParquetOptions};
use parking_lot::Mutex;
use rayon::prelude::*;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

/// A batch is full at this many rows,
const BATCH_ROWS: usize = 65_536;
/// or at this many bytes of JSON, whose columns stay in the cache of a processor until they are encoded,
const BATCH_JSON_BYTES: usize = 512 << 10;
/// or when its fixed widths come to this many bytes.
const BATCH_SPREAD_BYTES: u64 = 32 << 20;

/// Least JSON that is worth a thread of its own.
const PART_JSON_BYTES: usize = 256 << 10;
/// Parts of a chunk for each thread: the smaller they are, the less do threads wait for the one that ends last.
const PARTS_PER_THREAD: usize = 4;

/// JSON records to one Parquet file.
pub struct ParquetEncoder {
    schema: Arc<TableSchema>,
    options: FileOptions,
    rules: Rules,
    differently: bool,
    /// One for each part of a chunk that is decoded at the same time; made when first needed.
    decoders: Vec<PartDecoder>,
    /// Decoded and not yet encoded.
    pending: Vec<Batch>,
    /// Empty columns.
    free: Arc<FreeColumns>,
    writer: Option<FileWriter>,
    records: u64,
    /// Bytes of JSON taken, and of those the newest chunk's.
    pushed_bytes: u64,
    newest_bytes: u64,
    /// Of a learnt table that may yet be widened: places whose values may outgrow what was learnt.
    learns: Option<Arc<[Vec<u16>]>>,
    fits: bool,
}

type FreeColumns = Mutex<Vec<Struct>>;

/// Decodes a part of a chunk.
struct PartDecoder {
    decoder: Decoder,
    free: Arc<FreeColumns>,
    json_bytes: usize,
    differently: bool,
    learns: Option<Arc<[Vec<u16>]>>,
    decoded: Decoded,
}

/// What came of it.
#[derive(Default)]
struct Decoded {
    batches: Vec<Batch>,
    refused: Vec<Refused>,
    records: u64,
    /// A record does not fit the learnt table; those behind it were not looked at.
    is_unfit: bool,
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
        Self {
            schema,
            options,
            rules: rules.clone(),
            differently,
            decoders: Vec::new(),
            pending: Vec::new(),
            free: Arc::default(),
            writer: None,
            records: 0,
            pushed_bytes: 0,
            newest_bytes: 0,
            learns: None,
            fits: true,
        }
    }

    /// Records that do not fit are no longer refused, but end the encoding.
    pub fn learns(&mut self, table: &LearntTable) {
        self.learns = Some(table.narrow.clone().into());
    }

    /// Makes decoders until there are `count`.
    fn make_decoders(&mut self, count: usize) {
        while self.decoders.len() < count {
            self.decoders.push(PartDecoder {
                decoder: Decoder::new(&self.schema, &self.rules),
                free: Arc::clone(&self.free),
                json_bytes: 0,
                differently: self.differently,
                learns: self.learns.clone(),
                decoded: Decoded::default(),
            });
        }
    }

    /// Takes over what the decoders have. Returns the records refused.
    fn collect(&mut self) -> Vec<Refused> {
        let mut refused = Vec::new();
        for decoder in &mut self.decoders {
            let decoded = mem::take(&mut decoder.decoded);
            self.records += decoded.records;
            self.fits &= !decoded.is_unfit;
            refused.extend(decoded.refused);
            self.pending.extend(decoded.batches);
        }
        refused
    }

    /// Encodes what is decoded, and meanwhile does `beside`.
    fn encode_beside<T: Send>(&mut self, beside: impl FnOnce(&mut [PartDecoder]) -> T + Send) -> io::Result<T> {
        let Self { pending, writer, decoders, free, schema, options, .. } = self;
        if !pending.is_empty() && writer.is_none() {
            *writer = Some(FileWriter::new(schema, options).map_err(broken)?);
        }
        let encode = || match writer {
            Some(writer) => writer.encode(pending),
            None => Ok(()),
        };
        let (outcome, encoded) = rayon::join(|| beside(decoders), encode);
        encoded?;
        let most = 2 * decoders.len() + 2;
        let mut free = free.lock();
        for mut batch in pending.drain(..) {
            if free.len() < most {
                batch.columns.clear();
                free.push(batch.columns);
            }
        }
        Ok(outcome)
    }
}

impl PartDecoder {
    /// Decodes records that follow those given before.
    fn decode(&mut self, chunk: &Chunk, slots: &[Slot]) {
        let text = utf8_span(chunk, slots);
        for slot in slots {
            let record = chunk.bytes(slot);
            let outcome = if self.differently && crc32c::crc32c(record).is_multiple_of(7) {
                Err(Box::new(refused_differently()))
            } else {
                let (start, end) = (slot.start as usize, slot.start as usize + slot.len as usize);
                let is_char_boundary = |at: usize| {
                    text.as_ref()
                        .is_some_and(|(first, text)| at.checked_sub(*first).is_some_and(|at| text.is_char_boundary(at)))
                };
                self.decoder.record(record, is_char_boundary(start) && is_char_boundary(end))
            };
            match outcome {
                Ok(()) => self.decoded.records += 1,
                Err(rejection) if self.learns.is_some() && rejection.is_unfit() => {
                    self.decoded.is_unfit = true;
                    return;
                }
                Err(rejection) => {
                    self.decoded.refused.push(Refused { origin: slot.origin, cause: rejection.cause() });
                }
            }
            self.json_bytes += record.len();
            let is_full = self.decoder.rows >= BATCH_ROWS
                || self.json_bytes >= BATCH_JSON_BYTES
                || self.decoder.spread_bytes >= BATCH_SPREAD_BYTES;
            if is_full {
                self.end_batch();
            }
        }
        self.find_unfit();
    }

    /// Values of a learnt table that are more than what it was learnt from.
    fn find_unfit(&mut self) {
        let Some(places) = self.learns.as_deref() else { return };
        self.decoded.is_unfit |= places.iter().any(|place| infer::is_outgrown(&self.decoder.columns, place));
    }

    fn end_batch(&mut self) {
        self.find_unfit();
        self.json_bytes = 0;
        if self.decoder.rows > 0 {
            let free = self.free.lock().pop();
            let spread_bytes = self.decoder.spread_bytes;
            let (columns, rows) = self.decoder.take(free);
            self.decoded.batches.push(Batch { columns, rows, spread_bytes });
        }
    }
}

impl Encoder for ParquetEncoder {
    fn push(&mut self, chunk: &Chunk, sink: &mut dyn Write) -> io::Result<Vec<Refused>> {
        self.newest_bytes = chunk.slots.iter().map(|slot| u64::from(slot.len)).sum();
        self.pushed_bytes += self.newest_bytes;
        let parts = parts(&chunk.slots, most_parts());
        self.make_decoders(parts.len());
        self.encode_beside(|decoders| {
            if let ([part], [decoder, ..]) = (&parts[..], &mut *decoders) {
                // Its rows may wait for those of the next chunk.
                return decoder.decode(chunk, part);
            }
            decoders.par_iter_mut().zip(&parts).with_max_len(1).for_each(|(decoder, part)| {
                decoder.decode(chunk, part);
                // None may wait: the rows of the next part come behind them.
                decoder.end_batch();
            });
        })?;
        if let Some(writer) = &mut self.writer {
            writer.flush(sink)?;
        }
        Ok(self.collect())
    }

    fn pending_bytes(&self) -> u64 {
        let Some(writer) = &self.writer else { return 0 };
        let pending = writer.pending_bytes();
        // The newest chunk is decoded at most; it becomes as small as those before it.
        let before = self.pushed_bytes - self.newest_bytes;
        let encoded = (writer.length_bytes() + pending) as f64;
        pending + if before > 0 { (encoded / before as f64 * self.newest_bytes as f64) as u64 } else { 0 }
    }

    fn fits(&self) -> bool {
        self.fits
    }

    fn finish(mut self: Box<Self>, sink: &mut dyn Write) -> io::Result<u64> {
        // One round for what is decoded, one for rows that waited for more.
        for _ in 0..2 {
            self.encode_beside(|decoders| decoders.iter_mut().for_each(PartDecoder::end_batch))?;
            self.collect();
            if let Some(writer) = &mut self.writer {
                writer.flush(sink)?;
            }
        }
        if let Some(writer) = self.writer {
            writer.finish(sink)?;
        }
        Ok(self.records)
    }
}

/// The bytes from the first record to the end of the last, with their place, if they are UTF-8: one check of them all
/// costs half of one for each record.
fn utf8_span<'a>(chunk: &'a Chunk, slots: &[Slot]) -> Option<(usize, &'a str)> {
    let (first, last) = (slots.first()?, slots.last()?);
    let start = first.start as usize;
    let bytes = chunk.buffer.get(start..last.start as usize + last.len as usize)?;
    Some((start, simdutf8::basic::from_utf8(bytes).ok()?))
}

fn most_parts() -> usize {
    match rayon::current_num_threads() {
        1 => 1,
        threads => PARTS_PER_THREAD * threads,
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
