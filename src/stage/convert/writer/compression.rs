//! The codecs of pages. Used by `chunk`. Formats: Apache Parquet, Compression.

use crate::stream::definition::ParquetCompression;
use flate2::write::GzEncoder;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use std::io::Write;

/// Level of Zstandard: its fastest ordinary one.
const ZSTD_LEVEL: i32 = 1;

/// The codec's name for the footer.
pub fn codec(compression: ParquetCompression) -> Compression {
    match compression {
        ParquetCompression::Uncompressed => Compression::UNCOMPRESSED,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        ParquetCompression::Lz4Raw => Compression::LZ4_RAW,
    }
}

/// A page's bytes, compressed.
pub fn compress(compression: ParquetCompression, bytes: Vec<u8>) -> Result<Vec<u8>> {
    Ok(match compression {
        ParquetCompression::Uncompressed => bytes,
        ParquetCompression::Snappy => {
            let external = |error: snap::Error| ParquetError::External(Box::new(error));
            snap::raw::Encoder::new().compress_vec(&bytes).map_err(external)?
        }
        ParquetCompression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4 + 64), flate2::Compression::default());
            encoder.write_all(&bytes)?;
            encoder.finish()?
        }
        ParquetCompression::Zstd => zstd::bulk::compress(&bytes, ZSTD_LEVEL)?,
        ParquetCompression::Lz4Raw => lz4_flex::block::compress(&bytes),
    })
}
