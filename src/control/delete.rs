//! DeleteDeliveryStream: marks the stream; the data plane empties it and takes the row away.

use super::Control;
use super::members::{flag, text};
use super::model::DELETE;
use crate::wire::{ApiError, check};
use serde_json::{Value, json};

/// The operation. Deleting what is being deleted is fine, and the way to add AllowForceDelete.
pub fn delete(control: &Control, request: Value) -> Result<Value, ApiError> {
    check(&DELETE, &request, control.rules.compatibility).finish()?;
    let name = text(&request, "DeliveryStreamName").unwrap_or_default();
    let force = flag(&request, "AllowForceDelete").unwrap_or(false);
    control.catalog.mark_deleting(name, force).map_err(|error| control.catalog_error(name, error))?;
    tracing::info!(stream = name, force, "stream is being deleted");
    Ok(json!({}))
}
