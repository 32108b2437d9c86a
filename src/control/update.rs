//! UpdateDestination: the stored request and the update make a new one, which must pass all rules of a creation and
//! becomes the next revision. Refused, it changes nothing. The data plane adopts it at the next cut.

use super::files::{self, WantedBy};
use super::members::text;
use super::model::UPDATE;
use super::{Control, Plan, describe, extensions, merge, plan, secrets};
use crate::catalog::{CatalogError, Redefinition, Status, StreamRecord};
use crate::wire::{ApiError, check, without_nulls};
use serde_json::{Value, json};
use std::sync::Arc;

/// The operation. Of updates that name the same version one is done.
pub fn update(control: &Control, request: Value) -> Result<Value, ApiError> {
    check(&UPDATE, &request, control.rules.compatibility).finish()?;
    let request = without_nulls(request);
    let given = |member| text(&request, member).unwrap_or_default();
    let (name, version) = (given("DeliveryStreamName"), given("CurrentDeliveryStreamVersionId"));
    let refused = |error| control.catalog_error(name, error);
    let row = control.catalog.find(name).ok_or_else(|| refused(CatalogError::Unknown(name.to_owned())))?;
    if row.status != Status::Active {
        return Err(refused(CatalogError::Deleting(name.to_owned())));
    }
    let current = row.definition.revision.to_string();
    if version != current {
        return Err(ApiError::concurrent_modification(name, &current, version));
    }
    let id = given("DestinationId");
    if id != describe::DESTINATION_ID {
        return Err(ApiError::destination_not_found(id));
    }
    let update = merge::update_of(&request)?;
    extensions::refuse_overridden(&row.tags, update.members, &describe::destination(&row.request))?;
    let mut merged = merge::merged(&row.request, update)?;
    merge::check_switches(&row.request, &merged)?;
    let kept = secrets::take_kept(&mut merged, &row.request);
    let plan = secrets::hide(control, plan::replan(&control.rules, &row, merged)?, kept)?;
    redefine(control, &row, plan, WantedBy::Request)?;
    Ok(json!({}))
}

/// Makes `plan`, its secrets hidden, the next revision of the stream of `row`.
pub fn redefine(
    control: &Control,
    row: &StreamRecord,
    plan: Plan,
    wanted_by: WantedBy,
) -> Result<Arc<StreamRecord>, ApiError> {
    let name = &row.definition.name;
    files::check(control, &plan.definition, Some(&row.definition), wanted_by)?;
    let new = Redefinition {
        definition: plan.definition,
        request: plan.request,
        tags: plan.tags,
        updated_ms: control.clock.wall_ms(),
    };
    let stored = control.catalog.redefine(new).map_err(|error| control.catalog_error(name.as_str(), error))?;
    tracing::info!(stream = %name, version = stored.definition.revision, "stream updated; its next cut uses that");
    Ok(stored)
}
