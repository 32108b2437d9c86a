//! Dynamic partitioning: the rules that tie prefix, processors and hints together.

use super::processing::parameters;
use super::{Checks, prefix, refuse};
use crate::control::defaults::STRICT_MAX_ACTIVE;
use crate::control::members::{flag, given, given_at, items, number, text};
use crate::stage::partition::query::Query;
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
pub fn check(destination: &Value) -> Result<(), ApiError> {
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
    if let Some(text) = query_text(processing) {
        let query = Query::parse(text).map_err(|error| ApiError::invalid_argument(error.to_string()))?;
        let of_prefix = |key: &str| prefix.partition_keys().any(|of_prefix| of_prefix == (KeySource::Query, key));
        if !query.keys().iter().all(|key| of_prefix(key)) {
            refuse("MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix expression")?;
        }
        let of_query = |key: &str| query.keys().iter().any(|of_query| of_query == key);
        let missing = prefix.partition_keys().find(|(source, key)| *source == KeySource::Query && !of_query(key));
        if let Some((_, key)) = missing {
            refuse(&format!("S3 Prefix contains the key {key}, which the MetadataExtractionQuery does not give."))?;
        }
    }
    if given(destination, "TargetObjectSizeInMBs").is_some() {
        refuse("TargetObjectSizeInMBs has no effect when Dynamic Partitioning is enabled; give BufferingHints.")?;
    }
    Ok(())
}

/// The limits that the service has for its own sake.
pub fn strict(checks: &Checks, destination: &Value) -> Result<(), ApiError> {
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
        let active = given_at(destination, &["DynamicPartitioningConfiguration"])
            .and_then(|configuration| number(configuration, "MaxActivePartitions"));
        if active.is_some_and(|active| active > STRICT_MAX_ACTIVE) {
            refuse(&format!("MaxActivePartitions must be at most {STRICT_MAX_ACTIVE} when compatibility is strict."))?;
        }
    }
    Ok(())
}

/// Checks an extended destination without dynamic partitioning, for which a stream can never have it.
pub fn check_disabled(destination: &Value) -> Result<(), ApiError> {
    for name in ["MaxActivePartitions", "MaxWaitingMBs"] {
        if given_at(destination, &["DynamicPartitioningConfiguration", name]).is_some() {
            refuse(&format!("{name} has no effect when Dynamic Partitioning is not enabled."))?;
        }
    }
    Ok(())
}

/// Whether DynamicPartitioningConfiguration is enabled.
pub fn is_partitioned(destination: &Value) -> bool {
    given(destination, "DynamicPartitioningConfiguration").is_some_and(|of| flag(of, "Enabled") == Some(true))
}

/// MetadataExtractionQuery of the processors.
pub fn query_text(processing: &Value) -> Option<&str> {
    let processor = items(processing, "Processors").iter().find(|p| text(p, "Type") == Some("MetadataExtraction"))?;
    parameters(processor).into_iter().find(|(name, _)| *name == "MetadataExtractionQuery").map(|(_, query)| query)
}
