//! The embedded S3 as the SDK sees it: over loopback HTTP, with the AWS SDK as client.

mod multipart;
mod objects;
mod races;

use super::{EmbeddedS3, EmbeddedS3Options, start};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const BUCKET: &str = "hydrant";

/// A server on a folder of its own.
struct Server {
    running: EmbeddedS3,
    dir: TempDir,
}

fn options(root: &Path) -> EmbeddedS3Options {
    EmbeddedS3Options {
        root: root.to_owned(),
        addr: "127.0.0.1:0".parse().unwrap(),
        access_key: "test".to_owned(),
        secret_key: "test-secret".to_owned(),
        buckets: vec![BUCKET.to_owned()],
    }
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let running = start(options(dir.path())).await.unwrap();
        Self { running, dir }
    }

    async fn restart(self) -> Self {
        let Self { running, dir } = self;
        running.stop().await;
        let running = start(options(dir.path())).await.unwrap();
        Self { running, dir }
    }

    /// A client as the SDK makes it by default, without retries.
    fn client(&self) -> Client {
        self.client_with(|config| config)
    }

    /// A client that neither sends nor checks checksums by itself.
    fn bare_client(&self) -> Client {
        self.client_with(|config| {
            config
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        })
    }

    fn client_with(&self, change: impl FnOnce(aws_sdk_s3::config::Builder) -> aws_sdk_s3::config::Builder) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("http://{}", self.running.addr()))
            .force_path_style(true)
            .credentials_provider(Credentials::new("test", "test-secret", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Client::from_conf(change(config).build())
    }

    fn file(&self, key_path: &str) -> PathBuf {
        self.dir.path().join(BUCKET).join(key_path)
    }
}

/// The error code of a refusal.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    outcome: Result<T, SdkError<E, HttpResponse>>,
) -> String {
    match outcome.expect_err("a refusal") {
        SdkError::ServiceError(answered) => answered.err().code().unwrap_or("no code").to_owned(),
        other => panic!("no answer: {other:?}"),
    }
}

/// The HTTP status of a refusal.
fn status<T: std::fmt::Debug, E: std::fmt::Debug>(outcome: Result<T, SdkError<E, HttpResponse>>) -> u16 {
    match outcome.expect_err("a refusal") {
        SdkError::ServiceError(answered) => answered.raw().status().as_u16(),
        other => panic!("no answer: {other:?}"),
    }
}

/// Names of all files below a folder, for what must not be left over.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() { files.extend(files_below(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}
