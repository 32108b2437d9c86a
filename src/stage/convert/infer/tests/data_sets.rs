//! The data sets of `HYDRANT_TEST_DATA`, learnt and converted whole.

use super::*;
use std::io::Read;
use std::path::Path;

fn set(name: &str) -> Option<Vec<u8>> {
    let Some(data) = std::env::var_os("HYDRANT_TEST_DATA") else {
        println!("skipped: HYDRANT_TEST_DATA is not set");
        return None;
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(Path::new(&data).join(format!("{name}.ndjson.gz"))).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
    Some(text)
}

/// Each record that is one JSON object comes through with all its values.
fn comes_through(name: &str, expected_rows: usize) -> Option<String> {
    let text = set(name)?;
    let records: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut learner = Learner::new(&spec(openx())).unwrap();
    let observed: Vec<bool> = records.iter().map(|record| learner.observe(record)).collect();
    let table = learner.shapes().table().unwrap();
    let (object, refused, fits) = convert(&table, false, &records);
    assert!(fits, "{name}");
    let not_observed: Vec<u64> = (0u64..).zip(&observed).filter(|(_, ok)| !**ok).map(|(line, _)| line).collect();
    assert_eq!(refused.iter().map(|refused| refused.origin.ordinal).collect::<Vec<_>>(), not_observed, "{name}");
    let rows = read(object);
    let taken: Vec<&[u8]> = records.iter().zip(&observed).filter(|(_, ok)| **ok).map(|(record, _)| *record).collect();
    assert_eq!((rows.len(), taken.len()), (expected_rows, expected_rows), "{name}");
    for (row, record) in rows.iter().zip(taken) {
        // Numbers beyond doubles are no JSON to serde_json.
        let Ok(record) = serde_json::from_slice::<Value>(record) else { continue };
        let mut record = record;
        if let Some(object) = record.as_object_mut() {
            object.retain(|key, _| !learner.names.of(key, true).is_empty());
        }
        assert!(is_same_object(&table.schema.columns, row, &record), "{name}\n{row}\n{record}");
    }
    Some(columns(&learner))
}

#[test]
fn flat_sets_come_through_whole() {
    if let Some(columns) = comes_through("wiki_edits", 39_244) {
        assert!(columns.starts_with("time string, channel string"), "{columns}");
        assert!(columns.contains("metrocode bigint") && columns.contains("isrobot boolean"), "{columns}");
    }
    if let Some(columns) = comes_through("web_access", 10_000) {
        assert!(columns.contains("bytes bigint") && columns.contains("response bigint"), "{columns}");
    }
}

#[test]
fn nested_sets_come_through_whole() {
    if let Some(columns) = comes_through("gps_telemetry", 33_415) {
        assert!(columns.contains("double") && columns.contains("array<"), "{columns}");
    }
    if let Some(columns) = comes_through("cloudtrail", 2_900) {
        assert!(columns.contains("requestparameters struct<"), "{columns}");
        // 10 paths change their type.
        assert!(columns.contains("maxResults:string"), "{columns}");
    }
    if let Some(columns) = comes_through("github_events", 800) {
        assert!(columns.contains("payload struct<") && columns.contains("commits:array<struct<"), "{columns}");
    }
}

#[test]
fn what_is_json_in_the_dirty_set_comes_through() {
    // 10,426 lines are JSON objects; no column can be had for some keys.
    if let Some(columns) = comes_through("dirty", 10_426) {
        assert!(columns.contains("lat double"), "{columns}");
    }
}
