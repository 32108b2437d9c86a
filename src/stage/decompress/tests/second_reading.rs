//! What a decompressed payload says, by serde_json's own values. Shared with the fuzz target.

use serde::de::IgnoredAny;
use serde_json::Value;

/// The messages with their newlines; `Some(None)`: it is no payload; `None`: values cannot tell (serde reads a list of
/// the members in order as a struct).
pub fn messages(text: &[u8]) -> Option<Option<Vec<u8>>> {
    let Ok(text) = std::str::from_utf8(text) else { return Some(None) };
    let (mut messages, mut any) = (Vec::new(), false);
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let Ok(envelope) = value else {
            // Numbers and surrogates that a value cannot hold may stand where nobody reads them.
            let mut read_over = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
            return read_over.any(|value| value.is_err()).then_some(None);
        };
        any = true;
        if envelope.is_array() {
            return None;
        }
        let (kind, events) = (envelope["messageType"].as_str(), envelope["logEvents"].as_array());
        let (Some(kind @ ("DATA_MESSAGE" | "CONTROL_MESSAGE")), Some(events)) = (kind, events) else {
            return Some(None);
        };
        for event in events {
            if event.is_array() {
                return None;
            }
            let Some(message) = event["message"].as_str() else { return Some(None) };
            if kind == "DATA_MESSAGE" {
                messages.extend_from_slice(message.as_bytes());
                messages.push(b'\n');
            }
        }
    }
    Some(any.then_some(messages))
}
