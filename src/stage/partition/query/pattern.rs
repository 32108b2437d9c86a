//! Regular expressions as Oniguruma takes them for jq 1.6, in the part of its syntax that is taken here.
//!
//! Literals, `.`, classes, `\d \w \s \b` and their opposites, `^ $ \A \z \Z`, groups with and without a name, `(?=…)`,
//! `(?!…)`, alternatives, greedy and lazy repetition. Everything else is refused at Create. A backtracking machine with
//! a stack of its own, so that Oniguruma's choice among matches is kept; each step counts.

use super::limits::{Run, Stop};
use std::sync::OnceLock;

/// Most instructions of a pattern.
const MAX_CODE: usize = 20_000;
/// Deepest nesting of groups.
const MAX_NESTING: usize = 30;
/// Most places that are kept to go back to.
const MAX_STACK: usize = 200_000;

/// First byte and end of the whole match and of each group, none for a group without part in it.
pub type Groups = Vec<Option<(usize, usize)>>;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    code: Vec<Code>,
    any_case: bool,
    /// Names of the groups, in the order of their brackets.
    pub names: Vec<Option<String>>,
}

#[derive(Debug, Clone)]
enum Set {
    Range(char, char),
    Digit(bool),
    Word(bool),
    Space(bool),
}

#[derive(Debug, Clone)]
enum Node {
    Char(char),
    Any,
    Class { negated: bool, sets: Vec<Set> },
    Assert(Assertion),
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
    Group(usize, Box<Node>),
    Ahead { negated: bool, node: Box<Node> },
    Repeat { node: Box<Node>, least: usize, most: Option<usize>, lazy: bool },
}

#[derive(Debug, Clone, Copy)]
enum Assertion {
    Start,
    End,
    /// The end, or before a line feed that is the end.
    LastLine,
    Boundary(bool),
}

#[derive(Debug)]
enum Code {
    Char(char),
    Any,
    Class {
        negated: bool,
        sets: Vec<Set>,
    },
    Assert(Assertion),
    /// Go on at the first, and later at the second.
    Split(usize, usize),
    Jump(usize),
    Save(usize),
    /// What stands up to `upto` matches here, or does not.
    Ahead {
        negated: bool,
        upto: usize,
    },
    Match,
}

impl Pattern {
    /// Compiles `text`.
    pub fn parse(text: &str, any_case: bool) -> Result<Self, String> {
        if any_case && !text.is_ascii() {
            return Err("without regard to case only ASCII is supported".to_owned());
        }
        let mut parser = Parser { rest: text.chars().collect(), at: 0, names: Vec::new(), nesting: 0 };
        let node = parser.alternatives()?;
        if parser.at < parser.rest.len() {
            return Err("')' closes nothing".to_owned());
        }
        let (named, all) = (parser.names.iter().flatten(), &parser.names);
        if named.clone().enumerate().any(|(i, name)| all.iter().flatten().take(i).any(|other| other == name)) {
            return Err("a group's name is given twice".to_owned());
        }
        let mut pattern = Self { code: Vec::new(), any_case, names: parser.names };
        pattern.emit(&node)?;
        pattern.push(Code::Match)?;
        Ok(pattern)
    }

    fn push(&mut self, code: Code) -> Result<usize, String> {
        if self.code.len() >= MAX_CODE {
            return Err("it is too long".to_owned());
        }
        self.code.push(code);
        Ok(self.code.len() - 1)
    }

    fn emit(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Char(c) => self.push(Code::Char(*c)).map(|_| ()),
            Node::Any => self.push(Code::Any).map(|_| ()),
            Node::Class { negated, sets } => {
                self.push(Code::Class { negated: *negated, sets: sets.clone() }).map(|_| ())
            }
            Node::Assert(assertion) => self.push(Code::Assert(*assertion)).map(|_| ()),
            Node::Sequence(nodes) => nodes.iter().try_for_each(|node| self.emit(node)),
            Node::Alternatives(nodes) => {
                let mut ends = Vec::new();
                for (i, node) in nodes.iter().enumerate() {
                    if i + 1 == nodes.len() {
                        self.emit(node)?;
                        break;
                    }
                    let split = self.push(Code::Split(0, 0))?;
                    self.emit(node)?;
                    ends.push(self.push(Code::Jump(0))?);
                    self.code[split] = Code::Split(split + 1, self.code.len());
                }
                let end = self.code.len();
                ends.into_iter().for_each(|at| self.code[at] = Code::Jump(end));
                Ok(())
            }
            Node::Group(number, node) => {
                self.push(Code::Save(number * 2))?;
                self.emit(node)?;
                self.push(Code::Save(number * 2 + 1)).map(|_| ())
            }
            Node::Ahead { negated, node } => {
                let begins = self.push(Code::Match)?;
                self.emit(node)?;
                self.push(Code::Match)?;
                self.code[begins] = Code::Ahead { negated: *negated, upto: self.code.len() };
                Ok(())
            }
            Node::Repeat { node, least, most, lazy } => {
                (0..*least).try_for_each(|_| self.emit(node))?;
                let split = |inside, after| if *lazy { Code::Split(after, inside) } else { Code::Split(inside, after) };
                match most {
                    None => {
                        let begins = self.push(Code::Match)?;
                        self.emit(node)?;
                        self.push(Code::Jump(begins))?;
                        self.code[begins] = split(begins + 1, self.code.len());
                    }
                    Some(most) => {
                        let mut splits = Vec::new();
                        for _ in *least..*most {
                            splits.push(self.push(Code::Match)?);
                            self.emit(node)?;
                        }
                        let end = self.code.len();
                        splits.into_iter().for_each(|at| self.code[at] = split(at + 1, end));
                    }
                }
                Ok(())
            }
        }
    }

    /// The first match at or after byte `from`: the bounds of the whole and of each group.
    pub fn search(&self, run: &mut Run, text: &str, from: usize) -> Result<Option<Groups>, Stop> {
        if self.any_case && text.chars().any(folds_to_ascii) {
            return Err(Stop::Limit("a letter such as ß is matched without regard to case"));
        }
        let starts = text[from..].char_indices().map(|(at, _)| from + at).chain([text.len()]);
        for start in starts {
            let mut saved = vec![None; (self.names.len() + 1) * 2];
            if let Some(end) = self.run(run, text, start, 0, &mut saved)? {
                let mut groups = vec![Some((start, end))];
                for bounds in saved[2..].chunks(2) {
                    groups.push(bounds[0].zip(bounds[1]));
                }
                return Ok(Some(groups));
            }
        }
        Ok(None)
    }

    fn run(
        &self,
        run: &mut Run,
        text: &str,
        start: usize,
        begins: usize,
        saved: &mut Vec<Option<usize>>,
    ) -> Result<Option<usize>, Stop> {
        enum Back {
            Goto(usize, usize),
            Restore(usize, Option<usize>),
        }
        let mut stack: Vec<Back> = Vec::new();
        let (mut at, mut pc) = (start, begins);
        loop {
            run.take_steps(1)?;
            let next = || text[at..].chars().next();
            let taken = match &self.code[pc] {
                Code::Match => return Ok(Some(at)),
                Code::Jump(target) => {
                    pc = *target;
                    continue;
                }
                Code::Split(first, second) => {
                    if stack.len() >= MAX_STACK {
                        return Err(Stop::Limit("a match takes too much memory"));
                    }
                    stack.push(Back::Goto(*second, at));
                    pc = *first;
                    continue;
                }
                Code::Save(slot) => {
                    stack.push(Back::Restore(*slot, saved[*slot]));
                    saved[*slot] = Some(at);
                    pc += 1;
                    continue;
                }
                Code::Ahead { negated, upto } => {
                    let mut inside = saved.clone();
                    run.take_steps(inside.len() as u64)?;
                    let found = self.run(run, text, at, pc + 1, &mut inside)?.is_some();
                    if found && !negated {
                        for (slot, value) in inside.iter().enumerate() {
                            if saved[slot] != *value {
                                stack.push(Back::Restore(slot, saved[slot]));
                            }
                        }
                        *saved = inside;
                    }
                    if found != *negated {
                        pc = *upto;
                        continue;
                    }
                    None
                }
                Code::Assert(assertion) => {
                    if self.holds(*assertion, text, at) {
                        pc += 1;
                        continue;
                    }
                    None
                }
                Code::Char(c) => next().filter(|found| self.same(*c, *found)),
                Code::Any => next().filter(|found| *found != '\n'),
                Code::Class { negated, sets } => next().filter(|found| self.is_in(sets, *found) != *negated),
            };
            if let Some(c) = taken {
                at += c.len_utf8();
                pc += 1;
                continue;
            }
            loop {
                match stack.pop() {
                    None => return Ok(None),
                    Some(Back::Restore(slot, value)) => saved[slot] = value,
                    Some(Back::Goto(target, place)) => {
                        (pc, at) = (target, place);
                        break;
                    }
                }
            }
        }
    }

    fn same(&self, a: char, b: char) -> bool {
        a == b || (self.any_case && a.eq_ignore_ascii_case(&b))
    }

    fn is_in(&self, sets: &[Set], c: char) -> bool {
        let is_in = |c: char| {
            sets.iter().any(|set| match set {
                Set::Range(first, last) => (*first..=*last).contains(&c),
                Set::Digit(yes) => is_digit(c) == *yes,
                Set::Word(yes) => is_word(c) == *yes,
                Set::Space(yes) => is_space(c) == *yes,
            })
        };
        is_in(c) || (self.any_case && (is_in(c.to_ascii_lowercase()) || is_in(c.to_ascii_uppercase())))
    }

    fn holds(&self, assertion: Assertion, text: &str, at: usize) -> bool {
        match assertion {
            Assertion::Start => at == 0,
            Assertion::End => at == text.len(),
            Assertion::LastLine => at == text.len() || &text[at..] == "\n",
            Assertion::Boundary(yes) => {
                let before = text[..at].chars().next_back().is_some_and(is_word);
                let after = text[at..].chars().next().is_some_and(is_word);
                (before != after) == yes
            }
        }
    }
}

/// Whether Oniguruma finds the character equal to ASCII letters if case does not matter.
fn folds_to_ascii(c: char) -> bool {
    matches!(c, 'ß' | 'ẞ' | 'ſ' | 'İ' | '\u{212a}' | '\u{fb00}'..='\u{fb06}')
}

fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// The ranges of a class of Unicode.
fn ranges(class: &str) -> Vec<(char, char)> {
    let parsed = regex_syntax::Parser::new().parse(class);
    match parsed.map(regex_syntax::hir::Hir::into_kind) {
        Ok(regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class))) => {
            class.iter().map(|range| (range.start(), range.end())).collect()
        }
        _ => Vec::new(),
    }
}

fn is_among(ranges: &[(char, char)], c: char) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after > 0 && ranges[after - 1].1 >= c
}

fn is_digit(c: char) -> bool {
    static DIGITS: OnceLock<Vec<(char, char)>> = OnceLock::new();
    c.is_ascii_digit() || (!c.is_ascii() && is_among(DIGITS.get_or_init(|| ranges(r"\d")), c))
}

fn is_word(c: char) -> bool {
    static WORDS: OnceLock<Vec<(char, char)>> = OnceLock::new();
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    is_among(WORDS.get_or_init(|| ranges(r"\w")), c)
}

struct Parser {
    rest: Vec<char>,
    at: usize,
    names: Vec<Option<String>>,
    nesting: usize,
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

    fn alternatives(&mut self) -> Result<Node, String> {
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
            'b' => Node::Assert(Assertion::Boundary(true)),
            'B' => Node::Assert(Assertion::Boundary(false)),
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
