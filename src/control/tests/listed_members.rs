//! Every member of CreateDeliveryStream does something, is a label that Describe shows, or is refused by name.

use super::super::model::CREATE;
use super::*;
use crate::wire::Shape;
use std::collections::BTreeSet;

/// What a member is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It changes the definition.
    Acts,
    /// It is kept and shown, and has no effect by its nature (labels, hints, settings of what is switched off).
    Shown,
    /// A value beyond the default is refused, and the message names it.
    Refused,
}
use Use::{Acts, Refused, Shown};

/// A request that sets much, as the ground on which one member is changed.
#[derive(Debug, Clone, Copy)]
pub enum Ground {
    Bare,
    Backup,
    Kinesis,
    Plain,
    Lambda,
    Parquet,
    Hive,
    Orc,
    Partitioned,
    Http,
    Redshift,
}

const EXT: &str = "ExtendedS3DestinationConfiguration";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s";
const HTTP: &str = rules::HTTP;
const REDSHIFT: &str = rules::REDSHIFT;
const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/1";

pub fn ground(of: Ground) -> Value {
    let serde = |input: Value, output: Value| {
        conversion(json!({
            "InputFormatConfiguration": {"Deserializer": input},
            "OutputFormatConfiguration": {"Serializer": output},
        }))
    };
    match of {
        Ground::Bare => extended(json!({})),
        Ground::Backup => {
            let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"});
            extended(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup}))
        }
        Ground::Kinesis => {
            let mut request = extended(json!({}));
            request["KinesisStreamSourceConfiguration"] = json!({});
            request
        }
        Ground::Plain => {
            json!({"DeliveryStreamName": "s", "S3DestinationConfiguration": extended(json!({}))[EXT]})
        }
        Ground::Lambda => lambda(&[("LambdaArn", LAMBDA), ("NumberOfRetries", "1")]),
        Ground::Parquet => conversion(json!({})),
        Ground::Hive => serde(json!({"OpenXJsonSerDe": null, "HiveJsonSerDe": {}}), json!({})),
        Ground::Orc => serde(json!({}), json!({"ParquetSerDe": null, "OrcSerDe": {}})),
        Ground::Http => super::http::to_endpoint(json!({
            "RequestConfiguration": {"CommonAttributes": [{"AttributeName": "a", "AttributeValue": "b"}]},
        })),
        Ground::Redshift => super::redshift::to_cluster(json!({
            "S3BackupMode": "Enabled",
            "S3BackupConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"},
        })),
        Ground::Partitioned => {
            let query = [("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", "{k:.k}")];
            let mut request = processors(json!([processor("MetadataExtraction", &query)]));
            merge(&mut request[EXT], json!({"Prefix": "!{partitionKeyFromQuery:k}/", "ErrorOutputPrefix": "e/"}));
            merge(&mut request[EXT], json!({"DynamicPartitioningConfiguration": {"Enabled": true}}));
            request
        }
    }
}

/// Member, ground, value, use. `[n]` is an item of a list.
pub fn table() -> Vec<(String, Ground, Value, Use)> {
    let mut rows = Vec::new();
    let mut add = |path: &str, of: Ground, value: Value, usage: Use| rows.push((path.to_owned(), of, value, usage));
    add("DeliveryStreamName", Ground::Bare, json!("t"), Acts);
    add("DeliveryStreamType", Ground::Kinesis, json!("KinesisStreamAsSource"), Refused);
    add("DeliveryStreamType", Ground::Bare, json!("DirectPut"), Shown);
    add("DirectPutSourceConfiguration.ThroughputHintInMBs", Ground::Bare, json!(7), Shown);
    // Ignored beside DirectPut by the service itself.
    add("KinesisStreamSourceConfiguration", Ground::Bare, json!({"RoleARN": ROLE}), Shown);
    add("MSKSourceConfiguration", Ground::Bare, json!({}), Refused);
    add("DatabaseSourceConfiguration", Ground::Bare, json!({}), Refused);
    add("Tags[0]", Ground::Bare, json!({"Key": "hydrant:SizeInMBs", "Value": "9"}), Acts);
    let input = "DeliveryStreamEncryptionConfigurationInput";
    add(input, Ground::Bare, json!({"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": KEY}), Refused);
    for name in crate::control::rules::DESTINATIONS.iter().filter(|name| !rules::SERVED.contains(name)) {
        add(name, Ground::Bare, json!({}), Refused);
    }
    for (of, at) in [
        (Ground::Plain, "S3DestinationConfiguration".to_owned()),
        (Ground::Bare, EXT.to_owned()),
        (Ground::Backup, format!("{EXT}.S3BackupConfiguration")),
        (Ground::Http, format!("{HTTP}.S3Configuration")),
        (Ground::Redshift, format!("{REDSHIFT}.S3Configuration")),
        (Ground::Redshift, format!("{REDSHIFT}.S3BackupConfiguration")),
    ] {
        // Of the error area hints count once AllData has its objects cut by them.
        let (acts, cuts) = (Acts, if matches!(of, Ground::Http) { Shown } else { Acts });
        let is_staging = at == format!("{REDSHIFT}.S3Configuration");
        add(&format!("{at}.RoleARN"), of, json!(format!("{ROLE}2")), Shown);
        add(&format!("{at}.BucketARN"), of, json!("arn:aws:s3:::other"), acts);
        add(&format!("{at}.Prefix"), of, json!("p/"), acts);
        add(&format!("{at}.ErrorOutputPrefix"), of, json!("e/"), if is_staging { Refused } else { acts });
        add(&format!("{at}.BufferingHints.SizeInMBs"), of, json!(6), cuts);
        add(&format!("{at}.BufferingHints.IntervalInSeconds"), of, json!(0), cuts);
        add(&format!("{at}.CompressionFormat"), of, json!("GZIP"), acts);
        add(&format!("{at}.EncryptionConfiguration.NoEncryptionConfig"), of, json!("NoEncryption"), Shown);
        add(&format!("{at}.EncryptionConfiguration.KMSEncryptionConfig.AWSKMSKeyARN"), of, json!(KEY), acts);
        let logging = format!("{at}.CloudWatchLoggingOptions");
        add(&logging, of, json!({"Enabled": true, "LogGroupName": "g"}), Refused);
        add(&format!("{logging}.LogGroupName"), of, json!("g"), Shown);
        add(&format!("{logging}.LogStreamName"), of, json!("s"), Shown);
    }
    for (path, value, usage) in [
        ("EndpointConfiguration.Url", json!("https://other.example/"), Acts),
        ("EndpointConfiguration.Name", json!("n"), Shown),
        // That it acts is what `http` holds: it is added to the definition once it is hidden.
        ("EndpointConfiguration.AccessKey", json!("k"), Shown),
        ("BufferingHints.SizeInMBs", json!(6), Acts),
        ("BufferingHints.IntervalInSeconds", json!(0), Acts),
        ("CloudWatchLoggingOptions", json!({"Enabled": true, "LogGroupName": "g"}), Refused),
        ("CloudWatchLoggingOptions.LogGroupName", json!("g"), Shown),
        ("CloudWatchLoggingOptions.LogStreamName", json!("s"), Shown),
        ("RequestConfiguration.ContentEncoding", json!("GZIP"), Acts),
        ("RequestConfiguration.CommonAttributes[0].AttributeName", json!("c"), Acts),
        ("RequestConfiguration.CommonAttributes[0].AttributeValue", json!("c"), Acts),
        (
            "ProcessingConfiguration",
            json!({"Enabled": true, "Processors": [{"Type": "AppendDelimiterToRecord"}]}),
            Acts,
        ),
        ("RoleARN", json!(ROLE), Shown),
        ("RetryOptions.DurationInSeconds", json!(1), Acts),
        ("S3BackupMode", json!("AllData"), Acts),
        ("S3BackupMode", json!("FailedDataOnly"), Shown),
        ("SecretsManagerConfiguration", json!({"Enabled": true, "SecretARN": SECRET}), Acts),
        ("SecretsManagerConfiguration", json!({"Enabled": false, "RoleARN": ROLE}), Shown),
        ("RequestFormat", json!("NDJSON"), Acts),
    ] {
        add(&format!("{HTTP}.{path}"), Ground::Http, value, usage);
    }
    for (path, value, usage) in [
        ("RoleARN", json!(format!("{ROLE}2")), Acts),
        ("ClusterJDBCURL", json!("jdbc:redshift://other.example:5439/dev"), Acts),
        ("CopyCommand.DataTableName", json!("other"), Acts),
        ("CopyCommand.DataTableColumns", json!("a, b"), Acts),
        ("CopyCommand.CopyOptions", json!("json 'auto'"), Acts),
        ("Username", json!("other"), Acts),
        // That it acts is what `redshift` holds: it is added to the definition once it is hidden.
        ("Password", json!("another"), Shown),
        ("RetryOptions.DurationInSeconds", json!(1), Acts),
        (
            "ProcessingConfiguration",
            json!({"Enabled": true, "Processors": [{"Type": "AppendDelimiterToRecord"}]}),
            Acts,
        ),
        ("S3BackupMode", json!("Disabled"), Acts),
        ("CloudWatchLoggingOptions", json!({"Enabled": true, "LogGroupName": "g"}), Refused),
        ("CloudWatchLoggingOptions.LogGroupName", json!("g"), Shown),
        ("CloudWatchLoggingOptions.LogStreamName", json!("s"), Shown),
        ("SecretsManagerConfiguration", json!({"Enabled": true, "SecretARN": SECRET}), Acts),
        ("SecretsManagerConfiguration", json!({"Enabled": false, "RoleARN": ROLE}), Shown),
        ("LoadMethod", json!("COPY_FROM_STDIN"), Acts),
        ("LoadMethod", json!("COPY"), Shown),
        ("LedgerTable", json!("ops.loads"), Acts),
    ] {
        add(&format!("{REDSHIFT}.{path}"), Ground::Redshift, value, usage);
    }
    let mut add = |path: &str, of: Ground, value: Value, usage: Use| add(&format!("{EXT}.{path}"), of, value, usage);
    add("ProcessingConfiguration.Enabled", Ground::Lambda, json!(false), Acts);
    add("ProcessingConfiguration.Processors[0].Type", Ground::Lambda, json!("AppendDelimiterToRecord"), Refused);
    add(
        "ProcessingConfiguration.Processors[0].Parameters[1].ParameterName",
        Ground::Lambda,
        json!("Delimiter"),
        Refused,
    );
    add("ProcessingConfiguration.Processors[0].Parameters[1].ParameterName", Ground::Lambda, json!("RoleArn"), Acts);
    add("ProcessingConfiguration.Processors[0].Parameters[1].ParameterValue", Ground::Lambda, json!("2"), Acts);
    add("S3BackupMode", Ground::Bare, json!("Disabled"), Shown);
    add("S3BackupMode", Ground::Backup, json!("Disabled"), Acts);
    add("TargetObjectSizeInMBs", Ground::Bare, json!(64), Acts);
    add("FileExtension", Ground::Bare, json!(".x"), Acts);
    add("CustomTimeZone", Ground::Bare, json!("Europe/Berlin"), Acts);
    add("CustomTimeZone", Ground::Bare, json!("UTC"), Shown);
    // That it acts is what `definitions` and `messages` hold: its prefix is refused without it.
    add("DynamicPartitioningConfiguration.Enabled", Ground::Partitioned, json!(true), Shown);
    // Telling keys needs nobody who could fail for a while.
    add("DynamicPartitioningConfiguration.RetryOptions.DurationInSeconds", Ground::Partitioned, json!(1), Shown);
    add("DynamicPartitioningConfiguration.MaxActivePartitions", Ground::Partitioned, json!(7), Acts);
    add("DynamicPartitioningConfiguration.MaxWaitingMBs", Ground::Partitioned, json!(64), Acts);
    let mut add = |path: &str, of: Ground, value: Value, usage: Use| {
        add(&format!("DataFormatConversionConfiguration.{path}"), of, value, usage);
    };
    add("Enabled", Ground::Parquet, json!(false), Acts);
    for member in ["RoleARN", "CatalogId", "DatabaseName", "TableName", "Region"] {
        add(&format!("SchemaConfiguration.{member}"), Ground::Parquet, json!("other"), Acts);
    }
    add("SchemaConfiguration.VersionId", Ground::Parquet, json!("7"), Refused);
    let open_x = "InputFormatConfiguration.Deserializer.OpenXJsonSerDe";
    add(&format!("{open_x}.ConvertDotsInJsonKeysToUnderscores"), Ground::Parquet, json!(true), Acts);
    add(&format!("{open_x}.CaseInsensitive"), Ground::Parquet, json!(false), Acts);
    add(&format!("{open_x}.ColumnToJsonKeyMappings"), Ground::Parquet, json!({"a": "b"}), Acts);
    add("InputFormatConfiguration.UnknownFieldsColumn", Ground::Parquet, json!("rest"), Acts);
    let hive = "InputFormatConfiguration.Deserializer.HiveJsonSerDe.TimestampFormats";
    add(hive, Ground::Hive, json!(["millis"]), Acts);
    for (member, value, usage) in [
        ("BlockSizeBytes", json!(1024), Acts),
        ("PageSizeBytes", json!(1024), Acts),
        ("Compression", json!("GZIP"), Acts),
        ("EnableDictionaryCompression", json!(false), Acts),
        ("MaxPaddingBytes", json!(1), Acts),
        ("WriterVersion", json!("V2"), Acts),
        ("TimestampType", json!("INT96"), Acts),
        ("BloomFilterColumns", json!(["a"]), Acts),
        ("BloomFilterFalsePositiveProbability", json!(0.5), Acts),
    ] {
        add(&format!("OutputFormatConfiguration.Serializer.ParquetSerDe.{member}"), Ground::Parquet, value, usage);
    }
    for (member, value) in [
        ("StripeSizeBytes", json!(64 << 20)),
        ("BlockSizeBytes", json!(64 << 20)),
        ("RowIndexStride", json!(1000)),
        ("EnablePadding", json!(true)),
        ("PaddingTolerance", json!(0.5)),
        ("Compression", json!("ZLIB")),
        ("BloomFilterColumns", json!(["a"])),
        ("BloomFilterFalsePositiveProbability", json!(0.5)),
        ("DictionaryKeyThreshold", json!(0.5)),
        ("FormatVersion", json!("V0_11")),
    ] {
        add(&format!("OutputFormatConfiguration.Serializer.OrcSerDe.{member}"), Ground::Orc, value, Refused);
    }
    rows
}

pub fn set(at: &mut Value, path: &str, value: Value) {
    let mut place = at;
    for part in path.split('.') {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, Some(index.parse::<usize>().unwrap())),
            None => (part, None),
        };
        place = &mut place[name];
        if let Some(index) = index {
            if place.is_null() {
                *place = json!([null]);
            }
            place = &mut place[index];
        }
    }
    *place = value;
}

fn get<'a>(at: &'a Value, path: &str) -> &'a Value {
    at.pointer(&format!("/{}", path.replace(['.', '['], "/").replace(']', ""))).unwrap_or(&Value::Null)
}

#[test]
fn no_member_is_accepted_and_ignored() {
    for (path, of, value, usage) in table() {
        let before = ground(of);
        let mut request = before.clone();
        if path.ends_with("DestinationConfiguration") {
            request.as_object_mut().unwrap().shift_remove(EXT);
        }
        set(&mut request, &path, value.clone());
        let planned = plan(&relaxed(), Id128([1; 16]), request.clone());
        match (usage, planned) {
            (Refused, Err(error)) => {
                let last = path.split('.').next_back().unwrap();
                let named = path.split(['.', '[']).chain([last, value.as_str().unwrap_or("-")]);
                let named: Vec<_> = named.filter(|part| !part.is_empty() && *part != EXT).collect();
                assert_eq!(error.kind, "InvalidArgumentException", "{path}: {error}");
                assert!(named.iter().any(|part| error.message.contains(part)), "{path} is not named by: {error}");
            }
            (Acts, Ok(plan)) => {
                assert_ne!(plan.definition, planned_before(&before), "{path} changes nothing");
            }
            (Shown, Ok(plan)) => {
                assert_eq!(plan.definition, planned_before(&before), "{path} changes something");
                assert_eq!(get(&plan.request, &path), &value, "{path} is not kept");
            }
            (usage, planned) => panic!("{path} should be {usage:?}, got {planned:?}"),
        }
    }
}

fn planned_before(request: &Value) -> Definition {
    planned(request.clone())
}

/// The members that the service does not have.
const EXTENSIONS: &str = "\
ExtendedS3DestinationConfiguration.DataFormatConversionConfiguration.OutputFormatConfiguration.Serializer.ParquetSerDe.TimestampType
ExtendedS3DestinationConfiguration.DataFormatConversionConfiguration.OutputFormatConfiguration.Serializer.ParquetSerDe.BloomFilterColumns
ExtendedS3DestinationConfiguration.DataFormatConversionConfiguration.OutputFormatConfiguration.Serializer.ParquetSerDe.BloomFilterFalsePositiveProbability
ExtendedS3DestinationConfiguration.DataFormatConversionConfiguration.InputFormatConfiguration.UnknownFieldsColumn
HttpEndpointDestinationConfiguration.RequestFormat
RedshiftDestinationConfiguration.LoadMethod
RedshiftDestinationConfiguration.LedgerTable
ExtendedS3DestinationConfiguration.TargetObjectSizeInMBs
ExtendedS3DestinationConfiguration.DynamicPartitioningConfiguration.MaxActivePartitions
ExtendedS3DestinationConfiguration.DynamicPartitioningConfiguration.MaxWaitingMBs";

/// The members without members of their own in the service model of 2015-08-04, from CreateDeliveryStream down;
/// sources and destinations that are refused as a whole are not opened.
const MODEL: &str = include_str!("model_members.txt");

#[test]
fn the_model_has_the_services_members_and_the_table_names_each() {
    let mut ours = BTreeSet::new();
    leaves(&CREATE, "", &mut ours);
    let theirs: BTreeSet<_> = MODEL.lines().chain(EXTENSIONS.lines()).map(str::to_owned).collect();
    assert_eq!(ours, theirs);
    let tested: Vec<_> = table().into_iter().map(|(path, ..)| path.replace("[0]", "[]").replace("[1]", "[]")).collect();
    let covered = |path: &String| tested.iter().any(|t| path == t || path.starts_with(&format!("{t}.")));
    let missing: Vec<_> = theirs.iter().filter(|path| !covered(path)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
}

fn leaves(shape: &Shape, path: &str, into: &mut BTreeSet<String>) {
    match shape {
        Shape::Structure(members) => {
            for member in *members {
                let at = if path.is_empty() { member.name.to_owned() } else { format!("{path}.{}", member.name) };
                leaves(member.shape, &at, into);
            }
        }
        Shape::List { of: Shape::Structure(members), .. } => {
            leaves(&Shape::Structure(members), &format!("{path}[]"), into);
        }
        _ => drop(into.insert(path.to_owned())),
    }
}
