//! Put requests into the log: the hottest path of the product.
//!
//! From: `server` hands over bodies. To: the log behind [`Intake`], whose append returns once the records are durable;
//! only then does an answer leave here.
//!
//! ```text
//! admission (bytes bounded) ▶ body ▶ request (AWS JSON) or lines (NDJSON) ▶ FrameBody ▶ Sink::append ▶ response
//! ```
//!
//! Invariants: a request is taken whole or refused whole (only a line too long for a record fails alone); what is
//! acknowledged is one frame; no heap allocation per record; the parser accepts exactly the request grammar, which
//! `tests::oracle` states a second time with serde_json and tests compare.

mod admission;
mod intake;
mod json;
mod lines;
mod request;
mod response;
mod service;

#[cfg(test)]
pub(crate) mod tests;

pub use admission::{Admission, Admitted};
pub use intake::{AppendError, Appended, FrameBody, Intake, LogSink, LookupError, Sink};
pub use lines::ContentEncoding;
pub use request::{Put, parse_put_record, parse_put_record_batch};
pub use service::{Ingest, LinesError};

/// Longest record, before base64.
pub const MAX_RECORD_BYTES: usize = 1_024_000;
/// Most records of a PutRecordBatch.
pub const MAX_BATCH_RECORDS: usize = 500;
/// Most bytes of a PutRecordBatch's records, before base64.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of the lines of one request, expanded.
pub const MAX_LINES_BYTES: usize = 16 * 1024 * 1024;
