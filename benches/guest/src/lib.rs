//! See Cargo.toml.

#[cfg(feature = "enrich")]
#[path = "../../../transforms/rust-enrich/src/grammar.rs"]
mod grammar;
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
#[path = "../../../transforms/rust-enrich/src/write.rs"]
mod write;
#[cfg(feature = "plain")]
mod plain;
#[cfg(any(feature = "enrich", feature = "plain"))]
#[path = "../../../transforms/rust-enrich/src/time.rs"]
mod time;

#[cfg(feature = "packed")]
mod bindings {
    wit_bindgen::generate!({ world: "transform-packed", path: "../../transforms/wit" });
}
#[cfg(not(feature = "packed"))]
mod bindings {
    wit_bindgen::generate!({ world: "transform", path: "../../transforms/wit" });
}

#[cfg(feature = "packed")]
use bindings::exports::hydrant::transform::packed as exports;
#[cfg(not(feature = "packed"))]
use bindings::exports::hydrant::transform::transformer as exports;
#[cfg(not(feature = "packed"))]
use bindings::hydrant::transform::types::{OutputRecord, Status};
use exports::{Failure, Guest, Invocation};

struct Component;
bindings::export!(Component with_types_in bindings);

/// The work on one record; without a feature for it, none.
#[cfg(feature = "enrich")]
struct Work(record::Enricher);
#[cfg(not(feature = "enrich"))]
struct Work;

impl Work {
    #[cfg(feature = "enrich")]
    fn new(invocation: &Invocation) -> Result<Self, Failure> {
        let failure = |message| Failure { message, logs: Vec::new() };
        settings::Settings::of(&invocation.variables).map(|settings| Self(record::Enricher::new(settings))).map_err(failure)
    }

    #[cfg(not(feature = "enrich"))]
    fn new(_: &Invocation) -> Result<Self, Failure> {
        Ok(Self)
    }

    /// Appends what the record becomes; `false` if it is refused.
    #[cfg(feature = "enrich")]
    #[inline(always)]
    fn write(&mut self, data: &[u8], arrival_ms: u64, out: &mut Vec<u8>) -> bool {
        matches!(self.0.enrich(data, arrival_ms, out), record::Verdict::Ok(_))
    }

    #[cfg(feature = "plain")]
    fn write(&mut self, data: &[u8], arrival_ms: u64, out: &mut Vec<u8>) -> bool {
        plain::enrich(data, arrival_ms, out)
    }

    #[cfg(all(feature = "packed", not(any(feature = "enrich", feature = "plain"))))]
    #[inline(always)]
    fn write(&mut self, data: &[u8], _: u64, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(data);
        true
    }

    #[cfg(all(not(feature = "packed"), any(feature = "enrich", feature = "plain")))]
    fn data(&mut self, data: Vec<u8>, arrival_ms: u64) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(data.len() + 64);
        self.write(&data, arrival_ms, &mut out).then_some(out)
    }

    #[cfg(not(any(feature = "packed", feature = "enrich", feature = "plain")))]
    fn data(&mut self, data: Vec<u8>, _: u64) -> Option<Vec<u8>> {
        Some(data)
    }
}

impl Guest for Component {
    #[cfg(feature = "packed")]
    fn transform(invocation: Invocation, batch: Vec<u8>) -> Result<Vec<u8>, Failure> {
        use hydrant_packed::{Answer, Written};
        let mut work = Work::new(&invocation)?;
        let mut answer = Answer::for_batch(&batch);
        for record in hydrant_packed::records(&batch) {
            answer.write(record.id, |out| match work.write(record.data, record.arrival_ms, out) {
                true => Written::Ok,
                false => Written::Failed(String::new()),
            });
        }
        Ok(answer.finish())
    }

    #[cfg(not(feature = "packed"))]
    fn transform(invocation: Invocation, records: Vec<exports::InputRecord>) -> Result<exports::Outcome, Failure> {
        let mut work = Work::new(&invocation)?;
        let answer = |record: exports::InputRecord| {
            let data = work.data(record.data, record.approximate_arrival_timestamp);
            OutputRecord {
                record_id: record.record_id,
                status: if data.is_some() { Status::Ok } else { Status::ProcessingFailed },
                data,
                partition_keys: Vec::new(),
                otf_metadata: None,
                message: None,
            }
        };
        Ok(exports::Outcome { records: records.into_iter().map(answer).collect(), logs: Vec::new() })
    }
}
