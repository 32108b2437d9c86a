//! Connections: time-outs, bad HTTP, the stop.

use super::client::head;
use super::{api, api_with, options};
use crate::server::{BodyLimits, ConnectionLimits, ListenError, Listener, ListenerOptions};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

const ONE: &str = r#"{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}}"#;
const PUT: [(&str, &str); 1] = [("X-Amz-Target", "Firehose_20150804.PutRecord")];

#[tokio::test]
async fn slow_headers_and_idle_connections_are_closed() {
    let limits = ConnectionLimits { header_time: Duration::from_millis(300), ..ConnectionLimits::default() };
    let (running, _) = api_with(ListenerOptions { limits, ..options() }, 1000, BodyLimits::default()).await;
    let slow = async {
        let mut client = running.client().await;
        client.send("POST / HTTP/1.1\r\nHost: t\r\nX-Amz-").await;
        assert!(client.reply().await.is_none_or(|reply| reply.status == 408));
    };
    let silent = async { assert!(running.client().await.reply().await.is_none()) };
    let idle = async {
        let mut client = running.client().await;
        assert_eq!(client.call("ListDeliveryStreams", "{}").await.status, 200);
        assert!(client.reply().await.is_none());
    };
    tokio::join!(slow, silent, idle);
}

#[tokio::test]
async fn headers_are_bounded_and_nonsense_is_refused() {
    let (running, _) = api().await;
    let mut client = running.client().await;
    let long = "x".repeat(70 * 1024);
    client.send(head("POST", "/", &[("X-Long", &long)], 0)).await;
    assert_eq!(client.reply().await.unwrap().status, 431);
    let many: Vec<_> = (0..200).map(|i| (format!("X-{i}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut client = running.client().await;
    client.send(head("POST", "/", &many, 0)).await;
    assert_eq!(client.reply().await.unwrap().status, 431);
    let mut client = running.client().await;
    client.send("\x16\x03\x01\x02\x00nonsense\r\n\r\n").await;
    assert_eq!(client.reply().await.unwrap().status, 400);
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let (running, streams) = api().await;
    let sink = streams.add("s");
    sink.shut();
    let mut idle = running.client().await;
    assert_eq!(idle.call("ListDeliveryStreams", "{}").await.status, 200);
    let mut client = running.client().await;
    client.send(head("POST", "/", &PUT, ONE.len())).await;
    client.send(ONE).await;
    sink.reached().await;

    running.stop.ask();
    assert!(idle.reply().await.is_none(), "an idle connection closes at once");
    assert!(!running.served.is_finished());
    sink.open();
    assert_eq!(client.reply().await.unwrap().status, 200);
    assert!(client.reply().await.is_none());
    let addr = running.addr;
    running.stop().await;
    assert_eq!(sink.records().len(), 1);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_request_that_hangs_does_not_hold_the_stop_up_for_ever() {
    let limits = ConnectionLimits { stop_grace: Duration::from_millis(20), ..ConnectionLimits::default() };
    let (running, streams) = api_with(ListenerOptions { limits, ..options() }, 1000, BodyLimits::default()).await;
    let sink = streams.add("s");
    sink.shut();
    let mut client = running.client().await;
    client.send(head("POST", "/", &PUT, ONE.len())).await;
    client.send(ONE).await;
    sink.reached().await;
    running.stop().await;
    assert!(client.reply().await.is_none());
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let limits = ConnectionLimits { connections: 1, ..ConnectionLimits::default() };
    let (running, _) = api_with(ListenerOptions { limits, ..options() }, 1000, BodyLimits::default()).await;
    let mut first = running.client().await;
    assert_eq!(first.call("ListDeliveryStreams", "{}").await.status, 200);
    let mut second = running.client().await;
    second.send(head("POST", "/", &[("X-Amz-Target", "Firehose_20150804.ListDeliveryStreams")], 2)).await;
    second.send("{}").await;
    assert_eq!(first.call("ListDeliveryStreams", "{}").await.status, 200);
    drop(first);
    assert_eq!(second.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn only_loopback_is_bound_without_insisting() {
    let everywhere = ListenerOptions { addr: SocketAddr::from(([0, 0, 0, 0], 0)), ..options() };
    let error = Listener::bind(everywhere).await.unwrap_err();
    assert!(matches!(error, ListenError::NotLoopback { .. }));
    assert!(error.to_string().contains("--insecure-bind"));
    let taken = Listener::bind(options()).await.unwrap();
    let error = Listener::bind(ListenerOptions { addr: taken.addr(), ..options() }).await.unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let limits =
        ConnectionLimits { connections: 1, stall_time: Duration::from_millis(100), ..ConnectionLimits::default() };
    let (running, _) = api_with(ListenerOptions { limits, ..options() }, 1000, BodyLimits::default()).await;
    let echoed = vec![b' '; 256 << 10];
    let list = [("X-Amz-Target", "Firehose_20150804.ListDeliveryStreams")];
    let mut deaf = running.client().await;
    // Answers beyond what the system buffers; sending stops when the server no longer reads.
    let request = [head("POST", "/", &list, echoed.len()).as_bytes(), &echoed].concat();
    let sending = deaf.send_for_ever(&request);
    // There is room for one connection: this one is served when the other is gone.
    let mut next = running.client().await;
    let served = async { next.call("ListDeliveryStreams", "{}").await.status };
    let (status, ()) = tokio::join!(served, sending);
    assert_eq!(status, 200);
}
