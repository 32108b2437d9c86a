//! UpdateDestination and what lies outside of the stream: the service's own settings, files and AWS Glue. An update has to
//! do with those that it names, and no others.

use super::updates::*;
use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::schemas::GlueSettings;

/// The same control plane in a service with other settings.
fn with_rules(control: &Control, rules: Rules) -> Control {
    Control { rules: Arc::new(rules), ..control.clone() }
}

fn settings(account: &str, glue_region: Option<&str>, compatibility: Compatibility) -> Rules {
    let glue_region = glue_region.map(str::to_owned);
    Rules { account_id: account.to_owned(), glue_region, compatibility, ..Rules::default() }
}

#[test]
fn an_update_of_something_else_leaves_what_settings_filled_in() {
    let first = settings("111111111111", Some("eu-central-1"), Compatibility::Relaxed);
    let (_dir, catalog, control) = with_stream(first, conversion(json!({})));
    let before = catalog.find("s").unwrap().definition.clone();
    let later = with_rules(&control, settings("222222222222", None, Compatibility::Strict));
    assert_eq!(updated(&catalog, &later, request(1, json!({"Prefix": "p/"}))), "ok");
    let definition = catalog.find("s").unwrap().definition.clone();
    assert_eq!((&definition.convert, &definition.arn), (&before.convert, &before.arn));
    let schema = |members: Value| json!({"DataFormatConversionConfiguration": {"SchemaConfiguration": members}});
    assert_eq!(updated(&catalog, &later, request(2, schema(json!({"TableName": "u"})))), "ok");
    // What an update gives counts, also where it is what would be filled in now.
    assert_eq!(updated(&catalog, &later, request(3, schema(json!({"Region": "us-east-1"})))), "ok");
    let of = catalog.find("s").unwrap().definition.convert.clone().unwrap().schema;
    let expected = ["111111111111", "u", "us-east-1"];
    assert_eq!([&of.catalog_id, &of.table, &of.region], expected);
    // Conversion that begins only now begins with the settings of now.
    let (_dir, catalog, control) =
        with_stream(settings("1", Some("eu-central-1"), Compatibility::Relaxed), extended(json!({})));
    let later = with_rules(&control, settings("2", Some("eu-west-1"), Compatibility::Relaxed));
    let members = conversion(json!({}))["ExtendedS3DestinationConfiguration"].clone();
    assert_eq!(updated(&catalog, &later, request(1, members)), "ok");
    let of = catalog.find("s").unwrap().definition.convert.clone().unwrap().schema;
    assert_eq!((&of.catalog_id[..], &of.region[..]), ("2", "eu-west-1"));
}

#[test]
fn the_bound_of_partitions_is_the_one_of_the_creation_unless_an_update_gives_it() {
    let created = |more: Value| {
        let query = [("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", "{k:.k}")];
        let mut created = processors(json!([processor("MetadataExtraction", &query)]));
        let members = json!({
            "Prefix": "!{partitionKeyFromQuery:k}/", "ErrorOutputPrefix": "e/",
            "DynamicPartitioningConfiguration": {"Enabled": true},
        });
        merge(&mut created["ExtendedS3DestinationConfiguration"], members);
        merge(&mut created["ExtendedS3DestinationConfiguration"]["DynamicPartitioningConfiguration"], more);
        created
    };
    let bound = |catalog: &Catalog| catalog.find("s").unwrap().definition.partitioning.clone().unwrap().max_active;
    let given = |more: Value| {
        let mut members = json!({"DynamicPartitioningConfiguration": {"Enabled": true}});
        merge(&mut members["DynamicPartitioningConfiguration"], more);
        members
    };
    for (first, later, filled_in, now) in
        [(strict(), relaxed(), Some(500), None), (relaxed(), strict(), None, Some(500))]
    {
        let (_dir, catalog, control) = with_stream(first, created(json!({})));
        let later = with_rules(&control, later);
        assert_eq!(updated(&catalog, &later, request(1, json!({"CompressionFormat": "GZIP"}))), "ok");
        assert_eq!(bound(&catalog), filled_in);
        assert_eq!(updated(&catalog, &later, request(2, given(json!({"MaxActivePartitions": 7})))), "ok");
        assert_eq!(bound(&catalog), Some(7));
        // Given up, it is what it would be at a creation.
        assert_eq!(updated(&catalog, &later, request(3, given(json!({})))), "ok");
        assert_eq!(bound(&catalog), now);
    }
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
fn how_files_are_written_is_changed_without_asking_for_their_table() {
    // Nobody makes its calls, so it does not answer.
    let settings = GlueSettings { answer_timeout_ms: Some(1), ..GlueSettings::default() };
    let glue = Glue::open(settings, Arc::new(FaultyDisk::new()), "/tables".into(), Arc::new(FixedClock(0))).unwrap();
    let rules = Rules { glue_region: Some("eu-central-1".to_owned()), ..relaxed() };
    let (dir, catalog, control) = control_with_glue(rules, Some(Arc::new(glue)));
    block_on(control.ensure(conversion(json!({})))).unwrap();
    let parquet = |members: Value| {
        let output = json!({"Serializer": {"ParquetSerDe": members}});
        json!({"DataFormatConversionConfiguration": {"OutputFormatConfiguration": output}})
    };
    assert_eq!(updated(&catalog, &control, request(1, parquet(json!({"Compression": "GZIP"})))), "ok");
    let compression = catalog.find("s").unwrap().definition.convert.as_ref().unwrap().parquet.compression;
    assert_eq!(compression, crate::stream::definition::ParquetCompression::Gzip);
    let table = json!({"DataFormatConversionConfiguration": {"SchemaConfiguration": {"TableName": "u"}}});
    let text = updated(&catalog, &control, request(2, table));
    assert!(text.contains("cannot be looked up: AWS Glue has not answered yet"), "{text}");
    // What is known of the table still counts.
    std::fs::create_dir(dir.path().join("schemas")).unwrap();
    std::fs::write(dir.path().join("schemas/db.t.sql"), "create table t (a int)").unwrap();
    let text = updated(&catalog, &control, request(2, parquet(json!({"BloomFilterColumns": ["b"]}))));
    assert!(text.starts_with(&invalid("The schema in SchemaConfiguration is invalid: ")), "{text}");
    assert_eq!(updated(&catalog, &control, request(2, parquet(json!({"BloomFilterColumns": ["a"]})))), "ok");
}
