//! The real S3 server behind the proxy, and the judge's own client of it.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use hydrant::clock::SystemClock;
use hydrant::destination::s3::client::Stores;
use hydrant::destination::s3::{Credentials, S3Destination, S3Settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The bucket that all scenarios share; each has a prefix of its own.
pub const BUCKET: &str = "hydrant";
pub const ACCESS_KEY: &str = "AKIDSCENARIO";
pub const SECRET_KEY: &str = "open-sesame-0123456789";

/// What a foreign writer puts under a key.
pub const FOREIGN: &[u8] = b"somebody else's object";

pub struct Upstream {
    pub addr: SocketAddr,
    pub client: Client,
    _server: hydrant::embedded::EmbeddedS3,
    _root: tempfile::TempDir,
}

/// An object as the judge sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

/// Settings that reach a store at `addr`.
pub fn settings(addr: SocketAddr) -> S3Settings {
    S3Settings {
        endpoint: Some(format!("http://{addr}")),
        region: Some("us-east-1".to_owned()),
        credentials: Some(Credentials::fixed(ACCESS_KEY, SECRET_KEY)),
        ..S3Settings::default()
    }
}

/// A destination by the machine's clock.
pub fn destination(settings: S3Settings) -> S3Destination {
    S3Destination::new(settings, Arc::new(SystemClock::new()))
}

impl Upstream {
    pub async fn start() -> Self {
        // In memory where there is such a folder: what is tested here is the line, not the disk.
        let memory = std::path::Path::new("/dev/shm");
        let root = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
        let options = hydrant::embedded::EmbeddedS3Options {
            root: root.path().to_owned(),
            addr: "127.0.0.1:0".parse().unwrap(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            buckets: vec![BUCKET.to_owned()],
        };
        let server = hydrant::embedded::start_with_part_minimum(options, 1).await.unwrap();
        let addr = server.addr();
        let store = Stores::new(Arc::new(SystemClock::new())).get(settings(addr)).await.unwrap();
        Self { addr, client: store.sdk.clone(), _server: server, _root: root }
    }

    pub async fn object(&self, key: &str) -> Option<Object> {
        let found = self.client.get_object().bucket(BUCKET).key(key).send().await.ok()?;
        Some(Object {
            content_type: found.content_type.clone(),
            content_encoding: found.content_encoding.clone(),
            metadata: found.metadata.clone().unwrap_or_default().into_iter().collect(),
            bytes: found.body.collect().await.unwrap().into_bytes().to_vec(),
        })
    }

    /// Keys under a prefix, in order.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let listing = self.client.list_objects_v2().bucket(BUCKET).prefix(prefix).send().await.unwrap();
        assert_ne!(listing.is_truncated(), Some(true));
        listing.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    /// Unfinished uploads under a prefix.
    pub async fn uploads(&self, prefix: &str) -> Vec<String> {
        let listing = self.client.list_multipart_uploads().bucket(BUCKET).prefix(prefix).send().await.unwrap();
        listing.uploads().iter().map(|upload| upload.key().unwrap().to_owned()).collect()
    }

    /// Leaves an unfinished upload under a key, as a crashed attempt does.
    pub async fn leave_upload(&self, key: &str) {
        self.client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    }
}

pub async fn put_foreign(client: &Client, key: &str) {
    let body = ByteStream::from_static(FOREIGN);
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
}
