//! ProcessingConfiguration: the processors and their parameters.

use super::{Checks, refuse};
use crate::control::extensions::LAMBDA_PARAMETERS;
use crate::control::members::{flag, given, items, text};
use crate::wire::{ApiError, Compatibility};
use serde_json::Value;

/// Parameters that the service has for a Lambda processor.
const LAMBDA: [&str; 5] = ["LambdaArn", "NumberOfRetries", "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds"];
/// Longest time a batch may take.
const MAX_TIMEOUT_S: u64 = 300;
/// Most fuel a call may have, in millions: days of work.
const MAX_FUEL_MILLIONS: u64 = 1_000_000_000;
/// Most memory a transform may have.
const MAX_MEMORY_MIB: u64 = 4096;

/// Checks an extended destination. Processors that are not enabled are kept as they are.
pub fn check(checks: &mut Checks, destination: &Value, partitioned: bool) -> Result<(), ApiError> {
    let Some(processing) = given(destination, "ProcessingConfiguration").filter(|p| flag(p, "Enabled") == Some(true))
    else {
        return Ok(());
    };
    let processors = items(processing, "Processors");
    if !(1..=5).contains(&processors.len()) {
        refuse("A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.")?;
    }
    let count = |kind| processors.iter().filter(|p| text(p, "Type") == Some(kind)).count();
    for kind in [
        "Lambda",
        "Decompression",
        "CloudWatchLogProcessing",
        "RecordDeAggregation",
        "MetadataExtraction",
        "AppendDelimiterToRecord",
    ] {
        if count(kind) > 1 {
            refuse(&format!("Cannot have more than 1 {kind} processor."))?;
        }
    }
    for processor in processors {
        checks.also(|_| check_one(processor, count("Decompression") > 0))?;
    }
    for kind in ["MetadataExtraction", "RecordDeAggregation"] {
        // Splitting records is of use without partitions too.
        let is_lifted = kind == "RecordDeAggregation" && checks.rules.compatibility != Compatibility::Strict;
        if !partitioned && !is_lifted && count(kind) > 0 {
            refuse(&format!(
                "class com.amazonaws.services.firehose.internal.model.{kind}Processor can only be present when Dynamic \
                 Partitioning is enabled."
            ))?;
        }
    }
    Ok(())
}

/// Checks one processor; `decompresses`: one of Decompression is there.
fn check_one(processor: &Value, decompresses: bool) -> Result<(), ApiError> {
    let parameters = parameters(processor);
    let repeated = |name: &str| parameters.iter().filter(|(other, _)| *other == name).count() > 1;
    if parameters.iter().any(|(name, _)| repeated(name)) {
        refuse("Duplicate ProcessorParameter passed to ProcessingConfiguration.")?;
    }
    let value = |name: &str| parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    match text(processor, "Type").unwrap_or_default() {
        "Lambda" => lambda(&parameters, value)?,
        "RecordDeAggregation" => {
            deaggregation(value)?;
            known("RecordDeAggregation", &parameters, &["SubRecordType", "Delimiter"])?;
        }
        "Decompression" => {
            if value("CompressionFormat") != Some("GZIP") {
                refuse("CompressionFormat of the Decompression processor has to be one of GZIP")?;
            }
            known("Decompression", &parameters, &["CompressionFormat"])?;
        }
        "AppendDelimiterToRecord" => known("AppendDelimiterToRecord", &parameters, &["Delimiter"])?,
        "MetadataExtraction" => {
            if value("JsonParsingEngine") != Some("JQ-1.6") {
                refuse("MetaDataExtraction JSON Parsing Engine has to be one of JQ-1.6")?;
            }
            if value("MetadataExtractionQuery").is_none() {
                refuse("MetadataExtractionQuery is required when MetadataExtraction processor is used.")?;
            }
            known("MetadataExtraction", &parameters, &["MetadataExtractionQuery", "JsonParsingEngine"])?;
        }
        "CloudWatchLogProcessing" => {
            if !decompresses {
                refuse("CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor")?;
            }
            let good = |text: &str| ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
            if !value("DataMessageExtraction").is_some_and(good) {
                refuse("Invalid parameter value for DataMessageExtraction. Allowed values are True and False.")?;
            }
            known("CloudWatchLogProcessing", &parameters, &["DataMessageExtraction"])?;
        }
        _ => {}
    }
    Ok(())
}

/// Names and values of a processor's parameters.
pub fn parameters(processor: &Value) -> Vec<(&str, &str)> {
    items(processor, "Parameters")
        .iter()
        .filter_map(|parameter| Some((text(parameter, "ParameterName")?, text(parameter, "ParameterValue")?)))
        .collect()
}

fn lambda<'a>(parameters: &[(&str, &str)], value: impl Fn(&str) -> Option<&'a str>) -> Result<(), ApiError> {
    match value("LambdaArn") {
        None => refuse("LambdaArn is required when Lambda processor is used.")?,
        Some(arn) if LambdaArn::parse(arn).is_none() => refuse("Invalid lambda ARN.")?,
        Some(_) => {}
    }
    let (size, interval) = (value("BufferSizeInMBs"), value("BufferIntervalInSeconds"));
    if size.is_some() != interval.is_some() {
        refuse(
            "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda processor.",
        )?;
    }
    if size.is_some_and(|size| !size.parse().is_ok_and(|mib: f64| (0.2..=3.0).contains(&mib))) {
        refuse("BufferSizeInMBs for lambda processor must be between 0.2 and 3.")?;
    }
    if interval.is_some_and(|interval| !whole_within(interval, 0, 900)) {
        refuse("BufferIntervalInSeconds for lambda processor must be between 0 and 900.")?;
    }
    if value("NumberOfRetries").is_some_and(|retries| !whole_within(retries, 0, 300)) {
        refuse("Number of retries for lambda must be between 0 and 300.")?;
    }
    if value("TimeoutInSeconds").is_some_and(|timeout| !whole_within(timeout, 1, MAX_TIMEOUT_S)) {
        refuse(&format!("TimeoutInSeconds for lambda processor must be between 1 and {MAX_TIMEOUT_S}."))?;
    }
    if value("MemoryInMBs").is_some_and(|memory| !whole_within(memory, 1, MAX_MEMORY_MIB)) {
        refuse(&format!("MemoryInMBs for lambda processor must be between 1 and {MAX_MEMORY_MIB}."))?;
    }
    if value("FuelInMillions").is_some_and(|fuel| !whole_within(fuel, 1, MAX_FUEL_MILLIONS)) {
        refuse(&format!("FuelInMillions for lambda processor must be between 1 and {MAX_FUEL_MILLIONS}."))?;
    }
    let is_flag = |text: &str| ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if value("Stateless").is_some_and(|text| !is_flag(text)) {
        refuse("Stateless for lambda processor must be true or false.")?;
    }
    let known = |name: &str| {
        LAMBDA.contains(&name)
            || LAMBDA_PARAMETERS.iter().any(|extra| match extra.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *extra,
            })
    };
    match parameters.iter().find(|(name, _)| !known(name)) {
        Some((name, _)) => refuse(&format!("{name} is not a parameter of the Lambda processor.")),
        None => Ok(()),
    }
}

fn deaggregation<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<(), ApiError> {
    match value("SubRecordType") {
        Some("JSON") => Ok(()),
        Some("DELIMITED") => match value("Delimiter") {
            None => refuse("Delimiter should be present for DELIMITED"),
            Some(text) if base64_simd::STANDARD.decode_to_vec(text).is_ok_and(|bytes| !bytes.is_empty()) => Ok(()),
            Some(_) => refuse("Delimiter for DELIMITED has to be base64, as 'Cg==' for a newline"),
        },
        _ => refuse("SubRecordType has to be one of JSON, DELIMITED"),
    }
}

/// Refuses a parameter that the processor does not have.
fn known(kind: &str, parameters: &[(&str, &str)], known: &[&str]) -> Result<(), ApiError> {
    match parameters.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => refuse(&format!("{name} is not a parameter of the {kind} processor.")),
        None => Ok(()),
    }
}

fn whole_within(text: &str, min: u64, max: u64) -> bool {
    text.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
}

/// The parts of a function's ARN that name the transform.
#[derive(Debug, PartialEq, Eq)]
pub struct LambdaArn<'a> {
    /// Function name.
    pub function: &'a str,
    /// Version or alias, if given.
    pub version: Option<&'a str>,
}

impl<'a> LambdaArn<'a> {
    /// Splits `arn:<partition>:lambda:<region>:<account>:function:<name>[:<version>]`.
    pub fn parse(arn: &'a str) -> Option<Self> {
        let parts: Vec<_> = arn.split(':').collect();
        let (head, function, version) = match parts.as_slice() {
            [head @ .., function] if head.len() == 6 => (head, *function, None),
            [head @ .., function, version] if head.len() == 6 => (head, *function, Some(*version)),
            _ => return None,
        };
        let word = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        let named = |text: &str, max| !text.is_empty() && text.len() <= max && word(text);
        let good = head[0] == "arn"
            && head[1].starts_with("aws")
            && head[2] == "lambda"
            && named(head[3], 64)
            && head[4].len() == 12
            && head[4].bytes().all(|c| c.is_ascii_digit())
            && head[5] == "function"
            && named(function, 140)
            && version.is_none_or(|version| version == "$LATEST" || named(version, 128));
        good.then_some(Self { function, version })
    }
}
