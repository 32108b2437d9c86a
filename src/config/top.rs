//! The top level of the file and its small sections.

use super::node::Node;
use super::problem::Problems;
use super::section::Section;
use super::{
    AdminListener, ApiListener, Config, DISK_BUDGET_LEAST_BYTES, Limits, LogSettings, TlsPaths, VERSION, glue, http,
    redshift, s3, streams,
};
use crate::control::Rules;
use crate::telemetry::logging::{self, LogFormat};
use crate::wire::Compatibility;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const API_PORT: u16 = 4573;
const ADMIN_PORT: u16 = 4574;

/// Reads the whole file. `None` or noted problems: it cannot be used.
pub fn read(root: &Node, base: &Path, problems: &mut Problems) -> Option<Config> {
    let mut top = Section::of(root, "", base, problems);
    // The version first: of a file of another form, nothing else is worth saying.
    if !version(&mut top, problems) {
        return None;
    }
    let mut rules = rules(&mut top, problems);
    let data_dir = top.path("data_dir", problems);
    if data_dir.is_none() && top.chosen("data_dir").is_none() {
        top.problem("data_dir", "missing: the folder that keeps what was acknowledged", problems);
    }
    let api = api(&mut top, problems);
    let admin = admin(&mut top, problems);
    let s3 = top.section("s3", problems).map(|section| s3::read(section, problems)).unwrap_or_default();
    let http = top.section("http_endpoint", problems).map(|section| http::read(section, problems)).unwrap_or_default();
    rules.allow_http = http.settings.allow_http;
    let redshift =
        top.section("redshift", problems).map(|section| redshift::read(section, problems)).unwrap_or_default();
    rules.allow_plain = redshift.allow_plain;
    let glue = top.section("glue", problems).and_then(|section| glue::read(section, problems));
    rules.glue_region = glue.as_ref().map(|glue| glue.region.as_ref().unwrap_or(&rules.region).clone());
    let transforms_dir = top.path("transforms_dir", problems);
    let schemas_dir = top.path("schemas_dir", problems);
    let limits = limits(&mut top, problems);
    let retention = top.duration("retention", problems).unwrap_or(Duration::ZERO);
    let log = log(&mut top, problems);
    let streams = top.node("streams").map(|list| streams::read(list, &rules, problems)).unwrap_or_default();
    top.finish(problems);
    let data_dir = data_dir?;
    let beside = |given: Option<PathBuf>, name: &str| given.unwrap_or_else(|| data_dir.join(name));
    Some(Config {
        transforms_dir: beside(transforms_dir, "transforms"),
        schemas_dir: beside(schemas_dir, "schemas"),
        data_dir,
        account_id: rules.account_id,
        region: rules.region,
        compatibility: rules.compatibility,
        api,
        admin,
        s3,
        http,
        redshift,
        glue,
        limits,
        retention,
        log,
        streams,
    })
}

fn version(top: &mut Section, problems: &mut Problems) -> bool {
    let message = match top.node("version").map(Node::to_json) {
        Some(version) if version == VERSION => return true,
        None => format!("missing: write `version: {VERSION}`, so that a later program knows how to read this file"),
        Some(other) => format!("this program reads version {VERSION} of the configuration, not {other}"),
    };
    top.problem("version", message, problems);
    false
}

fn rules(top: &mut Section, problems: &mut Problems) -> Rules {
    let default = Rules::default();
    let twelve_digits = |text: &str| text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit());
    let region = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let modes = [("relaxed", Compatibility::Relaxed), ("strict", Compatibility::Strict)];
    Rules {
        account_id: top
            .text_that("account_id", "12 digits in quotes", problems, twelve_digits)
            .unwrap_or(default.account_id),
        region: top.text_that("region", "a region such as us-east-1", problems, region).unwrap_or(default.region),
        compatibility: top.choice("compatibility", &modes, problems).unwrap_or(default.compatibility),
        glue_region: None,
        allow_http: false,
        allow_plain: false,
    }
}

fn addr(section: &mut Section, port: u16, problems: &mut Problems) -> SocketAddr {
    section
        .parsed("addr", "an address and a port such as 127.0.0.1:4573", problems)
        .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into())
}

/// Says so when a listener would take requests from anybody; there is no authentication yet.
fn only_loopback(section: &Section, addr: SocketAddr, insecure_bind: bool, problems: &mut Problems) {
    if !addr.ip().is_loopback() && !insecure_bind {
        let message = format!(
            "{addr} can be reached from other machines, and nobody is asked who they are; bind 127.0.0.1, or set \
             insecure_bind: true behind something that authenticates"
        );
        section.problem("addr", message, problems);
    }
}

fn api(top: &mut Section, problems: &mut Problems) -> ApiListener {
    let default = ApiListener { addr: (Ipv4Addr::LOCALHOST, API_PORT).into(), tls: None, insecure_bind: false };
    let Some(mut section) = top.section("api", problems) else { return default };
    let addr = addr(&mut section, API_PORT, problems);
    let insecure_bind = section.flag("insecure_bind", problems).unwrap_or(false);
    let (cert, key) = (section.path("tls_cert", problems), section.path("tls_key", problems));
    only_loopback(&section, addr, insecure_bind, problems);
    for (given, missing) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        if section.chosen(given).is_some() && section.chosen(missing).is_none() {
            section.problem(given, format!("needs {missing} beside it"), problems);
        }
    }
    section.finish(problems);
    let tls = cert.zip(key).map(|(cert, key)| TlsPaths { cert, key });
    ApiListener { addr, tls, insecure_bind }
}

fn admin(top: &mut Section, problems: &mut Problems) -> AdminListener {
    let default = AdminListener { addr: (Ipv4Addr::LOCALHOST, ADMIN_PORT).into(), insecure_bind: false };
    let Some(mut section) = top.section("admin", problems) else { return default };
    let addr = addr(&mut section, ADMIN_PORT, problems);
    let insecure_bind = section.flag("insecure_bind", problems).unwrap_or(false);
    only_loopback(&section, addr, insecure_bind, problems);
    section.finish(problems);
    AdminListener { addr, insecure_bind }
}

fn limits(top: &mut Section, problems: &mut Problems) -> Limits {
    let Some(mut section) = top.section("limits", problems) else { return Limits::default() };
    let limits = Limits {
        disk_budget_bytes: section.size("disk_budget", problems),
        disk_reserve_bytes: section.size("disk_reserve", problems),
        inflight_bytes: section.size("inflight", problems),
        admission_wait: section.duration("admission_wait", problems),
        stage_slots: section.count("stage_slots", problems),
        transform_slots: section.count("transform_slots", problems),
        send_slots: section.count("send_slots", problems),
    };
    if limits.inflight_bytes == Some(0) {
        section.problem("inflight", "must be more than 0", problems);
    }
    if limits.disk_budget_bytes.is_some_and(|bytes| bytes < DISK_BUDGET_LEAST_BYTES) {
        let least = format!("must be at least {}MiB", DISK_BUDGET_LEAST_BYTES >> 20);
        section.problem("disk_budget", least, problems);
    }
    match (limits.disk_budget_bytes, limits.disk_reserve_bytes) {
        (Some(budget), Some(reserve)) if reserve >= budget => {
            section.problem("disk_reserve", "must be smaller than disk_budget, of which it is a part", problems);
        }
        (None, Some(_)) => section.problem("disk_reserve", "needs disk_budget, of which it is a part", problems),
        _ => {}
    }
    section.finish(problems);
    limits
}

fn log(top: &mut Section, problems: &mut Problems) -> LogSettings {
    let Some(mut section) = top.section("log", problems) else { return LogSettings::default() };
    let expected = "error, warn, info, debug, trace, or levels by module such as hydrant::delivery=debug,info";
    let settings = LogSettings {
        level: section.text_that("level", expected, problems, logging::is_understood),
        format: section.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)], problems),
    };
    section.finish(problems);
    settings
}
