//! Prefix and ErrorOutputPrefix: the service's rules about them. What expressions are, `stream::prefix` knows.

#[cfg(test)]
#[path = "prefix_tests.rs"]
mod tests;

use super::partitioning::Namespaces;
use crate::control::members::text;
use crate::stream::prefix::{Length, MAX_EVALUATED_UTF16, Prefix, PrefixError, START, TimeZone};
use crate::wire::ApiError;
use serde_json::Value;

/// `yyyy/MM/dd/HH/`, which is appended where there is no expression.
const TIME_LENGTH: usize = 14;
const ERROR_TYPE: &str = "!{firehose:error-output-type}";

/// The members that are prefixes.
pub const MEMBERS: [Member; 2] = [Member::Prefix, Member::ErrorOutputPrefix];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    Prefix,
    ErrorOutputPrefix,
}

/// Both prefixes of a configuration; one that is not given is empty.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    prefix: &'a str,
    error_prefix: &'a str,
}

impl<'a> Pair<'a> {
    pub fn of(configuration: &'a Value) -> Self {
        let prefix = |name| text(configuration, name).unwrap_or_default();
        Self { prefix: prefix("Prefix"), error_prefix: prefix("ErrorOutputPrefix") }
    }

    /// What one asks of the other, and where the error type may stand.
    pub fn check_use(&self) -> Result<(), ApiError> {
        if self.prefix.contains(START) && self.error_prefix.is_empty() {
            return refuse("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions");
        }
        if self.error_prefix.contains(START) && !self.error_prefix.contains(ERROR_TYPE) {
            return refuse("ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}");
        }
        if self.prefix.contains(ERROR_TYPE) {
            return refuse("Prefix must not contain any occurrence of !{firehose:error-output-type}");
        }
        Ok(())
    }

    /// One by itself. `zone` is that of the times in it: an evaluated prefix counts with the longest that it can become,
    /// so that none passes by the day on which it is created.
    pub fn check_one(&self, member: Member, zone: TimeZone, namespaces: Namespaces) -> Result<(), ApiError> {
        let (name, text) = match member {
            Member::Prefix => ("Prefix", self.prefix),
            Member::ErrorOutputPrefix => ("ErrorOutputPrefix", self.error_prefix),
        };
        let parsed = parse(text, name)?;
        if parsed.partition_keys().next().is_some() {
            let message = match (member, namespaces) {
                (Member::Prefix, Namespaces::Allowed) => None,
                (Member::Prefix, Namespaces::Refused) => Some(
                    "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
                     Partitioning is enabled.",
                ),
                _ => Some("Dynamic Partitioning Namespaces can't be part of an error prefix expression"),
            };
            if let Some(message) = message {
                return Err(ApiError::invalid_argument(message));
            }
        }
        let Length { utf16, .. } = parsed.longest(zone);
        let time = if parsed.has_expressions() { 0 } else { TIME_LENGTH };
        if utf16 + time > MAX_EVALUATED_UTF16 {
            return refuse("Length of evaluated prefix cannot be greater than 512");
        }
        Ok(())
    }
}

/// Parses the prefix that is the member `member`.
pub fn parse(text: &str, member: &str) -> Result<Prefix, ApiError> {
    Prefix::parse(text).or_else(|error| match error {
        PrefixError::Usage => {
            refuse(&format!("Invalid expression usage: {text}.Must be of the form !{{<namespace>:<value>}}"))
        }
        PrefixError::Namespace(name) => {
            refuse(&format!("Namespace to the left of colon ({name}) is an invalid keyword!"))
        }
        PrefixError::Value => {
            refuse(&format!("Invalid conversion character used in the value of the expression in {member}"))
        }
    })
}

fn refuse<T>(tail: &str) -> Result<T, ApiError> {
    Err(ApiError::invalid_argument(format!("The supplied prefix(es) do not satisfy the following constraint: {tail}")))
}
