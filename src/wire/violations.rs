//! The text of a ValidationException: every violation of the service model in one message.

use super::ApiError;
use std::fmt::Display;

/// Collected violations, in the order found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Violations(Vec<String>);

impl Violations {
    /// Adds one: `constraint` is the part after `Member must `. `path` is in lower camel case with `.N.member`.
    pub fn add(&mut self, path: &str, constraint: impl Display) {
        self.0.push(format!("Value at '{path}' failed to satisfy constraint: Member must {constraint}"));
    }

    /// Adds one in the form of the data plane, which names the value.
    pub fn add_with_value(&mut self, value: impl Display, path: &str, constraint: impl Display) {
        self.0.push(format!("Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"));
    }

    /// A blob longer or shorter than the model allows, as the data plane prints it.
    pub fn add_blob_length(&mut self, length_bytes: usize, path: &str, constraint: impl Display) {
        let blob = format!("java.nio.HeapByteBuffer[pos=0 lim={length_bytes} cap={length_bytes}]");
        self.add_with_value(blob, path, constraint);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The error, if there is any violation.
    pub fn into_error(self) -> Option<ApiError> {
        let count = self.0.len();
        let noun = if count == 1 { "error" } else { "errors" };
        (count > 0).then(|| ApiError::validation(format!("{count} validation {noun} detected: {}", self.0.join("; "))))
    }

    /// `Err` if there is any violation.
    pub fn finish(self) -> Result<(), ApiError> {
        self.into_error().map_or(Ok(()), Err)
    }
}
