//! Secrets of requests, hidden before a row is stored: neither the catalog nor Describe has them in the clear.
//!
//! A plan has its request as given; [`hide`] puts what `vault` makes of the secret in its place, there and in the
//! definition. An update that leaves a secret out keeps what is hidden, which nobody needs to see for that.

use super::rules::HTTP;
use super::{Control, Plan};
use crate::stream::definition::Hidden;
use crate::wire::ApiError;
use serde_json::Value;

/// Where the access key of an endpoint stands in a request.
const ACCESS_KEY: &str = "/HttpEndpointDestinationConfiguration/EndpointConfiguration/AccessKey";

/// Takes the secret out of `merged`, a stored request with an update, if it is still that of the stored one.
pub fn take_kept(merged: &mut Value, stored: &Value) -> Option<Hidden> {
    let kept = stored.pointer(ACCESS_KEY)?.as_str()?;
    if merged.pointer(ACCESS_KEY)?.as_str()? != kept || kept.is_empty() {
        return None;
    }
    let endpoint = merged.get_mut(HTTP)?.get_mut("EndpointConfiguration")?.as_object_mut()?;
    endpoint.shift_remove("AccessKey");
    Some(Hidden(kept.to_owned()))
}

/// Hides the secret of a plan; `kept` is one that is hidden already. Blocks on the disk.
pub fn hide(control: &Control, mut plan: Plan, kept: Option<Hidden>) -> Result<Plan, ApiError> {
    let given = plan.request.pointer(ACCESS_KEY).and_then(Value::as_str).filter(|key| !key.is_empty());
    let hidden = match (given, kept) {
        (Some(key), _) => control.folders.vault.hide(key).map_err(|error| {
            tracing::error!(%error, "a secret could not be hidden");
            ApiError::internal_failure(format!("The access key cannot be kept: {error}"))
        })?,
        (None, Some(kept)) => kept,
        (None, None) => return Ok(plan),
    };
    if let Some(http) = &mut plan.definition.http {
        plan.request[HTTP]["EndpointConfiguration"]["AccessKey"] = Value::from(hidden.0.as_str());
        http.access_key = Some(hidden);
    }
    Ok(plan)
}
