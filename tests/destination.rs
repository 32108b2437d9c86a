//! Destinations against the world outside: all of them by one suite (`conformance`), and the S3 destination against a
//! real server behind a faulty line.

#![allow(clippy::disallowed_methods, reason = "the bans of clippy.toml are about what serves")]

mod conformance;
mod faulty_s3;

use faulty_s3::proxy::{Fault, Proxy, Rule, When};
use faulty_s3::scenario::{PARCELS, PARTS, Scenario, Way, consignment, deliver, expected, hand};
use faulty_s3::upstream::{ACCESS_KEY, BUCKET, FOREIGN, SECRET_KEY, Upstream, destination, put_foreign, settings};
use faulty_s3::{matrix, service};
use hydrant::destination::s3::answer::Call;
use hydrant::destination::s3::{ChecksumCalculation, Credentials, S3Settings, Secret};
use hydrant::destination::{Destination, Guarantee};
use hydrant::fault::Retry;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_keeps_the_contract_of_destinations() {
    conformance::suite(&conformance::s3::S3::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_endpoints_keep_the_contract_of_destinations() {
    conformance::suite(&conformance::http::Http::start().await).await;
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_no_delivery_and_ends_the_request() {
    conformance::early::answers_end_requests().await;
}

#[tokio::test]
async fn an_endpoint_that_answers_and_takes_nothing_more_loses_its_connection() {
    conformance::early::connections_do_not_stay().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redshift_keeps_the_contract_of_destinations() {
    conformance::suite(&conformance::redshift::Redshift::start().await).await;
}

#[tokio::test]
async fn a_load_goes_another_way_only_where_it_may() {
    conformance::clusters::loads_go_another_way().await;
}

#[tokio::test]
async fn what_a_cluster_says_at_the_end_of_a_session_is_told() {
    conformance::clusters::last_words_are_told().await;
}

#[tokio::test]
async fn what_ended_a_connection_to_a_cluster_is_told() {
    conformance::clusters::what_ended_a_connection_is_told().await;
}

#[tokio::test]
async fn what_a_cluster_says_beside_its_answers_shows_no_record_and_no_password() {
    conformance::clusters::notices_show_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_call_leaves_each_parcel_there_exactly_once() {
    let upstream = Arc::new(Upstream::start().await);
    let parcels = PARCELS as usize;
    let parts = parcels * PARTS as usize;
    let all = matrix::scenarios(&[
        (Way::Put, Call::Put, parcels),
        (Way::PutReplyLost, Call::Head, parcels),
        (Way::Parts, Call::List, parcels),
        (Way::Parts, Call::Abort, parcels),
        (Way::Parts, Call::Head, parcels),
        (Way::Parts, Call::Create, parcels),
        (Way::Parts, Call::Part, parts),
        (Way::Parts, Call::Complete, parcels),
    ]);
    let play = |scenario: Scenario, prefix: String| {
        let upstream = upstream.clone();
        async move { scenario.play(&upstream, &prefix).await }
    };
    matrix::play_all("faulty S3, destination", all, play).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_call_leaves_the_ledger_of_the_service_exact() {
    let upstream = Arc::new(Upstream::start().await);
    let mut calls = Vec::new();
    for (way, of_interest) in [
        (Way::Put, &[Call::Put][..]),
        (Way::PutReplyLost, &[Call::Head]),
        (Way::Parts, &[Call::List, Call::Head, Call::Create, Call::Part, Call::Complete]),
        (Way::PartsReplyLost, &[Call::Abort]),
    ] {
        let counted = service::count_calls(way, &upstream, &format!("clean-{way:?}/")).await;
        for call in of_interest {
            assert!(counted[call] >= 3, "{way:?}: {counted:?}");
            calls.push((way, *call, counted[call]));
        }
    }
    let play = |scenario: Scenario, prefix: String| {
        let upstream = upstream.clone();
        async move { service::play(scenario, &upstream, &prefix).await }
    };
    matrix::play_all("faulty S3, service", matrix::scenarios(&calls), play).await;
}

#[tokio::test]
async fn uploads_of_a_killed_service_are_aborted_at_its_next_start() {
    service::kill_in_an_upload(&Upstream::start().await).await;
}

#[tokio::test]
async fn uploads_of_a_stream_that_is_deleted_by_force_are_aborted() {
    service::delete_in_an_upload(&Upstream::start().await).await;
}

#[tokio::test]
async fn who_neither_lists_nor_aborts_gets_its_parcels_all_the_same() {
    let upstream = Upstream::start().await;
    let broken = |call| Rule { call, when: When::Always, fault: Fault::Answer(500, "InternalError") };
    for (calls, left) in [(&[Call::List, Call::Abort][..], 2), (&[Call::Abort], 2), (&[Call::List], 1)] {
        let mut rules: Vec<Rule> = calls.iter().copied().map(broken).collect();
        // The object is found by HEAD, and what the destination takes for an upload of its own is to be aborted.
        rules.push(Rule { call: Call::Complete, when: When::Nth(1), fault: Fault::ReplyLost });
        // The first attempt fails, and its upload is to be aborted.
        rules.push(Rule { call: Call::Part, when: When::Nth(1), fault: Fault::ResetBefore });
        let proxy = Proxy::start(upstream.addr, rules, hand(&upstream)).await;
        let destination = destination(S3Settings { multipart_above_bytes: Some(1000), ..settings(proxy.addr) });
        let parcel = consignment(format!("{calls:?}/k"), 0, vec![9; 5000]);
        upstream.leave_upload(&parcel.parcel.key).await;
        assert_eq!(deliver(&destination, &parcel).await.unwrap(), 2, "{calls:?}");
        assert_eq!(upstream.object(&parcel.parcel.key).await, Some(expected(&parcel)));
        assert_eq!(upstream.uploads(&parcel.parcel.key).await.len(), left, "{calls:?}");
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_keeps_equal_bytes() {
    let upstream = Upstream::start().await;
    for (call, threshold) in [(Call::Put, u64::MAX), (Call::Complete, 10)] {
        let rules = vec![
            Rule { call, when: When::Nth(1), fault: Fault::ReplyLost },
            Rule { call, when: When::Always, fault: Fault::Unconditional },
        ];
        let proxy = Proxy::start(upstream.addr, rules, hand(&upstream)).await;
        let destination = destination(S3Settings { multipart_above_bytes: Some(threshold), ..settings(proxy.addr) });
        let parcel = consignment(format!("{call:?}"), 0, vec![7; 100_000]);
        deliver(&destination, &parcel).await.unwrap();
        // Once more, as after a crash between the last byte and the close.
        deliver(&destination, &parcel).await.unwrap();
        assert_eq!(upstream.object(&parcel.parcel.key).await, Some(expected(&parcel)));
        assert!(upstream.uploads("").await.is_empty());
    }
    assert_eq!(upstream.keys("").await.len(), 2);
}

#[tokio::test]
async fn without_conditions_a_key_is_looked_at_before_it_is_written() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.addr, Vec::new(), hand(&upstream)).await;
    let destination = destination(S3Settings { create_only: Some(false), ..settings(proxy.addr) });
    let parcel = consignment("mine".to_owned(), 0, vec![1; 1000]);
    deliver(&destination, &parcel).await.unwrap();
    deliver(&destination, &parcel).await.unwrap();
    let puts = proxy.requests(Call::Put);
    assert_eq!(puts.len(), 1, "the second attempt found it");
    assert_eq!(puts[0].header("if-none-match"), None);

    put_foreign(&upstream.client, "theirs").await;
    let error = deliver(&destination, &consignment("theirs".to_owned(), 1, vec![1; 1000])).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry), ("S3.ForeignObject", Retry::Never));
    assert_eq!(upstream.object("theirs").await.unwrap().bytes, FOREIGN);
    let counts = destination.counts();
    assert_eq!((counts.clean, counts.found, counts.failed), (1, 1, 1));
}

#[tokio::test]
async fn who_may_only_write_delivers_all_the_same() {
    let upstream = Upstream::start().await;
    let forbidden = |call| Rule { call, when: When::Always, fault: Fault::Answer(403, "AccessDenied") };
    let mut rules: Vec<Rule> = [Call::Head, Call::List, Call::Abort].map(forbidden).to_vec();
    rules.push(Rule { call: Call::Put, when: When::Nth(1), fault: Fault::ReplyLost });
    rules.push(Rule { call: Call::Complete, when: When::Nth(1), fault: Fault::ReplyLost });
    let proxy = Proxy::start(upstream.addr, rules, hand(&upstream)).await;
    let destination = destination(S3Settings { multipart_above_bytes: Some(1000), ..settings(proxy.addr) });
    for length_bytes in [1000, 1001] {
        let parcel = consignment(format!("{length_bytes}"), 0, vec![9; length_bytes]);
        assert_eq!(deliver(&destination, &parcel).await.unwrap(), 2);
        assert_eq!(upstream.object(&parcel.parcel.key).await, Some(expected(&parcel)));
    }
    assert_eq!(destination.counts().assumed, 2, "412, and the object may not be seen");
}

/// A metric of this process, which other tests move as well: upwards only.
fn metric(sample: &str) -> u64 {
    let text = hydrant::telemetry::exposition::render(&Default::default());
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not exported")).parse().unwrap()
}

#[tokio::test]
async fn outcomes_are_exported_as_metrics() {
    let upstream = Upstream::start().await;
    let rules = vec![
        Rule { call: Call::Put, when: When::Nth(1), fault: Fault::Answer(503, "SlowDown") },
        Rule { call: Call::Put, when: When::Nth(3), fault: Fault::ReplyLost },
    ];
    let proxy = Proxy::start(upstream.addr, rules, hand(&upstream)).await;
    let destination = destination(S3Settings { multipart_above_bytes: Some(1000), ..settings(proxy.addr) });
    let outcomes = ["clean", "found", "failed"];
    let samples = outcomes.map(|outcome| format!("hydrant_s3_deliveries_total{{outcome=\"{outcome}\"}}"));
    let aborted = || metric("hydrant_s3_uploads_aborted_total");
    let before = (samples.clone().map(|sample| metric(&sample)), aborted());
    for (number, length_bytes) in [(0, 10), (1, 20), (2, 2000)] {
        let parcel = consignment(format!("metric/{number}"), number, vec![1; length_bytes]);
        if length_bytes > 1000 {
            upstream.leave_upload(&parcel.parcel.key).await;
        }
        deliver(&destination, &parcel).await.unwrap();
    }
    let counts = destination.counts();
    let expected = [counts.clean, counts.found, counts.failed];
    assert!(expected.iter().all(|count| *count > 0) && counts.uploads_aborted == 1, "{counts:?}");
    for (i, sample) in samples.iter().enumerate() {
        assert!(metric(sample) >= before.0[i] + expected[i], "{sample}");
    }
    assert!(aborted() > before.1);
}

#[tokio::test]
async fn headers_are_those_that_old_and_new_stores_take() {
    let upstream = Upstream::start().await;
    for (calculation, threshold) in [
        (ChecksumCalculation::WhenSupported, u64::MAX),
        (ChecksumCalculation::WhenRequired, u64::MAX),
        (ChecksumCalculation::WhenSupported, 1000),
        (ChecksumCalculation::WhenRequired, 1000),
    ] {
        let proxy = Proxy::start(upstream.addr, Vec::new(), hand(&upstream)).await;
        let destination = destination(S3Settings {
            request_checksum_calculation: Some(calculation),
            multipart_above_bytes: Some(threshold),
            part_bytes: Some(4000),
            ..settings(proxy.addr)
        });
        let parcel = consignment(format!("{calculation:?}/{threshold}"), 0, (0..=255).cycle().take(9000).collect());
        assert_eq!(deliver(&destination, &parcel).await.unwrap(), 1);
        assert_eq!(upstream.object(&parcel.parcel.key).await, Some(expected(&parcel)));

        let bodies = [proxy.requests(Call::Put), proxy.requests(Call::Part)].concat();
        assert_eq!(bodies.len(), if threshold == 1000 { 3 } else { 1 });
        for request in &bodies {
            assert_eq!(request.header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"), "{request:?}");
            assert_eq!(
                request.header("x-amz-checksum-crc32c").is_some(),
                calculation == ChecksumCalculation::WhenSupported,
                "{request:?}"
            );
            for absent in ["x-amz-trailer", "x-amz-decoded-content-length", "transfer-encoding", "x-amz-checksum-crc32"]
            {
                assert_eq!(request.header(absent), None, "{absent}");
            }
        }
        let conditional = [proxy.requests(Call::Put), proxy.requests(Call::Complete)].concat();
        assert!(conditional.iter().all(|request| request.header("if-none-match") == Some("*")), "{conditional:?}");
    }
}

#[tokio::test]
async fn mended_settings_free_a_waiting_parcel() {
    let upstream = Upstream::start().await;
    let parcel = consignment("mended".to_owned(), 0, vec![3; 5000]);
    let wrong = S3Settings { credentials: Some(Credentials::fixed(ACCESS_KEY, "wrong")), ..settings(upstream.addr) };
    let destination = destination(wrong);
    assert_eq!(destination.guarantee(), Guarantee::ExactlyOnce);
    let error = destination.deliver(&parcel).await.unwrap_err();
    assert_eq!(error.retry, Retry::AfterOperator, "{error}");

    // Keys for this bucket alone.
    let mut mended = settings(upstream.addr);
    let right = mended.credentials.replace(Credentials::fixed(ACCESS_KEY, "wrong"));
    mended.buckets.insert(BUCKET.to_owned(), S3Settings { credentials: right, ..S3Settings::default() });
    destination.change(mended);
    destination.deliver(&parcel).await.unwrap();
    assert_eq!(upstream.object("mended").await, Some(expected(&parcel)));

    // A bucket that is not there waits for the operator too.
    let mut elsewhere = consignment("mended".to_owned(), 1, vec![3; 5000]);
    elsewhere.parcel.bucket = "missing".to_owned();
    destination.change(settings(upstream.addr));
    let error = destination.deliver(&elsewhere).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry), ("S3.NoSuchBucket", Retry::AfterOperator), "{error}");
}

#[tokio::test]
async fn what_was_damaged_on_disk_is_not_delivered() {
    let upstream = Upstream::start().await;
    for (threshold, parts) in [(u64::MAX, 1), (1000, 3)] {
        let destination = destination(S3Settings {
            multipart_above_bytes: Some(threshold),
            part_bytes: Some(4000),
            ..settings(upstream.addr)
        });
        let mut parcel = consignment(format!("damaged/{parts}"), 0, vec![5; 9000]);
        parcel.parcel.crc32c ^= 1;
        let error = deliver(&destination, &parcel).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retry), ("Outbox.Damaged", Retry::Never), "{error}");
        parcel.parcel.length_bytes += 1;
        assert_eq!(deliver(&destination, &parcel).await.unwrap_err().code, "Outbox.Damaged");
    }
    assert!(upstream.keys("").await.is_empty() && upstream.uploads("").await.is_empty());
}

#[tokio::test]
async fn nothing_listens_is_tried_again() {
    // Bound, so that nobody else gets it.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let destination = destination(settings(socket.local_addr().unwrap().as_socket().unwrap()));
    let error = destination.deliver(&consignment("k".to_owned(), 0, vec![1])).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry), ("S3.ConnectionFailed", Retry::Backoff), "{error}");
}

#[tokio::test]
async fn a_store_that_takes_no_bytes_is_left() {
    // Connections are made by the kernel; nobody reads from them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let destination =
        destination(S3Settings { stall_timeout_ms: Some(300), ..settings(listener.local_addr().unwrap()) });
    let parcel = consignment("k".to_owned(), 0, vec![1; 32 << 20]);
    let error = destination.deliver(&parcel).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry), ("S3.NoAnswer", Retry::Backoff), "{error}");
    assert!(error.message.contains("throughput"), "{error}");
}

/// Everything that is logged, in memory.
#[derive(Clone, Default)]
struct Captured(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_in_no_log_and_no_text() {
    let upstream = Upstream::start().await;
    let rules = vec![Rule { call: Call::Put, when: When::Nth(2), fault: Fault::Answer(403, "InvalidAccessKeyId") }];
    let proxy = Proxy::start(upstream.addr, rules, hand(&upstream)).await;
    let log = Captured::default();
    let writer = log.clone();
    // With a single subscriber alive, a line first met by the thread of another test would be switched off for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let destination = destination(settings(proxy.addr));
    let mut texts = Vec::new();
    let token = "token-of-a-session-0123456789";
    for number in 0..4 {
        if number == 3 {
            // The embedded store does not know tokens; what is refused is logged more than what is not.
            let mut temporary = settings(proxy.addr);
            if let Some(keys) = &mut temporary.credentials {
                keys.session_token = Some(Secret::text(token));
            }
            destination.change(temporary);
        }
        let parcel = consignment(format!("logged/{number}"), number, vec![1; 300_000]);
        if let Err(error) = destination.deliver(&parcel).await {
            texts.push(format!("{error} {error:?}"));
        }
    }
    assert!(!texts.is_empty());
    texts.push(format!("{destination:?}"));
    let logged = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(logged.contains("hydrant") && logged.len() > 1000, "the log was not captured");
    texts.push(logged);
    for text in texts {
        for secret in [SECRET_KEY, token] {
            let shown = text.lines().find(|line| line.contains(secret));
            assert!(shown.is_none(), "a secret is shown: {shown:?}");
        }
    }
}

/// The other half of the test below, which runs it in a process with another environment; by itself it does nothing.
#[tokio::test]
async fn half_deliver_through_a_proxy() {
    let Ok(endpoint) = std::env::var("HALF_ENDPOINT") else { return };
    let destination = destination(S3Settings { endpoint: Some(endpoint), ..settings("127.0.0.1:1".parse().unwrap()) });
    let error = destination.deliver(&consignment("k".to_owned(), 0, vec![1])).await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff, "{error}");
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    use std::io::{BufRead, BufReader};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let half = |endpoint: &str, no_proxy: &str| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        for name in ["HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy", "no_proxy"] {
            command.env_remove(name);
        }
        command
            .args(["--exact", "half_deliver_through_a_proxy"])
            .env("HALF_ENDPOINT", endpoint)
            .env("HTTPS_PROXY", &proxy)
            .env("NO_PROXY", no_proxy)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut half_with = half("https://store.invalid:9", "");
    let (connection, _) = listener.accept().unwrap();
    let mut asked = String::new();
    BufReader::new(&connection).read_line(&mut asked).unwrap();
    drop(connection);
    assert!(half_with.wait().unwrap().success());
    assert_eq!(asked, "CONNECT store.invalid:9 HTTP/1.1\r\n");

    listener.set_nonblocking(true).unwrap();
    assert!(half("https://127.0.0.1:9", "127.0.0.1").wait().unwrap().success());
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "NO_PROXY was not honoured");
}
