//! Secrets of requests, hidden before a row is stored: neither the catalog nor Describe has them in the clear.
//!
//! A plan has its request as given; [`hide`] puts what `vault` makes of the secret in its place, there and in the
//! definition. An update that leaves a secret out keeps what is hidden, which nobody needs to see for that.

use super::{Control, Plan};
use crate::stream::definition::Hidden;
use crate::wire::ApiError;
use serde_json::Value;

/// Where secrets stand in a request, and what they are called. A stream has one destination, and so one of them.
const PLACES: [(&str, &str); 2] = [
    ("/HttpEndpointDestinationConfiguration/EndpointConfiguration/AccessKey", "access key"),
    ("/RedshiftDestinationConfiguration/Password", "password"),
];

/// Stands in a request for a secret that is kept; what is hidden is longer than the secret may be.
const KEPT: &str = "(kept)";

fn filled<'a>(request: &'a Value, place: &str) -> Option<&'a str> {
    request.pointer(place)?.as_str().filter(|text| !text.is_empty())
}

/// Takes the secret out of `merged`, a stored request with an update, if it is still that of the stored one.
pub fn take_kept(merged: &mut Value, stored: &Value) -> Option<Hidden> {
    for (place, _) in PLACES {
        if let Some(kept) = filled(stored, place)
            && filled(merged, place) == Some(kept)
        {
            *merged.pointer_mut(place)? = Value::from(KEPT);
            return Some(Hidden(kept.to_owned()));
        }
    }
    None
}

/// Hides the secret of a plan; `kept` is one that is hidden already. Blocks on the disk.
pub fn hide(control: &Control, mut plan: Plan, kept: Option<Hidden>) -> Result<Plan, ApiError> {
    for (place, what) in PLACES {
        let Some(given) = filled(&plan.request, place) else { continue };
        let hidden = match &kept {
            Some(kept) => kept.clone(),
            None => control.folders.vault.hide(given).map_err(|error| {
                tracing::error!(%error, "a secret could not be hidden");
                ApiError::internal_failure(format!("The {what} cannot be kept: {error}"))
            })?,
        };
        if let Some(member) = plan.request.pointer_mut(place) {
            *member = Value::from(hidden.0.as_str());
        }
        if let Some(http) = &mut plan.definition.http {
            http.access_key = Some(hidden);
        } else if let Some(redshift) = &mut plan.definition.redshift {
            redshift.password = Some(hidden);
        }
    }
    Ok(plan)
}
