//! TLS over loopback. The key in this folder is for these tests alone.

use super::client::Client;
use super::{api_with, options};
use crate::server::{BodyLimits, ListenError, Listener, ListenerOptions, TlsFiles};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/tests").join(name)
}

fn files() -> TlsFiles {
    TlsFiles { cert: file("loopback-cert.pem"), key: file("loopback-key.pem") }
}

#[tokio::test]
async fn calls_are_answered_over_tls_and_plain_text_is_not() {
    let (running, streams) =
        api_with(ListenerOptions { tls: Some(files()), ..options() }, 1 << 20, BodyLimits::default()).await;
    streams.add("s");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(files().cert).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(running.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let mut client = Client::over(stream);
    for _ in 0..2 {
        let reply = client.call("PutRecord", r#"{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}}"#).await;
        assert_eq!(reply.status, 200);
    }

    let plain = TcpStream::connect(running.addr).await.unwrap();
    plain.writable().await.unwrap();
    plain.try_write(b"POST / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut plain = plain;
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    running.stop().await;
}

#[tokio::test]
async fn unfit_files_are_named() {
    for (tls, part) in [
        (TlsFiles { cert: file("nowhere.pem"), ..files() }, "nowhere.pem"),
        (TlsFiles { cert: file("mod.rs"), ..files() }, "no CERTIFICATE section"),
        (TlsFiles { key: file("mod.rs"), ..files() }, "cannot read a private key"),
    ] {
        let error = Listener::bind(ListenerOptions { tls: Some(tls), ..options() }).await.unwrap_err();
        assert!(matches!(error, ListenError::Tls(_)));
        assert!(error.to_string().contains(part), "{error}");
    }
}
