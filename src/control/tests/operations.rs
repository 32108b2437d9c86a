//! The operations over a catalog: pages, restarts, what exists and what does not.

use super::*;
use crate::catalog::Status;
use crate::disk::faulty::FaultyDisk;
use crate::schemas::{Glue, GlueSettings};
use crate::stream::definition::Compression;
use rules::EXTENDED;

const ACCOUNT: &str = "000000000000";

fn named(name: &str) -> Value {
    let mut request = extended(json!({}));
    request["DeliveryStreamName"] = json!(name);
    request
}

fn error(result: Result<Value, ApiError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_stream_is_created_described_listed_and_deleted() {
    let (_dir, catalog, control) = control(relaxed());
    let created = call(&control, "CreateDeliveryStream", named("s")).unwrap();
    assert_eq!(created, json!({"DeliveryStreamARN": "arn:aws:firehose:us-east-1:000000000000:deliverystream/s"}));
    assert_eq!(
        error(call(&control, "CreateDeliveryStream", named("s"))),
        format!("ResourceInUseException: Firehose s under accountId {ACCOUNT} already exists")
    );
    let status = || {
        let answer = call(&control, "DescribeDeliveryStream", json!({"DeliveryStreamName": "s"})).unwrap();
        answer["DeliveryStreamDescription"]["DeliveryStreamStatus"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(), "ACTIVE");
    for force in [None, Some(false), Some(true), None] {
        let request = json!({"DeliveryStreamName": "s", "AllowForceDelete": force});
        assert_eq!(call(&control, "DeleteDeliveryStream", request).unwrap(), json!({}));
        assert_eq!(status(), "DELETING");
    }
    assert_eq!(catalog.find("s").unwrap().status, Status::Deleting { force: true });
    // The name is taken until the data plane is done.
    assert!(error(call(&control, "CreateDeliveryStream", named("s"))).contains("already exists"));
    catalog.remove("s", catalog.find("s").unwrap().definition.incarnation).unwrap();
    for operation in ["DescribeDeliveryStream", "DeleteDeliveryStream"] {
        assert_eq!(
            error(call(&control, operation, json!({"DeliveryStreamName": "s"}))),
            format!("ResourceNotFoundException: Firehose s under account {ACCOUNT} not found.")
        );
    }
    call(&control, "CreateDeliveryStream", named("s")).unwrap();
}

#[test]
fn lists_are_pages_of_names_in_order() {
    let (_dir, _catalog, control) = control(relaxed());
    for name in ["b", "a", "B", "c10", "c9", "-", "d", "e", "f", "g", "h", "i"] {
        call(&control, "CreateDeliveryStream", named(name)).unwrap();
    }
    let list = |request: Value| {
        let answer = call(&control, "ListDeliveryStreams", request).unwrap();
        let names: Vec<_> =
            answer["DeliveryStreamNames"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        (names.join(" "), answer["HasMoreDeliveryStreams"].as_bool().unwrap())
    };
    assert_eq!(list(json!({})), ("- B a b c10 c9 d e f g".to_owned(), true));
    assert_eq!(list(json!({"ExclusiveStartDeliveryStreamName": "g"})), ("h i".to_owned(), false));
    assert_eq!(list(json!({"ExclusiveStartDeliveryStreamName": "c5", "Limit": 2})), ("c9 d".to_owned(), true));
    assert_eq!(list(json!({"ExclusiveStartDeliveryStreamName": "zz"})), (String::new(), false));
    assert!(!list(json!({"Limit": 12})).1);
    assert_eq!(list(json!({"DeliveryStreamType": "DirectPut", "Limit": 1})), ("-".to_owned(), true));
    assert_eq!(list(json!({"DeliveryStreamType": "MSKAsSource"})), (String::new(), false));
    assert!(error(call(&control, "ListDeliveryStreams", json!({"Limit": 0}))).contains("greater than or equal to 1"));
}

#[test]
fn other_operations_are_unknown() {
    let (_dir, _catalog, control) = control(relaxed());
    for operation in crate::wire::OPERATIONS {
        let built = [
            "CreateDeliveryStream",
            "DeleteDeliveryStream",
            "DescribeDeliveryStream",
            "ListDeliveryStreams",
            "UpdateDestination",
        ];
        let text = error(call(&control, operation, json!({"Bad": 1})));
        let unknown = text.starts_with("UnknownOperationException") && text.contains("not built yet");
        assert_eq!(unknown, !built.contains(&operation), "{text}");
    }
    assert_eq!(
        error(call(&control, "Fly", json!({}))),
        "UnknownOperationException: 'Fly' is not an operation of Amazon Data Firehose."
    );
}

#[test]
fn bodies_that_are_no_objects_are_refused() {
    let (_dir, _catalog, control) = control(relaxed());
    for (body, expected) in [
        (&b"{"[..], "SerializationException: The body is not JSON"),
        (b"[]", "SerializationException: Start of list found where not expected"),
        (b"\"x\"", "SerializationException: Unexpected field type"),
        (b"", "ValidationException: 1 validation error detected: Value at 'deliveryStreamName' failed"),
        (b"\xff", "SerializationException: The body is not JSON"),
    ] {
        let text = block_on(control.handle("DescribeDeliveryStream", body)).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn the_quota_holds_when_strict_and_names_the_streams() {
    let text = ApiError::stream_quota(2, &["a".to_owned(), "b".to_owned()]).to_string();
    assert_eq!(
        text,
        "LimitExceededException: You have already consumed your firehose quota of 2 hoses. Firehose names: [a, b]"
    );
    assert_eq!((relaxed().stream_quota(), strict().stream_quota()), (None, Some(5000)));
}

#[test]
fn a_listed_deserializer_counts_though_it_has_no_members() {
    let (_dir, catalog, control) = control(relaxed());
    let listed = |deserializer: &str| {
        let mut request = named("s");
        let conversion = json!({"DataFormatConversionConfiguration": {
            "SchemaConfiguration": {"RoleARN": "arn:aws:iam::000000000000:role/firehose", "DatabaseName": "hydrant", "TableName": "infer"},
            "InputFormatConfiguration": {"Deserializer": {deserializer: {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        }});
        merge(&mut request[EXTENDED], conversion);
        block_on(control.ensure(request)).map_err(|error| error.to_string())
    };
    assert_eq!(listed("OpenXJsonSerDe"), Ok(Ensured::Created));
    assert_eq!(listed("OpenXJsonSerDe"), Ok(Ensured::Present));
    assert_eq!(listed("HiveJsonSerDe"), Ok(Ensured::Updated));
    assert_eq!(listed("HiveJsonSerDe"), Ok(Ensured::Present));
    assert_eq!(catalog.find("s").unwrap().definition.revision, 2);
}

#[test]
fn listed_streams_are_made_once_and_then_are_as_the_file_says() {
    let (_dir, catalog, control) = control(relaxed());
    let ensure = |request: Value| block_on(control.ensure(request)).map_err(|error| error.to_string());
    let row = || catalog.find("s").unwrap();
    assert_eq!(ensure(named("s")), Ok(Ensured::Created));
    let first = row();
    assert_eq!(ensure(named("s")), Ok(Ensured::Present));
    // Writing a default out changes nothing.
    let mut same = named("s");
    merge(&mut same[EXTENDED], json!({"BufferingHints": {"SizeInMBs": 5}}));
    assert_eq!(ensure(same), Ok(Ensured::Present));
    assert_eq!(row(), first);

    let mut other = with_tags(named("s"), &[("team", "data"), ("hydrant:CompressionFormat", "ZSTD")]);
    merge(&mut other[EXTENDED], json!({"BufferingHints": {"IntervalInSeconds": 60}, "Prefix": "p/"}));
    assert_eq!(ensure(other.clone()), Ok(Ensured::Updated));
    assert_eq!(ensure(other), Ok(Ensured::Present));
    let second = row();
    assert_eq!((second.definition.revision, second.updated_ms), (2, Some(1_700_000_000_250)));
    assert_eq!(second.definition.incarnation, first.definition.incarnation);
    assert_eq!((second.definition.hints.interval_ms, &second.definition.s3.prefix[..]), (60_000, "p/"));
    assert_eq!((second.definition.s3.compression, second.tags.len()), (Compression::Zstd, 2));
    // What the API changed meanwhile is undone by the next start: members that the file leaves out have their defaults.
    let api = json!({
        "DeliveryStreamName": "s", "DestinationId": "destinationId-000000000001",
        "CurrentDeliveryStreamVersionId": "2", "ExtendedS3DestinationUpdate": {"ErrorOutputPrefix": "e/"},
    });
    call(&control, "UpdateDestination", api).unwrap();
    assert_eq!(ensure(named("s")), Ok(Ensured::Updated));
    let fourth = row();
    assert_eq!(fourth.definition.revision, 4);
    assert_eq!(Definition { revision: 1, ..Definition::clone(&fourth.definition) }, *first.definition);
    assert_eq!((&fourth.request, &fourth.tags), (&first.request, &first.tags));

    catalog.mark_deleting("s", false).unwrap();
    // The deletion goes on only when the service runs, so it must not keep it from starting.
    assert_eq!(ensure(named("s")), Ok(Ensured::Deleting));
    assert!(ensure(extended(json!({"Prefx": "a"}))).unwrap_err().contains("Did you mean 'Prefix'?"));
}

#[test]
fn a_table_that_cannot_be_converted_to_is_refused_once_it_is_there() {
    let (dir, catalog, control) = control(relaxed());
    let schemas = dir.path().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("db.t.sql"), "create table t (a itn)").unwrap();
    let refused = error(call(&control, "CreateDeliveryStream", conversion(json!({}))));
    let start = "InvalidArgumentException: The schema in SchemaConfiguration is invalid: ";
    assert!(refused.starts_with(start) && refused.contains("itn"), "{refused}");
    let ensured = block_on(control.ensure(conversion(json!({})))).unwrap_err();
    assert_eq!(ensured.to_string(), refused);
    assert!(catalog.all().is_empty());
    // One that is there and cannot be read is no better.
    std::fs::remove_file(schemas.join("db.t.sql")).unwrap();
    std::fs::create_dir(schemas.join("db.t.sql")).unwrap();
    let refused = error(call(&control, "CreateDeliveryStream", conversion(json!({}))));
    assert!(refused.starts_with(start) && refused.contains("db.t.sql"), "{refused}");
    std::fs::remove_dir(schemas.join("db.t.sql")).unwrap();
    // A table may come after its stream; there is time until the first cut.
    call(&control, "CreateDeliveryStream", conversion(json!({}))).unwrap();
}

#[test]
fn a_listed_stream_is_made_without_glue_and_a_requested_one_is_refused() {
    // Nobody makes its calls, so it does not answer.
    let settings = GlueSettings { answer_timeout_ms: Some(1), ..GlueSettings::default() };
    let clock = Arc::new(FixedClock(0));
    let glue = Glue::open(settings, Arc::new(FaultyDisk::new()), "/tables".into(), clock).unwrap();
    let rules = Rules { glue_region: Some("eu-central-1".to_owned()), ..relaxed() };
    let (_dir, catalog, control) = control_with_glue(rules, Some(Arc::new(glue)));
    let refused = error(call(&control, "CreateDeliveryStream", conversion(json!({}))));
    assert!(refused.contains("cannot be looked up: AWS Glue has not answered yet. Try again"), "{refused}");
    assert!(catalog.all().is_empty());
    assert_eq!(block_on(control.ensure(conversion(json!({})))).unwrap(), Ensured::Created);
    assert_eq!(catalog.find("s").unwrap().status, Status::Active);
}

#[test]
fn a_table_that_is_learnt_needs_no_file_and_keys_without_case() {
    let (_dir, catalog, control) = control(relaxed());
    let inferred = |deserializer: Value| {
        conversion(json!({
            "SchemaConfiguration": {"DatabaseName": "Hydrant", "TableName": "infer"},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": deserializer}},
        }))
    };
    let refused = error(call(&control, "CreateDeliveryStream", inferred(json!({"CaseInsensitive": false}))));
    assert!(refused.starts_with("InvalidArgumentException: CaseInsensitive cannot be false where"), "{refused}");
    assert!(catalog.all().is_empty());
    call(&control, "CreateDeliveryStream", inferred(json!({}))).unwrap();
    let learns =
        |record: &crate::catalog::StreamRecord| record.definition.convert.as_ref().unwrap().schema.is_inferred();
    assert!(catalog.all().iter().all(|record| learns(record)));
}

#[test]
fn a_file_that_is_no_transform_is_refused_once_it_is_there() {
    const GOOD: &[u8] = include_bytes!("../../../transforms/enrich.wasm");
    let (dir, catalog, control) = control(relaxed());
    let transforms = dir.path().join("transforms");
    std::fs::create_dir(&transforms).unwrap();
    let path = transforms.join("mask@2.wasm");
    let request = || lambda(&[("LambdaArn", LAMBDA)]);
    let start = "InvalidArgumentException: The transform mask@2.wasm that LambdaArn names is invalid: ";
    // Empty, garbage, a core module, half a component; then one that was good when a stream before took it.
    let (none, half) = ("not a WebAssembly component", "cut off or damaged perhaps");
    let bad: [(&[u8], _); 4] =
        [(b"", none), (b"garbage", none), (b"\0asm\x01\0\0\0", none), (&GOOD[..GOOD.len() / 2], half)];
    for (round, (content, why)) in bad.into_iter().enumerate() {
        std::fs::write(&path, content).unwrap();
        let refused = error(call(&control, "CreateDeliveryStream", request()));
        assert!(refused.starts_with(start) && refused.contains(why), "{round}: {refused}");
        let ensured = block_on(control.ensure(request())).unwrap_err();
        assert_eq!(ensured.to_string(), refused);
    }
    assert!(catalog.all().is_empty());
    std::fs::write(&path, GOOD).unwrap();
    call(&control, "CreateDeliveryStream", request()).unwrap();
    std::fs::write(&path, b"garbage").unwrap();
    let mut second = request();
    second["DeliveryStreamName"] = json!("second");
    assert!(error(call(&control, "CreateDeliveryStream", second.clone())).starts_with(start));
    // What exists already must not keep the service from starting.
    assert_eq!(block_on(control.ensure(request())).unwrap(), Ensured::Present);
    // One that is there and cannot be read is no better; one that is gone may come.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(error(call(&control, "CreateDeliveryStream", second.clone())).contains("cannot be read"));
    std::fs::remove_dir(&path).unwrap();
    call(&control, "CreateDeliveryStream", second).unwrap();
}
