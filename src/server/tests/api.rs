//! The API's routes.

use super::client::head;
use super::{api, api_with, options};
use crate::ingest::MAX_LINES_BYTES;
use crate::server::BodyLimits;
use serde_json::json;
use std::io::Write;
use std::time::Duration;

const ONE: &str = r#"{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}}"#;
const TWO: &str = r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":"Yg=="}]}"#;
const PUT: [(&str, &str); 1] = [("X-Amz-Target", "Firehose_20150804.PutRecord")];

#[tokio::test]
async fn puts_are_acknowledged_in_the_services_form() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut client = running.client().await;
    let reply = client.call("PutRecord", ONE).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/x-amz-json-1.1"));
    let id = reply.header("x-amzn-requestid").unwrap().to_owned();
    assert_eq!((id.len(), id.matches('-').count()), (36, 4));
    assert_eq!(reply.json()["RecordId"].as_str().unwrap().len(), 200);

    // The same connection again.
    let reply = client.call("PutRecordBatch", TWO).await;
    assert_eq!(reply.json()["FailedPutCount"], 0);
    assert_ne!(reply.header("x-amzn-requestid").unwrap(), id);
    assert_eq!(sink.records(), [b"a", b"a", b"b"]);
    running.stop().await;
}

#[tokio::test]
async fn refusals_keep_the_connection_and_bear_a_request_id() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut client = running.client().await;
    let cases = [
        ("PutRecord", r#"{"DeliveryStreamName":"nowhere","Record":{"Data":"YQ=="}}"#, "ResourceNotFoundException"),
        ("PutRecord", r#"{"DeliveryStreamName":"s","Record":{"Data":"YQ"}}"#, "SerializationException"),
        ("PutRecord", r#"{"DeliveryStreamName":"s"}"#, "ValidationException"),
        ("PutRecord", "", "SerializationException"),
        ("PutRecords", ONE, "UnknownOperationException"),
    ];
    for (operation, body, kind) in cases {
        let reply = client.call(operation, body).await;
        assert_eq!((reply.status, reply.kind().as_str()), (400, kind), "{operation} {body}");
        assert!(!reply.json()["message"].as_str().unwrap().is_empty());
        assert!(reply.header("x-amzn-requestid").is_some());
    }
    assert!(sink.records().is_empty());
    assert_eq!(client.call("PutRecord", ONE).await.status, 200);
}

#[tokio::test]
async fn targets_are_exact() {
    let (running, _) = api().await;
    let mut client = running.client().await;
    for target in ["PutRecord", "Kinesis_20131202.PutRecord", "Firehose_20150804.", "firehose_20150804.PutRecord"] {
        let reply = client.ask("POST", "/", &[("X-Amz-Target", target)], ONE.as_bytes()).await;
        assert_eq!((reply.status, reply.kind().as_str()), (400, "UnknownOperationException"), "{target}");
    }
    let reply = client.ask("POST", "/", &[], ONE.as_bytes()).await;
    assert!(reply.json()["message"].as_str().unwrap().contains("X-Amz-Target is missing"));
    let reply = client.call("ListDeliveryStreams", r#"{"Limit":1}"#).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"Limit": 1})));
}

#[tokio::test]
async fn people_with_curl_are_told_what_there_is() {
    let (running, streams) = api().await;
    streams.add("s");
    let mut client = running.client().await;
    for (method, path, status) in [
        ("GET", "/", 405),
        ("GET", "/streams/s/records", 405),
        ("POST", "/streams/s", 404),
        ("POST", "/streams//records", 404),
        ("POST", "/streams/s/x/records", 404),
        ("GET", "/metrics", 404),
    ] {
        let reply = client.ask(method, path, &[], b"").await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.json()["message"].as_str().unwrap().contains("/streams/{name}/records"));
        assert_eq!(reply.header("allow"), (status == 405).then_some("POST"));
    }
}

#[tokio::test]
async fn lines_are_records() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut client = running.client().await;
    let reply = client.ask("POST", "/streams/s/records", &[], b"a\n\nb").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"accepted": 2, "blank": 1, "failed": []})));
    assert_eq!(sink.records(), [b"a\n", b"b\n"]);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"c\n").unwrap();
    let gzip = gzip.finish().unwrap();
    let reply = client.ask("POST", "/streams/s/records", &[("Content-Encoding", "gzip")], &gzip).await;
    assert_eq!(reply.json()["accepted"], 1);

    let reply = client.ask("POST", "/streams/s/records", &[("Content-Encoding", "br")], b"x").await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (415, Some("UnsupportedContentEncoding")));
    let reply = client.ask("POST", "/streams/s/records", &[("Content-Encoding", "zstd")], &gzip).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("BadEncoding")));
    let reply = client.ask("POST", "/streams/nowhere/records", &[], b"x").await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("ResourceNotFoundException")));
    assert_eq!(sink.records().len(), 3);
}

#[tokio::test]
async fn a_bomb_is_refused_whole() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let lines = b"0123456789abcde\n".repeat(1 << 16);
    for _ in 0..17 {
        gzip.write_all(&lines).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    let mut client = running.client().await;
    let reply = client.ask("POST", "/streams/s/records", &[("Content-Encoding", "gzip")], &bomb).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (413, Some("TooLong")));
    assert!(reply.json()["message"].as_str().unwrap().contains("16777216"));

    let plain = vec![b'\n'; MAX_LINES_BYTES + 1];
    let reply = client.ask("POST", "/streams/s/records", &[], &plain).await;
    assert_eq!(reply.status, 413);
    let reply = client.ask("POST", "/streams/s/records", &[], &plain[1..]).await;
    assert_eq!(reply.json()["blank"], MAX_LINES_BYTES);
    assert!(sink.frames().is_empty());
}

#[tokio::test]
async fn bodies_over_the_cap_are_refused_and_the_client_sees_the_answer() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut client = running.client().await;
    let huge = vec![b' '; (8 << 20) + 1];
    let reply = client.call("PutRecordBatch", &huge).await;
    assert_eq!((reply.status, reply.kind().as_str()), (400, "InvalidArgumentException"));
    assert_eq!(reply.json()["message"], "Records size exceeds 4 MB limit");
    for operation in ["PutRecord", "CreateDeliveryStream"] {
        let reply = client.call(operation, &huge).await;
        assert_eq!((reply.status, reply.kind().as_str()), (400, "InvalidArgumentException"));
    }
    // Without a declared length it is found out on the way.
    client.send("POST / HTTP/1.1\r\nHost: t\r\nX-Amz-Target: Firehose_20150804.PutRecordBatch\r\n").await;
    client.send("Transfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..9 {
        client.send([b"100000\r\n", &huge[..1 << 20], b"\r\n"].concat()).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.reply().await.unwrap().json()["message"], "Records size exceeds 4 MB limit");
    assert_eq!(client.call("PutRecord", ONE).await.status, 200);
    assert_eq!(sink.records().len(), 1);
}

#[tokio::test]
async fn chunked_bodies_arrive_in_any_pieces() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut client = running.client().await;
    client.send("POST / HTTP/1.1\r\nHost: t\r\nX-Amz-Target: Firehose_20150804.PutRecordBatch\r\n").await;
    client.send("Transfer-Encoding: chunked\r\n\r\n").await;
    for byte in TWO.bytes() {
        client.send([b"1\r\n", &[byte][..], b"\r\n"].concat()).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.reply().await.unwrap().status, 200);
    assert_eq!(sink.records(), [b"a", b"b"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_puts_nothing() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    let mut client = running.client().await;
    client.send(head("POST", "/", &PUT, ONE.len() + 1)).await;
    client.send(ONE).await;
    client.finish().await;
    assert!(client.reply().await.is_none_or(|reply| reply.status == 400));
    running.stop().await;
    assert!(sink.records().is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let (short, never) = (Duration::from_millis(300), Duration::from_secs(86_400));
    for (time, stall_time) in [(short, never), (never, short)] {
        let limits = BodyLimits { time, stall_time, ..BodyLimits::default() };
        let (running, streams) = api_with(options(), 1000, limits).await;
        let sink = streams.add("s");
        let mut client = running.client().await;
        client.send(head("POST", "/", &PUT, 1000)).await;
        client.send(ONE).await;
        let reply = client.reply().await.unwrap();
        assert_eq!((reply.status, reply.kind().as_str()), (500, "ServiceUnavailableException"));
        assert!(reply.json()["message"].as_str().unwrap().contains("0.3 seconds"), "{}", reply.json());
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(client.reply().await.is_none());
        // Its share is free again.
        assert_eq!(running.client().await.call("PutRecord", ONE).await.status, 200);
        assert_eq!(sink.records().len(), 1);
    }
}

#[tokio::test]
async fn over_the_bound_requests_are_throttled_whole() {
    let (running, streams) = api_with(options(), 100, BodyLimits::default()).await;
    let sink = streams.add("s");
    sink.shut();
    let mut first = running.client().await;
    first.send(head("POST", "/", &PUT, ONE.len())).await;
    first.send(ONE).await;
    sink.reached().await;

    let mut second = running.client().await;
    let reply = second.call("PutRecordBatch", TWO).await;
    assert_eq!((reply.status, reply.kind().as_str()), (500, "ServiceUnavailableException"));
    assert_eq!(reply.json()["message"], "Slow down.");
    let reply = second.ask("POST", "/streams/s/records", &[], &[b'x'; 90]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));

    sink.open();
    assert_eq!(first.reply().await.unwrap().status, 200);
    assert_eq!(second.call("PutRecordBatch", TWO).await.status, 200);
    assert_eq!(sink.records(), [b"a", b"a", b"b"]);
}

#[tokio::test]
async fn operations_that_are_no_puts_have_a_bound_of_their_own() {
    let control = BodyLimits { control_room_bytes: 11, control_wait: Duration::ZERO, ..BodyLimits::default() };
    let (running, streams) = api_with(options(), 1000, control).await;
    streams.add("s");
    let headers = [("X-Amz-Target", "Firehose_20150804.ListDeliveryStreams"), ("Expect", "100-continue")];
    let mut first = running.client().await;
    first.send(head("POST", "/", &headers, 11)).await;
    // It has its share once it is told to go on.
    assert_eq!(first.reply().await.unwrap().status, 100);
    let mut second = running.client().await;
    let reply = second.call("ListDeliveryStreams", "{}").await;
    assert_eq!((reply.status, reply.kind().as_str()), (500, "ServiceUnavailableException"));
    assert_eq!(second.call("PutRecord", ONE).await.status, 200);

    first.send(r#"{"Limit":1}"#).await;
    assert_eq!(first.reply().await.unwrap().status, 200);
    assert_eq!(second.call("ListDeliveryStreams", "{}").await.status, 200);
}

#[tokio::test]
async fn a_definition_has_less_room_than_records() {
    let (running, _) = api().await;
    let mut client = running.client().await;
    let mut body = vec![b' '; 512 << 10];
    body[..2].copy_from_slice(b"{}");
    assert_eq!(client.call("ListDeliveryStreams", &body).await.status, 200);
    body.push(b' ');
    let reply = client.call("ListDeliveryStreams", &body).await;
    assert_eq!((reply.status, reply.kind().as_str()), (400, "InvalidArgumentException"));
    assert!(reply.json()["message"].as_str().unwrap().contains("524288"), "{}", reply.json());
}
