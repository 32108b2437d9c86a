"""Configurations of S3 destinations, and what DescribeDeliveryStream shows of each: the defaults, and what the service fills
in or keeps in another form.
"""

from harness import ACCOUNT, ROLE

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:enrich"
SCHEMA = {"RoleARN": ROLE, "DatabaseName": "db", "TableName": "t"}
PARTITIONS = {"Prefix": "!{partitionKeyFromQuery:k}/", "ErrorOutputPrefix": "e/"}


def parameters(**values):
    return [{"ParameterName": name, "ParameterValue": value} for name, value in values.items()]


def converted(**changes):
    serializer, deserializer = {"Serializer": {"ParquetSerDe": {}}}, {"Deserializer": {"OpenXJsonSerDe": {}}}
    whole = {"SchemaConfiguration": SCHEMA, "InputFormatConfiguration": deserializer, "OutputFormatConfiguration": serializer}
    return {**whole, **changes}


def by_query(**changes):
    query = parameters(MetadataExtractionQuery="{k:.k}", JsonParsingEngine="JQ-1.6")
    return {"Enabled": True, "Processors": [{"Type": "MetadataExtraction", "Parameters": query}], **changes}


LARGE = {"BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 300}}
BACKUP = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::copies"}
DEFAULTS = {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
    "CloudWatchLoggingOptions": {"Enabled": False},
}
# What is created, and what Describe shows of it otherwise than it was given, defaults apart.
DESCRIBED = {
    "nothing": ({}, {}),
    "prefixes": ({"Prefix": "a/", "ErrorOutputPrefix": "e/", "FileExtension": ".x", "CustomTimeZone": "Asia/Tokyo"}, {}),
    "empty texts": ({"Prefix": "", "FileExtension": ""}, {}),
    "one hint": ({"BufferingHints": {"SizeInMBs": 7}}, {"BufferingHints": {"SizeInMBs": 7, "IntervalInSeconds": 300}}),
    "compression": ({"CompressionFormat": "HADOOP_SNAPPY", "BufferingHints": {"SizeInMBs": 7, "IntervalInSeconds": 0}}, {}),
    "encryption": ({"EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}}}, {}),
    "no encryption": ({"EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}}, {}),
    "logging": ({"CloudWatchLoggingOptions": {"Enabled": False, "LogGroupName": "g", "LogStreamName": "s"}}, {}),
    # Enabled is false where it is left out of processing, and true where it is left out of conversion.
    "resting processing": (
        {"ProcessingConfiguration": {"Processors": [{"Type": "Lambda", "Parameters": parameters(LambdaArn=LAMBDA)}]}},
        {
            "ProcessingConfiguration": {
                "Enabled": False,
                "Processors": [
                    {
                        "Type": "Lambda",
                        "Parameters": parameters(
                            LambdaArn=LAMBDA, NumberOfRetries="3", RoleArn=ROLE, BufferSizeInMBs="1", BufferIntervalInSeconds="60"
                        ),
                    }
                ],
            }
        },
    ),
    "processing": (
        {
            "ProcessingConfiguration": {
                "Enabled": True,
                "Processors": [
                    {"Type": "RecordDeAggregation", "Parameters": parameters(SubRecordType="JSON")},
                    {"Type": "AppendDelimiterToRecord"},
                    {
                        "Type": "Lambda",
                        "Parameters": parameters(BufferIntervalInSeconds="0", BufferSizeInMBs="0.5", RoleArn=ROLE + "2", LambdaArn=LAMBDA + ":2"),
                    },
                ],
            }
        },
        {
            "ProcessingConfiguration": {
                "Enabled": True,
                "Processors": [
                    {"Type": "RecordDeAggregation", "Parameters": parameters(SubRecordType="JSON")},
                    {"Type": "AppendDelimiterToRecord", "Parameters": []},
                    {
                        "Type": "Lambda",
                        "Parameters": parameters(
                            LambdaArn=LAMBDA + ":2", NumberOfRetries="3", RoleArn=ROLE + "2", BufferSizeInMBs="0.5", BufferIntervalInSeconds="0"
                        ),
                    },
                ],
            }
        },
    ),
    "CloudWatch Logs": (
        {
            "ProcessingConfiguration": {
                "Enabled": True,
                "Processors": [
                    {"Type": "Decompression", "Parameters": parameters(CompressionFormat="GZIP")},
                    {"Type": "CloudWatchLogProcessing", "Parameters": parameters(DataMessageExtraction="true")},
                ],
            }
        },
        {},
    ),
    "conversion": (
        {"DataFormatConversionConfiguration": converted()},
        {**LARGE, "DataFormatConversionConfiguration": converted(Enabled=True)},
    ),
    "conversion in full": (
        {
            "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
            "DataFormatConversionConfiguration": converted(
                Enabled=True,
                SchemaConfiguration={**SCHEMA, "CatalogId": ACCOUNT, "Region": "eu-west-1", "VersionId": "LATEST"},
                InputFormatConfiguration={"Deserializer": {"HiveJsonSerDe": {"TimestampFormats": ["millis", "yyyy-MM-dd"]}}},
                OutputFormatConfiguration={
                    "Serializer": {
                        "ParquetSerDe": {
                            "BlockSizeBytes": 1 << 27, "PageSizeBytes": 1 << 17, "Compression": "GZIP", "EnableDictionaryCompression": True,
                            "MaxPaddingBytes": 0, "WriterVersion": "V2",
                        }
                    }
                },
            ),
        },
        {},
    ),
    "resting conversion": (
        {"CompressionFormat": "GZIP", "DataFormatConversionConfiguration": converted(Enabled=False)},
        {},
    ),
    "partitioning": (
        {**PARTITIONS, "DynamicPartitioningConfiguration": {"Enabled": True}, "ProcessingConfiguration": by_query()},
        {**LARGE, "DynamicPartitioningConfiguration": {"Enabled": True, "RetryOptions": {"DurationInSeconds": 300}}},
    ),
    "no partitioning": (
        {"DynamicPartitioningConfiguration": {"RetryOptions": {"DurationInSeconds": 7}}},
        {"DynamicPartitioningConfiguration": {"Enabled": False, "RetryOptions": {"DurationInSeconds": 7}}},
    ),
    "backup": (
        {"S3BackupMode": "Enabled", "S3BackupConfiguration": {**BACKUP, "Prefix": "b/", "CompressionFormat": "GZIP"}},
        {"S3BackupConfiguration": None, "S3BackupDescription": {**BACKUP, **DEFAULTS, "Prefix": "b/", "CompressionFormat": "GZIP"}},
    ),
    "resting backup": (
        {"S3BackupMode": "Disabled", "S3BackupConfiguration": {**BACKUP, "BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 60}}},
        {
            "S3BackupConfiguration": None,
            "S3BackupDescription": {**BACKUP, **DEFAULTS, "BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 60}},
        },
    ),
}
