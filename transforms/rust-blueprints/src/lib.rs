//! The transforms that the console of Firehose offers as blueprints, one component for each feature of this crate:
//!
//! | feature | a record | becomes |
//! |---|---|---|
//! | `cloudwatch-logs` | what a CloudWatch Logs subscription sends (gzip) | its messages, one a line; control messages are dropped |
//! | `apache-log-to-json` | lines of an access log, common or combined format | JSON objects |
//! | `syslog-to-json` | lines as syslog writes them to a file | JSON objects |
//! | `csv-to-json` | CSV rows | JSON objects, see `csv_to_json.rs` for its variables |
//!
//! Every object and message ends in a newline. A record that holds something else is refused whole, with the number of
//! the line; an empty one too.

#[cfg_attr(feature = "cloudwatch-logs", path = "cloudwatch_logs.rs")]
#[cfg_attr(feature = "apache-log-to-json", path = "apache_log_to_json.rs")]
#[cfg_attr(feature = "syslog-to-json", path = "syslog_to_json.rs")]
#[cfg_attr(feature = "csv-to-json", path = "csv_to_json.rs")]
mod blueprint;
#[cfg(not(feature = "cloudwatch-logs"))]
mod json;

mod bindings {
    wit_bindgen::generate!({ world: "transform", path: "../wit" });
}

use bindings::exports::hydrant::transform::transformer::{Guest, InputRecord, Outcome};
use bindings::hydrant::transform::types::{Failure, Invocation, OutputRecord, Status};
use blueprint::Blueprint;

/// What becomes of a record that is not refused.
pub enum Fate {
    /// What was written goes on.
    Ok,
    #[cfg(feature = "cloudwatch-logs")]
    Dropped,
}

struct Transform;
bindings::export!(Transform with_types_in bindings);

impl Guest for Transform {
    fn transform(invocation: Invocation, records: Vec<InputRecord>) -> Result<Outcome, Failure> {
        let blueprint =
            Blueprint::of(&invocation.variables).map_err(|message| Failure { message, logs: Vec::new() })?;
        let records = records.into_iter().map(|record| answer(&blueprint, record)).collect();
        Ok(Outcome { records, logs: Vec::new() })
    }
}

fn answer(blueprint: &Blueprint, record: InputRecord) -> OutputRecord {
    let mut out = Vec::with_capacity(2 * record.data.len() + 64);
    let (status, data, message) = match blueprint.convert(&record.data, &mut out) {
        Ok(Fate::Ok) => (Status::Ok, Some(out), None),
        #[cfg(feature = "cloudwatch-logs")]
        Ok(Fate::Dropped) => (Status::Dropped, None, None),
        Err(message) => (Status::ProcessingFailed, None, Some(message)),
    };
    OutputRecord { record_id: record.record_id, status, data, partition_keys: Vec::new(), otf_metadata: None, message }
}

/// Refuses every variable but those of `known`.
pub fn only_known(variables: &[(String, String)], known: &[&str]) -> Result<(), String> {
    match variables.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) if known.is_empty() => Err(format!("unknown variable '{name}'; there is none")),
        Some((name, _)) => Err(format!("unknown variable '{name}'; there are: {}", known.join(", "))),
    }
}

/// Applies `convert` to each line that is not empty.
#[cfg(any(feature = "apache-log-to-json", feature = "syslog-to-json"))]
pub fn each_line(
    data: &[u8],
    out: &mut Vec<u8>,
    convert: impl Fn(&str, &mut json::Object) -> Option<()>,
    format: &str,
) -> Result<Fate, String> {
    let text = std::str::from_utf8(data).map_err(|error| format!("the record is not UTF-8: {error}"))?;
    let mut lines = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut object = json::Object::begin(out);
        convert(line, &mut object).ok_or_else(|| format!("line {} of the record is no {format}", number + 1))?;
        object.end();
        lines += 1;
    }
    if lines == 0 {
        return Err("the record holds no line".to_owned());
    }
    Ok(Fate::Ok)
}
