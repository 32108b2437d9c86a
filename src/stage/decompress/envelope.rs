//! The envelopes of a CloudWatch Logs subscription, and the messages in them.
//!
//! From: [`super`]. Members that are not needed are read over, whatever they hold.

use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(expecting = "an object with messageType and logEvents")]
struct Envelope<'a> {
    #[serde(rename = "messageType", borrow)]
    message_type: Cow<'a, str>,
    #[serde(rename = "logEvents", borrow)]
    log_events: Vec<LogEvent<'a>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with a message")]
struct LogEvent<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// At least one log event of a DATA_MESSAGE.
    Messages,
    /// Nothing but control messages, or no event.
    Nothing,
}

/// Reads all envelopes of `text`, of which there must be one at least. The messages of log events are appended to
/// `messages`, each with a newline behind it. The error says what is wrong.
pub fn read(text: &[u8], mut messages: Option<&mut Vec<u8>>) -> Result<Contents, String> {
    let text = simdutf8::basic::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut contents = None;
    for envelope in serde_json::Deserializer::from_str(text).into_iter::<Envelope<'_>>() {
        let envelope = envelope.map_err(|error| error.to_string())?;
        let found = contents.get_or_insert(Contents::Nothing);
        match &*envelope.message_type {
            "DATA_MESSAGE" => {
                for event in &envelope.log_events {
                    *found = Contents::Messages;
                    if let Some(messages) = &mut messages {
                        messages.extend_from_slice(event.message.as_bytes());
                        messages.push(b'\n');
                    }
                }
            }
            "CONTROL_MESSAGE" => {}
            other => {
                // A name of megabytes is not worth repeating.
                let shown: String = other.chars().take(64).collect();
                return Err(format!("its messageType is '{shown}', not DATA_MESSAGE or CONTROL_MESSAGE"));
            }
        }
    }
    contents.ok_or_else(|| "it is empty".to_owned())
}
