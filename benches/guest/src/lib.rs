//! See Cargo.toml.

#[cfg(feature = "enrich")]
#[path = "../../../transforms/rust-enrich/src/object.rs"]
mod object;
#[cfg(feature = "enrich")]
#[allow(dead_code)]
#[path = "../../../transforms/rust-enrich/src/record.rs"]
mod record;
#[cfg(feature = "enrich")]
#[path = "../../../transforms/rust-enrich/src/scan.rs"]
mod scan;
#[cfg(feature = "enrich")]
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

#[cfg(feature = "packed")]
mod packed {
    use super::bindings::exports::hydrant::transform::packed::{Failure, Guest, Invocation};
    #[cfg(feature = "enrich")]
    use super::record::{enrich, Verdict};
    use hydrant_packed::{records, Answer};
    #[cfg(feature = "enrich")]
    use hydrant_packed::Written;

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
                answer.write(record.id, |out| match enrich(&settings, record.data, record.arrival_ms, out) {
                    Verdict::Ok(_) => Written::Ok,
                    Verdict::Dropped => Written::Dropped,
                    Verdict::Failed(message) => Written::Failed(message),
                });
            }
            Ok(answer.finish())
        }
    }
}

#[cfg(not(feature = "packed"))]
mod list {
    #[cfg(feature = "enrich")]
    use super::record::{enrich, Verdict};
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
                let data = {
                    let mut out = Vec::with_capacity(record.data.len() + 64);
                    let verdict = enrich(&settings, &record.data, record.approximate_arrival_timestamp, &mut out);
                    matches!(verdict, Verdict::Ok(_)).then_some(out)
                };
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
