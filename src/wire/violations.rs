//! The text of a ValidationException: every violation of the service model in one message.

use super::ApiError;
use std::fmt::{self, Display};

/// Most sentences of one message; the rest is only counted. A body of some MiB can hold millions of violations, and
/// nobody mends them by a text of hundreds of MiB.
const MOST_TOLD: usize = 1000;

/// Collected violations, in the order found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Violations {
    /// The first [`MOST_TOLD`], in words.
    told: Vec<String>,
    /// All.
    count: usize,
}

impl Violations {
    /// Adds one: `constraint` is the part after `Member must `. `path` is in lower camel case with `.N.member`.
    pub fn add(&mut self, path: &str, constraint: impl Display) {
        self.note(format_args!("Value at '{path}' failed to satisfy constraint: Member must {constraint}"));
    }

    /// Adds one in the form of the data plane, which names the value.
    pub fn add_with_value(&mut self, value: impl Display, path: &str, constraint: impl Display) {
        self.note(format_args!("Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"));
    }

    fn note(&mut self, sentence: fmt::Arguments<'_>) {
        if self.told.len() < MOST_TOLD {
            self.told.push(sentence.to_string());
        }
        self.count += 1;
    }

    /// A blob longer or shorter than the model allows, as the data plane prints it.
    pub fn add_blob_length(&mut self, length_bytes: usize, path: &str, constraint: impl Display) {
        let blob = format!("java.nio.HeapByteBuffer[pos=0 lim={length_bytes} cap={length_bytes}]");
        self.add_with_value(blob, path, constraint);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// One sentence each.
    pub fn into_sentences(self) -> Vec<String> {
        self.told
    }

    /// The error, if there is any violation.
    pub fn into_error(self) -> Option<ApiError> {
        let count = self.count;
        let noun = if count == 1 { "error" } else { "errors" };
        (count > 0)
            .then(|| ApiError::validation(format!("{count} validation {noun} detected: {}", self.told.join("; "))))
    }

    /// `Err` if there is any violation.
    pub fn finish(self) -> Result<(), ApiError> {
        self.into_error().map_or(Ok(()), Err)
    }
}
