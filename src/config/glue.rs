//! The section `glue:`: whether tables are asked of AWS Glue, and how it is reached.

use super::problem::Problems;
use super::s3::{credentials, is_url};
use super::section::Section;
use crate::destination::aws_http::Reach;
use crate::schemas::GlueSettings;
use std::time::Duration;

/// What the section says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlueSection {
    /// How Glue is reached.
    pub settings: GlueSettings,
    /// Region of tables whose SchemaConfiguration names none. `None`: that of the installation.
    pub region: Option<String>,
}

/// Reads the section; `None` when it is there and says `enabled: false`.
pub fn read(mut section: Section, problems: &mut Problems) -> Option<GlueSection> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let enabled = section.flag("enabled", problems).unwrap_or(true);
    let region = section.text("region", problems);
    let insecure_endpoint = section.flag("insecure_endpoint", problems).unwrap_or(false);
    // Every member by name, no `..`: a setting added to the client must be given a key here.
    let settings = GlueSettings {
        endpoint: section.text_that("endpoint", "an http:// or https:// URL", problems, is_url),
        credentials: section.section("credentials", problems).and_then(|keys| credentials(keys, problems)),
        profile: section.text("profile", problems),
        ca_file: section.path("ca_file", problems),
        connect_timeout_ms: section.duration("connect_timeout", problems).map(ms),
        answer_timeout_ms: section.duration("answer_timeout", problems).map(ms),
        refresh_ms: section.duration("refresh", problems).map(ms),
    };
    if Reach::of(settings.endpoint.as_deref()) == Reach::Plain && !insecure_endpoint {
        let message = "http:// to another machine: anybody on the way can change the tables; use https://, or set \
                       insecure_endpoint: true";
        section.problem("endpoint", message, problems);
    }
    for (member, zero) in [
        ("connect_timeout", settings.connect_timeout_ms == Some(0)),
        ("answer_timeout", settings.answer_timeout_ms == Some(0)),
        ("refresh", settings.refresh_ms == Some(0)),
    ] {
        if zero {
            section.problem(member, "must be more than 0", problems);
        }
    }
    section.finish(problems);
    enabled.then_some(GlueSection { settings, region })
}
