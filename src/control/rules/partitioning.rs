//! Dynamic partitioning: the rules that tie prefix, processors and hints together.

use super::processing::parameters;
use super::{Checks, prefix, refuse};
use crate::control::members::{flag, given, given_at, items, number, text};
use crate::stream::prefix::KeySource;
use crate::wire::{ApiError, Compatibility};
use serde_json::Value;

/// Whether a prefix may use the namespaces `partitionKeyFrom…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    Allowed,
    Refused,
}

/// Checks an extended destination whose DynamicPartitioningConfiguration is enabled.
pub fn check(checks: &mut Checks, destination: &Value) -> Result<(), ApiError> {
    let prefix = prefix::parse(text(destination, "Prefix").unwrap_or_default(), "Prefix")?;
    let uses = |wanted| prefix.partition_keys().any(|(source, _)| source == wanted);
    let (query, lambda) = (uses(KeySource::Query), uses(KeySource::Lambda));
    if !query && !lambda {
        refuse("S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled")?;
    }
    let Some(processing) = given(destination, "ProcessingConfiguration").filter(|p| flag(p, "Enabled") == Some(true))
    else {
        return refuse("Processing Configuration is not enabled when DataPartitioning is enabled");
    };
    let has = |kind| items(processing, "Processors").iter().any(|processor| text(processor, "Type") == Some(kind));
    if lambda && !has("Lambda") {
        refuse("Lambda should be present when S3 Prefix contains keys from partitionKeyFromLambda namespace")?;
    }
    if query && !has("MetadataExtraction") {
        refuse("MetadataExtraction processor should be present when S3 Prefix has partitionKeyFromQuery namespace")?;
    }
    let of_prefix = |key: &&str| prefix.partition_keys().any(|of_prefix| of_prefix == (KeySource::Query, *key));
    let query = items(processing, "Processors").iter().find(|p| text(p, "Type") == Some("MetadataExtraction"));
    let query = query.map(parameters).unwrap_or_default();
    let query = query.iter().find(|(name, _)| *name == "MetadataExtractionQuery").map(|(_, query)| *query);
    if !query.map(query_keys).unwrap_or_default().iter().all(of_prefix) {
        refuse("MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression")?;
    }
    if checks.rules.compatibility == Compatibility::Strict {
        let hint = |name| given_at(destination, &["BufferingHints"]).and_then(|hints| number(hints, name));
        if hint("IntervalInSeconds").is_some_and(|seconds| seconds < 60) {
            refuse(
                "BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic Partitioning is enabled.",
            )?;
        }
        if hint("SizeInMBs").is_some_and(|size| size < 64) {
            refuse("BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled.")?;
        }
    }
    checks.unbuilt("DynamicPartitioningConfiguration with Enabled true");
    Ok(())
}

/// The keys of a jq object construction, `{a:.x, "b":.y, c}`, as far as they are plain names.
fn query_keys(query: &str) -> Vec<&str> {
    let Some(inside) = query.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Vec::new();
    };
    let (mut keys, mut depth, mut quoted, mut escaped, mut start) = (Vec::new(), 0usize, false, false, Some(0));
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        if quoted {
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => quoted = true,
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            // A key ends at its colon; without one (`{c}`) at the comma.
            ':' | ',' if depth == 0 => {
                if let Some(from) = start.take() {
                    let key = inside[from..at].trim().trim_matches('"');
                    if !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-') {
                        keys.push(key);
                    }
                }
                if c == ',' {
                    start = Some(at + 1);
                }
            }
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::query_keys;

    #[test]
    fn keys_of_a_query_are_found_outside_of_strings_and_brackets() {
        let query =
            r#"{customer_id:.customer_id, "device": .type["a,b:c"], year:(.t|strftime("%Y,\"%m:"), {x:1}) , plain}"#;
        assert_eq!(query_keys(query), ["customer_id", "device", "year", "plain"]);
        for query in ["", ".", "{}", "{($a):.b}"] {
            assert!(query_keys(query).is_empty(), "{query}");
        }
    }
}
