//! What answers have in common: content types, request ids, error bodies.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::json;

/// An answer with its whole body.
pub type Answer = Response<Full<Bytes>>;

pub(super) const AWS_JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An answer of that type.
pub(super) fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// `value` as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            with_body(status, JSON, body)
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", &error.to_string()),
    }
}

/// An error outside of the AWS API: `{"code": …, "message": …}`.
pub(super) fn failure(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = format!("{}\n", json!({"code": code, "message": message}));
    let mut answer = with_body(status, JSON, body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// No such path; says what there is.
pub(super) fn not_found(path: &str, there_is: &str) -> Answer {
    failure(StatusCode::NOT_FOUND, "NotFound", &format!("There is no {path} here. {there_is}"))
}

/// Another method is needed.
pub(super) fn wrong_method(allow: &'static str, message: &str) -> Answer {
    let mut answer = failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// Closes the connection after the answer: the request's body was not read to its end.
pub(super) fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Gives the answer its `x-amzn-RequestId`, a random UUID.
pub(super) fn with_request_id(mut answer: Answer) -> Answer {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let random = fastrand::u128(..);
    let mut text = [b'-'; 36];
    let mut digit = 0;
    for (i, place) in text.iter_mut().enumerate() {
        if !matches!(i, 8 | 13 | 18 | 23) {
            *place = HEX[(random >> (4 * digit)) as usize & 15];
            digit += 1;
        }
    }
    // Version 4, variant 1.
    text[14] = b'4';
    text[19] = HEX[8 | (random >> 64) as usize & 3];
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    answer
}
