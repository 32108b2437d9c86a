//! The service model as data, and the check of a request against it.
//!
//! A [`Shape`] says what the model says of a value: JSON type, range, pattern, enumeration, members. [`check`] walks a
//! request once and gathers what is wrong in three kinds: a wrong JSON type (SerializationException), names the model
//! does not have, and violations (ValidationException). After it readers may take types and ranges for granted.

use super::{ApiError, Pattern, Violations, nearest};
use serde_json::Value;

/// Most names without a member that are told one by one. Each is compared with all the names there are.
const MOST_UNKNOWN: usize = 20;

/// What the model says of a value.
#[derive(Debug)]
pub enum Shape {
    /// Named members.
    Structure(&'static [Member]),
    /// Items of one shape.
    List {
        /// Shape of the items.
        of: &'static Shape,
        /// Fewest items.
        min: usize,
        /// Most items.
        max: usize,
    },
    /// Names chosen by the caller.
    Map {
        /// Of the names.
        key: Text,
        /// Of the values.
        value: Text,
    },
    /// A string.
    Text(Text),
    /// A string out of a set.
    Choice {
        /// In the order in which the service prints them.
        values: &'static [&'static str],
        /// Accepted too, but not the service's own (see `control::extensions`). One that ends in `*` stands for all
        /// names that begin so.
        extensions: &'static [&'static str],
    },
    /// A whole number of 32 bits.
    Integer {
        /// Least value with the service's own limits.
        min: i64,
        /// Least value when limits are relaxed.
        relaxed_min: i64,
        /// Greatest value.
        max: i64,
    },
    /// A number.
    Number {
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
    },
    /// True or false.
    Boolean,
    /// Not looked into: a member that is refused as a whole.
    Opaque,
}

/// Limits of a string.
#[derive(Debug)]
pub struct Text {
    /// Fewest characters (UTF-16 units, as Java counts).
    pub min: usize,
    /// Most characters.
    pub max: usize,
    /// What it must look like.
    pub pattern: Pattern,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Name, as in the request.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Its shape.
    pub shape: &'static Shape,
}

/// Which limits hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// Those that the service has for its own sake are dropped.
    #[default]
    Relaxed,
    /// All of the service's.
    Strict,
}

/// What is wrong with a request.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first value of a wrong JSON type.
    pub serialization: Option<String>,
    /// One sentence for each name that the model does not have.
    pub unknown: Vec<String>,
    /// Violations of the model.
    pub violations: Violations,
}

impl Findings {
    /// The error to answer with. A wrong type comes before unknown names, and these before violations, because a
    /// misspelt name is usually why a member is missing.
    pub fn finish(self) -> Result<(), ApiError> {
        if let Some(message) = self.serialization {
            return Err(ApiError::serialization(message));
        }
        if !self.unknown.is_empty() {
            return Err(ApiError::invalid_argument(self.unknown.join(" ")));
        }
        self.violations.finish()
    }
}

/// Parses a request body. An empty one counts as `{}`.
pub fn parse(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(format!("The body is not JSON: {error}")))
}

/// The value without members that are null, which count as absent.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Checks `request` against `shape`.
pub fn check(shape: &Shape, request: &Value, compatibility: Compatibility) -> Findings {
    let mut walk = Walk { findings: Findings::default(), compatibility };
    walk.value(shape, request, &mut String::new());
    walk.findings
}

struct Walk {
    findings: Findings,
    compatibility: Compatibility,
}

impl Walk {
    fn value(&mut self, shape: &Shape, value: &Value, path: &mut String) {
        match (shape, value) {
            (Shape::Opaque, _) => {}
            (Shape::Structure(members), Value::Object(given)) => self.structure(members, given, path),
            (Shape::List { of, min, max }, Value::Array(items)) => {
                self.length(items.len(), *min, *max, path);
                for (index, item) in items.iter().enumerate() {
                    let end = path.len();
                    path.push_str(&format!(".{}.member", index + 1));
                    match item {
                        Value::Null => self.findings.violations.add(path, "not be null"),
                        item => self.value(of, item, path),
                    }
                    path.truncate(end);
                }
            }
            (Shape::Map { key, value }, Value::Object(entries)) => {
                for (name, entry) in entries {
                    let end = path.len();
                    self.text(key, name, path);
                    path.push_str(&format!(".{name}.member"));
                    match entry {
                        Value::String(text) => self.text(value, text, path),
                        other => self.wrong_type("String", other, path),
                    }
                    path.truncate(end);
                }
            }
            (Shape::Text(limits), Value::String(text)) => self.text(limits, text, path),
            (Shape::Choice { values, extensions }, Value::String(text)) => {
                let extends = |extension: &&str| match extension.strip_suffix('*') {
                    Some(start) => text.len() > start.len() && text.starts_with(start),
                    None => text == extension,
                };
                if !values.contains(&text.as_str()) && !extensions.iter().any(extends) {
                    // The service's own text when strict; else all that would pass.
                    let extensions = match self.compatibility {
                        Compatibility::Strict => &[],
                        Compatibility::Relaxed => *extensions,
                    };
                    let set = [values, extensions].concat().join(", ");
                    self.findings.violations.add(path, format!("satisfy enum value set: [{set}]"));
                }
            }
            (Shape::Integer { min, relaxed_min, max }, Value::Number(number)) => {
                let min = if self.compatibility == Compatibility::Strict { min } else { relaxed_min };
                match number.as_i64().filter(|n| i32::try_from(*n).is_ok()) {
                    Some(n) if n < *min => self.below(min, path),
                    Some(n) if n > *max => self.above(max, path),
                    Some(_) => {}
                    None => self.wrong_type("Integer", value, path),
                }
            }
            (Shape::Number { min, max }, Value::Number(number)) => match number.as_f64() {
                Some(n) if n < *min => self.below(min, path),
                Some(n) if n > *max => self.above(max, path),
                _ => {}
            },
            (Shape::Boolean, Value::Bool(_)) => {}
            (Shape::Structure(_), other) => self.wrong_type("Structure", other, path),
            (Shape::List { .. }, other) => self.wrong_type("List", other, path),
            (Shape::Map { .. }, other) => self.wrong_type("Map", other, path),
            (Shape::Text(_) | Shape::Choice { .. }, other) => self.wrong_type("String", other, path),
            (Shape::Integer { .. }, other) => self.wrong_type("Integer", other, path),
            (Shape::Number { .. }, other) => self.wrong_type("Double", other, path),
            (Shape::Boolean, other) => self.wrong_type("Boolean", other, path),
        }
    }

    fn structure(&mut self, members: &'static [Member], given: &serde_json::Map<String, Value>, path: &mut String) {
        for name in given.keys().filter(|name| !members.iter().any(|m| m.name == *name)) {
            if self.findings.unknown.len() >= MOST_UNKNOWN {
                if self.findings.unknown.len() == MOST_UNKNOWN {
                    self.findings.unknown.push("There are more.".to_owned());
                }
                break;
            }
            let place = if path.is_empty() { "the request".to_owned() } else { format!("'{path}'") };
            let hint = match nearest(name, members.iter().map(|m| m.name)) {
                Some(known) => format!(" Did you mean '{known}'?"),
                None => String::new(),
            };
            self.findings.unknown.push(format!("'{name}' is not a member of {place}.{hint}"));
        }
        for member in members {
            let end = path.len();
            push_member(path, member.name);
            match given.get(member.name) {
                None | Some(Value::Null) if member.required => self.findings.violations.add(path, "not be null"),
                None | Some(Value::Null) => {}
                Some(value) => self.value(member.shape, value, path),
            }
            path.truncate(end);
        }
    }

    fn text(&mut self, limits: &Text, text: &str, path: &str) {
        self.length(text.encode_utf16().count(), limits.min, limits.max, path);
        if !(limits.pattern.matches)(text) {
            let pattern = limits.pattern.text;
            self.findings.violations.add(path, format!("satisfy regular expression pattern: {pattern}"));
        }
    }

    fn length(&mut self, length: usize, min: usize, max: usize, path: &str) {
        if length < min {
            self.findings.violations.add(path, format!("have length greater than or equal to {min}"));
        }
        if length > max {
            self.findings.violations.add(path, format!("have length less than or equal to {max}"));
        }
    }

    fn below(&mut self, min: impl std::fmt::Display, path: &str) {
        self.findings.violations.add(path, format!("have value greater than or equal to {min}"));
    }

    fn above(&mut self, max: impl std::fmt::Display, path: &str) {
        self.findings.violations.add(path, format!("have value less than or equal to {max}"));
    }

    fn wrong_type(&mut self, wanted: &str, found: &Value, path: &str) {
        if self.findings.serialization.is_some() {
            return;
        }
        let what = match (found, wanted) {
            (Value::Object(_), _) => "Start of structure or map found where not expected".to_owned(),
            (Value::Array(_), _) => "Start of list found where not expected".to_owned(),
            (_, "Structure" | "Map") => "Unexpected field type".to_owned(),
            (_, "List") => "Expected list or null".to_owned(),
            (scalar, _) => {
                let article = if wanted == "Integer" { "an" } else { "a" };
                format!("{} can not be converted to {article} {wanted}", token(scalar))
            }
        };
        let place = if path.is_empty() { "the request itself".to_owned() } else { format!("'{path}'") };
        self.findings.serialization = Some(format!("{what} (at {place})"));
    }
}

/// The name of a scalar in the service's parser.
fn token(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "STRING_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::Null => "VALUE_NULL",
        Value::Array(_) | Value::Object(_) => "START",
    }
}

/// Appends `.name` with a lower first letter.
fn push_member(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let mut letters = name.chars();
    path.extend(letters.next().map(|first| first.to_ascii_lowercase()));
    path.push_str(letters.as_str());
}
