//! Enriches, filters and redacts JSON events.
//!
//! A record holds one or more JSON objects, each of which
//! - is dropped if a member has a value named in `drop`;
//! - loses the values of the members named in `redact`;
//! - gains the members of `add`, and its arrival time in the member named by `arrival`;
//! - leaves as one line, everything else written exactly as it came.
//!
//! A record with anything else in it is refused whole, with the place of the error. Members are those of the object
//! itself, not of objects inside it.
//!
//! Settings are variables of the stream (parameter `Variable.NAME` of the Lambda processor):
//!
//! | name | default | example |
//! |---|---|---|
//! | `drop` | `level=debug` | `level=debug,type=ping` |
//! | `redact` | `password,secret,token` | `email` |
//! | `add` | nothing | `env=prod,team=web` |
//! | `arrival` | `ingested_at` | empty: not added |
//! | `partition` | nothing | `customer,region`: partition keys, from the first object |

mod object;
mod settings;
mod time;

mod bindings {
    wit_bindgen::generate!({ world: "transform", path: "../wit" });
}

use bindings::exports::hydrant::transform::transformer::{Guest, InputRecord, Outcome};
use bindings::hydrant::transform::types::{Failure, Invocation, OutputRecord, Status};
use object::Object;
use settings::Settings;

struct Enrich;
bindings::export!(Enrich with_types_in bindings);

impl Guest for Enrich {
    fn transform(invocation: Invocation, records: Vec<InputRecord>) -> Result<Outcome, Failure> {
        let settings = Settings::of(&invocation.variables)
            .map_err(|message| Failure { message, logs: Vec::new() })?;
        let records = records.into_iter().map(|record| answer(&settings, record)).collect();
        Ok(Outcome { records, logs: Vec::new() })
    }
}

fn answer(settings: &Settings, record: InputRecord) -> OutputRecord {
    let mut answer = OutputRecord {
        record_id: record.record_id,
        status: Status::Ok,
        data: None,
        partition_keys: Vec::new(),
        otf_metadata: None,
        message: None,
    };
    let mut out = Vec::with_capacity(record.data.len() + 64);
    let mut objects = 0;
    for object in serde_json::Deserializer::from_slice(&record.data).into_iter::<Object>() {
        match object {
            Ok(object) => {
                if objects == 0 {
                    answer.partition_keys = settings.partition_keys(&object);
                }
                objects += 1;
                settings.write(&object, record.approximate_arrival_timestamp, &mut out);
            }
            Err(error) => {
                answer.status = Status::ProcessingFailed;
                answer.message = Some(format!("object {} of the record: {error}", objects + 1));
                return answer;
            }
        }
    }
    if objects == 0 {
        answer.status = Status::ProcessingFailed;
        answer.message = Some("the record holds no JSON object".into());
    } else if out.is_empty() {
        answer.status = Status::Dropped;
    } else {
        answer.data = Some(out);
    }
    answer
}
