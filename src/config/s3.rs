//! The section `s3:`: how buckets are reached, for all and with exceptions by bucket.

use super::node::{Node, Tree};
use super::problem::Problems;
use super::section::Section;
use crate::destination::s3::{ChecksumCalculation, Credentials, S3Settings, Secret};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Reads the section.
pub fn read(mut section: Section, problems: &mut Problems) -> S3Settings {
    let mut buckets = BTreeMap::new();
    if let Some(list) = section.section("buckets", problems) {
        for name in list.names() {
            let Some(node) = list.chosen(name) else { continue };
            let own = Section::of(node, &list.name_of(name), list.base(), problems);
            buckets.insert(name.to_owned(), one(own, problems));
        }
    }
    S3Settings { buckets, ..one(section, problems) }
}

/// The members that the section and each bucket have.
fn one(mut section: Section, problems: &mut Problems) -> S3Settings {
    let checksums =
        [("when_supported", ChecksumCalculation::WhenSupported), ("when_required", ChecksumCalculation::WhenRequired)];
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Every member by name, no `..`: a setting added to the destination must be given a key here.
    let settings = S3Settings {
        endpoint: section.text_that("endpoint", "an http:// or https:// URL", problems, is_url),
        region: section.text("region", problems),
        path_style: section.flag("path_style", problems),
        credentials: section.section("credentials", problems).and_then(|keys| credentials(keys, problems)),
        profile: section.text("profile", problems),
        request_checksum_calculation: section.choice("request_checksum_calculation", &checksums, problems),
        create_only: section.flag("create_only", problems),
        ca_file: section.path("ca_file", problems),
        multipart_above_bytes: section.size("multipart_above", problems),
        part_bytes: section.size("part_size", problems),
        parts_in_flight: section.count("parts_in_flight", problems),
        connect_timeout_ms: section.duration("connect_timeout", problems).map(ms),
        answer_timeout_ms: section.duration("answer_timeout", problems).map(ms),
        stall_timeout_ms: section.duration("stall_timeout", problems).map(ms),
        buckets: BTreeMap::new(),
    };
    for (member, zero) in [
        ("part_size", settings.part_bytes == Some(0)),
        ("connect_timeout", settings.connect_timeout_ms == Some(0)),
        ("answer_timeout", settings.answer_timeout_ms == Some(0)),
        ("stall_timeout", settings.stall_timeout_ms == Some(0)),
    ] {
        if zero {
            section.problem(member, "must be more than 0", problems);
        }
    }
    section.finish(problems);
    settings
}

/// Whether the text is a URL that a client can be sent to.
pub fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// The section `credentials`.
pub fn credentials(mut section: Section, problems: &mut Problems) -> Option<Credentials> {
    let access_key_id = secret(&mut section, "access_key_id", problems);
    let secret_access_key = secret(&mut section, "secret_access_key", problems);
    let session_token = secret(&mut section, "session_token", problems);
    for member in ["access_key_id", "secret_access_key"] {
        if section.chosen(member).is_none() {
            section.problem(member, "missing: write {env: NAME} or {file: PATH}", problems);
        }
    }
    section.finish(problems);
    Some(Credentials { access_key_id: access_key_id?, secret_access_key: secret_access_key?, session_token })
}

/// `{env: NAME}` or `{file: PATH}`. A secret written into the file is refused, and its text is not repeated.
fn secret(section: &mut Section, member: &'static str, problems: &mut Problems) -> Option<Secret> {
    let base = section.base();
    let secret = secret_in(section.node(member)?, base);
    if secret.is_none() {
        section.problem(member, NOT_A_SECRET, problems);
    }
    secret
}

/// The section `secrets` of a destination: secrets by ARN.
pub fn secrets(section: &mut Section, problems: &mut Problems) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    if let Some(list) = section.section("secrets", problems) {
        for arn in list.names() {
            if let Some(secret) = list.chosen(arn).and_then(|node| secret_in(node, list.base())) {
                secrets.insert(arn.to_owned(), secret);
            } else {
                list.problem(arn, NOT_A_SECRET, problems);
            }
        }
    }
    secrets
}

/// What is said of a value that is none.
const NOT_A_SECRET: &str = "expected {env: NAME} or {file: PATH}; secrets do not stand in this file";

/// A value `{env: NAME}` or `{file: PATH}`; relative paths start at `base`.
fn secret_in(node: &Node, base: &Path) -> Option<Secret> {
    let one = match node.members() {
        [(key, Node { value: Tree::Text(text), .. })] if !text.is_empty() => Some((key.name.as_str(), text)),
        _ => None,
    };
    match one? {
        ("env", name) => Some(Secret::env(name)),
        ("file", path) => Some(Secret::file(base.join(path))),
        _ => None,
    }
}
