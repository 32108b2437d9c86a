//! Pieces between delimiters. Delimiters belong to no piece, and two with nothing between them have no piece there.

use super::Next;
use memchr::memmem::Finder;

/// Splits at one delimiter.
pub struct Delimited {
    finder: Finder<'static>,
}

impl Delimited {
    /// Splits at `delimiter`, which is not empty.
    pub fn new(delimiter: &[u8]) -> Self {
        Self { finder: Finder::new(delimiter).into_owned() }
    }

    /// The piece that begins at `from`, or the first behind it that is not empty.
    pub fn next(&self, record: &[u8], mut from: usize) -> Next {
        while from < record.len() {
            let rest = &record[from..];
            let upto = self.finder.find(rest).unwrap_or(rest.len());
            // Behind the last piece this is beyond the record, which is as good as its end.
            let next = from + upto + self.finder.needle().len();
            if upto > 0 {
                return Next::Part { start: from, upto: from + upto, next };
            }
            from = next;
        }
        Next::End
    }
}
