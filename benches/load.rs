//! The load generator of `benches/run`: prepared PutRecordBatch bodies over kept connections, as cheap as a client gets.
//!
//! `put` sends and measures, `bare` is a hyper server that reads bodies and answers, `sync` measures a bare fdatasync,
//! `receive` and `post` are the ends of an HTTP endpoint (`load/forward.rs`). Each prints one JSON object. The CPU time of the
//! server is read from /proc, so the client's own does not mix with it.

#![allow(clippy::disallowed_methods, reason = "the bans of clippy.toml are about what serves")]

#[path = "load/forward.rs"]
mod forward;

use bytes::{Bytes, BytesMut};
use clap::{Parser, Subcommand};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(about = "Load generator of benches/run")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sends PutRecordBatch and measures.
    Put(Put),
    /// Serves as a hyper server that reads each body and answers as many bytes as Hydrant would.
    Bare,
    /// Appends blocks to a file, each with fdatasync.
    Sync {
        /// Where the file is put.
        #[arg(long)]
        dir: PathBuf,
        /// Bytes of a block.
        #[arg(long)]
        block_bytes: usize,
        /// Blocks.
        #[arg(long, default_value_t = 300)]
        count: usize,
    },
    /// Serves as an HTTP endpoint that takes everything.
    Receive,
    /// Posts a body over and over, and measures.
    Post(forward::Post),
}

#[derive(clap::Args)]
struct Put {
    /// host:port of the API.
    #[arg(long)]
    addr: String,
    /// Stream names are this text and a number from 0.
    #[arg(long, default_value = "bench-")]
    stream: String,
    /// Streams, taken in turn.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// File of records, one a line.
    #[arg(long)]
    records: PathBuf,
    /// Records of a request.
    #[arg(long, default_value_t = 500)]
    batch: usize,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Not measured at the start.
    #[arg(long, default_value_t = 1.0)]
    warm_up_s: f64,
    /// Measured; with --total-bytes, the most it may take.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Requests a second over all connections, due at even distances, however long they take; otherwise as many as there
    /// can be. One that goes out late is measured from when it was due.
    #[arg(long)]
    rate: Option<f64>,
    /// Ends when records of so many bytes are acknowledged, and measures from the start.
    #[arg(long)]
    total_bytes: Option<u64>,
    /// Process whose CPU time is measured.
    #[arg(long)]
    server_pid: Option<u32>,
}

fn main() -> Fallible<()> {
    let arguments = Arguments::parse();
    // One thread: the server under test has the rest of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command {
        Command::Put(put) => tokio::task::LocalSet::new().block_on(&runtime, run_put(put)),
        Command::Bare => tokio::runtime::Runtime::new()?.block_on(serve_bare()),
        Command::Receive => tokio::runtime::Runtime::new()?.block_on(forward::receive()),
        Command::Post(post) => tokio::runtime::Runtime::new()?.block_on(forward::post(post)),
        Command::Sync { dir, block_bytes, count } => measure_sync(dir, block_bytes, count),
    }
}

/// A body of two parts with a known length: the stream's name differs, the records are shared.
struct TwoParts(Option<Bytes>, Option<Bytes>);

impl Body for TwoParts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.0.take().or_else(|| self.1.take());
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none() && self.1.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(len(&self.0) + len(&self.1))
    }
}

/// The `Records` of a request, and their bytes before base64.
struct Prepared {
    tail: Bytes,
    record_bytes: u64,
    records: u64,
}

fn prepare(put: &Put) -> Fallible<Vec<Prepared>> {
    let content = std::fs::read(&put.records)?;
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let prepared: Vec<Prepared> = lines
        .chunks_exact(put.batch)
        .map(|chunk| {
            let mut tail = BytesMut::from(&b",\"Records\":["[..]);
            for (i, line) in chunk.iter().enumerate() {
                tail.extend_from_slice(if i == 0 { b"{\"Data\":\"" } else { b",{\"Data\":\"" });
                tail.extend_from_slice(base64_simd::STANDARD.encode_to_string(line).as_bytes());
                tail.extend_from_slice(b"\"}");
            }
            tail.extend_from_slice(b"]}");
            let record_bytes = chunk.iter().map(|line| line.len() as u64).sum();
            Prepared { tail: tail.freeze(), record_bytes, records: chunk.len() as u64 }
        })
        .collect();
    if prepared.is_empty() {
        return Err(format!("{} has fewer than {} lines", put.records.display(), put.batch).into());
    }
    Ok(prepared)
}

#[derive(Default)]
struct Counts {
    turn: AtomicU64,
    acked_bytes: AtomicU64,
    acked_records: AtomicU64,
    throttled: AtomicU64,
}

/// What all connections share.
struct Load {
    put: Put,
    prepared: Vec<Prepared>,
    counts: Counts,
    started: Instant,
    measure_from: Duration,
    end: Duration,
}

impl Load {
    fn measuring(&self) -> bool {
        self.started.elapsed() >= self.measure_from
    }

    /// Waits for what is due so many seconds after the start. When it is to be measured from: the timer may be late, which
    /// is not the server's affair; a connection that was still busy is.
    async fn due(&self, after_s: f64) -> Instant {
        let due = self.started + Duration::from_secs_f64(after_s);
        if Instant::now() >= due {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }

    fn over(&self) -> bool {
        let enough = self.put.total_bytes.is_some_and(|total| self.counts.acked_bytes.load(Ordering::Relaxed) >= total);
        enough || self.started.elapsed() >= self.end
    }
}

async fn run_put(put: Put) -> Fallible<()> {
    let prepared = prepare(&put)?;
    let warm_up_s = if put.total_bytes.is_some() { 0.0 } else { put.warm_up_s };
    let load = Rc::new(Load {
        measure_from: Duration::from_secs_f64(warm_up_s),
        end: Duration::from_secs_f64(warm_up_s + put.seconds),
        put,
        prepared,
        counts: Counts::default(),
        started: Instant::now(),
    });
    let connections: Vec<_> =
        (0..load.put.connections).map(|_| tokio::task::spawn_local(drive(load.clone()))).collect();
    tokio::time::sleep(load.measure_from.saturating_sub(load.started.elapsed())).await;
    let from = load.started.elapsed();
    let (cpu_before, own_before) = (cpu_seconds(load.put.server_pid), cpu_seconds(Some(std::process::id())));
    let mut latencies = Vec::new();
    for connection in connections {
        latencies.extend(connection.await?.map_err(|error| error.to_string())?);
    }
    let elapsed_s = (load.started.elapsed() - from).as_secs_f64();
    let cpu_s = cpu_seconds(load.put.server_pid).zip(cpu_before).map(|(after, before)| after - before);
    let own_s = cpu_seconds(Some(std::process::id())).zip(own_before).map(|(after, before)| after - before);
    latencies.sort_unstable();
    let bytes = load.counts.acked_bytes.load(Ordering::Relaxed);
    println!(
        "{}",
        json!({
            "seconds": elapsed_s,
            "requests": latencies.len(),
            "records": load.counts.acked_records.load(Ordering::Relaxed),
            "bytes": bytes,
            "mb_per_s": bytes as f64 / 1e6 / elapsed_s,
            "throttled": load.counts.throttled.load(Ordering::Relaxed),
            "server_cpu_s": cpu_s,
            "server_cpu_s_per_gb": cpu_s.map(|cpu| cpu / (bytes as f64 / 1e9)),
            "client_cpu_s": own_s,
            "p50_ms": at(&latencies, 0.50),
            "p99_ms": at(&latencies, 0.99),
            "max_ms": at(&latencies, 1.0),
        })
    );
    Ok(())
}

/// One connection: requests one after the other. Returns the latencies measured.
async fn drive(load: Rc<Load>) -> Result<Vec<Duration>, Box<dyn Error + Send + Sync>> {
    let mut latencies = Vec::new();
    let stream = TcpStream::connect(&load.put.addr).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::task::spawn_local(connection);
    while !load.over() {
        let turn = load.counts.turn.fetch_add(1, Ordering::Relaxed) as usize;
        let prepared = &load.prepared[turn % load.prepared.len()];
        let head = format!("{{\"DeliveryStreamName\":\"{}{}\"", load.put.stream, turn % load.put.streams);
        let request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header("host", &load.put.addr)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "Firehose_20150804.PutRecordBatch")
            .body(TwoParts(Some(head.into()), Some(prepared.tail.clone())))?;
        sender.ready().await?;
        let sent = match load.put.rate {
            None => Instant::now(),
            Some(rate) => load.due(turn as f64 / rate).await,
        };
        let measured = load.measuring();
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let length = drain(answer.into_body()).await?;
        if status == StatusCode::OK && length > 0 {
            if measured {
                latencies.push(sent.elapsed());
                load.counts.acked_bytes.fetch_add(prepared.record_bytes, Ordering::Relaxed);
                load.counts.acked_records.fetch_add(prepared.records, Ordering::Relaxed);
            }
        } else if status == StatusCode::INTERNAL_SERVER_ERROR {
            load.counts.throttled.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        } else {
            return Err(format!("the server answered {status}").into());
        }
    }
    drop(sender);
    connection.await??;
    Ok(latencies)
}

async fn drain(mut body: Incoming) -> Result<u64, hyper::Error> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(length)
}

fn at(sorted: &[Duration], share: f64) -> Option<f64> {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().checked_sub(1)?);
    Some(sorted[index].as_secs_f64() * 1e3)
}

/// User and system time of a process so far.
fn cpu_seconds(pid: Option<u32>) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid?)).ok()?;
    // The name in parentheses may hold anything; the fields after it are numbered from 3.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0) // USER_HZ is 100 on every Linux
}

/// Reads each body to its end and answers with as many bytes as an answer to 500 records has.
async fn serve_bare() -> Fallible<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({"addr": listener.local_addr()?.to_string(), "pid": std::process::id()}));
    std::io::stdout().flush()?;
    let answer = Bytes::from(vec![b'x'; 500 * 240]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    drain(request.into_body()).await?;
                    Ok::<_, hyper::Error>(Response::new(Full::new(answer)))
                }
            });
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        });
    }
}

fn measure_sync(dir: PathBuf, block_bytes: usize, count: usize) -> Fallible<()> {
    let path = dir.join("sync.bench");
    let mut file = File::create_new(&path)?;
    let block = vec![0x5a; block_bytes];
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        file.write_all(&block)?;
        let started = Instant::now();
        file.sync_data()?;
        latencies.push(started.elapsed());
    }
    std::fs::remove_file(&path)?;
    latencies.sort_unstable();
    println!(
        "{}",
        json!({"block_bytes": block_bytes, "count": count, "p50_ms": at(&latencies, 0.5), "p99_ms": at(&latencies, 0.99)})
    );
    Ok(())
}
