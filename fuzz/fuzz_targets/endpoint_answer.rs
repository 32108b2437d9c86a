//! The body of an endpoint's answer: delivered only if a second reader finds our id and a time in it.

#![no_main]

use hydrant::destination::http::judge::{Answer, judge};
use hydrant::stream::definition::RequestFormat;
use libfuzzer_sys::fuzz_target;

const ID: &str = "00010203-0405-8607-8809-0a0b0c0d0e0f";

fuzz_target!(|body: &[u8]| {
    let answer = Answer {
        status: 200,
        content_type: Some("application/json".to_owned()),
        has_length: true,
        body: Some(body.to_vec()),
        ..Answer::default()
    };
    if judge(&answer, ID, RequestFormat::Firehose, 0, str::to_owned).is_ok() {
        let read: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert!(read["requestId"] == ID && read["timestamp"].is_number());
    }
    assert!(judge(&Answer { status: 500, ..answer }, ID, RequestFormat::Firehose, 0, str::to_owned).is_err());
});
