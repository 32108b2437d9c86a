//! Whole files: what they mean, and every problem with its line.

mod checks;
mod streams;

use super::*;
use crate::destination::http::HttpSettings;
use crate::destination::redshift::RedshiftSettings;
use crate::destination::s3::{ChecksumCalculation, Credentials, Secret};
use crate::schemas::GlueSettings;
use serde_json::json;

const FILE: &str = "/etc/hydrant/hydrant.yaml";

const FULL: &str = r#"# everything
version: 1
data_dir: /var/lib/hydrant
account_id: "123456789012"
region: eu-west-1
compatibility: strict
api:
  addr: 0.0.0.0:443
  tls_cert: tls/cert.pem
  tls_key: /etc/tls/key.pem
  insecure_bind: true
admin: {addr: "127.0.0.1:0"}
s3:
  endpoint: https://store.example:9000
  region: eu-west-1
  path_style: true
  credentials:
    access_key_id: {env: STORE_KEY_ID}
    secret_access_key:
      file: secrets/key
  request_checksum_calculation: when_required
  multipart_above: 64MiB
  part_size: 8MiB
  parts_in_flight: 2
  connect_timeout: 500ms
  answer_timeout: 1m
  stall_timeout: 5s
  buckets:
    old-logs: {endpoint: "http://old.example", create_only: false, ca_file: ca.pem}
http_endpoint:
  ca_file: /etc/ca.pem
  secrets:
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hook": {file: hook.json}
  allow_http: true
  connect_timeout: 3s
  answer_timeout: 90s
  stall_timeout: 7s
  body_memory: 96MiB
  requests_in_flight: 6
redshift:
  ca_file: ca.pem
  secrets:
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:dwh": {env: DWH}
  allow_plain: true
  connect_timeout: 4s
  load_timeout: 2h
transforms_dir: transforms
schemas_dir: /srv/schemas
limits:
  disk_budget: 100GiB
  disk_reserve: 1GiB
  inflight: 64MiB
  admission_wait: 2s
  stage_slots: 3
  transform_slots: 5
  send_slots: 8
retention: 24h
log: {level: "hydrant::delivery=debug,info", format: json}
streams:
  - DeliveryStreamName: events
    ExtendedS3DestinationConfiguration:
      RoleARN: &role arn:aws:iam::123456789012:role/firehose
      BucketARN: arn:aws:s3:::lake
      BufferingHints: {SizeInMBs: 64, IntervalInSeconds: 60}
  - DeliveryStreamName: audit
    S3DestinationConfiguration: {RoleARN: *role, BucketARN: "arn:aws:s3:::old-logs"}
glue:
  enabled: true
  endpoint: https://glue.example
  region: eu-central-1
  credentials: {access_key_id: {env: GLUE_ID}, secret_access_key: {env: GLUE_KEY}, session_token: {file: token}}
  profile: data
  ca_file: ca.pem
  connect_timeout: 2s
  answer_timeout: 4s
  refresh: 1m
"#;

fn problems(text: &str) -> Vec<String> {
    match parse(Path::new(FILE), text) {
        Ok(config) => panic!("no problem: {config:?}"),
        Err(problems) => problems.iter().map(|p| p.to_string().replace(FILE, "F")).collect(),
    }
}

/// A file that is right but for `lines`.
fn with(lines: &str) -> String {
    format!("version: 1\ndata_dir: /d\n{lines}")
}

#[test]
fn a_full_file_means_what_it_says() {
    let config = parse(Path::new(FILE), FULL).unwrap();
    let old = S3Settings {
        endpoint: Some("http://old.example".to_owned()),
        create_only: Some(false),
        ca_file: Some("/etc/hydrant/ca.pem".into()),
        ..S3Settings::default()
    };
    let expected = Config {
        data_dir: "/var/lib/hydrant".into(),
        account_id: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        compatibility: Compatibility::Strict,
        api: ApiListener {
            addr: "0.0.0.0:443".parse().unwrap(),
            tls: Some(TlsPaths { cert: "/etc/hydrant/tls/cert.pem".into(), key: "/etc/tls/key.pem".into() }),
            insecure_bind: true,
        },
        admin: AdminListener { addr: "127.0.0.1:0".parse().unwrap(), insecure_bind: false },
        s3: S3Settings {
            endpoint: Some("https://store.example:9000".to_owned()),
            region: Some("eu-west-1".to_owned()),
            path_style: Some(true),
            credentials: Some(Credentials {
                access_key_id: Secret::env("STORE_KEY_ID"),
                secret_access_key: Secret::file("/etc/hydrant/secrets/key"),
                session_token: None,
            }),
            request_checksum_calculation: Some(ChecksumCalculation::WhenRequired),
            multipart_above_bytes: Some(64 << 20),
            part_bytes: Some(8 << 20),
            parts_in_flight: Some(2),
            connect_timeout_ms: Some(500),
            answer_timeout_ms: Some(60_000),
            stall_timeout_ms: Some(5_000),
            buckets: [("old-logs".to_owned(), old)].into(),
            ..S3Settings::default()
        },
        http: HttpSection {
            settings: HttpSettings {
                ca_file: Some("/etc/ca.pem".into()),
                secrets: [(
                    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hook".to_owned(),
                    Secret::file("/etc/hydrant/hook.json"),
                )]
                .into(),
                allow_http: true,
                connect_timeout_ms: Some(3_000),
                answer_timeout_ms: Some(90_000),
                stall_timeout_ms: Some(7_000),
                body_memory_bytes: Some(96 << 20),
            },
            requests_in_flight: Some(6),
        },
        redshift: RedshiftSettings {
            ca_file: Some("/etc/hydrant/ca.pem".into()),
            secrets: [("arn:aws:secretsmanager:eu-west-1:123456789012:secret:dwh".to_owned(), Secret::env("DWH"))]
                .into(),
            allow_plain: true,
            connect_timeout_ms: Some(4_000),
            load_timeout_ms: Some(7_200_000),
        },
        glue: Some(GlueSection {
            settings: GlueSettings {
                endpoint: Some("https://glue.example".to_owned()),
                credentials: Some(Credentials {
                    access_key_id: Secret::env("GLUE_ID"),
                    secret_access_key: Secret::env("GLUE_KEY"),
                    session_token: Some(Secret::file("/etc/hydrant/token")),
                }),
                profile: Some("data".to_owned()),
                ca_file: Some("/etc/hydrant/ca.pem".into()),
                connect_timeout_ms: Some(2_000),
                answer_timeout_ms: Some(4_000),
                refresh_ms: Some(60_000),
            },
            region: Some("eu-central-1".to_owned()),
        }),
        transforms_dir: "/etc/hydrant/transforms".into(),
        schemas_dir: "/srv/schemas".into(),
        limits: Limits {
            disk_budget_bytes: Some(100 << 30),
            disk_reserve_bytes: Some(1 << 30),
            inflight_bytes: Some(64 << 20),
            admission_wait: Some(Duration::from_secs(2)),
            stage_slots: Some(3),
            transform_slots: Some(5),
            send_slots: Some(8),
        },
        retention: Duration::from_secs(86_400),
        log: LogSettings { level: Some("hydrant::delivery=debug,info".to_owned()), format: Some(LogFormat::Json) },
        streams: vec![
            json!({"DeliveryStreamName": "events", "ExtendedS3DestinationConfiguration": {
                "RoleARN": "arn:aws:iam::123456789012:role/firehose",
                "BucketARN": "arn:aws:s3:::lake",
                "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
            }}),
            json!({"DeliveryStreamName": "audit", "S3DestinationConfiguration": {
                "RoleARN": "arn:aws:iam::123456789012:role/firehose",
                "BucketARN": "arn:aws:s3:::old-logs",
            }}),
        ],
    };
    assert_eq!(config, expected);
    assert_eq!(config.rules().glue_region.as_deref(), Some("eu-central-1"));
    assert_eq!(config.rules().stream_arn("events"), "arn:aws:firehose:eu-west-1:123456789012:deliverystream/events");
}

#[test]
fn a_bare_file_takes_defaults() {
    let config = parse(Path::new(FILE), "version: 1\ndata_dir: data\nlimits:\nstreams: []\n").unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/hydrant/data"));
    assert_eq!(config.transforms_dir, Path::new("/etc/hydrant/data/transforms"));
    assert_eq!(config.schemas_dir, Path::new("/etc/hydrant/data/schemas"));
    assert_eq!(
        (config.api.addr.to_string(), config.admin.addr.to_string()),
        ("127.0.0.1:4573".into(), "127.0.0.1:4574".into())
    );
    assert_eq!((config.account_id.as_str(), config.region.as_str()), ("000000000000", "us-east-1"));
    assert_eq!((config.compatibility, config.limits), (Compatibility::Relaxed, Limits::default()));
    assert_eq!(parse(Path::new("h.yaml"), "version: 1\ndata_dir: data").unwrap().data_dir, Path::new("data"));
}

#[test]
fn each_problem_names_key_line_and_remedy() {
    let table = [
        ("region: 7", "F:3: region: expected a region such as us-east-1, found the number 7"),
        ("region: us east", "F:3: region: expected a region such as us-east-1, found 'us east'"),
        ("account_id: 123456789012", "F:3: account_id: expected 12 digits in quotes, found the number 123456789012"),
        ("compatibility: aws", "F:3: compatibility: expected one of relaxed, strict, found 'aws'"),
        ("retention: 24", "F:3: retention: expected a duration such as 500ms, 30s, 5m or 24h, found the number 24"),
        ("retentoin: 24h", "F:3: retentoin: unknown key; did you mean 'retention'?"),
        ("api:\n  adr: x", "F:4: api.adr: unknown key; did you mean 'addr'?"),
        ("admin:\n  zzz: x", "F:4: admin.zzz: unknown key; known here: addr, insecure_bind"),
        ("api: 127.0.0.1:1", "F:3: api: expected a section of `key: value` lines, found a text"),
        (
            "api: {addr: localhost}",
            "F:3: api.addr: expected an address and a port such as 127.0.0.1:4573, found 'localhost'",
        ),
        (
            "api:\n  addr: 0.0.0.0:4573",
            "F:4: api.addr: 0.0.0.0:4573 can be reached from other machines, and nobody is asked who they are; bind \
             127.0.0.1, or set insecure_bind: true behind something that authenticates",
        ),
        (
            "admin:\n  addr: \"[::]:1\"",
            "F:4: admin.addr: [::]:1 can be reached from other machines, and nobody is asked who they are; bind \
             127.0.0.1, or set insecure_bind: true behind something that authenticates",
        ),
        ("api:\n  insecure_bind: yes", "F:4: api.insecure_bind: expected true or false, found 'yes'"),
        ("api:\n  tls_key: k", "F:4: api.tls_key: needs tls_cert beside it"),
        (
            "limits:\n\n  inflight: 64",
            "F:5: limits.inflight: expected a size such as 512MiB or 10GiB, found the number 64",
        ),
        (
            "limits: {stage_slots: 0}",
            "F:3: limits.stage_slots: expected a whole number of at least 1, found the number 0",
        ),
        ("limits: {inflight: 0B}", "F:3: limits.inflight: must be more than 0"),
        ("limits: {disk_budget: 0B}", "F:3: limits.disk_budget: must be at least 16MiB"),
        ("limits: {disk_budget: 16383KiB}", "F:3: limits.disk_budget: must be at least 16MiB"),
        ("limits: {disk_reserve: 1GiB}", "F:3: limits.disk_reserve: needs disk_budget, of which it is a part"),
        (
            "limits:\n  disk_budget: 1GiB\n  disk_reserve: 1GiB",
            "F:5: limits.disk_reserve: must be smaller than disk_budget, of which it is a part",
        ),
        ("log: {format: xml}", "F:3: log.format: expected one of text, json, found 'xml'"),
        (
            "log: {level: \"hydrant=loud\"}",
            "F:3: log.level: expected error, warn, info, debug, trace, or levels by module such as \
             hydrant::delivery=debug,info, found 'hydrant=loud'",
        ),
        (
            "log: {level: inof}",
            "F:3: log.level: expected error, warn, info, debug, trace, or levels by module such as \
             hydrant::delivery=debug,info, found 'inof'",
        ),
        ("s3: {endpoint: store}", "F:3: s3.endpoint: expected an http:// or https:// URL, found 'store'"),
        ("s3:\n  buckets:\n    b: {endpont: x}", "F:5: s3.buckets.b.endpont: unknown key; did you mean 'endpoint'?"),
        ("glue: {endpont: x}", "F:3: glue.endpont: unknown key; did you mean 'endpoint'?"),
        ("glue: {refresh: 0s}", "F:3: glue.refresh: must be more than 0"),
        (
            "glue: {endpoint: \"http://glue.example\"}",
            "F:3: glue.endpoint: http:// to another machine: anybody on the way can change the tables; use https://, or \
             set insecure_endpoint: true",
        ),
        ("s3: {part_size: 0B}", "F:3: s3.part_size: must be more than 0"),
        (
            "s3:\n  buckets:\n    b:\n      buckets: {}",
            "F:6: s3.buckets.b.buckets: unknown key; known here: endpoint, region, path_style, credentials, profile, \
             request_checksum_calculation, create_only, ca_file, multipart_above, part_size, parts_in_flight, \
             connect_timeout, answer_timeout, stall_timeout",
        ),
        (
            "streams: {a: b}",
            "F:3: streams: expected a list of streams, each `- DeliveryStreamName: …`, found a section",
        ),
    ];
    for (lines, expected) in table {
        assert_eq!(problems(&with(lines)), [expected], "{lines}");
    }
}

#[test]
fn glue_is_asked_if_its_section_says_so() {
    let glue = |lines: &str| parse(Path::new("F"), &with(lines)).unwrap().glue;
    assert_eq!(glue(""), None);
    assert_eq!(glue("glue: {enabled: false, region: r}"), None);
    let bare = GlueSection { settings: GlueSettings::default(), region: None };
    assert_eq!(glue("glue: {enabled: true}"), Some(bare.clone()));
    assert_eq!(glue("glue: {}"), Some(bare));
    for endpoint in ["http://127.0.0.1:5000", "http://localhost:5000", "https://glue.example"] {
        assert!(glue(&format!("glue: {{endpoint: \"{endpoint}\"}}")).is_some());
    }
    assert!(glue("glue: {endpoint: \"http://glue.example\", insecure_endpoint: true}").is_some());
}

#[test]
fn version_and_data_folder_are_needed() {
    let version = "F: version: missing: write `version: 1`, so that a later program knows how to read this file";
    assert_eq!(problems("").iter().map(|p| p.replace("F:1:", "F:")).collect::<Vec<_>>(), [version]);
    assert_eq!(
        problems("version: 2\nnew: x"),
        ["F:1: version: this program reads version 1 of the configuration, not 2"]
    );
    assert_eq!(problems("version: 1"), ["F:1: data_dir: missing: the folder that keeps what was acknowledged"]);
}

#[test]
fn text_that_is_not_yaml_is_refused_with_its_line() {
    let twice = problems("version: 1\ndata_dir: a\ndata_dir: b\n");
    assert!(twice.len() == 1 && twice[0].starts_with("F:3:") && twice[0].contains("data_dir"), "{twice:?}");
    for (text, line) in
        [("version: 1\napi: {addr: ", "F:"), ("version: 1\n\tdata_dir: x", "F:1:"), ("- a\nb: c", "F:2:")]
    {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].starts_with(line), "{text:?}: {found:?}");
    }
    assert_eq!(problems("- a")[0], "F:1: expected a section of `key: value` lines, found a list");
}

#[test]
fn secrets_stand_elsewhere_and_are_never_repeated() {
    let text = with(
        "s3:\n  credentials:\n    access_key_id: AKIDPLAIN\n    secret_access_key: {env: A, file: b}\n    session_token: {vault: hush}\n",
    );
    let found = problems(&text);
    let remedy = "expected {env: NAME} or {file: PATH}; secrets do not stand in this file";
    let lines = [(5, "access_key_id"), (6, "secret_access_key"), (7, "session_token")];
    let expected: Vec<_> = lines.iter().map(|(n, key)| format!("F:{n}: s3.credentials.{key}: {remedy}")).collect();
    assert_eq!(found, expected);
    assert_eq!(
        problems(&with("s3: {credentials: {access_key_id: {env: A}}}")),
        ["F:3: s3.credentials.secret_access_key: missing: write {env: NAME} or {file: PATH}"]
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = "version: 1\nregon: x\napi:\n  addr: 1\n  tls_cert: c\nlimits: {inflight: x}\nstreams:\n- {}\n- 7\n";
    let found = problems(text);
    let lines: Vec<_> = found.iter().map(|p| p.split(':').nth(1).unwrap().to_owned()).collect();
    // Line 1: data_dir is missing.
    assert_eq!(lines, ["1", "2", "4", "5", "6", "8", "9"], "{found:#?}");
}

#[test]
fn the_example_in_deploy_is_right_and_so_is_each_line_it_comments_out() {
    let example = include_str!("../../deploy/hydrant.yaml");
    parse(Path::new(FILE), example).unwrap();
    // Comments that are settings: indented `# key: value` below a section.
    let setting = |line: &str| ["# transforms_dir:", "# schemas_dir:"].iter().any(|begin| line.starts_with(begin));
    let plain = |line: &str| if setting(line) { line[2..].to_owned() } else { line.replacen("  # ", "  ", 1) };
    let all: String = example.lines().map(|line| plain(line) + "\n").collect();
    let all = all.replace("  Take requests from other machines without authentication:\n", "");
    let config = parse(Path::new(FILE), &all).unwrap_or_else(|problems| panic!("{problems:#?}\n{all}"));
    assert!(config.api.tls.is_some() && config.s3.credentials.is_some() && config.s3.buckets.len() == 1);
}

#[test]
fn a_key_given_twice_is_told_in_our_words() {
    let found = problems(&with("s3: {region: a}\ns3: {region: b}"));
    assert_eq!(found, ["F:4: the key 's3' stands here a second time in its section; put both together"]);
}
