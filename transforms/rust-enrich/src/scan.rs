//! The quick way to read an object: one pass over its bytes, which keeps nothing but the places of the members that the
//! settings name. It takes what the parser takes and nothing else, but not all of it: what it leaves (names with escapes,
//! line breaks inside, very deep values, all that is wrong) is for the parser, which also says what is wrong.
//!
//! Below it is [`crate::grammar`], above it [`crate::record`].

use crate::grammar::Text;
use crate::settings::Names;

/// Where an object stands: from after its brace to the end of its last member, and the place after it.
pub struct Object {
    pub first: usize,
    pub members_upto: usize,
    pub upto: usize,
}

/// Where a member stands that the settings name.
#[derive(Clone, Copy)]
pub struct Mark {
    /// Its number among the names.
    pub name: usize,
    /// The end of the member before it, or the object's first place.
    pub after: usize,
    /// The value.
    pub value: usize,
    pub upto: usize,
}

/// The object that begins at `at`. `marks` are its named members in order.
#[inline(never)]
pub fn object(text: Text, at: usize, names: &Names, marks: &mut Vec<Mark>) -> Option<Object> {
    marks.clear();
    let first = text.expect(at, b'{')?.get();
    let mut after = first;
    let mut at = text.blanks(first);
    if text.at(at) == b'}' {
        return Some(Object { first, members_upto: first, upto: at + 1 });
    }
    loop {
        let start = text.expect(at, b'"')?.get();
        let end = text.plain_string(start)?.get() - 1;
        let value = text.colon(end + 1)?.get();
        let upto = text.value(value)?.get();
        if let Some(name) = names.find(text.0.get(start..end)?) {
            marks.push(Mark { name, after, value, upto });
        }
        after = upto;
        at = text.blanks(upto);
        match text.at(at) {
            b',' => at = text.blanks(at + 1),
            b'}' => return Some(Object { first, members_upto: upto, upto: at + 1 }),
            _ => return None,
        }
    }
}
