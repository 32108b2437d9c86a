//! Redshift: what a stream resolves to, how it is described and updated, and that its password is hidden.

use super::updates::{described, invalid, with_stream};
use super::*;
use crate::stream::definition::{CopyCommand, LoadMethod, RedshiftTarget};
use rules::REDSHIFT;

const SECRET: &str = "sesame-0123456789";
const URL: &str = "jdbc:redshift://c.abc.us-east-1.redshift.amazonaws.com:5439/dev";

/// A request for a stream into a table, with more members.
pub fn to_cluster(more: Value) -> Value {
    let mut request = json!({
        "DeliveryStreamName": "s",
        REDSHIFT: {
            "RoleARN": ROLE,
            "ClusterJDBCURL": URL,
            "CopyCommand": {"DataTableName": "events"},
            "Username": "loader",
            "Password": SECRET,
            "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::stage"},
        },
    });
    merge(&mut request[REDSHIFT], more);
    request
}

fn update(control: &Control, version: u64, members: Value) -> Result<Value, String> {
    let request = json!({
        "DeliveryStreamName": "s", "DestinationId": describe::DESTINATION_ID,
        "CurrentDeliveryStreamVersionId": version.to_string(), "RedshiftDestinationUpdate": members,
    });
    call(control, "UpdateDestination", request).map_err(|error| error.to_string())
}

#[test]
fn defaults_and_members_make_the_definition() {
    let bare = planned(to_cluster(json!({})));
    assert_eq!((bare.hints.size_bytes, bare.hints.interval_ms), (5 << 20, 300_000));
    assert_eq!((bare.s3.bucket.as_str(), &bare.backup, &bare.http), ("stage", &None, &None));
    let target = RedshiftTarget {
        url: URL.to_owned(),
        user: Some("loader".to_owned()),
        password: None,
        secret_arn: None,
        role_arn: ROLE.to_owned(),
        copy: CopyCommand { table: "events".to_owned(), columns: String::new(), options: String::new() },
        retry_ms: 3_600_000,
        method: LoadMethod::Copy,
        ledger: "hydrant_loads_s".to_owned(),
    };
    assert_eq!(bare.redshift, Some(target.clone()));
    let mut named = to_cluster(json!({}));
    named["DeliveryStreamName"] = json!("Web.clicks-2");
    assert_eq!(planned(named).redshift.unwrap().ledger, "hydrant_loads_web_clicks_2");
    let full = planned(to_cluster(json!({
        "CopyCommand": {"DataTableName": "s.t", "DataTableColumns": "a, b", "CopyOptions": "json 'auto' GZIP"},
        "RetryOptions": {"DurationInSeconds": 0},
        "S3Configuration": {
            "CompressionFormat": "GZIP", "Prefix": "p/", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        },
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::backup"},
        "LoadMethod": "COPY_FROM_STDIN",
        "LedgerTable": "ops.loads",
    })));
    let copy =
        CopyCommand { table: "s.t".to_owned(), columns: "a, b".to_owned(), options: "json 'auto' GZIP".to_owned() };
    let all = RedshiftTarget {
        copy,
        retry_ms: 0,
        method: LoadMethod::CopyFromStdin,
        ledger: "ops.loads".to_owned(),
        ..target
    };
    assert_eq!((full.hints.size_bytes, full.hints.interval_ms, full.redshift), (1 << 20, 0, Some(all)));
    assert_eq!(full.backup.unwrap().s3.bucket, "backup");
}

#[test]
fn the_services_rules_hold() {
    let refused = |rules: Rules, more: Value| match plan(&rules, Id128([1; 16]), to_cluster(more)) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    };
    let url = |url: &str| json!({"ClusterJDBCURL": url});
    for (rules, address, expected) in [
        (relaxed(), "jdbc:postgresql://127.0.0.1:5432/x", "taken"),
        (relaxed(), "jdbc:postgresql://db.example/x?sslmode=disable", "without TLS to another machine"),
        (Rules { allow_plain: true, ..relaxed() }, "jdbc:postgresql://db.example/x?sslmode=disable", "taken"),
        (relaxed(), "jdbc:redshift://h/x?password=a", "must not have password"),
        (relaxed(), "https://h/x", "must be jdbc:redshift://HOST:PORT/DATABASE"),
        (
            strict(),
            "jdbc:postgresql://127.0.0.1:5432/x",
            "clusterJDBCURL' failed to satisfy constraint: Member must satisfy",
        ),
        (strict(), URL, "taken"),
        (strict(), "jdbc:redshift://wg.1.eu-west-1.redshift-serverless.amazonaws.com:5439/dev", "taken"),
    ] {
        let said = refused(rules, url(address));
        assert!(said.contains(expected), "{address}: {said}");
    }
    for (more, expected) in [
        (json!({"Password": null}), "Redshift Database Password is required for Redshift Destination"),
        (json!({"Username": null}), "Redshift Database Username is required"),
        (json!({"Password": "short"}), "Member must have length greater than or equal to 6"),
        (json!({"CopyCommand": null}), "copyCommand' failed to satisfy constraint: Member must not be null"),
        (json!({"CopyCommand": {"DataTableName": " "}}), "must name a table"),
        (json!({"RetryOptions": {"DurationInSeconds": 7201}}), "less than or equal to 7200"),
        (json!({"S3BackupMode": "AllData"}), "Member must satisfy enum value set: [Disabled, Enabled]"),
        (
            json!({"S3BackupMode": "Enabled"}),
            "S3 backup destination configuration is required when enabling S3 backup.",
        ),
        (
            json!({"S3Configuration": {"CompressionFormat": "ZIP"}}),
            "Only the following compression formats are allowed when using Redshift: [UNCOMPRESSED, GZIP]",
        ),
        (
            json!({"S3Configuration": {"ErrorOutputPrefix": "e/"}}),
            "Prefix Expressions or ErrorOutputPrefix is currently not supported for this destination",
        ),
        (
            json!({"S3Configuration": {"Prefix": "!{timestamp:yyyy}/"}}),
            "Prefix Expressions or ErrorOutputPrefix is currently not supported for this destination",
        ),
        (json!({"LoadMethod": "INSERT"}), "[COPY, COPY_FROM_STDIN]"),
        (json!({"LedgerTable": "a; DROP TABLE b"}), "ledgerTable' failed"),
        (json!({"SecretsManagerConfiguration": {"Enabled": true}}), "Invalid secret ARN: null"),
        (json!({"CloudWatchLoggingOptions": {"Enabled": true}}), "CloudWatch Log Group Name is required"),
        (json!({"BufferingHints": {}}), "is not a member of"),
    ] {
        let said = refused(relaxed(), more.clone());
        assert!(said.contains(expected), "{more}: {said}");
    }
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s";
    let by_secret =
        json!({"Username": null, "Password": null, "SecretsManagerConfiguration": {"Enabled": true, "SecretARN": arn}});
    assert_eq!(refused(relaxed(), by_secret), "taken");
}

#[test]
fn a_description_has_everything_but_the_secret() {
    let (dir, catalog, control) = with_stream(relaxed(), to_cluster(json!({"LoadMethod": "COPY_FROM_STDIN"})));
    let s3 = json!({
        "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::stage",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300}, "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}, "CloudWatchLoggingOptions": {"Enabled": false},
    });
    let expected = json!([{
        "DestinationId": describe::DESTINATION_ID,
        "RedshiftDestinationDescription": {
            "RoleARN": ROLE,
            "ClusterJDBCURL": URL,
            "CopyCommand": {"DataTableName": "events"},
            "Username": "loader",
            "RetryOptions": {"DurationInSeconds": 3600},
            "S3DestinationDescription": s3,
            "S3BackupMode": "Disabled",
            "CloudWatchLoggingOptions": {"Enabled": false},
            "LoadMethod": "COPY_FROM_STDIN",
        },
    }]);
    assert_eq!(described(&control)["Destinations"], expected);
    let row = catalog.find("s").unwrap();
    let hidden = row.definition.redshift.as_ref().unwrap().password.clone().unwrap();
    assert_eq!(control.folders.vault.show(&hidden).unwrap(), SECRET);
    assert!(!format!("{row:?}").contains(SECRET));
    for file in std::fs::read_dir(dir.path().join("catalog")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains(SECRET) && text.contains(&hidden.0));
    }
}

#[test]
fn an_update_keeps_the_password_until_it_is_given_anew() {
    // As long as it may be: what is hidden is longer.
    let long = "x".repeat(512);
    let (_dir, catalog, control) = with_stream(relaxed(), to_cluster(json!({"Password": long})));
    let target = || catalog.find("s").unwrap().definition.redshift.clone().unwrap();
    let shown = || control.folders.vault.show(&target().password.unwrap()).unwrap();
    update(&control, 1, json!({"RetryOptions": {"DurationInSeconds": 7}, "S3Update": {"Prefix": "p/"}})).unwrap();
    assert_eq!((target().retry_ms, shown()), (7_000, long));
    assert_eq!(catalog.find("s").unwrap().definition.s3.prefix, "p/");
    update(&control, 2, json!({"Username": "other", "Password": "another"})).unwrap();
    assert_eq!((target().user.as_deref(), shown().as_str()), (Some("other"), "another"));
    update(&control, 3, json!({"CopyCommand": {"DataTableName": "t2"}})).unwrap();
    assert_eq!((target().copy.table.as_str(), shown().as_str()), ("t2", "another"));
    let backup = json!({"S3BackupMode": "Enabled", "S3BackupUpdate": {"RoleARN": ROLE}});
    let refused = update(&control, 4, backup).unwrap_err();
    assert!(refused.contains("redshiftDestinationUpdate.s3BackupUpdate.bucketARN"), "{refused}");
    for (member, text) in [("ExtendedS3DestinationUpdate", "Redshift"), ("HttpEndpointDestinationUpdate", "Redshift")] {
        let other = json!({
            "DeliveryStreamName": "s", "DestinationId": describe::DESTINATION_ID, "CurrentDeliveryStreamVersionId": "4",
            member: {"RoleARN": ROLE},
        });
        let refused = call(&control, "UpdateDestination", other).unwrap_err().to_string();
        let text = format!("Changing the destination type to or from {text} is not supported at this time.");
        assert_eq!(refused, invalid(&text));
    }
}

#[test]
fn a_listed_stream_is_updated_when_its_password_changes_and_only_then() {
    let (_dir, catalog, control) = control(relaxed());
    let ensured = |password: &str| block_on(control.ensure(to_cluster(json!({"Password": password})))).unwrap();
    assert_eq!(ensured(SECRET), Ensured::Created);
    assert_eq!(ensured(SECRET), Ensured::Present);
    assert_eq!(ensured("another"), Ensured::Updated);
    assert_eq!(catalog.find("s").unwrap().definition.revision, 2);
}
