//! Why a record is not a row: the causes of conversion errors with their codes and texts.
//!
//! Made by `decode`; `encode` puts it into the record's `Refused`.

use crate::record::{Cause, ErrorKind};

/// Deepest nesting of JSON in a record, unknown fields included.
pub const MAX_JSON_DEPTH: usize = 1000;
/// Longest key in bytes.
pub const MAX_KEY_BYTES: usize = 262_144;
/// Longest record in bytes.
pub const MAX_RECORD_BYTES: usize = 256 << 20;
/// Most bytes the columns of one record may take beyond its text (nulls of wide structs in long arrays).
pub const MAX_SPREAD_BYTES: u64 = 256 << 20;
/// Most characters of a value repeated in a message.
const MAX_SHOWN: usize = 64;

/// Why a record cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Not JSON: what was found, and at which byte.
    Syntax(String),
    /// A control character between tokens.
    Control(usize),
    /// A control character inside a string.
    Unescaped(usize),
    /// Not UTF-8.
    NotUtf8,
    /// Nothing but white space.
    Blank,
    /// A key above [`MAX_KEY_BYTES`].
    LongKey,
    /// Nested deeper than [`MAX_JSON_DEPTH`].
    Deep,
    /// Larger than a row may be.
    Large,
    /// The top level is an array or a scalar.
    TopLevel,
    /// No column is known yet, and no value that could teach one.
    NoValue,
    /// A key without a column in a table that was learnt to have one for each.
    NoColumn(String),
    /// A value does not fit its column.
    Mismatch {
        /// Column and fields down to the value, last first.
        path: Vec<String>,
        /// Its type and what was found.
        what: String,
    },
}

/// Result of the decoder; the cause is boxed to keep the good path small.
pub type Outcome<T> = Result<T, Box<Rejection>>;

/// A mismatch of the value `found` with the type `wanted`.
pub fn mismatch(wanted: impl std::fmt::Display, found: &[u8], why: &str) -> Box<Rejection> {
    let shown = shown(&String::from_utf8_lossy(found));
    Box::new(Rejection::Mismatch { path: Vec::new(), what: format!("({wanted}): {shown} {why}") })
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

impl Rejection {
    /// Names the column or field that the mismatch is in.
    pub fn within(mut self: Box<Self>, name: &str) -> Box<Self> {
        if let Self::Mismatch { path, .. } = &mut *self {
            path.push(name.to_owned());
        }
        self
    }

    /// Whether the text is JSON as far as it was read, so that the rest decides if it is malformed.
    pub fn is_about_schema(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::NoColumn(_) | Self::TopLevel)
    }

    /// Whether another schema could take the record.
    pub fn is_unfit(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::NoColumn(_))
    }

    /// Code and message as the error record has them.
    pub fn cause(&self) -> Cause {
        let detail = match self {
            Self::Syntax(what) => {
                return cause("DataFormatConversion.ParseError", format!("Encountered malformed JSON. {what}"));
            }
            Self::Control(at) => format!("Illegal character found between tokens. (byte {at})"),
            Self::Unescaped(at) => format!("Encountered invalid characters. (byte {at})"),
            Self::NotUtf8 => "The data cannot be decoded as UTF-8.".to_owned(),
            Self::Blank => "The record was empty or contained only whitespace.".to_owned(),
            Self::LongKey => format!("Length of json key must not be greater than {MAX_KEY_BYTES}"),
            Self::Deep => "Data contains a highly nested JSON structure that is not supported.".to_owned(),
            Self::Large => "The record is larger than a row may be.".to_owned(),
            Self::NoValue => "The record has no value, and no column has been learnt yet.".to_owned(),
            Self::NoColumn(key) => format!("The key '{}' has no column.", shown(key)),
            Self::TopLevel => "The top level of a record must be a JSON object.".to_owned(),
            Self::Mismatch { path, what } => {
                let mut column = String::new();
                for name in path.iter().rev() {
                    if !column.is_empty() && !name.starts_with('[') {
                        column.push('.');
                    }
                    column.push_str(name);
                }
                format!("One or more fields have incorrect format. Column {column} {what}")
            }
        };
        cause("DataFormatConversion.MalformedData", format!("Data does not match the schema. {detail}"))
    }
}

fn cause(code: &str, message: String) -> Cause {
    Cause { kind: ErrorKind::FormatConversionFailed, code: code.to_owned(), message, attempts: 1 }
}
