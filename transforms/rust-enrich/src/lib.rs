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

mod grammar;
mod object;
mod record;
mod scan;
mod settings;
mod time;
mod write;

mod bindings {
    wit_bindgen::generate!({ world: "transform-packed", path: "../wit" });
}

use bindings::exports::hydrant::transform::packed::{Failure, Guest, Invocation};
use hydrant_packed::{records, Answer, Written};
use record::{Enricher, Verdict};
use settings::Settings;

struct Enrich;
bindings::export!(Enrich with_types_in bindings);

impl Guest for Enrich {
    fn transform(invocation: Invocation, batch: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let settings = Settings::of(&invocation.variables).map_err(|message| Failure { message, logs: Vec::new() })?;
        let mut enricher = Enricher::new(settings);
        let mut answer = Answer::for_batch(&batch);
        for record in records(&batch) {
            answer.write(record.id, |out| match enricher.enrich(record.data, record.arrival_ms, out) {
                Verdict::Ok(keys) if keys.is_empty() => Written::Ok,
                Verdict::Ok(keys) => Written::WithKeys(keys),
                Verdict::Dropped => Written::Dropped,
                Verdict::Failed(message) => Written::Failed(message),
            });
        }
        Ok(answer.finish())
    }
}
