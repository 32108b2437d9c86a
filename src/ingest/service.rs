//! One put request from its body to its answer.

use super::admission::{Admission, Admitted, NotAdmitted};
use super::intake::{AppendError, Appended, FrameBody, Intake, LookupError, Sink};
use super::lines::{self, ContentEncoding, ExpandError, FailedLine, Split};
use super::request::{Put, parse_put_record, parse_put_record_batch};
use super::response;
use crate::fault::{Class, Fault};
use crate::telemetry::metrics::{self, PutFailure, PutKind};
use crate::wire::ApiError;
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;

/// The puts of one node.
pub struct Ingest {
    intake: Arc<dyn Intake>,
    admission: Admission,
    account_id: String,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("admission", &self.admission).finish_non_exhaustive()
    }
}

/// Why a records request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// As for the other puts.
    #[error("{}", .0.message)]
    Put(#[from] ApiError),
    /// Longer than the cap when expanded.
    #[error("{0}")]
    TooLong(String),
    /// Not of the encoding that the header names.
    #[error("{0}")]
    BadEncoding(String),
}

/// Answer of a records request.
#[derive(Debug, Serialize)]
struct LinesAnswer {
    accepted: u64,
    blank: u64,
    failed: Vec<FailedLine>,
}

impl Ingest {
    /// Puts into the streams of `intake`, bounded by `admission`. `account_id` stands in error texts.
    pub fn new(intake: Arc<dyn Intake>, admission: Admission, account_id: impl Into<String>) -> Self {
        Self { intake, admission, account_id: account_id.into() }
    }

    /// Asks for room for a request whose body has `body_bytes`, before the body is read.
    pub async fn admit(&self, kind: PutKind, body_bytes: usize) -> Result<Admitted, ApiError> {
        self.admission.admit(body_bytes).await.map_err(|NotAdmitted| {
            metrics::put_failed(kind, PutFailure::Throttled);
            ApiError::slow_down()
        })
    }

    /// PutRecord.
    pub async fn put_record(&self, admitted: Admitted, body: Bytes) -> Result<Vec<u8>, ApiError> {
        let parsed = parse_put_record(&body);
        let (sink, appended) = self.put(PutKind::Record, admitted, body, parsed).await?;
        Ok(response::put_record(sink.incarnation(), appended.first))
    }

    /// PutRecordBatch.
    pub async fn put_record_batch(&self, admitted: Admitted, body: Bytes) -> Result<Vec<u8>, ApiError> {
        let parsed = parse_put_record_batch(&body);
        let (sink, appended) = self.put(PutKind::Batch, admitted, body, parsed).await?;
        Ok(response::put_record_batch(sink.incarnation(), appended.first, appended.last))
    }

    /// `POST /streams/{name}/records`.
    pub async fn put_lines(
        &self,
        admitted: Admitted,
        stream: &str,
        encoding: ContentEncoding,
        body: Bytes,
    ) -> Result<Vec<u8>, LinesError> {
        let answered = self.lines(admitted, stream, encoding, body).await;
        if let Err(error) = &answered {
            metrics::put_failed(PutKind::Lines, error.failure());
        }
        answered
    }

    async fn put(
        &self,
        kind: PutKind,
        admitted: Admitted,
        body: Bytes,
        parsed: Result<Put, ApiError>,
    ) -> Result<(Arc<dyn Sink>, Appended), ApiError> {
        metrics::put_body_read(body.len() as u64);
        // Only the records wait for the disk, not the request they came in.
        drop(body);
        let put = async {
            let Put { stream, body } = parsed?;
            let sink = self.sink(&stream).await?;
            let appended = self.append(kind, &admitted, sink.as_ref(), &stream, body).await?;
            Ok((sink, appended))
        };
        put.await.inspect_err(|error| metrics::put_failed(kind, failure_of(error)))
    }

    async fn lines(
        &self,
        mut admitted: Admitted,
        stream: &str,
        encoding: ContentEncoding,
        body: Bytes,
    ) -> Result<Vec<u8>, LinesError> {
        metrics::put_body_read(body.len() as u64);
        let sink = self.sink(stream).await?;
        let Split { body, blank, failed } = expand_and_split(body, encoding).await?;
        let accepted = body.lengths.len() as u64;
        // Very short lines have tables longer than themselves.
        admitted.grow(body.lengths.len() * 2 * size_of::<u32>()).map_err(|NotAdmitted| ApiError::slow_down())?;
        if accepted > 0 {
            self.append(PutKind::Lines, &admitted, sink.as_ref(), stream, body).await?;
        } else {
            metrics::put_accepted(PutKind::Lines, 0, 0, admitted.asked.elapsed());
        }
        // Numbers and texts alone: cannot fail.
        Ok(serde_json::to_vec(&LinesAnswer { accepted, blank, failed }).unwrap_or_default())
    }

    async fn sink(&self, stream: &str) -> Result<Arc<dyn Sink>, ApiError> {
        self.intake.lookup(stream).await.map_err(|error| match error {
            LookupError::Unknown => ApiError::stream_not_found(stream, &self.account_id),
            LookupError::NotActive => ApiError::stream_not_active(stream, &self.account_id),
            LookupError::NotDirectPut(kind) => {
                ApiError::invalid_argument(format!("This operation is not permitted on {kind} delivery stream type."))
            }
            LookupError::Unavailable(reason) => {
                tracing::warn!(stream, reason, "the log of a stream cannot be opened");
                ApiError::service_unavailable(format!("Stream {stream} cannot take records now: {reason}"))
            }
        })
    }

    async fn append(
        &self,
        kind: PutKind,
        admitted: &Admitted,
        sink: &dyn Sink,
        stream: &str,
        body: FrameBody,
    ) -> Result<Appended, ApiError> {
        let bytes = body.payload.len() as u64;
        let records = body.lengths.len() as u64;
        if !sink.allows_source(&body) {
            return Err(ApiError::invalid_source(stream, &self.account_id));
        }
        let appended = sink.append(body).await.map_err(|error| match error {
            AppendError::NoRoom(_) => ApiError::slow_down(),
            AppendError::Refusing => ApiError::stream_not_active(stream, &self.account_id),
            AppendError::Io(reason) => {
                tracing::error!(stream, reason, "records could not be made durable");
                ApiError::service_unavailable("The records could not be stored; try again.")
            }
        })?;
        metrics::put_accepted(kind, records, bytes, admitted.asked.elapsed());
        Ok(appended)
    }
}

impl LinesError {
    fn failure(&self) -> PutFailure {
        match self {
            Self::Put(error) => failure_of(error),
            Self::TooLong(_) | Self::BadEncoding(_) => PutFailure::Refused,
        }
    }
}

fn failure_of(error: &ApiError) -> PutFailure {
    match error.class() {
        Class::User => PutFailure::Refused,
        Class::Upstream if *error == ApiError::slow_down() => PutFailure::Throttled,
        Class::Upstream | Class::Bug => PutFailure::Failed,
    }
}

/// Bodies of megabytes, and any that must be expanded, are worked on where blocking is allowed.
async fn expand_and_split(body: Bytes, encoding: ContentEncoding) -> Result<Split, LinesError> {
    const AT_ONCE_BYTES: usize = 1 << 20;
    let at_once = encoding == ContentEncoding::Identity && body.len() <= AT_ONCE_BYTES;
    let work = move || lines::expand(Vec::from(body), encoding).map(lines::split);
    let done = if at_once {
        work()
    } else {
        let died = |died| ApiError::internal_failure(format!("The lines could not be read: {died}"));
        tokio::task::spawn_blocking(work).await.map_err(died)?
    };
    done.map_err(|error| match error {
        ExpandError::TooLong => LinesError::TooLong(error.to_string()),
        ExpandError::Bad { .. } => LinesError::BadEncoding(error.to_string()),
    })
}
