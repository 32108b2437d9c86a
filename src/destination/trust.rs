//! Which certificates of servers are trusted, and what goes wrong in a TLS handshake; for all destinations that speak TLS
//! by themselves.
//!
//! From: a section's `ca_file`. To: `http`, `redshift`. The system's certificates are trusted besides.

use std::error::Error;
use std::io;
use std::path::Path;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// A file of certificates that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{section}.ca_file {path}: {reason}")]
pub struct CaFileError {
    section: &'static str,
    path: String,
    reason: String,
}

/// What clients need for TLS: the system's certificates and those of `ca_file`, which `section` of the configuration names.
/// Blocks: files are read.
pub fn client_config(section: &'static str, ca_file: Option<&Path>) -> Result<ClientConfig, CaFileError> {
    let mut roots = RootCertStore::empty();
    // Where the system has none, or bad ones, handshakes say so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let refused = |reason| CaFileError { section, path: path.display().to_string(), reason };
        add_certificates(path, &mut roots).map_err(refused)?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn add_certificates(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut found = 0;
    for certificate in rustls_pemfile::certs(&mut &pem[..]) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        found += 1;
    }
    if found == 0 { Err("holds no certificate in PEM form".to_owned()) } else { Ok(()) }
}

/// The TLS error among the causes. It lies inside of I/O errors, whose own cause is the one behind it.
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| tls_error(inner)) {
            return Some(tls);
        }
        next = error.source();
    }
    None
}
