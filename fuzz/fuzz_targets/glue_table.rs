//! What `aws glue get-table` prints: refused, or the same through their own notation.

#![no_main]

use hydrant::stage::convert::ddl::{parse_table, parse_type};
use hydrant::stage::convert::glue::parse_glue_table;
use hydrant::stage::convert::schema::TableSchema;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/stage/convert/tests/round_trips.rs"]
#[allow(dead_code, reason = "two targets share it")]
mod round_trips;

fuzz_target!(|input: &[u8]| {
    round_trips::glue(&String::from_utf8_lossy(input));
});
