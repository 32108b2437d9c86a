//! See Cargo.toml.

#[cfg(feature = "enrich")]
#[path = "../../../transforms/rust-enrich/src/object.rs"]
mod object;
#[cfg(feature = "enrich")]
#[allow(dead_code)]
#[path = "../../../transforms/rust-enrich/src/settings.rs"]
mod settings;
#[cfg(feature = "enrich")]
#[path = "../../../transforms/rust-enrich/src/time.rs"]
mod time;

#[cfg(not(feature = "packed"))]
mod bindings {
    wit_bindgen::generate!({ world: "transform", path: "../../transforms/wit" });
}
#[cfg(feature = "packed")]
mod bindings {
    wit_bindgen::generate!({ world: "transform-packed", path: "../../transforms/wit" });
}

struct Component;
bindings::export!(Component with_types_in bindings);

/// The record as it goes on; none if it is no JSON object.
#[cfg(feature = "enrich")]
fn enriched(settings: &settings::Settings, data: &[u8], arrival_ms: u64) -> Option<Vec<u8>> {
    let object: object::Object = serde_json::from_slice(data).ok()?;
    let mut out = Vec::with_capacity(data.len() + 64);
    settings.write(&object, arrival_ms, &mut out);
    Some(out)
}

#[cfg(feature = "packed")]
mod packed {
    use super::bindings::exports::hydrant::transform::packed::{Failure, Guest, Invocation};
    use hydrant_packed::{records, Answer};

    impl Guest for super::Component {
        #[allow(unused_variables)]
        fn transform(invocation: Invocation, batch: Vec<u8>) -> Result<Vec<u8>, Failure> {
            let mut answer = Answer::for_batch(&batch);
            #[cfg(feature = "enrich")]
            let settings = super::settings::Settings::of(&invocation.variables)
                .map_err(|message| Failure { message, logs: Vec::new() })?;
            for record in records(&batch) {
                #[cfg(not(feature = "enrich"))]
                answer.ok(record.id, record.data);
                #[cfg(feature = "enrich")]
                match super::enriched(&settings, record.data, record.arrival_ms) {
                    Some(data) => answer.ok(record.id, &data),
                    None => answer.failed(record.id, "not a JSON object"),
                }
            }
            Ok(answer.finish())
        }
    }
}

#[cfg(not(feature = "packed"))]
mod list {
    use super::bindings::exports::hydrant::transform::transformer::{Guest, InputRecord, Outcome};
    use super::bindings::hydrant::transform::types::{Failure, Invocation, OutputRecord, Status};

    impl Guest for super::Component {
        #[allow(unused_variables)]
        fn transform(invocation: Invocation, records: Vec<InputRecord>) -> Result<Outcome, Failure> {
            #[cfg(feature = "enrich")]
            let settings = super::settings::Settings::of(&invocation.variables)
                .map_err(|message| Failure { message, logs: Vec::new() })?;
            let answer = |record: InputRecord| {
                #[cfg(not(feature = "enrich"))]
                let data = Some(record.data);
                #[cfg(feature = "enrich")]
                let data = super::enriched(&settings, &record.data, record.approximate_arrival_timestamp);
                OutputRecord {
                    record_id: record.record_id,
                    status: if data.is_some() { Status::Ok } else { Status::ProcessingFailed },
                    data,
                    partition_keys: Vec::new(),
                    otf_metadata: None,
                    message: None,
                }
            };
            Ok(Outcome { records: records.into_iter().map(answer).collect(), logs: Vec::new() })
        }
    }
}
