//! Which destination, and the members that every S3 configuration has.

use super::{Checks, conversion, http, partitioning, prefix, processing, redshift, refuse, time_zones};
use crate::control::members::{filled, flag, given, number, text};
use crate::stream::prefix::TimeZone;
use crate::wire::{ApiError, Compatibility};
use serde_json::Value;

/// The plain S3 destination.
pub const PLAIN: &str = "S3DestinationConfiguration";
/// The S3 destination with everything.
pub const EXTENDED: &str = "ExtendedS3DestinationConfiguration";

/// An HTTP endpoint.
pub const HTTP: &str = "HttpEndpointDestinationConfiguration";
/// Amazon Redshift.
pub const REDSHIFT: &str = "RedshiftDestinationConfiguration";
/// Those that are built.
pub const SERVED: [&str; 4] = [EXTENDED, PLAIN, HTTP, REDSHIFT];

/// The members of CreateDeliveryStream that name a destination.
pub const DESTINATIONS: [&str; 10] = [
    PLAIN,
    EXTENDED,
    REDSHIFT,
    "ElasticsearchDestinationConfiguration",
    "AmazonopensearchserviceDestinationConfiguration",
    "SplunkDestinationConfiguration",
    HTTP,
    "AmazonOpenSearchServerlessDestinationConfiguration",
    "SnowflakeDestinationConfiguration",
    "IcebergDestinationConfiguration",
];

pub fn check(checks: &mut Checks, request: &Value) -> Result<(), ApiError> {
    let mut given_ones = DESTINATIONS.iter().filter_map(|name| Some((*name, given(request, name)?)));
    let (Some((name, destination)), None) = (given_ones.next(), given_ones.next()) else {
        return refuse("Exactly one destination configuration is supported for a Firehose");
    };
    match name {
        PLAIN => s3(checks, destination, TimeZone::UTC, partitioning::Namespaces::Refused),
        EXTENDED => extended(checks, destination),
        HTTP => http::check(checks, destination),
        REDSHIFT => redshift::check(checks, destination),
        other => {
            checks.unbuilt(other);
            Ok(())
        }
    }
}

fn extended(checks: &mut Checks, destination: &Value) -> Result<(), ApiError> {
    let partitioned = partitioning::is_partitioned(destination);
    let namespaces = if partitioned { partitioning::Namespaces::Allowed } else { partitioning::Namespaces::Refused };
    // A zone that the service does not have comes to light behind what is wrong with the prefixes.
    let zone = custom_time_zone(destination).unwrap_or_default();
    checks.also(|checks| s3(checks, destination, zone, namespaces))?;
    checks.also(|_| time_zone(destination))?;
    checks.also(|checks| backup(checks, destination))?;
    checks.also(|checks| processing::check(checks, destination, partitioned))?;
    checks.also(|checks| conversion::check(checks, destination))?;
    if partitioned {
        checks.also(|_| partitioning::check(destination))?;
        partitioning::strict(checks, destination)?;
    } else {
        checks.also(|_| partitioning::check_disabled(destination))?;
    }
    Ok(())
}

/// The members that S3DestinationConfiguration has too.
pub fn s3(
    checks: &mut Checks,
    configuration: &Value,
    zone: TimeZone,
    namespaces: partitioning::Namespaces,
) -> Result<(), ApiError> {
    checks.also(|_| role(text(configuration, "RoleARN")))?;
    let prefixes = prefix::Pair::of(configuration);
    checks.also(|_| prefixes.check_use())?;
    for member in prefix::MEMBERS {
        checks.also(|_| prefixes.check_one(member, zone, namespaces))?;
    }
    checks.also(|checks| hints(checks, configuration))?;
    checks.also(|_| encryption(configuration))?;
    logging(checks, configuration)
}

fn encryption(configuration: &Value) -> Result<(), ApiError> {
    let Some(encryption) = given(configuration, "EncryptionConfiguration") else { return Ok(()) };
    let none = given(encryption, "NoEncryptionConfig").is_some();
    let kms = given(encryption, "KMSEncryptionConfig").is_some();
    if none == kms {
        refuse("Exactly one of NoEncryptionConfig or KMSEncryptionConfig must be specified")?;
    }
    Ok(())
}

/// The model's pattern lets any partition pass.
pub fn role(arn: Option<&str>) -> Result<(), ApiError> {
    match arn.and_then(|arn| arn.split(':').nth(1)) {
        Some(partition) if partition.starts_with("aws") => Ok(()),
        _ => Err(ApiError::invalid_role()),
    }
}

pub fn hints(checks: &Checks, configuration: &Value) -> Result<(), ApiError> {
    let Some(hints) = given(configuration, "BufferingHints") else { return Ok(()) };
    let (size, interval) = (number(hints, "SizeInMBs"), number(hints, "IntervalInSeconds"));
    // The service documents that one needs the other; relaxed, the missing one takes its default.
    if checks.rules.compatibility == Compatibility::Strict && size.is_some() != interval.is_some() {
        refuse(
            "Both BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds are required to configure buffering.",
        )?;
    }
    Ok(())
}

pub fn logging(checks: &mut Checks, configuration: &Value) -> Result<(), ApiError> {
    let Some(logging) = given(configuration, "CloudWatchLoggingOptions") else { return Ok(()) };
    if flag(logging, "Enabled") == Some(true) {
        if filled(logging, "LogGroupName").is_none() {
            refuse("CloudWatch Log Group Name is required if CloudWatch Logging is enabled")?;
        }
        checks.unbuilt("CloudWatchLoggingOptions with Enabled true");
    }
    Ok(())
}

/// The zone that CustomTimeZone names, UTC where it names none; `None` if the service does not take it.
pub fn custom_time_zone(destination: &Value) -> Option<TimeZone> {
    match filled(destination, "CustomTimeZone") {
        None | Some("UTC") => Some(TimeZone::UTC),
        Some(id) => TimeZone::from_id(id).filter(|_| time_zones::is_known(id)),
    }
}

fn time_zone(destination: &Value) -> Result<(), ApiError> {
    match custom_time_zone(destination) {
        Some(_) => Ok(()),
        None => refuse(
            "Provided custom time zone is not supported. Custom time zones are limited to UTC and non-3-letter IANA \
             time zones.",
        ),
    }
}

pub fn backup(checks: &mut Checks, destination: &Value) -> Result<(), ApiError> {
    let Some(configuration) = given(destination, "S3BackupConfiguration") else {
        return match text(destination, "S3BackupMode") {
            Some("Enabled") => refuse("S3 backup destination configuration is required when enabling S3 backup."),
            _ => Ok(()),
        };
    };
    // Checked although it may not be used: it is echoed, and is used once the mode is Enabled.
    checks.also(|checks| s3(checks, configuration, TimeZone::UTC, partitioning::Namespaces::Refused))?;
    let interval_s = given(configuration, "BufferingHints").and_then(|hints| number(hints, "IntervalInSeconds"));
    if checks.rules.compatibility == Compatibility::Strict && interval_s.is_some_and(|seconds| seconds < 60) {
        refuse("BufferingHints.IntervalInSeconds of the S3 backup must be at least 60.")?;
    }
    Ok(())
}
