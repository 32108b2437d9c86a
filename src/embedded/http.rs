//! Sockets and HTTP/1.1 in front of the S3 service: accepting, timing out, stopping.

use super::headers;
use crate::task::{Stop, TaskSet};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::S3Service;
use s3s::{Body, HttpError, S3ErrorCode, S3Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::instrument::WithSubscriber;

/// A connection that sends no whole head within this time is closed; idle ones too, so it is longer than the time
/// clients keep theirs.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// What requests under way get to end once a stop is asked.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Of a body nobody wants, this much is read, and for so long, before its connection is closed instead.
const DRAIN_MAX_BYTES: u64 = 64 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed accept (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The one pair of keys.
pub(super) struct OneKey {
    access_key: String,
    secret_key: SecretKey,
}

impl OneKey {
    pub fn new(access_key: String, secret_key: String) -> Self {
        Self { access_key, secret_key: SecretKey::from(secret_key) }
    }
}

#[async_trait::async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            Ok(self.secret_key.clone())
        } else {
            let message = "The access key ID you provided does not exist in our records.";
            Err(s3s::S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, message))
        }
    }
}

/// `BUCKET.localhost`, which SDKs make of `localhost`; every other host name is this server's own.
pub(super) struct LocalHosts;

impl S3Host for LocalHosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        Ok(match name.strip_suffix(".localhost") {
            Some(bucket) => VirtualHost::new("localhost").with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

/// Accepts until stopped, then waits for the connections.
pub(super) async fn serve(listener: TcpListener, service: S3Service, stop: Stop) {
    let mut connections = TaskSet::default();
    loop {
        tokio::select! {
            () = stop.asked() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => log_death(ended.err()),
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    connections.spawn(format!("s3 {peer}"), connection(socket, service.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded S3 cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.join_all().await.into_iter().for_each(|died| log_death(Some(died)));
}

fn log_death(died: Option<crate::task::TaskDied>) {
    if let Some(died) = died {
        tracing::error!(%died, "a connection of the embedded S3 died");
    }
}

async fn connection(socket: TcpStream, service: S3Service, stop: Stop) {
    // Answers are small and awaited.
    let _ = socket.set_nodelay(true);
    let served = service_fn(move |request| respond(service.clone(), request));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(socket), served);
    tokio::pin!(connection);
    // An error here is the client's (reset, no HTTP); its requests were answered or are gone.
    tokio::select! {
        _ = &mut connection => {}
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(STOP_GRACE, connection).await;
        }
    }
}

async fn respond(service: S3Service, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
    let (mut head, body) = request.into_parts();
    join_content_encodings(&mut head.headers);
    let expects = head.headers.contains_key(http::header::EXPECT);
    let body = SharedBody(Arc::new(Mutex::new(Reading { body, begun: false })));
    let response = match headers::check(&head.uri, &head.headers) {
        Ok(()) => {
            let request = Request::from_parts(head, Body::http_body(body.clone()));
            // The server crate logs whole requests, and an error for each 404; this server logs its own failures.
            service.call(request).with_subscriber(tracing::Dispatch::none()).await?
        }
        Err(refusal) => refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error)))?,
    };
    drain(&body, expects).await;
    Ok(response)
}

/// SDKs send `aws-chunked` as a second Content-Encoding; the server crate takes one, and the signature is of the joined
/// form.
fn join_content_encodings(headers: &mut http::HeaderMap) {
    let name = http::header::CONTENT_ENCODING;
    let values: Vec<&[u8]> = headers.get_all(&name).into_iter().map(http::HeaderValue::as_bytes).collect();
    if values.len() > 1
        && let Ok(joined) = http::HeaderValue::from_bytes(&values.join(&b","[..]))
    {
        headers.insert(name, joined);
    }
}

/// Reads what is left of a body, so that a client in the middle of sending hears the answer instead of a reset. One that
/// waits to be told to continue is told no by the answer itself.
async fn drain(body: &SharedBody, expects: bool) {
    {
        let reading = body.0.lock();
        if reading.body.is_end_stream() || (expects && !reading.begun) {
            return;
        }
    }
    let rest = async {
        let mut drained_bytes = 0;
        let mut body = body.clone();
        while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut body).await {
            drained_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if drained_bytes > DRAIN_MAX_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
}

/// A request's body, of which the unread rest can be had back from the service.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Reading>>);

struct Reading {
    body: Incoming,
    begun: bool,
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut reading = self.0.lock();
        reading.begun = true;
        Pin::new(&mut reading.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}
