//! MetadataExtraction: the jq query that tells the partition keys of a record.
//!
//! Equal to jq 1.6, byte for byte, or refused at Create: an interpreter of our own, since crates that run jq follow its
//! later versions in how numbers are kept and printed, what a `try` catches, dates and patterns, and none can be stopped
//! after a number of steps. `parse` makes a program of the query (`lex`, `ast`, `refusals`, `library`), `eval` runs it
//! on a value (`item`, `update`, `functions`, `formats`, `dates`, `matching`, `paths`), `json` reads a record and `text` prints. `project`
//! reads no more of a record than the query looks at, and `direct` takes values that are plain fields from its bytes.
//!
//! A record's keys depend on the record and the query alone. What a query may take is counted (`limits`); a record that
//! takes more fails, as one does that is no JSON.

mod ast;
mod dates;
mod direct;
mod eval;
mod formats;
mod functions;
mod item;
mod json;
mod lex;
mod library;
mod limits;
mod matching;
mod parse;
mod paths;
mod pattern;
mod project;
mod refusals;
mod text;
mod update;
mod value;

#[cfg(test)]
mod tests;

use crate::fault::{Class, Fault, Retry};
use direct::Direct;
use eval::Machine;
use limits::{DEEP_NESTING, DEEP_STACK_BYTES, Run, SHALLOW_NESTING, Stop};
use parse::Program;
use project::Wanted;
use value::Value;

/// Most keys of a query.
pub const MAX_KEYS: usize = 50;
/// Longest query in bytes, as the service has it.
pub const MAX_QUERY_BYTES: usize = 5120;
/// Why a program that nests too deep is stopped.
const TOO_DEEP: &str = "it nests too deep";
/// Code of a record without keys.
pub const FAILURE_CODE: &str = "DynamicPartitioning.MetadataExtractionFailed";

/// A query that is not accepted; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid MetadataExtractionQuery: {0}.")]
pub struct QueryError(String);

impl Fault for QueryError {
    fn class(&self) -> Class {
        Class::User
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Why a record has no keys, as its error record says it; the code is [`FAILURE_CODE`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not one JSON value.
    #[error("The record is not JSON, so that its partitionKeys values must not be null or empty: {0}")]
    NotJson(&'static str),
    /// A key is null, missing or an empty string.
    #[error("partitionKeys values must not be null or empty: {0}")]
    NoValue(String),
    /// The query gives several results for a key.
    #[error("The query gives more than one value for the key {0}")]
    Several(String),
    /// The query gives no result for a key.
    #[error("The query gives no value for the key {0}; partitionKeys values must not be null or empty")]
    Nothing(String),
    /// The query ends in an error.
    #[error("jq: error: {0}")]
    Program(String),
    /// A limit was reached.
    #[error("The query was stopped: {0}")]
    Limit(&'static str),
}

/// A checked query.
#[derive(Debug)]
pub struct Query {
    keys: Vec<String>,
    program: Program,
    direct: Option<Direct>,
    wanted: Option<Wanted>,
}

impl Query {
    /// Checks `text`, an object construction in jq 1.6 such as `{customer:.customer_id,year:.time|strftime("%Y")}`.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError(format!("it is longer than {MAX_QUERY_BYTES} bytes")));
        }
        let program = parse::parse(text).map_err(QueryError)?;
        if program.fields.is_empty() {
            return Err(QueryError("it has no key".to_owned()));
        }
        if program.fields.len() > MAX_KEYS {
            return Err(QueryError(format!("it has more than {MAX_KEYS} keys")));
        }
        let keys: Vec<String> = program.fields.iter().map(|(key, _)| key.clone()).collect();
        if keys.iter().any(String::is_empty) {
            return Err(QueryError("a key has an empty name".to_owned()));
        }
        let wanted = Wanted::of(program.fields.iter().map(|(_, value)| value));
        let direct = Direct::of(program.fields.iter().map(|(_, value)| value));
        Ok(Self { keys, program, direct, wanted })
    }

    /// Names of the keys, in the order of the query.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The values of the keys for one record, in the order of [`Self::keys`].
    pub fn evaluate(&self, record: &[u8]) -> Result<Vec<String>, Failure> {
        if let Some(values) = self.direct.as_ref().and_then(|direct| direct.read(record)) {
            let mut taken = Vec::with_capacity(values.len());
            for (key, value) in self.keys.iter().zip(values) {
                taken.push(value.ok_or_else(|| Failure::NoValue(key.clone()))?);
            }
            return Ok(taken);
        }
        match self.wanted.as_ref().and_then(|wanted| wanted.read(record)) {
            Some(value) => self.run(value),
            None => self.evaluate_whole(record),
        }
    }

    /// The same by reading all of the record.
    fn evaluate_whole(&self, record: &[u8]) -> Result<Vec<String>, Failure> {
        self.run(json::parse(record).map_err(Failure::NotJson)?)
    }

    fn run(&self, record: Value) -> Result<Vec<String>, Failure> {
        match self.run_within(record.clone(), SHALLOW_NESTING) {
            Err(Failure::Limit(TOO_DEEP)) => std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().stack_size(DEEP_STACK_BYTES);
                let thread = thread.spawn_scoped(scope, || self.run_within(record, DEEP_NESTING));
                let ended = thread.ok().and_then(|thread| thread.join().ok());
                ended.unwrap_or(Err(Failure::Limit("there was no room to run it")))
            }),
            ended => ended,
        }
    }

    /// Evaluates the keys one by one; `max_nesting` fits the stack.
    fn run_within(&self, record: Value, max_nesting: u32) -> Result<Vec<String>, Failure> {
        let mut run = Run::nesting_to(max_nesting);
        let machine = Machine { library: &self.program.library };
        let mut values = Vec::with_capacity(self.keys.len());
        let mut without_value = None;
        for (key, ast) in &self.program.fields {
            let (mut only, mut several) = (None, false);
            let flow = machine.start(&mut run, ast, record.clone(), &mut |value| {
                several = only.replace(value).is_some();
                if several { Err(Stop::Limit("several values")) } else { Ok(()) }
            });
            if several {
                return Err(Failure::Several(key.clone()));
            }
            flow.map_err(failure)?;
            let value = only.ok_or_else(|| Failure::Nothing(key.clone()))?;
            match key_text(&mut run, &value).map_err(failure)? {
                Some(text) => values.push(text),
                // An error of a later key is told first, as jq has no result then.
                None => without_value = without_value.or(Some(key)),
            }
        }
        match without_value {
            Some(key) => Err(Failure::NoValue(key.clone())),
            None => Ok(values),
        }
    }
}

fn failure(stop: Stop) -> Failure {
    match stop {
        Stop::Error(Value::String(message)) => Failure::Program(message.to_string()),
        Stop::Error(other) => match text::json(&mut Run::default(), &other) {
            Ok(json) => Failure::Program(format!("{json} (not a string)")),
            Err(_) => Failure::Program("(not a string)".to_owned()),
        },
        Stop::Break(_) => Failure::Program("break".to_owned()),
        Stop::Limit(why) => Failure::Limit(why),
        Stop::Deep => Failure::Limit(TOO_DEEP),
    }
}

/// A value as a partition key: strings as they are, all others as jq prints them; none for what is no key.
fn key_text(run: &mut Run, value: &Value) -> Result<Option<String>, Stop> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) if number.is_nan() => Ok(None),
        other => text::plain(run, other).map(|text| Some(text).filter(|text| !text.is_empty())),
    }
}
