//! How AWS Glue is reached: the section `glue:` of the configuration, in the words of `s3:`.

use crate::destination::s3::Credentials;
use std::path::PathBuf;
use std::time::Duration;

/// How Glue is reached. Every member may be left out. The region of a call is that of the stream's SchemaConfiguration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlueSettings {
    /// URL of Glue or of what speaks like it. Without it: AWS Glue in the region of the call.
    pub endpoint: Option<String>,
    /// Fixed keys. Without it: the standard chain (environment, profile, web identity, container, instance).
    pub credentials: Option<Credentials>,
    /// Profile of the shared configuration files for the standard chain.
    pub profile: Option<String>,
    /// PEM file of certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time to connect, TLS included.
    pub connect_timeout_ms: Option<u64>,
    /// Time for a whole answer, credentials and connection included.
    pub answer_timeout_ms: Option<u64>,
    /// After how long a table is asked for again.
    pub refresh_ms: Option<u64>,
}

impl GlueSettings {
    /// Time to connect.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.unwrap_or(5_000))
    }

    /// Time for an answer.
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms.unwrap_or(10_000))
    }

    /// After how long a table is asked for again.
    pub fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms.unwrap_or(300_000))
    }

    /// The URL of calls about a catalog in `region`.
    pub fn url(&self, region: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://glue.{region}.{suffix}/")
            }
        }
    }
}
