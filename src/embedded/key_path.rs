//! Object keys as file paths: injective, reversible, and plain wherever a key is.
//!
//! A key is split at `/`; each segment becomes one file or folder name. Ordinary segments are written as they are, so
//! that any tool finds `year=2025/part-0.parquet` where its key says. The rest is escaped by names that begin with `~`:
//!
//! | Segment | Name |
//! |---|---|
//! | empty (`a//b`, the end of `a/`) | `~e` |
//! | `.` and `..` | `~d` and `~dd` |
//! | begins with `~` | `~` + segment |
//! | longer than 250 bytes | nested folders `~+piece` … and `~-last piece`, each at most 250 bytes |
//! | an object whose name a folder has (`a` beside `a/b`) | `~o` + name; only the last name of a path |
//!
//! Only the last rule depends on what else exists; `store::place` applies it. A name that begins with `~` and is none
//! of these belongs to no key and is not shown.
//!
//! Keys that differ only in case need a file system that tells them apart.

/// Longest key, in bytes, as at S3.
pub const KEY_MAX_BYTES: usize = 1024;

/// Longest segment, and longest piece, kept in one name. Room is left for two marks of two bytes below the usual limit
/// of 255.
const NAME_MAX_BYTES: usize = 250;

const EMPTY: &str = "~e";
const DOT: &str = "~d";
const DOT_DOT: &str = "~dd";
const OBJECT_MARK: &str = "~o";
const PIECE_MARK: &str = "~+";
const LAST_PIECE_MARK: &str = "~-";

/// Why a key has no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// S3 has no empty key.
    #[error("the key is empty")]
    Empty,
    /// Above [`KEY_MAX_BYTES`].
    #[error("the key is longer than {KEY_MAX_BYTES} bytes")]
    TooLong,
    /// No file system takes it.
    #[error("the key holds a NUL character, which no file name can")]
    Nul,
}

/// The names of a key's path below its bucket; the last one is the file.
pub fn names_of(key: &str) -> Result<Vec<String>, KeyError> {
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    if key.len() > KEY_MAX_BYTES {
        return Err(KeyError::TooLong);
    }
    if key.contains('\0') {
        return Err(KeyError::Nul);
    }
    let mut names = Vec::new();
    for segment in key.split('/') {
        match segment {
            "" => names.push(EMPTY.to_owned()),
            "." => names.push(DOT.to_owned()),
            ".." => names.push(DOT_DOT.to_owned()),
            _ if segment.len() > NAME_MAX_BYTES => push_pieces(&mut names, segment),
            _ if segment.starts_with('~') => names.push(format!("~{segment}")),
            _ => names.push(segment.to_owned()),
        }
    }
    Ok(names)
}

fn push_pieces(names: &mut Vec<String>, segment: &str) {
    let mut rest = segment;
    while rest.len() > NAME_MAX_BYTES {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(NAME_MAX_BYTES));
        names.push(format!("{PIECE_MARK}{piece}"));
        rest = after;
    }
    names.push(format!("{LAST_PIECE_MARK}{rest}"));
}

/// The other name of an object, used where a folder has its own.
pub fn beside_folder(name: &str) -> String {
    format!("{OBJECT_MARK}{name}")
}

/// What a name found in a folder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A whole segment.
    Segment(&'a str),
    /// The beginning of a long segment; the folder below holds its rest.
    Piece(&'a str),
    /// The end of a long segment.
    LastPiece(&'a str),
}

/// Reads a name. `None` where it stands for no key.
pub fn meaning_of(name: &str) -> Option<Meaning<'_>> {
    let Some(escaped) = name.strip_prefix('~') else { return Some(Meaning::Segment(name)) };
    match name {
        EMPTY => return Some(Meaning::Segment("")),
        DOT => return Some(Meaning::Segment(".")),
        DOT_DOT => return Some(Meaning::Segment("..")),
        _ => {}
    }
    if escaped.starts_with('~') {
        return Some(Meaning::Segment(escaped));
    }
    if let Some(piece) = name.strip_prefix(PIECE_MARK) {
        return Some(Meaning::Piece(piece));
    }
    name.strip_prefix(LAST_PIECE_MARK).map(Meaning::LastPiece)
}

/// The name below an object's other name. `None` for any other name.
pub fn without_mark(name: &str) -> Option<&str> {
    name.strip_prefix(OBJECT_MARK)
}

/// The key whose object lies at this path. `None` where there is none; in particular for every path that
/// [`names_of`] does not give back, marks apart.
pub fn key_of(names: &[&str]) -> Option<String> {
    let (last, folders) = names.split_last()?;
    let last = without_mark(last).unwrap_or(last);
    let mut key = String::new();
    for name in folders {
        match meaning_of(name)? {
            Meaning::Segment(text) | Meaning::LastPiece(text) => {
                key.push_str(text);
                key.push('/');
            }
            Meaning::Piece(text) => key.push_str(text),
        }
    }
    match meaning_of(last)? {
        Meaning::Segment(text) | Meaning::LastPiece(text) => key.push_str(text),
        Meaning::Piece(_) => return None,
    }
    let canonical = names_of(&key).ok()?;
    let (canonical_last, canonical_folders) = canonical.split_last()?;
    (canonical_last == last && canonical_folders.iter().map(String::as_str).eq(folders.iter().copied())).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(key: &str) -> String {
        names_of(key).unwrap().join("/")
    }

    #[test]
    fn ordinary_keys_are_their_own_path() {
        for key in ["a", "year=2025/month=01/part-0.parquet", "a b/c+d:e%3A", "ü/日本", "a.", "...", "-", "a~b"] {
            assert_eq!(path(key), key);
        }
    }

    #[test]
    fn the_table_of_the_module_holds() {
        assert_eq!(path("a/"), "a/~e");
        assert_eq!(path("/a"), "~e/a");
        assert_eq!(path("a//b"), "a/~e/b");
        assert_eq!(path("../../etc/passwd"), "~dd/~dd/etc/passwd");
        assert_eq!(path("./x"), "~d/x");
        assert_eq!(path("~e"), "~~e");
        let long = "x".repeat(600);
        assert_eq!(names_of(&long).unwrap().iter().map(String::len).collect::<Vec<_>>(), [250 + 2, 250 + 2, 100 + 2]);
    }

    #[test]
    fn refused_keys() {
        assert_eq!(names_of(""), Err(KeyError::Empty));
        assert_eq!(names_of(&"x".repeat(1025)), Err(KeyError::TooLong));
        assert_eq!(names_of("a\0"), Err(KeyError::Nul));
    }

    #[test]
    fn paths_of_no_key() {
        for names in
            [&["~"][..], &["~x"], &["~+abc"], &["~-abc"], &["~+abc", "~-d"], &["~oa", "b"], &["."], &[".."], &[]]
        {
            assert_eq!(key_of(names), None, "{names:?}");
        }
        assert_eq!(key_of(&["~oa"]), Some("a".to_owned()));
    }

    fn keys() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just(String::new()),
            Just(".".to_owned()),
            Just("..".to_owned()),
            "[~oedm+.-]{1,4}",
            "[a-z=: +%]{1,12}",
            "[äß日😀]{1,6}",
            (240usize..600, "[ab~é😀]").prop_map(|(length, text)| text.repeat(length / text.len())),
        ];
        proptest::collection::vec(segment, 1..6)
            .prop_map(|segments| segments.join("/"))
            .prop_filter("a key", |key| !key.is_empty() && key.len() <= KEY_MAX_BYTES)
    }

    proptest! {
        /// Back and forth, hence injective; every name is one the file system takes and stays inside the folder.
        #[test]
        fn a_path_leads_back_to_its_key(key in keys()) {
            let names = names_of(&key).unwrap();
            for name in &names {
                prop_assert!(!name.is_empty() && name != "." && name != ".." && !name.contains('/'));
                prop_assert!(beside_folder(name).len() <= 255);
            }
            let mut plain: Vec<&str> = names.iter().map(String::as_str).collect();
            prop_assert_eq!(key_of(&plain), Some(key.clone()));
            let marked = beside_folder(plain[plain.len() - 1]);
            let last = plain.len() - 1;
            plain[last] = &marked;
            prop_assert_eq!(key_of(&plain), Some(key));
        }

        /// Whatever lies in a folder: what is shown as a key is found again under that key.
        #[test]
        fn any_path_is_canonical_or_hidden(names in proptest::collection::vec("[~oed+.a-]{1,5}", 1..4)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Some(key) = key_of(&names) {
                let mut expected = names.clone();
                let last = expected.len() - 1;
                expected[last] = without_mark(expected[last]).unwrap_or(expected[last]);
                prop_assert_eq!(names_of(&key).unwrap(), expected);
            }
        }
    }
}
