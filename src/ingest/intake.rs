//! Where ingest ends: a stream's name finds a [`Sink`], and the sink makes a frame durable.
//!
//! The seam keeps ingest apart from the catalog and the local log: `app` joins them, and a fleet's nodes put another
//! log behind it.

use async_trait::async_trait;
use std::sync::Arc;

use crate::stream::Incarnation;
pub use provisional::{AppendError, Appended, FrameBody};

/// Takes the records of one stream.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The life of the stream it belongs to; part of its records' ids.
    fn incarnation(&self) -> Incarnation;
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

/// Stands in for the log until it is there.
mod provisional {
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct FrameBody {
        pub lengths: Vec<u32>,
        pub payload: Vec<u8>,
        pub extensions: Vec<()>,
    }
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Appended {
        pub first: u64,
        pub last: u64,
    }
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum AppendError {
        #[error("no room: {0}")]
        NoRoom(String),
        #[error("refusing")]
        Refusing,
        #[error("{0}")]
        Io(String),
    }
}
