//! UpdateDestination: what merges, what is refused with which text, and that a refusal changes nothing.

use super::proptests::{full, odd_value, replace};
use super::*;
use crate::catalog::StreamRecord;
use crate::stream::definition::Compression;
use proptest::prelude::*;
use rules::{EXTENDED, PLAIN};

const DESTINATION: &str = "destinationId-000000000001";
const UPDATE: &str = "ExtendedS3DestinationUpdate";

/// A request for the update `members` of version `version`.
pub fn request(version: u64, members: Value) -> Value {
    json!({
        "DeliveryStreamName": "s", "DestinationId": DESTINATION, "CurrentDeliveryStreamVersionId": version.to_string(),
        UPDATE: members,
    })
}

/// A control plane with the stream `s`.
fn with_stream(rules: Rules, created: Value) -> (tempfile::TempDir, Arc<Catalog>, Control) {
    let (dir, catalog, control) = control(rules);
    call(&control, "CreateDeliveryStream", created).unwrap();
    (dir, catalog, control)
}

/// `ok`, or the error's type and message; then nothing has changed.
fn updated(catalog: &Catalog, control: &Control, request: Value) -> String {
    let before = catalog.find("s");
    match call(control, "UpdateDestination", request.clone()) {
        Ok(answer) => {
            assert_eq!(answer, json!({}));
            "ok".to_owned()
        }
        Err(error) => {
            assert_eq!(catalog.find("s"), before, "{request}: {error}");
            error.to_string()
        }
    }
}

fn described(control: &Control) -> Value {
    let answer = call(control, "DescribeDeliveryStream", json!({"DeliveryStreamName": "s"})).unwrap();
    answer["DeliveryStreamDescription"].clone()
}

fn destination(control: &Control) -> Value {
    described(control)["Destinations"][0]["ExtendedS3DestinationDescription"].clone()
}

fn invalid(message: &str) -> String {
    format!("InvalidArgumentException: {message}")
}

#[test]
fn an_update_replaces_what_it_gives_and_counts() {
    let created = extended(json!({"Prefix": "p/", "FileExtension": ".x", "BufferingHints": {"SizeInMBs": 64}}));
    let (dir, catalog, control) = with_stream(relaxed(), created);
    let before = described(&control);
    assert_eq!(before.get("LastUpdateTimestamp"), None);
    let hints = json!({"IntervalInSeconds": 7});
    let members = json!({"Prefix": "q/", "CompressionFormat": "GZIP", "BufferingHints": hints, "FileExtension": null});
    assert_eq!(updated(&catalog, &control, request(1, members)), "ok");
    let mut expected = before;
    merge(&mut expected, json!({"VersionId": "2", "LastUpdateTimestamp": 1_700_000_000.25}));
    for shape in ["S3DestinationDescription", "ExtendedS3DestinationDescription"] {
        // The hints are replaced as a whole.
        let hints = json!({"SizeInMBs": 5, "IntervalInSeconds": 7});
        let changed = json!({"Prefix": "q/", "CompressionFormat": "GZIP", "BufferingHints": hints});
        merge(&mut expected["Destinations"][0][shape], changed);
    }
    assert_eq!(described(&control), expected);
    let row = catalog.find("s").unwrap();
    assert_eq!((row.definition.revision, row.definition.hints.interval_ms), (2, 7000));
    assert_eq!((&row.definition.s3.prefix[..], row.definition.s3.compression), ("q/", Compression::Gzip));
    // One of nothing is an update too, and what is durable is what is shown.
    assert_eq!(updated(&catalog, &control, request(2, json!({}))), "ok");
    assert_eq!(described(&control)["VersionId"], "3");
    let again = Catalog::open(Arc::new(RealDisk), dir.path().join("catalog")).unwrap();
    assert_eq!(again.find("s"), catalog.find("s"));
}

#[test]
fn conversion_and_its_schema_merge_member_by_member_and_processors_do_not() {
    let mut created = conversion(json!({}));
    merge(&mut created, lambda(&[("LambdaArn", LAMBDA), ("NumberOfRetries", "1")]));
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let name = "DataFormatConversionConfiguration";
    let mut expected = destination(&control);
    let mut update = |version, members: Value, change: Value| {
        assert_eq!(updated(&catalog, &control, request(version, members)), "ok");
        merge(&mut expected, change);
        assert_eq!(destination(&control), expected);
        catalog.find("s").unwrap().definition.clone()
    };
    let schema = json!({name: {"SchemaConfiguration": {"TableName": "u", "Region": "eu-west-1"}}});
    let definition = update(1, schema.clone(), schema);
    let of = &definition.convert.as_ref().unwrap().schema;
    assert_eq!((&of.database[..], &of.table[..], &of.region[..]), ("db", "u", "eu-west-1"));
    // Off: all of it stays for later; the default of the hints is another.
    let hints = json!({"BufferingHints": {"SizeInMBs": 5}});
    let mut change = json!({name: {"Enabled": false}});
    merge(&mut change, hints);
    let definition = update(2, json!({name: {"Enabled": false}}), change);
    assert_eq!(definition.convert, None);
    let mut change = json!({name: {"Enabled": true}});
    merge(&mut change, json!({"BufferingHints": {"SizeInMBs": 128}}));
    let definition = update(3, json!({name: {"Enabled": true}}), change);
    assert_eq!(definition.convert.as_ref().unwrap().schema.table, "u");
    // A deserializer is replaced as a whole, so that another can take its place.
    let hive = json!({name: {"InputFormatConfiguration": {"Deserializer": {"HiveJsonSerDe": {}}}}});
    let mut change = hive.clone();
    change[name]["InputFormatConfiguration"]["Deserializer"]["OpenXJsonSerDe"] = Value::Null;
    update(4, hive, change);
    // Omitted, Enabled of processors is false, and nothing of them is kept.
    let off = json!({"ProcessingConfiguration": {"Enabled": false, "Processors": []}});
    let definition = update(5, json!({"ProcessingConfiguration": {}}), off);
    assert_eq!(definition.transform, None);
}

#[test]
fn both_s3_destinations_are_one_type() {
    let mut created = extended(json!({"Prefix": "p/"}));
    let plain = created.as_object_mut().unwrap().shift_remove(EXTENDED).unwrap();
    created[PLAIN] = plain;
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let plain = |version: u64, members: Value| {
        let mut request = request(version, json!({}));
        request.as_object_mut().unwrap().shift_remove(UPDATE);
        request["S3DestinationUpdate"] = members;
        request
    };
    assert_eq!(updated(&catalog, &control, plain(1, json!({"ErrorOutputPrefix": "e/"}))), "ok");
    let shapes = |control: &Control| {
        let destination = described(control)["Destinations"][0].clone();
        destination.as_object().unwrap().keys().skip(1).cloned().collect::<Vec<_>>()
    };
    assert_eq!(shapes(&control), ["S3DestinationDescription"]);
    assert_eq!(updated(&catalog, &control, request(2, json!({"FileExtension": ".x"}))), "ok");
    assert_eq!(updated(&catalog, &control, plain(3, json!({"CompressionFormat": "ZIP"}))), "ok");
    assert_eq!(shapes(&control), ["S3DestinationDescription", "ExtendedS3DestinationDescription"]);
    let shown = destination(&control);
    let members = ["Prefix", "ErrorOutputPrefix", "FileExtension", "CompressionFormat"];
    assert_eq!(members.map(|name| shown[name].as_str().unwrap()), ["p/", "e/", ".x", "ZIP"]);
}

#[test]
fn refusals_have_the_services_texts_and_change_nothing() {
    let created = extended(json!({"CompressionFormat": "GZIP", "CloudWatchLoggingOptions": {"LogStreamName": "l"}}));
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let with = |change: Value| {
        let mut request = request(1, json!({}));
        merge(&mut request, change);
        request
    };
    let members = |members: Value| request(1, members);
    let violation = |path: &str, constraint: &str| {
        format!(
            "ValidationException: 1 validation error detected: Value at '{path}' failed to satisfy constraint: Member \
             must {constraint}"
        )
    };
    let conversion = || super::conversion(json!({}))[EXTENDED]["DataFormatConversionConfiguration"].clone();
    let table = [
        (
            with(json!({"DeliveryStreamName": "other"})),
            "ResourceNotFoundException: Firehose other under account 000000000000 not found.".to_owned(),
        ),
        (
            with(json!({"CurrentDeliveryStreamVersionId": "2", "DestinationId": "other"})),
            "ConcurrentModificationException: Cannot update firehose: s since the current version id: 1 and specified \
             version id: 2 do not match"
                .to_owned(),
        ),
        (with(json!({"DestinationId": "other"})), invalid("Destination Id other not found")),
        (with(json!({"DestinationId": null})), violation("destinationId", "not be null")),
        (
            with(json!({"CurrentDeliveryStreamVersionId": "v1"})),
            violation("currentDeliveryStreamVersionId", "satisfy regular expression pattern: [0-9]+"),
        ),
        (
            with(json!({"CurrentDeliveryStreamVersionId": "1".repeat(51)})),
            violation("currentDeliveryStreamVersionId", "have length less than or equal to 50"),
        ),
        (with(json!({UPDATE: null})), invalid("Exactly one destination configuration is supported for a Firehose")),
        (
            with(json!({"S3DestinationUpdate": {}})),
            invalid("Exactly one destination configuration is supported for a Firehose"),
        ),
        (
            with(json!({UPDATE: null, "SplunkDestinationUpdate": {"S3Update": 7}})),
            invalid("SplunkDestinationUpdate is not supported by this version of Hydrant."),
        ),
        (with(json!({"Tags": []})), invalid("'Tags' is not a member of the request.")),
        (
            with(json!({UPDATE: {"S3BackupConfiguration": {}}})),
            invalid(
                "'S3BackupConfiguration' is not a member of 'extendedS3DestinationUpdate'. Did you mean \
                 'S3BackupUpdate'?",
            ),
        ),
        (
            members(json!({"CompressionFormat": "LZ4"})),
            violation(
                "extendedS3DestinationUpdate.compressionFormat",
                "satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED, ZSTD]",
            ),
        ),
        (
            members(json!({"S3BackupUpdate": {"BucketARN": "arn:aws:s3:::b"}})),
            violation("extendedS3DestinationUpdate.s3BackupUpdate.roleARN", "not be null"),
        ),
        (
            members(json!({"RoleARN": "arn:x:iam::000000000000:role/r"})),
            "InvalidParameterValueException: Invalid role ARN.".to_owned(),
        ),
        // Rules hold for what update and stream make together.
        (
            members(json!({"DataFormatConversionConfiguration": conversion()})),
            invalid(
                "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion is \
                 enabled. To enable compression within the converted output format, set the appropriate serialization \
                 option in the output format configuration.",
            ),
        ),
        (
            members(json!({"CloudWatchLoggingOptions": {"Enabled": true}})),
            invalid("CloudWatch Log Group Name is required if CloudWatch Logging is enabled"),
        ),
        (
            members(json!({"CompressionFormat": "UNCOMPRESSED", "DataFormatConversionConfiguration": {}})),
            invalid("InputFormatConfiguration must not be null"),
        ),
        (
            members(json!({"ProcessingConfiguration": {"Enabled": true, "Processors": []}})),
            invalid("A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled."),
        ),
        (
            members(json!({"S3BackupMode": "Enabled"})),
            invalid("S3 backup destination configuration is required when enabling S3 backup."),
        ),
        (
            members(json!({"DynamicPartitioningConfiguration": {"Enabled": true}})),
            invalid("Dynamic partitioning can only be enabled when a stream is created, not for an existing one."),
        ),
    ];
    for (request, expected) in table {
        assert_eq!(updated(&catalog, &control, request.clone()), expected, "{request}");
    }
    assert_eq!(described(&control)["VersionId"], "1");
    call(&control, "DeleteDeliveryStream", json!({"DeliveryStreamName": "s"})).unwrap();
    assert_eq!(
        updated(&catalog, &control, members(json!({}))),
        "ResourceInUseException: Firehose s under accountId 000000000000 is being deleted."
    );
    let (_dir, catalog, control) = with_stream(strict(), extended(json!({})));
    assert_eq!(
        updated(&catalog, &control, members(json!({"BufferingHints": {"SizeInMBs": 6}}))),
        invalid(
            "Both BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds are required to configure buffering."
        )
    );
}

#[test]
fn some_switches_turn_one_way_only() {
    let of = |members: Value| json!({EXTENDED: members});
    let check = |before: Value, after: Value| {
        super::super::merge::check_switches(&of(before), &of(after))
            .map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    };
    let backup = |mode: &str| json!({"S3BackupMode": mode});
    assert_eq!(check(json!({}), backup("Enabled")), "ok");
    assert_eq!(check(backup("Enabled"), backup("Enabled")), "ok");
    for after in [backup("Disabled"), json!({})] {
        assert_eq!(check(backup("Enabled"), after), invalid("Disabling S3 backup is not currently supported."));
    }
    let partitioning = |enabled: bool, s: u64| {
        let configuration = json!({"Enabled": enabled, "RetryOptions": {"DurationInSeconds": s}});
        json!({"DynamicPartitioningConfiguration": configuration})
    };
    assert_eq!(check(partitioning(true, 1), partitioning(true, 2)), "ok");
    assert_eq!(check(json!({}), partitioning(false, 2)), "ok");
    assert!(check(json!({}), partitioning(true, 1)).contains("only be enabled when a stream is created"));
    for after in [partitioning(false, 1), json!({}), json!({"DynamicPartitioningConfiguration": {}})] {
        assert!(check(partitioning(true, 1), after).contains("cannot be disabled"));
    }
}

#[test]
fn a_switch_is_refused_by_update_and_by_configuration() {
    let (_dir, catalog, control) = with_stream(relaxed(), extended(json!({})));
    // As a stream that keeps copies is stored.
    let mut row = StreamRecord::clone(&catalog.find("s").unwrap());
    catalog.remove("s", row.definition.incarnation).unwrap();
    let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"});
    merge(&mut row.request[EXTENDED], json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup}));
    catalog.create(row, None).unwrap();
    let text = "Disabling S3 backup is not currently supported.";
    assert_eq!(updated(&catalog, &control, request(1, json!({"S3BackupMode": "Disabled"}))), invalid(text));
    let before = catalog.find("s");
    let error = block_on(control.ensure(extended(json!({})))).unwrap_err().message;
    assert!(error.starts_with(&format!("{text} The stream s has it otherwise than the configuration")), "{error}");
    assert_eq!(catalog.find("s"), before);
}

#[test]
fn of_updates_of_one_version_exactly_one_is_done() {
    let (_dir, catalog, control) = with_stream(relaxed(), extended(json!({})));
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let update =
            |number: usize| call(&control, "UpdateDestination", request(1, json!({"Prefix": format!("{number}/")})));
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || update(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<_> = (0..8).filter(|number| outcomes[*number].is_ok()).collect();
    let [winner] = winners[..] else { panic!("{outcomes:?}") };
    let row = catalog.find("s").unwrap();
    assert_eq!((row.definition.revision, &row.definition.s3.prefix), (2, &format!("{winner}/")));
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, "ConcurrentModificationException", "{error}");
        assert!(error.message.ends_with("current version id: 2 and specified version id: 1 do not match"), "{error}");
    }
}

#[test]
fn tags_of_extensions_hold_on() {
    let mut created = conversion(json!({}));
    merge(&mut created, lambda(&[("LambdaArn", LAMBDA)]));
    let created = with_tags(
        created,
        &[
            ("hydrant:IntervalInSeconds", "3"),
            ("hydrant:ParquetSerDe.Compression", "ZSTD"),
            ("hydrant:Variable.FIELD", "mail"),
            ("team", "data"),
        ],
    );
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let tags = catalog.find("s").unwrap().tags.clone();
    let mut version = 0;
    let mut update = |members: Value| {
        version += 1;
        assert_eq!(updated(&catalog, &control, request(version, members)), "ok");
        let row = catalog.find("s").unwrap();
        assert_eq!(row.tags, tags);
        assert_eq!(row.definition.hints.interval_ms, 3000);
        row.definition.clone()
    };
    // Members given as they are shown, as tools do that know no other way; and with the tag's value.
    let shown = destination(&control);
    let names = ["BufferingHints", "ProcessingConfiguration", "DataFormatConversionConfiguration"];
    let mut all: Value = names.into_iter().map(|name| (name.to_owned(), shown[name].clone())).collect();
    all["Prefix"] = json!("p/");
    let definition = update(all);
    assert_eq!(definition.transform.as_ref().unwrap().variables["FIELD"], "mail");
    update(json!({"BufferingHints": {"SizeInMBs": 7, "IntervalInSeconds": 3}}));
    // Where a tag's place goes, it rests; back, it holds again.
    let definition = update(json!({"ProcessingConfiguration": {"Enabled": false, "Processors": []}}));
    assert_eq!(definition.transform, None);
    let definition = update(json!({"ProcessingConfiguration": shown["ProcessingConfiguration"]}));
    assert_eq!(definition.transform.as_ref().unwrap().variables["FIELD"], "mail");
    let definition = update(json!({"DataFormatConversionConfiguration": {"Enabled": false}}));
    assert_eq!(definition.convert, None);
    let definition = update(json!({"DataFormatConversionConfiguration": {"Enabled": true}}));
    let compression = definition.convert.as_ref().unwrap().parquet.compression;
    assert_eq!(compression, crate::stream::definition::ParquetCompression::Zstd);

    // What would have no effect is refused.
    let refused = |members: Value| updated(&catalog, &control, request(version + 1, members));
    let serializer = json!({"Serializer": {"ParquetSerDe": {"Compression": "GZIP"}}});
    let mut processing = shown["ProcessingConfiguration"].clone();
    let variable = json!({"ParameterName": "Variable.FIELD", "ParameterValue": "name"});
    processing["Processors"][0]["Parameters"].as_array_mut().unwrap().push(variable);
    for (members, tag) in [
        (json!({"BufferingHints": {"IntervalInSeconds": 4}}), "IntervalInSeconds' is 3"),
        (
            json!({"DataFormatConversionConfiguration": {"OutputFormatConfiguration": serializer}}),
            "ParquetSerDe.Compression' is ZSTD",
        ),
        (json!({"ProcessingConfiguration": processing}), "Variable.FIELD' is mail"),
    ] {
        let text = refused(members);
        let start = format!("InvalidArgumentException: The stream's tag 'hydrant:{tag} and wins over the member");
        assert!(text.starts_with(&start), "{text}");
    }

    let created = with_tags(extended(json!({})), &[("hydrant:CompressionFormat", "ZSTD")]);
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let conversion = conversion(json!({}))[EXTENDED]["DataFormatConversionConfiguration"].clone();
    let text = updated(&catalog, &control, request(1, json!({"DataFormatConversionConfiguration": conversion})));
    assert!(
        text.ends_with("output format configuration. The stream's tags count as members: hydrant:CompressionFormat.")
    );
}

#[test]
fn what_an_update_leaves_as_it_is_need_not_be_usable_now() {
    let (dir, catalog, control) = with_stream(relaxed(), conversion(json!({})));
    // Refused where it is named anew.
    std::fs::create_dir(dir.path().join("schemas")).unwrap();
    for table in ["t", "u"] {
        std::fs::write(dir.path().join(format!("schemas/db.{table}.sql")), "create table t (a itn)").unwrap();
    }
    assert_eq!(updated(&catalog, &control, request(1, json!({"Prefix": "p/"}))), "ok");
    let schema = json!({"DataFormatConversionConfiguration": {"SchemaConfiguration": {"TableName": "u"}}});
    let text = updated(&catalog, &control, request(2, schema));
    assert!(text.starts_with(&invalid("The schema in SchemaConfiguration is invalid: ")), "{text}");
}

#[test]
fn an_update_of_one_member_makes_what_a_creation_with_it_would() {
    use super::listed_members::{Ground, ground, set, table};
    let mut done = 0;
    for (path, of, value, _) in table() {
        let Some(path) = path.strip_prefix(&format!("{EXTENDED}.")) else { continue };
        if path.starts_with("S3Backup") || matches!(of, Ground::Orc | Ground::Partitioned) {
            continue;
        }
        let mut created = ground(of);
        let (_dir, catalog, control) = with_stream(relaxed(), created.clone());
        set(&mut created[EXTENDED], path, value);
        let member = path.split(['.', '[']).next().unwrap();
        let text = updated(&catalog, &control, request(1, json!({member: created[EXTENDED][member]})));
        let row: StreamRecord = StreamRecord::clone(&catalog.find("s").unwrap());
        match plan(&relaxed(), row.definition.incarnation, created) {
            Ok(plan) => {
                assert_eq!(text, "ok", "{path}");
                assert_eq!(Definition { revision: 1, ..Definition::clone(&row.definition) }, plan.definition, "{path}");
                assert_eq!(row.request, plan.request, "{path}");
                done += 1;
            }
            Err(error) => assert_eq!(text, error.to_string(), "{path}"),
        }
    }
    assert!(done > 30, "{done}");
}

/// A unit of the merge, with values that it may have: what is replaced as a whole.
const UNITS: [(&[&str], &[&str]); 13] = [
    (&["Prefix"], &["\"a/\"", "\"b/\""]),
    (&["ErrorOutputPrefix"], &["\"e/\"", "\"\""]),
    (&["CompressionFormat"], &["\"GZIP\"", "\"UNCOMPRESSED\"", "\"UNCOMPRESSED\""]),
    (
        &["BufferingHints"],
        &["{\"SizeInMBs\":9}", "{\"IntervalInSeconds\":8}", "{\"SizeInMBs\":3,\"IntervalInSeconds\":2}"],
    ),
    (&["FileExtension"], &["\".x\"", "\"\""]),
    (&["EncryptionConfiguration"], &["{\"NoEncryptionConfig\":\"NoEncryption\"}", "{}"]),
    (&["CloudWatchLoggingOptions"], &["{\"LogGroupName\":\"g\"}", "{\"Enabled\":false}"]),
    (
        &["ProcessingConfiguration"],
        &[
            "{}",
            "{\"Enabled\":true,\"Processors\":[]}",
            "{\"Enabled\":true,\"Processors\":[{\"Type\":\"Lambda\",\"Parameters\":[{\"ParameterName\":\"LambdaArn\",\
             \"ParameterValue\":\"arn:aws:lambda:us-east-1:000000000000:function:mask\"}]}]}",
        ],
    ),
    (&["DataFormatConversionConfiguration", "Enabled"], &["true", "false", "true"]),
    (
        &["DataFormatConversionConfiguration", "InputFormatConfiguration"],
        &["{\"Deserializer\":{\"HiveJsonSerDe\":{}}}", "{\"Deserializer\":{\"OpenXJsonSerDe\":{}}}", "{}"],
    ),
    (&["DataFormatConversionConfiguration", "SchemaConfiguration", "TableName"], &["\"t\"", "\"u\""]),
    (&["DataFormatConversionConfiguration", "SchemaConfiguration", "CatalogId"], &["\"1\"", "\"2\""]),
    (&["S3BackupUpdate", "Prefix"], &["\"b/\"", "\"c/\""]),
];

/// The value of units by their numbers, put together to what a creation (or an update) has.
fn put_together(units: &std::collections::BTreeMap<usize, usize>, backup: &str) -> Value {
    let mut whole = json!({});
    for (unit, value) in units {
        let (path, values) = UNITS[*unit];
        let mut at = &mut whole;
        for name in path {
            at = &mut at[if *name == "S3BackupUpdate" { backup } else { name }];
        }
        *at = serde_json::from_str(values[value % values.len()]).unwrap();
    }
    whole
}

proptest! {
    #[test]
    fn odd_updates_are_done_or_refused_and_break_nothing(
        changes in prop::collection::vec((0usize..80, odd_value()), 0..4),
    ) {
        let whole = full();
        let tags = whole["Tags"].clone();
        let mut created = extended(json!({"S3BackupConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"}}));
        merge(&mut created, conversion(json!({})));
        merge(&mut created, lambda(&[("LambdaArn", LAMBDA)]));
        created["Tags"] = tags;
        let (_dir, catalog, control) = with_stream(relaxed(), created);
        let mut update = request(1, whole[EXTENDED].clone());
        update[UPDATE]["S3BackupUpdate"] = json!({"Prefix": "c/"});
        for (at, value) in changes {
            replace(&mut update, &mut at.clone(), &value);
        }
        let before = catalog.find("s").unwrap();
        match call(&control, "UpdateDestination", update) {
            Ok(_) => {
                let row = catalog.find("s").unwrap();
                prop_assert_eq!(row.definition.revision, 2);
                prop_assert_eq!((&row.tags, &row.definition.arn), (&before.tags, &before.definition.arn));
                // What was stored is a creation that passes.
                let mut again = row.request.clone();
                again["DeliveryStreamName"] = json!("s");
                prop_assert!(plan(&relaxed(), Id128([1; 16]), again).is_ok(), "{}", row.request);
            }
            Err(error) => {
                let kinds = [
                    "ValidationException", "SerializationException", "InvalidArgumentException",
                    "InvalidParameterValueException", "ConcurrentModificationException", "ResourceNotFoundException",
                ];
                prop_assert!(kinds.contains(&error.kind), "{}", error);
                prop_assert_eq!(catalog.find("s").unwrap(), before);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn updates_add_up_to_one_creation(
        updates in prop::collection::vec(prop::collection::btree_map(0..UNITS.len(), 0..3usize, 0..5), 1..12),
    ) {
        let mut ground = conversion(json!({}));
        let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"});
        merge(&mut ground[EXTENDED], json!({"S3BackupConfiguration": backup}));
        let (_dir, catalog, control) = with_stream(relaxed(), ground.clone());
        let incarnation = catalog.find("s").unwrap().definition.incarnation;
        let (mut model, mut version) = (std::collections::BTreeMap::new(), 1);
        for update in updates {
            let text = updated(&catalog, &control, request(version, put_together(&update, "S3BackupUpdate")));
            let mut next = model.clone();
            next.extend(update);
            let mut created = ground.clone();
            // `merge` goes member by member, so what is a unit must go first.
            for unit in next.keys() {
                let (path, _) = UNITS[*unit];
                let path: Vec<_> = path.iter().map(|name| if *name == "S3BackupUpdate" { "S3BackupConfiguration" } else { name }).collect();
                let at = path[..path.len() - 1].iter().fold(&mut created[EXTENDED], |at, name| &mut at[*name]);
                at.as_object_mut().unwrap().shift_remove(*path.last().unwrap());
            }
            merge(&mut created[EXTENDED], put_together(&next, "S3BackupConfiguration"));
            match plan(&relaxed(), incarnation, created) {
                Ok(mut plan) => {
                    prop_assert_eq!(text, "ok");
                    (model, version) = (next, version + 1);
                    plan.definition.revision = version;
                    let row = catalog.find("s").unwrap();
                    prop_assert_eq!(&*row.definition, &plan.definition);
                    prop_assert_eq!(&row.request, &plan.request);
                    let shown = destination(&control)["Prefix"].clone();
                    prop_assert_eq!(shown.as_str().unwrap_or_default(), &plan.definition.s3.prefix[..]);
                }
                Err(error) => prop_assert_eq!(text, error.to_string()),
            }
        }
        prop_assert_eq!(&described(&control)["VersionId"], &json!(version.to_string()));
    }
}
