//! Joins records byte for byte, with a delimiter behind each where the stream has one, and compresses them: the last stage
//! when nothing is converted.
//!
//! From: `delivery` picks the [`Encoder`] by the stream's CompressionFormat. To: the outbox draft behind `sink`.
//! Neighbours: [`joined`] turns records into bytes, one codec per file turns bytes into the body: [`gzip`], [`zip`],
//! [`snappy`] (both Snappy framings), [`zstd`].
//!
//! Invariants: the decompressed body is the records, their delimiters, and nothing else; no record is ever refused; an encoder that took
//! no record writes nothing; the same pushes give the same bytes (no time, name or random in them); one block (Snappy)
//! or the codec's window at most stays in memory, the rest leaves with each push.

mod gzip;
mod joined;
mod snappy;
mod zip;
mod zstd;

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;

use super::Encoder;
use crate::failpoint;
use crate::stream::definition::Compression;
use joined::{Joined, Verbatim};

/// Levels and block sizes. Any of them decodes alike; they are data only so that a test build can use other ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tuning {
    deflate_level: u32,
    xerial_block_bytes: usize,
    hadoop_block_bytes: usize,
    zstd_level: i32,
}

/// What is used: the last level that still buys size about as cheaply as the one before.
///
/// Measured over the test data sets (55 MB of JSON lines, one core), MB/s and size in percent of the input:
///
/// | deflate (zlib-rs) | 1 | 2 | 3 | 4 | 5 | 6 | 9 | zstd | 1 | 2 | 3 | 4 | 5 | 6 |
/// |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
/// | MB/s | 389 | 278 | 231 | 193 | 170 | 136 | 66 | | 882 | 744 | 648 | 623 | 291 | 220 |
/// | size | 21.1 | 16.3 | 14.9 | 13.9 | 13.1 | 12.9 | 12.5 | | 9.9 | 9.3 | 8.5 | 8.4 | 7.2 | 6.9 |
///
/// Deflate 6 costs a quarter more CPU than 5 for 1 % less; zstd 5 costs twice as much as 3 for 15 % less.
const ORDINARY: Tuning = Tuning {
    deflate_level: 5,
    xerial_block_bytes: 32 * 1024,
    hadoop_block_bytes: snappy::HADOOP_BLOCK_BYTES,
    zstd_level: 3,
};

/// What the test build that encodes differently uses: other bytes, equal content.
const OTHERWISE: Tuning =
    Tuning { deflate_level: 1, xerial_block_bytes: 16 * 1024, hadoop_block_bytes: 64 * 1024, zstd_level: 1 };

/// An encoder for one object. `entry_name` names the entry inside a ZIP archive (the object's UUID); the other
/// formats do not use it. `delimiter` follows each record, whatever it ends with; empty for none.
pub fn encoder(compression: Compression, entry_name: &str, delimiter: &str) -> Box<dyn Encoder> {
    let tuning = if failpoint::encodes_differently() { OTHERWISE } else { ORDINARY };
    tuned(compression, entry_name, delimiter, tuning)
}

fn tuned(compression: Compression, entry_name: &str, delimiter: &str, tuning: Tuning) -> Box<dyn Encoder> {
    match compression {
        Compression::Uncompressed => Box::new(Joined::new(Verbatim, delimiter)),
        Compression::Gzip => Box::new(Joined::new(gzip::Gzip::new(tuning.deflate_level), delimiter)),
        Compression::Zip => Box::new(Joined::new(zip::Zip::new(entry_name, tuning.deflate_level), delimiter)),
        Compression::Snappy => Box::new(Joined::new(snappy::Snappy::xerial(tuning.xerial_block_bytes), delimiter)),
        Compression::HadoopSnappy => {
            Box::new(Joined::new(snappy::Snappy::hadoop(tuning.hadoop_block_bytes), delimiter))
        }
        Compression::Zstd => Box::new(Joined::new(zstd::Zstd::new(tuning.zstd_level), delimiter)),
    }
}

/// Default extension of an object's key, with its dot; empty for none. FileExtension replaces it.
pub fn extension(compression: Compression) -> &'static str {
    match compression {
        Compression::Uncompressed => "",
        Compression::Gzip => ".gz",
        Compression::Zip => ".zip",
        Compression::Snappy | Compression::HadoopSnappy => ".snappy",
        Compression::Zstd => ".zst",
    }
}

/// `Content-Encoding` of an object; none for an uncompressed one.
pub fn content_encoding(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::Uncompressed => None,
        Compression::Gzip => Some("gzip"),
        Compression::Zip => Some("zip"),
        Compression::Snappy => Some("snappy-java"),
        Compression::HadoopSnappy => Some("hadoop-snappy"),
        Compression::Zstd => Some("zstd"),
    }
}
