//! `hydrant dev`: the API with an S3 server inside, for trying it and for tests.

use super::run_service;
use crate::app::{AppOptions, embedded_s3_root};
use crate::control::Rules;
use crate::delivery::DeliveryOptions;
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
    #[arg(long, value_name = "DIR", default_value = "transforms")]
    pub transforms_dir: PathBuf,
    /// Folder of table schemas, DATABASE.TABLE.sql or .json
    #[arg(long, value_name = "DIR", default_value = "schemas")]
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
    /// Most bytes kept on disk; producers are throttled beyond
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 30)]
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
            transforms_dir: self.transforms_dir.clone(),
            schemas_dir: self.schemas_dir.clone(),
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
