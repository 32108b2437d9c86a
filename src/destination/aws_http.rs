//! The HTTP client for services of AWS and those that speak like them.
//!
//! Made for S3 by its destination and for Glue by `schemas`, which hand in what their settings say. No retries here and
//! no time-out but that to connect: the callers have their own.

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// A client that cannot be made out of its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The file of `ca_file`.
    #[error("{section}.ca_file {path}: {reason}")]
    CaFile {
        /// Section of the configuration.
        section: &'static str,
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Where a client may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any host: TLS with the system's certificates, the environment's proxy.
    Anywhere,
    /// An `http://` endpoint: the system's certificates are not needed.
    Plain,
    /// An `http://` endpoint on this machine: never through a proxy.
    Loopback,
}

impl Reach {
    /// That of an endpoint's URL; none is the service's own, anywhere.
    pub fn of(endpoint: Option<&str>) -> Self {
        let Some(uri) = endpoint.and_then(|url| url.parse::<http::Uri>().ok()) else { return Self::Anywhere };
        if uri.scheme_str() != Some("http") {
            return Self::Anywhere;
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if loopback { Self::Loopback } else { Self::Plain }
    }
}

/// Connections as far as `reach`. `section` of the configuration has the `ca_file`, certificates to trust besides.
pub fn connector(
    section: &'static str,
    ca_file: Option<&Path>,
    connect_timeout: Duration,
    reach: Reach,
) -> Result<SharedHttpConnector, ConnectError> {
    let mut trusted = match reach {
        Reach::Anywhere => TrustStore::default(),
        Reach::Plain | Reach::Loopback => TrustStore::empty(),
    };
    if let Some(path) = ca_file {
        let refused = |reason: String| ConnectError::CaFile { section, path: path.display().to_string(), reason };
        let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        check_certificates(&pem).map_err(refused)?;
        trusted = trusted.with_pem_certificate(pem);
    }
    let proxy = if reach == Reach::Loopback { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    let tls = TlsContext::builder().with_trust_store(trusted).build().map_err(|error| ConnectError::CaFile {
        section,
        path: ca_file.map(|path| path.display().to_string()).unwrap_or_default(),
        reason: error.to_string(),
    })?;
    Ok(SharedHttpConnector::new(
        Connector::builder()
            .connector_settings(HttpConnectorSettings::builder().connect_timeout(connect_timeout).build())
            .pool_idle_timeout(IDLE_CONNECTION)
            .proxy_config(proxy)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .build(),
    ))
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

/// Host and port of a URL, without what may stand before them: it can be a secret.
pub fn host_of(url: &str) -> Option<String> {
    let uri = url.parse::<http::Uri>().ok()?;
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", uri.host()?))
}

/// An error's text with those of its causes.
pub fn chain(error: &(dyn Error + 'static)) -> String {
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

/// The first error of this type among an error and its causes.
pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Reach::of(endpoint), reach, "{endpoint:?}");
        }
    }

    #[tokio::test]
    async fn a_bad_certificate_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let made = connector("s3", Some(&path), Duration::from_secs(1), Reach::Plain);
            assert!(matches!(made, Err(ConnectError::CaFile { .. })), "{text}");
        }
    }
}
