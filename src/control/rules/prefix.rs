//! Prefix and ErrorOutputPrefix: the expressions in them and the service's rules.

use super::partitioning::Namespaces;
use super::time_patterns;
use crate::wire::ApiError;

/// The service refuses object prefixes above this many characters, time included.
const MAX_EVALUATED: usize = 512;
/// `yyyy/MM/dd/HH/`, which is appended where there is no expression.
const TIME_LENGTH: usize = 14;
const ERROR_TYPE: &str = "!{firehose:error-output-type}";

/// An expression, `!{namespace:value}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expression<'a> {
    pub namespace: &'a str,
    pub value: &'a str,
}

/// Checks both prefixes; returns the names of the members that hold expressions.
pub fn check(
    prefix: Option<&str>,
    error_prefix: Option<&str>,
    namespaces: Namespaces,
) -> Result<Vec<&'static str>, ApiError> {
    let prefix = prefix.unwrap_or_default();
    let error_prefix = error_prefix.unwrap_or_default();
    let (has, error_has) = (prefix.contains("!{"), error_prefix.contains("!{"));
    if has && error_prefix.is_empty() {
        return refuse("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions");
    }
    if error_has && !error_prefix.contains(ERROR_TYPE) {
        return refuse("ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}");
    }
    if prefix.contains(ERROR_TYPE) {
        return refuse("Prefix must not contain any occurrence of !{firehose:error-output-type}");
    }
    for (member, text) in [("Prefix", prefix), ("ErrorOutputPrefix", error_prefix)] {
        for expression in expressions(text)? {
            one(expression, member)?;
            if expression.namespace.starts_with("partitionKeyFrom") {
                let message = match (member, namespaces) {
                    ("Prefix", Namespaces::Allowed) => continue,
                    ("Prefix", Namespaces::Refused) => {
                        "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
                         Partitioning is enabled."
                    }
                    _ => "Dynamic Partitioning Namespaces can't be part of an error prefix expression",
                };
                return Err(ApiError::invalid_argument(message));
            }
        }
        let time = if text.contains("!{") { 0 } else { TIME_LENGTH };
        if text.encode_utf16().count() + time > MAX_EVALUATED {
            return refuse("Length of evaluated prefix cannot be greater than 512");
        }
    }
    Ok([("Prefix", has), ("ErrorOutputPrefix", error_has)]
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect())
}

/// The expressions of a prefix, in order.
pub fn expressions(prefix: &str) -> Result<Vec<Expression<'_>>, ApiError> {
    let mut found = Vec::new();
    let mut rest = prefix;
    while let Some(start) = rest.find("!{") {
        let inside = &rest[start + 2..];
        let expression = inside.split_once('}').and_then(|(content, after)| {
            let (namespace, value) = content.split_once(':')?;
            (!value.is_empty()).then_some((Expression { namespace, value }, after))
        });
        let Some((expression, after)) = expression else {
            let message = format!("Invalid expression usage: {prefix}.Must be of the form !{{<namespace>:<value>}}");
            return refuse(&message);
        };
        found.push(expression);
        rest = after;
    }
    Ok(found)
}

fn one(expression: Expression, member: &str) -> Result<(), ApiError> {
    let good = match expression.namespace {
        "timestamp" => time_patterns::is_accepted(expression.value),
        "firehose" => matches!(expression.value, "random-string" | "error-output-type"),
        "partitionKeyFromQuery" | "partitionKeyFromLambda" => true,
        other => return refuse(&format!("Namespace to the left of colon ({other}) is an invalid keyword!")),
    };
    if good {
        return Ok(());
    }
    refuse(&format!("Invalid conversion character used in the value of the expression in {member}"))
}

fn refuse<T>(tail: &str) -> Result<T, ApiError> {
    Err(ApiError::invalid_argument(format!("The supplied prefix(es) do not satisfy the following constraint: {tail}")))
}
