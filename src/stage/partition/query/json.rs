//! JSON as jq 1.6 reads it, which is a little more than RFC 8259.
//!
//! Beyond the RFC it takes numbers such as `01`, `+1`, `.5`, `5.`, `NaN` and `Infinity`, the byte 0x1F inside a string,
//! a byte order mark, and replaces bytes that are not UTF-8. It refuses half surrogate pairs. A NUL or a record separator
//! (0x1E) anywhere is refused: what jq makes of them depends on how its input is cut.

use super::value::Value;
use indexmap::IndexMap;
use std::sync::Arc;

/// Entries of the parser's stack: one an open array, two an open object whose key was read.
const MAX_STACK: usize = 256;

enum Open {
    Array(Vec<Value>),
    Object(IndexMap<Arc<str>, Value>),
    Key(Arc<str>),
}

/// Reads one value and nothing after it; the error is jq's text without its position.
pub fn parse(bytes: &[u8]) -> Result<Value, &'static str> {
    match memchr::memchr(0, bytes) {
        Some(_) => Err("A NUL or record separator byte"),
        None => parse_text(bytes),
    }
}

/// The same for a text inside of a record, which may have NULs.
pub fn parse_text(bytes: &[u8]) -> Result<Value, &'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if memchr::memchr(0x1e, bytes).is_some() {
        return Err("A NUL or record separator byte");
    }
    let mut parser = Parser { stack: Vec::new(), next: None, done: None };
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'"' => {
                let (text, upto) = string(bytes, at + 1)?;
                parser.value(Value::String(text))?;
                at = upto;
            }
            b'[' | b']' | b'{' | b'}' | b',' | b':' => {
                parser.structure(byte)?;
                at += 1;
            }
            _ => {
                let ends = |byte: &u8| b" \t\r\n\"[]{},:".contains(byte);
                let upto = bytes[at..].iter().position(ends).map_or(bytes.len(), |length| at + length);
                parser.value(literal(&bytes[at..upto])?)?;
                at = upto;
            }
        }
        parser.check_done()?;
    }
    match parser.done {
        _ if !parser.stack.is_empty() => Err("Unfinished JSON term"),
        Some(value) => Ok(value),
        None => Err("Expected JSON value"),
    }
}

struct Parser {
    stack: Vec<Open>,
    next: Option<Value>,
    done: Option<Value>,
}

impl Parser {
    fn value(&mut self, value: Value) -> Result<(), &'static str> {
        if self.next.is_some() {
            return Err("Expected separator between values");
        }
        self.next = Some(value);
        Ok(())
    }

    fn check_done(&mut self) -> Result<(), &'static str> {
        if self.stack.is_empty()
            && let Some(value) = self.next.take()
            && self.done.replace(value).is_some()
        {
            return Err("Unexpected extra JSON values");
        }
        Ok(())
    }

    fn open(&mut self, open: Open) -> Result<(), &'static str> {
        if self.stack.len() >= MAX_STACK {
            return Err("Exceeds depth limit for parsing");
        }
        if self.next.is_some() {
            return Err("Expected separator between values");
        }
        self.stack.push(open);
        Ok(())
    }

    fn structure(&mut self, byte: u8) -> Result<(), &'static str> {
        match byte {
            b'[' => self.open(Open::Array(Vec::new())),
            b'{' => self.open(Open::Object(IndexMap::new())),
            b':' => match (self.next.take(), self.stack.last()) {
                (None, _) => Err("Expected string key before ':'"),
                (Some(Value::String(key)), Some(Open::Object(_))) => {
                    self.stack.push(Open::Key(key));
                    Ok(())
                }
                (Some(_), Some(Open::Object(_))) => Err("Object keys must be strings"),
                _ => Err("':' not as part of an object"),
            },
            b',' => {
                let Some(value) = self.next.take() else {
                    return Err("Expected value before ','");
                };
                match self.stack.last_mut() {
                    None => Err("',' not as part of an object or array"),
                    Some(Open::Array(items)) => {
                        items.push(value);
                        Ok(())
                    }
                    Some(Open::Key(_)) => self.field(value),
                    Some(Open::Object(_)) => Err("Objects must consist of key:value pairs"),
                }
            }
            b']' => match self.stack.pop() {
                Some(Open::Array(mut items)) => {
                    match self.next.take() {
                        Some(value) => items.push(value),
                        None if !items.is_empty() => return Err("Expected another array element"),
                        None => {}
                    }
                    self.next = Some(Value::parsed_array(items));
                    Ok(())
                }
                _ => Err("Unmatched ']'"),
            },
            _ => {
                if let Some(value) = self.next.take() {
                    match self.stack.last() {
                        None => return Err("Unmatched '}'"),
                        Some(Open::Key(_)) => self.field(value)?,
                        _ => return Err("Objects must consist of key:value pairs"),
                    }
                } else if matches!(self.stack.last(), Some(Open::Object(fields)) if !fields.is_empty()) {
                    return Err("Expected another key-value pair");
                }
                match self.stack.pop() {
                    Some(Open::Object(fields)) => {
                        self.next = Some(Value::parsed_object(fields));
                        Ok(())
                    }
                    _ => Err("Unmatched '}'"),
                }
            }
        }
    }

    fn field(&mut self, value: Value) -> Result<(), &'static str> {
        let key = self.stack.pop();
        if let (Some(Open::Key(key)), Some(Open::Object(fields))) = (key, self.stack.last_mut()) {
            fields.insert(key, value);
        }
        Ok(())
    }
}

/// A number as `jvp_strtod` takes it.
pub fn number(token: &[u8]) -> Option<f64> {
    std::str::from_utf8(token).ok()?.parse().ok()
}

fn literal(token: &[u8]) -> Result<Value, &'static str> {
    match (token[0], token) {
        (_, b"true") => Ok(Value::Bool(true)),
        (_, b"false") => Ok(Value::Bool(false)),
        (_, b"null") => Ok(Value::Null),
        (b't' | b'f' | b'n', _) => Err("Invalid literal"),
        // jq reads the number as a C string, which a NUL ends; of an empty one it makes 0.
        _ => match memchr::memchr(0, token).map_or(token, |end| &token[..end]) {
            [] => Ok(Value::Number(0.0)),
            token => number(token).map(Value::Number).ok_or("Invalid numeric literal"),
        },
    }
}

/// The content of a string from `at` on, and where it ends.
fn string(bytes: &[u8], at: usize) -> Result<(Arc<str>, usize), &'static str> {
    let mut upto = at;
    let mut escaped = false;
    loop {
        match bytes.get(upto) {
            None => return Err("Unfinished string"),
            Some(b'"') => break,
            Some(b'\\') => {
                escaped = true;
                upto += 2;
            }
            Some(_) => upto += 1,
        }
    }
    let content = &bytes[at..upto];
    // A NUL, which only a text inside of a record has here, passes in jq.
    if content.iter().any(|byte| (1..0x1f).contains(byte)) {
        return Err("Invalid string: control characters from U+0000 through U+001F must be escaped");
    }
    let text = if escaped { text(&unescape(content)?) } else { text(content) };
    Ok((text, upto + 1))
}

/// Undoes the escapes of a string's content.
pub fn unescape(content: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let kind = *rest.get(at + 1).ok_or("Expected escape character at end of string")?;
        rest = &rest[at + 2..];
        match kind {
            b'\\' | b'"' | b'/' => out.push(kind),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = hex4(rest)?;
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&code) {
                    let low = rest.strip_prefix(b"\\u").and_then(|digits| hex4(digits).ok());
                    let Some(low) = low.filter(|low| (0xdc00..0xe000).contains(low)) else {
                        return Err("Invalid \\uXXXX\\uXXXX surrogate pair escape");
                    };
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    rest = &rest[6..];
                }
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err("Invalid escape"),
        }
    }
    out.extend_from_slice(rest);
    Ok(out)
}

fn hex4(digits: &[u8]) -> Result<u32, &'static str> {
    let digits = digits.get(..4).ok_or("Invalid \\uXXXX escape")?;
    digits.iter().try_fold(0, |code, digit| {
        let digit = (*digit as char).to_digit(16).ok_or("Invalid characters in \\uXXXX escape")?;
        Ok(code << 4 | digit)
    })
}

/// Bytes of each sequence by its first byte, as jq counts; 0 where none may begin.
fn coded_length(first: u8) -> usize {
    match first {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 0,
    }
}

/// Text of bytes, with U+FFFD for each sequence that jq does not take.
pub fn text(bytes: &[u8]) -> Arc<str> {
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return text.into();
    }
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let mut length = coded_length(first).max(1);
        // At the very end jq does not look whether the bytes belong to the sequence.
        if length > rest.len() {
            length = rest.len();
        } else if let Some(broken) = rest[1..length].iter().position(|byte| byte & 0xc0 != 0x80) {
            length = broken + 1;
        }
        out.push_str(std::str::from_utf8(&rest[..length]).unwrap_or("\u{fffd}"));
        rest = &rest[length..];
    }
    out.into()
}
