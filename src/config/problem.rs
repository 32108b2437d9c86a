//! What is wrong with a configuration file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing to mend. `Display` is one line: `FILE:LINE: MEMBER: what and what to do`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; `None` where it is about the whole file or something outside of it.
    pub line: Option<u64>,
    /// Member, with dots: `s3.endpoint`. Empty for the whole file.
    pub member: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem of the file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, member: String::new(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.member.is_empty() {
            write!(f, " {}:", self.member)?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// Problems of one file, as they are found.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

impl Problems {
    /// None yet.
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// Notes one.
    pub fn add(&mut self, line: impl Into<Option<u64>>, member: &str, message: impl Into<String>) {
        let (file, member) = (self.file.clone(), member.to_owned());
        self.list.push(Problem { file, line: line.into(), member, message: message.into() });
    }

    /// All, in the order of their lines.
    pub fn into_list(self) -> Vec<Problem> {
        let mut list = self.list;
        list.sort_by_key(|problem| problem.line);
        list.dedup();
        list
    }
}
