//! The Redshift destination.

use super::{Checks, destination, http, partitioning, processing, refuse};
use crate::control::members::{filled, flag, given, text};
use crate::destination::redshift::{refused_for_stdin, skips_rows, url};
use crate::stream::prefix::TimeZone;
use crate::wire::{ApiError, Compatibility, Pattern, Violations};
use serde_json::Value;

pub fn check(checks: &mut Checks, destination: &Value) -> Result<(), ApiError> {
    checks.also(|_| destination::role(text(destination, "RoleARN")))?;
    checks.also(|checks| cluster(checks, destination))?;
    checks.also(|_| login(destination))?;
    checks.also(|checks| http::secret(checks, destination))?;
    checks.also(|_| copy_command(destination))?;
    checks.also(|checks| destination::logging(checks, destination))?;
    checks.also(|checks| processing::check(checks, destination, false))?;
    if let Some(s3) = given(destination, "S3Configuration") {
        checks.also(|_| staging(s3))?;
        checks.also(|checks| destination::s3(checks, s3, TimeZone::UTC, partitioning::Namespaces::Refused))?;
    }
    checks.also(|checks| destination::backup(checks, destination))
}

/// The model's pattern lets any name pass; so does a relaxed installation.
fn cluster(checks: &Checks, destination: &Value) -> Result<(), ApiError> {
    let Some(url) = text(destination, "ClusterJDBCURL") else { return Ok(()) };
    if checks.rules.compatibility == Compatibility::Strict && !(Pattern::CLUSTER_URL.matches)(url) {
        let mut violations = Violations::default();
        let path = "redshiftDestinationConfiguration.clusterJDBCURL";
        violations.add(path, format!("satisfy regular expression pattern: {}", Pattern::CLUSTER_URL.text));
        return violations.finish();
    }
    match url::parse(url, checks.rules.allow_plain) {
        Ok(_) => Ok(()),
        Err(refusal) => refuse(&format!("ClusterJDBCURL {refusal}")),
    }
}

fn login(destination: &Value) -> Result<(), ApiError> {
    let has_secret =
        given(destination, "SecretsManagerConfiguration").is_some_and(|secret| flag(secret, "Enabled") == Some(true));
    if has_secret {
        return Ok(());
    }
    if filled(destination, "Password").is_none() {
        return refuse("Redshift Database Password is required for Redshift Destination");
    }
    match filled(destination, "Username") {
        Some(_) => Ok(()),
        None => refuse("Redshift Database Username is required for Redshift Destination"),
    }
}

fn copy_command(destination: &Value) -> Result<(), ApiError> {
    let Some(copy) = given(destination, "CopyCommand") else { return Ok(()) };
    match filled(copy, "DataTableName").map(str::trim) {
        None | Some("") => refuse("CopyCommand.DataTableName must name a table.")?,
        Some(_) => {}
    }
    let options = filled(copy, "CopyOptions");
    if let Some(option) = options.and_then(skips_rows) {
        refuse(&format!(
            "CopyCommand.CopyOptions must not have {option}: records would count as delivered that are in no table."
        ))?;
    }
    let from_stdin = options.filter(|_| text(destination, "LoadMethod") == Some("COPY_FROM_STDIN"));
    match from_stdin.and_then(refused_for_stdin) {
        Some(reason) => refuse(&format!("CopyCommand.{reason}.")),
        None => Ok(()),
    }
}

/// What objects that are loaded may be like.
fn staging(s3: &Value) -> Result<(), ApiError> {
    let format = text(s3, "CompressionFormat").unwrap_or("UNCOMPRESSED");
    if !matches!(format, "UNCOMPRESSED" | "GZIP") {
        refuse("Only the following compression formats are allowed when using Redshift: [UNCOMPRESSED, GZIP]")?;
    }
    let has_expressions = text(s3, "Prefix").is_some_and(|prefix| prefix.contains("!{"));
    if has_expressions || filled(s3, "ErrorOutputPrefix").is_some() {
        refuse(
            "The supplied prefix(es) do not satisfy the following constraint: Prefix Expressions or ErrorOutputPrefix is \
             currently not supported for this destination",
        )?;
    }
    Ok(())
}
