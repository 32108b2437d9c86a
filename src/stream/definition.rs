//! A validated stream definition: what the data plane acts on.
//!
//! From: `control` makes it out of CreateDeliveryStream's members (or the configuration file's) and their defaults.
//! To: `catalog` keeps it, `delivery` adopts its newest revision at the next cut. Options that a request may leave out
//! are resolved here; nothing below asks "was it given?". The request itself is kept beside it for Describe.

use super::id::Incarnation;
use super::name::StreamName;
use super::prefix::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A stream as the data plane sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Name, unique among living streams.
    pub name: StreamName,
    /// This life of the name.
    pub incarnation: Incarnation,
    /// VersionId: 1 for a new stream, plus 1 with each update.
    pub revision: u64,
    /// `arn:aws:firehose:<region>:<account>:deliverystream/<name>`.
    pub arn: String,
    /// When a batch is cut.
    pub hints: Hints,
    /// Where objects go; of a stream to an endpoint, those of the error area; of one to Redshift, those that are loaded.
    pub s3: S3Target,
    /// The endpoint that its records go to, where it is not S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpTarget>,
    /// The table that its objects are loaded into, where the destination is Redshift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redshift: Option<RedshiftTarget>,
    /// Processors other than the transform, when processing is enabled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub processors: Processors,
    /// The transform, when processing is enabled.
    pub transform: Option<TransformSpec>,
    /// Dynamic partitioning, when enabled; for the whole life of a stream, or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioning: Option<PartitioningSpec>,
    /// Format conversion, when enabled.
    pub convert: Option<ConvertSpec>,
    /// TargetObjectSizeInMBs × 1,048,576 (an extension): the size of encoded objects, in place of the size hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_object_bytes: Option<u64>,
    /// S3BackupConfiguration, when S3BackupMode is Enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSpec>,
}

impl Definition {
    /// Whether it needs the key that secrets are hidden by.
    pub fn has_hidden_secret(&self) -> bool {
        let of_http = self.http.as_ref().and_then(|http| http.access_key.as_ref());
        let of_redshift = || self.redshift.as_ref().and_then(|redshift| redshift.password.as_ref());
        of_http.or_else(of_redshift).is_some()
    }

    /// What the lane of the source backup acts on: the records as they came, to the backup's own bucket.
    pub fn of_backup(&self) -> Option<Self> {
        let backup = self.backup.as_ref()?;
        Some(Self {
            name: self.name.clone(),
            incarnation: self.incarnation,
            revision: self.revision,
            arn: self.arn.clone(),
            hints: backup.hints,
            s3: backup.s3.clone(),
            http: None,
            redshift: None,
            processors: Processors::default(),
            transform: None,
            convert: None,
            target_object_bytes: None,
            backup: None,
            partitioning: None,
        })
    }

    /// Makes this the next revision of `previous`, of the same life under the same ARN.
    pub fn follow(&mut self, previous: &Self) {
        self.incarnation = previous.incarnation;
        self.arn.clone_from(&previous.arn);
        self.revision = previous.revision + 1;
        if let Some(backup) = &mut self.backup {
            backup.since_revision = previous.backup.as_ref().map_or(self.revision, |before| before.since_revision);
        }
    }
}

/// The source record backup: every record as it came, before any processing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSpec {
    /// When a batch of it is cut.
    pub hints: Hints,
    /// Where its objects go.
    pub s3: S3Target,
    /// The revision that enabled it. From the first on it holds every record of the stream; a later one begins with what
    /// is newest when delivery takes it up.
    pub since_revision: u64,
}

/// Dynamic partitioning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitioningSpec {
    /// MetadataExtractionQuery, where keys come from the records.
    pub query: Option<String>,
    /// MaxActivePartitions: records of further partitions are refused while so many wait.
    pub max_active: Option<u64>,
    /// Source bytes that may wait in all partitions; above, the least recently used are cut.
    pub max_waiting_bytes: u64,
}

/// BufferingHints, by source bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    /// SizeInMBs × 1,048,576.
    pub size_bytes: u64,
    /// IntervalInSeconds × 1,000; 0 cuts as soon as the last seal is stored.
    pub interval_ms: u64,
}

/// How the joined records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// As they are.
    Uncompressed,
    /// One gzip member.
    Gzip,
    /// A ZIP archive of one entry.
    Zip,
    /// The xerial snappy-java stream.
    Snappy,
    /// Hadoop's BlockCompressorStream.
    HadoopSnappy,
    /// One Zstandard frame (an extension).
    Zstd,
}

/// The S3 destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Target {
    /// Bucket name (from BucketARN).
    pub bucket: String,
    /// Prefix as given; empty when not.
    pub prefix: String,
    /// ErrorOutputPrefix as given.
    pub error_prefix: Option<String>,
    /// CustomTimeZone: where the times in keys are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time_zone: TimeZone,
    /// FileExtension as given; empty: the default of format and compression.
    pub file_extension: String,
    /// Compression of the object body; `Uncompressed` with conversion.
    pub compression: Compression,
    /// SSE-KMS key, if asked for.
    pub kms_key: Option<String>,
}

/// An HTTP endpoint. Its URL, key and retry time are always the newest (rule D5); the rest stands in the seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpTarget {
    /// EndpointConfiguration's Url.
    pub url: String,
    /// EndpointConfiguration's AccessKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Hidden>,
    /// SecretsManagerConfiguration's SecretARN, where it is enabled: names the secret that has the access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_arn: Option<String>,
    /// ContentEncoding GZIP.
    pub gzip: bool,
    /// CommonAttributes, in their order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub common_attributes: Vec<(String, String)>,
    /// RetryOptions' DurationInSeconds × 1,000: the time between attempts after which a request is given up.
    pub retry_ms: u64,
    /// RequestFormat (an extension).
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: RequestFormat,
}

/// The form of a request's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestFormat {
    /// The service's protocol: records as base64 in JSON.
    #[default]
    Firehose,
    /// A record a line (an extension).
    Ndjson,
    /// The records, each a JSON value, as one array (an extension).
    JsonArray,
}

/// A Redshift cluster, or what speaks like one. How it is reached and the retry time are always the newest (rule D5); the
/// rest stands in the seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedshiftTarget {
    /// ClusterJDBCURL.
    pub url: String,
    /// Username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Hidden>,
    /// SecretsManagerConfiguration's SecretARN, where it is enabled: names the secret that has both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_arn: Option<String>,
    /// RoleARN: by which the cluster reads the objects.
    pub role_arn: String,
    /// CopyCommand.
    pub copy: CopyCommand,
    /// RetryOptions' DurationInSeconds × 1,000: the time between attempts after which a load is given up.
    pub retry_ms: u64,
    /// LoadMethod (an extension).
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: LoadMethod,
    /// LedgerTable (an extension): where the cluster keeps what is loaded.
    pub ledger: String,
}

/// CopyCommand, as given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyCommand {
    /// DataTableName.
    pub table: String,
    /// DataTableColumns; empty: all of the table.
    #[serde(default, skip_serializing_if = "is_default")]
    pub columns: String,
    /// CopyOptions.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: String,
}

/// How the rows of an object come into the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LoadMethod {
    /// The cluster reads the object, by COPY with a manifest.
    #[default]
    Copy,
    /// They are sent to it (an extension).
    CopyFromStdin,
}

/// A secret of a definition, as `vault` keeps it: enciphered wherever it is stored. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

/// Processors other than Lambda, in the order in which they act whatever the order they were given in; the transform
/// acts between the second and the third.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processors {
    /// Decompression, with CloudWatchLogProcessing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompress: Option<Decompression>,
    /// RecordDeAggregation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaggregate: Option<Deaggregation>,
    /// AppendDelimiterToRecord: what follows each record in an object. Without effect where records are converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_delimiter: Option<String>,
}

/// Records are gzip of CloudWatch Logs subscription payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decompression {
    /// DataMessageExtraction: only the messages go on, one a line.
    pub extract_messages: bool,
}

/// What a record is split into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deaggregation {
    /// JSON objects, one after the other, with or without white space between them.
    Json,
    /// Pieces between delimiters.
    Delimited {
        /// The delimiter, decoded from base64; not empty.
        delimiter: Vec<u8>,
    },
}

/// A Lambda processor, which names a WASM transform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformSpec {
    /// The LambdaArn as given; echoed in error records.
    pub lambda_arn: String,
    /// Function name in the ARN: `NAME.wasm` in the transforms folder.
    pub function: String,
    /// Version or alias in the ARN: `NAME@VERSION.wasm` when given and not `$LATEST`.
    pub version: Option<String>,
    /// NumberOfRetries: for traps and limits.
    pub retries: u32,
    /// BufferSizeInMBs in bytes: what is handed to the guest at once.
    pub batch_bytes: u64,
    /// Time a batch may take.
    pub timeout_ms: u64,
    /// Linear memory a guest may have.
    pub memory_bytes: u64,
    /// Variables handed to the guest.
    pub variables: BTreeMap<String, String>,
    /// FuelInMillions × 1,000,000 (an extension): the fuel of a call, so that it ends at the same place each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Stateless (an extension): it looks at each record alone, so that a batch may be handed over in parts at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_stateless: bool,
}

/// DataFormatConversionConfiguration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvertSpec {
    /// Where the schema is.
    pub schema: SchemaRef,
    /// How JSON is read.
    pub deserializer: Deserializer,
    /// UnknownFieldsColumn (an extension): the column that takes, as one JSON object, what no other takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_fields_column: Option<String>,
    /// How Parquet is written.
    pub parquet: ParquetOptions,
}

/// SchemaConfiguration, defaults filled in. Also the `dataCatalogTable` of error records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRef {
    /// CatalogId (account id by default).
    pub catalog_id: String,
    /// DatabaseName.
    pub database: String,
    /// TableName.
    pub table: String,
    /// Region.
    pub region: String,
    /// VersionId, `LATEST` by default.
    pub version_id: String,
    /// RoleARN.
    pub role_arn: String,
}

impl SchemaRef {
    /// Whether it names no table but the one that the stream's records teach: database `hydrant`, table `infer`.
    pub fn is_inferred(&self) -> bool {
        self.database.eq_ignore_ascii_case("hydrant") && self.table.eq_ignore_ascii_case("infer")
    }
}

/// InputFormatConfiguration.Deserializer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deserializer {
    /// OpenXJsonSerDe.
    OpenX {
        /// CaseInsensitive: JSON keys are lower-cased first.
        case_insensitive: bool,
        /// ColumnToJsonKeyMappings: column name to JSON key.
        key_mappings: BTreeMap<String, String>,
        /// ConvertDotsInJsonKeysToUnderscores.
        dots_to_underscores: bool,
    },
    /// HiveJsonSerDe.
    Hive {
        /// TimestampFormats: Joda patterns or `millis`.
        timestamp_formats: Vec<String>,
    },
}

/// OutputFormatConfiguration.Serializer.ParquetSerDe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParquetOptions {
    /// BlockSizeBytes: upper bound of a row group.
    pub block_size_bytes: u64,
    /// PageSizeBytes.
    pub page_size_bytes: u64,
    /// Compression of pages.
    pub compression: ParquetCompression,
    /// EnableDictionaryCompression: dictionaries where they pay.
    pub dictionary: bool,
    /// WriterVersion V2 (else V1).
    pub writer_v2: bool,
    /// MaxPaddingBytes: a row group that would begin so near before a multiple of BlockSizeBytes begins there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_padding_bytes: u64,
    /// TimestampType INT96 (else INT64 in microseconds).
    #[serde(default, skip_serializing_if = "is_default")]
    pub int96_timestamps: bool,
    /// BloomFilterColumns: columns of the table, or dotted paths of leaves inside.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bloom_filter_columns: Vec<String>,
    /// BloomFilterFalsePositiveProbability.
    #[serde(default = "default_bloom_filter_fpp", skip_serializing_if = "is_default_bloom_filter_fpp")]
    pub bloom_filter_fpp: f64,
}

/// BloomFilterFalsePositiveProbability where none is given, that of OrcSerDe.
pub const DEFAULT_BLOOM_FILTER_FPP: f64 = 0.05;

/// What BloomFilterFalsePositiveProbability may be: less takes a filter that is no filter, more is none.
pub const BLOOM_FILTER_FPP: std::ops::RangeInclusive<f64> = 0.000_001..=0.5;

fn default_bloom_filter_fpp() -> f64 {
    DEFAULT_BLOOM_FILTER_FPP
}

fn is_default_bloom_filter_fpp(fpp: &f64) -> bool {
    *fpp == DEFAULT_BLOOM_FILTER_FPP
}

/// Members that came later are written only where they say something, so that an older program reads the rest.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Page compression of Parquet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParquetCompression {
    /// None.
    Uncompressed,
    /// Gzip.
    Gzip,
    /// Snappy, the default.
    Snappy,
    /// Zstandard (an extension).
    Zstd,
    /// LZ4_RAW (an extension).
    Lz4Raw,
}
