//! ListDeliveryStreams: names in order, a page at a time.

use super::Control;
use super::members::{number, text};
use super::model::LIST;
use crate::wire::{ApiError, check};
use serde_json::{Value, json};

/// Names on a page where Limit is not given.
const DEFAULT_LIMIT: u64 = 10;

/// The operation. The start name need not exist; streams being deleted are listed.
pub fn list(control: &Control, request: Value) -> Result<Value, ApiError> {
    check(&LIST, &request, control.rules.compatibility).finish()?;
    let after = text(&request, "ExclusiveStartDeliveryStreamName").unwrap_or_default();
    let limit = usize::try_from(number(&request, "Limit").unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    // Every stream is of this type so far.
    let asked = matches!(text(&request, "DeliveryStreamType"), None | Some("DirectPut"));
    let rows = if asked { control.catalog.all() } else { Vec::new() };
    let mut names = rows.iter().map(|row| row.definition.name.as_str()).filter(|name| *name > after);
    let page: Vec<_> = names.by_ref().take(limit).collect();
    Ok(json!({"DeliveryStreamNames": page, "HasMoreDeliveryStreams": names.next().is_some()}))
}
