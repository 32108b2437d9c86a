//! Connections to endpoints, kept alive and shared by all streams, and what can go wrong on them.
//!
//! From: [`HttpSettings`]. To: `mod`, one request at a time. HTTP/1.1, TLS by rustls with the system's certificates and
//! those of `ca_file`; no redirects, no proxy, no repeats: the caller of `deliver` retries.

use super::HttpSettings;
use super::judge::{Answer, MAX_ANSWER_BYTES};
use crate::destination::aws_http::{chain, find};
use crate::destination::body::{ParcelBody, Progress};
use crate::destination::trust::{CaFileError, client_config, tls_error};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::io;
use std::time::Duration;
use tokio_rustls::rustls;

/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);
/// Unused connections kept for each endpoint.
const IDLE_PER_HOST: usize = 16;
/// Bytes of a request that wait for its connection to take them: there may be thousands of slow ones.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// A request that was not answered: the code of the reference, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Without its family.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

/// See the module.
#[derive(Debug)]
pub struct Connections {
    client: Client<HttpsConnector<HttpConnector>, ParcelBody>,
    settings: HttpSettings,
}

impl Connections {
    /// None yet. Blocks: certificates are read.
    pub fn new(settings: HttpSettings) -> Result<Self, CaFileError> {
        let tls = client_config("http_endpoint", settings.ca_file.as_deref())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect_timeout()));
        // An endpoint that answers early and takes nothing more would have its connection wait for ever: the client is
        // asked for the rest of a body only when there is room for it.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(settings.stall_timeout()));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_title_case_headers(true)
            .http1_max_buf_size(WRITE_BUFFER_BYTES)
            .build(connector.wrap_connector(tcp));
        Ok(Self { client, settings })
    }

    /// Sends a request and reads its answer; `progress` is that of its body. Ends within the settings' times.
    pub async fn exchange(
        &self,
        request: http::Request<ParcelBody>,
        progress: &Progress,
    ) -> Result<Answer, Unanswered> {
        let limit = self.settings.answer_timeout();
        let exchanged = async {
            let (head, body) = self.client.request(request).await.map_err(|e| failure_of(&e))?.into_parts();
            let header =
                |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let reason = head.extensions.get::<hyper::ext::ReasonPhrase>();
            Ok(Answer {
                status: head.status.as_u16(),
                reason: reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned()),
                content_type: header(http::header::CONTENT_TYPE),
                is_encoded: head.headers.contains_key(http::header::CONTENT_ENCODING),
                has_length: head.headers.contains_key(http::header::CONTENT_LENGTH),
                retry_after: header(http::header::RETRY_AFTER),
                body: read(body).await?,
            })
        };
        let timeout = |what: String| Err(Unanswered { code: "RequestTimeout", message: what });
        tokio::select! {
            answer = exchanged => answer,
            () = async { progress.all_taken().await; tokio::time::sleep(limit).await } => {
                timeout(format!("the endpoint did not answer within {} ms", limit.as_millis()))
            }
            () = self.stalled(progress) => {
                let stall_ms = self.settings.stall_timeout().as_millis();
                timeout(format!("the endpoint took nothing of the request for {stall_ms} ms"))
            }
        }
    }

    /// Returns once nothing was taken of a body that is not taken whole for the time that is allowed.
    async fn stalled(&self, progress: &Progress) {
        let mut before = progress.taken_bytes();
        loop {
            tokio::time::sleep(self.settings.stall_timeout()).await;
            let taken = progress.taken_bytes();
            if taken == before && !progress.is_all_taken() {
                return;
            }
            before = taken;
        }
    }
}

/// The body of an answer; `None`: it is too long.
async fn read(mut body: Incoming) -> Result<Option<Vec<u8>>, Unanswered> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure_of(&error))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MAX_ANSWER_BYTES {
                return Ok(None);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(Some(bytes))
}

/// What an error of the client means.
fn failure_of(error: &(dyn Error + 'static)) -> Unanswered {
    let code = if let Some(tls) = tls_error(error) {
        match tls {
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
                "SSLHandshakeCertificatePathFailure"
            }
            rustls::Error::InvalidCertificate(_) => "SSLHandshakeCertificatePathValidationFailure",
            rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => "SSLHandshakeFailure",
            _ => "SSLFailure",
        }
    } else if find::<hyper_util::client::legacy::Error>(error).is_some_and(|error| error.is_connect()) {
        "ConnectionFailed"
    } else if let Some(http) = find::<hyper::Error>(error).filter(|http| http.is_parse() || http.is_parse_status()) {
        if http.is_parse_status() { "InvalidStatusCode" } else { "IllegalResponseFailure" }
    } else {
        match find::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::TimedOut) => "RequestTimeout",
            _ => "ConnectionReset",
        }
    };
    Unanswered { code, message: chain(error) }
}
