//! docs/error-records.md against the lines that are written: the members of each type, in their order.

use super::learning::learning;
use crate::delivery::error_record::{ErrorContext, write_line};
use crate::record::{Cause, ErrorKind};
use crate::stream::definition::TransformSpec;

const PAGE: &str = include_str!("../../../docs/error-records.md");

/// The names in backticks behind `start`, which begins one row of the page.
fn names_behind(start: &str) -> Vec<&'static str> {
    let rows: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix(start)).collect();
    let [row, ..] = rows.as_slice() else { panic!("no row begins with {start}") };
    row.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_lists_the_members_that_are_written() {
    let mut definition = learning("s", 1, 1);
    definition.transform = Some(TransformSpec {
        lambda_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        function: "f".to_owned(),
        version: None,
        retries: 3,
        batch_bytes: 1,
        timeout_ms: 1,
        memory_bytes: 1,
        fuel: None,
        is_stateless: false,
        variables: Default::default(),
    });
    let context = ErrorContext {
        definition: &definition,
        arrival_ms: 1,
        staged_ms: 2,
        sequence_number: "7",
        part: 0,
        glue_version: None,
    };
    let kinds = [
        ErrorKind::ProcessingFailed,
        ErrorKind::DecompressionFailed,
        ErrorKind::PartitioningFailed,
        ErrorKind::FormatConversionFailed,
        ErrorKind::HttpEndpointFailed,
    ];
    for kind in kinds {
        let cause = Cause { kind, code: "Family.Code".to_owned(), message: "why".to_owned(), attempts: 1 };
        let mut line = Vec::new();
        write_line(&mut line, &cause, b"record", &context).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let members: Vec<_> = line.as_object().unwrap().keys().collect();
        assert_eq!(names_behind(&format!("| `{}` | ", kind.as_str())), members, "{kind:?}");
        if let Some(table) = line.get("dataCatalogTable") {
            let members: Vec<_> = table.as_object().unwrap().keys().collect();
            assert_eq!(names_behind("| `dataCatalogTable` | "), members);
        }
    }
    let types = PAGE.lines().skip_while(|line| !line.starts_with("| type | members")).skip(2);
    assert_eq!(types.take_while(|line| line.starts_with('|')).count(), kinds.len());
}
