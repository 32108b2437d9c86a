//! Clients of stores: one for each way to reach a store, made when first needed, thrown away when it is refused.
//!
//! From: [`S3Settings`]. To: `put` and `multipart`, which call the SDK through [`Store::call`]. The SDK's own retries
//! are off: the caller of `deliver` retries, with the newest settings at each attempt (rule D5). Time-outs: to connect,
//! for a body of which the store takes nothing, and for the answer once the body is on its way.

use super::super::aws_http::{ConnectError, Reach, chain, connector, find, host_of};
use super::super::body::Progress;
use super::answer::Failure;
use super::credentials::FixedKeys;
use super::settings::{ChecksumCalculation, S3Settings};
use crate::clock::Clock;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::http_client_fn;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// What the SDK gives back.
type Answer<T, E> = Result<T, SdkError<E, HttpResponse>>;

/// A client, and the settings it was made of.
#[derive(Debug)]
pub struct Store {
    /// The SDK's client.
    pub sdk: aws_sdk_s3::Client,
    /// What it was made of.
    pub settings: S3Settings,
    /// Whether objects and parts carry their checksum.
    pub sends_checksums: bool,
}

impl Store {
    /// Waits for the answer to a request without a body.
    pub async fn call<T, E>(&self, request: impl Future<Output = Answer<T, E>>) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.call_within(self.settings.answer_timeout(), request).await
    }

    /// Waits for the answer to a request that the store may work on for long.
    pub async fn call_patiently<T, E>(&self, request: impl Future<Output = Answer<T, E>>) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.call_within(self.settings.answer_timeout() * 5, request).await
    }

    /// Waits for the answer to a request with a body. The time for the answer starts when the body is on its way; that
    /// the body moves is seen to by the stall time-out.
    pub async fn call_with_body<T, E>(
        &self,
        body: &Progress,
        request: impl Future<Output = Answer<T, E>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        // Half as much again, for what is taken but still lies in the connection's buffers.
        let limit = self.settings.answer_timeout() * 3 / 2;
        let too_late = async {
            body.all_taken().await;
            tokio::time::sleep(limit).await;
        };
        tokio::select! {
            answer = request => answer.map_err(|error| self.failure(error)),
            () = too_late => Err(no_answer(limit)),
        }
    }

    async fn call_within<T, E>(
        &self,
        limit: Duration,
        request: impl Future<Output = Answer<T, E>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| self.failure(error)),
            Err(_) => Err(no_answer(limit)),
        }
    }

    /// The facts of an SDK error; where nothing was sent, with the host that was to get it.
    fn failure<E: ProvideErrorMetadata + Error + 'static>(&self, error: SdkError<E, HttpResponse>) -> Failure {
        let host = self.settings.endpoint.as_deref().and_then(host_of);
        match (failure_of(error), host) {
            (Failure::NotSent(what), Some(host)) => Failure::NotSent(format!("s3.endpoint {host}: {what}")),
            (failure, _) => failure,
        }
    }
}

fn no_answer(limit: Duration) -> Failure {
    Failure::Unanswered(format!("no answer within {} ms", limit.as_millis()))
}

/// The facts of an SDK error.
fn failure_of<E: ProvideErrorMetadata + Error + 'static>(error: SdkError<E, HttpResponse>) -> Failure {
    match &error {
        SdkError::ServiceError(answered) => Failure::Answered {
            status: answered.raw().status().as_u16(),
            code: answered.err().code().map(str::to_owned),
            message: answered.err().message().unwrap_or_default().to_owned(),
        },
        SdkError::ConstructionFailure(_) => Failure::NotSent(chain(&error)),
        SdkError::DispatchFailure(_) => {
            if let Some(credentials) = find::<CredentialsError>(&error) {
                return match credentials {
                    CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                        Failure::NoCredentials(chain(credentials))
                    }
                    _ => Failure::NotSent(chain(credentials)),
                };
            }
            let text = chain(&error);
            // The HTTP client's own word for "no connection could be made".
            if text.contains("(Connect)") { Failure::NotSent(text) } else { Failure::Unanswered(text) }
        }
        _ => Failure::Unanswered(chain(&error)),
    }
}

/// Clients by the settings they are made of: buckets that are reached alike share connections.
#[derive(Debug)]
pub struct Stores {
    clock: Arc<dyn Clock>,
    made: Mutex<HashMap<S3Settings, Arc<OnceCell<Arc<Store>>>>>,
}

impl Stores {
    /// None yet. By `clock` the keys of those to come are read again.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, made: Mutex::default() }
    }

    /// The client for these settings (those of one bucket).
    pub async fn get(&self, settings: S3Settings) -> Result<Arc<Store>, ConnectError> {
        let cell = Arc::clone(self.made.lock().entry(settings.clone()).or_default());
        cell.get_or_try_init(|| connect(settings, Arc::clone(&self.clock))).await.cloned()
    }

    /// Throws a client away, so that the next one reads keys and certificates anew.
    pub fn forget(&self, store: &Store) {
        self.made.lock().remove(&store.settings);
    }

    /// Throws all clients away. Requests under way end with the client they have.
    pub fn clear(&self) {
        self.made.lock().clear();
    }
}

async fn connect(settings: S3Settings, clock: Arc<dyn Clock>) -> Result<Arc<Store>, ConnectError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout())
        .disable_read_timeout()
        .disable_operation_timeout()
        .disable_operation_attempt_timeout()
        .build();
    let stalls = StalledStreamProtectionConfig::enabled()
        .upload_enabled(true)
        // Answers are short; their time is bounded with that of the request.
        .download_enabled(false)
        .grace_period(settings.stall_timeout())
        .build();
    let mut config = match &settings.credentials {
        Some(keys) => aws_sdk_s3::Config::builder().credentials_provider(FixedKeys::new(keys.clone(), clock)),
        None => {
            let mut chain = aws_config::defaults(BehaviorVersion::latest())
                .http_client(http_client(&settings, Reach::Anywhere)?)
                .timeout_config(timeouts.clone());
            if let Some(profile) = &settings.profile {
                chain = chain.profile_name(profile);
            }
            if let Some(region) = &settings.region {
                // Known already; the chain shall not ask the machine's metadata service for it.
                chain = chain.region(Region::new(region.clone()));
            }
            aws_sdk_s3::config::Builder::from(&chain.load().await)
        }
    };
    let found = config.clone().build();
    let sends_checksums = match settings.request_checksum_calculation {
        Some(calculation) => calculation == ChecksumCalculation::WhenSupported,
        None => found.request_checksum_calculation() != Some(&RequestChecksumCalculation::WhenRequired),
    };
    if let Some(url) = &settings.endpoint {
        config = config.endpoint_url(url);
    }
    match &settings.region {
        Some(region) => config = config.region(Region::new(region.clone())),
        None if found.region().is_none() => config = config.region(Region::from_static("us-east-1")),
        None => {}
    }
    if let Ok(name) = AppName::new("hydrant") {
        config = config.app_name(name);
    }
    let config = config
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client(&settings, Reach::of(settings.endpoint.as_deref()))?)
        .force_path_style(settings.uses_path_style())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(stalls)
        // Checksums are known before and set as headers; the SDK shall not sum the bytes or send a trailer.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Ok(Arc::new(Store { sdk: aws_sdk_s3::Client::from_conf(config), settings, sends_checksums }))
}

fn http_client(settings: &S3Settings, reach: Reach) -> Result<SharedHttpClient, ConnectError> {
    let connector = connector("s3", settings.ca_file.as_deref(), settings.connect_timeout(), reach)?;
    Ok(http_client_fn(move |_, _| connector.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::destination::s3::settings::Credentials;

    #[tokio::test]
    async fn buckets_reached_alike_share_a_client_and_nothing_shows_keys() {
        let stores = Stores::new(Arc::new(SystemClock::new()));
        let settings = S3Settings {
            endpoint: Some("http://127.0.0.1:1".into()),
            credentials: Some(Credentials::fixed("AKIDVISIBLE", "sesame-open")),
            ..S3Settings::default()
        };
        let first = stores.get(settings.for_bucket("a")).await.unwrap();
        let second = stores.get(settings.for_bucket("b")).await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        stores.forget(&first);
        assert!(!Arc::ptr_eq(&first, &stores.get(settings.for_bucket("a")).await.unwrap()));
        let shown = format!("{stores:?} {first:?} {:?}", first.sdk.config());
        assert!(!shown.contains("sesame") && !shown.contains("AKIDVISIBLE"), "{shown}");
    }
}
