//! `--expect`: what should become of the records, a JSON object a line with members of what `--json` prints.
//!
//! Read in step with the records, so any number of them can be compared. A member that is left out is not compared.

use super::outcome::{MEMBERS, Outcome};
use crate::cli::Failure;
use crate::cli::input::Input;
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A member that is not as expected, and what is expected; null: that it is not there.
pub(super) type Difference = Map<String, Value>;

/// Expectations not yet used.
pub(super) struct Expectations {
    file: PathBuf,
    lines: BufReader<Box<dyn Read + Send>>,
    line: u64,
}

impl Expectations {
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let lines = BufReader::new(Input::open(file)?.source);
        Ok(Self { file: file.to_owned(), lines, line: 0 })
    }

    /// The differences of a record from what is expected of it.
    pub fn compare(&mut self, outcome: &Outcome<'_>) -> Result<Difference, Failure> {
        let Some(wanted) = self.next()? else {
            return Ok(Difference::from_iter([("verdict".to_owned(), Value::Null)]));
        };
        let found = outcome.to_json();
        let differs = |(name, value): &(String, Value)| found.get(name).unwrap_or(&Value::Null) != value;
        Ok(wanted.into_iter().filter(differs).collect())
    }

    /// The number of expectations that are left.
    pub fn rest(mut self) -> Result<u64, Failure> {
        let mut left = 0;
        while self.next()?.is_some() {
            left += 1;
        }
        Ok(left)
    }

    fn next(&mut self) -> Result<Option<Map<String, Value>>, Failure> {
        let mut text = Vec::new();
        loop {
            text.clear();
            self.line += 1;
            let read = self.lines.read_until(b'\n', &mut text);
            if read.map_err(|error| format!("cannot read {}: {error}", self.file.display()))? == 0 {
                return Ok(None);
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            if let Some(wanted) = expectation(&text).map_err(|why| self.bad(&why))? {
                return Ok(Some(wanted));
            }
        }
    }

    fn bad(&self, why: &str) -> Failure {
        format!("{}, line {}: {why}", self.file.display(), self.line).into()
    }
}

/// The members of an expectation; `None` for a line that is of no record.
fn expectation(text: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    let members = match serde_json::from_slice(text) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Err("expected a JSON object, such as {\"verdict\": \"dropped\"}".to_owned()),
        Err(error) => return Err(format!("expected a JSON object: {error}")),
    };
    if members.contains_key("log") || members.contains_key("summary") {
        return Ok(None);
    }
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let similarity = |member: &&str| strsim::jaro_winkler(member, unknown);
        let nearest = MEMBERS.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
        return Err(format!("unknown member '{unknown}'; did you mean '{}'?", nearest.unwrap_or_default()));
    }
    match members.get("verdict").map(Value::as_str) {
        None | Some(Some("passed" | "dropped" | "refused")) => Ok(Some(members)),
        Some(_) => Err("verdict must be \"passed\", \"dropped\" or \"refused\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Verdict;
    use super::*;

    fn expectations(text: &str) -> Expectations {
        let lines: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(text.to_owned()));
        Expectations { file: "wanted".into(), lines: BufReader::new(lines), line: 0 }
    }

    fn passed(line: u64) -> Outcome<'static> {
        Outcome { line, before: Some(b"a"), verdict: Verdict::Passed { after: b"b", told: None } }
    }

    #[test]
    fn what_is_printed_is_what_is_expected() {
        let outcome = passed(3);
        let printed = Value::Object(outcome.to_json()).to_string();
        let text = format!("{{\"log\": {{}}}}\n\n{printed}\n{{\"summary\": {{}}}}\n");
        let mut wanted = expectations(&text);
        assert!(wanted.compare(&outcome).unwrap().is_empty());
        assert_eq!(wanted.rest().unwrap(), 0);
    }

    #[test]
    fn only_what_is_named_is_compared() {
        let mut wanted =
            expectations("{\"verdict\":\"passed\"}\n{\"data\":\"c\",\"changed\":true}\n{\"code\":null}\n{}\n{}");
        assert!(wanted.compare(&passed(1)).unwrap().is_empty());
        assert_eq!(Value::Object(wanted.compare(&passed(2)).unwrap()).to_string(), r#"{"data":"c"}"#);
        assert!(wanted.compare(&passed(3)).unwrap().is_empty());
        assert_eq!(wanted.rest().unwrap(), 2);
        let none = expectations("").compare(&passed(1)).unwrap();
        assert_eq!(Value::Object(none).to_string(), r#"{"verdict":null}"#);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, named) in [
            ("{}\n{\"verdikt\": \"passed\"}", "wanted, line 2: unknown member 'verdikt'; did you mean 'verdict'?"),
            ("{}\n\n{\"verdict\": \"ok\"}", "wanted, line 3: verdict must be"),
            ("{}\n[]", "wanted, line 2: expected a JSON object"),
            ("{}\npassed", "wanted, line 2: expected a JSON object"),
        ] {
            let mut wanted = expectations(text);
            wanted.compare(&passed(1)).unwrap();
            let error = wanted.compare(&passed(2)).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
    }
}
