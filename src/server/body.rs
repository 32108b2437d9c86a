//! Request bodies, read whole, bounded in bytes and in time.
//!
//! A refused request's body is read and thrown away up to a bound, since a client that is still sending when the
//! connection closes sees a reset instead of the answer.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;

/// Most bytes thrown away for the sake of an answer.
const DISCARD_BYTES: usize = 64 << 20;
/// Longest time spent on throwing away.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes of a body of PutRecord and PutRecordBatch; a batch of 4 MiB is 5.6 MiB of base64, more with escapes.
    pub aws_bytes: usize,
    /// Most bytes of a records body as it arrives.
    pub lines_bytes: usize,
    /// Most bytes of a body of the API's other operations, which becomes a tree many times as large.
    pub control_bytes: usize,
    /// Most bytes of such bodies at once.
    pub control_room_bytes: u32,
    /// How long such a request may wait for its share of them.
    pub control_wait: Duration,
    /// Most time from the headers to the last byte.
    pub time: Duration,
    /// Most time without a byte. Shorter, since a body holds its share of memory whether its sender is there or not.
    pub stall_time: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            aws_bytes: 8 << 20,
            lines_bytes: crate::ingest::MAX_LINES_BYTES,
            control_bytes: 512 << 10,
            control_room_bytes: 8 << 20,
            control_wait: Duration::from_secs(5),
            time: Duration::from_secs(60),
            stall_time: Duration::from_secs(10),
        }
    }
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLong { limit_bytes: usize },
    #[error("the body did not arrive within {} seconds", .0.as_secs_f32())]
    TooSlow(Duration),
    #[error("no byte of the body came for {} seconds", .0.as_secs_f32())]
    Stalled(Duration),
    #[error("the body broke off: {0}")]
    Broken(hyper::Error),
}

/// A body on its way in.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    /// Too slow or broken: there is no use in waiting for the rest.
    given_up: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { incoming, given_up: false }
    }

    /// The length it is declared to have.
    pub(super) fn declared_bytes(&self) -> Option<usize> {
        self.incoming.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Reads at most `limit_bytes` within the times of `limits`. A body that came in a single piece is not copied.
    pub(super) async fn read(&mut self, limit_bytes: usize, limits: &BodyLimits) -> Result<Bytes, BodyError> {
        if self.declared_bytes().is_some_and(|bytes| bytes > limit_bytes) {
            return Err(BodyError::TooLong { limit_bytes });
        }
        let time = limits.time;
        let gathering = self.gather(limit_bytes, limits.stall_time);
        let done = tokio::time::timeout(time, gathering).await.unwrap_or(Err(BodyError::TooSlow(time)));
        self.given_up = matches!(done, Err(BodyError::TooSlow(_) | BodyError::Stalled(_) | BodyError::Broken(_)));
        done
    }

    async fn gather(&mut self, limit_bytes: usize, stall_time: Duration) -> Result<Bytes, BodyError> {
        let declared = self.declared_bytes();
        let Some(first) = self.next_within(stall_time).await? else { return Ok(Bytes::new()) };
        if first.len() > limit_bytes {
            return Err(BodyError::TooLong { limit_bytes });
        }
        if declared == Some(first.len()) {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(declared.unwrap_or(first.len() * 2));
        whole.extend_from_slice(&first);
        drop(first);
        while let Some(piece) = self.next_within(stall_time).await? {
            if whole.len() + piece.len() > limit_bytes {
                return Err(BodyError::TooLong { limit_bytes });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn next_within(&mut self, time: Duration) -> Result<Option<Bytes>, BodyError> {
        tokio::time::timeout(time, self.next()).await.unwrap_or(Err(BodyError::Stalled(time)))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(frame) = self.incoming.frame().await {
            // What is not data is trailers, which nobody asked for.
            if let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Throws away what is left. `true`: to its end, and the connection can be used on.
    pub(super) async fn discard(&mut self) -> bool {
        if self.incoming.is_end_stream() {
            return true;
        }
        if self.given_up || self.declared_bytes().is_some_and(|bytes| bytes > DISCARD_BYTES) {
            return false;
        }
        let reading = async {
            let mut seen = 0;
            loop {
                match self.next().await {
                    Ok(None) => return true,
                    Ok(Some(piece)) if seen + piece.len() <= DISCARD_BYTES => seen += piece.len(),
                    Ok(Some(_)) | Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(DISCARD_TIME, reading).await.unwrap_or(false)
    }
}
