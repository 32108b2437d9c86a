//! Reads the text of a pattern: a tree of nodes, or why it is not taken.

use super::{Assertion, Node, Set};

/// Deepest nesting of groups.
const MAX_NESTING: usize = 30;

pub(super) struct Parser {
    pub(super) rest: Vec<char>,
    pub(super) at: usize,
    pub(super) names: Vec<Option<String>>,
    pub(super) nesting: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(i, c)| self.rest.get(self.at + i) == Some(&c));
        self.at += if found { text.len() } else { 0 };
        found
    }

    pub(super) fn alternatives(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.sequence()?];
        while self.take("|") {
            nodes.push(self.sequence()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Alternatives(nodes) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            let node = self.atom()?;
            nodes.push(self.repeated(node)?);
        }
        Ok(Node::Sequence(nodes))
    }

    fn repeated(&mut self, node: Node) -> Result<Node, String> {
        let (least, most, counted) = match self.peek() {
            Some('*') => (0, None, false),
            Some('+') => (1, None, false),
            Some('?') => (0, Some(1), false),
            Some('{') => {
                let (least, most) = self.count()?;
                (least, most, true)
            }
            _ => return Ok(node),
        };
        if !counted {
            self.at += 1;
        }
        let lazy = !counted && self.take("?");
        if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
            return Err("a repetition of a repetition is not supported".to_owned());
        }
        if matches!(node, Node::Assert(_) | Node::Ahead { .. }) || may_be_empty(&node) {
            return Err("a repetition of what may match nothing is not supported".to_owned());
        }
        Ok(Node::Repeat { node: Box::new(node), least, most, lazy })
    }

    /// `{n}`, `{n,}`, `{n,m}`.
    fn count(&mut self) -> Result<(usize, Option<usize>), String> {
        let wrong = || "'{' must begin a repetition such as {2,3}, or be written \\{".to_owned();
        self.at += 1;
        let mut number = || {
            let digits: String = self.rest[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
            self.at += digits.len();
            digits.parse::<usize>().ok().filter(|count| *count <= 1000)
        };
        let least = number().ok_or_else(wrong)?;
        let mut most = Some(least);
        if self.take(",") {
            most = None;
            if self.peek() != Some('}') {
                let digits: String = self.rest[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
                self.at += digits.len();
                let count = digits.parse::<usize>().ok().filter(|count| *count <= 1000 && *count >= least);
                most = Some(count.ok_or_else(wrong)?);
            }
        }
        if self.take("}") { Ok((least, most)) } else { Err(wrong()) }
    }

    fn atom(&mut self) -> Result<Node, String> {
        let Some(c) = self.peek() else { return Err("it ends early".to_owned()) };
        self.at += 1;
        match c {
            '.' => Ok(Node::Any),
            '^' => Ok(Node::Assert(Assertion::Start)),
            '$' => Ok(Node::Assert(Assertion::LastLine)),
            '[' => self.class(),
            '(' => self.group(),
            '\\' => self.escape(),
            '*' | '+' | '?' => Err(format!("'{c}' repeats nothing")),
            '{' => Err("'{' must be written \\{".to_owned()),
            c => Ok(Node::Char(c)),
        }
    }

    fn group(&mut self) -> Result<Node, String> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err("its groups are nested too deep".to_owned());
        }
        let ahead = |negated, node| Node::Ahead { negated, node: Box::new(node) };
        let node = if self.take("?:") {
            self.alternatives()?
        } else if self.take("?=") {
            ahead(false, self.alternatives()?)
        } else if self.take("?!") {
            ahead(true, self.alternatives()?)
        } else if self.take("?<") {
            let name: String =
                self.rest[self.at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
            self.at += name.len();
            if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !self.take(">") {
                return Err("a group that begins with (?< must have a name of letters and digits".to_owned());
            }
            self.captured(Some(name))?
        } else if self.peek() == Some('?') {
            return Err("this kind of group is not supported".to_owned());
        } else {
            self.captured(None)?
        };
        self.nesting -= 1;
        if self.take(")") { Ok(node) } else { Err("a group is not closed".to_owned()) }
    }

    fn captured(&mut self, name: Option<String>) -> Result<Node, String> {
        self.names.push(name);
        let number = self.names.len();
        Ok(Node::Group(number, Box::new(self.alternatives()?)))
    }

    fn escape(&mut self) -> Result<Node, String> {
        let Some(c) = self.peek() else { return Err("it ends in a backslash".to_owned()) };
        self.at += 1;
        Ok(match c {
            'A' => Node::Assert(Assertion::Start),
            'z' => Node::Assert(Assertion::End),
            'Z' => Node::Assert(Assertion::LastLine),
            'b' => Node::Assert(Assertion::Boundary),
            // Oniguruma passes over matches behind one.
            'B' => return Err("\\B is not supported".to_owned()),
            _ => match set(c) {
                Some(set) => Node::Class { negated: false, sets: vec![set] },
                None => Node::Char(escaped(c)?),
            },
        })
    }

    fn class(&mut self) -> Result<Node, String> {
        let negated = self.take("^");
        let mut sets = Vec::new();
        let mut first = true;
        loop {
            let Some(c) = self.peek() else { return Err("a class is not closed".to_owned()) };
            self.at += 1;
            let low = match c {
                ']' if !first => return Ok(Node::Class { negated, sets }),
                ']' => return Err("']' first in a class must be written \\]".to_owned()),
                '[' => return Err("'[' in a class must be written \\[".to_owned()),
                '&' if self.peek() == Some('&') => return Err("'&&' in a class is not supported".to_owned()),
                '-' if !first && self.peek() != Some(']') => {
                    return Err("'-' in a class must stand first, last or between two characters".to_owned());
                }
                '\\' => {
                    let Some(c) = self.peek() else { return Err("a class is not closed".to_owned()) };
                    self.at += 1;
                    match set(c) {
                        Some(set) => {
                            if self.peek() == Some('-') && self.rest.get(self.at + 1) != Some(&']') {
                                return Err("a range in a class must be between two characters".to_owned());
                            }
                            sets.push(set);
                            first = false;
                            continue;
                        }
                        None => escaped(c)?,
                    }
                }
                c => c,
            };
            first = false;
            let mut high = low;
            if self.peek() == Some('-') && self.rest.get(self.at + 1).is_some_and(|c| *c != ']') {
                self.at += 1;
                high = match (self.peek(), self.rest.get(self.at + 1)) {
                    (Some('\\'), Some(c)) if set(*c).is_none() => {
                        self.at += 1;
                        escaped(*c)?
                    }
                    (Some(c), _) if c != '\\' && c != '[' => c,
                    _ => return Err("a range in a class must be between two characters".to_owned()),
                };
                self.at += 1;
                if high < low {
                    return Err("a range in a class is empty".to_owned());
                }
            }
            sets.push(Set::Range(low, high));
        }
    }
}

fn set(c: char) -> Option<Set> {
    Some(match c {
        'd' => Set::Digit(true),
        'D' => Set::Digit(false),
        'w' => Set::Word(true),
        'W' => Set::Word(false),
        's' => Set::Space(true),
        'S' => Set::Space(false),
        _ => return None,
    })
}

/// The character that `\c` stands for.
fn escaped(c: char) -> Result<char, String> {
    match c {
        't' => Ok('\t'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        'f' => Ok('\u{c}'),
        c if c.is_ascii_alphanumeric() || c == '<' || c == '>' || c == '`' || c == '\'' => {
            Err(format!("\\{c} is not supported"))
        }
        c => Ok(c),
    }
}

fn may_be_empty(node: &Node) -> bool {
    match node {
        Node::Char(_) | Node::Any | Node::Class { .. } => false,
        Node::Assert(_) | Node::Ahead { .. } => true,
        Node::Sequence(nodes) => nodes.iter().all(may_be_empty),
        Node::Alternatives(nodes) => nodes.iter().any(may_be_empty),
        Node::Group(_, node) => may_be_empty(node),
        Node::Repeat { node, least, .. } => *least == 0 || may_be_empty(node),
    }
}
