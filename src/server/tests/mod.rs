//! The listeners over loopback, with streams in memory.

mod admin;
mod api;
mod client;
mod connections;
mod tls;

use super::{Api, BodyLimits, ConnectionLimits, ControlPlane, Listener, ListenerOptions, Routes};
use crate::ingest::tests::double::Streams;
use crate::ingest::{Admission, Ingest};
use crate::task::StopSource;
use crate::wire::ApiError;
use async_trait::async_trait;
use client::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Echoes what it is asked.
struct Echo;

#[async_trait]
impl ControlPlane for Echo {
    async fn handle(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        match operation {
            "ListDeliveryStreams" => Ok(body.to_vec()),
            other => Err(ApiError::unknown_operation(other)),
        }
    }
}

/// A running listener.
struct Running {
    addr: SocketAddr,
    stop: StopSource,
    served: JoinHandle<()>,
}

impl Running {
    async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Stops it, waiting for its end.
    async fn stop(self) {
        self.stop.ask();
        self.served.await.unwrap();
    }
}

fn options() -> ListenerOptions {
    ListenerOptions {
        name: "test",
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        insecure_bind: false,
        tls: None,
        limits: ConnectionLimits::default(),
    }
}

async fn start<R: Routes>(options: ListenerOptions, routes: R) -> Running {
    let listener = Listener::bind(options).await.unwrap();
    let stop = StopSource::new();
    let addr = listener.addr();
    let served = tokio::spawn(listener.serve(Arc::new(routes), stop.stop()));
    Running { addr, stop, served }
}

/// The API with its streams; `admission_bytes` and limits as given.
async fn api_with(options: ListenerOptions, admission_bytes: u32, limits: BodyLimits) -> (Running, Arc<Streams>) {
    let streams = Arc::new(Streams::default());
    let ingest = Ingest::new(streams.clone(), Admission::new(admission_bytes, Duration::ZERO), "000000000000");
    (start(options, Api::new(ingest, Arc::new(Echo), limits)).await, streams)
}

async fn api() -> (Running, Arc<Streams>) {
    api_with(options(), 64 << 20, BodyLimits::default()).await
}
