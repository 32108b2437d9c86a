//! What is done to records on their way, from a request that passed every rule: processors, transform, conversion. For
//! [`super::plan`]. Pure.

use super::defaults::Defaults;
use super::members::{flag, given, given_at, items, number, text};
use super::rules::{LambdaArn, parameters};
use crate::stream::definition::*;
use serde_json::Value;

const MIB: u64 = 1 << 20;
/// Time a batch may take unless the parameter TimeoutInSeconds says otherwise.
const DEFAULT_TIMEOUT_S: u64 = 60;
/// Memory a transform may have unless the parameter MemoryInMBs says otherwise.
const DEFAULT_MEMORY_MIB: u64 = 256;
/// What the name of a transform's variable is preceded by among the parameters.
const VARIABLE: &str = "Variable.";

/// Processors other than Lambda.
pub fn processors(destination: &Value) -> Processors {
    let parameter = |kind: &str, name: &str| {
        let found = parameters(enabled_processor(destination, kind)?).into_iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value)
    };
    let delimiter = |text| base64_simd::STANDARD.decode_to_vec(text).unwrap_or_default();
    let extracts = parameter("CloudWatchLogProcessing", "DataMessageExtraction");
    Processors {
        decompress: enabled_processor(destination, "Decompression").map(|_| Decompression {
            extract_messages: extracts.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }),
        deaggregate: parameter("RecordDeAggregation", "SubRecordType").map(|kind| match kind {
            "DELIMITED" => Deaggregation::Delimited {
                delimiter: delimiter(parameter("RecordDeAggregation", "Delimiter").unwrap_or_default()),
            },
            _ => Deaggregation::Json,
        }),
        append_delimiter: enabled_processor(destination, "AppendDelimiterToRecord")
            .map(|_| parameter("AppendDelimiterToRecord", "Delimiter").map_or_else(|| "\n".to_owned(), unescaped)),
    }
}

/// A delimiter as it is meant: a backslash with n, r, t or another one stands for the character that it does elsewhere;
/// one with anything else stands for itself.
fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text.chars().peekable());
    while let Some(c) = rest.next() {
        let escaped = match (c, rest.peek()) {
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('\\')) => Some('\\'),
            _ => None,
        };
        if escaped.is_some() {
            rest.next();
        }
        plain.push(escaped.unwrap_or(c));
    }
    plain
}

/// The processor of this type, if processing is enabled.
fn enabled_processor<'a>(destination: &'a Value, kind: &str) -> Option<&'a Value> {
    let processing = given(destination, "ProcessingConfiguration").filter(|p| flag(p, "Enabled") == Some(true))?;
    items(processing, "Processors").iter().find(|p| text(p, "Type") == Some(kind))
}

/// The Lambda processor.
pub fn transform(destination: &Value) -> Option<TransformSpec> {
    let parameters = parameters(enabled_processor(destination, "Lambda")?);
    let value = |name: &str| parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let whole = |name: &str, default: u64| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let lambda_arn = value("LambdaArn")?;
    let parts = LambdaArn::parse(lambda_arn)?;
    let mib: f64 = value("BufferSizeInMBs").and_then(|text| text.parse().ok()).unwrap_or(1.0);
    Some(TransformSpec {
        lambda_arn: lambda_arn.to_owned(),
        function: parts.function.to_owned(),
        version: parts.version.map(str::to_owned),
        retries: u32::try_from(whole("NumberOfRetries", 3)).unwrap_or(u32::MAX),
        batch_bytes: (mib * MIB as f64) as u64,
        timeout_ms: whole("TimeoutInSeconds", DEFAULT_TIMEOUT_S) * 1000,
        memory_bytes: whole("MemoryInMBs", DEFAULT_MEMORY_MIB) * MIB,
        variables: parameters
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(VARIABLE)?.to_owned(), (*value).to_owned())))
            .collect(),
        fuel: value("FuelInMillions").and_then(|text| text.parse::<u64>().ok()).map(|millions| millions * 1_000_000),
        is_stateless: value("Stateless").is_some_and(|text| text.eq_ignore_ascii_case("true")),
    })
}

/// DataFormatConversionConfiguration, when enabled.
pub fn convert_spec(defaults: &Defaults, conversion: &Value) -> ConvertSpec {
    let at = |path: &[&str]| given_at(conversion, path);
    let schema = |name: &str, default: &str| {
        let given = at(&["SchemaConfiguration", name]).and_then(Value::as_str).filter(|text| !text.is_empty());
        given.unwrap_or(default).to_owned()
    };
    let parquet = at(&["OutputFormatConfiguration", "Serializer", "ParquetSerDe"]).unwrap_or(&Value::Null);
    ConvertSpec {
        schema: SchemaRef {
            catalog_id: schema("CatalogId", &defaults.catalog_id),
            database: schema("DatabaseName", ""),
            table: schema("TableName", ""),
            region: schema("Region", &defaults.schema_region),
            version_id: schema("VersionId", "LATEST"),
            role_arn: schema("RoleARN", ""),
        },
        deserializer: match at(&["InputFormatConfiguration", "Deserializer", "HiveJsonSerDe"]) {
            Some(hive) => Deserializer::Hive { timestamp_formats: strings(hive, "TimestampFormats") },
            None => open_x(at(&["InputFormatConfiguration", "Deserializer", "OpenXJsonSerDe"])),
        },
        unknown_fields_column: at(&["InputFormatConfiguration", "UnknownFieldsColumn"])
            .and_then(Value::as_str)
            .map(str::to_owned),
        parquet: ParquetOptions {
            block_size_bytes: number(parquet, "BlockSizeBytes").unwrap_or(256 * MIB),
            page_size_bytes: number(parquet, "PageSizeBytes").unwrap_or(MIB),
            compression: match text(parquet, "Compression") {
                Some("UNCOMPRESSED") => ParquetCompression::Uncompressed,
                Some("GZIP") => ParquetCompression::Gzip,
                Some("ZSTD") => ParquetCompression::Zstd,
                Some("LZ4_RAW") => ParquetCompression::Lz4Raw,
                _ => ParquetCompression::Snappy,
            },
            dictionary: flag(parquet, "EnableDictionaryCompression").unwrap_or(true),
            writer_v2: text(parquet, "WriterVersion") == Some("V2"),
            max_padding_bytes: number(parquet, "MaxPaddingBytes").unwrap_or(0),
            int96_timestamps: text(parquet, "TimestampType") == Some("INT96"),
            bloom_filter_columns: strings(parquet, "BloomFilterColumns"),
            bloom_filter_fpp: given(parquet, "BloomFilterFalsePositiveProbability")
                .and_then(Value::as_f64)
                .unwrap_or(DEFAULT_BLOOM_FILTER_FPP),
        },
    }
}

fn strings(of: &Value, member: &str) -> Vec<String> {
    items(of, member).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn open_x(options: Option<&Value>) -> Deserializer {
    let options = options.unwrap_or(&Value::Null);
    let mappings = given(options, "ColumnToJsonKeyMappings").and_then(Value::as_object);
    Deserializer::OpenX {
        case_insensitive: flag(options, "CaseInsensitive").unwrap_or(true),
        key_mappings: mappings
            .into_iter()
            .flatten()
            .filter_map(|(column, key)| Some((column.clone(), key.as_str()?.to_owned())))
            .collect(),
        dots_to_underscores: flag(options, "ConvertDotsInJsonKeysToUnderscores").unwrap_or(false),
    }
}
