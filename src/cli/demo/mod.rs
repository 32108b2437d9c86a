//! `hydrant demo`: the main job from a clean checkout, everything embedded.
//!
//! Starts the service, creates three streams through its API, feeds them for a few seconds, waits until everything is
//! delivered and shows what became of it. The exit code is 0 only if every record received has exactly one fate.

mod client;
mod feed;
mod report;

use super::dev::{BUCKET, DevArgs};
use crate::app::{App, StartError, embedded_s3_root};
use crate::clock::{Clock, SystemClock};
use crate::disk::{RealDisk, create_dir_durable, replace_file};
use crate::telemetry::status::Operations;
use client::{Client, ClientError};
use feed::Feed;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Records of a request.
const BATCH_RECORDS: usize = 500;
/// Most bytes of records in a request.
const BATCH_BYTES: usize = 3 << 20;
/// How long the demo waits for deliveries that do not come.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(120);
/// Lines of a given file from which its table is guessed.
const GUESS_LINES: usize = 5000;
/// Name of the transform, which is built into the binary for the demo.
const TRANSFORM: &str = "enrich";
/// The sample transform's component.
const TRANSFORM_WASM: &[u8] = include_bytes!("../../../transforms/enrich.wasm");

/// The three streams: name, what it shows.
const STREAMS: [(&str, &str); 3] = [
    ("demo-parquet", "JSON to Parquet"),
    ("demo-gzip", "as it came, gzip"),
    ("demo-transform", "WASM transform, gzip"),
];

/// Show the main job: put, batch, transform, Parquet, S3, with everything embedded.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant demo
  hydrant demo --input events.ndjson --keep

Exit code: 0 received = delivered + refused + dropped for every stream, 1 it is not, 2 it gave up.")]
pub struct DemoArgs {
    /// Feed the lines of this file instead of made-up events
    #[arg(long, value_name = "FILE.ndjson")]
    pub input: Option<PathBuf>,
    /// Stay up afterwards, so that the AWS CLI and SDKs can be tried
    #[arg(long)]
    pub keep: bool,
    /// Folder for everything that is kept [default: a new one in the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the API [default: 127.0.0.1:4573 with --keep, else a free port]
    #[arg(long, value_name = "ADDR")]
    pub api_addr: Option<SocketAddr>,
    /// Address of the embedded S3 [default: 127.0.0.1:4572 with --keep, else a free port]
    #[arg(long, value_name = "ADDR")]
    pub s3_addr: Option<SocketAddr>,
    /// Address of health, metrics and stream status [default: 127.0.0.1:4574 with --keep, else a free port]
    #[arg(long, value_name = "ADDR")]
    pub admin_addr: Option<SocketAddr>,
    /// How many events are made up for each stream
    #[arg(long, value_name = "N", default_value_t = 150_000)]
    pub events: u64,
}

/// Why a demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The service.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The API.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// Files.
    #[error("{what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// Nothing to send.
    #[error("{0} holds no line to send; give a file with a JSON object on each line")]
    Empty(PathBuf),
    /// No table can be guessed.
    #[error(
        "none of the first lines of {0} is a JSON object with a text, a number or a boolean in it, so there is no column \
         for the Parquet stream; give such a file (`hydrant put` sends lines of any kind)"
    )]
    NoColumns(PathBuf),
    /// The streams are there already.
    #[error("{0} holds the streams of an earlier demo; choose another --data-dir")]
    Used(PathBuf),
    /// Deliveries do not end.
    #[error("after {} s not everything was delivered; the log above says why", DELIVERY_PATIENCE.as_secs())]
    Stuck,
}

impl DemoArgs {
    /// Runs the demo.
    pub async fn run(self) -> ExitCode {
        match self.try_run().await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("hydrant: {error}");
                ExitCode::from(2)
            }
        }
    }

    async fn try_run(self) -> Result<bool, DemoError> {
        let data_dir = self.data_dir.clone().unwrap_or_else(fresh_folder);
        let left_out = self.prepare(&data_dir)?;
        let app = App::start(self.service(&data_dir).app_options()).await?;
        if STREAMS.iter().any(|(name, _)| app.deliveries().stream(name).is_some()) {
            app.stop().await;
            return Err(DemoError::Used(data_dir));
        }
        say!("Hydrant demo: API {}, S3 {}, data in {}", app.api_url(), s3_url(&app), data_dir.display());
        let mut client = Client::connect(app.api_url()).await?;
        for (name, shows) in STREAMS {
            client.call("CreateDeliveryStream", &definition(name)).await?;
            say!("  stream {name:<16} {shows}");
        }
        say_left_out(&left_out);
        self.feed(&mut client).await?;
        let delivered = wait_for_deliveries(&app).await;
        client.close().await;
        let good = report::print(&app, &embedded_s3_root(&data_dir), self.keep);
        if delivered.is_ok() && self.keep {
            say!("\nUp until Ctrl-C.");
            let _ = tokio::signal::ctrl_c().await;
        }
        app.stop().await;
        delivered?;
        Ok(good)
    }

    /// The embedded service: on its usual ports when it stays up, on free ones otherwise.
    fn service(&self, data_dir: &Path) -> DevArgs {
        let usual = |port: u16| SocketAddr::from(([127, 0, 0, 1], if self.keep { port } else { 0 }));
        DevArgs {
            data_dir: data_dir.to_owned(),
            api_addr: self.api_addr.unwrap_or(usual(4573)),
            s3_addr: self.s3_addr.unwrap_or(usual(4572)),
            admin_addr: self.admin_addr.unwrap_or(usual(4574)),
            transforms_dir: data_dir.join("transforms"),
            schemas_dir: data_dir.join("schemas"),
            tls_cert: None,
            tls_key: None,
            insecure_bind: false,
            disk_budget: 16 << 30,
        }
    }

    /// Puts table and transform where the service looks for them. Returns what of the input is no column, and why.
    fn prepare(&self, data_dir: &Path) -> Result<Vec<(String, &'static str)>, DemoError> {
        let (ddl, left_out) = match &self.input {
            Some(path) => {
                let io_error = |error| DemoError::Io { what: "cannot read", path: path.clone(), error };
                if Feed::file(path).and_then(|mut feed| feed.next_event()).map_err(io_error)?.is_none() {
                    return Err(DemoError::Empty(path.clone()));
                }
                let guess = feed::guess(path, GUESS_LINES).map_err(io_error)?;
                (guess.ddl.ok_or_else(|| DemoError::NoColumns(path.clone()))?, guess.left_out)
            }
            None => (feed::MADE_DDL.to_owned(), Vec::new()),
        };
        let files: [(PathBuf, &[u8]); 2] = [
            (data_dir.join("schemas/demo.events.sql"), ddl.as_bytes()),
            (data_dir.join("transforms").join(format!("{TRANSFORM}.wasm")), TRANSFORM_WASM),
        ];
        for (path, content) in files {
            let written = path.parent().map_or(Ok(()), |dir| create_dir_durable(&RealDisk, dir));
            written.and_then(|()| replace_file(&RealDisk, &path, content)).map_err(|error| DemoError::Io {
                what: "cannot write",
                path,
                error,
            })?;
        }
        Ok(left_out)
    }

    /// Sends the feed to all streams, with a progress bar.
    async fn feed(&self, client: &mut Client) -> Result<(), DemoError> {
        let (mut feed, total) = match &self.input {
            Some(path) => {
                let io_error = |error| DemoError::Io { what: "cannot read", path: path.clone(), error };
                let bytes = std::fs::metadata(path).map_err(io_error)?.len();
                (Feed::file(path).map_err(io_error)?, bytes)
            }
            None => (Feed::made(self.events, SystemClock::new().wall_ms()), self.events),
        };
        let template = if self.input.is_some() {
            "  put {bar:40} {bytes}/{total_bytes} {bytes_per_sec}"
        } else {
            "  put {bar:40} {human_pos}/{human_len} events {per_sec}"
        };
        let bar = ProgressBar::new(total);
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        loop {
            let (mut records, mut bytes) = (Vec::new(), 0);
            while records.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
                let event = feed.next_event().map_err(|error| DemoError::Io {
                    what: "cannot read",
                    path: self.input.clone().unwrap_or_default(),
                    error,
                })?;
                let Some(event) = event else { break };
                bytes += event.len();
                records.push(json!({ "Data": base64_simd::STANDARD.encode_to_string(&event) }));
            }
            if records.is_empty() {
                break;
            }
            let count = records.len() as u64;
            let records = Value::from(records);
            for (name, _) in STREAMS {
                client.call("PutRecordBatch", &json!({ "DeliveryStreamName": name, "Records": records })).await?;
            }
            bar.inc(if self.input.is_some() { bytes as u64 } else { count });
        }
        bar.finish();
        Ok(())
    }
}

/// Says which keys of the input the Parquet stream has no column for.
fn say_left_out(left_out: &[(String, &'static str)]) {
    const MOST_TOLD: usize = 20;
    if left_out.is_empty() {
        return;
    }
    say!("  left out of {}, whose table is guessed from the first {GUESS_LINES} lines:", STREAMS[0].0);
    for (name, why) in left_out.iter().take(MOST_TOLD) {
        say!("    {name:?}: {why}");
    }
    if left_out.len() > MOST_TOLD {
        say!("    and {} more", left_out.len() - MOST_TOLD);
    }
}

fn fresh_folder() -> PathBuf {
    std::env::temp_dir().join(format!("hydrant-demo-{}", std::process::id()))
}

fn s3_url(app: &App) -> String {
    app.s3_addr().map(|addr| format!("http://{addr}")).unwrap_or_default()
}

fn definition(name: &str) -> Value {
    const ROLE: &str = "arn:aws:iam::000000000000:role/demo";
    let mut destination = json!({
        "RoleARN": ROLE,
        "BucketARN": format!("arn:aws:s3:::{BUCKET}"),
        "Prefix": format!("{name}/"),
        "ErrorOutputPrefix": format!("{name}-errors/"),
        "BufferingHints": { "SizeInMBs": 16, "IntervalInSeconds": 2 },
    });
    if name == "demo-parquet" {
        destination["DataFormatConversionConfiguration"] = json!({
            "Enabled": true,
            "InputFormatConfiguration": { "Deserializer": { "OpenXJsonSerDe": {} } },
            "OutputFormatConfiguration": { "Serializer": { "ParquetSerDe": {} } },
            "SchemaConfiguration": { "RoleARN": ROLE, "DatabaseName": "demo", "TableName": "events" },
        });
    } else {
        destination["CompressionFormat"] = json!("GZIP");
    }
    if name == "demo-transform" {
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{TRANSFORM}");
        destination["ProcessingConfiguration"] = json!({
            "Enabled": true,
            "Processors": [{
                "Type": "Lambda",
                "Parameters": [{ "ParameterName": "LambdaArn", "ParameterValue": arn }],
            }],
        });
    }
    json!({ "DeliveryStreamName": name, "ExtendedS3DestinationConfiguration": destination })
}

/// Flushes all streams and waits until nothing is in flight.
async fn wait_for_deliveries(app: &App) -> Result<(), DemoError> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let clock = SystemClock::new();
    let began = clock.monotonic();
    for (name, _) in STREAMS {
        // The worker of a stream just created may not be there yet; its interval is short.
        let _ = app.deliveries().flush(name);
    }
    loop {
        let streams = app.deliveries().overview().streams;
        let in_flight: u64 = streams.iter().map(|s| s.ledger.in_flight.records).sum();
        if streams.len() == STREAMS.len() && in_flight == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        if clock.monotonic().saturating_sub(began) > DELIVERY_PATIENCE {
            bar.finish_and_clear();
            return Err(DemoError::Stuck);
        }
        bar.set_message(format!("waiting for delivery, {in_flight} records in flight"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
