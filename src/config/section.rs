//! Reading the members of a section: each by its type, what is wrong noted, what nobody asked for refused.

use super::node::{Key, Node, Tree};
use super::problem::Problems;
use super::units;
use crate::wire::nearest;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A map of the file while it is read. [`Section::finish`] must end it, to refuse the members nobody asked for.
#[derive(Debug)]
pub struct Section<'a> {
    /// Where relative paths start.
    base: &'a Path,
    path: String,
    line: u64,
    members: &'a [(Key, Node)],
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The section in `node`; anything but a map is noted and read as an empty one. `path` is its name with dots.
    pub fn of(node: &'a Node, path: &str, base: &'a Path, problems: &mut Problems) -> Self {
        if !matches!(node.value, Tree::Map(_) | Tree::Null) {
            let message = format!("expected a section of `key: value` lines, found {}", node.kind());
            problems.add(node.line, path, message);
        }
        Self { base, path: path.to_owned(), line: node.line, members: node.members(), asked: Vec::new() }
    }

    /// The name of a member with the section's before it.
    pub fn name_of(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}.{member}", self.path) }
    }

    /// Where relative paths start.
    pub fn base(&self) -> &'a Path {
        self.base
    }

    /// The line of a member, or of the section.
    pub fn line_of(&self, member: &str) -> u64 {
        self.members.iter().find(|(key, _)| key.name == member).map_or(self.line, |(key, _)| key.line)
    }

    /// Notes a problem of a member.
    pub fn problem(&self, member: &str, message: impl Into<String>, problems: &mut Problems) {
        problems.add(self.line_of(member), &self.name_of(member), message);
    }

    /// The names of all members, for sections whose keys the user chooses.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.members.iter().map(|(key, _)| key.name.as_str())
    }

    /// A member's value; null counts as absent.
    pub fn node(&mut self, member: &'static str) -> Option<&'a Node> {
        self.asked.push(member);
        self.chosen(member)
    }

    /// The value of a member whose name the user chose.
    pub fn chosen(&self, member: &str) -> Option<&'a Node> {
        self.members.iter().find(|(key, _)| key.name == member).map(|(_, node)| node).filter(|n| n.value != Tree::Null)
    }

    /// A section inside.
    pub fn section(&mut self, member: &'static str, problems: &mut Problems) -> Option<Section<'a>> {
        let node = self.node(member)?;
        Some(Section::of(node, &self.name_of(member), self.base, problems))
    }

    /// A value by `read`; what it cannot read is noted as not being `expected`.
    fn read<T>(
        &mut self,
        member: &'static str,
        expected: &str,
        problems: &mut Problems,
        read: impl FnOnce(&Tree) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(member)?;
        let value = read(&node.value);
        if value.is_none() {
            let found = match &node.value {
                Tree::Text(text) => format!("'{text}'"),
                Tree::Number(number) => format!("the number {number}"),
                Tree::Flag(flag) => flag.to_string(),
                _ => node.kind().to_owned(),
            };
            self.problem(member, format!("expected {expected}, found {found}"), problems);
        }
        value
    }

    /// A text.
    pub fn text(&mut self, member: &'static str, problems: &mut Problems) -> Option<String> {
        self.text_that(member, "a text (put it into quotes)", problems, |_| true)
    }

    /// A text that `good` takes.
    pub fn text_that(
        &mut self,
        member: &'static str,
        expected: &str,
        problems: &mut Problems,
        good: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        self.read(member, expected, problems, |tree| match tree {
            Tree::Text(text) if !text.is_empty() && good(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// A path; a relative one starts at the file's folder.
    pub fn path(&mut self, member: &'static str, problems: &mut Problems) -> Option<PathBuf> {
        let path = self.text_that(member, "a path", problems, |_| true)?;
        Some(self.base.join(path))
    }

    /// True or false.
    pub fn flag(&mut self, member: &'static str, problems: &mut Problems) -> Option<bool> {
        self.read(member, "true or false", problems, |tree| match tree {
            Tree::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A whole number of at least 1.
    pub fn count(&mut self, member: &'static str, problems: &mut Problems) -> Option<usize> {
        self.read(member, "a whole number of at least 1", problems, |tree| match tree {
            Tree::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0),
            _ => None,
        })
    }

    /// A size in bytes.
    pub fn size(&mut self, member: &'static str, problems: &mut Problems) -> Option<u64> {
        self.read(member, "a size such as 512MiB or 10GiB", problems, |tree| match tree {
            Tree::Text(text) => units::size(text),
            _ => None,
        })
    }

    /// A duration.
    pub fn duration(&mut self, member: &'static str, problems: &mut Problems) -> Option<Duration> {
        self.read(member, "a duration such as 500ms, 30s, 5m or 24h", problems, |tree| match tree {
            Tree::Text(text) => units::duration(text),
            _ => None,
        })
    }

    /// Something parsed from a text.
    pub fn parsed<T: std::str::FromStr>(
        &mut self,
        member: &'static str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        self.read(member, expected, problems, |tree| match tree {
            Tree::Text(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// One of some words.
    pub fn choice<T: Copy>(&mut self, member: &'static str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.read(member, &format!("one of {}", names.join(", ")), problems, |tree| match tree {
            Tree::Text(text) => words.iter().find(|(word, _)| word == text).map(|(_, value)| *value),
            _ => None,
        })
    }

    /// Refuses the members nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for (key, _) in self.members.iter().filter(|(key, _)| !self.asked.contains(&key.name.as_str())) {
            let hint = match nearest(&key.name, self.asked.iter().copied()) {
                Some(known) => format!("unknown key; did you mean '{known}'?"),
                None => format!("unknown key; known here: {}", self.asked.join(", ")),
            };
            problems.add(key.line, &self.name_of(&key.name), hint);
        }
    }
}
