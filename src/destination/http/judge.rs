//! What an endpoint's answer means, by the rules of the service's protocol (reference: its HTTP endpoint response). Pure.
//!
//! | answer | verdict |
//! |---|---|
//! | 200, `application/json`, no Content-Encoding, Content-Length, at most 1 MiB, `{"requestId":<ours>,"timestamp":<number>}` | delivered |
//! | 200 with anything else in it | failed, tried again: the receiver may have the records or not |
//! | 413 | refused for good: the same body is as long the next time |
//! | any other status | failed, tried again; a 4xx other than 408, 425 and 429 needs the operator |
//!
//! Of the plain forms, which receivers know that do not know the protocol, any 2xx is a delivery, whatever it says.

use crate::destination::DeliveryError;
use crate::fault::{Class, Retry};
use crate::stream::definition::RequestFormat;
use chrono::DateTime;
use serde::Deserialize;
use std::time::Duration;

/// Longest body of an answer.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Longest reason phrase.
const MAX_REASON_CHARACTERS: usize = 64;
/// Longest text of an endpoint that is kept, in characters.
const MAX_TEXT_CHARACTERS: usize = 8192;
/// Characters kept of a body that is not the protocol's.
const MAX_RAW_CHARACTERS: usize = 500;

/// An answer as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Reason phrase, where it is not the usual one.
    pub reason: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Whether there is a `Content-Encoding`.
    pub is_encoded: bool,
    /// Whether there is a `Content-Length`.
    pub has_length: bool,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// The body; `None`: it is longer than [`MAX_ANSWER_BYTES`].
    pub body: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Accepted {
    request_id: String,
    timestamp: serde_json::Number,
    #[serde(rename = "errorMessage")]
    _error_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    error_message: String,
}

/// Judges the answer to request `id`. `now_ms`: wall time, ms since the epoch, for a Retry-After that is a date. What is
/// told of the endpoint's words goes through `hide` first.
pub fn judge(
    answer: &Answer,
    id: &str,
    format: RequestFormat,
    now_ms: i64,
    hide: impl Fn(&str) -> String,
) -> Result<(), DeliveryError> {
    let not_before = answer.retry_after.as_deref().and_then(|text| retry_after(text, now_ms));
    let failed = |code: &str, message: String, retry| {
        let class = if retry == Retry::Backoff { Class::Upstream } else { Class::User };
        Err(DeliveryError { code: format!("HttpEndpoint.{code}"), message, class, retry, not_before })
    };
    if format != RequestFormat::Firehose && (200..300).contains(&answer.status) {
        return Ok(());
    }
    if let Some(reason) = answer.reason.as_ref().filter(|reason| reason.chars().count() > MAX_REASON_CHARACTERS) {
        let length = reason.chars().count();
        let message = format!(
            "The reason phrase of the answer has {length} characters, more than {MAX_REASON_CHARACTERS}. {}: {}",
            answer.status,
            cut(&hide(reason), MAX_TEXT_CHARACTERS)
        );
        return failed("ResponseReasonPhraseExceededLimit", message, Retry::Backoff);
    }
    let Some(body) = &answer.body else {
        let message = format!("The answer {} is longer than {MAX_ANSWER_BYTES} bytes.", answer.status);
        // Its status says what is to be done all the same.
        let retry = if answer.status == 413 { Retry::GiveUp } else { Retry::Backoff };
        return failed("ResponseTooLarge", message, retry);
    };
    let text = String::from_utf8_lossy(body);
    match answer.status {
        200 => {}
        status => {
            let said = serde_json::from_slice::<Explained>(body).map(|explained| explained.error_message);
            // Other text than the protocol's may be a page; it stands in each error record.
            let (said, characters) =
                said.as_deref().map_or((&*text, MAX_RAW_CHARACTERS), |said| (said, MAX_TEXT_CHARACTERS));
            let said = hide(said);
            let said = cut(&said, characters);
            let message =
                format!("The following response was received from the endpoint destination. {status}: {said}");
            let retry = match status {
                413 => Retry::GiveUp,
                408 | 425 | 429 => Retry::Backoff,
                300..=499 => Retry::AfterOperator,
                _ => Retry::Backoff,
            };
            return failed("DestinationException", message, retry);
        }
    }
    let media_type = answer.content_type.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let wrong = if !media_type.eq_ignore_ascii_case("application/json") {
        Some("its Content-Type is not application/json")
    } else if answer.is_encoded {
        Some("it has a Content-Encoding")
    } else if !answer.has_length {
        Some("it has no Content-Length")
    } else {
        match serde_json::from_slice::<Accepted>(body) {
            Ok(accepted) if accepted.request_id != id => Some("its requestId is not that of the request"),
            Ok(accepted) if accepted.timestamp.as_f64().is_none_or(|number| number < 0.0) => {
                Some("its timestamp is no time")
            }
            Ok(_) => None,
            Err(_) => Some("it is no JSON with requestId and timestamp, or has other members"),
        }
    };
    match wrong {
        None => Ok(()),
        Some(wrong) => failed(
            "InvalidResponseFromDestination",
            format!(
                "Response for request {id} is not recognized as valid JSON or has unexpected fields: {wrong}. Raw \
                 response received: {} {}",
                answer.status,
                cut(&hide(&text), MAX_RAW_CHARACTERS)
            ),
            Retry::Backoff,
        ),
    }
}

/// Seconds, or a date.
fn retry_after(text: &str, now_ms: i64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(Duration::from_millis(u64::try_from(date.timestamp_millis().saturating_sub(now_ms)).unwrap_or(0)))
}

fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use RequestFormat::{Firehose, JsonArray, Ndjson};

    const ID: &str = "00010203-0405-8607-8809-0a0b0c0d0e0f";
    // Sun, 06 Nov 1994 08:49:37 GMT
    const NOW_MS: i64 = 784_111_777_000;

    fn good() -> Answer {
        Answer {
            status: 200,
            content_type: Some("application/json".to_owned()),
            has_length: true,
            body: Some(format!(r#"{{"requestId":"{ID}","timestamp":1578090903599}}"#).into_bytes()),
            ..Answer::default()
        }
    }

    fn with_body(body: &str) -> Answer {
        Answer { body: Some(body.as_bytes().to_vec()), ..good() }
    }

    fn verdict(answer: &Answer) -> Result<(), (String, Retry)> {
        judge(answer, ID, Firehose, NOW_MS, str::to_owned).map_err(|error| (error.code, error.retry))
    }

    #[test]
    fn only_what_the_protocol_says_is_a_delivery() {
        assert_eq!(verdict(&good()), Ok(()));
        let with_charset = Answer { content_type: Some("Application/JSON; charset=utf-8".to_owned()), ..good() };
        assert_eq!(verdict(&with_charset), Ok(()));
        let invalid = Err(("HttpEndpoint.InvalidResponseFromDestination".to_owned(), Retry::Backoff));
        for answer in [
            Answer { content_type: None, ..good() },
            Answer { content_type: Some("text/plain".to_owned()), ..good() },
            Answer { content_type: Some("application/json5".to_owned()), ..good() },
            Answer { is_encoded: true, ..good() },
            Answer { has_length: false, ..good() },
            with_body(""),
            with_body("{}"),
            with_body("ok"),
            with_body(&format!(r#"{{"requestId":"{ID}"}}"#)),
            with_body(&format!(r#"{{"requestId":"{ID}","timestamp":"1578090903599"}}"#)),
            with_body(&format!(r#"{{"requestId":"{ID}","timestamp":-1}}"#)),
            with_body(&format!(r#"{{"requestId":"{ID}","timestamp":1,"more":1}}"#)),
            with_body(&format!(r#"{{"requestId":"{ID}","timestamp":1}} {{}}"#)),
            with_body(&format!(r#"{{"requestId":"{}","timestamp":1}}"#, ID.to_uppercase())),
            with_body(r#"{"requestId":"other","timestamp":1}"#),
        ] {
            assert_eq!(verdict(&answer), invalid, "{answer:?}");
        }
        let said = with_body(&format!(r#"{{"requestId":"{ID}","timestamp":1,"errorMessage":"none"}}"#));
        assert_eq!(verdict(&said), Ok(()));
        let too_large = Answer { body: None, ..good() };
        assert_eq!(verdict(&too_large), Err(("HttpEndpoint.ResponseTooLarge".to_owned(), Retry::Backoff)));
        let wordy = Answer { reason: Some("x".repeat(65)), ..good() };
        let code = "HttpEndpoint.ResponseReasonPhraseExceededLimit";
        assert_eq!(verdict(&wordy), Err((code.to_owned(), Retry::Backoff)));
        assert_eq!(verdict(&Answer { reason: Some("x".repeat(64)), ..good() }), Ok(()));
    }

    /// A name is what JSON says it is, however it is written.
    #[test]
    fn escapes_in_names_and_values_are_read() {
        let escaped = ID.replacen('0', "\\u0030", 1);
        for body in [
            format!(r#"{{"request\u0049d":"{ID}","timestamp":1}}"#),
            format!(r#"{{"\u0072equestId":"{escaped}","\u0074imest\u0061mp":1.5e12}}"#),
            format!(r#"{{"error\u004dessage":null,"timestamp":1,"requestId":"{escaped}"}}"#),
        ] {
            assert_eq!(verdict(&with_body(&body)), Ok(()), "{body}");
        }
        let invalid = Err(("HttpEndpoint.InvalidResponseFromDestination".to_owned(), Retry::Backoff));
        for body in [
            // Twice, which is not seen from the letters alone.
            format!(r#"{{"requestId":"{ID}","request\u0049d":"{ID}","timestamp":1}}"#),
            format!(r#"{{"request\\u0049d":"{ID}","timestamp":1}}"#),
            format!(r#"{{"requestId":"{ID}","timestamp":1,"m\u006fre":1}}"#),
        ] {
            assert_eq!(verdict(&with_body(&body)), invalid, "{body}");
        }
        let said = Answer { status: 500, ..with_body(r#"{"more":[1],"error\u004dessage":"d\u0069sk","re":{}}"#) };
        assert!(judge(&said, ID, Firehose, NOW_MS, str::to_owned).unwrap_err().message.ends_with(" 500: disk"));
    }

    #[test]
    fn other_statuses_are_tried_again_but_413() {
        for (status, retry) in [
            (201, Retry::Backoff),
            (202, Retry::Backoff),
            (204, Retry::Backoff),
            (301, Retry::AfterOperator),
            (400, Retry::AfterOperator),
            (401, Retry::AfterOperator),
            (404, Retry::AfterOperator),
            (408, Retry::Backoff),
            (413, Retry::GiveUp),
            (429, Retry::Backoff),
            (500, Retry::Backoff),
            (503, Retry::Backoff),
            (599, Retry::Backoff),
        ] {
            let code = "HttpEndpoint.DestinationException".to_owned();
            assert_eq!(verdict(&Answer { status, ..good() }), Err((code, retry)), "{status}");
        }
    }

    #[test]
    fn the_endpoints_words_are_kept() {
        let said = Answer { status: 503, ..with_body(r#"{"requestId":"x","errorMessage":"disk \"full\"","more":1}"#) };
        let error = judge(&said, ID, Firehose, NOW_MS, str::to_owned).unwrap_err();
        let text = r#"The following response was received from the endpoint destination. 503: disk "full""#;
        assert_eq!(error.message, text);
        let long = Answer { status: 500, ..with_body(&"é".repeat(20_000)) };
        assert!(judge(&long, ID, Firehose, NOW_MS, str::to_owned).unwrap_err().message.chars().count() < 8300);
        let wrong = judge(&with_body("<html>"), ID, Firehose, NOW_MS, str::to_owned).unwrap_err().message;
        assert!(wrong.ends_with("Raw response received: 200 <html>"), "{wrong}");
        // What is hidden is hidden before the text is cut.
        let echo = Answer { status: 500, ..with_body(&format!("{}sesame", "p".repeat(MAX_RAW_CHARACTERS - 3))) };
        let message = judge(&echo, ID, Firehose, NOW_MS, |text| text.replace("sesame", "*")).unwrap_err().message;
        assert!(message.ends_with("p*"), "{message}");
    }

    const TOKENS: &[&str] = &[
        "requestId",
        "timestamp",
        "errorMessage",
        "\"",
        ":",
        ",",
        "{",
        "}",
        "null",
        "1578090903599",
        "1e400",
        "-1",
        ID,
        "\\u0000",
    ];

    /// What is taken for a delivery is one to a second reader too.
    #[test]
    fn bodies_of_answers_are_judged_as_a_second_reader_does() {
        use crate::fuzz_tests::{ended, fuzz};
        fuzz("answers of endpoints", "endpoint_answers", TOKENS, &mut |bodies| {
            let judged = bodies.iter().map(|body| {
                let answer = Answer { body: Some(body.clone()), ..good() };
                let is_delivered = judge(&answer, ID, Firehose, NOW_MS, str::to_owned).is_ok();
                if is_delivered {
                    let read: serde_json::Value = serde_json::from_slice(body).unwrap();
                    let members = read.as_object().unwrap();
                    assert!(members.keys().all(|key| ["requestId", "timestamp", "errorMessage"].contains(&&**key)));
                    assert!(read["requestId"] == ID && read["timestamp"].is_number(), "{read}");
                }
                for status in [202, 413, 500] {
                    let text = String::from_utf8_lossy(body).into_owned();
                    let refused = Answer { status, retry_after: Some(text), ..answer.clone() };
                    assert!(judge(&refused, ID, Firehose, NOW_MS, str::to_owned).is_err());
                }
                ended(is_delivered)
            });
            judged.collect()
        });
    }

    #[test]
    fn a_plain_receiver_may_say_what_it_likes() {
        for format in [Ndjson, JsonArray] {
            for status in [200, 201, 202, 204] {
                assert_eq!(judge(&Answer { status, ..with_body("thanks") }, ID, format, NOW_MS, str::to_owned), Ok(()));
            }
            for answer in [Answer { body: None, ..good() }, Answer { reason: Some("x".repeat(65)), ..good() }] {
                assert_eq!(judge(&answer, ID, format, NOW_MS, str::to_owned), Ok(()), "{answer:?}");
            }
            for status in [302, 400, 500] {
                assert!(judge(&Answer { status, ..good() }, ID, format, NOW_MS, str::to_owned).is_err());
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let asked = |text: &str| {
            let answer = Answer { status: 503, retry_after: Some(text.to_owned()), ..good() };
            judge(&answer, ID, Firehose, NOW_MS, str::to_owned).unwrap_err().not_before.map(|pause| pause.as_secs())
        };
        assert_eq!(asked("0"), Some(0));
        assert_eq!(asked(" 120 "), Some(120));
        assert_eq!(asked("99999999999999999999"), Some(u64::MAX));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for none in ["", "-1", "soon", "1.5"] {
            assert_eq!(asked(none), None, "{none}");
        }
    }
}
