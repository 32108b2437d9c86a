//! The request that a stream's request and an update of it make together (reference: UpdateDestination). Pure.
//!
//! Given members replace stored ones, as a whole: hints, processors, serializers. Member by member go
//! DataFormatConversionConfiguration, its SchemaConfiguration, and S3BackupUpdate and S3Update, which are updates
//! themselves. Both S3 destinations are one type: an extended update makes an extended stream of a plain one.

use super::members::{flag, given, text};
use super::rules::{DESTINATIONS, EXTENDED, HTTP, PLAIN, REDSHIFT, SERVED};
use crate::wire::{ApiError, Violations};
use serde_json::{Map, Value};

/// The member of the update request that belongs to the destination `configuration` of a creation.
fn update_name(configuration: &str) -> String {
    configuration.replace("Configuration", "Update")
}

/// An update of a destination.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The destination that it updates, as a creation names it.
    pub of: &'static str,
    /// Its members.
    pub members: &'a Value,
}

/// The update in `request`. Exactly one must be there, and one of what is built.
pub fn update_of(request: &Value) -> Result<Update<'_>, ApiError> {
    let mut given_ones = DESTINATIONS.iter().filter_map(|name| {
        let update = update_name(name);
        given(request, &update).map(|members| (*name, update, members))
    });
    let (Some((name, update, members)), None) = (given_ones.next(), given_ones.next()) else {
        return Err(ApiError::invalid_argument("Exactly one destination configuration is supported for a Firehose"));
    };
    match name {
        PLAIN | EXTENDED | HTTP | REDSHIFT => Ok(Update { of: name, members }),
        _ => Err(ApiError::not_supported(update)),
    }
}

/// The destination of a stored request.
pub fn destination(request: &Value) -> &Value {
    SERVED.iter().find_map(|name| given(request, name)).unwrap_or(&Value::Null)
}

/// `stored`, a request without name and tags, with the update.
pub fn merged(stored: &Value, update: Update<'_>) -> Result<Value, ApiError> {
    check_type(of_type(update.of), stored)?;
    let mut request = stored.clone();
    let mut target = destination(stored).clone();
    let Value::Object(members) = &mut target else {
        return Err(ApiError::internal_failure("A stored request has no destination."));
    };
    for (name, value) in update.members.as_object().into_iter().flatten() {
        match name.as_str() {
            "S3Update" => put_members(members, "S3Configuration", value, &[]),
            "S3BackupUpdate" => put_members(members, "S3BackupConfiguration", value, &[]),
            name @ "DataFormatConversionConfiguration" => put_members(members, name, value, &["SchemaConfiguration"]),
            name => drop(members.insert(name.to_owned(), value.clone())),
        }
    }
    check_backup(&target, &update_name(update.of))?;
    if let Value::Object(request) = &mut request {
        let name = if request.contains_key(EXTENDED) { EXTENDED } else { update.of };
        request.shift_remove(PLAIN);
        request.insert(name.to_owned(), target);
    }
    Ok(request)
}

/// Types of destinations besides S3, as the service calls them.
const TYPES: [(&str, &str); 2] = [(HTTP, "HttpEndpoint"), (REDSHIFT, "Redshift")];

/// The type of the destination with this name in a creation; none is S3.
fn of_type(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

fn type_of(request: &Value) -> Option<&'static str> {
    TYPES.iter().find(|(name, _)| given(request, name).is_some()).map(|(_, text)| *text)
}

/// What is sealed for one kind of destination cannot go to another.
fn check_type(new: Option<&str>, stored: &Value) -> Result<(), ApiError> {
    let old = type_of(stored);
    match old.or(new) {
        Some(text) if old != new => Err(ApiError::invalid_argument(format!(
            "Changing the destination type to or from {text} is not supported at this time."
        ))),
        _ => Ok(()),
    }
}

/// Puts the members of `value` over those of `into`'s member `name`; those of `deeper` once more member by member.
fn put_members(into: &mut Map<String, Value>, name: &str, value: &Value, deeper: &[&str]) {
    let target = into.entry(name).or_insert_with(|| Value::Object(Map::new()));
    let (Value::Object(target), Value::Object(given)) = (target, value) else { return };
    for (name, value) in given {
        if deeper.contains(&name.as_str()) {
            put_members(target, name, value, &[]);
        } else {
            target.insert(name.clone(), value.clone());
        }
    }
}

/// What a backup must have, and its update need not.
fn check_backup(destination: &Value, update: &str) -> Result<(), ApiError> {
    let Some(backup) = given(destination, "S3BackupConfiguration") else { return Ok(()) };
    let mut violations = Violations::default();
    for (member, path) in [("RoleARN", "roleARN"), ("BucketARN", "bucketARN")] {
        if given(backup, member).is_none() {
            let update = update[..1].to_ascii_lowercase() + &update[1..];
            violations.add(&format!("{update}.s3BackupUpdate.{path}"), "not be null");
        }
    }
    violations.finish()
}

/// Refuses to turn what turns one way only, or not at all.
pub fn check_switches(before: &Value, after: &Value) -> Result<(), ApiError> {
    check_type(type_of(after), before)?;
    let (before, after) = (destination(before), destination(after));
    let keeps_copies = |of| matches!(text(of, "S3BackupMode"), Some("Enabled" | "AllData"));
    if keeps_copies(before) && !keeps_copies(after) {
        return Err(ApiError::invalid_argument("Disabling S3 backup is not currently supported."));
    }
    let partitions =
        |of| given(of, "DynamicPartitioningConfiguration").is_some_and(|of| flag(of, "Enabled") == Some(true));
    match (partitions(before), partitions(after)) {
        (false, true) => Err(ApiError::invalid_argument(
            "Dynamic partitioning can only be enabled when a stream is created, not for an existing one.",
        )),
        (true, false) => {
            Err(ApiError::invalid_argument("Dynamic partitioning cannot be disabled once a stream has been created."))
        }
        _ => Ok(()),
    }
}
