//! Dynamic partitioning: the rules that tie prefix, processors and hints together.

use super::{Checks, prefix, refuse};
use crate::control::members::{flag, given, given_at, items, number, text};
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
    let expressions = prefix::expressions(text(destination, "Prefix").unwrap_or_default())?;
    let uses = |namespace| expressions.iter().any(|expression| expression.namespace == namespace);
    let (query, lambda) = (uses("partitionKeyFromQuery"), uses("partitionKeyFromLambda"));
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
