//! From a CreateDeliveryStream request to the stream it asks for. Pure: nothing is looked up, nothing is stored.

use super::Rules;
use super::defaults::Defaults;
use super::extensions::{self, Unplaced};
use super::members::{filled, flag, given, given_at, items, number, text};
use super::model::CREATE;
use super::rules::{self, HTTP, LambdaArn, REDSHIFT, SERVED, conversion, parameters};
use crate::catalog::StreamRecord;
use crate::stage::convert;
use crate::stream::definition::*;
use crate::stream::{Id128, Incarnation, StreamName};
use crate::wire::{ApiError, Findings, check, without_nulls};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const MIB: u64 = 1 << 20;
/// Time a batch may take unless the parameter TimeoutInSeconds says otherwise.
const DEFAULT_TIMEOUT_S: u64 = 60;
/// Memory a transform may have unless the parameter MemoryInMBs says otherwise.
const DEFAULT_MEMORY_MIB: u64 = 256;
/// What the name of a transform's variable is preceded by among the parameters.
const VARIABLE: &str = "Variable.";

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

/// An endpoint, without its access key, which `secrets` adds.
fn http_target(destination: &Value) -> HttpTarget {
    let at = |path: &[&str]| given_at(destination, path);
    let attributes = at(&["RequestConfiguration"]).map_or(&[][..], |request| items(request, "CommonAttributes"));
    let member = |of: &Value, name| text(of, name).unwrap_or_default().to_owned();
    let retry_s = at(&["RetryOptions"]).and_then(|options| number(options, "DurationInSeconds"));
    HttpTarget {
        url: at(&["EndpointConfiguration"]).map(|endpoint| member(endpoint, "Url")).unwrap_or_default(),
        access_key: None,
        secret_arn: at(&["SecretsManagerConfiguration"])
            .filter(|secret| flag(secret, "Enabled") == Some(true))
            .map(|secret| member(secret, "SecretARN")),
        gzip: at(&["RequestConfiguration", "ContentEncoding"]).and_then(Value::as_str) == Some("GZIP"),
        common_attributes: attributes
            .iter()
            .map(|attribute| (member(attribute, "AttributeName"), member(attribute, "AttributeValue")))
            .collect(),
        retry_ms: retry_s.unwrap_or(DEFAULT_RETRY_S) * 1000,
        format: match text(destination, "RequestFormat") {
            Some("NDJSON") => RequestFormat::Ndjson,
            Some("JSON_ARRAY") => RequestFormat::JsonArray,
            _ => RequestFormat::Firehose,
        },
    }
}

/// A cluster of the stream `name`, without its password, which `secrets` adds.
fn redshift_target(destination: &Value, name: &str) -> RedshiftTarget {
    let at = |path: &[&str]| given_at(destination, path);
    let member = |of: &Value, name| text(of, name).unwrap_or_default().to_owned();
    let copy = at(&["CopyCommand"]).unwrap_or(&Value::Null);
    let retry_s = at(&["RetryOptions"]).and_then(|options| number(options, "DurationInSeconds"));
    RedshiftTarget {
        url: member(destination, "ClusterJDBCURL"),
        user: filled(destination, "Username").map(str::to_owned),
        password: None,
        secret_arn: at(&["SecretsManagerConfiguration"])
            .filter(|secret| flag(secret, "Enabled") == Some(true))
            .map(|secret| member(secret, "SecretARN")),
        role_arn: member(destination, "RoleARN"),
        copy: CopyCommand {
            table: member(copy, "DataTableName"),
            columns: member(copy, "DataTableColumns"),
            options: member(copy, "CopyOptions"),
        },
        retry_ms: retry_s.unwrap_or(DEFAULT_LOAD_RETRY_S) * 1000,
        method: match text(destination, "LoadMethod") {
            Some("COPY_FROM_STDIN") => LoadMethod::CopyFromStdin,
            _ => LoadMethod::Copy,
        },
        ledger: filled(destination, "LedgerTable").map_or_else(|| default_ledger(name), str::to_owned),
    }
}

/// RetryOptions' DurationInSeconds of an endpoint where none is given.
pub const DEFAULT_RETRY_S: u64 = 300;
/// That of a Redshift destination.
pub const DEFAULT_LOAD_RETRY_S: u64 = 3600;

/// LedgerTable where none is given: one for each stream, for Redshift locks whole tables, and a load that takes long must
/// not hold up those of others. Two streams with one table are no harm but that.
fn default_ledger(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    "hydrant_loads_".chars().chain(letters).collect()
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

/// The service bounds prefixes by characters, S3 keys by bytes: a prefix of other letters than ASCII may pass the one
/// and make keys that no store takes, which would show only when records wait. So would one with a NUL
/// character or with a segment that steps between folders.
fn check_keys(name: &str, s3: &S3Target, within: &str) -> Result<(), ApiError> {
    const KEY_MAX_BYTES: usize = 1024;
    const LONGEST_FOLDER: &str = "format-conversion-failed/";
    const TIME_FOLDER: &str = "2026/07/13/14/";
    // The largest revision, time, UUID.
    const REST: &str = "-18446744073709551615-2026-07-13-14-05-09-00000000-0000-0000-0000-000000000000";
    let extension = if s3.file_extension.is_empty() { ".parquet" } else { &s3.file_extension };
    let rest_bytes = name.len() + REST.len() + extension.len();
    let error = match &s3.error_prefix {
        Some(error_prefix) => ("ErrorOutputPrefix", error_prefix),
        None => ("Prefix", &s3.prefix),
    };
    for (member, prefix, folder) in [(error.0, error.1, LONGEST_FOLDER), ("Prefix", &s3.prefix, "")] {
        if prefix.contains('\0') {
            return Err(ApiError::invalid_argument(format!(
                "{within}{member} holds a NUL character, which no object key can."
            )));
        }
        let parsed = rules::parse_prefix(prefix, member)?;
        if parsed.has_dot_segment() {
            return Err(ApiError::invalid_argument(format!(
                "{within}{member} makes object keys with a segment '.' or '..', which S3 or other stores do not take."
            )));
        }
        let appended_bytes = if parsed.has_expressions() { 0 } else { folder.len() + TIME_FOLDER.len() };
        let key_bytes = parsed.longest(s3.time_zone).bytes + appended_bytes + rest_bytes;
        if key_bytes > KEY_MAX_BYTES {
            return Err(ApiError::invalid_argument(format!(
                "{within}{member} makes object keys of up to {key_bytes} bytes of UTF-8, and S3 takes {KEY_MAX_BYTES}; shorten it."
            )));
        }
    }
    Ok(())
}

fn s3_target(destination: &Value) -> S3Target {
    let string = |name| text(destination, name).unwrap_or_default().to_owned();
    let arn = text(destination, "BucketARN").unwrap_or_default();
    S3Target {
        bucket: arn.rsplit(':').next().unwrap_or_default().to_owned(),
        prefix: string("Prefix"),
        error_prefix: filled(destination, "ErrorOutputPrefix").map(str::to_owned),
        time_zone: rules::custom_time_zone(destination).unwrap_or_default(),
        file_extension: string("FileExtension"),
        compression: match text(destination, "CompressionFormat") {
            Some("GZIP") => Compression::Gzip,
            Some("ZIP") => Compression::Zip,
            Some("Snappy") => Compression::Snappy,
            Some("HADOOP_SNAPPY") => Compression::HadoopSnappy,
            Some("ZSTD") => Compression::Zstd,
            _ => Compression::Uncompressed,
        },
        kms_key: given_at(destination, &["EncryptionConfiguration", "KMSEncryptionConfig", "AWSKMSKeyARN"])
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}

/// Processors other than Lambda.
fn processors(destination: &Value) -> Processors {
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

fn transform(destination: &Value) -> Option<TransformSpec> {
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

fn convert_spec(defaults: &Defaults, conversion: &Value) -> ConvertSpec {
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
