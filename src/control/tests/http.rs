//! HTTP endpoints: what they resolve to, how they are described and updated, and that secrets are hidden.

use super::updates::{described, invalid, with_stream};
use super::*;
use crate::stream::definition::{HttpTarget, RequestFormat};
use rules::HTTP;

const SECRET: &str = "sesame-0123456789";
const FAR: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:s";

/// A request for a stream to an endpoint, with more members.
pub fn to_endpoint(more: Value) -> Value {
    let mut request = json!({
        "DeliveryStreamName": "s",
        HTTP: {
            "EndpointConfiguration": {"Url": "https://receiver.example/in?x=1"},
            "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::errors"},
        },
    });
    merge(&mut request[HTTP], more);
    request
}

fn update(control: &Control, version: u64, members: Value) -> Result<Value, String> {
    let request = json!({
        "DeliveryStreamName": "s", "DestinationId": describe::DESTINATION_ID,
        "CurrentDeliveryStreamVersionId": version.to_string(), "HttpEndpointDestinationUpdate": members,
    });
    call(control, "UpdateDestination", request).map_err(|error| error.to_string())
}

#[test]
fn defaults_and_members_make_the_definition() {
    let bare = planned(to_endpoint(json!({})));
    assert_eq!((bare.hints.size_bytes, bare.hints.interval_ms), (5 << 20, 300_000));
    assert_eq!((bare.s3.bucket.as_str(), &bare.backup), ("errors", &None));
    let target = HttpTarget {
        url: "https://receiver.example/in?x=1".to_owned(),
        access_key: None,
        secret_arn: None,
        gzip: false,
        common_attributes: Vec::new(),
        retry_ms: 300_000,
        format: RequestFormat::Firehose,
    };
    assert_eq!(bare.http, Some(target.clone()));
    let full = planned(to_endpoint(json!({
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        "RequestConfiguration": {
            "ContentEncoding": "GZIP",
            "CommonAttributes": [{"AttributeName": "b", "AttributeValue": ""}, {"AttributeName": "a", "AttributeValue": "1"}],
        },
        "RetryOptions": {"DurationInSeconds": 0},
        "S3BackupMode": "AllData",
        "RequestFormat": "JSON_ARRAY",
    })));
    let attributes = vec![("b".to_owned(), String::new()), ("a".to_owned(), "1".to_owned())];
    let all = HttpTarget {
        gzip: true,
        common_attributes: attributes,
        retry_ms: 0,
        format: RequestFormat::JsonArray,
        ..target
    };
    assert_eq!((full.hints.size_bytes, full.hints.interval_ms, full.http), (1 << 20, 0, Some(all)));
    let backup = full.backup.unwrap();
    assert_eq!((backup.s3.bucket.as_str(), backup.since_revision, backup.hints.interval_ms), ("errors", 1, 300_000));
}

#[test]
fn the_services_rules_hold() {
    let refused = |rules: Rules, more: Value| match plan(&rules, Id128([1; 16]), to_endpoint(more)) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    };
    let url = |url: &str| json!({"EndpointConfiguration": {"Url": url}});
    let attribute = json!({"AttributeName": "a", "AttributeValue": "1"});
    let twice = json!({"RequestConfiguration": {"CommonAttributes": [attribute, attribute]}});
    assert_eq!(refused(relaxed(), twice), invalid("Http Endpoint Common Attributes have duplicate name a."));
    for (rules, address, expected) in [
        (relaxed(), "http://127.0.0.1:8080/", "taken"),
        (relaxed(), "http://receiver.example/", "http:// to another machine"),
        (Rules { allow_http: true, ..relaxed() }, "http://receiver.example/", "taken"),
        (relaxed(), "https://", "is not a URL"),
        (relaxed(), "https://exa mple/", "is not a URL"),
        (relaxed(), "ftp://receiver.example/", "httpEndpointDestinationConfiguration.endpointConfiguration.url"),
        (strict(), "http://127.0.0.1:8080/", "Member must satisfy regular expression pattern: https://.*"),
        (strict(), "https://receiver.example:8443/", "taken"),
    ] {
        let said = refused(rules, url(address));
        assert!(said.contains(expected), "{address}: {said}");
    }
    for (more, expected) in [
        (json!({"BufferingHints": {"SizeInMBs": 65}}), "Member must have value less than or equal to 64"),
        (json!({"RetryOptions": {"DurationInSeconds": 7201}}), "less than or equal to 7200"),
        (json!({"S3BackupMode": "Enabled"}), "Member must satisfy enum value set: [FailedDataOnly, AllData]"),
        (json!({"S3Configuration": null}), "s3Configuration' failed to satisfy constraint: Member must not be null"),
        (json!({"RequestFormat": "XML"}), "[FIREHOSE, NDJSON, JSON_ARRAY]"),
        (json!({"EndpointConfiguration": {"Url": "https://e.example", "AccessKey": "a\u{1}"}}), "no header can"),
        (json!({"S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b", "Prefix": "a\u{0}"}}), "NUL"),
        (json!({"SecretsManagerConfiguration": {"Enabled": true}}), "Invalid secret ARN: null"),
        (json!({"SecretsManagerConfiguration": {"Enabled": true, "SecretARN": "arn:aws:s3:::b"}}), "secretARN' failed"),
        (json!({"SecretsManagerConfiguration": {"Enabled": true, "SecretARN": FAR}}), "Cross-region secrets"),
        (json!({"CloudWatchLoggingOptions": {"Enabled": true}}), "CloudWatch Log Group Name is required"),
        (json!({"DataFormatConversionConfiguration": {}}), "is not a member of"),
    ] {
        let said = refused(relaxed(), more.clone());
        assert!(said.contains(expected), "{more}: {said}");
    }
}

#[test]
fn a_description_has_everything_but_the_secret() {
    let more = json!({
        "EndpointConfiguration": {"Url": "https://receiver.example/", "Name": "n", "AccessKey": SECRET},
        "RequestFormat": "NDJSON",
    });
    let (dir, catalog, control) = with_stream(relaxed(), to_endpoint(more));
    let s3 = json!({
        "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::errors",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300}, "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}, "CloudWatchLoggingOptions": {"Enabled": false},
    });
    let expected = json!([{
        "DestinationId": describe::DESTINATION_ID,
        "HttpEndpointDestinationDescription": {
            "EndpointConfiguration": {"Url": "https://receiver.example/", "Name": "n"},
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
            "CloudWatchLoggingOptions": {"Enabled": false},
            "RequestConfiguration": {"ContentEncoding": "NONE", "CommonAttributes": []},
            "RetryOptions": {"DurationInSeconds": 300},
            "S3BackupMode": "FailedDataOnly",
            "S3DestinationDescription": s3,
            "RequestFormat": "NDJSON",
        },
    }]);
    assert_eq!(described(&control)["Destinations"], expected);
    let row = catalog.find("s").unwrap();
    let hidden = row.definition.http.as_ref().unwrap().access_key.clone().unwrap();
    assert_eq!(control.folders.vault.show(&hidden).unwrap(), SECRET);
    assert!(!format!("{row:?}").contains(SECRET));
    for file in std::fs::read_dir(dir.path().join("catalog")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains(SECRET) && text.contains(&hidden.0));
    }
}

#[test]
fn an_update_keeps_the_secret_until_the_endpoint_is_given_anew() {
    let endpoint = json!({"Url": "https://receiver.example/", "AccessKey": SECRET});
    let (_dir, catalog, control) = with_stream(relaxed(), to_endpoint(json!({"EndpointConfiguration": endpoint})));
    let http = || catalog.find("s").unwrap().definition.http.clone().unwrap();
    let shown = || http().access_key.map(|hidden| control.folders.vault.show(&hidden).unwrap());
    update(&control, 1, json!({"RetryOptions": {"DurationInSeconds": 7}, "S3Update": {"Prefix": "p/"}})).unwrap();
    assert_eq!((http().retry_ms, shown().as_deref()), (7_000, Some(SECRET)));
    assert_eq!(catalog.find("s").unwrap().definition.s3.prefix, "p/");
    assert_eq!(catalog.find("s").unwrap().definition.s3.bucket, "errors");
    update(&control, 2, json!({"EndpointConfiguration": {"Url": "https://other.example/", "AccessKey": "new"}}))
        .unwrap();
    assert_eq!((http().url.as_str(), shown().as_deref()), ("https://other.example/", Some("new")));
    update(&control, 3, json!({"EndpointConfiguration": {"Url": "https://other.example/"}})).unwrap();
    assert_eq!(shown(), None);
    // Kept still, whatever the key file says by then.
    update(&control, 4, json!({"EndpointConfiguration": {"Url": "https://other.example/", "AccessKey": SECRET}}))
        .unwrap();
    update(&control, 5, json!({"S3BackupMode": "AllData"})).unwrap();
    assert_eq!(shown().as_deref(), Some(SECRET));
    assert_eq!(catalog.find("s").unwrap().definition.backup.as_ref().map(|backup| backup.since_revision), Some(6));
    let refused = update(&control, 6, json!({"S3BackupMode": "FailedDataOnly"})).unwrap_err();
    assert_eq!(refused, invalid("Disabling S3 backup is not currently supported."));
    let other = json!({
        "DeliveryStreamName": "s", "DestinationId": describe::DESTINATION_ID, "CurrentDeliveryStreamVersionId": "6",
        "ExtendedS3DestinationUpdate": {"Prefix": "q/"},
    });
    let refused = call(&control, "UpdateDestination", other).unwrap_err().to_string();
    let text = "Changing the destination type to or from HttpEndpoint is not supported at this time.";
    assert_eq!(refused, invalid(text));
}

#[test]
fn a_listed_stream_is_updated_when_its_secret_changes_and_only_then() {
    let with_key = |key: &str| {
        to_endpoint(json!({"EndpointConfiguration": {"Url": "https://receiver.example/", "AccessKey": key}}))
    };
    let (_dir, catalog, control) = control(relaxed());
    let ensured = |key: &str| block_on(control.ensure(with_key(key))).unwrap();
    assert_eq!(ensured(SECRET), Ensured::Created);
    assert_eq!(ensured(SECRET), Ensured::Present);
    assert_eq!(ensured("other"), Ensured::Updated);
    assert_eq!(ensured("other"), Ensured::Present);
    assert_eq!(catalog.find("s").unwrap().definition.revision, 2);
    // Its open requests could go nowhere.
    let to_s3 = json!({"DeliveryStreamName": "s", rules::PLAIN: {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::errors"}});
    let refused = block_on(control.ensure(to_s3)).unwrap_err().to_string();
    assert!(refused.contains("Changing the destination type to or from HttpEndpoint"), "{refused}");
}
