//! One put from body to answer, against a log in memory.

use super::double::Streams;
use crate::ingest::{Admission, AppendError, ContentEncoding, Ingest, LinesError};
use crate::telemetry::metrics::PutKind;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

struct Fixture {
    streams: Arc<Streams>,
    ingest: Ingest,
}

fn fixture() -> Fixture {
    let streams = Arc::new(Streams::default());
    let ingest = Ingest::new(streams.clone(), Admission::new(64 << 20, Duration::ZERO), "000000000000");
    Fixture { streams, ingest }
}

impl Fixture {
    async fn lines(&self, stream: &str, encoding: ContentEncoding, body: &[u8]) -> Result<Value, LinesError> {
        let admitted = self.ingest.admit(PutKind::Lines, body.len()).await?;
        let answer = self.ingest.put_lines(admitted, stream, encoding, Bytes::copy_from_slice(body)).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    async fn batch(&self, body: &str) -> Result<Value, crate::wire::ApiError> {
        let admitted = self.ingest.admit(PutKind::Batch, body.len()).await?;
        let answer = self.ingest.put_record_batch(admitted, Bytes::copy_from_slice(body.as_bytes())).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }
}

#[tokio::test]
async fn a_request_is_one_frame() {
    let fixture = fixture();
    let sink = fixture.streams.add("s");
    let answer =
        fixture.batch(r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":""},{"Data":"Yg=="}]}"#).await;
    assert_eq!(answer.unwrap()["RequestResponses"].as_array().unwrap().len(), 3);
    let answer = fixture.lines("s", ContentEncoding::Identity, b"x\n\r\ny").await.unwrap();
    assert_eq!(answer, json!({"accepted": 2, "blank": 1, "failed": []}));
    assert_eq!(sink.frames(), [vec![b"a".to_vec(), vec![], b"b".to_vec()], vec![b"x\n".to_vec(), b"y\n".to_vec()]]);
}

#[tokio::test]
async fn lines_may_be_compressed() {
    let fixture = fixture();
    let sink = fixture.streams.add("s");
    let zstd = zstd::stream::encode_all(&b"a\nb\n"[..], 1).unwrap();
    let answer = fixture.lines("s", ContentEncoding::Zstd, &zstd).await.unwrap();
    assert_eq!(answer["accepted"], 2);
    assert_eq!(sink.records(), [b"a\n", b"b\n"]);
    assert!(matches!(fixture.lines("s", ContentEncoding::Gzip, &zstd).await, Err(LinesError::BadEncoding(_))));
    assert_eq!(sink.records().len(), 2);
}

#[tokio::test]
async fn blank_lines_alone_make_no_frame() {
    let fixture = fixture();
    let sink = fixture.streams.add("s");
    let answer = fixture.lines("s", ContentEncoding::Identity, b"\n\r\n").await.unwrap();
    assert_eq!(answer, json!({"accepted": 0, "blank": 2, "failed": []}));
    assert!(sink.frames().is_empty());
}

#[tokio::test]
async fn a_stream_that_cannot_take_records_says_so_in_the_services_words() {
    const BODY: &str = r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="}]}"#;
    let fixture = fixture();
    let error = fixture.batch(BODY).await.unwrap_err();
    assert_eq!((error.status, error.kind), (400, "ResourceNotFoundException"));
    assert_eq!(error.message, "Firehose s under account 000000000000 not found.");

    let sink = fixture.streams.add("s");
    sink.refuse(Some(AppendError::NoRoom("disk".to_owned())));
    let error = fixture.batch(BODY).await.unwrap_err();
    assert_eq!((error.status, error.kind, error.message.as_str()), (500, "ServiceUnavailableException", "Slow down."));
    sink.refuse(Some(AppendError::Refusing));
    assert_eq!(fixture.batch(BODY).await.unwrap_err().kind, "ResourceNotFoundException");
    sink.refuse(Some(AppendError::Io("secret path".to_owned())));
    let error = fixture.batch(BODY).await.unwrap_err();
    assert_eq!((error.status, error.kind), (500, "ServiceUnavailableException"));
    assert!(!error.message.contains("secret path"));
    sink.refuse(None);
    sink.deactivate();
    assert_eq!(fixture.batch(BODY).await.unwrap_err().kind, "ResourceNotFoundException");
    assert!(sink.records().is_empty());
}

#[tokio::test]
async fn over_the_bound_a_request_is_throttled_whole() {
    let streams = Arc::new(Streams::default());
    let ingest = Ingest::new(streams, Admission::new(100, Duration::ZERO), "0");
    let first = ingest.admit(PutKind::Batch, 60).await.unwrap();
    let error = ingest.admit(PutKind::Batch, 60).await.unwrap_err();
    assert_eq!((error.status, error.message.as_str()), (500, "Slow down."));
    drop(first);
    ingest.admit(PutKind::Batch, 60).await.unwrap();
}
