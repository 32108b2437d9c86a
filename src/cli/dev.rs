//! `hydrant dev`: the API with an S3 server inside, for trying it and for tests.

use super::{run_service, warn_if_missing};
use crate::app::{AppOptions, embedded_s3_root};
use crate::config::{self, DISK_BUDGET_LEAST_BYTES};
use crate::control::Rules;
use crate::delivery::DeliveryOptions;
use crate::destination::http::HttpSettings;
use crate::destination::redshift::RedshiftSettings;
use crate::destination::s3::S3Settings;
use crate::embedded::EmbeddedS3Options;
use crate::log::LogOptions;
use crate::server::{ConnectionLimits, ListenerOptions, TlsFiles};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Name of the bucket that is there from the start.
pub const BUCKET: &str = "hydrant";
/// Folders that need not be there, since nobody named them.
const TRANSFORMS_DIR: &str = "transforms";
const SCHEMAS_DIR: &str = "schemas";
/// Access key id and secret key of the embedded S3.
pub const KEYS: (&str, &str) = ("test", "test");

/// Run the API and an S3 server, everything embedded, until stopped.
///
/// Prints one line of JSON with the addresses when it is ready. Bucket `hydrant` is there from the start; keys are
/// test / test, region us-east-1.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:
  hydrant dev &
  aws --endpoint-url http://127.0.0.1:4573 firehose list-delivery-streams

Exit code: 0 stopped in order, 1 it did not start or a second signal ended it.")]
pub struct DevArgs {
    /// Folder for everything that is kept: records, journal, objects
    #[arg(long, value_name = "DIR", default_value = "hydrant-data")]
    pub data_dir: PathBuf,
    /// Address of the API (port 0: a free one)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4573")]
    pub api_addr: SocketAddr,
    /// Address of the embedded S3
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4572")]
    pub s3_addr: SocketAddr,
    /// Address of health, metrics and stream status
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4574")]
    pub admin_addr: SocketAddr,
    /// Folder of WASM transforms, NAME.wasm for LambdaArn …:function:NAME
    #[arg(long, value_name = "DIR", default_value = TRANSFORMS_DIR)]
    pub transforms_dir: PathBuf,
    /// Folder of table schemas, DATABASE.TABLE.sql or .json
    #[arg(long, value_name = "DIR", default_value = SCHEMAS_DIR)]
    pub schemas_dir: PathBuf,
    /// Certificate chain (PEM) for HTTPS on the API
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) for HTTPS on the API
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Bind addresses beyond loopback although requests are not authenticated
    #[arg(long)]
    pub insecure_bind: bool,
    /// Most bytes kept on disk, such as 512MiB; producers are throttled beyond, or before that on a smaller disk
    #[arg(long, value_name = "SIZE", default_value = "64GiB", value_parser = disk_budget)]
    pub disk_budget: u64,
}

impl DevArgs {
    /// The service these arguments ask for.
    pub fn app_options(&self) -> AppOptions {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        AppOptions {
            data_dir: self.data_dir.clone(),
            api: ListenerOptions {
                name: "API",
                addr: self.api_addr,
                insecure_bind: self.insecure_bind,
                tls: tls.map(|(cert, key)| TlsFiles { cert, key }),
                limits: ConnectionLimits::default(),
            },
            admin: ListenerOptions {
                name: "admin",
                addr: self.admin_addr,
                insecure_bind: self.insecure_bind,
                tls: None,
                limits: ConnectionLimits::default(),
            },
            embedded_s3: Some(EmbeddedS3Options {
                root: embedded_s3_root(&self.data_dir),
                addr: self.s3_addr,
                access_key: KEYS.0.to_owned(),
                secret_key: KEYS.1.to_owned(),
                buckets: vec![BUCKET.to_owned()],
            }),
            s3: S3Settings::default(),
            http: HttpSettings::default(),
            redshift: RedshiftSettings::default(),
            transforms_dir: self.transforms_dir.clone(),
            schemas_dir: self.schemas_dir.clone(),
            glue: None,
            rules: Rules::default(),
            disk_budget_bytes: self.disk_budget,
            disk_reserve_bytes: self.disk_budget / 8,
            inflight_bytes: 128 << 20,
            admission_wait: Duration::from_secs(5),
            log: LogOptions::default(),
            delivery: DeliveryOptions::default(),
            streams: Vec::new(),
        }
    }

    /// Runs until SIGTERM or SIGINT.
    pub async fn run(self) -> ExitCode {
        warn_if_missing("--transforms-dir", &self.transforms_dir, TRANSFORMS_DIR.as_ref());
        warn_if_missing("--schemas-dir", &self.schemas_dir, SCHEMAS_DIR.as_ref());
        run_service(self.app_options(), |app| {
            serde_json::json!({
                "api": app.api_url(),
                "s3": app.s3_addr().map(|addr| format!("http://{addr}")),
                "admin": app.admin_url(),
                "bucket": BUCKET,
                "pid": std::process::id(),
            })
        })
        .await
    }
}

/// Bytes of a size with its unit, or of a plain number.
fn disk_budget(text: &str) -> Result<u64, String> {
    let bytes = text.parse().ok().or_else(|| config::size(text));
    let bytes = bytes.ok_or("expected a size such as 512MiB or 10GiB")?;
    if bytes < DISK_BUDGET_LEAST_BYTES {
        return Err(format!("must be at least {}MiB", DISK_BUDGET_LEAST_BYTES >> 20));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_budget_has_a_unit_and_a_least() {
        assert_eq!(disk_budget("10GiB"), Ok(10 << 30));
        assert_eq!(disk_budget("536870912"), Ok(512 << 20));
        assert_eq!(disk_budget("16MiB"), Ok(16 << 20));
        for small in ["16383KiB", "0B", "0", "16777215"] {
            assert_eq!(disk_budget(small), Err("must be at least 16MiB".to_owned()), "{small}");
        }
        assert!(disk_budget("10gib").is_err());
    }
}
