//! CreateDeliveryStream.

use super::files::{self, WantedBy};
use super::{Control, Plan, plan, secrets};
use crate::catalog::{Status, StreamRecord};
use crate::stream::Id128;
use crate::wire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The operation. The stream is ACTIVE once this returns.
pub fn create(control: &Control, request: Value) -> Result<Value, ApiError> {
    let plan = plan(&control.rules, Id128::random(), request)?;
    let record = store(control, secrets::hide(control, plan, None)?, WantedBy::Request)?;
    Ok(json!({"DeliveryStreamARN": record.definition.arn}))
}

/// Makes the stream that `plan` says, its secrets hidden.
pub fn store(control: &Control, plan: Plan, wanted_by: WantedBy) -> Result<Arc<StreamRecord>, ApiError> {
    let name = plan.definition.name.clone();
    files::check(control, &plan.definition, None, wanted_by)?;
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
