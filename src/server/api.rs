//! The API listener's routes: AWS JSON 1.1 at `/`, NDJSON at `/streams/{name}/records`.

use super::answer::{self, AWS_JSON, Answer, JSON};
use super::body::{BodyError, BodyLimits, RequestBody};
use super::listener::Routes;
use crate::ingest::{Admission, ContentEncoding, Ingest, LinesError, MAX_LINES_BYTES};
use crate::telemetry::metrics::{self, PutKind};
use crate::wire::{self, ApiError};
use async_trait::async_trait;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;

/// The API's operations that are not puts.
#[async_trait]
pub trait ControlPlane: Send + Sync {
    /// Answers `operation` with the JSON of its output.
    async fn handle(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError>;
}

#[async_trait]
impl ControlPlane for crate::control::Control {
    async fn handle(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        crate::control::Control::handle(self, operation, body).await
    }
}

/// The routes.
pub struct Api {
    ingest: Ingest,
    control: Arc<dyn ControlPlane>,
    /// Bounds the bodies of the operations that are not puts, so that no flood of puts keeps them out.
    control_room: Admission,
    limits: BodyLimits,
}

impl Api {
    /// Serves puts by `ingest` and the other operations by `control`.
    pub fn new(ingest: Ingest, control: Arc<dyn ControlPlane>, limits: BodyLimits) -> Self {
        let control_room = Admission::new(limits.control_room_bytes, limits.control_wait);
        Self { ingest, control, control_room, limits }
    }

    async fn aws(&self, request: Request<Incoming>) -> Answer {
        let (head, incoming) = request.into_parts();
        let mut body = RequestBody::new(incoming);
        let done = match wire::operation(header(&head.headers, "x-amz-target")) {
            Ok(operation) => self.operate(operation, &mut body).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(output) => answer::with_body(StatusCode::OK, AWS_JSON, output),
            Err(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                finish_refused(answer::with_body(status, AWS_JSON, error.body()), &mut body).await
            }
        }
    }

    async fn operate(&self, operation: &str, incoming: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
        let kind = match operation {
            "PutRecord" => PutKind::Record,
            "PutRecordBatch" => PutKind::Batch,
            _ => {
                let done = self.control(operation, incoming).await;
                metrics::control_answered(done.is_ok());
                return done;
            }
        };
        let limit_bytes = self.limits.aws_bytes;
        let share_bytes = incoming.declared_bytes().unwrap_or(limit_bytes).min(limit_bytes);
        let admitted = self.ingest.admit(kind, share_bytes).await?;
        let body = self.read(incoming, limit_bytes).await.map_err(|error| {
            metrics::put_failed(kind, metrics::PutFailure::Refused);
            aws_body_error(&error, Some(kind))
        })?;
        match kind {
            PutKind::Record => self.ingest.put_record(admitted, body).await,
            _ => self.ingest.put_record_batch(admitted, body).await,
        }
    }

    async fn control(&self, operation: &str, incoming: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
        let limit_bytes = self.limits.control_bytes;
        let share_bytes = incoming.declared_bytes().unwrap_or(limit_bytes).min(limit_bytes);
        let _admitted = self.control_room.admit(share_bytes).await.map_err(|_| ApiError::slow_down())?;
        let body = self.read(incoming, limit_bytes).await.map_err(|error| aws_body_error(&error, None))?;
        self.control.handle(operation, &body).await
    }

    async fn read(&self, incoming: &mut RequestBody, limit_bytes: usize) -> Result<bytes::Bytes, BodyError> {
        incoming.read(limit_bytes, &self.limits).await
    }

    async fn lines(&self, stream: &str, request: Request<Incoming>) -> Answer {
        let (head, incoming) = request.into_parts();
        let mut body = RequestBody::new(incoming);
        match self.put_lines(stream, &head.headers, &mut body).await {
            Ok(output) => answer::with_body(StatusCode::OK, JSON, output),
            Err(refused) => finish_refused(refused, &mut body).await,
        }
    }

    async fn put_lines(
        &self,
        stream: &str,
        headers: &HeaderMap,
        incoming: &mut RequestBody,
    ) -> Result<Vec<u8>, Answer> {
        let named = header(headers, CONTENT_ENCODING.as_str());
        let encoding = ContentEncoding::from_header(named).ok_or_else(|| {
            let message = format!("Content-Encoding '{}' is not known: use gzip, zstd or none.", named.unwrap_or("?"));
            answer::failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedContentEncoding", &message)
        })?;
        let limit_bytes = self.limits.lines_bytes;
        let mut share_bytes = incoming.declared_bytes().unwrap_or(limit_bytes).min(limit_bytes);
        if encoding != ContentEncoding::Identity {
            share_bytes += MAX_LINES_BYTES;
        }
        let admitted = self.ingest.admit(PutKind::Lines, share_bytes).await.map_err(|error| lines_error(&error))?;
        let body = self.read(incoming, limit_bytes).await.map_err(|error| {
            metrics::put_failed(PutKind::Lines, metrics::PutFailure::Refused);
            lines_body_error(&error)
        })?;
        self.ingest.put_lines(admitted, stream, encoding, body).await.map_err(|error| match error {
            LinesError::Put(error) => lines_error(&error),
            LinesError::TooLong(message) => answer::failure(StatusCode::PAYLOAD_TOO_LARGE, "TooLong", &message),
            LinesError::BadEncoding(message) => answer::failure(StatusCode::BAD_REQUEST, "BadEncoding", &message),
        })
    }
}

impl Routes for Api {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        const THERE_IS: &str = "POST / takes AWS JSON 1.1 requests (X-Amz-Target: Firehose_20150804.<Operation>), \
                                POST /streams/{name}/records takes lines.";
        let path = request.uri().path();
        let stream = path.strip_prefix("/streams/").and_then(|rest| rest.strip_suffix("/records"));
        let stream = stream.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned);
        let known = path == "/" || stream.is_some();
        let done = if known && request.method() == Method::POST {
            match stream {
                Some(stream) => self.lines(&stream, request).await,
                None => self.aws(request).await,
            }
        } else {
            let refused =
                if known { answer::wrong_method("POST", THERE_IS) } else { answer::not_found(path, THERE_IS) };
            finish_refused(refused, &mut RequestBody::new(request.into_body())).await
        };
        answer::with_request_id(done)
    }
}

/// Lets the client finish sending, so that it sees the answer; else the connection closes.
async fn finish_refused(refused: Answer, body: &mut RequestBody) -> Answer {
    if body.discard().await { refused } else { answer::closing(refused) }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("(not text)"))
}

fn aws_body_error(error: &BodyError, kind: Option<PutKind>) -> ApiError {
    match (error, kind) {
        // More than twice what a batch may hold.
        (BodyError::TooLong { .. }, Some(PutKind::Batch)) => ApiError::batch_too_large(),
        (BodyError::TooLong { .. }, _) => ApiError::invalid_argument(format!("The request is too large: {error}.")),
        // Nothing is wrong with the request but its way here, so SDKs shall try again.
        (BodyError::TooSlow(_) | BodyError::Stalled(_), _) => {
            ApiError::service_unavailable(format!("The request is incomplete: {error}."))
        }
        (BodyError::Broken(_), _) => ApiError::serialization(format!("The request is incomplete: {error}.")),
    }
}

fn lines_body_error(error: &BodyError) -> Answer {
    let message = error.to_string();
    match error {
        BodyError::TooLong { .. } => {
            answer::failure(StatusCode::PAYLOAD_TOO_LARGE, "TooLong", &format!("{message}; send it in parts"))
        }
        BodyError::TooSlow(_) | BodyError::Stalled(_) => {
            answer::failure(StatusCode::REQUEST_TIMEOUT, "TooSlow", &message)
        }
        BodyError::Broken(_) => answer::failure(StatusCode::BAD_REQUEST, "Incomplete", &message),
    }
}

/// The statuses that tools without an SDK understand: 404 for no stream, 503 for throttled.
fn lines_error(error: &ApiError) -> Answer {
    let status = match error.kind {
        "ResourceNotFoundException" => StatusCode::NOT_FOUND,
        "ServiceUnavailableException" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    answer::failure(status, error.kind, &error.message)
}
