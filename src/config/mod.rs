//! The configuration file of `hydrant serve` and `hydrant check`.
//!
//! From: a YAML file. To: `app` (a [`Config`]) and `cli` (problems, to print). In between, in this order: `node` (the
//! file as a tree that knows its lines), `section` (reading members, noting what is wrong), `top`, `s3`, `http`,
//! `redshift`, `glue` and `streams` (what the members mean); `lines` finds the line of a problem that was told without one.
//!
//! Invariants: every problem found is reported, with its line, not only the first; an unknown key is a problem; a secret
//! is `{env: NAME}` or `{file: PATH}` and is never part of a problem's text. Relative paths start at the file's folder.

mod checks;
mod glue;
mod http;
mod lines;
mod node;
#[cfg(test)]
mod page_tests;
mod problem;
mod redshift;
mod s3;
mod section;
mod streams;
#[cfg(test)]
mod tests;
mod top;
mod units;

pub use glue::GlueSection;
pub use http::HttpSection;
pub use problem::Problem;
pub use units::size;

use crate::control::Rules;
use crate::destination::redshift::RedshiftSettings;
use crate::destination::s3::S3Settings;
use crate::telemetry::logging::LogFormat;
use crate::wire::Compatibility;
use problem::Problems;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's form; the member `version`.
pub const VERSION: u64 = 1;
/// The smallest disk budget with which records still fit beside what deliveries need.
pub const DISK_BUDGET_LEAST_BYTES: u64 = 16 << 20;

/// A whole configuration, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Folder of log, journal, catalog and outbox.
    pub data_dir: PathBuf,
    /// Account id in ARNs and messages.
    pub account_id: String,
    /// Region in ARNs, and for SigV4.
    pub region: String,
    /// Whether the service's own limits hold.
    pub compatibility: Compatibility,
    /// Listener of the API.
    pub api: ApiListener,
    /// Listener of health, metrics and operation.
    pub admin: AdminListener,
    /// How buckets are reached.
    pub s3: S3Settings,
    /// How HTTP endpoints are reached.
    pub http: HttpSection,
    /// How clusters are reached.
    pub redshift: RedshiftSettings,
    /// WASM modules.
    pub transforms_dir: PathBuf,
    /// Table schemas for conversion.
    pub schemas_dir: PathBuf,
    /// How AWS Glue is reached, if tables are asked of it.
    pub glue: Option<GlueSection>,
    /// Bounds of disk, memory and time. `None`: the program's default.
    pub limits: Limits,
    /// How long closed records stay for replay.
    pub retention: Duration,
    /// Logs.
    pub log: LogSettings,
    /// Streams to make sure of at start, each in CreateDeliveryStream's members; all pass [`crate::control::plan`].
    pub streams: Vec<serde_json::Value>,
}

/// Section `api:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiListener {
    /// Where; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Certificate and key, PEM files.
    pub tls: Option<TlsPaths>,
    /// Takes requests from other machines without authentication.
    pub insecure_bind: bool,
}

/// Certificate and key of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPaths {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Section `admin:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminListener {
    /// Where; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Takes requests from other machines without authentication.
    pub insecure_bind: bool,
}

/// Section `limits:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of log, outbox and journal together.
    pub disk_budget_bytes: Option<u64>,
    /// The part of them that only sealing may use.
    pub disk_reserve_bytes: Option<u64>,
    /// Most bytes of put requests in flight.
    pub inflight_bytes: Option<u64>,
    /// How long a put may wait for its share of them.
    pub admission_wait: Option<Duration>,
    /// Runs staged at the same time; each holds a few MiB.
    pub stage_slots: Option<usize>,
    /// Runs of streams with a transform staged at the same time.
    pub transform_slots: Option<usize>,
    /// Parcels sent at the same time.
    pub send_slots: Option<usize>,
}

/// Section `log:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// A level, or levels by module. `None`: the environment decides.
    pub level: Option<String>,
    /// Text or JSON. `None`: text.
    pub format: Option<LogFormat>,
}

impl Config {
    /// What the control plane needs to know.
    pub fn rules(&self) -> Rules {
        Rules {
            account_id: self.account_id.clone(),
            region: self.region.clone(),
            compatibility: self.compatibility,
            allow_http: self.http.settings.allow_http,
            allow_plain: self.redshift.allow_plain,
            glue_region: self.glue.as_ref().map(|glue| glue.region.as_ref().unwrap_or(&self.region).clone()),
        }
    }
}

/// Reads and checks a configuration file; all of its problems, if there is any.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Err(vec![Problem::of_file(path, format!("cannot be read: {error}"))]),
    };
    parse(path, &text)
}

/// Problems that keep a service with a valid configuration from starting: variables that are not set.
pub fn missing(path: &Path, config: &Config) -> Vec<Problem> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    with_lines(&text, checks::variables(path, config))
}

/// Settings of a valid configuration that hardly any store takes; each member with what is wrong.
pub fn doubtful(config: &Config) -> Vec<(String, String)> {
    checks::small_parts(config)
}

/// Checks the content of a configuration file named `path`.
pub fn parse(path: &Path, text: &str) -> Result<Config, Vec<Problem>> {
    match read(path, text) {
        (Some(config), list) if list.is_empty() => Ok(config),
        (_, list) => Err(list),
    }
}

/// The configuration as far as it can be understood, and what is wrong with it.
fn read(path: &Path, text: &str) -> (Option<Config>, Vec<Problem>) {
    let mut problems = Problems::new(path);
    let config = match node::parse(text) {
        Ok(root) => top::read(&root, path.parent().unwrap_or(Path::new("")), &mut problems),
        Err(error) => {
            problems.add(error.line, "", error.message);
            None
        }
    };
    (config, problems.into_list())
}

/// What `hydrant check` says: the problems of [`load`], and those of the files and variables the configuration names.
/// Nothing is written, and nothing on the network is asked.
pub fn check(path: &Path) -> Vec<Problem> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return vec![Problem::of_file(path, format!("cannot be read: {error}"))],
    };
    let (config, mut problems) = read(path, &text);
    if let Some(config) = config {
        problems.extend(with_lines(&text, checks::surroundings(path, &config)));
        problems.sort_by_key(|problem| problem.line);
    }
    problems
}

/// The problems with the lines of their members in `text`, in the order of these.
fn with_lines(text: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    if let Ok(root) = node::parse(text) {
        for problem in &mut problems {
            problem.line = problem.line.or_else(|| lines::of_member(&root, &problem.member));
        }
    }
    problems.sort_by_key(|problem| problem.line);
    problems
}
