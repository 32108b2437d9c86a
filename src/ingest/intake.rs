//! Where ingest ends: a stream's name finds a [`Sink`], and the sink makes a frame durable.
//!
//! The seam keeps ingest apart from the catalog and the local log: `app` joins them, and a fleet's nodes put another
//! log behind it.

use async_trait::async_trait;
use std::sync::Arc;

use crate::log::StreamLog;
pub use crate::log::{AppendError, Appended, FrameBody};
use crate::stream::Incarnation;

/// Takes the records of one stream.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The life of the stream it belongs to; part of its records' ids.
    fn incarnation(&self) -> Incarnation;
    /// Whether the records may come from where the stream takes its records from.
    fn allows_source(&self, _body: &FrameBody) -> bool {
        true
    }
    /// Appends a frame; durable when it returns `Ok`. Dropping the future may leave the frame in or out of the log,
    /// never in part.
    async fn append(&self, body: FrameBody) -> Result<Appended, AppendError>;
}

/// Why a name has no sink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No stream of this name.
    #[error("there is no such stream")]
    Unknown,
    /// It is being deleted, or not there yet.
    #[error("the stream is not active")]
    NotActive,
    /// It reads from elsewhere. The value is its DeliveryStreamType.
    #[error("the stream takes no puts: its type is {0}")]
    NotDirectPut(String),
    /// Its log cannot be opened.
    #[error("{0}")]
    Unavailable(String),
}

/// Finds sinks by stream name.
#[async_trait]
pub trait Intake: Send + Sync {
    /// The sink of the living stream `name`.
    async fn lookup(&self, name: &str) -> Result<Arc<dyn Sink>, LookupError>;
}

/// The local log as a sink.
#[derive(Debug, Clone)]
pub struct LogSink {
    incarnation: Incarnation,
    log: Arc<StreamLog>,
}

impl LogSink {
    /// The log of this life of a stream.
    pub fn new(incarnation: Incarnation, log: Arc<StreamLog>) -> Self {
        Self { incarnation, log }
    }
}

#[async_trait]
impl Sink for LogSink {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    async fn append(&self, body: FrameBody) -> Result<Appended, AppendError> {
        #[cfg(feature = "bench")]
        if let Some(pretended) = appendless::append(&body) {
            return Ok(pretended);
        }
        self.log.append(body).await
    }
}

/// The put path without its log, to measure what the log costs: `HYDRANT_BENCH_NO_APPEND=1` in a build for benchmarks.
#[cfg(feature = "bench")]
mod appendless {
    use super::{Appended, FrameBody};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(1);

    /// Numbers for records that are thrown away; `None` when the switch is off.
    pub fn append(body: &FrameBody) -> Option<Appended> {
        static ON: OnceLock<bool> = OnceLock::new();
        if !ON.get_or_init(|| std::env::var("HYDRANT_BENCH_NO_APPEND").is_ok_and(|value| value == "1")) {
            return None;
        }
        let count = body.lengths.len() as u64;
        let first = NEXT.fetch_add(count, Ordering::Relaxed);
        Some(Appended { first, last: first + count - 1 })
    }
}
