//! Random requests: the plan never panics, refuses with a modelled error, and what it accepts survives the catalog.

use super::*;
use crate::stream::definition::Definition;
use proptest::prelude::*;

/// Values that are wrong somewhere, or right somewhere else.
pub fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "!{",
            "!{timestamp:yyyy}",
            "!{:}",
            "GZIP",
            "true",
            "0.25",
            "ZSTD",
            "Lambda",
            LAMBDA,
            ROLE
        ])
        .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{}])),
        prop::collection::vec(".{0,3}".prop_map(Value::from), 0..3).prop_map(Value::from),
    ]
}

/// A request that sets about everything.
pub fn full() -> Value {
    let mut request = conversion(json!({}));
    let lambda = lambda(&[("LambdaArn", LAMBDA), ("NumberOfRetries", "1")]);
    merge(&mut request, lambda);
    merge(
        &mut request[rules::EXTENDED],
        json!({
            "Prefix": "p/", "ErrorOutputPrefix": "e/", "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
            "CompressionFormat": "UNCOMPRESSED", "FileExtension": ".x", "CustomTimeZone": "UTC",
            "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
            "CloudWatchLoggingOptions": {"Enabled": false}, "S3BackupMode": "Disabled",
            "DynamicPartitioningConfiguration": {"Enabled": false},
        }),
    );
    with_tags(request, &[("team", "data"), ("hydrant:IntervalInSeconds", "7")])
}

/// Replaces the value at the `at`-th place of the tree, counted in order.
pub fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, at, with)),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, at, with)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn odd_requests_are_planned_or_refused(
        changes in prop::collection::vec((0usize..80, odd_value()), 0..4),
        strictly in any::<bool>(),
    ) {
        let mut request = full();
        for (at, value) in changes {
            replace(&mut request, &mut at.clone(), &value);
        }
        let rules = if strictly { strict() } else { relaxed() };
        match plan(&rules, Id128([1; 16]), request) {
            Ok(plan) => {
                let text = serde_json::to_string(&plan.definition).unwrap();
                prop_assert_eq!(serde_json::from_str::<Definition>(&text).unwrap(), plan.definition);
            }
            Err(error) => {
                let kinds = [
                    "ValidationException", "SerializationException", "InvalidArgumentException",
                    "InvalidParameterValueException",
                ];
                prop_assert!(kinds.contains(&error.kind), "{}", error);
            }
        }
    }
}
