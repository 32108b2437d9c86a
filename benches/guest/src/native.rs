//! What the guest does with `enrich`, compiled for this machine; prints its row.

mod measure;
#[path = "../../../transforms/rust-enrich/src/object.rs"]
mod object;
#[allow(dead_code)]
#[path = "../../../transforms/rust-enrich/src/settings.rs"]
mod settings;
#[path = "../../../transforms/rust-enrich/src/time.rs"]
mod time;

fn main() {
    let records = measure::records();
    let bytes = records.iter().map(Vec::len).sum();
    let settings = settings::Settings::of(&[]).expect("no settings are good settings");
    let took = measure::time_of(|| {
        let mut out = Vec::with_capacity(bytes);
        for record in &records {
            let object: object::Object = serde_json::from_slice(record).expect("JSON");
            settings.write(&object, 1_700_000_000_000, &mut out);
        }
        out
    });
    println!("{}", measure::row("native enrich", took, bytes));
}
