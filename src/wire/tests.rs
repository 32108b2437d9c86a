//! Messages word for word, patterns against examples, ids.

use super::*;
use crate::stream::Id128;
use serde_json::json;

static HINTS: Shape = Shape::Structure(&[
    Member { name: "SizeInMBs", required: false, shape: &Shape::Integer { min: 64, relaxed_min: 1, max: 128 } },
    Member { name: "RoleARN", required: true, shape: &ROLE },
    Member { name: "On", required: false, shape: &Shape::Boolean },
    Member {
        name: "Format",
        required: false,
        shape: &Shape::Choice { values: &["ZIP", "GZIP"], extensions: &["ZSTD"] },
    },
    Member { name: "Items", required: false, shape: &Shape::List { of: &HINTS, min: 0, max: 2 } },
    Member { name: "Share", required: false, shape: &Shape::Number { min: 0.0, max: 1.0 } },
    Member { name: "Names", required: false, shape: &Shape::Map { key: NAME, value: NAME } },
    Member { name: "Later", required: false, shape: &Shape::Opaque },
]);
static ROLE: Shape = Shape::Text(Text { min: 1, max: 60, pattern: Pattern::ROLE_ARN });
const NAME: Text = Text { min: 1, max: 3, pattern: Pattern::NO_SPACE };
const GOOD_ROLE: &str = "arn:aws:iam::000000000000:role/r";

fn message(request: serde_json::Value) -> String {
    match check(&HINTS, &request, Compatibility::Relaxed).finish() {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{}: {}", error.kind, error.message),
    }
}

#[test]
fn every_kind_of_finding_has_its_text() {
    let role = GOOD_ROLE;
    let table = [
        (json!({"RoleARN": role, "SizeInMBs": 1, "Format": "ZSTD", "Later": [1], "On": null}), "ok"),
        (
            json!({}),
            "ValidationException: 1 validation error detected: Value at 'roleARN' failed to satisfy constraint: \
             Member must not be null",
        ),
        (
            json!({"RoleARN": null, "SizeInMBs": 129}),
            "ValidationException: 2 validation errors detected: Value at 'sizeInMBs' failed to satisfy constraint: \
             Member must have value less than or equal to 128; Value at 'roleARN' failed to satisfy constraint: \
             Member must not be null",
        ),
        (
            json!({"RoleARN": role, "SizeInMBs": 0, "Share": 1.5}),
            "ValidationException: 2 validation errors detected: Value at 'sizeInMBs' failed to satisfy constraint: \
             Member must have value greater than or equal to 1; Value at 'share' failed to satisfy constraint: \
             Member must have value less than or equal to 1",
        ),
        (
            json!({"RoleARN": role, "Items": [{"RoleARN": role}, {"RoleARN": role, "Items": [{}]}]}),
            "ValidationException: 1 validation error detected: Value at 'items.2.member.items.1.member.roleARN' failed \
             to satisfy constraint: Member must not be null",
        ),
        (
            json!({"RoleARN": role, "Items": [null, null, null]}),
            "ValidationException: 4 validation errors detected: Value at 'items' failed to satisfy constraint: Member \
             must have length less than or equal to 2; Value at 'items.1.member' failed to satisfy constraint: Member \
             must not be null; Value at 'items.2.member' failed to satisfy constraint: Member must not be null; Value \
             at 'items.3.member' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"RoleARN": role, "Format": "LZO"}),
            "ValidationException: 1 validation error detected: Value at 'format' failed to satisfy constraint: Member \
             must satisfy enum value set: [ZIP, GZIP, ZSTD]",
        ),
        (
            json!({"RoleARN": "x"}),
            "ValidationException: 1 validation error detected: Value at 'roleARN' failed to satisfy constraint: Member \
             must satisfy regular expression pattern: arn:.*:iam::\\d{12}:role/[a-zA-Z_0-9+=,.@\\-_/]+",
        ),
        (
            json!({"RoleARN": role, "Names": {"a": "four"}}),
            "ValidationException: 1 validation error detected: Value at 'names.a.member' failed to satisfy constraint: \
             Member must have length less than or equal to 3",
        ),
        (
            json!({"SizeInMbs": 3, "Colour": 1}),
            "InvalidArgumentException: 'SizeInMbs' is not a member of the request. Did you mean 'SizeInMBs'? 'Colour' \
             is not a member of the request.",
        ),
        (
            json!({"RoleARN": role, "Items": [{"RoleArn": role}]}),
            "InvalidArgumentException: 'RoleArn' is not a member of 'items.1.member'. Did you mean 'RoleARN'?",
        ),
        (json!({"RoleARN": 5}), "SerializationException: NUMBER_VALUE can not be converted to a String (at 'roleARN')"),
        (
            json!({"SizeInMBs": "5"}),
            "SerializationException: STRING_VALUE can not be converted to an Integer (at 'sizeInMBs')",
        ),
        (
            json!({"SizeInMBs": 5.5}),
            "SerializationException: NUMBER_VALUE can not be converted to an Integer (at 'sizeInMBs')",
        ),
        (json!({"On": "true"}), "SerializationException: STRING_VALUE can not be converted to a Boolean (at 'on')"),
        (
            json!({"RoleARN": {}}),
            "SerializationException: Start of structure or map found where not expected (at 'roleARN')",
        ),
        (json!({"RoleARN": []}), "SerializationException: Start of list found where not expected (at 'roleARN')"),
        (json!({"Items": 1}), "SerializationException: Expected list or null (at 'items')"),
        (json!({"Names": true}), "SerializationException: Unexpected field type (at 'names')"),
        (json!("x"), "SerializationException: Unexpected field type (at the request itself)"),
    ];
    for (request, expected) in table {
        assert_eq!(message(request.clone()), expected, "{request}");
    }
}

#[test]
fn what_a_large_body_can_break_is_told_shortly() {
    let nulls = serde_json::Value::Array(vec![serde_json::Value::Null; 100_000]);
    let text = message(json!({"RoleARN": GOOD_ROLE, "Items": nulls}));
    assert!(text.starts_with("ValidationException: 100001 validation errors detected: "), "{}", &text[..80]);
    assert!(text.len() < 200_000, "{} bytes", text.len());

    let names: serde_json::Map<_, _> = (0..1000).map(|i| (format!("Name{i}"), json!(1))).collect();
    let text = message(names.into());
    assert_eq!(text.matches(" is not a member of the request.").count(), 20);
    assert!(text.ends_with(" There are more."), "{text}");
}

#[test]
fn the_services_own_minimum_holds_only_when_strict() {
    let request = json!({"RoleARN": GOOD_ROLE, "SizeInMBs": 63});
    assert!(check(&HINTS, &request, Compatibility::Relaxed).finish().is_ok());
    let error = check(&HINTS, &request, Compatibility::Strict).finish().unwrap_err();
    assert!(error.message.ends_with("Member must have value greater than or equal to 64"), "{error}");
}

#[test]
fn patterns_decide_as_the_model_does() {
    let table: [(Pattern, &[&str], &[&str]); 11] = [
        (Pattern::STREAM_NAME, &["a", "A.b-c_9"], &["", "a b", "é", "a/b"]),
        (
            Pattern::ROLE_ARN,
            &[
                "arn:aws:iam::123456789012:role/x",
                "arn:aws-cn:iam::123456789012:role/a/b+c=,.@-_",
                "arn:a:iam:b:iam::123456789012:role/x",
            ],
            &[
                "",
                "role",
                "arn:aws:iam::12345678901:role/x",
                "arn:aws:iam::123456789012:role/",
                "arn:aws:iam::123456789012:user/x",
                "arn:aws:iam::123456789012:role/x y",
                "arn:aws:iam::12345678901a:role/x",
            ],
        ),
        (
            Pattern::BUCKET_ARN,
            &["arn:aws:s3:::hydrant", "arn:aws:s3:::a.b-c_d"],
            &["hydrant", "arn:aws:s3:::", "arn:aws:s3:::a/b", "arn:aws:s3::x:a"],
        ),
        (
            Pattern::KMS_KEY_ARN,
            &["arn:aws:kms:us-east-1:123456789012:key/1-2", "arn:aws:kms:us-east-1:123456789012:alias/a/b"],
            &["arn:aws:kms:us-east-1:123456789012:grant/1", "arn:aws:kms::123456789012:key/1", "arn:aws:kms:r:1:key/1"],
        ),
        (Pattern::ONE_LINE, &["", "a b/é"], &["a\nb", "a\u{2028}"]),
        (Pattern::LOG_GROUP, &["", "/aws/x#1"], &["a b", "a:b"]),
        (Pattern::SOME_TEXT, &["a", " a "], &["", "  ", "a\nb", "\t"]),
        (Pattern::FILE_EXTENSION, &["", "..", ".json.gz", ".a(1)'*!"], &[".", ".A", "json", ".a b"]),
        (Pattern::TIME_ZONE, &["", "UTC", "America/New_York"], &["GMT+1", "America/Port-au-Prince"]),
        (Pattern::TAG_KEY, &["", "team", "a:b/c=d+e-f@g%h i", "größe"], &["aws:x", "a,b", "a\tb", "a*"]),
        (Pattern::NO_SPACE, &["a", "é"], &["", "a b", "a\t"]),
    ];
    for (pattern, good, bad) in table {
        for text in good {
            assert!((pattern.matches)(text), "{text:?} should match {}", pattern.text);
        }
        for text in bad {
            assert!(!(pattern.matches)(text), "{text:?} should not match {}", pattern.text);
        }
    }
}

#[test]
fn targets_name_operations() {
    assert_eq!(operation(Some("Firehose_20150804.PutRecord")).unwrap(), "PutRecord");
    for target in [None, Some(""), Some("PutRecord"), Some("Firehose_20150804."), Some("Kinesis_20131202.PutRecord")] {
        assert_eq!(operation(target).unwrap_err().kind, "UnknownOperationException", "{target:?}");
    }
}

#[test]
fn bodies_carry_type_message_and_code() {
    let body = |error: ApiError| serde_json::from_slice::<serde_json::Value>(&error.body()).unwrap();
    assert_eq!(
        body(ApiError::stream_not_found("s", "000000000000")),
        json!({"__type": "ResourceNotFoundException", "message": "Firehose s under account 000000000000 not found."})
    );
    assert_eq!(body(ApiError::invalid_source("s", "1"))["code"], "InvalidSource");
    assert_eq!(ApiError::slow_down().status, 500);
    let mut violations = Violations::default();
    violations.add_blob_length(1_024_001, "record.data", "have length less than or equal to 1024000");
    assert_eq!(
        violations.into_error().unwrap().message,
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1024001 cap=1024001]' at 'record.data' \
         failed to satisfy constraint: Member must have length less than or equal to 1024000"
    );
}

#[test]
fn record_ids_are_long_opaque_and_differ() {
    let mut seen = std::collections::HashSet::new();
    let (a, b) = (Id128([1; 16]), Id128([2; 16]));
    let mut id = "left over".to_owned();
    for incarnation in [a, b] {
        for number in (0..2000).chain(u64::MAX - 2000..u64::MAX) {
            record_id(incarnation, number, &mut id);
            assert!(id.len() >= 200 && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'+' || c == b'/'));
            assert!(seen.insert(id.clone()), "{number}");
        }
    }
    let mut again = String::new();
    record_id(b, u64::MAX - 1, &mut again);
    assert_eq!(again, id);
}

#[test]
fn nulls_count_as_absent() {
    let stripped = without_nulls(json!({"a": null, "b": [{"c": null, "d": 1}], "e": false}));
    assert_eq!(stripped, json!({"b": [{"d": 1}], "e": false}));
}
