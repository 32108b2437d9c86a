//! UpdateDestination: what merges, and what happens to whom.

use super::*;
use crate::stream::definition::Compression;
use rules::{EXTENDED, PLAIN};

pub const DESTINATION: &str = "destinationId-000000000001";
pub const UPDATE: &str = "ExtendedS3DestinationUpdate";

/// A request for the update `members` of version `version`.
pub fn request(version: u64, members: Value) -> Value {
    json!({
        "DeliveryStreamName": "s", "DestinationId": DESTINATION, "CurrentDeliveryStreamVersionId": version.to_string(),
        UPDATE: members,
    })
}

/// A control plane with the stream `s`.
pub fn with_stream(rules: Rules, created: Value) -> (tempfile::TempDir, Arc<Catalog>, Control) {
    let (dir, catalog, control) = control(rules);
    call(&control, "CreateDeliveryStream", created).unwrap();
    (dir, catalog, control)
}

/// `ok`, or the error's type and message; then nothing has changed.
pub fn updated(catalog: &Catalog, control: &Control, request: Value) -> String {
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

pub fn described(control: &Control) -> Value {
    let answer = call(control, "DescribeDeliveryStream", json!({"DeliveryStreamName": "s"})).unwrap();
    answer["DeliveryStreamDescription"].clone()
}

pub fn destination(control: &Control) -> Value {
    described(control)["Destinations"][0]["ExtendedS3DestinationDescription"].clone()
}

pub fn invalid(message: &str) -> String {
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
