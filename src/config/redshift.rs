//! The section `redshift:`: how the clusters of streams are reached.

use super::problem::Problems;
use super::s3;
use super::section::Section;
use crate::destination::redshift::RedshiftSettings;
use std::time::Duration;

/// Reads the section.
pub fn read(mut section: Section, problems: &mut Problems) -> RedshiftSettings {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Every member by name, no `..`: a setting added to the destination must be given a key here.
    let settings = RedshiftSettings {
        ca_file: section.path("ca_file", problems),
        secrets: s3::secrets(&mut section, problems),
        allow_plain: section.flag("allow_plain", problems).unwrap_or(false),
        connect_timeout_ms: section.duration("connect_timeout", problems).map(ms),
        load_timeout_ms: section.duration("load_timeout", problems).map(ms),
    };
    for (member, zero) in [
        ("connect_timeout", settings.connect_timeout_ms == Some(0)),
        ("load_timeout", settings.load_timeout_ms == Some(0)),
    ] {
        if zero {
            section.problem(member, "must be more than 0", problems);
        }
    }
    section.finish(problems);
    settings
}
