//! A delivery stream's name: 1 to 64 of `[a-zA-Z0-9_.-]` (service model, DeliveryStreamName).

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A valid name. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct StreamName(Arc<str>);

/// The pattern of the service model.
pub const PATTERN: &str = "[a-zA-Z0-9_.-]+";
/// Longest name.
pub const MAX_LENGTH: usize = 64;

/// A text that is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a stream name: 1 to 64 characters of a-z, A-Z, 0-9, '_', '.' and '-'")]
pub struct BadName(pub String);

impl StreamName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
        if text.is_empty() || text.len() > MAX_LENGTH || !text.bytes().all(good) {
            return Err(BadName(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StreamName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
