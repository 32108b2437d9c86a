//! CreateDeliveryStream, and making sure of a stream that the configuration file lists.

use super::{Control, Plan, describe, plan};
use crate::catalog::{Status, StreamRecord};
use crate::fault::{Class, Fault};
use crate::schemas::{LoadError, LookupError};
use crate::stage::convert;
use crate::stage::transform;
use crate::stream::Id128;
use crate::stream::definition::{ConvertSpec, TransformSpec};
use crate::wire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// What [`Control::ensure`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was missing and is there now.
    Created,
    /// It was there, with these settings.
    Present,
    /// It is there but being deleted, which goes on once the service runs; so this is no reason not to start.
    Deleting,
}

/// The operation. The stream is ACTIVE once this returns.
pub fn create(control: &Control, request: Value) -> Result<Value, ApiError> {
    let plan = plan(&control.rules, Id128::random(), request)?;
    let record = store(control, plan, WantedBy::Request)?;
    Ok(json!({"DeliveryStreamARN": record.definition.arn}))
}

/// Who wants a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WantedBy {
    /// A request, which waits for Glue and is refused without it.
    Request,
    /// The configuration of a service that starts, and does so whatever Glue does.
    Configuration,
}

fn store(control: &Control, plan: Plan, wanted_by: WantedBy) -> Result<Arc<StreamRecord>, ApiError> {
    let name = plan.definition.name.clone();
    if let Some(convert) = &plan.definition.convert {
        check_schema(control, name.as_str(), convert, wanted_by)?;
    }
    if let Some(transform) = &plan.definition.transform {
        check_transform(control, transform)?;
    }
    let record = StreamRecord {
        definition: Arc::new(plan.definition),
        status: Status::Active,
        created_ms: control.clock.wall_ms(),
        updated_ms: None,
        request: plan.request,
        tags: plan.tags,
    };
    let stored = control
        .catalog
        .create(record, control.rules.stream_quota())
        .map_err(|error| control.catalog_error(name.as_str(), error))?;
    tracing::info!(stream = %name, incarnation = %stored.definition.incarnation, "stream created");
    Ok(stored)
}

/// Refuses a table that cannot be converted to. A file that is not there yet may come before the first cut, unless Glue
/// is to have the table and a request wants the stream.
fn check_schema(control: &Control, name: &str, convert: &ConvertSpec, wanted_by: WantedBy) -> Result<(), ApiError> {
    if convert.schema.is_inferred() {
        return convert::check_inferred(convert).map_err(|error| ApiError::invalid_argument(error.to_string()));
    }
    let invalid =
        |why: String| Err(ApiError::invalid_argument(format!("The schema in SchemaConfiguration is invalid: {why}")));
    let schemas = &control.folders.schemas;
    let looked = match wanted_by {
        WantedBy::Request => schemas.newest(&convert.schema),
        WantedBy::Configuration => schemas.current(&convert.schema),
    };
    match looked {
        Ok(found) => convert::check(convert, &found.schema).or_else(|error| invalid(error.to_string())),
        Err(LookupError::Folder(error)) if matches!(*error, LoadError::Missing { .. }) => Ok(()),
        Err(error @ LookupError::Glue { .. }) if wanted_by == WantedBy::Configuration => {
            // Where Glue has failed, it has said so in the log; here it may just not have answered yet.
            tracing::info!(stream = name, %error, "the stream is made unchecked; its records wait until Glue tells the table");
            Ok(())
        }
        Err(LookupError::Glue { database, table, error }) if error.class() != Class::User => {
            Err(ApiError::invalid_argument(format!(
                "The schema in SchemaConfiguration cannot be looked up: {error}. Try again once AWS Glue answers, or put \
                 {database}.{table}.sql into the schemas folder."
            )))
        }
        Err(error) => invalid(error.to_string()),
    }
}

/// Refuses a file that is no transform. One that is not there yet may come before the first cut.
fn check_transform(control: &Control, spec: &TransformSpec) -> Result<(), ApiError> {
    match control.folders.transforms.examine(spec) {
        Ok(()) | Err(transform::LoadError::NotFound(_)) => Ok(()),
        Err(error) => {
            let file = transform::file_name(spec).unwrap_or_else(|_| spec.function.clone());
            Err(ApiError::invalid_argument(format!("The transform {file} that LambdaArn names is invalid: {error}")))
        }
    }
}

/// Creates the stream if it is missing; an existing one must have the same settings.
pub fn ensure(control: &Control, request: Value) -> Result<Ensured, ApiError> {
    let plan = plan(&control.rules, Id128::random(), request)?;
    let name = plan.definition.name.clone();
    let Some(existing) = control.catalog.find(name.as_str()) else {
        store(control, plan, WantedBy::Configuration)?;
        return Ok(Ensured::Created);
    };
    if existing.status != Status::Active {
        tracing::warn!(stream = %name, "the configuration lists a stream that is being deleted; a start after its end makes it again");
        return Ok(Ensured::Deleting);
    }
    let settings = |request: &Value, tags: &_| json!({"request": describe::settings(request), "Tags": tags});
    let (stored, wanted) = (settings(&existing.request, &existing.tags), settings(&plan.request, &plan.tags));
    match difference(&stored, &wanted, "") {
        None => Ok(Ensured::Present),
        Some(difference) => Err(ApiError::resource_in_use(format!(
            "The stream {name} exists with other settings: {difference}. Definitions cannot be changed yet: make both \
             the same, or delete the stream first."
        ))),
    }
}

/// The first place at which two settings differ, in words.
fn difference(stored: &Value, wanted: &Value, path: &str) -> Option<String> {
    if stored == wanted {
        return None;
    }
    if let (Value::Object(old), Value::Object(new)) = (stored, wanted) {
        return old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).find_map(|key| {
            let at = if path.is_empty() || path == "request" { key.clone() } else { format!("{path}.{key}") };
            difference(old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null), &at)
        });
    }
    let show = |value: &Value| if value.is_null() { "not set".to_owned() } else { value.to_string() };
    Some(format!("{path} is {} there and {} here", show(stored), show(wanted)))
}
