//! What the guest does with `enrich` and with `plain`, compiled for this machine: records into a buffer, with their places.

mod measure;
#[path = "../../../transforms/rust-enrich/src/grammar.rs"]
mod grammar;
#[path = "../../../transforms/rust-enrich/src/object.rs"]
mod object;
mod plain;
#[allow(dead_code)]
#[path = "../../../transforms/rust-enrich/src/record.rs"]
mod record;
#[path = "../../../transforms/rust-enrich/src/scan.rs"]
mod scan;
#[path = "../../../transforms/rust-enrich/src/settings.rs"]
mod settings;
#[path = "../../../transforms/rust-enrich/src/time.rs"]
mod time;
#[path = "../../../transforms/rust-enrich/src/write.rs"]
mod write;

use record::{Enricher, Verdict};

const ARRIVAL_MS: u64 = 1_700_000_000_000;

fn main() -> Result<(), std::io::Error> {
    let records = measure::records();
    let bytes: usize = records.iter().map(Vec::len).sum();
    let all = |work: &mut dyn FnMut(&[u8], &mut Vec<u8>) -> bool| {
        let mut out = Vec::with_capacity(bytes + bytes / 8);
        let mut places = Vec::with_capacity(records.len());
        for record in &records {
            let start = out.len();
            assert!(work(record, &mut out), "JSON");
            places.push(start..out.len());
        }
        (out, places)
    };
    let enrich = || {
        let mut enricher = Enricher::new(settings::Settings::of(&[]).expect("no settings are good settings"));
        all(&mut |record, out| matches!(enricher.enrich(record, ARRIVAL_MS, out), Verdict::Ok(_)))
    };
    let plain = || all(&mut |record, out| plain::enrich(record, ARRIVAL_MS, out));
    let mut works = [
        ("native enrich".to_owned(), measure::of_processor(enrich)),
        ("native plain".to_owned(), measure::of_processor(plain)),
    ];
    measure::serve(&mut works)
}
