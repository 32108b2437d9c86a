//! Clients of stores: one for each way to reach a store, made when first needed, thrown away when it is refused.
//!
//! From: [`S3Settings`]. To: `put` and `multipart`, which call the SDK through [`Store::call`]. The SDK's own retries
//! are off: the caller of `deliver` retries, with the newest settings at each attempt (rule D5). Time-outs: to connect,
//! for a body of which the store takes nothing, and for the answer once the body is on its way.

use super::answer::Failure;
use super::body::Progress;
use super::credentials::FixedKeys;
use super::settings::{ChecksumCalculation, S3Settings};
use crate::clock::Clock;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
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

/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

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
        let host = self.settings.endpoint.as_ref().and_then(|url| url.parse::<http::Uri>().ok()).and_then(|uri| {
            let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
            // Without what may stand before the host: it can be a secret.
            Some(format!("{}{port}", uri.host()?))
        });
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

/// An error's text with those of its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A client that cannot be made out of its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The file of `ca_file`.
    #[error("s3.ca_file {path}: {reason}")]
    CaFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
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
        .http_client(http_client(&settings, reach_of(settings.endpoint.as_deref()))?)
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

/// Where a client may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Any host: TLS with the system's certificates, the environment's proxy.
    Anywhere,
    /// An `http://` endpoint: the system's certificates are not needed.
    Plain,
    /// An `http://` endpoint on this machine: never through a proxy.
    Loopback,
}

fn reach_of(endpoint: Option<&str>) -> Reach {
    let Some(uri) = endpoint.and_then(|url| url.parse::<http::Uri>().ok()) else { return Reach::Anywhere };
    if uri.scheme_str() != Some("http") {
        return Reach::Anywhere;
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if loopback { Reach::Loopback } else { Reach::Plain }
}

fn http_client(settings: &S3Settings, reach: Reach) -> Result<SharedHttpClient, ConnectError> {
    let mut trusted = match reach {
        Reach::Anywhere => TrustStore::default(),
        Reach::Plain | Reach::Loopback => TrustStore::empty(),
    };
    if let Some(path) = &settings.ca_file {
        let refused = |reason: String| ConnectError::CaFile { path: path.display().to_string(), reason };
        let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        check_certificates(&pem).map_err(refused)?;
        trusted = trusted.with_pem_certificate(pem);
    }
    let proxy = if reach == Reach::Loopback { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    let tls = TlsContext::builder().with_trust_store(trusted).build().map_err(|error| ConnectError::CaFile {
        path: settings.ca_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        reason: error.to_string(),
    })?;
    let connector = SharedHttpConnector::new(
        Connector::builder()
            .connector_settings(HttpConnectorSettings::builder().connect_timeout(settings.connect_timeout()).build())
            .pool_idle_timeout(IDLE_CONNECTION)
            .proxy_config(proxy)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .build(),
    );
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// The HTTP client panics on certificates it cannot read; so they are read here before.
fn check_certificates(pem: &[u8]) -> Result<(), String> {
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut &pem[..]) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::destination::s3::settings::Credentials;

    #[test]
    fn a_proxy_is_used_for_other_machines_only() {
        for (endpoint, reach) in [
            (None, Reach::Anywhere),
            (Some("https://store.example"), Reach::Anywhere),
            (Some("http://store.example:9000"), Reach::Plain),
            (Some("http://127.0.0.1:9000"), Reach::Loopback),
            (Some("http://[::1]:9000/"), Reach::Loopback),
            (Some("http://localhost:9000"), Reach::Loopback),
        ] {
            assert_eq!(reach_of(endpoint), reach, "{endpoint:?}");
        }
    }

    #[tokio::test]
    async fn a_bad_certificate_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let settings = S3Settings { ca_file: Some(path.clone()), ..S3Settings::default() };
            assert!(matches!(http_client(&settings, Reach::Plain), Err(ConnectError::CaFile { .. })), "{text}");
        }
    }

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
