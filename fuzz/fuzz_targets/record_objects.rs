//! A record split into JSON objects: the parts that another parser finds, and together they are the record.

#![no_main]

use hydrant::record::Chunk;
use hydrant::stage::Expand;
use hydrant::stage::deaggregate::DeaggregateStage;
use hydrant::stream::definition::Deaggregation;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/stage/deaggregate/tests/second_reading.rs"]
mod second_reading;

fuzz_target!(|record: &[u8]| {
    let mut stage = DeaggregateStage::new(&Deaggregation::Json);
    stage.begin(Chunk::from_records([record], 0, 0));
    let (mut passed, mut is_refused, mut bytes) = (0, false, 0);
    while let Some(staged) = stage.next() {
        passed += staged.passed.slots.len();
        is_refused |= !staged.refused.is_empty();
        let parts = staged.passed.slots.iter().chain(&staged.refused_parts);
        bytes += parts.map(|slot| slot.len as usize).sum::<usize>();
    }
    assert_eq!((passed, is_refused), second_reading::objects(record));
    assert!(bytes <= record.len());
});
