//! Golden file, round trip, and the life of a row across restarts.

use super::codec::{self, DecodeError};
use super::*;
use crate::disk::RealDisk;
use crate::stream::Id128;
use crate::stream::definition::*;
use crate::stream::prefix::TimeZone;
use proptest::prelude::*;
use serde_json::json;

const GOLDEN: &str = include_str!("golden.json");
const GOLDEN_2: &str = include_str!("golden_2.json");
const GOLDEN_3: &str = include_str!("golden_3.json");

fn record(name: &str) -> StreamRecord {
    let definition = Definition {
        name: name.parse().unwrap(),
        incarnation: Id128([7; 16]),
        revision: 1,
        arn: format!("arn:aws:firehose:us-east-1:000000000000:deliverystream/{name}"),
        hints: Hints { size_bytes: 5 << 20, interval_ms: 300_000 },
        s3: S3Target {
            bucket: "hydrant".to_owned(),
            prefix: "events/".to_owned(),
            error_prefix: Some("errors/".to_owned()),
            time_zone: TimeZone::UTC,
            file_extension: String::new(),
            compression: Compression::Uncompressed,
            kms_key: None,
        },
        processors: Processors::default(),
        transform: Some(TransformSpec {
            lambda_arn: "arn:aws:lambda:us-east-1:000000000000:function:mask:2".to_owned(),
            function: "mask".to_owned(),
            version: Some("2".to_owned()),
            retries: 3,
            batch_bytes: 1 << 20,
            timeout_ms: 60_000,
            memory_bytes: 256 << 20,
            variables: BTreeMap::from([("FIELD".to_owned(), "mail".to_owned())]),
            fuel: None,
            is_stateless: false,
        }),
        convert: Some(ConvertSpec {
            schema: SchemaRef {
                catalog_id: "000000000000".to_owned(),
                database: "db".to_owned(),
                table: "t".to_owned(),
                region: "us-east-1".to_owned(),
                version_id: "LATEST".to_owned(),
                role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
            },
            deserializer: Deserializer::OpenX {
                case_insensitive: true,
                key_mappings: BTreeMap::from([("ts".to_owned(), "timestamp".to_owned())]),
                dots_to_underscores: false,
            },
            unknown_fields_column: None,
            parquet: ParquetOptions {
                block_size_bytes: 256 << 20,
                page_size_bytes: 1 << 20,
                compression: ParquetCompression::Lz4Raw,
                dictionary: true,
                writer_v2: false,
                max_padding_bytes: 0,
                int96_timestamps: false,
                bloom_filter_columns: Vec::new(),
                bloom_filter_fpp: DEFAULT_BLOOM_FILTER_FPP,
            },
        }),
        target_object_bytes: None,
        backup: None,
        partitioning: None,
        http: None,
        redshift: None,
    };
    StreamRecord {
        definition: Arc::new(definition),
        status: Status::Deleting { force: true },
        created_ms: 1_700_000_000_123,
        updated_ms: Some(1_700_000_001_000),
        request: json!({"ExtendedS3DestinationConfiguration": {"BucketARN": "arn:aws:s3:::hydrant"}}),
        tags: BTreeMap::from([("hydrant:CompressionFormat".to_owned(), "ZSTD".to_owned())]),
    }
}

/// A row that needs format 2.
fn record_2(name: &str) -> StreamRecord {
    let mut row = record(name);
    let definition = Arc::make_mut(&mut row.definition);
    let s3 = S3Target { bucket: "copies".to_owned(), compression: Compression::Gzip, ..definition.s3.clone() };
    definition.backup = Some(BackupSpec { hints: definition.hints, s3, since_revision: 1 });
    definition.s3.prefix = "k=!{partitionKeyFromQuery:k}/".to_owned();
    definition.partitioning =
        Some(PartitioningSpec { query: Some("{k:.k}".to_owned()), max_active: Some(500), max_waiting_bytes: 4 << 30 });
    definition.processors.append_delimiter = Some("\n".to_owned());
    row
}

/// A row that needs format 3.
fn record_3(name: &str) -> StreamRecord {
    let mut row = record(name);
    let definition = Arc::make_mut(&mut row.definition);
    definition.s3.error_prefix = None;
    definition.convert = None;
    definition.redshift = Some(RedshiftTarget {
        url: "jdbc:redshift://c.example:5439/dev".to_owned(),
        user: Some("loader".to_owned()),
        password: Some(Hidden("v1:AAAA".to_owned())),
        secret_arn: None,
        role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
        copy: CopyCommand { table: "events".to_owned(), columns: "a, b".to_owned(), options: "json 'auto'".to_owned() },
        retry_ms: 3_600_000,
        method: LoadMethod::CopyFromStdin,
        ledger: "hydrant_loads".to_owned(),
    });
    row
}

pub fn active(name: &str) -> StreamRecord {
    StreamRecord { status: Status::Active, ..record(name) }
}

/// The next revision of a row, made at `updated_ms`.
pub fn redefinition(row: &StreamRecord, updated_ms: i64) -> Redefinition {
    let mut definition = Definition::clone(&row.definition);
    definition.revision += 1;
    definition.s3.prefix = format!("at-{updated_ms}/");
    Redefinition { definition, request: json!({"Prefix": updated_ms}), tags: row.tags.clone(), updated_ms }
}

fn open(dir: &Path) -> Result<Catalog, CatalogError> {
    Catalog::open(Arc::new(RealDisk), dir.join("data/catalog"))
}

#[test]
fn the_golden_file_is_read_and_written_unchanged() {
    let files = [
        ("src/catalog/golden.json", GOLDEN, record("golden")),
        ("src/catalog/golden_2.json", GOLDEN_2, record_2("golden")),
        ("src/catalog/golden_3.json", GOLDEN_3, record_3("golden")),
    ];
    for (path, golden, row) in files {
        if std::env::var_os("HYDRANT_BLESS").is_some() {
            std::fs::write(path, codec::encode(&row).unwrap()).unwrap();
        }
        assert_eq!(codec::decode(golden.as_bytes()).unwrap(), row);
        assert_eq!(String::from_utf8(codec::encode(&row).unwrap()).unwrap(), golden);
    }
}

#[test]
fn a_row_has_the_lowest_format_that_older_programs_do_not_misread() {
    let format = |row: &StreamRecord| {
        let value: serde_json::Value = serde_json::from_slice(&codec::encode(row).unwrap()).unwrap();
        value["format"].as_u64().unwrap()
    };
    assert_eq!(format(&record("s")), 1);
    let all = record_2("s");
    assert_eq!(format(&all), 2);
    assert_eq!(format(&record_3("s")), 3);
    type Change = fn(&mut Definition, &Definition);
    let changes: [Change; 6] = [
        |row, all| row.backup = all.backup.clone(),
        |row, all| row.partitioning = all.partitioning.clone(),
        |row, all| row.processors = all.processors.clone(),
        |row, _| row.s3.time_zone = crate::stream::prefix::TimeZone::from_id("Europe/Berlin").unwrap(),
        |row, _| row.target_object_bytes = Some(1 << 20),
        |row, all| {
            row.convert = all.convert.clone();
            row.convert.as_mut().unwrap().parquet.int96_timestamps = true;
        },
    ];
    for change in changes {
        let mut row = record("s");
        change(Arc::make_mut(&mut row.definition), &all.definition);
        assert_eq!(format(&row), 2);
        // As it was written before there was format 2.
        let first = String::from_utf8(codec::encode(&row).unwrap()).unwrap().replace("\"format\": 2", "\"format\": 1");
        assert_eq!(codec::decode(first.as_bytes()).unwrap(), row);
    }
}

#[test]
fn foreign_files_are_refused() {
    assert_eq!(codec::decode(br#"{"format": 4, "rows": []}"#), Err(DecodeError::Newer { found: 4 }));
    for bytes in [&b""[..], b"{}", b"[]", br#"{"format": 0}"#, br#"{"format": 2}"#, &GOLDEN.as_bytes()[..200]] {
        assert!(matches!(codec::decode(bytes), Err(DecodeError::Damaged(_))), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn rows_round_trip(
        name in "[a-zA-Z0-9_.-]{1,64}",
        prefix in ".{0,40}",
        zone in prop::sample::select(vec!["UTC", "Asia/Calcutta", "America/Porto_Acre"]),
        created_ms in any::<i64>(),
        updated_ms in any::<Option<i64>>(),
        force in any::<Option<bool>>(),
        tags in proptest::collection::btree_map(".{1,20}", ".{0,20}", 0..4),
        number in any::<f64>().prop_filter("finite", |f| f.is_finite()),
        since_revision in any::<Option<u64>>(),
    ) {
        let mut row = record(&name);
        let definition = Arc::make_mut(&mut row.definition);
        definition.s3.prefix = prefix.clone();
        definition.s3.time_zone = TimeZone::from_id(zone).unwrap();
        let s3 = definition.s3.clone();
        definition.backup = since_revision.map(|since_revision| BackupSpec { hints: definition.hints, s3, since_revision });
        row.created_ms = created_ms;
        row.updated_ms = updated_ms;
        row.status = force.map_or(Status::Active, |force| Status::Deleting { force });
        row.tags = tags;
        row.request = json!({"Prefix": prefix, "number": number});
        prop_assert_eq!(codec::decode(&codec::encode(&row).unwrap()).unwrap(), row);
    }
}

#[test]
fn rows_survive_restarts_and_belong_to_one_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    // Names that would be special as file names, or as the name of a temporary file.
    let names = ["a", "..", ".", "a.json", "a.json.tmp", "-x"];
    let catalog = open(dir.path()).unwrap();
    let mut changes = catalog.changes();
    for name in names {
        catalog.create(active(name), Some(names.len())).unwrap();
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
    }
    assert!(matches!(catalog.create(active("a"), None), Err(CatalogError::Exists(_))));
    assert!(matches!(catalog.create(active("b"), Some(6)), Err(CatalogError::Full { quota: 6 })));
    assert!(!changes.has_changed().unwrap());

    catalog.mark_deleting("..", false).unwrap();
    let other = Id128([8; 16]);
    assert!(matches!(catalog.remove("..", other), Err(CatalogError::Unknown(_))));
    let mut of_another_life = redefinition(&catalog.find("a").unwrap(), 5);
    of_another_life.definition.incarnation = other;
    assert!(matches!(catalog.redefine(of_another_life), Err(CatalogError::Unknown(_))));
    catalog.redefine(redefinition(&catalog.find("a").unwrap(), 5)).unwrap();
    catalog.remove(".", Id128([7; 16])).unwrap();
    drop(catalog);

    std::fs::write(dir.path().join("data/catalog/left.json.tmp"), "half").unwrap();
    let catalog = open(dir.path()).unwrap();
    let found: Vec<_> = catalog.all().iter().map(|row| row.definition.name.to_string()).collect();
    assert_eq!(found, ["-x", "..", "a", "a.json", "a.json.tmp"]);
    assert_eq!(catalog.find("..").unwrap().status, Status::Deleting { force: false });
    assert_eq!(catalog.find("a").unwrap().updated_ms, Some(5));
    assert!(catalog.find("left").is_none() && catalog.find(".").is_none());
}

#[test]
fn of_changes_made_from_one_row_one_wins_and_none_undoes_a_delete() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    let first = catalog.create(active("s"), None).unwrap();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let change = |at| catalog.redefine(redefinition(&first, at));
        let threads: Vec<_> = (1..=8).map(|at| scope.spawn(move || (at, change(at)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    let [(at, Ok(row))] = &won[..] else { panic!("{won:?}") };
    assert_eq!((row.definition.revision, row.updated_ms), (2, Some(*at)));
    assert_eq!(open(dir.path()).unwrap().find("s").unwrap(), *row);
    let is_told = |error: &CatalogError| matches!(error, CatalogError::Changed { current: 2, .. });
    assert!(lost.iter().all(|(_, outcome)| outcome.as_ref().is_err_and(is_told)), "{lost:?}");

    let before = catalog.find("s").unwrap();
    catalog.mark_deleting("s", false).unwrap();
    assert!(matches!(catalog.redefine(redefinition(&before, 9)), Err(CatalogError::Deleting(_))));
    let row = open(dir.path()).unwrap().find("s").unwrap();
    assert_eq!((row.definition.revision, row.status), (2, Status::Deleting { force: false }));
}

#[test]
fn marking_again_never_takes_force_back() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    catalog.create(active("s"), None).unwrap();
    for (force, expected) in [(false, false), (true, true), (false, true), (true, true)] {
        let row = catalog.mark_deleting("s", force).unwrap();
        assert_eq!(row.status, Status::Deleting { force: expected });
        assert_eq!(open(dir.path()).unwrap().find("s").unwrap().status, row.status);
    }
    assert!(matches!(catalog.mark_deleting("t", false), Err(CatalogError::Unknown(_))));
}

#[test]
fn a_newer_or_damaged_file_stops_the_start_with_a_clear_text() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().create(active("s"), None).unwrap();
    let path = dir.path().join("data/catalog/s.json");
    std::fs::write(&path, r#"{"format": 9, "streams": {}}"#).unwrap();
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("has format 9, this version of hydrant reads up to 3"), "{text}");
    std::fs::write(&path, GOLDEN).unwrap();
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("it holds the stream golden"), "{text}");
}
