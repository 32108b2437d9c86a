//! The service model of the operations built here, as data for `wire::check`.
//!
//! Every member of the model is listed, also those whose function is missing: they are `Opaque` or carry the model's
//! limits, and `rules` refuses them by name. Sets print in the service's order. Where limits are relaxed the least
//! value stands beside the service's.

mod http;
mod redshift;

use super::extensions::{COMPRESSION_FORMATS, LAMBDA_PARAMETERS, PARQUET_COMPRESSIONS, TIMESTAMP_TYPES};
use crate::wire::{Member, Pattern, Shape, Text};

const fn required(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: true, shape }
}

const fn optional(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: false, shape }
}

const fn text(min: usize, max: usize, pattern: Pattern) -> Shape {
    Shape::Text(Text { min, max, pattern })
}

const fn choice(values: &'static [&'static str]) -> Shape {
    Shape::Choice { values, extensions: &[] }
}

const fn integer(min: i64, max: i64) -> Shape {
    Shape::Integer { min, relaxed_min: min, max }
}

const fn list(of: &'static Shape) -> Shape {
    Shape::List { of, min: 0, max: usize::MAX }
}

/// Greatest value of the model's integers without a maximum.
const NO_MAX: i64 = i32::MAX as i64;

static NAME: Shape = text(1, 64, Pattern::STREAM_NAME);
static ROLE_ARN: Shape = text(1, 512, Pattern::ROLE_ARN);
static BUCKET_ARN: Shape = text(1, 2048, Pattern::BUCKET_ARN);
static PREFIX: Shape = text(0, 1024, Pattern::ONE_LINE);
static NO_SPACE: Shape = text(1, 1024, Pattern::NO_SPACE);
static SOME_TEXT: Shape = text(1, 1024, Pattern::SOME_TEXT);
static BOOLEAN: Shape = Shape::Boolean;
static OPAQUE: Shape = Shape::Opaque;
static PAGE: Shape = integer(1, 10_000);
static PROPORTION: Shape = Shape::Number { min: 0.0, max: 1.0 };
static STREAM_TYPE: Shape = choice(&["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"]);
const FROM_64_MIB: Shape = Shape::Integer { min: 64 << 20, relaxed_min: 1, max: NO_MAX };

/// DescribeDeliveryStream.
pub static DESCRIBE: Shape = Shape::Structure(&[
    required("DeliveryStreamName", &NAME),
    optional("Limit", &PAGE),
    optional("ExclusiveStartDestinationId", &text(1, 100, Pattern::DESTINATION_ID)),
]);

/// ListDeliveryStreams.
pub static LIST: Shape = Shape::Structure(&[
    optional("Limit", &PAGE),
    optional("DeliveryStreamType", &STREAM_TYPE),
    optional("ExclusiveStartDeliveryStreamName", &NAME),
]);

/// DeleteDeliveryStream.
pub static DELETE: Shape =
    Shape::Structure(&[required("DeliveryStreamName", &NAME), optional("AllowForceDelete", &BOOLEAN)]);

/// CreateDeliveryStream.
pub static CREATE: Shape = Shape::Structure(&[
    required("DeliveryStreamName", &NAME),
    optional("DeliveryStreamType", &STREAM_TYPE),
    optional("DirectPutSourceConfiguration", &Shape::Structure(&[required("ThroughputHintInMBs", &integer(1, 100))])),
    optional("KinesisStreamSourceConfiguration", &OPAQUE),
    optional("DeliveryStreamEncryptionConfigurationInput", &ENCRYPTION_INPUT),
    optional("S3DestinationConfiguration", &Shape::Structure(&S3)),
    optional("ExtendedS3DestinationConfiguration", &Shape::Structure(&EXTENDED_S3)),
    optional("RedshiftDestinationConfiguration", &Shape::Structure(&redshift::REDSHIFT)),
    optional("ElasticsearchDestinationConfiguration", &OPAQUE),
    optional("AmazonopensearchserviceDestinationConfiguration", &OPAQUE),
    optional("SplunkDestinationConfiguration", &OPAQUE),
    optional("HttpEndpointDestinationConfiguration", &Shape::Structure(&http::HTTP)),
    optional("Tags", &Shape::List { of: &TAG, min: 1, max: 50 }),
    optional("AmazonOpenSearchServerlessDestinationConfiguration", &OPAQUE),
    optional("MSKSourceConfiguration", &OPAQUE),
    optional("SnowflakeDestinationConfiguration", &OPAQUE),
    optional("IcebergDestinationConfiguration", &OPAQUE),
    optional("DatabaseSourceConfiguration", &OPAQUE),
]);

/// UpdateDestination.
pub static UPDATE: Shape = Shape::Structure(&[
    required("DeliveryStreamName", &NAME),
    required("CurrentDeliveryStreamVersionId", &text(1, 50, Pattern::VERSION_ID)),
    required("DestinationId", &text(1, 100, Pattern::DESTINATION_ID)),
    optional("S3DestinationUpdate", &S3_UPDATE),
    optional("ExtendedS3DestinationUpdate", &Shape::Structure(&updating(EXTENDED_S3))),
    optional("RedshiftDestinationUpdate", &Shape::Structure(&updating(redshift::REDSHIFT))),
    optional("ElasticsearchDestinationUpdate", &OPAQUE),
    optional("AmazonopensearchserviceDestinationUpdate", &OPAQUE),
    optional("SplunkDestinationUpdate", &OPAQUE),
    optional("HttpEndpointDestinationUpdate", &Shape::Structure(&updating(http::HTTP))),
    optional("AmazonOpenSearchServerlessDestinationUpdate", &OPAQUE),
    optional("SnowflakeDestinationUpdate", &OPAQUE),
    optional("IcebergDestinationUpdate", &OPAQUE),
]);

static S3_UPDATE: Shape = Shape::Structure(&updating(S3));

/// The members of an update of what has `members`: none is required, and S3 configurations are given as updates too.
const fn updating<const N: usize>(mut members: [Member; N]) -> [Member; N] {
    let mut at = 0;
    while at < N {
        members[at].required = false;
        if is_same(members[at].name, "S3BackupConfiguration") {
            members[at] = optional("S3BackupUpdate", &S3_UPDATE);
        }
        if is_same(members[at].name, "S3Configuration") {
            members[at] = optional("S3Update", &S3_UPDATE);
        }
        at += 1;
    }
    members
}

/// `==`, which constants do not have.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

static TAG: Shape = Shape::Structure(&[
    required("Key", &text(1, 128, Pattern::TAG_KEY)),
    optional("Value", &text(0, 256, Pattern::TAG_VALUE)),
]);

static ENCRYPTION_INPUT: Shape = Shape::Structure(&[
    optional("KeyARN", &text(1, 512, Pattern::KMS_KEY_ARN)),
    required("KeyType", &choice(&["AWS_OWNED_CMK", "CUSTOMER_MANAGED_CMK"])),
]);

const ROLE: Member = required("RoleARN", &ROLE_ARN);
const BUCKET: Member = required("BucketARN", &BUCKET_ARN);
const DATA_PREFIX: Member = optional("Prefix", &PREFIX);
const ERROR_PREFIX: Member = optional("ErrorOutputPrefix", &PREFIX);
const HINTS: Member = optional(
    "BufferingHints",
    &Shape::Structure(&[optional("SizeInMBs", &integer(1, 128)), optional("IntervalInSeconds", &integer(0, 900))]),
);
const COMPRESSION: Member = optional(
    "CompressionFormat",
    &Shape::Choice {
        values: &["ZIP", "HADOOP_SNAPPY", "Snappy", "GZIP", "UNCOMPRESSED"],
        extensions: COMPRESSION_FORMATS,
    },
);
const ENCRYPTION: Member = optional(
    "EncryptionConfiguration",
    &Shape::Structure(&[
        optional("NoEncryptionConfig", &choice(&["NoEncryption"])),
        optional(
            "KMSEncryptionConfig",
            &Shape::Structure(&[required("AWSKMSKeyARN", &text(1, 512, Pattern::KMS_KEY_ARN))]),
        ),
    ]),
);
const LOGGING: Member = optional("CloudWatchLoggingOptions", &LOGGING_OPTIONS);

static SECRETS_MANAGER: Shape = Shape::Structure(&[
    optional("SecretARN", &text(1, 2048, Pattern::SECRET_ARN)),
    optional("RoleARN", &ROLE_ARN),
    required("Enabled", &BOOLEAN),
]);

static LOGGING_OPTIONS: Shape = Shape::Structure(&[
    optional("Enabled", &BOOLEAN),
    optional("LogGroupName", &text(0, 512, Pattern::LOG_GROUP)),
    optional("LogStreamName", &text(0, 512, Pattern::LOG_STREAM)),
]);

const S3: [Member; 8] = [ROLE, BUCKET, DATA_PREFIX, ERROR_PREFIX, HINTS, COMPRESSION, ENCRYPTION, LOGGING];

const EXTENDED_S3: [Member; 16] = [
    ROLE,
    BUCKET,
    DATA_PREFIX,
    ERROR_PREFIX,
    HINTS,
    COMPRESSION,
    ENCRYPTION,
    LOGGING,
    optional("ProcessingConfiguration", &PROCESSING),
    optional("S3BackupMode", &choice(&["Disabled", "Enabled"])),
    optional("S3BackupConfiguration", &Shape::Structure(&S3)),
    optional("DataFormatConversionConfiguration", &CONVERSION),
    optional("DynamicPartitioningConfiguration", &PARTITIONING),
    optional("FileExtension", &text(0, 128, Pattern::FILE_EXTENSION)),
    optional("CustomTimeZone", &text(0, 50, Pattern::TIME_ZONE)),
    // An extension (`super::extensions`).
    optional("TargetObjectSizeInMBs", &integer(1, 1024)),
];

static PROCESSING: Shape =
    Shape::Structure(&[optional("Enabled", &BOOLEAN), optional("Processors", &list(&PROCESSOR))]);

static PARTITIONING: Shape = Shape::Structure(&[
    optional("RetryOptions", &Shape::Structure(&[optional("DurationInSeconds", &integer(0, 7200))])),
    optional("Enabled", &BOOLEAN),
    // Extensions (`super::extensions`).
    optional("MaxActivePartitions", &integer(1, 1_000_000)),
    optional("MaxWaitingMBs", &integer(64, 16_777_216)),
]);

static PROCESSOR: Shape = Shape::Structure(&[
    required(
        "Type",
        &choice(&[
            "Decompression",
            "Lambda",
            "RecordDeAggregation",
            "MetadataExtraction",
            "AppendDelimiterToRecord",
            "CloudWatchLogProcessing",
        ]),
    ),
    optional("Parameters", &list(&PARAMETER)),
]);

static PARAMETER: Shape = Shape::Structure(&[
    required(
        "ParameterName",
        &Shape::Choice {
            values: &[
                "DataMessageExtraction",
                "NumberOfRetries",
                "Delimiter",
                "RoleArn",
                "JsonParsingEngine",
                "SubRecordType",
                "MetadataExtractionQuery",
                "BufferIntervalInSeconds",
                "LambdaArn",
                "BufferSizeInMBs",
                "CompressionFormat",
            ],
            extensions: LAMBDA_PARAMETERS,
        },
    ),
    required("ParameterValue", &text(1, 5120, Pattern::SOME_TEXT)),
]);

/// An extension (`super::extensions`).
const UNKNOWN_FIELDS_COLUMN: Member = optional("UnknownFieldsColumn", &NO_SPACE);

static CONVERSION: Shape = Shape::Structure(&[
    optional(
        "SchemaConfiguration",
        &Shape::Structure(&[
            optional("RoleARN", &NO_SPACE),
            optional("CatalogId", &NO_SPACE),
            optional("DatabaseName", &NO_SPACE),
            optional("TableName", &NO_SPACE),
            optional("Region", &NO_SPACE),
            optional("VersionId", &NO_SPACE),
        ]),
    ),
    optional(
        "InputFormatConfiguration",
        &Shape::Structure(&[
            UNKNOWN_FIELDS_COLUMN,
            optional(
                "Deserializer",
                &Shape::Structure(&[
                    optional(
                        "OpenXJsonSerDe",
                        &Shape::Structure(&[
                            optional("ConvertDotsInJsonKeysToUnderscores", &BOOLEAN),
                            optional("CaseInsensitive", &BOOLEAN),
                            optional(
                                "ColumnToJsonKeyMappings",
                                &Shape::Map {
                                    key: Text { min: 1, max: 1024, pattern: Pattern::NO_SPACE },
                                    value: Text { min: 1, max: 1024, pattern: Pattern::SOME_TEXT },
                                },
                            ),
                        ]),
                    ),
                    optional("HiveJsonSerDe", &Shape::Structure(&[optional("TimestampFormats", &list(&SOME_TEXT))])),
                ]),
            ),
        ]),
    ),
    optional(
        "OutputFormatConfiguration",
        &Shape::Structure(&[optional(
            "Serializer",
            &Shape::Structure(&[optional("ParquetSerDe", &PARQUET), optional("OrcSerDe", &ORC)]),
        )]),
    ),
    optional("Enabled", &BOOLEAN),
]);

static PARQUET: Shape = Shape::Structure(&[
    optional("BlockSizeBytes", &FROM_64_MIB),
    optional("PageSizeBytes", &Shape::Integer { min: 64 << 10, relaxed_min: 1, max: NO_MAX }),
    optional(
        "Compression",
        &Shape::Choice { values: &["SNAPPY", "GZIP", "UNCOMPRESSED"], extensions: PARQUET_COMPRESSIONS },
    ),
    optional("EnableDictionaryCompression", &BOOLEAN),
    optional("MaxPaddingBytes", &integer(0, NO_MAX)),
    optional("WriterVersion", &choice(&["V1", "V2"])),
    optional("TimestampType", &Shape::Choice { values: &[], extensions: TIMESTAMP_TYPES }),
    optional("BloomFilterColumns", &list(&SOME_TEXT)),
    optional("BloomFilterFalsePositiveProbability", &PROPORTION),
]);

static ORC: Shape = Shape::Structure(&[
    optional("StripeSizeBytes", &Shape::Integer { min: 8 << 20, relaxed_min: 1, max: NO_MAX }),
    optional("BlockSizeBytes", &FROM_64_MIB),
    optional("RowIndexStride", &integer(1000, NO_MAX)),
    optional("EnablePadding", &BOOLEAN),
    optional("PaddingTolerance", &PROPORTION),
    optional("Compression", &choice(&["ZLIB", "SNAPPY", "NONE"])),
    optional("BloomFilterColumns", &list(&NO_SPACE)),
    optional("BloomFilterFalsePositiveProbability", &PROPORTION),
    optional("DictionaryKeyThreshold", &PROPORTION),
    optional("FormatVersion", &choice(&["V0_11", "V0_12"])),
]);
