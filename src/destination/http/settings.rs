//! How endpoints are reached: the section `http_endpoint:` of the configuration.

use crate::destination::aws_http::Reach;
use crate::destination::s3::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// For all streams to HTTP endpoints. Every member may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// PEM file of certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Secrets by the ARN that streams name; the text of each is JSON, `{"api_key": "…"}`.
    pub secrets: BTreeMap<String, Secret>,
    /// Lets `http://` URLs name other machines.
    pub allow_http: bool,
    /// Time to connect.
    pub connect_timeout_ms: Option<u64>,
    /// Time for the answer, from when the body is on its way.
    pub answer_timeout_ms: Option<u64>,
    /// How long an endpoint may take no byte of a body.
    pub stall_timeout_ms: Option<u64>,
    /// Bytes of bodies that may be in the heap, of all requests under way.
    pub body_memory_bytes: Option<u64>,
}

impl HttpSettings {
    /// Time to connect.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.unwrap_or(10_000))
    }

    /// Time for an answer: the service's three minutes.
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms.unwrap_or(180_000))
    }

    /// How long an endpoint may take nothing, the TLS handshake included.
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.unwrap_or(30_000))
    }

    /// Bytes of bodies that may be in the heap, of all requests under way.
    pub fn body_memory_bytes(&self) -> u64 {
        self.body_memory_bytes.unwrap_or(64 << 20)
    }
}

/// Whether records may go to this URL: `https://` anywhere, `http://` to this machine, and to others where `allow_http`.
pub fn may_be_used(url: &str, allow_http: bool) -> bool {
    match url.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_none_or(str::is_empty) => false,
        // A name and a password there would be shown by Describe, and are not sent.
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => false,
        // The client would take the usual port in place of one that is none.
        Ok(uri) if !has_good_port(&uri) => false,
        Ok(uri) if uri.scheme_str() == Some("https") => true,
        Ok(uri) if uri.scheme_str() == Some("http") => allow_http || Reach::of(Some(url)) == Reach::Loopback,
        _ => false,
    }
}

/// Whether the port is left out, or is one.
fn has_good_port(uri: &http::Uri) -> bool {
    let port = uri.authority().and_then(|authority| authority.as_str().strip_prefix(authority.host()));
    match port {
        None | Some("") => true,
        Some(port) => port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::may_be_used;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for (url, always, allowed) in [
            ("https://example.com/p?q=1", true, true),
            ("https://127.0.0.1:8443", true, true),
            ("http://localhost:8080/x", true, true),
            ("http://127.0.0.1:1/", true, true),
            ("http://[::1]:1/", true, true),
            ("http://example.com/", false, true),
            ("http://127.0.0.1.example.com/", false, true),
            ("https://user:password@example.com/", false, false),
            ("http://127.0.0.1:99999/x", false, false),
            ("http://127.0.0.1:abc/", false, false),
            ("http://127.0.0.1:/x", false, false),
            ("http://127.0.0.1:0/x", false, false),
            ("http://[::1]:70000/", false, false),
            ("https://example.com:65535/", true, true),
            ("ftp://example.com/", false, false),
            ("example.com", false, false),
            ("https://", false, false),
            ("", false, false),
        ] {
            assert_eq!(may_be_used(url, false), always, "{url}");
            assert_eq!(may_be_used(url, true), allowed, "{url}");
        }
    }
}
