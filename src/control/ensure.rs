//! Making sure of a stream that the configuration file lists. The file is the truth: what it says otherwise than the
//! catalog, because it was edited or the stream was updated through the API, becomes the stream's next revision.

use super::files::WantedBy;
use super::{Control, create, describe, merge, plan, secrets, update};
use crate::catalog::Status;
use crate::stream::Id128;
use crate::stream::definition::Definition;
use crate::wire::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What [`Control::ensure`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was missing and is there now.
    Created,
    /// It was there, with these settings.
    Present,
    /// It was there with other settings and has these now.
    Updated,
    /// It is there but being deleted, which goes on once the service runs; so this is no reason not to start.
    Deleting,
}

/// Creates the stream if it is missing, and gives an existing one these settings.
pub fn ensure(control: &Control, request: Value) -> Result<Ensured, ApiError> {
    let mut plan = secrets::hide(control, plan(&control.rules, Id128::random(), request)?, None)?;
    let name = plan.definition.name.clone();
    let Some(existing) = control.catalog.find(name.as_str()) else {
        create::store(control, plan, WantedBy::Configuration)?;
        return Ok(Ensured::Created);
    };
    if existing.status != Status::Active {
        tracing::warn!(stream = %name, "the configuration lists a stream that is being deleted; a start after its end makes it again");
        return Ok(Ensured::Deleting);
    }
    let settings = |request: &Value, tags: &_| json!({"": describe::settings(request), "Tags": tags});
    let (stored, wanted) = (settings(&existing.request, &existing.tags), settings(&plan.request, &plan.tags));
    let mut differences = BTreeSet::new();
    note_differences(&stored, &wanted, "", &mut differences);
    // Empty structures that decide, and defaults that come from the service's own settings.
    if differences.is_empty() && !resolves_to(&plan.definition, &existing.definition) {
        differences.insert("what they resolve to".to_owned());
    }
    if differences.is_empty() {
        return Ok(Ensured::Present);
    }
    merge::check_switches(&existing.request, &plan.request).map_err(|error| {
        ApiError::invalid_argument(format!(
            "{} The stream {name} has it otherwise than the configuration: make both the same, or delete the stream \
             first.",
            error.message
        ))
    })?;
    plan.definition.follow(&existing.definition);
    // Names alone: among the values are variables of transforms.
    let changed = differences.into_iter().collect::<Vec<_>>().join(", ");
    update::redefine(control, &existing, plan, WantedBy::Configuration)?;
    tracing::warn!(stream = %name, changed, "the stream had other settings than the configuration, which counts");
    Ok(Ensured::Updated)
}

/// Whether the data plane would act as it does.
fn resolves_to(planned: &Definition, existing: &Definition) -> bool {
    let mut planned = planned.clone();
    planned.follow(existing);
    planned.revision = existing.revision;
    planned == *existing
}

/// Adds the names of the members that differ, without those of the descriptions around them.
fn note_differences(stored: &Value, wanted: &Value, path: &str, differences: &mut BTreeSet<String>) {
    if stored == wanted {
        return;
    }
    let nothing = serde_json::Map::new();
    let members = |value: &Value| value.as_object().cloned();
    let (old, new) = match (members(stored), members(wanted)) {
        (Some(old), Some(new)) => (old, new),
        (Some(old), None) if wanted.is_null() => (old, nothing),
        (None, Some(new)) if stored.is_null() => (nothing, new),
        _ => {
            differences.insert(path.to_owned());
            return;
        }
    };
    for key in old.keys().chain(new.keys()) {
        let at = match path {
            _ if key.is_empty() || key.ends_with("DestinationDescription") => String::new(),
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let member = |of: &serde_json::Map<String, Value>| of.get(key).cloned().unwrap_or_default();
        note_differences(&member(&old), &member(&new), &at, differences);
    }
}
