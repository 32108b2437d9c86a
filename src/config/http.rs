//! The section `http_endpoint:`: how the endpoints of streams are reached.

use super::problem::Problems;
use super::s3;
use super::section::Section;
use crate::destination::http::HttpSettings;
use std::time::Duration;

/// What the section says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpSection {
    /// How endpoints are reached.
    pub settings: HttpSettings,
    /// Requests of one stream under way at the same time.
    pub requests_in_flight: Option<usize>,
}

/// Each holds buffers of its own.
const MAX_REQUESTS_IN_FLIGHT: usize = 1000;

/// With less, each request would go out in small pieces.
const LEAST_BODY_MEMORY_BYTES: u64 = 1 << 20;

/// Reads the section.
pub fn read(mut section: Section, problems: &mut Problems) -> HttpSection {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Every member by name, no `..`: a setting added to the destination must be given a key here.
    let settings = HttpSettings {
        ca_file: section.path("ca_file", problems),
        secrets: s3::secrets(&mut section, problems),
        allow_http: section.flag("allow_http", problems).unwrap_or(false),
        connect_timeout_ms: section.duration("connect_timeout", problems).map(ms),
        answer_timeout_ms: section.duration("answer_timeout", problems).map(ms),
        stall_timeout_ms: section.duration("stall_timeout", problems).map(ms),
        body_memory_bytes: section.size("body_memory", problems),
    };
    let requests_in_flight = section.count("requests_in_flight", problems);
    for (member, zero) in [
        ("connect_timeout", settings.connect_timeout_ms == Some(0)),
        ("answer_timeout", settings.answer_timeout_ms == Some(0)),
        ("stall_timeout", settings.stall_timeout_ms == Some(0)),
    ] {
        if zero {
            section.problem(member, "must be more than 0", problems);
        }
    }
    if requests_in_flight.is_some_and(|count| count > MAX_REQUESTS_IN_FLIGHT) {
        section.problem("requests_in_flight", format!("must be at most {MAX_REQUESTS_IN_FLIGHT}"), problems);
    }
    if settings.body_memory_bytes.is_some_and(|bytes| bytes < LEAST_BODY_MEMORY_BYTES) {
        section.problem("body_memory", "must be at least 1MiB", problems);
    }
    section.finish(problems);
    HttpSection { settings, requests_in_flight }
}
