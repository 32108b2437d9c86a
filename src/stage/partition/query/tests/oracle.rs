//! jq 1.6 itself as the judge, over records of all data sets and made ones.
//!
//! For each query one process of jq reads every record as a line of text, so that a record that is no JSON is judged
//! too, and prints the keys as its own `tojson` writes them, or null where a value is no key. Skipped without jq 1.6.

use super::super::Query;
use super::expressions::{EXPRESSIONS, QUERIES, REFUSED};
use super::records::{data_sets, made};
use std::io::Write;
use std::process::{Command, Stdio};

/// Whether the program is there in the version that counts.
pub fn jq_is_there() -> bool {
    let version = Command::new("jq").arg("--version").output();
    let found = version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "jq-1.6");
    if !found {
        println!("skipped: jq 1.6 is not installed (Debian 12: apt-get install jq)");
    }
    found
}

/// What jq makes of each record: the keys, or none for a failure. None if it does not compile the query.
pub fn judge(query: &str, records: &[Vec<u8>]) -> Option<Vec<Option<Vec<String>>>> {
    let key = r#"if type == "string" then . elif tojson == "null" then null else tojson end"#;
    // Two results are as bad as more, of which there may be no end.
    let program = format!(
        "try (fromjson as $record | [limit(2; $record | {query}\n | [.[] | {key} | if . == \"\" then null else . end])]) catch 0"
    );
    let mut child = Command::new("jq")
        .args(["-R", "-c", &program])
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: Vec<u8> = records.iter().flat_map(|record| [record, &b"\n"[..]].concat()).collect();
    // jq may end before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&lines)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("compile error") || errors.contains("syntax error") {
        return None;
    }
    let judged: Vec<_> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let results: Option<Vec<Vec<Option<String>>>> = serde_json::from_slice(line).ok();
            let results = results.filter(|results| results.len() == 1)?;
            results.into_iter().next()?.into_iter().collect()
        })
        .collect();
    if judged.len() == records.len() {
        return Some(judged);
    }
    // jq died of one of them, for which that is a failure like any other.
    if records.len() == 1 {
        return Some(vec![None]);
    }
    records.chunks(1).map(|record| judge(query, record)?.pop()).collect()
}

fn compare(queries: &[String], records: &[Vec<u8>]) -> (usize, usize) {
    let (mut different, mut compared, mut delivered) = (Vec::new(), 0, 0);
    for text in queries {
        let query = match (Query::parse(text), judge(text, records)) {
            (Ok(query), Some(judged)) => (query, judged),
            (Err(_), None) => continue,
            (Ok(_), None) => {
                different.push(format!("{text}: jq does not compile it"));
                continue;
            }
            (Err(error), Some(_)) => {
                different.push(format!("{text}: {error}"));
                continue;
            }
        };
        let (query, judged) = query;
        let mut here = 0;
        for (record, judged) in records.iter().zip(judged) {
            compared += 1;
            delivered += usize::from(judged.is_some());
            let whole = query.evaluate_whole(record);
            let fast = query.evaluate(record);
            assert_eq!(whole, fast, "{text} on {}", String::from_utf8_lossy(record));
            if fast.as_ref().ok() != judged.as_ref() {
                here += 1;
                if here <= 3 {
                    let record: String = String::from_utf8_lossy(record).chars().take(300).collect();
                    different.push(format!("{text}: {fast:?} and not {judged:?} of {record}"));
                }
            }
        }
    }
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
    (compared, delivered)
}

#[test]
fn queries_give_what_jq_gives_on_all_data_sets() {
    if !jq_is_there() {
        return;
    }
    let (records, sets) = data_sets(100);
    if sets < 6 {
        println!("skipped: HYDRANT_TEST_DATA has {sets} of the six data sets");
        if sets == 0 {
            return;
        }
    }
    assert!(QUERIES.len() >= 100);
    let queries: Vec<String> = QUERIES.iter().map(|query| (*query).to_owned()).collect();
    let (compared, delivered) = compare(&queries, &records);
    println!(
        "{} queries on {} records of {sets} sets: {compared} results compared, {delivered} with keys",
        queries.len(),
        records.len()
    );
    assert!(delivered * 10 > compared, "most results are failures");
}

#[test]
fn expressions_give_what_jq_gives_on_made_records() {
    if !jq_is_there() {
        return;
    }
    let records = made();
    let queries: Vec<String> = EXPRESSIONS
        .iter()
        .map(|text| format!("{{k:({text})}}"))
        .chain(QUERIES.iter().map(|q| (*q).to_owned()))
        .collect();
    let (compared, delivered) = compare(&queries, &records);
    println!(
        "{} queries on {} records: {compared} results compared, {delivered} with keys",
        queries.len(),
        records.len()
    );
}

#[test]
fn what_is_refused_though_jq_takes_it_is_known() {
    for text in REFUSED {
        let query = format!("{{k:({text})}}");
        Query::parse(&query).expect_err(text);
        if jq_is_there() {
            assert!(judge(&query, &[b"{}".to_vec()]).is_some(), "jq 1.6 does not compile {text}");
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_become_what_jq_makes_of_them() {
    if !jq_is_there() {
        return;
    }
    let texts: [&[u8]; 12] = [
        b"\xff",
        b"\xe9",
        b"\xe9a",
        b"a\xe2\x82",
        b"a\xe2\x82b",
        b"\xf0\x9f\x98",
        b"\xf0\x9f\x98\x80",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\x80\x80x",
        b"\xe0\x80\x80\\n",
    ];
    for text in texts {
        let record = [&b"{\"a\":\""[..], text, b"\"}"].concat();
        let mut child =
            Command::new("jq").args(["-j", ".a"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&record).unwrap();
        let judged = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let query = Query::parse("{a:.a}").unwrap();
        assert_eq!(query.evaluate(&record), Ok(vec![judged]), "{text:x?}");
    }
}
