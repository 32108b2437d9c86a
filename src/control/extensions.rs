//! What Hydrant accepts and the service lacks: one table.
//!
//! Extensions are extra values or members, never changed meanings. SDKs refuse unknown members, and tools compare what
//! Describe returns with what they sent; so each can also be given at creation as a tag `hydrant:<name>`, which wins
//! over the member and is not echoed as one.

use super::members::{given, text};
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
/// Parameters of a Lambda processor beyond the service's: limits of the transform, and variables handed to it.
pub const LAMBDA_PARAMETERS: &[&str] = &["TimeoutInSeconds", "MemoryInMBs", "Variable.*"];

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

const PARQUET: [&str; 4] =
    ["DataFormatConversionConfiguration", "OutputFormatConfiguration", "Serializer", "ParquetSerDe"];

/// Every extension that a tag can give. Limits that SDKs check by themselves are here too, so that a relaxed value
/// passes them.
const TABLE: &[(&str, Place)] = &[
    ("CompressionFormat", Place::Text(&["CompressionFormat"])),
    ("SizeInMBs", Place::Integer(&["BufferingHints", "SizeInMBs"])),
    ("IntervalInSeconds", Place::Integer(&["BufferingHints", "IntervalInSeconds"])),
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
    ("TimeoutInSeconds", Place::Parameter),
    ("MemoryInMBs", Place::Parameter),
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

/// Puts the extension tags among `tags` into `destination`. Returns whether there was any.
pub fn apply_tags(tags: &BTreeMap<String, String>, destination: &mut Value) -> Result<bool, ApiError> {
    let mut any = false;
    for (key, value) in tags {
        let Some(name) = key.strip_prefix(TAG_PREFIX) else { continue };
        let place = find(name).ok_or_else(|| unknown(key, name))?;
        match place {
            Place::Text(path) => set(destination, key, path, json!(value))?,
            Place::Integer(path) => {
                let number: i64 = value.parse().map_err(|_| {
                    ApiError::invalid_argument(format!("The tag '{key}' must be a whole number, not '{value}'."))
                })?;
                set(destination, key, path, json!(number))?;
            }
            Place::Texts(path) => {
                // Commas are not among the characters of a tag that SDKs send.
                let texts: Vec<_> = value.split([',', ' ']).filter(|text| !text.is_empty()).collect();
                set(destination, key, path, json!(texts))?;
            }
            Place::Number(path) => {
                let number = value.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
                    ApiError::invalid_argument(format!("The tag '{key}' must be a number, not '{value}'."))
                })?;
                set(destination, key, path, json!(number))?;
            }
            Place::Parameter => set_parameter(destination, key, name, value)?,
        }
        any = true;
    }
    Ok(any)
}

fn unknown(key: &str, name: &str) -> ApiError {
    let hint = match nearest(name, names()) {
        Some(known) => format!("Did you mean '{TAG_PREFIX}{known}'?"),
        None => format!("Known are: {}.", names().map(|n| format!("{TAG_PREFIX}{n}")).collect::<Vec<_>>().join(", ")),
    };
    ApiError::invalid_argument(format!("The tag '{key}' names no extension of Hydrant. {hint}"))
}

/// Sets the member at `path`. A missing BufferingHints is made; other parents decide what the stream does, so they must
/// be there.
fn set(destination: &mut Value, key: &str, path: &[&str], value: Value) -> Result<(), ApiError> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut at = destination;
    for parent in parents {
        if given(at, parent).is_none() {
            if *parent != "BufferingHints" {
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
