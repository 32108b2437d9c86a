//! The same faults with a whole service between the producer and the store: what was put, what stands in the objects
//! and what the ledger says must be one and the same.
//!
//! Each run of the stream makes two parcels: rows as Parquet, and error records of what is not JSON.

use super::proxy::{Fault, Proxy, Rule, When};
use super::scenario::{Scenario, Way, hand};
use super::upstream::{ACCESS_KEY, BUCKET, FOREIGN, SECRET_KEY, Upstream};
use hydrant::app::{App, AppOptions};
use hydrant::cli::dev::DevArgs;
use hydrant::destination::s3::S3Settings;
use hydrant::destination::s3::answer::Call;
use hydrant::telemetry::status::{Operations, StreamState, StreamStatus};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// Runs that are put, one after the other.
const RUNS: u64 = 3;
/// Good and bad records of a run; with their texts each kind makes an object of about three parts.
const GOOD: u64 = 60;
const BAD: u64 = 32;
const TEXT_BYTES: u64 = 2_000;
/// A busy machine keeps this easily.
const PATIENCE: Duration = Duration::from_secs(120);

const TABLE: &str = "CREATE EXTERNAL TABLE tests.rows (n bigint, text string)\n";

/// Counts the calls of a play without a fault.
pub async fn count_calls(way: Way, upstream: &Upstream, prefix: &str) -> HashMap<Call, usize> {
    let proxy = Proxy::start(upstream.addr, way.rules(), hand(upstream)).await;
    let status = run(way.settings(&proxy, None), prefix).await.unwrap();
    judge(upstream, prefix, &status, false).await.unwrap();
    [Call::Put, Call::Head, Call::List, Call::Create, Call::Part, Call::Complete, Call::Abort]
        .map(|call| (call, proxy.calls(call)))
        .into()
}

/// Plays a scenario; `Err` says what the judge found.
pub async fn play(scenario: Scenario, upstream: &Upstream, prefix: &str) -> Result<(), String> {
    let proxy = Proxy::start(upstream.addr, scenario.rules(), hand(upstream)).await;
    let status = run(scenario.way.settings(&proxy, Some(scenario.fault)), prefix).await?;
    if proxy.fired(scenario.call, scenario.fault) != 1 {
        return Err(format!("the fault was not reached ({} calls)", proxy.calls(scenario.call)));
    }
    if !proxy.all_arrived() {
        return Err("a late request never arrived".to_owned());
    }
    judge(upstream, prefix, &status, scenario.fault == Fault::Foreign).await
}

/// Puts all runs through a service, each delivered before the next; the status at the end. A stream that stops with a
/// fault ends it early.
async fn run(s3: S3Settings, prefix: &str) -> Result<StreamStatus, String> {
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).map_err(|error| error.to_string())?;
    std::fs::write(root.path().join("tests.rows.sql"), TABLE).map_err(|error| error.to_string())?;
    let app = App::start(options(root.path(), s3, prefix)).await.map_err(|error| error.to_string())?;
    let mut status = None;
    for run in 0..RUNS {
        post(app.api_url(), "/streams/rows/records", &body_of(run)).await;
        app.deliveries().flush("rows").map_err(|error| error.to_string())?;
        let found = settled(&app).await?;
        let stopped = found.state == StreamState::Faulted;
        status = Some(found);
        if stopped {
            break;
        }
    }
    app.stop().await;
    status.ok_or_else(|| "no run".to_owned())
}

fn options(root: &Path, s3: S3Settings, prefix: &str) -> AppOptions {
    let any = "127.0.0.1:0".parse().unwrap();
    let dev = DevArgs {
        data_dir: root.join("data"),
        api_addr: any,
        s3_addr: any,
        admin_addr: any,
        transforms_dir: root.to_owned(),
        schemas_dir: root.to_owned(),
        tls_cert: None,
        tls_key: None,
        insecure_bind: false,
        disk_budget: 1 << 30,
    };
    let mut options = AppOptions { embedded_s3: None, s3, streams: vec![definition(prefix)], ..dev.app_options() };
    options.delivery.backoff_first = Duration::from_millis(1);
    options.delivery.backoff_longest = Duration::from_millis(10);
    options.delivery.operator_pause = Duration::from_millis(10);
    options.delivery.stop_grace = Duration::from_millis(100);
    options
}

fn definition(prefix: &str) -> serde_json::Value {
    let role = "arn:aws:iam::000000000000:role/unused";
    serde_json::json!({
        "DeliveryStreamName": "rows",
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": role,
            "BucketARN": format!("arn:aws:s3:::{BUCKET}"),
            "Prefix": format!("{prefix}data/"),
            "ErrorOutputPrefix": format!("{prefix}error/"),
            "BufferingHints": { "SizeInMBs": 128, "IntervalInSeconds": 900 },
            "DataFormatConversionConfiguration": {
                "Enabled": true,
                "InputFormatConfiguration": { "Deserializer": { "OpenXJsonSerDe": {} } },
                "OutputFormatConfiguration": { "Serializer": { "ParquetSerDe": {} } },
                "SchemaConfiguration": { "RoleARN": role, "DatabaseName": "tests", "TableName": "rows" },
            },
        },
    })
}

/// Text that does not compress well, another one for each number.
fn text_of(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    (0..TEXT_BYTES).map(|_| random.alphanumeric()).collect()
}

fn body_of(run: u64) -> Vec<u8> {
    let first = run * (GOOD + BAD);
    let line = |number: u64| match number - first < GOOD {
        true => format!("{{\"n\":{number},\"text\":\"{}\"}}\n", text_of(number)),
        false => format!("bad {number} {}\n", text_of(number)),
    };
    (first..first + GOOD + BAD).map(line).collect::<String>().into_bytes()
}

/// Posts to a listener; panics unless the answer is a 200.
async fn post(url: &str, path: &str, body: &[u8]) {
    let host = url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Polls until `found` gives something.
async fn until<T, F>(what: &str, mut found: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(found) = found().await {
            return Ok(found);
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The status when nothing is in flight any more, or the stream stopped with a fault.
async fn settled(app: &App) -> Result<StreamStatus, String> {
    let ended = until("delivery", || {
        let status = app.deliveries().stream("rows");
        let ended = status.filter(|now| now.ledger.in_flight.records == 0 || now.state == StreamState::Faulted);
        std::future::ready(ended)
    });
    ended.await.map_err(|error| format!("{error}: {:?}", app.deliveries().stream("rows")))
}

/// Numbers in the objects under a prefix: of rows, and of error records. Foreign objects are left out, and counted.
async fn numbers(upstream: &Upstream, prefix: &str) -> (Vec<u64>, Vec<u64>, usize) {
    let (mut rows, mut errors, mut foreign) = (Vec::new(), Vec::new(), 0);
    for key in upstream.keys(prefix).await {
        let object = upstream.object(&key).await.unwrap();
        if object.bytes == FOREIGN {
            foreign += 1;
        } else if key.ends_with(".parquet") {
            let file = bytes::Bytes::from(object.bytes);
            let reader = SerializedFileReader::new(file).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                let row = row.unwrap();
                let (_, n) = row.get_column_iter().find(|(name, _)| *name == "n").unwrap();
                let Field::Long(n) = n else { panic!("n is {n}") };
                rows.push(*n as u64);
            }
        } else {
            for line in object.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let record: serde_json::Value = serde_json::from_slice(line).unwrap();
                let raw = base64_simd::STANDARD.decode_to_vec(record["rawData"].as_str().unwrap()).unwrap();
                let text = String::from_utf8(raw).unwrap();
                errors.push(text.split(' ').nth(1).unwrap().parse().unwrap());
            }
        }
    }
    (rows, errors, foreign)
}

async fn judge(upstream: &Upstream, prefix: &str, status: &StreamStatus, foreign: bool) -> Result<(), String> {
    let (mut rows, mut errors, foreign_objects) = numbers(upstream, prefix).await;
    rows.sort_unstable();
    errors.sort_unstable();
    let ledger = status.ledger;
    let sum = |count: fn(&hydrant::telemetry::status::Count) -> u64| {
        let out = [ledger.delivered, ledger.refused, ledger.dropped, ledger.discarded, ledger.in_flight];
        (count(&ledger.received), out.iter().map(count).sum::<u64>())
    };
    for (received, out) in [sum(|count| count.records), sum(|count| count.bytes)] {
        if received != out {
            return Err(format!("the ledger does not add up: {ledger:?}"));
        }
    }
    // Runs that were closed: all of them, unless a foreign object stopped the stream.
    let closed = (ledger.received.records - ledger.in_flight.records) / (GOOD + BAD);
    let stopped = status.state == StreamState::Faulted;
    if stopped != foreign || foreign_objects != usize::from(foreign) || (!foreign && closed != RUNS) {
        return Err(format!("{foreign_objects} foreign objects, {closed} runs closed: {status:?}"));
    }
    if (ledger.delivered.records, ledger.refused.records) != (closed * GOOD, closed * BAD) {
        return Err(format!("{closed} runs are closed, and the ledger says {ledger:?}"));
    }
    let of = |runs: u64, first: u64, count: u64| -> Vec<u64> {
        (0..runs).flat_map(|run| run * (GOOD + BAD) + first..run * (GOOD + BAD) + first + count).collect()
    };
    // Of the run that stopped, one parcel can be there already.
    let fits = |found: &[u64], first, count| {
        found == of(closed, first, count) || (stopped && found == of(closed + 1, first, count))
    };
    if !fits(&rows, 0, GOOD) || !fits(&errors, GOOD, BAD) {
        return Err(format!("{} rows and {} error records; the ledger says {ledger:?}", rows.len(), errors.len()));
    }
    match upstream.uploads(prefix).await {
        left if left.is_empty() => Ok(()),
        left => Err(format!("uploads left behind: {left:?}")),
    }
}

/// A service is killed while the store works on a Complete; the next one aborts what it finds, and delivers once.
pub async fn kill_in_an_upload(upstream: &Upstream) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("tests.rows.sql"), TABLE).unwrap();
    let rules = vec![Rule { call: Call::Complete, when: When::Nth(1), fault: Fault::SilentBefore }];
    let proxy = Proxy::start(upstream.addr, rules, hand(upstream)).await;
    let config = serde_json::json!({
        "version": 1,
        "data_dir": "data",
        "schemas_dir": ".",
        "api": { "addr": "127.0.0.1:0" },
        "admin": { "addr": "127.0.0.1:0" },
        "s3": {
            "endpoint": format!("http://{}", proxy.addr),
            "credentials": { "access_key_id": { "env": "KEY_ID" }, "secret_access_key": { "env": "KEY" } },
            "multipart_above": "40KB",
            "part_size": "40KB",
        },
        "streams": [definition("killed/")],
    });
    let path = root.path().join("hydrant.yaml");
    // JSON is YAML.
    std::fs::write(&path, config.to_string()).unwrap();
    let start = async || {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_hydrant"))
            .args(["--log", "error", "serve", "--config"])
            .arg(&path)
            .envs([("KEY_ID", ACCESS_KEY), ("KEY", SECRET_KEY)])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).await.unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        (child, ready["api"].as_str().unwrap().to_owned(), ready["admin"].as_str().unwrap().to_owned())
    };
    let (mut child, api, admin) = start().await;
    post(&api, "/streams/rows/records", &body_of(0)).await;
    post(&admin, "/streams/rows/flush", b"").await;
    let asked = || std::future::ready((proxy.fired(Call::Complete, Fault::SilentBefore) == 1).then_some(()));
    until("Complete", asked).await.unwrap();
    child.kill().await.unwrap();
    assert_eq!(upstream.uploads("killed/").await.len(), 1);
    assert_eq!(upstream.keys("killed/").await, Vec::<String>::new());

    let (mut child, ..) = start().await;
    until("delivery", || async {
        let done = upstream.keys("killed/").await.len() == 2 && upstream.uploads("killed/").await.is_empty();
        done.then_some(())
    })
    .await
    .unwrap();
    child.kill().await.unwrap();
    let (rows, errors, foreign) = numbers(upstream, "killed/").await;
    assert_eq!((rows, errors, foreign), ((0..GOOD).collect(), (GOOD..GOOD + BAD).collect(), 0));
}

/// A stream is deleted by force while the store works on a Complete: its upload goes with it.
pub async fn delete_in_an_upload(upstream: &Upstream) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("tests.rows.sql"), TABLE).unwrap();
    let rules = vec![Rule { call: Call::Complete, when: When::Always, fault: Fault::SilentBefore }];
    let proxy = Proxy::start(upstream.addr, rules, hand(upstream)).await;
    let s3 = S3Settings {
        multipart_above_bytes: Some(40_000),
        part_bytes: Some(40_000),
        ..super::upstream::settings(proxy.addr)
    };
    let mut options = options(root.path(), s3, "forced/");
    options.delivery.stop_grace = Duration::from_secs(60);
    let app = App::start(options).await.unwrap();
    post(app.api_url(), "/streams/rows/records", &body_of(0)).await;
    app.deliveries().flush("rows").unwrap();
    let asked = || std::future::ready((proxy.fired(Call::Complete, Fault::SilentBefore) == 1).then_some(()));
    until("Complete", asked).await.unwrap();
    assert_eq!(upstream.uploads("forced/").await.len(), 1);

    let request = br#"{"DeliveryStreamName": "rows", "AllowForceDelete": true}"#;
    app.control().handle("DeleteDeliveryStream", request).await.unwrap();
    let gone = || std::future::ready(app.deliveries().stream("rows").is_none().then_some(()));
    until("the deletion", gone).await.unwrap();
    assert_eq!(upstream.uploads("forced/").await, Vec::<String>::new());
    app.stop().await;
}
