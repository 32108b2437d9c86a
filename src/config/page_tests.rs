//! docs/configuration.md against the code: its keys in both directions, and its example.

use super::*;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../docs/configuration.md");
/// A key that no section has, nor one like it.
const UNKNOWN: &str = "qqqqqqqqqqqq";

/// Adds the keys that the section `path` takes, and those of the sections in it, as the program itself tells them.
fn add_keys(path: &str, keys: &mut BTreeSet<String>) {
    let told = problems_with(path);
    let member = if path.is_empty() { UNKNOWN.to_owned() } else { format!("{path}.{UNKNOWN}") };
    let Some(told) = told.iter().find(|problem| problem.member == member) else { return };
    let Some((_, known)) = told.message.split_once("known here: ") else {
        // A section whose keys the user chooses: any bucket.
        if path == "http_endpoint.secrets" || path == "redshift.secrets" {
            assert!(told.message.starts_with("expected {env: NAME}"), "{told}");
            keys.insert(format!("{path}.ARN"));
            return;
        }
        assert!(told.message.starts_with("expected a section"), "{told}");
        keys.insert(format!("{path}.BUCKET"));
        let of_bucket: BTreeSet<_> = known_in(&member).into_iter().collect();
        let of_all: BTreeSet<_> = known_in("s3").into_iter().filter(|key| key != "buckets").collect();
        assert_eq!(of_bucket, of_all, "the page says that a bucket has the keys of s3");
        return;
    };
    for key in known.split(", ") {
        let key = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        add_keys(&key, keys);
        keys.insert(key);
    }
}

/// The keys of the section `path`, as the refusal of an unknown one tells them.
fn known_in(path: &str) -> Vec<String> {
    let problems = problems_with(path);
    let known = problems.iter().find_map(|problem| problem.message.split_once("known here: ")).unwrap().1;
    known.split(", ").map(str::to_owned).collect()
}

/// The problems of a file that has an unknown key in the section `path`.
fn problems_with(path: &str) -> Vec<Problem> {
    let mut sections = String::new();
    for (depth, section) in path.split('.').filter(|section| !section.is_empty()).enumerate() {
        sections += &format!("{}{section}:\n", "  ".repeat(depth));
    }
    let depth = if path.is_empty() { 0 } else { path.split('.').count() };
    let version = if path == "version" { "" } else { "version: 1\n" };
    let text = format!("{version}{sections}{}{UNKNOWN}: 1\n", "  ".repeat(depth));
    parse(Path::new("F"), &text).unwrap_err()
}

#[test]
fn the_page_has_the_keys_that_the_program_takes_and_no_others() {
    let mut known = BTreeSet::new();
    add_keys("", &mut known);
    assert!(known.contains("s3.credentials.session_token") && known.contains("limits.send_slots"), "{known:?}");
    let rows = PAGE.lines().skip_while(|line| *line != "## Keys").take_while(|line| *line != "## Streams");
    let first_column = |row: &'static str| row.strip_prefix("| `")?.split_once(" |").map(|(column, _)| column);
    let keys = |column: &'static str| column.split(", ").map(|key| key.trim_matches('`'));
    let listed: Vec<_> = rows.filter_map(first_column).flat_map(keys).collect();
    let page: BTreeSet<_> = listed.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(listed.len(), page.len(), "a key stands twice in the page");
    assert_eq!(page, known);
}

#[test]
fn a_check_accepts_the_example_of_the_page_and_that_in_deploy() {
    let (_, rest) = PAGE.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    for text in [example, include_str!("../../deploy/hydrant.yaml")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hydrant.yaml");
        std::fs::write(&path, text).unwrap();
        assert_eq!(check(&path), [], "{text}");
    }
}
