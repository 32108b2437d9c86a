//! Reads from a record only what a query looks at.
//!
//! Sound because of two rules: a query is read this way only if each use of its input is a path of field names, and
//! anything unusual in a record (escapes in keys, half surrogates, odd numbers, broken JSON) gives it up, so that
//! [`super::json`] decides. What is returned differs from the whole record only where no path of the query leads.

use super::ast::Ast;
use super::json;
use super::value::Value;
use crate::stage::convert::scan::Cursor;
use indexmap::IndexMap;
use std::sync::Arc;

/// Deepest nesting that is read here; below what [`json`] takes even for objects, which count twice.
pub const MAX_DEPTH: usize = 100;
/// Most different fields of one object.
const MAX_FIELDS: usize = 64;

/// What is wanted of a value: all of it, or fields.
#[derive(Debug, Default)]
pub struct Wanted {
    all: bool,
    fields: Vec<(Arc<str>, Wanted)>,
}

impl Wanted {
    /// What `programs` look at in their input; none if that is not told by names.
    pub fn of<'a>(programs: impl Iterator<Item = &'a Ast>) -> Option<Self> {
        let mut wanted = Self::default();
        for program in programs {
            let mut paths = Vec::new();
            collect(program, &mut paths)?;
            for path in paths {
                wanted.add(&path)?;
            }
        }
        if wanted.all { None } else { Some(wanted) }
    }

    fn add(&mut self, path: &[Arc<str>]) -> Option<()> {
        if self.all {
            return Some(());
        }
        let Some((first, rest)) = path.split_first() else {
            *self = Self { all: true, fields: Vec::new() };
            return Some(());
        };
        if let Some((_, inside)) = self.fields.iter_mut().find(|(name, _)| name == first) {
            return inside.add(rest);
        }
        // A broken key of a record may become the replacement character.
        if self.fields.len() >= MAX_FIELDS || first.contains('\u{fffd}') {
            return None;
        }
        let mut inside = Self::default();
        inside.add(rest)?;
        self.fields.push((first.clone(), inside));
        Some(())
    }

    /// The wanted parts of a record; none if it is unusual.
    pub fn read(&self, record: &[u8]) -> Option<Value> {
        let mut cursor = Cursor { bytes: record, pos: 0 };
        let value = self.value(&mut cursor, 0)?;
        cursor.token();
        cursor.at_end().then_some(value)
    }

    fn value(&self, cursor: &mut Cursor, depth: usize) -> Option<Value> {
        match cursor.token() {
            b'{' if !self.all => self.object(cursor, depth),
            b'[' if !self.all => {
                skip(cursor, depth)?;
                Some(Value::empty_array())
            }
            b'{' | b'[' => {
                let start = cursor.pos;
                skip(cursor, depth)?;
                json::parse(cursor.since(start)).ok()
            }
            b'"' => {
                let (content, escaped) = string(cursor)?;
                Some(Value::String(if escaped {
                    json::text(&json::unescape(content).ok()?)
                } else {
                    simdutf8::basic::from_utf8(content).ok()?.into()
                }))
            }
            b't' => cursor.literal("true").ok().map(|()| Value::Bool(true)),
            b'f' => cursor.literal("false").ok().map(|()| Value::Bool(false)),
            b'n' => cursor.literal("null").ok().map(|()| Value::Null),
            _ => {
                let start = cursor.pos;
                cursor.skip_number().ok()?;
                json::number(cursor.since(start)).map(Value::Number)
            }
        }
    }

    fn object(&self, cursor: &mut Cursor, depth: usize) -> Option<Value> {
        if depth >= MAX_DEPTH {
            return None;
        }
        cursor.pos += 1;
        let mut fields = IndexMap::new();
        if cursor.token() == b'}' {
            cursor.pos += 1;
            return Some(Value::parsed_object(fields));
        }
        loop {
            if cursor.token() != b'"' {
                return None;
            }
            let (key, escaped) = string(cursor)?;
            if escaped || cursor.token() != b':' {
                return None;
            }
            cursor.pos += 1;
            match self.fields.iter().find(|(name, _)| name.as_bytes() == key) {
                Some((name, inside)) => {
                    let value = inside.value(cursor, depth + 1)?;
                    fields.insert(name.clone(), value);
                }
                None => {
                    cursor.token();
                    skip(cursor, depth + 1)?;
                }
            }
            match cursor.token() {
                b',' => cursor.pos += 1,
                b'}' => {
                    cursor.pos += 1;
                    return Some(Value::parsed_object(fields));
                }
                _ => return None,
            }
        }
    }
}

/// Takes a string; none for one that [`json`] reads otherwise than RFC 8259 does.
pub fn string<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], bool)> {
    let (content, escaped) = cursor.string().ok()?;
    if escaped && has_half_surrogate(content) {
        return None;
    }
    Some((content, escaped))
}

/// Whether there may be an escaped surrogate.
fn has_half_surrogate(content: &[u8]) -> bool {
    content.windows(3).any(|three| three[0] == b'\\' && three[1] == b'u' && matches!(three[2], b'd' | b'D'))
}

/// Takes any value, whose first byte is next.
pub fn skip(cursor: &mut Cursor, depth: usize) -> Option<()> {
    match cursor.peek() {
        b'"' => string(cursor).map(|_| ()),
        b'{' | b'[' => {
            if depth >= MAX_DEPTH {
                return None;
            }
            let object = cursor.peek() == b'{';
            let close = if object { b'}' } else { b']' };
            cursor.pos += 1;
            if cursor.token() == close {
                cursor.pos += 1;
                return Some(());
            }
            loop {
                if object {
                    if cursor.token() != b'"' {
                        return None;
                    }
                    string(cursor)?;
                    if cursor.token() != b':' {
                        return None;
                    }
                    cursor.pos += 1;
                }
                cursor.token();
                skip(cursor, depth + 1)?;
                match cursor.token() {
                    b',' => cursor.pos += 1,
                    byte if byte == close => {
                        cursor.pos += 1;
                        return Some(());
                    }
                    _ => return None,
                }
            }
        }
        b't' => cursor.literal("true").ok(),
        b'f' => cursor.literal("false").ok(),
        b'n' => cursor.literal("null").ok(),
        _ => cursor.skip_number().ok(),
    }
}

/// The path of field names that `ast` is, if it is one.
pub fn path_of(ast: &Ast, path: &mut Vec<Arc<str>>) -> bool {
    match ast {
        Ast::Identity => true,
        Ast::Index { of, key, .. } => match &**key {
            Ast::Const(Value::String(name)) => {
                path_of(of, path) && {
                    path.push(name.clone());
                    true
                }
            }
            _ => false,
        },
        _ => false,
    }
}

/// Adds the paths at which `ast` looks at its input; none if there may be others.
fn collect(ast: &Ast, paths: &mut Vec<Vec<Arc<str>>>) -> Option<()> {
    let mut path = Vec::new();
    if path_of(ast, &mut path) {
        paths.push(path);
        return Some(());
    }
    match ast {
        Ast::Const(_) | Ast::Empty => Some(()),
        // What comes after a pipe sees the result of what comes before, all of which was wanted.
        Ast::Pipe(left, _) => collect(left, paths),
        Ast::Index { of, key, .. } => {
            collect(of, paths)?;
            collect(key, paths)
        }
        Ast::Slice { of, from, upto, .. } => {
            collect(of, paths)?;
            [from, upto].into_iter().flatten().try_for_each(|bound| collect(bound, paths))
        }
        Ast::Each { of, .. } | Ast::Negate(of) => collect(of, paths),
        Ast::Interpolation { parts, .. } => parts.iter().try_for_each(|part| collect(part, paths)),
        Ast::Array(inside) => collect(inside, paths),
        Ast::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            collect(key, paths)?;
            collect(value, paths)
        }),
        Ast::Comma(left, right) | Ast::And(left, right) | Ast::Or(left, right) | Ast::Alternative(left, right) => {
            collect(left, paths)?;
            collect(right, paths)
        }
        Ast::If { condition, then, otherwise } => {
            collect(condition, paths)?;
            collect(then, paths)?;
            collect(otherwise, paths)
        }
        Ast::Try { body, catch: None } => collect(body, paths),
        // An operator sees its operands; every other function its input too.
        Ast::Apply(function, arguments) if super::functions::is_operator(function.name) => {
            arguments.iter().try_for_each(|argument| collect(argument, paths))
        }
        _ => None,
    }
}
