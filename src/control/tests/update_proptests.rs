//! UpdateDestination: each member, random updates, and that updates add up to one creation.

use super::proptests::{full, odd_value, replace};
use super::updates::*;
use super::*;
use crate::catalog::StreamRecord;
use proptest::prelude::*;
use rules::EXTENDED;

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
