//! The rules of CreateDeliveryStream beyond the model, with the service's texts, one group a file.
//!
//! Each rule runs after `wire::check`, so types and ranges are right. What this version lacks is noted with
//! [`Checks::unbuilt`] and refused by name once every rule of the service's own has passed.

pub mod conversion;
mod destination;
mod partitioning;
mod prefix;
mod processing;
mod source;
mod time_patterns;
mod time_zones;

pub use destination::{DESTINATIONS, EXTENDED, PLAIN, custom_time_zone};
pub use partitioning::{is_partitioned, query_text};
pub use prefix::parse as parse_prefix;
pub use processing::{LambdaArn, parameters};

use super::Rules;
use crate::wire::ApiError;
use serde_json::Value;

/// A check in progress.
pub struct Checks<'a> {
    /// The installation.
    pub rules: &'a Rules,
    unbuilt: Vec<String>,
}

impl Checks<'_> {
    /// Notes something whose function is missing: a member's name, or a name and the value that is too much.
    fn unbuilt(&mut self, what: impl Into<String>) {
        self.unbuilt.push(what.into());
    }
}

/// Checks a whole request, extensions applied. `Ok` says that every member is understood and acted upon.
pub fn check(rules: &Rules, request: &Value) -> Result<(), ApiError> {
    let mut checks = Checks { rules, unbuilt: Vec::new() };
    source::check(&mut checks, request)?;
    destination::check(&mut checks, request)?;
    if checks.unbuilt.is_empty() {
        return Ok(());
    }
    let sentences: Vec<_> = checks.unbuilt.iter().map(|what| ApiError::not_supported(what).message).collect();
    Err(ApiError::invalid_argument(sentences.join(" ")))
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
