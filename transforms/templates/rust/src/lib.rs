//! A transform: each record is a JSON object. Debug events are dropped, others gain their arrival time.
//!
//! Variables of the stream: `drop`, a level whose events are dropped (default: debug).

mod last_words;

wit_bindgen::generate!({ world: "transform", path: "wit" });

use exports::hydrant::transform::transformer::{Guest, InputRecord, Outcome};
use hydrant::transform::types::{Failure, Invocation, LogLevel, LogLine, OutputRecord, Status};
use serde_json::{Map, Value};

struct Transform;
export!(Transform);

impl Guest for Transform {
    fn transform(invocation: Invocation, records: Vec<InputRecord>) -> Result<Outcome, Failure> {
        last_words::keep();
        let drop = variable(&invocation, "drop").unwrap_or("debug");
        let records: Vec<_> = records.into_iter().map(|record| judged(record, drop)).collect();
        let failed = records.iter().filter(|record| record.status == Status::ProcessingFailed).count();
        let mut logs = Vec::new();
        if failed > 0 {
            logs.push(LogLine { level: LogLevel::Warn, message: format!("{failed} records are no JSON objects") });
        }
        Ok(Outcome { records, logs })
    }
}

/// What becomes of a record.
fn judged(record: InputRecord, drop: &str) -> OutputRecord {
    let mut output = OutputRecord {
        record_id: record.record_id,
        status: Status::Ok,
        data: None,
        partition_keys: vec![],
        otf_metadata: None,
        message: None,
    };
    match serde_json::from_slice::<Map<String, Value>>(&record.data) {
        Err(error) => {
            output.status = Status::ProcessingFailed;
            output.message = Some(error.to_string());
        }
        Ok(event) if event.get("level").and_then(Value::as_str) == Some(drop) => output.status = Status::Dropped,
        Ok(mut event) => {
            event.insert("arrived_at_ms".to_owned(), record.approximate_arrival_timestamp.into());
            // For dynamic partitioning: !{partitionKeyFromLambda:customer} in the stream's prefix.
            if let Some(customer) = event.get("customer").and_then(Value::as_str) {
                output.partition_keys.push(("customer".to_owned(), customer.to_owned()));
            }
            // Records are joined as they are, so each ends its line.
            output.data = Some(format!("{}\n", Value::Object(event)).into_bytes());
        }
    }
    output
}

fn variable<'a>(invocation: &'a Invocation, name: &str) -> Option<&'a str> {
    invocation.variables.iter().find(|(other, _)| other == name).map(|(_, value)| &value[..])
}
