//! Tests of the control plane, by what they look at.

mod conversion_messages;
mod definitions;
mod described;
mod http;
mod listed_members;
mod messages;
mod operations;
mod prefix_messages;
mod processing_messages;
mod proptests;
mod redshift;
mod update_defaults;
mod update_proptests;
mod update_refusals;
mod update_tags;
mod updates;

use super::*;
use crate::clock::Clock;
use crate::disk::RealDisk;
use crate::schemas::Glue;
use crate::stage::transform::TransformLimits;
use crate::stream::Id128;
use crate::stream::definition::Definition;
use serde_json::json;
use std::time::Duration;

pub const ROLE: &str = "arn:aws:iam::000000000000:role/firehose";
pub const LAMBDA: &str = "arn:aws:lambda:us-east-1:000000000000:function:mask:2";

/// An extended S3 destination with the required members and those of `more`.
pub fn extended(more: Value) -> Value {
    let mut destination = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::hydrant"});
    merge(&mut destination, more);
    json!({"DeliveryStreamName": "s", "ExtendedS3DestinationConfiguration": destination})
}

/// An extended S3 destination with a Lambda processor of these parameters.
pub fn lambda(parameters: &[(&str, &str)]) -> Value {
    processors(json!([processor("Lambda", parameters)]))
}

pub fn processor(kind: &str, parameters: &[(&str, &str)]) -> Value {
    let list: Vec<_> =
        parameters.iter().map(|(name, value)| json!({"ParameterName": name, "ParameterValue": value})).collect();
    json!({"Type": kind, "Parameters": list})
}

pub fn processors(list: Value) -> Value {
    extended(json!({"ProcessingConfiguration": {"Enabled": true, "Processors": list}}))
}

/// A complete conversion, with the members of `more` put over it.
pub fn conversion(more: Value) -> Value {
    let mut conversion = json!({
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "db", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    });
    merge(&mut conversion, more);
    extended(json!({"DataFormatConversionConfiguration": conversion}))
}

/// Puts the members of `more` into `into`, objects member by member; null takes a member away.
pub fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                match value {
                    Value::Null => drop(into.shift_remove(&name)),
                    value => merge(into.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (into, more) => *into = more,
    }
}

pub fn with_tags(mut request: Value, tags: &[(&str, &str)]) -> Value {
    request["Tags"] = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    request
}

pub fn relaxed() -> Rules {
    Rules::default()
}

pub fn strict() -> Rules {
    Rules { compatibility: Compatibility::Strict, ..Rules::default() }
}

pub fn planned(request: Value) -> Definition {
    plan(&relaxed(), Id128([1; 16]), request.clone()).unwrap_or_else(|error| panic!("{error}: {request}")).definition
}

/// `ok`, or the error's type and message.
pub fn outcome(rules: &Rules, request: &Value) -> String {
    match plan(rules, Id128([1; 16]), request.clone()) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// A wall clock that tests set.
#[derive(Debug)]
pub struct FixedClock(pub i64);

impl Clock for FixedClock {
    fn wall_ms(&self) -> i64 {
        self.0
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A control plane over an empty catalog in a folder that lives as long as the first value.
pub fn control(rules: Rules) -> (tempfile::TempDir, Arc<Catalog>, Control) {
    control_with_glue(rules, None)
}

/// As [`control`], with tables of AWS Glue.
pub fn control_with_glue(rules: Rules, glue: Option<Arc<Glue>>) -> (tempfile::TempDir, Arc<Catalog>, Control) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Catalog::open(Arc::new(RealDisk), dir.path().join("catalog")).unwrap());
    let schemas = Arc::new(Schemas::new(dir.path().join("schemas"), glue));
    let transforms = TransformFolder::new(dir.path().join("transforms"), TransformLimits::default()).unwrap();
    let vault = Arc::new(Vault::new(Arc::new(RealDisk), dir.path().join("secrets.key")));
    let folders = Folders { schemas, transforms: Arc::new(transforms), vault };
    let control = Control::new(catalog.clone(), Arc::new(FixedClock(1_700_000_000_250)), rules, folders);
    (dir, catalog, control)
}

/// One operation, waited for.
pub fn call(control: &Control, operation: &str, request: Value) -> Result<Value, ApiError> {
    let body = request.to_string();
    let answer = block_on(control.handle(operation, body.as_bytes()))?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}
