//! What Hydrant accepts and the service lacks: one table.
//!
//! Extensions are extra values or members, never changed meanings. SDKs refuse unknown members, and tools compare what
//! Describe returns with what they sent; so each can also be given at creation as a tag `hydrant:<name>`, which wins
//! over the member and is not echoed as one.

use super::members::{given, items, text};
use crate::wire::{ApiError, nearest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What tags of extensions begin with.
pub const TAG_PREFIX: &str = "hydrant:";

/// CompressionFormat beyond the service's.
pub const COMPRESSION_FORMATS: &[&str] = &["ZSTD"];
/// ParquetSerDe's Compression beyond the service's.
pub const PARQUET_COMPRESSIONS: &[&str] = &["ZSTD", "LZ4_RAW"];
/// ParquetSerDe's TimestampType, which the service does not have.
pub const TIMESTAMP_TYPES: &[&str] = &["INT64", "INT96"];
/// HttpEndpointDestinationConfiguration's RequestFormat, which the service does not have.
pub const REQUEST_FORMATS: &[&str] = &["FIREHOSE", "NDJSON", "JSON_ARRAY"];
/// RedshiftDestinationConfiguration's LoadMethod, which the service does not have.
pub const LOAD_METHODS: &[&str] = &["COPY", "COPY_FROM_STDIN"];
/// Parameters of a Lambda processor beyond the service's: limits of the transform, and variables handed to it.
pub const LAMBDA_PARAMETERS: &[&str] =
    &["TimeoutInSeconds", "MemoryInMBs", "FuelInMillions", "Stateless", "Variable.*"];

/// Where the value of a tag goes.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A string member of the destination.
    Text(&'static [&'static str]),
    /// A list of strings in the destination; in the tag they stand between spaces or commas.
    Texts(&'static [&'static str]),
    /// A whole number in the destination.
    Integer(&'static [&'static str]),
    /// A number in the destination.
    Number(&'static [&'static str]),
    /// A parameter of the Lambda processor.
    Parameter,
}

impl Place {
    /// Whether `destination` has what the tag is put into.
    fn is_in(self, destination: &Value) -> bool {
        match self {
            Self::Text(path) | Self::Texts(path) | Self::Integer(path) | Self::Number(path) => {
                let parents = path.iter().rev().skip(1).rev().filter(|parent| **parent != HINTS);
                parents.copied().try_fold(destination, |at, parent| given(at, parent)).is_some()
            }
            Self::Parameter => lambda(destination).is_some(),
        }
    }

    /// The value of the tag `key`, as a member has it.
    fn parsed(self, key: &str, value: &str) -> Result<Value, ApiError> {
        let must_be = |what| ApiError::invalid_argument(format!("The tag '{key}' must be a {what}, not '{value}'."));
        Ok(match self {
            Self::Text(_) | Self::Parameter => json!(value),
            // Commas are not among the characters of a tag that SDKs send.
            Self::Texts(_) => value.split([',', ' ']).filter(|text| !text.is_empty()).collect(),
            Self::Integer(_) => json!(value.parse::<i64>().map_err(|_| must_be("whole number"))?),
            Self::Number(_) => {
                let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
                json!(number.ok_or_else(|| must_be("number"))?)
            }
        })
    }

    /// What `destination`, in which the source backup has the name `backup`, says there.
    fn value(self, destination: &Value, backup: &str, name: &str) -> Option<Value> {
        match self {
            Self::Text(path) | Self::Texts(path) | Self::Integer(path) | Self::Number(path) => {
                let mut path = path.iter().map(|member| if *member == BACKUP { backup } else { member });
                path.try_fold(destination, |at, member| given(at, member)).cloned()
            }
            Self::Parameter => {
                let parameters = items(lambda(destination)?, "Parameters");
                let parameter = parameters.iter().find(|of| text(of, "ParameterName") == Some(name))?;
                given(parameter, "ParameterValue").cloned()
            }
        }
    }
}

/// The Lambda processor.
fn lambda(destination: &Value) -> Option<&Value> {
    let processing = given(destination, "ProcessingConfiguration")?;
    items(processing, "Processors").iter().find(|processor| text(processor, "Type") == Some("Lambda"))
}

/// The source backup; updates and descriptions have other names for it.
const BACKUP: &str = "S3BackupConfiguration";

/// The one structure that a tag makes if it is missing; others decide what the stream does.
const HINTS: &str = "BufferingHints";

const PARQUET: [&str; 4] =
    ["DataFormatConversionConfiguration", "OutputFormatConfiguration", "Serializer", "ParquetSerDe"];

/// Every extension that a tag can give. Limits that SDKs check by themselves are here too, so that a relaxed value
/// passes them.
const TABLE: &[(&str, Place)] = &[
    ("CompressionFormat", Place::Text(&["CompressionFormat"])),
    ("SizeInMBs", Place::Integer(&[HINTS, "SizeInMBs"])),
    ("IntervalInSeconds", Place::Integer(&[HINTS, "IntervalInSeconds"])),
    ("TargetObjectSizeInMBs", Place::Integer(&["TargetObjectSizeInMBs"])),
    ("UnknownFieldsColumn", Place::Text(&[PARQUET[0], "InputFormatConfiguration", "UnknownFieldsColumn"])),
    ("ParquetSerDe.Compression", Place::Text(&[PARQUET[0], PARQUET[1], PARQUET[2], PARQUET[3], "Compression"])),
    (
        "ParquetSerDe.BlockSizeBytes",
        Place::Integer(&[PARQUET[0], PARQUET[1], PARQUET[2], PARQUET[3], "BlockSizeBytes"]),
    ),
    ("ParquetSerDe.PageSizeBytes", Place::Integer(&[PARQUET[0], PARQUET[1], PARQUET[2], PARQUET[3], "PageSizeBytes"])),
    ("ParquetSerDe.TimestampType", Place::Text(&[PARQUET[0], PARQUET[1], PARQUET[2], PARQUET[3], "TimestampType"])),
    (
        "ParquetSerDe.BloomFilterColumns",
        Place::Texts(&[PARQUET[0], PARQUET[1], PARQUET[2], PARQUET[3], "BloomFilterColumns"]),
    ),
    (
        "ParquetSerDe.BloomFilterFalsePositiveProbability",
        Place::Number(&[PARQUET[0], PARQUET[1], PARQUET[2], PARQUET[3], "BloomFilterFalsePositiveProbability"]),
    ),
    ("S3BackupConfiguration.CompressionFormat", Place::Text(&[BACKUP, "CompressionFormat"])),
    ("MaxActivePartitions", Place::Integer(&["DynamicPartitioningConfiguration", "MaxActivePartitions"])),
    ("MaxWaitingMBs", Place::Integer(&["DynamicPartitioningConfiguration", "MaxWaitingMBs"])),
    ("RequestFormat", Place::Text(&["RequestFormat"])),
    ("LoadMethod", Place::Text(&["LoadMethod"])),
    ("LedgerTable", Place::Text(&["LedgerTable"])),
    ("TimeoutInSeconds", Place::Parameter),
    ("MemoryInMBs", Place::Parameter),
    ("FuelInMillions", Place::Parameter),
    ("Stateless", Place::Parameter),
    ("Variable.*", Place::Parameter),
];

/// The names a tag may have, without the prefix; `*` stands for any text.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

fn find(name: &str) -> Option<Place> {
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(start) => name.len() > start.len() && name.starts_with(start),
        None => name == known,
    };
    TABLE.iter().find(|(known, _)| fits(known)).map(|(_, place)| *place)
}

/// What becomes of a tag whose place is not there: a serializer's when nothing is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced {
    /// The request is refused.
    Refused,
    /// It has no effect until its place is there again.
    Rests,
}

/// Puts the extension tags among `tags` into `destination`. Returns whether there was any.
pub fn apply_tags(
    tags: &BTreeMap<String, String>,
    destination: &mut Value,
    unplaced: Unplaced,
) -> Result<bool, ApiError> {
    let mut any = false;
    for (key, value) in tags {
        let Some(name) = key.strip_prefix(TAG_PREFIX) else { continue };
        let place = find(name).ok_or_else(|| unknown(key, name))?;
        if unplaced == Unplaced::Rests && !place.is_in(destination) {
            continue;
        }
        let parsed = place.parsed(key, value)?;
        match place {
            Place::Text(path) | Place::Texts(path) | Place::Integer(path) | Place::Number(path) => {
                set(destination, key, path, parsed)?;
            }
            Place::Parameter => set_parameter(destination, key, name, value)?,
        }
        any = true;
    }
    Ok(any)
}

/// Refuses an update of members that have no effect because a tag wins over them: of those it gives, none may have another
/// value than the stream shows (`described`, the description of the destination) or the tag says. Tools that send all
/// members with each update send these as they are.
pub fn refuse_overridden(tags: &BTreeMap<String, String>, update: &Value, described: &Value) -> Result<(), ApiError> {
    for (key, value) in tags {
        let Some((name, place)) = key.strip_prefix(TAG_PREFIX).and_then(|name| Some((name, find(name)?))) else {
            continue;
        };
        let Some(new) = place.value(update, "S3BackupUpdate", name) else { continue };
        let is_shown = place.value(described, "S3BackupDescription", name).as_ref() == Some(&new);
        if !is_shown && place.parsed(key, value).as_ref() != Ok(&new) {
            return Err(ApiError::invalid_argument(format!(
                "The stream's tag '{key}' is {value} and wins over the member, which an update cannot change: leave it \
                 out or as it is. To be rid of the tag, create the stream anew."
            )));
        }
    }
    Ok(())
}

fn unknown(key: &str, name: &str) -> ApiError {
    let hint = match nearest(name, names()) {
        Some(known) => format!("Did you mean '{TAG_PREFIX}{known}'?"),
        None => format!("Known are: {}.", names().map(|n| format!("{TAG_PREFIX}{n}")).collect::<Vec<_>>().join(", ")),
    };
    ApiError::invalid_argument(format!("The tag '{key}' names no extension of Hydrant. {hint}"))
}

/// Sets the member at `path`. Its parents must be there, [`HINTS`] excepted.
fn set(destination: &mut Value, key: &str, path: &[&str], value: Value) -> Result<(), ApiError> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut at = destination;
    for parent in parents {
        if given(at, parent).is_none() {
            if *parent != HINTS {
                return Err(needs(key, parent));
            }
            at[*parent] = json!({});
        }
        at = &mut at[*parent];
    }
    at[*last] = value;
    Ok(())
}

fn set_parameter(destination: &mut Value, key: &str, name: &str, value: &str) -> Result<(), ApiError> {
    let processors = destination
        .get_mut("ProcessingConfiguration")
        .and_then(|processing| processing.get_mut("Processors"))
        .and_then(Value::as_array_mut);
    let lambda = processors.and_then(|list| list.iter_mut().find(|p| text(p, "Type") == Some("Lambda")));
    let Some(Value::Object(lambda)) = lambda else { return Err(needs(key, "a processor of type Lambda")) };
    let parameters = lambda.entry("Parameters").or_insert_with(|| json!([]));
    if let Some(list) = parameters.as_array_mut() {
        list.retain(|parameter| text(parameter, "ParameterName") != Some(name));
        list.push(json!({"ParameterName": name, "ParameterValue": value}));
    }
    Ok(())
}

fn needs(key: &str, what: &str) -> ApiError {
    ApiError::invalid_argument(format!("The tag '{key}' needs {what} in the destination configuration."))
}
