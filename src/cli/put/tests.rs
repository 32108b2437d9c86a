//! Puts into the API over loopback, with streams in memory.

use super::sender::{Endpoint, Sender};
use super::{Failure, Summary, put_all};
use crate::cli::input::Chunks;
use crate::ingest::tests::double::Streams;
use crate::ingest::{Admission, AppendError, Ingest, MAX_RECORD_BYTES};
use crate::server::{Api, BodyLimits, ConnectionLimits, ControlPlane, Listener, ListenerOptions};
use crate::task::StopSource;
use crate::wire::ApiError;
use async_trait::async_trait;
use indicatif::ProgressBar;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

struct NoControl;

#[async_trait]
impl ControlPlane for NoControl {
    async fn handle(&self, operation: &str, _: &[u8]) -> Result<Vec<u8>, ApiError> {
        Err(ApiError::unknown_operation(operation))
    }
}

async fn serve() -> (String, Arc<Streams>, StopSource) {
    let streams = Arc::new(Streams::default());
    let ingest = Ingest::new(streams.clone(), Admission::new(64 << 20, Duration::ZERO), "000000000000");
    let listener = Listener::bind(ListenerOptions {
        name: "test",
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        insecure_bind: false,
        tls: None,
        limits: ConnectionLimits::default(),
    });
    let listener = listener.await.unwrap();
    let (url, stop) = (listener.url(), StopSource::new());
    let api = Api::new(ingest, Arc::new(NoControl), BodyLimits::default());
    tokio::spawn(listener.serve(Arc::new(api), stop.stop()));
    (url, streams, stop)
}

async fn put(url: &str, text: &[u8], retry_for: Duration) -> (Result<(), Failure>, Summary) {
    let mut sender = Sender::new(Endpoint::parse(url, None).unwrap(), "my_stream-1.x", retry_for);
    let mut summary = Summary::default();
    let done =
        put_all(Chunks::new(text, 1 << 20, MAX_RECORD_BYTES, false), &mut sender, &ProgressBar::hidden(), &mut summary)
            .await;
    sender.close().await;
    (done, summary)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lines_arrive_in_order_and_failures_bear_their_line_in_the_file() {
    let (url, streams, _stop) = serve().await;
    let sink = streams.add("my_stream-1.x");
    let mut text = Vec::new();
    let mut expected = Vec::new();
    for i in 0..30_000 {
        let line = format!("{{\"i\":{i},\"text\":\"{}\"}}\n", "x".repeat(i % 90));
        expected.push(line.clone().into_bytes());
        text.extend_from_slice(line.as_bytes());
    }
    text.extend_from_slice(b"\n\r\n");
    text.extend(std::iter::repeat_n(b'y', MAX_RECORD_BYTES));
    text.extend_from_slice(b"\nlast");
    expected.push(b"last\n".to_vec());
    let (done, summary) = put(&url, &text, Duration::ZERO).await;
    done.unwrap();
    assert_eq!(sink.records(), expected);
    assert_eq!((summary.accepted, summary.blank, summary.retries), (30_001, 2, 0));
    assert_eq!(summary.accepted_bytes, expected.iter().map(|record| record.len() as u64).sum::<u64>());
    assert_eq!(summary.failed.iter().map(|failed| failed.line).collect::<Vec<_>>(), [30_003]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn throttled_chunks_are_sent_again_and_refused_ones_are_not() {
    let (url, streams, _stop) = serve().await;
    let (done, summary) = put(&url, b"a\n", Duration::from_secs(600)).await;
    assert!(done.unwrap_err().to_string().contains("not found"), "unknown streams are no reason to wait");
    assert_eq!(summary, Summary::default());

    let sink = streams.add("my_stream-1.x");
    sink.refuse(Some(AppendError::NoRoom("full".to_owned())));
    let (done, _) = put(&url, b"a\n", Duration::ZERO).await;
    assert!(done.unwrap_err().to_string().contains("Slow down."));

    let putting = tokio::spawn({
        let url = url.clone();
        async move {
            let (done, summary) = put(&url, b"a\nb\n", Duration::from_secs(600)).await;
            done.unwrap();
            summary
        }
    });
    sink.refused(2).await;
    sink.refuse(None);
    let summary = putting.await.unwrap();
    assert!(summary.retries >= 1);
    assert_eq!(sink.records(), [b"a\n", b"b\n"]);
}

#[test]
fn endpoints_are_checked() {
    for (url, part) in [
        ("127.0.0.1:4573", "http"),
        ("ftp://h", "does not begin with http"),
        ("http://h/streams", "has a path"),
        ("https://h", "--cacert"),
    ] {
        let error = Endpoint::parse(url, None).err().unwrap().to_string();
        assert!(error.contains(part), "{url}: {error}");
    }
    assert!(Endpoint::parse("http://[::1]:4573/", None).is_ok());
}
