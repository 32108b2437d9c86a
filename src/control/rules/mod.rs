//! The rules of CreateDeliveryStream beyond the model, with the service's texts, one group a file.
//!
//! Each rule runs after `wire::check`, so types and ranges are right. What this version lacks is noted with
//! [`Checks::unbuilt`] and refused by name once every rule of the service's own has passed. The API tells the first rule
//! that is broken ([`check`]); a configuration file is told all that do not build on each other ([`problems`]).

pub mod conversion;
mod destination;
mod http;
mod partitioning;
mod prefix;
mod processing;
mod redshift;
mod source;
mod time_patterns;
mod time_zones;

pub use destination::{DESTINATIONS, EXTENDED, HTTP, PLAIN, REDSHIFT, SERVED, custom_time_zone};
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
    /// What is wrong, where all of it is wanted and not the first alone.
    found: Option<Vec<ApiError>>,
}

impl Checks<'_> {
    /// Notes something whose function is missing: a member's name, or a name and the value that is too much.
    fn unbuilt(&mut self, what: impl Into<String>) {
        self.unbuilt.push(what.into());
    }

    /// A rule that the ones behind it do not build on: if it is broken, that ends the check, or is noted where all is wanted.
    fn also(&mut self, rule: impl FnOnce(&mut Self) -> Result<(), ApiError>) -> Result<(), ApiError> {
        match (rule(self), &mut self.found) {
            (Err(error), Some(found)) => {
                found.push(error);
                Ok(())
            }
            (outcome, _) => outcome,
        }
    }

    fn run(&mut self, request: &Value) -> Result<(), ApiError> {
        self.also(|checks| source::check(checks, request))?;
        destination::check(self, request)
    }

    /// The texts about what is not built.
    fn into_unbuilt(self) -> Vec<String> {
        self.unbuilt.iter().map(|what| ApiError::not_supported(what).message).collect()
    }
}

/// Checks a whole request, extensions applied. `Ok` says that every member is understood and acted upon.
pub fn check(rules: &Rules, request: &Value) -> Result<(), ApiError> {
    let mut checks = Checks { rules, unbuilt: Vec::new(), found: None };
    checks.run(request)?;
    match checks.into_unbuilt() {
        none if none.is_empty() => Ok(()),
        sentences => Err(ApiError::invalid_argument(sentences.join(" "))),
    }
}

/// All that [`check`] could refuse the request for, as far as one thing does not build on another.
pub fn problems(rules: &Rules, request: &Value) -> Vec<ApiError> {
    let mut checks = Checks { rules, unbuilt: Vec::new(), found: Some(Vec::new()) };
    let ended = checks.run(request);
    let mut found = checks.found.take().unwrap_or_default();
    found.extend(ended.err());
    found.extend(checks.into_unbuilt().into_iter().map(ApiError::invalid_argument));
    found
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
