//! What members that a request leaves out take from the service's own settings, which change without anybody changing a
//! stream: an update of something else leaves them as they were when they were filled in. Pure.
//!
//! Defaults that are the same everywhere stand in `plan`. A stream that the configuration lists follows the settings.

use super::Rules;
use super::members::{given_at, number};
use super::merge::destination;
use crate::stream::definition::Definition;
use crate::wire::Compatibility;
use serde_json::Value;

/// Partitions that may be active at once where AWS's limits hold.
pub const STRICT_MAX_ACTIVE: u64 = 500;

/// Values of members that are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// SchemaConfiguration's CatalogId.
    pub catalog_id: String,
    /// SchemaConfiguration's Region.
    pub schema_region: String,
    /// MaxActivePartitions.
    pub max_active: Option<u64>,
}

impl Defaults {
    /// Those of the settings.
    pub fn of(rules: &Rules) -> Self {
        Self {
            catalog_id: rules.account_id.clone(),
            schema_region: rules.glue_region.as_ref().unwrap_or(&rules.region).clone(),
            max_active: (rules.compatibility == Compatibility::Strict).then_some(STRICT_MAX_ACTIVE),
        }
    }

    /// Those of the stream `before`, made of `request`, for its update.
    pub fn kept(rules: &Rules, before: &Definition, request: &Value) -> Self {
        let mut defaults = Self::of(rules);
        // No update takes a member of a schema away: one that is left out still was left out before.
        if let Some(convert) = &before.convert {
            defaults.catalog_id.clone_from(&convert.schema.catalog_id);
            defaults.schema_region.clone_from(&convert.schema.region);
        }
        let given = given_at(destination(request), &["DynamicPartitioningConfiguration"])
            .and_then(|configuration| number(configuration, "MaxActivePartitions"));
        if let (Some(partitioning), None) = (&before.partitioning, given) {
            defaults.max_active = partitioning.max_active;
        }
        defaults
    }
}
