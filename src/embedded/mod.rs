//! The S3 server that `hydrant demo` and `hydrant dev` embed: one process, one pair of keys, objects as plain files.
//!
//! It speaks enough S3 for any SDK to put, get, list, copy and delete objects, by multipart too, and keeps two promises
//! that matter to a delivery service: of racing create-only PUTs exactly one wins, and what was answered with 200 is on
//! stable storage. It keeps no versions, encrypts nothing and knows one owner; requests for more are refused by name.
//! The protocol (signatures, chunked bodies, XML) is the crate `s3s`; the store is ours.
//!
//! ETags are opaque here: they change with each version and are no MD5, which no client may rely on at S3 either.
//! One chunk of an `aws-chunked` body is held in memory; SDKs send chunks of 64 KiB to 1 MiB.
//!
//! ```text
//! http (sockets) ─▶ headers (refusals) ─▶ s3s (protocol) ─▶ service (operations) ─▶ store (files) ─▶ key_path (names)
//! ```

mod headers;
mod http;
pub mod key_path;
mod service;
pub mod store;

use crate::clock::SystemClock;
use crate::task::{StopSource, TaskSet};
use s3s::service::S3ServiceBuilder;
use service::S3Store;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use store::{Store, StoreError};
use tokio::net::TcpListener;

/// How to start the server.
#[derive(Clone)]
pub struct EmbeddedS3Options {
    /// Folder of the buckets; made if missing, and one process's at a time.
    pub root: PathBuf,
    /// Address to listen at; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The access key id clients sign with.
    pub access_key: String,
    /// The secret key clients sign with.
    pub secret_key: String,
    /// Buckets to make if missing.
    pub buckets: Vec<String>,
}

impl std::fmt::Debug for EmbeddedS3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedS3Options")
            .field("root", &self.root)
            .field("addr", &self.addr)
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}

/// A running server. Stop it with [`EmbeddedS3::stop`]; dropping it only asks for the stop.
#[derive(Debug)]
pub struct EmbeddedS3 {
    addr: SocketAddr,
    stop: StopSource,
    tasks: TaskSet,
    service: S3Store,
}

/// Opens the store, makes the buckets, and serves.
pub async fn start(options: EmbeddedS3Options) -> io::Result<EmbeddedS3> {
    start_with_part_minimum(options, store::uploads::PART_MIN_BYTES).await
}

/// As [`start`], but with another smallest size of a part that is not the last, so that tests of clients can use
/// small ones.
pub async fn start_with_part_minimum(options: EmbeddedS3Options, part_min_bytes: u64) -> io::Result<EmbeddedS3> {
    let EmbeddedS3Options { root, addr, access_key, secret_key, buckets } = options;
    let store = tokio::task::spawn_blocking(move || open(&root, &buckets)).await.map_err(io::Error::other)??;
    let store = store.with_part_minimum(part_min_bytes);
    let listener = TcpListener::bind(addr).await.map_err(|e| {
        io::Error::new(
            e.kind(),
            format!("cannot listen at {addr}: {e}; choose another address with --s3-addr (port 0 picks a free one)"),
        )
    })?;
    let addr = listener.local_addr()?;

    let service = S3Store::new(store);
    let mut builder = S3ServiceBuilder::new(service.clone());
    builder.set_auth(http::OneKey::new(access_key, secret_key));
    builder.set_host(http::LocalHosts);
    let stop = StopSource::new();
    let mut tasks = TaskSet::default();
    tasks.spawn("embedded s3", http::serve(listener, builder.build(), stop.stop()));
    Ok(EmbeddedS3 { addr, stop, tasks, service })
}

fn open(root: &std::path::Path, buckets: &[String]) -> io::Result<Store> {
    let store = Store::open(root, Arc::new(SystemClock::new()))?;
    for bucket in buckets {
        if !s3s::path::check_bucket_name(bucket) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{bucket:?} is no name for a bucket")));
        }
        match store.create_bucket(bucket) {
            Ok(()) | Err(StoreError::BucketExists) => {}
            Err(StoreError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(store)
}

impl EmbeddedS3 {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets requests under way end, for ten seconds at most, then closes. When it returns no thread touches the files
    /// any more and another process may open the root.
    pub async fn stop(mut self) {
        self.stop.ask();
        for died in self.tasks.join_all().await {
            tracing::error!(%died, "the embedded S3 died");
        }
        self.service.quiesce().await;
    }
}

#[cfg(test)]
mod tests;
