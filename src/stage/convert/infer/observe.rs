//! One record into the tree of what was seen.
//!
//! Reads as the decoder does (`decode::scan`, `decode::keys`), but keeps no value. A record that is not valid teaches
//! nothing: the first thing that would change the tree has the whole record checked before. Most records change nothing
//! and are read once.

use super::super::decode::keys::START;
use super::super::decode::number::Number;
use super::super::decode::scan::{Cursor, unescape};
use super::super::rejection::{MAX_RECORD_BYTES, Outcome, Rejection};
use super::names::Names;
use super::tree::{ARRAY, BOOLEAN, Budget, FRACTION, Fields, INTEGER, LARGE, Node, OBJECT, Overfull, TEXT, Target};

/// Deepest nesting that is learnt, the record's own object included; what lies deeper is the text of its array or
/// object.
pub const MAX_LEVELS: usize = 16;
/// Integers up to this one are doubles too.
pub const MAX_EXACT: u64 = 1 << 53;

/// What the reading of one record shares.
pub struct Reading<'l, 'r> {
    record: &'r [u8],
    is_checked: bool,
    names: &'l Names,
    budget: &'l mut Budget,
}

/// Adds what one record has; an error when it is not valid, and then nothing was added.
pub fn record(columns: &mut Fields, names: &Names, budget: &mut Budget, record: &[u8]) -> Outcome<()> {
    if record.len() > MAX_RECORD_BYTES {
        return Err(Box::new(Rejection::Large));
    }
    if simdutf8::basic::from_utf8(record).is_err() {
        return Err(Box::new(Rejection::NotUtf8));
    }
    let mut reading = Reading { record, is_checked: false, names, budget };
    let mut cursor = Cursor { bytes: record, pos: 0 };
    objects(&mut cursor, |cursor| reading.object(columns, cursor, 1).map(drop))
}

/// Goes through the objects of a record, and refuses what is no record.
fn objects<'r>(cursor: &mut Cursor<'r>, mut object: impl FnMut(&mut Cursor<'r>) -> Outcome<()>) -> Outcome<()> {
    let mut is_blank = true;
    loop {
        match cursor.token() {
            b'{' => object(cursor)?,
            0 if cursor.at_end() && is_blank => return Err(Box::new(Rejection::Blank)),
            0 if cursor.at_end() => return Ok(()),
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => return Err(Box::new(Rejection::TopLevel)),
            _ => return Err(cursor.unexpected("a JSON object")),
        }
        is_blank = false;
    }
}

/// The kinds that a number is of.
fn number_kinds(number: &Number) -> u8 {
    const MAX: u64 = i64::MAX as u64;
    // Far from the largest double whatever the digits are.
    const SMALL: i32 = 280;
    match number {
        Number { whole: true, exact: true, digits: 0..=MAX_EXACT, .. } => INTEGER,
        Number { whole: true, exact: true, digits: 0..=MAX, .. } => INTEGER | LARGE,
        Number { whole: true, .. } if number.as_i64().is_some() => INTEGER | LARGE,
        Number { whole: true, .. } => TEXT,
        Number { exact: true, exponent: ..SMALL, .. } => FRACTION,
        _ if number.as_f64().is_some() => FRACTION,
        _ => TEXT,
    }
}

impl Reading<'_, '_> {
    /// Called before anything is added.
    #[inline]
    fn check(&mut self) -> Outcome<()> {
        if self.is_checked { Ok(()) } else { self.check_whole() }
    }

    #[cold]
    fn check_whole(&mut self) -> Outcome<()> {
        objects(&mut Cursor { bytes: self.record, pos: 0 }, |cursor| cursor.skip(0))?;
        self.is_checked = true;
        Ok(())
    }

    #[cold]
    fn add(&mut self, node: &mut Node, seen: u8) -> Outcome<()> {
        self.check()?;
        node.note(seen, self.budget);
        Ok(())
    }

    /// Takes an object whose brace is next; it is the `depth`th around its values. `Overfull`: it can be no struct, and
    /// the cursor stands somewhere in it.
    fn object(&mut self, fields: &mut Fields, cursor: &mut Cursor, depth: usize) -> Outcome<Result<(), Overfull>> {
        cursor.pos += 1;
        if cursor.token() == b'}' {
            cursor.pos += 1;
            return Ok(Ok(()));
        }
        let mut last = START;
        loop {
            if cursor.token() != b'"' {
                return Err(cursor.unexpected("a key in quotes"));
            }
            let key = cursor.pos;
            last = fields.keys.take(cursor, last)?;
            cursor.token();
            match fields.targets.get(last as usize) {
                Some(Target::One(field)) => {
                    self.value(&mut fields.list[*field as usize].1, cursor, depth)?;
                }
                Some(Target::Nowhere) => cursor.skip(depth)?,
                _ => {
                    let Ok(target) = self.resolve(fields, key, last, cursor, depth == 1)? else {
                        return Ok(Err(Overfull));
                    };
                    self.values(fields, &target, cursor, depth)?;
                }
            }
            match cursor.token() {
                b',' => cursor.pos += 1,
                b'}' => {
                    cursor.pos += 1;
                    return Ok(Ok(()));
                }
                _ => return Err(cursor.unexpected("',' or '}'")),
            }
        }
    }

    /// Takes a value that may go to several fields, or to none.
    fn values(&mut self, fields: &mut Fields, target: &Target, cursor: &mut Cursor, depth: usize) -> Outcome<()> {
        let start = cursor.pos;
        let all = match target {
            Target::One(field) => std::slice::from_ref(field),
            Target::Many(all) => all,
            Target::Nowhere | Target::Unresolved => return cursor.skip(depth),
        };
        for field in all {
            cursor.pos = start;
            self.value(&mut fields.list[*field as usize].1, cursor, depth)?;
        }
        Ok(())
    }

    /// Finds the fields of the key at `key`, whose entry number is `entry`, and adds them where they are new.
    #[cold]
    fn resolve(
        &mut self,
        fields: &mut Fields,
        key: usize,
        entry: u32,
        cursor: &Cursor,
        of_record: bool,
    ) -> Outcome<Result<Target, Overfull>> {
        if let Some(known @ Target::Many(_)) = fields.targets.get(entry as usize) {
            return Ok(Ok(known.clone()));
        }
        let (content, _) = Cursor { bytes: cursor.bytes, pos: key }.string()?;
        let mut text = Vec::new();
        unescape(content, &mut text);
        let names = self.names.of(&String::from_utf8_lossy(&text), of_record);
        if names.is_empty() && !of_record {
            return Ok(Err(Overfull));
        }
        let mut all = Vec::new();
        for name in names {
            let field = match fields.find(&name) {
                Some(field) => Some(field),
                None => {
                    self.check()?;
                    match fields.add(name, of_record, self.budget) {
                        Ok(field) => field,
                        Err(overfull) => return Ok(Err(overfull)),
                    }
                }
            };
            if let Some(field) = field.filter(|field| !all.contains(field)) {
                all.push(field);
            }
        }
        let target = match all[..] {
            [] => Target::Nowhere,
            [field] => Target::One(field),
            _ => Target::Many(all.into()),
        };
        // A key that was not learnt has the number of the beginning.
        if entry != START {
            let entry = entry as usize;
            if fields.targets.len() <= entry {
                fields.targets.resize(entry + 1, Target::Unresolved);
            }
            fields.targets[entry] = target.clone();
        }
        Ok(Ok(target))
    }

    /// Takes the value at the next token; `depth` objects and arrays are open around it.
    fn value(&mut self, node: &mut Node, cursor: &mut Cursor, depth: usize) -> Outcome<()> {
        let first = cursor.peek();
        if first == b'n' {
            return cursor.literal("null");
        }
        if node.seen == TEXT {
            return cursor.skip(depth);
        }
        let seen = match first {
            b'"' => {
                cursor.string()?;
                TEXT
            }
            b'-' | b'0'..=b'9' => number_kinds(&Number::take(cursor)?),
            b't' => {
                cursor.literal("true")?;
                BOOLEAN
            }
            b'f' => {
                cursor.literal("false")?;
                BOOLEAN
            }
            b'[' | b'{' => return self.nested(node, first, cursor, depth),
            _ => return Err(cursor.unexpected("a value")),
        };
        if node.seen & seen == seen { Ok(()) } else { self.add(node, seen) }
    }

    fn nested(&mut self, node: &mut Node, first: u8, cursor: &mut Cursor, depth: usize) -> Outcome<()> {
        let start = cursor.pos;
        let seen = if first == b'[' { ARRAY } else { OBJECT };
        if node.seen == 0 && depth < MAX_LEVELS {
            self.add(node, seen)?;
        }
        if node.seen == seen && depth < MAX_LEVELS {
            if first == b'[' {
                return self.array(node.item.get_or_insert_default(), cursor, depth + 1);
            }
            let rules = self.names.keys;
            let fields = node.fields.get_or_insert_with(|| Box::new(Fields::new(rules)));
            if self.object(fields, cursor, depth + 1)?.is_ok() {
                return Ok(());
            }
            cursor.pos = start;
        }
        cursor.skip(depth)?;
        self.add(node, TEXT)
    }

    fn array(&mut self, item: &mut Node, cursor: &mut Cursor, depth: usize) -> Outcome<()> {
        cursor.pos += 1;
        if cursor.token() == b']' {
            cursor.pos += 1;
            return Ok(());
        }
        loop {
            cursor.token();
            self.value(item, cursor, depth)?;
            match cursor.token() {
                b',' => cursor.pos += 1,
                b']' => {
                    cursor.pos += 1;
                    return Ok(());
                }
                _ => return Err(cursor.unexpected("',' or ']'")),
            }
        }
    }
}
