//! What is done about a stage that panics: the run is tried again, then halved down to the record that causes it, which is
//! refused with the panic's text (rule D3). The second half of a delivery cannot cut less of a partition than there is; told
//! to take fewer records, it looks for the record within (`isolate`). Pure.

use crate::record::{Cause, ErrorKind};

/// Times a run is staged whole after a panic before it is halved.
pub const WHOLE_TRIES: u32 = 2;

/// The cause of a record that makes a stage panic with this text, however it is tried.
pub fn refusal(text: &str, attempts: u32) -> Cause {
    let message = format!("A stage failed on this record: {text}");
    Cause { kind: ErrorKind::ProcessingFailed, code: "InternalError".to_owned(), message, attempts }
}

/// What is known of a run that makes a stage panic.
#[derive(Debug, Default)]
pub struct Panics {
    tries: u32,
    max_records: Option<u64>,
    last_text: String,
}

impl Panics {
    /// Notes a panic after `records_read` records were read.
    pub fn note(&mut self, records_read: u64, text: String) {
        self.tries += 1;
        self.last_text = text;
        if self.tries >= WHOLE_TRIES {
            let whole = self.max_records.unwrap_or(records_read).min(records_read.max(1));
            self.max_records = Some(if whole <= 1 { 0 } else { whole / 2 });
        }
    }

    /// How the next run is staged: most records, and the cause to refuse them with once a single one is left.
    pub fn next(&self) -> (u64, Option<Cause>) {
        match self.max_records {
            None => (u64::MAX, None),
            Some(0) => (1, Some(refusal(&self.last_text, self.tries))),
            Some(max) => (max, None),
        }
    }

    /// A run was sealed: what was refused is behind us; larger runs are tried step by step.
    pub fn note_sealed(&mut self) {
        *self = match self.max_records {
            Some(0) | None => Self::default(),
            Some(max) if max >= 1 << 20 => Self::default(),
            Some(max) => Self { tries: WHOLE_TRIES, max_records: Some(max * 2), last_text: self.last_text.clone() },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_panics_is_halved_down_to_the_record_that_causes_it() {
        let mut panics = Panics::default();
        panics.note(1000, "boom".to_owned());
        assert_eq!(panics.next().0, u64::MAX);
        let mut sizes = Vec::new();
        while panics.next().1.is_none() {
            let max = panics.next().0.min(1000);
            sizes.push(max);
            panics.note(max, "boom".to_owned());
        }
        assert_eq!(sizes, [1000, 500, 250, 125, 62, 31, 15, 7, 3, 1]);
        let (max, cause) = panics.next();
        assert_eq!(max, 1);
        assert!(cause.unwrap().message.contains("boom"));
        panics.note_sealed();
        assert_eq!(panics.next(), (u64::MAX, None));
    }
}
