//! How clusters are reached: the section `redshift:` of the configuration.

use crate::destination::s3::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// For all streams to Redshift. Every member may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedshiftSettings {
    /// PEM file of certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Secrets by the ARN that streams name; the text of each is JSON, `{"username": "…", "password": "…"}`.
    pub secrets: BTreeMap<String, Secret>,
    /// Lets sessions to other machines go without TLS, where a URL says so.
    pub allow_plain: bool,
    /// Time for a session to be there, login included.
    pub connect_timeout_ms: Option<u64>,
    /// Time for a load, from then on.
    pub load_timeout_ms: Option<u64>,
}

impl RedshiftSettings {
    /// Time for a session to be there, login included.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.unwrap_or(30_000))
    }

    /// Time for a load.
    pub fn load_timeout(&self) -> Duration {
        Duration::from_millis(self.load_timeout_ms.unwrap_or(3_600_000))
    }
}
