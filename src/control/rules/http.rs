//! The HTTP endpoint destination.

use super::{Checks, destination, partitioning, processing, refuse};
use crate::control::members::{flag, given, given_at, items, text};
use crate::destination::http::may_be_used;
use crate::stream::prefix::TimeZone;
use crate::wire::{ApiError, Compatibility, Violations};
use serde_json::Value;
use std::collections::HashSet;

pub fn check(checks: &mut Checks, destination: &Value) -> Result<(), ApiError> {
    checks.also(|checks| url(checks, destination))?;
    checks.also(|_| access_key(destination))?;
    checks.also(|_| attributes(destination))?;
    if let Some(role) = text(destination, "RoleARN") {
        checks.also(|_| destination::role(Some(role)))?;
    }
    checks.also(|checks| destination::hints(checks, destination))?;
    checks.also(|checks| destination::logging(checks, destination))?;
    checks.also(|checks| processing::check(checks, destination, false))?;
    checks.also(|checks| secret(checks, destination))?;
    match given(destination, "S3Configuration") {
        Some(s3) => checks.also(|checks| destination::s3(checks, s3, TimeZone::UTC, partitioning::Namespaces::Refused)),
        None => Ok(()),
    }
}

/// The model's pattern lets `http://` pass, which goes to this machine, or where the configuration allows it.
fn url(checks: &Checks, destination: &Value) -> Result<(), ApiError> {
    let Some(url) = given_at(destination, &["EndpointConfiguration", "Url"]).and_then(Value::as_str) else {
        return Ok(());
    };
    if checks.rules.compatibility == Compatibility::Strict && !url.starts_with("https://") {
        let mut violations = Violations::default();
        let path = "httpEndpointDestinationConfiguration.endpointConfiguration.url";
        violations.add(path, "satisfy regular expression pattern: https://.*");
        return violations.finish();
    }
    if !may_be_used(url, true) {
        return refuse(
            "EndpointConfiguration.Url is not a URL that requests can be sent to: it needs a host, a port from 1 to 65535 if any, \
             and no user or password.",
        );
    }
    if !may_be_used(url, checks.rules.allow_http) {
        return refuse(
            "EndpointConfiguration.Url is http:// to another machine: anybody on the way can read the records. Use \
             https://, or set http_endpoint.allow_http: true in the configuration of Hydrant.",
        );
    }
    Ok(())
}

/// The key stands in a header.
fn access_key(destination: &Value) -> Result<(), ApiError> {
    let key = given_at(destination, &["EndpointConfiguration", "AccessKey"]).and_then(Value::as_str);
    if key.is_some_and(|key| http::HeaderValue::from_bytes(key.as_bytes()).is_err()) {
        return refuse("EndpointConfiguration.AccessKey holds a character that no header can.");
    }
    Ok(())
}

/// The secret is found by its ARN, in the configuration of Hydrant; of any destination.
pub fn secret(checks: &Checks, destination: &Value) -> Result<(), ApiError> {
    let Some(secret) = given(destination, "SecretsManagerConfiguration").filter(|of| flag(of, "Enabled") == Some(true))
    else {
        return Ok(());
    };
    // `arn:<partition>:secretsmanager:<region>:…`
    match text(secret, "SecretARN").map(|arn| arn.split(':').nth(3)) {
        None => refuse("Invalid secret ARN: null"),
        Some(region) if region != Some(checks.rules.region.as_str()) => {
            refuse("Cross-region secrets are not allowed. Please provide a secret in the same region as firehose")
        }
        Some(_) => Ok(()),
    }
}

fn attributes(destination: &Value) -> Result<(), ApiError> {
    let Some(request) = given(destination, "RequestConfiguration") else { return Ok(()) };
    let mut names = HashSet::new();
    for name in items(request, "CommonAttributes").iter().filter_map(|of| text(of, "AttributeName")) {
        if !names.insert(name) {
            return refuse(&format!("Http Endpoint Common Attributes have duplicate name {name}."));
        }
    }
    Ok(())
}
