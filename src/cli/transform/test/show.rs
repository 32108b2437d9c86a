//! Outcomes as text for a person. What a guest or a record says is printed with its control characters escaped.

use super::diff::{Change, diff};
use super::expect::Difference;
use super::outcome::{Outcome, Summary, Verdict, level, operation, per_second};
use super::seen::{CallLog, Otf, Totals};
use crate::cli::transform::text::{duration, escaped};
use indicatif::HumanBytes;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Most characters of a text that are shown.
const SHOWN_CHARS: usize = 160;
/// Most changes of a record, keys of a record and log lines of a call that are shown.
const SHOWN_LINES: usize = 20;

/// How it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// With the colours of a terminal.
    pub colour: bool,
    /// Nothing is cut.
    pub full: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Grey = 90,
}

impl Style {
    /// The lines of a record.
    pub fn record(self, out: &mut dyn Write, outcome: &Outcome<'_>, difference: &Difference) -> io::Result<()> {
        let line = outcome.line;
        match outcome.verdict {
            Verdict::Passed { after, told } => {
                let changed = if outcome.is_changed() { ", changed" } else { "" };
                writeln!(out, "line {line}: {}{changed}", self.painted(Colour::Green, "passed"))?;
                self.changes(out, outcome.before.unwrap_or_default(), after)?;
                if let Some(told) = told {
                    self.keys(out, &told.keys)?;
                    if let Some(otf) = &told.otf {
                        writeln!(out, "    table: {}", self.text(&table(otf)))?;
                    }
                }
            }
            Verdict::Dropped => writeln!(out, "line {line}: {}", self.painted(Colour::Yellow, "dropped"))?,
            Verdict::Refused(cause) => {
                let attempts =
                    if cause.attempts > 1 { format!(" ({} attempts)", cause.attempts) } else { String::new() };
                let refused = self.painted(Colour::Red, "refused");
                writeln!(out, "line {line}: {refused}: {}: {}{attempts}", cause.code, escaped(&cause.message))?;
            }
        }
        self.difference(out, difference)
    }

    /// The lines that a call logged.
    pub fn log(self, out: &mut dyn Write, log: &CallLog) -> io::Result<()> {
        let shown = if self.full { log.lines.len() } else { SHOWN_LINES };
        for line in log.lines.iter().take(shown) {
            let text = format!("log {}: {}", level(line.level), self.text(&line.message));
            writeln!(out, "{}", self.painted(Colour::Grey, &text))?;
        }
        match log.lines.len().saturating_sub(shown) as u64 + log.left_out {
            0 => Ok(()),
            more => writeln!(out, "{}", self.painted(Colour::Grey, &format!("log … and {more} more lines"))),
        }
    }

    /// The end.
    pub fn summary(self, out: &mut dyn Write, name: &str, end: &End<'_>) -> io::Result<()> {
        let Summary { records, passed, changed, dropped, refused, .. } = end.summary;
        writeln!(
            out,
            "{name}: {records} records: {passed} passed ({changed} changed), {dropped} dropped, {refused} refused"
        )?;
        let mut codes: Vec<_> = end.summary.codes.iter().collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), *code));
        for (code, count) in codes {
            writeln!(out, "    {count} {code}")?;
        }
        if let Some(compared) = end.compared_with {
            match end.summary.differences {
                0 => writeln!(out, "as expected in {compared}")?,
                1 => writeln!(out, "{}", self.painted(Colour::Red, &format!("1 difference from {compared}")))?,
                many => writeln!(out, "{}", self.painted(Colour::Red, &format!("{many} differences from {compared}")))?,
            }
        }
        writeln!(out, "{}", performance(end.summary, end.totals, end.memory_limit_bytes))
    }

    fn changes(self, out: &mut dyn Write, before: &[u8], after: &[u8]) -> io::Result<()> {
        let changes = diff(before, after);
        let shown = if self.full { changes.len() } else { SHOWN_LINES };
        for change in changes.iter().take(shown) {
            let line = match change {
                Change::Removed(text) => self.painted(Colour::Red, &format!("- {}", self.text(text))),
                Change::Added(text) => self.painted(Colour::Green, &format!("+ {}", self.text(text))),
                Change::Note(text) => format!("({text})"),
            };
            writeln!(out, "    {line}")?;
        }
        more(out, changes.len().saturating_sub(shown), "changes")
    }

    fn keys(self, out: &mut dyn Write, keys: &[(String, String)]) -> io::Result<()> {
        let shown = if self.full { keys.len() } else { SHOWN_LINES };
        for (name, value) in keys.iter().take(shown) {
            writeln!(out, "    key {}: {}", self.text(name), self.text(value))?;
        }
        more(out, keys.len().saturating_sub(shown), "keys")
    }

    fn difference(self, out: &mut dyn Write, difference: &Difference) -> io::Result<()> {
        for (name, wanted) in difference {
            let text = match (name.as_str(), wanted.is_null()) {
                ("verdict", true) => "not expected: there is no expectation left".to_owned(),
                (_, true) => format!("expected no {name}"),
                (_, false) => format!("expected {name}: {}", self.text(&wanted.to_string())),
            };
            writeln!(out, "    {}", self.painted(Colour::Red, &text))?;
        }
        Ok(())
    }

    /// A text on one line.
    fn text(self, text: &str) -> String {
        if self.full {
            return escaped(text);
        }
        match text.char_indices().nth(SHOWN_CHARS) {
            None => escaped(text),
            Some((upto, _)) => {
                format!("{}… ({} more bytes)", escaped(&text[..upto]), text.len() - upto)
            }
        }
    }

    fn painted(self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }
}

/// What is known at the end.
pub(super) struct End<'a> {
    pub summary: &'a Summary,
    pub totals: &'a Totals,
    pub memory_limit_bytes: u64,
    /// Name of the file of expectations.
    pub compared_with: Option<&'a str>,
}

fn more(out: &mut dyn Write, count: usize, what: &str) -> io::Result<()> {
    if count == 0 { Ok(()) } else { writeln!(out, "    … and {count} more {what}; --full shows them") }
}

fn performance(summary: &Summary, totals: &Totals, memory_limit_bytes: u64) -> String {
    let Totals { calls, failed_calls, took, memory_bytes, fuel } = totals;
    let seconds = took.as_secs_f64();
    let mut text = format!("{calls} {}", if *calls == 1 { "call" } else { "calls" });
    if *failed_calls > 0 {
        let _ = write!(text, ", {failed_calls} of them failed");
    }
    let _ = write!(
        text,
        ", in {}: {:.0} records/s, {:.1} MB/s; memory at most {} of {}",
        duration(*took),
        per_second(summary.records, seconds),
        summary.record_bytes as f64 / 1e6 / seconds.max(1e-9),
        HumanBytes(*memory_bytes),
        HumanBytes(memory_limit_bytes)
    );
    if let Some(fuel) = fuel {
        let _ = write!(text, ", fuel at most {:.3} million a call", *fuel as f64 / 1e6);
    }
    text
}

fn table(otf: &Otf) -> String {
    let name = [&otf.database, &otf.table].map(|part| part.as_deref().unwrap_or("(the stream's)")).join(".");
    otf.operation.map_or_else(|| name.clone(), |action| format!("{name}, {}", operation(action)))
}

#[cfg(test)]
mod tests {
    use super::super::seen::Told;
    use super::*;
    use crate::record::{Cause, ErrorKind};
    use crate::stage::transform::Operation;
    use serde_json::Value;

    const PLAIN: Style = Style { colour: false, full: false };

    fn shown(style: Style, verdict: Verdict<'_>, difference: &Difference) -> String {
        let mut out = Vec::new();
        style.record(&mut out, &Outcome { line: 7, before: Some(b"{\"a\":1}\n"), verdict }, difference).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_shown_with_what_changed() {
        let told = Told {
            keys: vec![("k".to_owned(), "v\x1b[2J".to_owned())],
            otf: Some(Otf { database: None, table: Some("t".to_owned()), operation: Some(Operation::Delete) }),
        };
        let passed = Verdict::Passed { after: b"{\"a\":2}\n", told: Some(&told) };
        assert_eq!(
            shown(PLAIN, passed, &Difference::new()),
            "line 7: passed, changed\n    - a: 1\n    + a: 2\n    key k: v\\u{1b}[2J\n    table: (the stream's).t, delete\n"
        );
        assert_eq!(shown(PLAIN, Verdict::Dropped, &Difference::new()), "line 7: dropped\n");
        let colour = Style { colour: true, ..PLAIN };
        assert_eq!(shown(colour, Verdict::Dropped, &Difference::new()), "line 7: \x1b[33mdropped\x1b[0m\n");
        let cause =
            Cause { kind: ErrorKind::ProcessingFailed, code: "C".to_owned(), message: "why\n".to_owned(), attempts: 4 };
        let refused = Verdict::Refused(&cause);
        assert_eq!(shown(PLAIN, refused, &Difference::new()), "line 7: refused: C: why\\n (4 attempts)\n");
    }

    #[test]
    fn differences_stand_below_their_record() {
        let same = Verdict::Passed { after: b"{\"a\":1}\n", told: None };
        assert_eq!(shown(PLAIN, same, &Difference::new()), "line 7: passed\n");
        let difference =
            Difference::from_iter([("verdict".to_owned(), Value::from("dropped")), ("code".to_owned(), Value::Null)]);
        let wanted = "line 7: passed\n    expected verdict: \"dropped\"\n    expected no code\n";
        assert_eq!(shown(PLAIN, same, &difference), wanted);
    }

    #[test]
    fn long_texts_and_many_changes_are_cut() {
        let lines = "x\n".repeat(100);
        let long = format!("{}\n", "é".repeat(1000));
        let text = shown(PLAIN, Verdict::Passed { after: lines.as_bytes(), told: None }, &Difference::new());
        assert_eq!(text.lines().count(), 22);
        assert!(text.ends_with("… and 81 more changes; --full shows them\n"), "{text}");
        let text = shown(PLAIN, Verdict::Passed { after: long.as_bytes(), told: None }, &Difference::new());
        assert!(text.contains(&format!("+ {}… (1680 more bytes)", "é".repeat(160))), "{text}");
        let full = Style { full: true, ..PLAIN };
        let text = shown(full, Verdict::Passed { after: lines.as_bytes(), told: None }, &Difference::new());
        assert_eq!(text.lines().count(), 102);
    }
}
