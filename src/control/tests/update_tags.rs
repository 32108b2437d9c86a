//! UpdateDestination of streams with tags of extensions, which hold on.

use super::updates::*;
use super::*;
use rules::EXTENDED;

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
fn a_tag_wins_over_what_an_update_of_the_backup_gives() {
    let backup = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::copies", "CompressionFormat": "GZIP"});
    let created = extended(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup}));
    let created = with_tags(created, &[("hydrant:S3BackupConfiguration.CompressionFormat", "ZSTD")]);
    let (_dir, catalog, control) = with_stream(relaxed(), created);
    let format = || catalog.find("s").unwrap().definition.backup.as_ref().unwrap().s3.compression;
    let backup = |format: &str| json!({"S3BackupUpdate": {"Prefix": "p/", "CompressionFormat": format}});
    // As it is shown, and as the tag says.
    for (version, value) in [(1, "GZIP"), (2, "ZSTD")] {
        assert_eq!(updated(&catalog, &control, request(version, backup(value))), "ok");
        assert_eq!(format(), crate::stream::definition::Compression::Zstd);
    }
    let text = updated(&catalog, &control, request(3, backup("Snappy")));
    let start = "The stream's tag 'hydrant:S3BackupConfiguration.CompressionFormat' is ZSTD and wins over the member";
    assert!(text.starts_with(&invalid(start)), "{text}");
}

#[test]
fn values_of_tags_are_compared_as_members_have_them() {
    let parquet = |columns: Value, share: Value| {
        let options = json!({"BloomFilterColumns": columns, "BloomFilterFalsePositiveProbability": share});
        let output = json!({"Serializer": {"ParquetSerDe": options}});
        json!({"DataFormatConversionConfiguration": {"OutputFormatConfiguration": output}})
    };
    let tags = [
        ("hydrant:ParquetSerDe.BloomFilterColumns", "a b  c"),
        ("hydrant:ParquetSerDe.BloomFilterFalsePositiveProbability", "0.010"),
    ];
    let (_dir, catalog, control) = with_stream(relaxed(), with_tags(conversion(json!({})), &tags));
    let update = |version, members: Value| updated(&catalog, &control, request(version, members));
    assert_eq!(update(1, parquet(json!(["a", "b", "c"]), json!(0.01))), "ok");
    for members in [parquet(json!(["a", "b c"]), json!(0.01)), parquet(json!(["a", "b", "c"]), json!(0.02))] {
        let text = update(2, members);
        assert!(text.contains("and wins over the member, which an update cannot change"), "{text}");
    }
}
