//! The admin listener's routes: health, metrics, streams, and what an operator may ask of them.

use super::answer::{self, Answer};
use super::body::RequestBody;
use super::listener::Routes;
use crate::telemetry::exposition;
use crate::telemetry::status::{OperationError, Operations};
use http::header::HeaderValue;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;

const THERE_IS: &str = "GET /healthz, /readyz, /metrics, /streams, /streams/{name}; \
                        POST /streams/{name}/flush, /pause, /resume.";

/// The routes.
pub struct Admin {
    operations: Arc<dyn Operations>,
}

impl Admin {
    /// Shows and operates these streams.
    pub fn new(operations: Arc<dyn Operations>) -> Self {
        Self { operations }
    }

    fn show(&self, path: &str) -> Answer {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        match segments[..] {
            ["healthz"] => answer::json(StatusCode::OK, &json!({"status": "ok"})),
            ["readyz"] => match self.operations.ready() {
                Ok(()) => answer::json(StatusCode::OK, &json!({"status": "ready"})),
                Err(reason) => {
                    answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not ready", "reason": reason}))
                }
            },
            ["metrics"] => {
                let text = exposition::render(&self.operations.overview());
                answer::with_body(StatusCode::OK, HeaderValue::from_static(exposition::CONTENT_TYPE), text)
            }
            ["streams"] => answer::json(StatusCode::OK, &self.operations.overview()),
            ["streams", name] => match self.operations.stream(name) {
                Some(status) => answer::json(StatusCode::OK, &status),
                None => operation_error(&OperationError::Unknown(name.to_owned())),
            },
            ["streams", _, "flush" | "pause" | "resume"] => answer::wrong_method("POST", "This takes a POST."),
            _ => answer::not_found(path, THERE_IS),
        }
    }

    fn operate(&self, path: &str) -> Answer {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let (name, operation, done) = match segments[..] {
            ["streams", name, "flush"] => (name, "flush", self.operations.flush(name)),
            ["streams", name, "pause"] => (name, "pause", self.operations.pause(name)),
            ["streams", name, "resume"] => (name, "resume", self.operations.resume(name)),
            ["healthz" | "readyz" | "metrics" | "streams"] | ["streams", _] => {
                return answer::wrong_method("GET, HEAD", "This takes a GET.");
            }
            _ => return answer::not_found(path, THERE_IS),
        };
        match done {
            Ok(()) => {
                tracing::info!(stream = name, operation, "done for the operator");
                answer::json(StatusCode::OK, &json!({"stream": name, "done": operation}))
            }
            Err(error) => operation_error(&error),
        }
    }
}

fn operation_error(error: &OperationError) -> Answer {
    let (status, code) = match error {
        OperationError::Unknown(_) => (StatusCode::NOT_FOUND, "NotFound"),
        OperationError::Refused(_) => (StatusCode::CONFLICT, "Refused"),
    };
    answer::failure(status, code, &error.to_string())
}

impl Routes for Admin {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, incoming) = request.into_parts();
        let path = head.uri.path();
        let done = if head.method == Method::GET || head.method == Method::HEAD {
            self.show(path)
        } else if head.method == Method::POST {
            self.operate(path)
        } else {
            answer::wrong_method("GET, HEAD, POST", THERE_IS)
        };
        if RequestBody::new(incoming).discard().await { done } else { answer::closing(done) }
    }
}
