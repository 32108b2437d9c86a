//! The PutRecordBatch parser against its serde_json oracle.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/ingest/tests/oracle.rs"]
mod oracle;

use oracle::Verdict;

fuzz_target!(|body: &[u8]| {
    let found = match hydrant::ingest::parse_put_record_batch(body) {
        Ok(put) => {
            let mut rest = put.body.payload.as_slice();
            let mut records = Vec::new();
            for length in put.body.lengths {
                let (record, tail) = rest.split_at(length as usize);
                records.push(record.to_vec());
                rest = tail;
            }
            assert!(rest.is_empty());
            Verdict::Accepted { stream: put.stream, records }
        }
        Err(error) if error.kind == "SerializationException" => {
            Verdict::Refused { kind: error.kind, message: String::new() }
        }
        Err(error) => Verdict::Refused { kind: error.kind, message: error.message },
    };
    assert_eq!(found, oracle::put_record_batch(body));
});
