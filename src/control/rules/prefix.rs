//! Prefix and ErrorOutputPrefix: the service's rules about them. What expressions are, `stream::prefix` knows.

#[cfg(test)]
#[path = "prefix_tests.rs"]
mod tests;

use super::partitioning::Namespaces;
use crate::stream::prefix::{Length, MAX_EVALUATED_UTF16, Prefix, PrefixError, START, TimeZone};
use crate::wire::ApiError;

/// `yyyy/MM/dd/HH/`, which is appended where there is no expression.
const TIME_LENGTH: usize = 14;
const ERROR_TYPE: &str = "!{firehose:error-output-type}";

/// Checks both prefixes. `zone` is that of the times in them: an evaluated prefix counts with the longest that it can
/// become, so that none passes by the day on which it is created.
pub fn check(
    prefix: Option<&str>,
    error_prefix: Option<&str>,
    zone: TimeZone,
    namespaces: Namespaces,
) -> Result<(), ApiError> {
    let prefix = prefix.unwrap_or_default();
    let error_prefix = error_prefix.unwrap_or_default();
    if prefix.contains(START) && error_prefix.is_empty() {
        return refuse("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions");
    }
    if error_prefix.contains(START) && !error_prefix.contains(ERROR_TYPE) {
        return refuse("ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}");
    }
    if prefix.contains(ERROR_TYPE) {
        return refuse("Prefix must not contain any occurrence of !{firehose:error-output-type}");
    }
    for (member, text) in [("Prefix", prefix), ("ErrorOutputPrefix", error_prefix)] {
        let parsed = parse(text, member)?;
        if parsed.partition_keys().next().is_some() {
            let message = match (member, namespaces) {
                ("Prefix", Namespaces::Allowed) => None,
                ("Prefix", Namespaces::Refused) => Some(
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
    }
    Ok(())
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
