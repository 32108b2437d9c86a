//! DescribeDeliveryStream: the request as given, with the service's defaults filled in.
//!
//! Members that extension tags replace are shown as they were given; the tags themselves are tags.

use super::Control;
use super::members::{flag, given, given_at, items, text};
use super::model::DESCRIBE;
use super::plan::{DEFAULT_INTERVAL_S, default_size_mib};
use super::rules::{EXTENDED, HTTP, PLAIN, REDSHIFT, conversion, is_partitioned, parameters};
use super::targets::{DEFAULT_LOAD_RETRY_S, DEFAULT_RETRY_S};
use crate::catalog::{Status, StreamRecord};
use crate::wire::{ApiError, check};
use serde_json::{Map, Value, json};

/// Id of the one destination a stream has.
pub const DESTINATION_ID: &str = "destinationId-000000000001";

/// The operation. Limit and ExclusiveStartDestinationId have nothing to choose from.
pub fn describe(control: &Control, request: Value) -> Result<Value, ApiError> {
    check(&DESCRIBE, &request, control.rules.compatibility).finish()?;
    let name = text(&request, "DeliveryStreamName").unwrap_or_default();
    match control.catalog.find(name) {
        Some(record) => Ok(json!({"DeliveryStreamDescription": description(&record)})),
        None => Err(ApiError::stream_not_found(name, &control.rules.account_id)),
    }
}

fn description(record: &StreamRecord) -> Value {
    let definition = &record.definition;
    let status = match record.status {
        Status::Active => "ACTIVE",
        Status::Deleting { .. } => "DELETING",
    };
    let mut destination = json!({"DestinationId": DESTINATION_ID});
    for (name, members) in destinations(&record.request) {
        destination[name] = members;
    }
    let mut description = json!({
        "DeliveryStreamName": definition.name,
        "DeliveryStreamARN": definition.arn,
        "DeliveryStreamStatus": status,
        "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
        "DeliveryStreamType": "DirectPut",
        "VersionId": definition.revision.to_string(),
        "CreateTimestamp": seconds(record.created_ms),
        "Destinations": [destination],
        "HasMoreDestinations": false,
    });
    if let Some(updated_ms) = record.updated_ms {
        description["LastUpdateTimestamp"] = seconds(updated_ms);
    }
    if let Some(source) = given(&record.request, "DirectPutSourceConfiguration") {
        description["Source"] = json!({"DirectPutSourceDescription": source});
    }
    description
}

/// Everything a stream's request sets, defaults included: what two requests for the same stream have in common.
pub fn settings(request: &Value) -> Value {
    let mut settings: Map<_, _> =
        destinations(request).into_iter().map(|(name, members)| (name.to_owned(), members)).collect();
    if let Some(source) = given(request, "DirectPutSourceConfiguration") {
        settings.insert("DirectPutSourceConfiguration".to_owned(), source.clone());
    }
    Value::Object(settings)
}

/// The description of the destination that says most.
pub fn destination(request: &Value) -> Value {
    destinations(request).pop().map(|(_, description)| description).unwrap_or_default()
}

/// Epoch seconds with a fraction.
fn seconds(ms: i64) -> Value {
    json!(ms as f64 / 1000.0)
}

/// The descriptions of the destination. An extended one is described in both ways.
fn destinations(request: &Value) -> Vec<(&'static str, Value)> {
    if let Some(endpoint) = given(request, HTTP) {
        return vec![("HttpEndpointDestinationDescription", http_endpoint(endpoint))];
    }
    if let Some(cluster) = given(request, REDSHIFT) {
        return vec![("RedshiftDestinationDescription", redshift(cluster))];
    }
    match (given(request, EXTENDED), given(request, PLAIN)) {
        (Some(extended), _) => {
            let is_large = conversion::enabled(extended).is_some() || is_partitioned(extended);
            vec![
                ("S3DestinationDescription", plain_s3(extended, is_large)),
                ("ExtendedS3DestinationDescription", extended_s3(extended, is_large)),
            ]
        }
        (None, Some(plain)) => vec![("S3DestinationDescription", plain_s3(plain, false))],
        (None, None) => Vec::new(),
    }
}

fn plain_s3(configuration: &Value, is_large: bool) -> Value {
    let mut described = Map::new();
    for name in ["RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix"] {
        echo(configuration, name, &mut described);
    }
    described.insert("BufferingHints".to_owned(), hints_described(configuration, is_large));
    let defaults = [
        ("CompressionFormat", json!("UNCOMPRESSED")),
        ("EncryptionConfiguration", json!({"NoEncryptionConfig": "NoEncryption"})),
        ("CloudWatchLoggingOptions", json!({"Enabled": false})),
    ];
    for (name, default) in defaults {
        described.insert(name.to_owned(), given(configuration, name).cloned().unwrap_or(default));
    }
    Value::Object(described)
}

fn hints_described(configuration: &Value, is_large: bool) -> Value {
    let hint = |name, default: u64| {
        given_at(configuration, &["BufferingHints", name]).cloned().unwrap_or_else(|| json!(default))
    };
    json!({
        "SizeInMBs": hint("SizeInMBs", default_size_mib(is_large)),
        "IntervalInSeconds": hint("IntervalInSeconds", DEFAULT_INTERVAL_S),
    })
}

/// An endpoint as it is shown: of its access key nothing.
fn http_endpoint(configuration: &Value) -> Value {
    let mut described = Map::new();
    let mut endpoint = Map::new();
    if let Some(given) = given(configuration, "EndpointConfiguration") {
        echo(given, "Url", &mut endpoint);
        echo(given, "Name", &mut endpoint);
    }
    described.insert("EndpointConfiguration".to_owned(), Value::Object(endpoint));
    described.insert("BufferingHints".to_owned(), hints_described(configuration, false));
    echo_logging(configuration, &mut described);
    let request = given(configuration, "RequestConfiguration");
    let encoding = request.and_then(|request| text(request, "ContentEncoding")).unwrap_or("NONE");
    let attributes = request.map_or(&[][..], |request| items(request, "CommonAttributes"));
    described.insert(
        "RequestConfiguration".to_owned(),
        json!({"ContentEncoding": encoding, "CommonAttributes": attributes}),
    );
    echo(configuration, "RoleARN", &mut described);
    echo_processing(configuration, &mut described);
    described.insert("RetryOptions".to_owned(), retry_described(configuration, DEFAULT_RETRY_S));
    let mode = text(configuration, "S3BackupMode").unwrap_or("FailedDataOnly");
    described.insert("S3BackupMode".to_owned(), json!(mode));
    if let Some(s3) = given(configuration, "S3Configuration") {
        described.insert("S3DestinationDescription".to_owned(), plain_s3(s3, false));
    }
    for name in ["SecretsManagerConfiguration", "RequestFormat"] {
        echo(configuration, name, &mut described);
    }
    Value::Object(described)
}

/// A cluster as it is shown: of its password nothing.
fn redshift(configuration: &Value) -> Value {
    let mut described = Map::new();
    for name in ["RoleARN", "ClusterJDBCURL", "CopyCommand", "Username"] {
        echo(configuration, name, &mut described);
    }
    described.insert("RetryOptions".to_owned(), retry_described(configuration, DEFAULT_LOAD_RETRY_S));
    if let Some(s3) = given(configuration, "S3Configuration") {
        described.insert("S3DestinationDescription".to_owned(), plain_s3(s3, false));
    }
    echo_processing(configuration, &mut described);
    echo_backup(configuration, &mut described);
    echo_logging(configuration, &mut described);
    for name in ["SecretsManagerConfiguration", "LoadMethod", "LedgerTable"] {
        echo(configuration, name, &mut described);
    }
    Value::Object(described)
}

fn echo_logging(configuration: &Value, described: &mut Map<String, Value>) {
    let logging = given(configuration, "CloudWatchLoggingOptions").cloned();
    described.insert("CloudWatchLoggingOptions".to_owned(), logging.unwrap_or_else(|| json!({"Enabled": false})));
}

fn echo_processing(configuration: &Value, described: &mut Map<String, Value>) {
    if let Some(processing) = given(configuration, "ProcessingConfiguration") {
        let role = given(configuration, "RoleARN");
        described.insert("ProcessingConfiguration".to_owned(), processing_described(processing, role));
    }
}

fn echo_backup(configuration: &Value, described: &mut Map<String, Value>) {
    let mode = text(configuration, "S3BackupMode").unwrap_or("Disabled");
    described.insert("S3BackupMode".to_owned(), json!(mode));
    if let Some(backup) = given(configuration, "S3BackupConfiguration") {
        described.insert("S3BackupDescription".to_owned(), plain_s3(backup, false));
    }
}

fn retry_described(configuration: &Value, default_s: u64) -> Value {
    let given = given_at(configuration, &["RetryOptions", "DurationInSeconds"]).cloned();
    json!({"DurationInSeconds": given.unwrap_or_else(|| json!(default_s))})
}

fn extended_s3(configuration: &Value, is_large: bool) -> Value {
    let mut described = plain_s3(configuration, is_large);
    let Some(members) = described.as_object_mut() else { return described };
    echo_processing(configuration, members);
    echo_backup(configuration, members);
    if let Some(conversion) = given(configuration, "DataFormatConversionConfiguration") {
        let mut conversion = conversion.clone();
        conversion["Enabled"] = json!(flag(&conversion, "Enabled") != Some(false));
        members.insert("DataFormatConversionConfiguration".to_owned(), conversion);
    }
    if let Some(partitioning) = given(configuration, "DynamicPartitioningConfiguration") {
        let retry = given_at(partitioning, &["RetryOptions", "DurationInSeconds"]).cloned();
        let mut described = json!({
            "RetryOptions": {"DurationInSeconds": retry.unwrap_or_else(|| json!(300))},
            "Enabled": flag(partitioning, "Enabled").unwrap_or(false),
        });
        for extension in ["MaxActivePartitions", "MaxWaitingMBs"] {
            if let Some(value) = given(partitioning, extension) {
                described[extension] = value.clone();
            }
        }
        members.insert("DynamicPartitioningConfiguration".to_owned(), described);
    }
    for name in ["FileExtension", "CustomTimeZone", "TargetObjectSizeInMBs"] {
        echo(configuration, name, members);
    }
    described
}

fn echo(from: &Value, name: &str, to: &mut Map<String, Value>) {
    if let Some(value) = given(from, name) {
        to.insert(name.to_owned(), value.clone());
    }
}

/// Processors as the service keeps them: a Lambda's parameters in its order, with defaults.
fn processing_described(processing: &Value, role: Option<&Value>) -> Value {
    let processors: Vec<_> = items(processing, "Processors")
        .iter()
        .map(|processor| match text(processor, "Type") {
            Some("Lambda") => lambda_described(processor, role.and_then(Value::as_str).unwrap_or_default()),
            _ => {
                let mut processor = processor.clone();
                if given(&processor, "Parameters").is_none() {
                    processor["Parameters"] = json!([]);
                }
                processor
            }
        })
        .collect();
    json!({"Enabled": flag(processing, "Enabled").unwrap_or(false), "Processors": processors})
}

fn lambda_described(processor: &Value, role: &str) -> Value {
    let stored = [
        ("LambdaArn", None),
        ("NumberOfRetries", Some("3")),
        ("RoleArn", Some(role)),
        ("BufferSizeInMBs", Some("1")),
        ("BufferIntervalInSeconds", Some("60")),
    ];
    let parameters = parameters(processor);
    let value = |name: &str| parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let known = stored.iter().filter_map(|(name, default)| Some((*name, value(name).or(*default)?)));
    let others = parameters.iter().filter(|(name, _)| !stored.iter().any(|(known, _)| known == name)).copied();
    let list: Vec<_> =
        known.chain(others).map(|(name, value)| json!({"ParameterName": name, "ParameterValue": value})).collect();
    json!({"Type": "Lambda", "Parameters": list})
}
