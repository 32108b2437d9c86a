//! The form of a catalog file: JSON with a format number.
//!
//! A member that an older program does not know is left out when it writes the row again; whatever must not be lost that
//! way raises [`FORMAT`].

use super::StreamRecord;
use serde::{Deserialize, Serialize};
use std::io;

/// The newest format this program reads, and the one it writes.
pub const FORMAT: u64 = 1;

/// Why a file could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Written by a newer program.
    Newer {
        /// Its format.
        found: u64,
    },
    /// Not a catalog file.
    Damaged(String),
}

#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    stream: &'a StreamRecord,
}

#[derive(Deserialize)]
struct Tag {
    format: u64,
}

#[derive(Deserialize)]
struct Read {
    stream: StreamRecord,
}

/// The bytes of a row. Fails only for what JSON cannot hold, which a row has nowhere.
pub fn encode(record: &StreamRecord) -> io::Result<Vec<u8>> {
    let written = Written { format: FORMAT, stream: record };
    let mut bytes = serde_json::to_vec_pretty(&written)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The row in `bytes`.
pub fn decode(bytes: &[u8]) -> Result<StreamRecord, DecodeError> {
    let damaged = |error: serde_json::Error| DecodeError::Damaged(error.to_string());
    // The tag first: the rest of a newer file may not have this program's shape at all.
    let Tag { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    match format {
        FORMAT => Ok(serde_json::from_slice::<Read>(bytes).map_err(damaged)?.stream),
        0 => Err(DecodeError::Damaged("format 0 never existed".to_owned())),
        found => Err(DecodeError::Newer { found }),
    }
}
