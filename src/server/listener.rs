//! The accept loop: HTTP/1.1 connections with bounds, with or without TLS, until the stop is asked.
//!
//! Each connection is an owned task. When the stop is asked nothing more is accepted, idle connections close, and
//! requests in flight get their answers within [`ConnectionLimits::stop_grace`].

use super::answer::Answer;
use super::stall::StallGuard;
use super::tls::{self, TlsError, TlsFiles};
use crate::task::{Stop, StopSource, TaskSet};
use crate::telemetry::metrics;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// What is served.
pub trait Routes: Send + Sync + 'static {
    /// Answers one request. Dropped when the client goes away.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Most connections at once; further ones wait in the system's queue.
    pub connections: usize,
    /// Most time to send a request's headers, and most time a kept-alive connection may be idle.
    pub header_time: Duration,
    /// Most bytes of a request's headers.
    pub header_bytes: usize,
    /// Most time that a client may take nothing of its answer.
    pub stall_time: Duration,
    /// Most time for a TLS handshake.
    pub handshake_time: Duration,
    /// Time that requests in flight get to finish when the stop is asked.
    pub stop_grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 8192,
            header_time: Duration::from_secs(60),
            header_bytes: 64 * 1024,
            stall_time: Duration::from_secs(30),
            handshake_time: Duration::from_secs(10),
            stop_grace: Duration::from_secs(20),
        }
    }
}

/// A listener to be.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// What it is, for messages and task names: `API`, `admin`.
    pub name: &'static str,
    /// Where; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Binds other addresses than loopback although nobody is asked who they are.
    pub insecure_bind: bool,
    /// TLS, if any.
    pub tls: Option<TlsFiles>,
    /// Bounds.
    pub limits: ConnectionLimits,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Refused for safety.
    #[error(
        "the {name} listener would take requests from the network at {addr} without authentication; \
         bind 127.0.0.1, or insist with --insecure-bind behind something that authenticates"
    )]
    NotLoopback {
        /// Which.
        name: &'static str,
        /// Where.
        addr: SocketAddr,
    },
    /// The system refuses.
    #[error(
        "cannot listen at {addr} for the {name} listener: {error}; choose another address with --{option}-addr, or \
         {option}.addr in the configuration (port 0 picks a free one)",
        option = name.to_ascii_lowercase()
    )]
    Bind {
        /// Which.
        name: &'static str,
        /// Where.
        addr: SocketAddr,
        /// The cause.
        error: io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    options: ListenerOptions,
    socket: TcpListener,
    addr: SocketAddr,
    tls: Option<Acceptor>,
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Listener {
    /// Binds.
    pub async fn bind(options: ListenerOptions) -> Result<Self, ListenError> {
        let ListenerOptions { name, addr, .. } = options;
        if !addr.ip().is_loopback() && !options.insecure_bind {
            return Err(ListenError::NotLoopback { name, addr });
        }
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?.map(Acceptor);
        let bind_error = |error| ListenError::Bind { name, addr, error };
        let socket = TcpListener::bind(addr).await.map_err(bind_error)?;
        let addr = socket.local_addr().map_err(bind_error)?;
        Ok(Self { options, socket, addr, tls })
    }

    /// The address bound, with the port the system picked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://…` or `https://…`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.addr)
    }

    /// Accepts and serves until the stop is asked and the last request is answered.
    pub async fn serve<R: Routes>(self, routes: Arc<R>, stop: Stop) {
        let ListenerOptions { name, limits, .. } = self.options;
        let slots = Arc::new(Semaphore::new(limits.connections));
        let abandon = StopSource::new();
        let mut connections = TaskSet::default();
        let mut asked = pin!(stop.asked());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut asked => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    report(name, ended);
                    continue;
                }
                accepted = accept(&self.socket, &slots) => accepted,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let connection = Connection {
                        routes: Arc::clone(&routes),
                        tls: self.tls.clone(),
                        limits,
                        stop: stop.clone(),
                        abandon: abandon.stop(),
                    };
                    connections.spawn(name, connection.run(stream, slot));
                }
                Err(error) => {
                    // Out of files or memory: accepting at once again would only burn the processor.
                    tracing::warn!(listener = name, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.socket);
        let last = async {
            while let Some(ended) = connections.join_next().await {
                report(name, ended);
            }
        };
        if tokio::time::timeout(limits.stop_grace, last).await.is_err() {
            tracing::warn!(listener = name, left = connections.len(), "connections are cut off at the stop");
            abandon.ask();
            for died in connections.join_all().await {
                report(name, Err(died));
            }
        }
    }
}

fn report(listener: &str, ended: Result<(), crate::task::TaskDied>) {
    if let Err(died) = ended {
        tracing::error!(listener, %died, "a connection's task died");
    }
}

async fn accept(socket: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = socket.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

struct Connection<R> {
    routes: Arc<R>,
    tls: Option<Acceptor>,
    limits: ConnectionLimits,
    stop: Stop,
    abandon: Stop,
}

/// How a connection ended badly. Clients cause all of it; nothing is wrong here.
type Fault = Box<dyn std::error::Error + Send + Sync>;

impl<R: Routes> Connection<R> {
    async fn run(self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        metrics::connection_opened();
        let stream = StallGuard::new(stream, self.limits.stall_time);
        let served = match self.tls.clone() {
            None => self.serve(stream).await,
            Some(Acceptor(tls)) => match tokio::time::timeout(self.limits.handshake_time, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.serve(stream).await,
                Ok(Err(error)) => Err(error.into()),
                Err(late) => Err(late.into()),
            },
        };
        if let Err(fault) = &served {
            tracing::debug!(%fault, "a connection ended by a fault");
        }
        metrics::connection_closed(served.is_err());
        drop(slot);
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Fault> {
        let service = service_fn(|request| async {
            let answer: Result<Answer, Infallible> = Ok(self.routes.answer(request).await);
            answer
        });
        // Without a timer hyper has no header time-out at all.
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.header_time)
                .max_header_size(self.limits.header_bytes)
                .serve_connection(TokioIo::new(stream), service)
        );
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended.map_err(Fault::from),
            () = self.stop.asked() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            biased;
            ended = connection => ended.map_err(Fault::from),
            () = self.abandon.asked() => Err("cut off at the stop".into()),
        }
    }
}
