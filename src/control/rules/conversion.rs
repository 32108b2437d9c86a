//! DataFormatConversionConfiguration: the service's rules in its order.

use super::{Checks, refuse, time_patterns};
use crate::control::members::{filled, flag, given, items, number, text};
use crate::stream::definition::BLOOM_FILTER_FPP;
use crate::wire::{ApiError, Compatibility};
use serde_json::Value;

/// The configuration, unless it is absent or disabled. An omitted Enabled counts as true.
pub fn enabled(destination: &Value) -> Option<&Value> {
    given(destination, "DataFormatConversionConfiguration").filter(|c| flag(c, "Enabled") != Some(false))
}

/// Checks an extended destination.
pub fn check(checks: &mut Checks, destination: &Value) -> Result<(), ApiError> {
    let Some(conversion) = enabled(destination) else { return Ok(()) };
    let size = given(destination, "BufferingHints").and_then(|hints| number(hints, "SizeInMBs"));
    if checks.rules.compatibility == Compatibility::Strict && size.is_some_and(|size| size < 64) {
        let message = "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled.";
        checks.also(|_| refuse(message))?;
    }
    if text(destination, "CompressionFormat").is_some_and(|format| format != "UNCOMPRESSED") {
        let message = "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion \
                       is enabled. To enable compression within the converted output format, set the appropriate \
                       serialization option in the output format configuration.";
        checks.also(|_| refuse(message))?;
    }
    let input = present(conversion, "InputFormatConfiguration")?;
    let output = present(conversion, "OutputFormatConfiguration")?;
    let schema = present(conversion, "SchemaConfiguration")?;
    let deserializer = chosen(input, "Deserializer", ["OpenXJsonSerDe", "HiveJsonSerDe"])?;
    let serializer = chosen(output, "Serializer", ["ParquetSerDe", "OrcSerDe"])?;
    at_most_one(deserializer, "deserializer")?;
    at_most_one(serializer, "serializer")?;
    for (member, printed) in [("RoleARN", "RoleArn"), ("DatabaseName", "DatabaseName"), ("TableName", "TableName")] {
        if filled(schema, member).is_none() {
            let message = format!("SchemaConfiguration.{printed} must not be null or empty");
            checks.also(|_| refuse(&message))?;
        }
    }
    if let [_, Some(hive)] = deserializer {
        let formats: Vec<_> = items(hive, "TimestampFormats").iter().filter_map(Value::as_str).collect();
        if !formats.iter().all(|format| *format == "millis" || time_patterns::is_accepted(format)) {
            let message = format!(
                "Invalid deserializer option(s): One or more SerDe options are invalid for \
                 org.apache.hcatalog.data.JsonSerDe: [Key: timestamp.formats Value: {}]",
                formats.join(",")
            );
            checks.also(|_| refuse(&message))?;
        }
    }
    if filled(schema, "VersionId").is_some_and(|version| version != "LATEST") && checks.rules.glue_region.is_none() {
        let message = "SchemaConfiguration.VersionId must be LATEST: schema files have no versions. Versions of AWS Glue \
                       can be named once the section glue of the configuration is there.";
        checks.also(|_| refuse(message))?;
    }
    match serializer {
        [Some(parquet), _]
            if given(parquet, "BloomFilterFalsePositiveProbability")
                .and_then(Value::as_f64)
                .is_some_and(|share| !BLOOM_FILTER_FPP.contains(&share)) =>
        {
            refuse("ParquetSerDe.BloomFilterFalsePositiveProbability must be from 0.000001 to 0.5.")?;
        }
        [_, Some(_)] => checks.unbuilt("OrcSerDe"),
        _ => {}
    }
    Ok(())
}

fn present<'a>(of: &'a Value, member: &str) -> Result<&'a Value, ApiError> {
    given(of, member).ok_or_else(|| ApiError::invalid_argument(format!("{member} must not be null")))
}

/// The two kinds under `member`, at least one of which must be given.
fn chosen<'a>(of: &'a Value, member: &str, kinds: [&str; 2]) -> Result<[Option<&'a Value>; 2], ApiError> {
    let found = given(of, member).map_or([None, None], |choice| kinds.map(|kind| given(choice, kind)));
    match found {
        [None, None] => Err(ApiError::invalid_argument(format!("{member} must not be null"))),
        found => Ok(found),
    }
}

fn at_most_one(found: [Option<&Value>; 2], noun: &str) -> Result<(), ApiError> {
    match found {
        [Some(_), Some(_)] => refuse(&format!("More than one {noun} specified. Only one may be chosen.")),
        _ => Ok(()),
    }
}
