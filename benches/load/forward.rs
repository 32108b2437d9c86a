//! The two ends of an HTTP endpoint for `benches/run`: a receiver by the protocol of Firehose that keeps nothing, and a bare
//! client that posts a body over and over. Part of `load`.

use crate::{Fallible, cpu_seconds, drain};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};

/// Names a request, and is named in its answer.
const REQUEST_ID: &str = "x-amz-firehose-request-id";

#[derive(clap::Args)]
pub struct Post {
    /// host:port of the receiver.
    #[arg(long)]
    addr: String,
    /// File with the body.
    #[arg(long)]
    body: PathBuf,
    /// Connections, each with one request at a time.
    #[arg(long)]
    connections: u64,
    /// Bytes of bodies to send, about.
    #[arg(long)]
    total_bytes: u64,
}

/// What a receiver has taken.
#[derive(Default)]
struct Taken {
    requests: AtomicU64,
    bytes: AtomicU64,
    first: OnceLock<Bytes>,
}

/// Takes every request. `GET /` tells how many and how many bytes, `GET /body` gives the first one's.
pub async fn receive() -> Fallible<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({"addr": listener.local_addr()?.to_string(), "pid": std::process::id()}));
    std::io::stdout().flush()?;
    let taken = Arc::new(Taken::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let taken = Arc::clone(&taken);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&taken), request));
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        });
    }
}

async fn answer(taken: Arc<Taken>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.method() == Method::GET {
        let body = match request.uri().path() {
            "/body" => taken.first.get().cloned().unwrap_or_default(),
            _ => {
                let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                json!({"requests": count(&taken.requests), "bytes": count(&taken.bytes)}).to_string().into()
            }
        };
        return Ok(Response::new(Full::new(body)));
    }
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let body_bytes = match taken.first.get() {
        Some(_) => drain(request.into_body()).await?,
        None => {
            let body = request.into_body().collect().await?.to_bytes();
            let body_bytes = body.len() as u64;
            let _ = taken.first.set(body);
            body_bytes
        }
    };
    taken.requests.fetch_add(1, Ordering::Relaxed);
    taken.bytes.fetch_add(body_bytes, Ordering::Relaxed);
    let mut answer =
        Response::new(Full::new(json!({"requestId": id, "timestamp": 1_700_000_000_000_u64}).to_string().into()));
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// Posts the body and measures.
pub async fn post(post: Post) -> Fallible<()> {
    let body = Bytes::from(std::fs::read(&post.body)?);
    let each = (post.total_bytes / (body.len() as u64).max(1) / post.connections).max(1);
    let (started, before) = (Instant::now(), cpu_seconds(Some(std::process::id())));
    let connections: Vec<_> =
        (0..post.connections).map(|_| tokio::spawn(repeat(post.addr.clone(), body.clone(), each))).collect();
    for connection in connections {
        connection.await?.map_err(|error| error.to_string())?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu_s = cpu_seconds(Some(std::process::id())).zip(before).map(|(after, before)| after - before);
    let bytes = each * post.connections * body.len() as u64;
    println!("{}", json!({"seconds": seconds, "bytes": bytes, "requests": each * post.connections, "cpu_s": cpu_s}));
    Ok(())
}

async fn repeat(addr: String, body: Bytes, times: u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(&addr).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    for number in 0..times {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header("host", &addr)
            .header("content-type", "application/json")
            .header(REQUEST_ID, format!("{number:036}"))
            .body(Full::new(body.clone()))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        drain(answer.into_body()).await?;
        if status != StatusCode::OK {
            return Err(format!("the receiver answered {status}").into());
        }
    }
    drop(sender);
    Ok(connection.await??)
}
