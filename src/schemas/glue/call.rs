//! One signed call to Glue: keys, request, signature, the whole answer within its time.
//!
//! Format: AWS JSON 1.1 over POST, `X-Amz-Target: AWSGlue.<operation>`, Signature Version 4 for the service `glue`.
//! `answer` says what comes back. Client and keys are made when first needed and again when Glue refuses the keys.

use super::answer::{self, GlueError, Operation, Told};
use super::kept::TableKey;
use super::settings::GlueSettings;
use crate::clock::Clock;
use crate::destination::aws_http::{Reach, chain, connector, host_of};
use crate::destination::s3::credentials::FixedKeys;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Longest answer.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How long keys without an end of their own are used before they are asked for again, and how long before their end.
const KEYS_FOR: Duration = Duration::from_secs(60);
/// The account of an installation that names none. It is nobody's, so Glue is not asked about its catalog, but about
/// that of the keys' account.
const NO_ACCOUNT: &str = "000000000000";

/// Makes calls.
#[derive(Debug)]
pub struct Caller {
    settings: GlueSettings,
    clock: Arc<dyn Clock>,
    client: tokio::sync::Mutex<Option<Arc<Client>>>,
}

struct Client {
    connector: SharedHttpConnector,
    provider: SharedCredentialsProvider,
    /// Keys with the monotonic time until which they are used.
    keys: Mutex<Option<(Credentials, Duration)>>,
}

impl Caller {
    /// Calls as the settings say; `clock` is for signatures and the age of keys.
    pub fn new(settings: GlueSettings, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock, client: tokio::sync::Mutex::default() }
    }

    /// Asks for a table, once.
    pub async fn table(&self, key: &TableKey) -> Result<Told, GlueError> {
        let url = self.settings.url(&key.region);
        let host = host_of(&url).unwrap_or_default();
        let limit = self.settings.answer_timeout();
        let told = match tokio::time::timeout(limit, self.ask(key, &url, &host)).await {
            Ok(told) => told,
            Err(_) => Err(GlueError::TooSlow { host, limit_ms: limit.as_millis() }),
        };
        if told.as_ref().is_err_and(GlueError::is_about_keys) {
            *self.client.lock().await = None;
        }
        told
    }

    async fn ask(&self, key: &TableKey, url: &str, host: &str) -> Result<Told, GlueError> {
        // It becomes part of a host's name.
        if key.region.is_empty() || !key.region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(GlueError::Settings(format!("'{}' is no region", key.region)));
        }
        let client = self.client(&key.region).await?;
        let keys = client.keys(self.clock.as_ref()).await?;
        let (operation, body) = question(key);
        let request = signed(operation, url, body, &key.region, keys, self.clock.wall_ms())?;
        let unreachable = |what: String| GlueError::Unreachable { host: host.to_owned(), what };
        let response = client.connector.call(request).await.map_err(|error| unreachable(chain(&error)))?;
        let status = response.status().as_u16();
        let header = response.headers().get("x-amzn-errortype").map(str::to_owned);
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| unreachable(format!("its answer broke off: {}", chain(error.as_ref()))))?;
        answer::read(operation, host, status, header.as_deref(), &body.to_bytes())
    }

    async fn client(&self, region: &str) -> Result<Arc<Client>, GlueError> {
        let mut made = self.client.lock().await;
        if let Some(client) = &*made {
            return Ok(Arc::clone(client));
        }
        let settings = &self.settings;
        let connect = |reach| connector("glue", settings.ca_file.as_deref(), settings.connect_timeout(), reach);
        let refused = |error: crate::destination::aws_http::ConnectError| GlueError::Settings(error.to_string());
        let provider = match &settings.credentials {
            Some(keys) => SharedCredentialsProvider::new(FixedKeys::new(keys.clone(), Arc::clone(&self.clock))),
            None => {
                let for_keys = connect(Reach::Anywhere).map_err(refused)?;
                let mut chain = aws_config::defaults(BehaviorVersion::latest())
                    .http_client(http_client_fn(move |_, _| for_keys.clone()))
                    // Known already; the chain shall not ask the machine's metadata service for it.
                    .region(Region::new(region.to_owned()));
                if let Some(profile) = &settings.profile {
                    chain = chain.profile_name(profile);
                }
                let found = chain.load().await.credentials_provider();
                found.ok_or_else(|| GlueError::Settings("the standard chain has no credentials".to_owned()))?
            }
        };
        let connector = connect(Reach::of(settings.endpoint.as_deref())).map_err(refused)?;
        let client = Arc::new(Client { connector, provider, keys: Mutex::default() });
        *made = Some(Arc::clone(&client));
        Ok(client)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nothing of the keys.
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    async fn keys(&self, clock: &dyn Clock) -> Result<Credentials, GlueError> {
        if let Some((keys, until)) = &*self.keys.lock()
            && clock.monotonic() < *until
        {
            return Ok(keys.clone());
        }
        let keys = self.provider.provide_credentials().await;
        let keys = keys.map_err(|error| keyless(&error))?;
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(clock.wall_ms()).unwrap_or(0));
        let lasts = match keys.expiry() {
            Some(end) => end.duration_since(now).unwrap_or_default().saturating_sub(KEYS_FOR),
            None => KEYS_FOR,
        };
        *self.keys.lock() = Some((keys.clone(), clock.monotonic() + lasts));
        Ok(keys)
    }
}

/// What it means that there are no keys: only what is configured is the operator's to mend.
fn keyless(error: &CredentialsError) -> GlueError {
    let what = format!("no credentials: {}", answer::shown(&chain(error)));
    match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            GlueError::Settings(what)
        }
        _ => GlueError::NoKeys(what),
    }
}

/// The call that asks for a table, and its body.
fn question(key: &TableKey) -> (Operation, Value) {
    let mut members = serde_json::Map::new();
    if key.catalog_id != NO_ACCOUNT {
        members.insert("CatalogId".to_owned(), json!(key.catalog_id));
    }
    members.insert("DatabaseName".to_owned(), json!(key.database));
    let operation = if key.is_latest() {
        members.insert("Name".to_owned(), json!(key.table));
        Operation::GetTable
    } else {
        members.insert("TableName".to_owned(), json!(key.table));
        members.insert("VersionId".to_owned(), json!(key.version_id));
        Operation::GetTableVersion
    };
    (operation, Value::Object(members))
}

/// The request with its signature.
fn signed(
    operation: Operation,
    url: &str,
    body: Value,
    region: &str,
    keys: Credentials,
    wall_ms: i64,
) -> Result<HttpRequest, GlueError> {
    fn wrong(error: impl std::fmt::Display) -> GlueError {
        GlueError::Settings(format!("the request cannot be made: {error}"))
    }
    let body = body.to_string();
    let target = format!("AWSGlue.{}", operation.name());
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
    let identity = keys.into();
    let time = UNIX_EPOCH + Duration::from_millis(u64::try_from(wall_ms).unwrap_or(0));
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("glue")
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(wrong)?
        .into();
    let signable = SignableRequest::new("POST", url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()))
        .map_err(wrong)?;
    let (signature, _) = sign(signable, &parameters).map_err(wrong)?.into_parts();
    let signature: Vec<_> = signature.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST").map_err(wrong)?;
    request.set_uri(url).map_err(wrong)?;
    for (name, value) in headers {
        request.headers_mut().insert(name, value.to_owned());
    }
    for (name, value) in signature {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Class, Fault, Retry};

    #[test]
    fn only_settings_that_give_no_keys_are_the_operators() {
        for (error, class, retry) in [
            (CredentialsError::not_loaded("nowhere"), Class::User, Retry::AfterOperator),
            (CredentialsError::invalid_configuration("a loop"), Class::User, Retry::AfterOperator),
            (CredentialsError::provider_timed_out(Duration::from_secs(5)), Class::Upstream, Retry::Backoff),
            (CredentialsError::provider_error("503 of STS"), Class::Upstream, Retry::Backoff),
            (CredentialsError::unhandled("not UTF-8"), Class::Upstream, Retry::Backoff),
        ] {
            let told = keyless(&error);
            assert_eq!((told.class(), told.retry()), (class, retry), "{told}");
            let code = told.code();
            assert_eq!(code == "DataFormatConversion.InvalidGlueRole", class == Class::User, "{code}");
        }
    }
}
