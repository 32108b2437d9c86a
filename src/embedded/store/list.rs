//! Listing: the keys of a bucket in the order of their bytes, straight from the folders.
//!
//! A folder is read whole when it is entered, its names are brought into the order of keys, and only then followed, so
//! the cost of a page is that of the folders it touches. What is put or removed meanwhile may or may not show.

use super::StoreError;
use super::details::etag_of;
use crate::embedded::key_path::{self, Meaning};
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Keys that begin with it.
    pub prefix: String,
    /// Keys that hold it after the prefix are rolled up.
    pub delimiter: String,
    /// Keys above it.
    pub after: String,
    /// Whether `after` is a rolled-up prefix whose keys were all listed.
    pub after_is_prefix: bool,
    /// Entries of the page at most.
    pub limit: usize,
}

/// One page.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects and rolled-up prefixes in order.
    pub entries: Vec<ListEntry>,
    /// Whether there is more.
    pub truncated: bool,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListEntry {
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// Its ETag without quotes.
        etag: String,
        /// When written.
        modified: SystemTime,
        /// Length.
        length_bytes: u64,
    },
    /// The common beginning of keys, up to and with the delimiter.
    Prefix(String),
}

impl ListEntry {
    /// The key or the prefix.
    pub fn name(&self) -> &str {
        match self {
            Self::Object { key, .. } => key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// Lists the bucket whose folder is `dir`.
pub(super) fn list(dir: &Path, query: &ListQuery) -> Result<Page, StoreError> {
    let rolled_up = (query.after_is_prefix && !query.after.is_empty()).then(|| query.after.clone());
    let mut walk = Walk { query, page: Page::default(), rolled_up };
    if query.limit > 0 {
        let _ = walk.folder(dir, &[], "")?;
    }
    Ok(walk.page)
}

struct Walk<'a> {
    query: &'a ListQuery,
    page: Page,
    /// The last rolled-up prefix: what begins with it is done.
    rolled_up: Option<String>,
}

/// A segment as a folder shows it: long ones are put together from their pieces.
struct Segment {
    /// The segment, with `/` behind it for a folder: this is also what the order of keys goes by.
    text: String,
    path: PathBuf,
    /// Names below the bucket.
    names: Vec<String>,
    is_folder: bool,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Path, names: &[String], prefix: &str) -> io::Result<ControlFlow<()>> {
        let mut segments = Vec::new();
        read_segments(dir, names, "", &mut segments)?;
        segments.sort_by(|a, b| a.text.as_bytes().cmp(b.text.as_bytes()));
        for segment in segments {
            let text = format!("{prefix}{}", segment.text);
            let flow = if segment.is_folder {
                if self.passes_by(&text) {
                    continue;
                }
                match self.folder(&segment.path, &segment.names, &text) {
                    // Removed since it was read.
                    Err(e) if e.kind() == ErrorKind::NotFound => continue,
                    other => other?,
                }
            } else {
                self.object(text, &segment)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether no key that begins with `text` can be asked for.
    fn passes_by(&self, text: &str) -> bool {
        let query = self.query;
        let off_prefix = !text.starts_with(&query.prefix) && !query.prefix.starts_with(text);
        let done = self.rolled_up.as_ref().is_some_and(|rolled_up| text.starts_with(rolled_up));
        let before = query.after.as_str() > text && !query.after.starts_with(text);
        off_prefix || done || before
    }

    fn object(&mut self, key: String, segment: &Segment) -> io::Result<ControlFlow<()>> {
        let query = self.query;
        let Some(tail) = key.strip_prefix(&query.prefix) else { return Ok(ControlFlow::Continue(())) };
        let done = self.rolled_up.as_ref().is_some_and(|rolled_up| key.starts_with(rolled_up));
        if done || (!query.after.is_empty() && key <= query.after) {
            return Ok(ControlFlow::Continue(()));
        }
        let names: Vec<&str> = segment.names.iter().map(String::as_str).collect();
        if key_path::key_of(&names).as_deref() != Some(&key) {
            return Ok(ControlFlow::Continue(()));
        }
        let rolled_up = match tail.find(&query.delimiter) {
            Some(at) if !query.delimiter.is_empty() => {
                Some(key[..query.prefix.len() + at + query.delimiter.len()].to_owned())
            }
            _ => None,
        };
        let entry = match &rolled_up {
            Some(prefix) => ListEntry::Prefix(prefix.clone()),
            None => {
                let metadata = match fs::metadata(&segment.path) {
                    Ok(metadata) => metadata,
                    Err(e) if e.kind() == ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
                    Err(e) => return Err(e),
                };
                let (etag, modified) = (etag_of(&metadata)?, metadata.modified()?);
                ListEntry::Object { key, etag, modified, length_bytes: metadata.len() }
            }
        };
        if self.page.entries.len() == query.limit {
            self.page.truncated = true;
            return Ok(ControlFlow::Break(()));
        }
        self.page.entries.push(entry);
        if rolled_up.is_some() {
            self.rolled_up = rolled_up;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Reads a folder. `piece` is what came before of a long segment.
fn read_segments(dir: &Path, names: &[String], piece: &str, into: &mut Vec<Segment>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        if !kind.is_dir() && !kind.is_file() {
            continue;
        }
        let path = entry.path();
        let mut names = names.to_vec();
        names.push(name.clone());
        let plain = if kind.is_file() { key_path::without_mark(&name).unwrap_or(&name) } else { &name };
        match key_path::meaning_of(plain) {
            Some(Meaning::Segment(text)) if piece.is_empty() => {
                into.push(segment(text.to_owned(), path, names, kind.is_dir()));
            }
            Some(Meaning::LastPiece(text)) => into.push(segment(format!("{piece}{text}"), path, names, kind.is_dir())),
            Some(Meaning::Piece(text)) if kind.is_dir() => {
                match read_segments(&path, &names, &format!("{piece}{text}"), into) {
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    other => other?,
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn segment(mut text: String, path: PathBuf, names: Vec<String>, is_folder: bool) -> Segment {
    if is_folder {
        text.push('/');
    }
    Segment { text, path, names, is_folder }
}
