//! The errors of the API, each with its type, HTTP status and text.
//!
//! Texts are the service's own wherever they are known; clients and tools match on them.

use crate::fault::{Class, Fault, Retry};
use serde_json::json;

/// An error answer: `{"__type": kind, "message": message}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Shape name, such as `ResourceNotFoundException`.
    pub kind: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// The `code` member that InvalidKMSResourceException and InvalidSourceException carry.
    pub code: Option<String>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), code: None }
    }

    /// The answer's body.
    pub fn body(&self) -> Vec<u8> {
        let mut body = json!({"__type": self.kind, "message": self.message});
        if let Some(code) = &self.code {
            body["code"] = json!(code);
        }
        body.to_string().into_bytes()
    }

    /// The request breaks the service model; made by [`super::Violations`].
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// The body is not JSON, or a member has another JSON type than the model says.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    /// No such operation, or one that this version lacks.
    pub fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new(400, "UnknownOperationException", message)
    }

    /// A semantic rule is broken.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgumentException", message)
    }

    /// A member whose function this version does not have.
    pub fn not_supported(what: impl std::fmt::Display) -> Self {
        Self::invalid_argument(format!("{what} is not supported by this version of Hydrant."))
    }

    /// A malformed role.
    pub fn invalid_role() -> Self {
        Self::new(400, "InvalidParameterValueException", "Invalid role ARN.")
    }

    /// No stream of this name.
    pub fn stream_not_found(name: &str, account_id: &str) -> Self {
        Self::new(400, "ResourceNotFoundException", format!("Firehose {name} under account {account_id} not found."))
    }

    /// The stream is there but takes no records now.
    pub fn stream_not_active(name: &str, account_id: &str) -> Self {
        let message = format!("Firehose {name} under account {account_id} is not active.");
        Self::new(400, "ResourceNotFoundException", message)
    }

    /// The name is taken.
    pub fn stream_exists(name: &str, account_id: &str) -> Self {
        let message = format!("Firehose {name} under accountId {account_id} already exists");
        Self::new(400, "ResourceInUseException", message)
    }

    /// The stream is in a state that forbids the operation.
    pub fn resource_in_use(message: impl Into<String>) -> Self {
        Self::new(400, "ResourceInUseException", message)
    }

    /// The stream is being deleted, which an update does not stop.
    pub fn stream_deleting(name: &str, account_id: &str) -> Self {
        Self::resource_in_use(format!("Firehose {name} under accountId {account_id} is being deleted."))
    }

    /// A stream has one destination, which has another id.
    pub fn destination_not_found(id: &str) -> Self {
        Self::invalid_argument(format!("Destination Id {id} not found"))
    }

    /// A quota is used up.
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(400, "LimitExceededException", message)
    }

    /// Too many streams.
    pub fn stream_quota(quota: usize, names: &[String]) -> Self {
        Self::limit_exceeded(format!(
            "You have already consumed your firehose quota of {quota} hoses. Firehose names: [{}]",
            names.join(", ")
        ))
    }

    /// Puts are throttled; SDKs try again. HTTP 500, not 503, as the service does.
    pub fn slow_down() -> Self {
        Self::service_unavailable("Slow down.")
    }

    /// Cannot serve now; SDKs try again.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(500, "ServiceUnavailableException", message)
    }

    /// Something of ours failed.
    pub fn internal_failure(message: impl Into<String>) -> Self {
        Self::new(500, "InternalFailure", message)
    }

    /// A put of records that the stream's source does not allow.
    pub fn invalid_source(name: &str, account_id: &str) -> Self {
        let message = format!(
            "Put to Firehose failed for AccountId: {account_id}, FirehoseName: {name} because the request is not \
             originating from allowed source types."
        );
        Self { code: Some("InvalidSource".to_owned()), ..Self::new(400, "InvalidSourceException", message) }
    }

    /// More than 4 MiB of decoded records in a batch.
    pub fn batch_too_large() -> Self {
        Self::invalid_argument("Records size exceeds 4 MB limit")
    }

    /// The version given is not the stream's.
    pub fn concurrent_modification(name: &str, current: &str, given: &str) -> Self {
        let message = format!(
            "Cannot update firehose: {name} since the current version id: {current} and specified version id: {given} \
             do not match"
        );
        Self::new(400, "ConcurrentModificationException", message)
    }

    /// The caller may not do this.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(400, "AccessDeniedException", message)
    }

    /// The signature is not that of the request.
    pub fn invalid_signature(message: impl Into<String>) -> Self {
        Self::new(403, "InvalidSignatureException", message)
    }

    /// The access key is unknown.
    pub fn unrecognized_client() -> Self {
        Self::new(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    }

    /// No credentials where some are needed.
    pub fn missing_authentication_token() -> Self {
        Self::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    }

    /// Too many calls.
    pub fn throttling() -> Self {
        Self::new(400, "ThrottlingException", "Rate exceeded")
    }
}

impl Fault for ApiError {
    fn class(&self) -> Class {
        match self.kind {
            "InternalFailure" => Class::Bug,
            "ServiceUnavailableException" | "ThrottlingException" => Class::Upstream,
            _ => Class::User,
        }
    }

    fn retry(&self) -> Retry {
        match self.class() {
            Class::User => Retry::Never,
            Class::Upstream | Class::Bug => Retry::Backoff,
        }
    }
}
