//! The form of a catalog file: JSON with a format number.
//!
//! A member that an older program does not know has no effect there, and is left out when it writes the row again;
//! whatever must not be lost that way raises the format. A row has the lowest format in which nothing of that kind is lost,
//! so that an older program reads the streams that it delivers in the same way, and refuses the others. Format 2 brought a
//! source backup, dynamic partitioning, processors other than the transform, zones of keys, a target size of objects,
//! columns of unknown fields, INT96. Format 3 brought destinations besides
//! S3.

use super::StreamRecord;
use crate::stream::definition::{ConvertSpec, Definition, Processors};
use crate::stream::prefix::TimeZone;
use serde::{Deserialize, Serialize};
use std::io;

/// The newest format this program reads and writes.
pub const FORMAT: u64 = 3;

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

/// The lowest format that says all of the row.
fn format_of(record: &StreamRecord) -> u64 {
    let Definition { s3, http, redshift, backup, partitioning, processors, convert, target_object_bytes, .. } =
        &*record.definition;
    let converts_otherwise = |spec: &ConvertSpec| spec.unknown_fields_column.is_some() || spec.parquet.int96_timestamps;
    let is_newer = backup.is_some()
        || partitioning.is_some()
        || *processors != Processors::default()
        || s3.time_zone != TimeZone::default()
        || target_object_bytes.is_some()
        || convert.as_ref().is_some_and(converts_otherwise);
    match (http.is_some() || redshift.is_some(), is_newer) {
        (true, _) => 3,
        (false, true) => 2,
        (false, false) => 1,
    }
}

/// The bytes of a row. Fails only for what JSON cannot hold, which a row has nowhere.
pub fn encode(record: &StreamRecord) -> io::Result<Vec<u8>> {
    let written = Written { format: format_of(record), stream: record };
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
        1..=FORMAT => Ok(serde_json::from_slice::<Read>(bytes).map_err(damaged)?.stream),
        0 => Err(DecodeError::Damaged("format 0 never existed".to_owned())),
        found => Err(DecodeError::Newer { found }),
    }
}
