//! HTTP endpoints, by the service's protocol (reference: its HTTP endpoint delivery) or in a plain form.
//!
//! | file | what |
//! |---|---|
//! | [`settings`] | the section `http_endpoint:` of the configuration |
//! | [`client`] | connections, and what can go wrong on them |
//! | [`judge`] | what an answer means: pure, with its table |
//!
//! Promise: at least once. A request id stands for the same bytes for ever (rules D2, D7), so a receiver that keeps the
//! ids it has taken takes each record once. What cannot be told apart is tried again: a request whose answer was lost may
//! have been taken.

pub mod client;
pub mod judge;
pub mod settings;

pub use settings::{HttpSettings, may_be_used};

use super::aws_http::host_of;
use super::body::{LocalFault, ParcelBody, Sending};
use super::room::Room;
use super::secrets::{Secrets, hidden};
use super::trust::CaFileError;
use super::{Consignment, DeliveryError, Destination, Guarantee};
use crate::clock::Clock;
use crate::fault::{Class, Retry};
use crate::stream::definition::{Definition, HttpTarget};
use crate::stream::seal::{ParcelKind, Request};
use crate::telemetry::metrics::{self, RequestOutcome};
use crate::vault::Vault;
use async_trait::async_trait;
use client::Connections;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use std::sync::Arc;

const ACCESS_KEY: HeaderName = HeaderName::from_static("x-amz-firehose-access-key");
const COMMON_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amz-firehose-common-attributes");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("x-amz-firehose-protocol-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-firehose-request-id");
const SOURCE_ARN: HeaderName = HeaderName::from_static("x-amz-firehose-source-arn");

/// What the service says of itself.
const AGENT: HeaderValue = HeaderValue::from_static("Amazon Kinesis Data Firehose Agent/1.0");
const VERSION: HeaderValue = HeaderValue::from_static("1.0");

/// Delivers requests to the endpoints of their streams; one serves all.
#[derive(Debug)]
pub struct HttpDestination {
    connections: Connections,
    settings: HttpSettings,
    secrets: Secrets,
    /// For what is under way of all bodies.
    room: Arc<Room>,
    clock: Arc<dyn Clock>,
}

impl HttpDestination {
    /// A destination with these settings; secrets are in `vault`. Blocks: certificates are read.
    pub fn new(settings: HttpSettings, vault: Arc<Vault>, clock: Arc<dyn Clock>) -> Result<Self, CaFileError> {
        let connections = Connections::new(settings.clone())?;
        let secrets = Secrets { section: "http_endpoint", by_arn: settings.secrets.clone(), vault };
        let room = Arc::new(Room::new(settings.body_memory_bytes()));
        Ok(Self { connections, settings, secrets, room, clock })
    }

    async fn attempt(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let parcel = &consignment.parcel;
        let ParcelKind::Request(request) = &parcel.kind else {
            return Err(failed(
                "MakeRequestFailure",
                format!("{} is no request", parcel.key),
                Class::Bug,
                Retry::Never,
            ));
        };
        let definition = consignment.definition.as_deref();
        let Some((definition, target)) = definition.and_then(|of| Some((of, of.http.as_ref()?))) else {
            let message = "the stream has no endpoint any more; update it with one".to_owned();
            return Err(failed("MakeRequestFailure.IllegalUriException", message, Class::User, Retry::AfterOperator));
        };
        if !may_be_used(&target.url, self.settings.allow_http) {
            let host = host_of(&target.url).unwrap_or_default();
            let message = format!(
                "http:// to another machine ({host}): anybody on the way can read the records; use https://, or set \
                 http_endpoint.allow_http: true"
            );
            return Err(failed("MakeRequestFailure.IllegalUriException", message, Class::User, Retry::AfterOperator));
        }
        let sending = Sending::default();
        let progress = sending.progress.clone();
        let body = ParcelBody::new(consignment.bytes.clone(), 0..parcel.length_bytes, parcel.crc32c, progress.clone())
            .within(self.room.clone());
        let access_key = self.access_key(target).await?;
        let head = head(consignment, definition, target, request, access_key.as_deref())?;
        let exchanged = self.connections.exchange(head.map(|()| body), &progress).await;
        // No attempt goes on behind its end.
        drop(sending);
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(unanswered) => {
                return Err(match progress.fault() {
                    Some(fault) => fault.error(),
                    None => failed(unanswered.code, unanswered.message, Class::Upstream, Retry::Backoff),
                });
            }
        };
        // Some answer before they have all; what follows may still break off.
        if (200..300).contains(&answer.status) && (progress.fault().is_some() || !progress.is_all_taken()) {
            return Err(progress.fault().map_or_else(
                || {
                    let message = format!("The endpoint answered {} before it had the whole request.", answer.status);
                    failed("InvalidResponseFromDestination", message, Class::Upstream, Retry::Backoff)
                },
                LocalFault::error,
            ));
        }
        // It may repeat the key that it was given.
        let hide = |text: &str| hidden(text, access_key.as_deref().unwrap_or_default(), "access key");
        judge::judge(&answer, &parcel.key, request.format, self.clock.wall_ms(), hide)
    }

    async fn access_key(&self, target: &HttpTarget) -> Result<Option<String>, DeliveryError> {
        /// The text of a secret.
        #[derive(serde::Deserialize)]
        struct ApiKey {
            api_key: String,
        }
        match (&target.secret_arn, &target.access_key) {
            (Some(arn), _) => {
                let read: ApiKey = self.secrets.by_arn(arn, r#"{"api_key": "…"}"#).await?;
                Ok(Some(read.api_key))
            }
            (None, Some(hidden)) => self.secrets.shown(hidden, "the access key").await.map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The head of a request, as the protocol has it.
fn head(
    consignment: &Consignment,
    definition: &Definition,
    target: &HttpTarget,
    request: &Request,
    access_key: Option<&str>,
) -> Result<http::Request<()>, DeliveryError> {
    let parcel = &consignment.parcel;
    let value = |name: &HeaderName, text: &str| {
        let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
            let message = format!("the header {name} cannot have this value; update the stream");
            failed("MakeRequestFailure.IllegalCharacterInHeaderValue", message, Class::User, Retry::AfterOperator)
        })?;
        value.set_sensitive(*name == ACCESS_KEY);
        Ok((name.clone(), value))
    };
    let mut made = http::Request::post(&target.url).body(()).map_err(|_| {
        let message = "the URL of the endpoint is none; update the stream".to_owned();
        failed("MakeRequestFailure.IllegalUriException", message, Class::User, Retry::AfterOperator)
    })?;
    let mut headers = vec![
        (PROTOCOL_VERSION, VERSION),
        value(&REQUEST_ID, &parcel.key)?,
        value(&SOURCE_ARN, &definition.arn)?,
        (USER_AGENT, AGENT),
        value(&CONTENT_TYPE, &parcel.content_type)?,
        (CONTENT_LENGTH, parcel.length_bytes.into()),
    ];
    if let Some(encoding) = &parcel.content_encoding {
        headers.push(value(&CONTENT_ENCODING, encoding)?);
    }
    if let Some(attributes) = &request.common_attributes {
        headers.push(value(&COMMON_ATTRIBUTES, attributes)?);
    }
    if let Some(key) = access_key {
        headers.push(value(&ACCESS_KEY, key)?);
    }
    made.headers_mut().extend(headers);
    Ok(made)
}

fn failed(code: &str, message: String, class: Class, retry: Retry) -> DeliveryError {
    DeliveryError { code: format!("HttpEndpoint.{code}"), message, class, retry, not_before: None }
}

#[async_trait]
impl Destination for HttpDestination {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let ended = self.attempt(consignment).await;
        metrics::request_ended(match &ended {
            Ok(()) => RequestOutcome::Delivered,
            Err(error) if error.retry == Retry::GiveUp => RequestOutcome::Refused,
            Err(error) if error.code == "HttpEndpoint.RequestTimeout" => RequestOutcome::TimedOut,
            Err(error) if error.code == "HttpEndpoint.DestinationException" => RequestOutcome::Failed,
            Err(error) if error.code == "HttpEndpoint.InvalidResponseFromDestination" => RequestOutcome::Invalid,
            Err(_) => RequestOutcome::Unanswered,
        });
        ended
    }
}
