//! From a CreateDeliveryStream request to the stream it asks for. Pure: nothing is looked up, nothing is stored.

use super::Rules;
use super::defaults::Defaults;
use super::extensions::{self, Unplaced};
use super::members::{given, items, number, text};
use super::model::CREATE;
use super::rules::{self, HTTP, REDSHIFT, SERVED, conversion};
use super::stages::{convert_spec, processors, transform};
use super::targets::{check_keys, http_target, redshift_target, s3_target};
use crate::catalog::StreamRecord;
use crate::stage::convert;
use crate::stream::definition::*;
use crate::stream::{Id128, Incarnation, StreamName};
use crate::wire::{ApiError, Findings, check, without_nulls};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const MIB: u64 = 1 << 20;

/// A stream to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the data plane acts on.
    pub definition: Definition,
    /// The request's members without name and tags, as given.
    pub request: Value,
    /// Tags, extension members among them.
    pub tags: BTreeMap<String, String>,
}

/// Checks `request` and resolves everything it leaves out.
pub fn plan(rules: &Rules, incarnation: Incarnation, request: Value) -> Result<Plan, ApiError> {
    check(&CREATE, &request, rules.compatibility).finish()?;
    let request = without_nulls(request);
    let tags = tags(&request)?;
    resolve(rules, &Defaults::of(rules), incarnation, request, tags, Unplaced::Refused)
}

/// All that [`plan`] could refuse `request` for, as far as one thing does not follow from another; none: it plans it.
pub fn problems(rules: &Rules, request: &Value) -> Vec<ApiError> {
    let Findings { serialization, unknown, violations } = check(&CREATE, request, rules.compatibility);
    // A rule would take what is missing or of another type for something that nobody wants, and a misspelt name is
    // usually why a member is missing.
    let is_missing = |sentence: &String| sentence.ends_with("Member must not be null");
    let mut violations = violations.into_sentences();
    let judges = serialization.is_none() && !violations.iter().any(is_missing);
    if !unknown.is_empty() {
        violations.retain(|sentence| !is_missing(sentence));
    }
    let mut found: Vec<_> = serialization.into_iter().map(ApiError::serialization).collect();
    found.extend(unknown.into_iter().map(ApiError::invalid_argument));
    found.extend(violations.into_iter().map(ApiError::validation));
    let request = without_nulls(request.clone());
    if judges {
        let effective = tags(&request).and_then(|tags| with_tags(rules, &request, &tags, Unplaced::Refused));
        let effective = effective.unwrap_or_else(|_| request.clone());
        if found.is_empty() || rules::DESTINATIONS.iter().any(|name| given(&effective, name).is_some()) {
            found.extend(rules::problems(rules, &effective));
        }
        if let Some((destination, within)) = s3_configuration(&effective) {
            let name = text(&effective, "DeliveryStreamName").unwrap_or_default();
            found.extend(check_keys(name, &s3_target(destination), within).err());
        }
    }
    if found.is_empty() {
        found.extend(plan(rules, Id128([0; 16]), request).err());
    }
    if found.iter().any(|error| error.message.contains("oleARN' failed")) {
        found.retain(|error| *error != ApiError::invalid_role());
    }
    let mut told = BTreeSet::new();
    found.retain(|error| told.insert(error.message.clone()));
    found
}

/// The next revision of the stream of `row`, whose request, without name and tags, is now `request`. Its tags hold on,
/// those excepted whose place the update took away.
pub fn replan(rules: &Rules, row: &StreamRecord, mut request: Value) -> Result<Plan, ApiError> {
    let (before, tags) = (&row.definition, &row.tags);
    let defaults = Defaults::kept(rules, before, &row.request);
    let resolve = |request, tags| resolve(rules, &defaults, before.incarnation, request, tags, Unplaced::Rests);
    request["DeliveryStreamName"] = Value::from(before.name.as_str());
    check(&CREATE, &request, rules.compatibility).finish()?;
    let planned = resolve(request.clone(), tags.clone());
    let mut plan = planned.map_err(|error| {
        // Whoever reads "must be UNCOMPRESSED" of a stream that is described so has forgotten its tag.
        let is_of_tags = resolve(request, BTreeMap::new()).is_ok();
        let names: Vec<_> = tags.keys().filter(|key| key.starts_with(extensions::TAG_PREFIX)).cloned().collect();
        let hint = format!(" The stream's tags count as members: {}.", names.join(", "));
        ApiError { message: error.message + if is_of_tags { &hint } else { "" }, ..error }
    })?;
    plan.definition.follow(before);
    Ok(plan)
}

fn resolve(
    rules: &Rules,
    defaults: &Defaults,
    incarnation: Incarnation,
    mut request: Value,
    tags: BTreeMap<String, String>,
    unplaced: Unplaced,
) -> Result<Plan, ApiError> {
    let effective = with_tags(rules, &request, &tags, unplaced)?;
    rules::check(rules, &effective)?;
    let definition = definition(rules, defaults, incarnation, &effective)?;
    if let Some(members) = request.as_object_mut() {
        // `shift_remove`, so that the others keep their order.
        members.shift_remove("DeliveryStreamName");
        members.shift_remove("Tags");
    }
    Ok(Plan { definition, request, tags })
}

fn tags(request: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in items(request, "Tags") {
        let key = text(tag, "Key").unwrap_or_default();
        if tags.insert(key.to_owned(), text(tag, "Value").unwrap_or_default().to_owned()).is_some() {
            return Err(ApiError::invalid_argument(format!("The tag key '{key}' is given more than once.")));
        }
    }
    Ok(tags)
}

/// The request with the extension tags applied, checked again if that changed anything.
fn with_tags(
    rules: &Rules,
    request: &Value,
    tags: &BTreeMap<String, String>,
    unplaced: Unplaced,
) -> Result<Value, ApiError> {
    let mut effective = request.clone();
    let destination = effective.as_object_mut().and_then(|members| {
        // Other destinations are refused by name and nothing in them is looked at, not even its type.
        let name = SERVED.into_iter().find(|name| members.contains_key(*name))?;
        members.get_mut(name)
    });
    if let Some(destination) = destination
        && extensions::apply_tags(tags, destination, unplaced)?
    {
        check(&CREATE, &effective, rules.compatibility).finish()?;
    }
    Ok(effective)
}

/// Resolves a request that passed every rule. What conversion could not act upon is refused here, not at a cut.
fn definition(
    rules: &Rules,
    defaults: &Defaults,
    incarnation: Incarnation,
    request: &Value,
) -> Result<Definition, ApiError> {
    // The model and the rules have seen to both; should they ever not, the request is refused, not the process ended.
    let broken = |what: &str| ApiError::internal_failure(format!("A checked request has no valid {what}."));
    let name: StreamName = text(request, "DeliveryStreamName")
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| broken("DeliveryStreamName"))?;
    let destination = SERVED.iter().find_map(|member| given(request, member)).ok_or_else(|| broken("destination"))?;
    let (configuration, within) = s3_configuration(request).ok_or_else(|| broken("S3Configuration"))?;
    let convert = conversion::enabled(destination).map(|conversion| convert_spec(defaults, conversion));
    if let Some(spec) = &convert {
        convert::check_options(spec).map_err(|error| ApiError::invalid_argument(error.to_string()))?;
    }
    let s3 = s3_target(configuration);
    check_keys(name.as_str(), &s3, within)?;
    let backup = backup(destination);
    if let Some(backup) = &backup {
        check_keys(name.as_str(), &backup.s3, "S3BackupConfiguration.")?;
    }
    let redshift = given(request, REDSHIFT).map(|cluster| redshift_target(cluster, name.as_str()));
    Ok(Definition {
        incarnation,
        revision: 1,
        arn: rules.stream_arn(name.as_str()),
        name,
        // Of objects that are loaded, S3Configuration says when they are cut.
        hints: hints(
            if given(request, REDSHIFT).is_some() { configuration } else { destination },
            convert.is_some() || rules::is_partitioned(destination),
        ),
        s3,
        http: given(request, HTTP).map(http_target),
        redshift,
        processors: processors(destination),
        transform: transform(destination),
        convert,
        target_object_bytes: number(destination, "TargetObjectSizeInMBs").map(|mib| mib * MIB),
        backup,
        partitioning: partitioning(defaults, destination),
    })
}

/// MaxWaitingMBs where none is given.
const DEFAULT_MAX_WAITING_MIB: u64 = 4096;

/// Dynamic partitioning, when enabled.
fn partitioning(defaults: &Defaults, destination: &Value) -> Option<PartitioningSpec> {
    let configuration = given(destination, "DynamicPartitioningConfiguration")?;
    rules::is_partitioned(destination).then(|| PartitioningSpec {
        query: given(destination, "ProcessingConfiguration").and_then(rules::query_text).map(str::to_owned),
        max_active: number(configuration, "MaxActivePartitions").or(defaults.max_active),
        max_waiting_bytes: number(configuration, "MaxWaitingMBs").unwrap_or(DEFAULT_MAX_WAITING_MIB) * MIB,
    })
}

/// S3BackupConfiguration, where S3BackupMode has it used; of an endpoint, S3Configuration.
fn backup(destination: &Value) -> Option<BackupSpec> {
    let configuration = match text(destination, "S3BackupMode")? {
        "Enabled" => given(destination, "S3BackupConfiguration")?,
        "AllData" => given(destination, "S3Configuration")?,
        _ => return None,
    };
    Some(BackupSpec { hints: hints(configuration, false), s3: s3_target(configuration), since_revision: 1 })
}

/// Where the objects of a stream are configured, and the name of the structure for messages: the destination itself, the
/// error area of an endpoint, or where objects that are loaded are staged.
fn s3_configuration(request: &Value) -> Option<(&Value, &'static str)> {
    match given(request, HTTP).or_else(|| given(request, REDSHIFT)) {
        Some(beyond) => Some((given(beyond, "S3Configuration")?, "S3Configuration.")),
        None => Some((SERVED.iter().find_map(|member| given(request, member))?, "")),
    }
}

/// BufferingHints with the service's defaults: 5 MiB or, with conversion or dynamic partitioning, 128 MiB; 300 s.
fn hints(destination: &Value, is_large: bool) -> Hints {
    let hint = |name| given(destination, "BufferingHints").and_then(|hints| number(hints, name));
    Hints {
        size_bytes: hint("SizeInMBs").unwrap_or(default_size_mib(is_large)) * MIB,
        interval_ms: hint("IntervalInSeconds").unwrap_or(DEFAULT_INTERVAL_S) * 1000,
    }
}

/// IntervalInSeconds where none is given.
pub const DEFAULT_INTERVAL_S: u64 = 300;

/// SizeInMBs where none is given; `is_large` with conversion or dynamic partitioning.
pub fn default_size_mib(is_large: bool) -> u64 {
    if is_large { 128 } else { 5 }
}
