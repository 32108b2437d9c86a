//! Posts chunks to the records endpoint, over one connection, again when throttled or disconnected.

use super::Failure;
use crate::task::TaskSet;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An answer that does not come is as good as a lost connection.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Where the API is.
pub(super) struct Endpoint {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Endpoint {
    /// Reads an `http://` or `https://` URL.
    pub(super) fn parse(url: &str, cacert: Option<&Path>) -> Result<Self, Failure> {
        let bad = |why: &str| format!("--endpoint '{url}' {why}; it looks like http://127.0.0.1:4573");
        let uri: Uri = url.parse().map_err(|error| bad(&format!("is not a URL ({error})")))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => {
                Some(connector(cacert.ok_or("https needs --cacert FILE with the certificates to trust")?)?)
            }
            _ => return Err(bad("does not begin with http:// or https://").into()),
        };
        if !matches!(uri.path(), "" | "/") {
            return Err(bad("has a path").into());
        }
        let host = uri.host().ok_or_else(|| bad("has no host"))?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { host, port, tls })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => handshake(stream).await,
            Some(tls) => handshake(tls.connect(ServerName::try_from(self.host.clone())?, stream).await?).await,
        }
    }
}

fn connector(cacert: &Path) -> Result<TlsConnector, Failure> {
    let cannot = |why: String| format!("cannot take certificates from {}: {why}", cacert.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(cacert).map_err(|error| cannot(error.to_string()))? {
        let added = certificate.map_err(|error| error.to_string());
        let added = added.and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(cannot)?;
    }
    if roots.is_empty() {
        return Err(cannot("there is no CERTIFICATE section in it".to_owned()).into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection to the API. Dropped, it is closed at once, whatever is under way.
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    driver: TaskSet,
}

impl Connection {
    /// Ends it in order.
    async fn close(mut self) {
        drop(self.requests);
        for died in self.driver.join_all().await {
            tracing::warn!(%died, "a connection ended abnormally");
        }
    }
}

async fn handshake<S>(stream: S) -> Result<Connection, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = TaskSet::default();
    driver.spawn("connection", async move {
        // Its error is the request's error as well.
        let _ = connection.await;
    });
    Ok(Connection { requests, driver })
}

/// A line the server refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FailedLine {
    pub line: u64,
    pub code: String,
    pub message: String,
}

/// What came of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub accepted: u64,
    pub accepted_bytes: u64,
    pub blank: u64,
    pub failed: Vec<FailedLine>,
    pub retries: u64,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: u64,
    blank: u64,
    failed: Vec<FailedLine>,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    message: String,
}

/// What an attempt came to.
enum Attempt {
    Done(Accepted),
    /// Trying again may help.
    Again(String),
    Never(Failure),
}

/// Posts to one stream.
pub(super) struct Sender {
    endpoint: Endpoint,
    path: String,
    retry_for: Duration,
    connection: Option<Connection>,
}

impl Sender {
    pub(super) fn new(endpoint: Endpoint, stream: &str, retry_for: Duration) -> Self {
        let path = format!("/streams/{}/records", utf8_percent_encode(stream, NON_ALPHANUMERIC));
        // The characters of valid names stand for themselves.
        let path = path.replace("%5F", "_").replace("%2E", ".").replace("%2D", "-");
        Self { endpoint, path, retry_for, connection: None }
    }

    /// Closes the connection, if one is open.
    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }

    /// Sends `text` until it is taken; `waiting` is told why it takes longer.
    pub(super) async fn post(&mut self, text: Bytes, waiting: impl Fn(&str)) -> Result<Taken, Failure> {
        let give_up_at = Instant::now() + self.retry_for;
        let mut pause = FIRST_PAUSE;
        let mut retries = 0;
        loop {
            let why = match self.attempt(text.clone()).await {
                Attempt::Done(Accepted { accepted, blank, failed }) => {
                    let accepted_bytes = accepted_bytes(&text, &failed);
                    return Ok(Taken { accepted, accepted_bytes, blank, failed, retries });
                }
                Attempt::Again(why) => why,
                Attempt::Never(error) => return Err(error),
            };
            if Instant::now() + pause > give_up_at {
                return Err(format!("gave up after {} seconds: {why}", self.retry_for.as_secs()).into());
            }
            waiting(&format!("{why}; trying again"));
            // Full jitter.
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            retries += 1;
        }
    }

    async fn attempt(&mut self, text: Bytes) -> Attempt {
        let done = tokio::time::timeout(ANSWER_TIME, self.exchange(text)).await;
        let (status, body) = match done {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.connection = None;
                let (host, port) = (&self.endpoint.host, self.endpoint.port);
                return Attempt::Again(format!("{host}:{port}: {error}; is hydrant up there? --endpoint says where"));
            }
            Err(_) => {
                self.connection = None;
                return Attempt::Again("no answer".to_owned());
            }
        };
        if status == StatusCode::OK {
            return match serde_json::from_slice(&body) {
                Ok(accepted) => Attempt::Done(accepted),
                Err(_) => Attempt::Never("the endpoint does not answer as Hydrant does; check --endpoint".into()),
            };
        }
        let why = match serde_json::from_slice::<Refused>(&body) {
            Ok(Refused { code, message }) if code == "ResourceNotFoundException" => {
                format!("{code}: {message} Create the stream before (CreateDeliveryStream), or correct its name")
            }
            Ok(Refused { code, message }) => format!("{code}: {message}"),
            Err(_) => format!("the endpoint answered {status}; check --endpoint"),
        };
        let passing =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if passing { Attempt::Again(why) } else { Attempt::Never(why.into()) }
    }

    async fn exchange(&mut self, text: Bytes) -> Result<(StatusCode, Bytes), Failure> {
        let mut connection = match self.connection.take() {
            Some(kept) if !kept.requests.is_closed() => kept,
            _ => self.endpoint.connect().await?,
        };
        connection.requests.ready().await?;
        let request = Request::post(&self.path)
            .header("host", format!("{}:{}", self.endpoint.host, self.endpoint.port))
            .header("content-type", "application/x-ndjson")
            .body(Full::new(text))?;
        let answer = connection.requests.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        self.connection = Some(connection);
        Ok((status, body))
    }
}

/// Bytes of the lines that became records, with the line end that the last one may have got.
fn accepted_bytes(text: &[u8], failed: &[FailedLine]) -> u64 {
    let mut bytes = 0;
    for (i, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let blank = content.iter().all(|byte| *byte == b'\r');
        let failed = failed.iter().any(|failed| failed.line == i as u64 + 1);
        bytes += if blank || failed { 0 } else { content.len() as u64 + 1 };
    }
    bytes
}
