//! The sample transform `transforms/enrich.wasm`: what it does, and that a rebuild of the committed guests behaves as
//! they do.

use super::*;
use crate::record::Chunk;
use crate::stage::Staged;
use crate::stage::partition::lambda::LambdaKeys;
use crate::stream::definition::TransformSpec;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn spec(function: &str, variables: &[(&str, &str)]) -> TransformSpec {
    TransformSpec {
        lambda_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
        function: function.to_owned(),
        version: None,
        retries: 0,
        batch_bytes: 1 << 20,
        timeout_ms: 60_000,
        memory_bytes: 128 << 20,
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        fuel: None,
        is_stateless: false,
    }
}

fn folder(dir: &Path) -> TransformFolder {
    TransformFolder::new(dir.to_owned(), TransformLimits::default()).unwrap()
}

fn apply(folder: &TransformFolder, spec: &TransformSpec, records: &[&[u8]]) -> Staged {
    let chunk = Chunk::from_records(records.iter().copied(), 0, 1_709_251_199_007);
    folder
        .load(spec)
        .unwrap()
        .stage(spec, InvocationInfo::default(), LambdaKeys::default(), std::sync::Arc::new(|| false))
        .apply(chunk)
}

/// The committed samples; compiling takes longer than all the tests.
static SAMPLES: LazyLock<TransformFolder> = LazyLock::new(|| folder(&root().join("transforms")));

/// Verdicts of one record after the other, as text.
pub fn verdicts(staged: &Staged) -> BTreeMap<u64, String> {
    let passed = staged.passed.iter().map(|(slot, bytes)| (slot.origin, String::from_utf8_lossy(bytes).into_owned()));
    let refused = staged.refused.iter().map(|r| (r.origin, format!("{}: {}", r.cause.code, r.cause.message)));
    let dropped = staged.dropped.iter().map(|origin| (*origin, "dropped".to_owned()));
    passed.chain(refused).chain(dropped).map(|(origin, text)| (origin.ordinal, text)).collect()
}

fn enriched(variables: &[(&str, &str)], record: &str) -> String {
    let staged = apply(&SAMPLES, &spec("enrich", variables), &[record.as_bytes()]);
    verdicts(&staged).remove(&0).unwrap()
}

#[test]
fn events_are_enriched_filtered_and_redacted() {
    let failed = "Lambda.ProcessingFailedStatus: ProcessingFailed status set for record: ";
    for (variables, record, expected) in [
        // Text of numbers, escapes and order stay; the line ends in one newline.
        (
            &[][..],
            r#"{"b":1.50e+1,"a":"\u00e9\/x","password":"p","n":{"level":"debug","password":1}}"#,
            "{\"b\":1.50e+1,\"a\":\"\\u00e9\\/x\",\"password\":\"***\",\"n\":{\"level\":\"debug\",\"password\":1},\
             \"ingested_at\":\"2024-02-29T23:59:59.007Z\"}\n",
        ),
        // So do blanks, but for those of what is left out, and line breaks become spaces.
        (
            &[("arrival", "t"), ("add", "w=2"), ("redact", "p")],
            "{ \"t\" : 1, \"p\" : {}, \"w\":[ ] ,\"a\": [1, 2],\t\"w\":3 }",
            "{\"p\" : \"***\" ,\"a\": [1, 2],\"w\":\"2\",\"t\":\"2024-02-29T23:59:59.007Z\"}\n",
        ),
        (&[], r#"{"level":"debug","a":1}"#, "dropped"),
        (&[("drop", "n=1, ok=true")], r#"{"n":1}"#, "dropped"),
        (&[("drop", "n=1,ok=true")], r#"{"ok":true}"#, "dropped"),
        (&[("arrival", ""), ("redact", "")], "{ }", "{}\n"),
        (
            &[("arrival", "t"), ("add", "env=pro\"d,team=w"), ("redact", "x, y")],
            "{\"t\":1,\n\"y\":[1,\n 2],\"z\":[1,\n2],\"team\":\"old\"}\n",
            "{\"y\":\"***\",\"z\":[1, 2],\"env\":\"pro\\\"d\",\"team\":\"w\",\"t\":\"2024-02-29T23:59:59.007Z\"}\n",
        ),
        // Several objects in a record.
        (&[("arrival", "")], "{\"a\":1}{\"level\":\"debug\"}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":2}\n"),
        (
            &[],
            "{\"a\":1}\n{\"a\":\n",
            &format!("{failed}object 2 of the record: EOF while parsing a value at line 3 column 0"),
        ),
        (&[], "not JSON", &format!("{failed}object 1 of the record: expected ident at line 1 column 2")),
        (
            &[],
            "[1]",
            &format!(
                "{failed}object 1 of the record: invalid type: sequence, expected a JSON object at line 1 column 0"
            ),
        ),
        (&[], " \n", &format!("{failed}the record holds no JSON object")),
    ] {
        assert_eq!(enriched(variables, record), expected, "{record} under {variables:?}");
    }
    let text = enriched(&[("typo", "x")], "{}");
    assert!(text.starts_with("Lambda.FunctionError") && text.contains("unknown variable 'typo'"), "{text}");
}

/// Records of every kind the guests know, and the damaged data set where there is one.
pub fn corpus() -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = [
        "{}",
        "{\"a\":1}\n",
        "{\"level\":\"debug\"}",
        "[1]",
        "",
        "\u{1f600}",
        "{\"password\":\"x\",\"token\":null}",
        "trap!",
        "err!",
        "drop!",
        "fail!",
        "mute!",
        "null!",
        "twice!",
        "missing!",
        "alien!",
        "lines!",
        "fan!",
        "reverse!",
        "utf8!",
        "status!",
        "context!",
        "log!",
        "a=1 b=\"x\" c\n",
        "1.2.3.4 - bob [07/Mar/2004:16:05:49 -0800] \"GET / HTTP/1.1\" 200 6291",
        "Oct 11 22:14:15 host su[123]: failed",
        "a,\"b\"\"c\"\n1,2\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let document = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"one"},{"message":"\u00fc"}]}"#;
    gzip.write_all(document.as_bytes()).unwrap();
    records.push(gzip.finish().unwrap());
    records.extend(mangled());
    match std::env::var_os("HYDRANT_TEST_DATA") {
        Some(dir) => {
            let file = std::fs::File::open(Path::new(&dir).join("dirty.ndjson.gz")).unwrap();
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(file).read_to_end(&mut text).unwrap();
            records.extend(text.split(|byte| *byte == b'\n').step_by(7).map(<[u8]>::to_vec));
        }
        None => println!("note: HYDRANT_TEST_DATA is not set, the corpus is the small one"),
    }
    records
}

/// JSON objects with bytes and tokens put in, taken out and put in place of others; the same at each run.
fn mangled() -> impl Iterator<Item = Vec<u8>> {
    const SEEDS: [&str; 4] = [
        r#"{"ts":17,"level":"info","geo":{"city":"K\u00f6ln","n":[1,-2.5e+3,{"a":[]},[[]],{}]},"t":true,"n":null,"secret":"abc"}"#,
        "{\"a\":1}{\"level\":\"debug\"}\n{\"b\" : [ 1 ,\n2 ] , \"password\":\"x\"}\n",
        r#"{ "k\"ey" : "v\\\/\b\ud800" , "ingested_at": 0.0e-1, "x":"ü€😀 long text that goes over eight bytes" }"#,
        r#"{"token":["a\n",{"b":-0}],"level":"debug","z":12e9}"#,
    ];
    const TOKENS: [&[u8]; 24] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b" ",
        b"\n",
        b"0",
        b"-",
        b".",
        b"e",
        b"1",
        b"\\u12aF",
        b"\\uD83D",
        b"\x01",
        b"\0",
        b"\xc3",
        b"true",
        b"nul",
        b"\"level\":\"debug\",",
        b"\x1f",
    ];
    let mut random = fastrand::Rng::with_seed(8259);
    (0..4000).map(move |_| {
        let mut text = random.choice(SEEDS).unwrap_or_default().as_bytes().to_vec();
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..=text.len());
            let upto = text.len().min(at + random.usize(0..3));
            let with = random.choice(TOKENS).filter(|_| random.bool()).unwrap_or_default();
            text.splice(at..upto, with.iter().copied());
        }
        text
    })
}

/// What `enrich` makes of a record by its defaults, with serde_json in place of its own reading; members in their order.
fn expected(record: &[u8]) -> Result<Vec<Vec<(String, Value)>>, serde_json::Error> {
    let mut lines = Vec::new();
    for members in serde_json::Deserializer::from_slice(record).into_iter::<Members>() {
        let Members(mut members) = members?;
        let level = members.iter().find(|(name, _)| name == "level");
        if level.is_some_and(|(_, value)| value == "debug") {
            continue;
        }
        members.retain(|(name, _)| name != "ingested_at");
        for (_, value) in members.iter_mut().filter(|(name, _)| ["password", "secret", "token"].contains(&&name[..])) {
            *value = "***".into();
        }
        members.push(("ingested_at".to_owned(), "2024-02-29T23:59:59.007Z".into()));
        lines.push(members);
    }
    Ok(lines)
}

/// All members of an object, those of the same name as well.
struct Members(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[test]
fn objects_are_read_as_a_parser_reads_them() {
    let records: Vec<_> = corpus();
    let texts: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let staged = apply(&SAMPLES, &spec("enrich", &[]), &texts);
    let (mut passed, mut refused, mut dropped) = (BTreeMap::new(), 0, 0);
    for (slot, bytes) in staged.passed.iter() {
        passed.insert(slot.origin.ordinal, bytes);
    }
    for (record, ordinal) in texts.iter().zip(0..) {
        let text = String::from_utf8_lossy(record);
        // A lone surrogate has no value, and passes as it came.
        if text.contains("ud8") || text.contains("uD8") {
            continue;
        }
        match (expected(record), passed.get(&ordinal)) {
            (Ok(lines), Some(bytes)) => {
                assert!(bytes.ends_with(b"\n") && bytes.iter().filter(|byte| **byte == b'\n').count() == lines.len());
                assert_eq!(parsed(bytes), lines, "{text}");
            }
            (Ok(lines), None) if lines.is_empty() => dropped += 1,
            (Err(_), None) => refused += 1,
            (expected, found) => {
                panic!("{text}: {expected:?}, but {:?}", found.map(|bytes| String::from_utf8_lossy(bytes)))
            }
        }
    }
    assert!(passed.len() > 500 && refused > 500 && dropped > 50, "{} {refused} {dropped}", passed.len());
}

fn parsed(lines: &[u8]) -> Vec<Vec<(String, Value)>> {
    let members = serde_json::Deserializer::from_slice(lines).into_iter::<Members>();
    members.map(|members| members.unwrap().0).collect()
}

#[test]
fn rebuilt_guests_give_the_verdicts_of_those_committed() {
    let Some(rebuilt) = std::env::var_os("HYDRANT_REBUILT_TRANSFORMS").map(PathBuf::from) else {
        println!("skipped: no rebuilt transforms (`transforms/build --check` makes and compares them)");
        return;
    };
    let corpus = corpus();
    let records: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
    for (dir, function) in [
        ("transforms", "enrich"),
        ("transforms", "cloudwatch-logs"),
        ("transforms", "apache-log-to-json"),
        ("transforms", "syslog-to-json"),
        ("transforms", "csv-to-json"),
        ("transforms", "logfmt"),
        ("tests/guests", "poison-list"),
        ("tests/guests", "poison-packed"),
    ] {
        let spec = spec(function, &[]);
        let committed = verdicts(&apply(&folder(&root().join(dir)), &spec, &records));
        let anew = verdicts(&apply(&folder(&rebuilt.join(dir)), &spec, &records));
        assert_eq!(committed.len(), corpus.len());
        for (ordinal, verdict) in &committed {
            // Names of functions in a trap depend on the compiler.
            let stable = |text: &str| text.split(" in ").next().unwrap_or_default().to_owned();
            assert_eq!(stable(verdict), stable(&anew[ordinal]), "{function}, record {ordinal}");
        }
    }
}
