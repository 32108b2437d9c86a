//! Regular expressions as Oniguruma takes them for jq 1.6, in the part of its syntax that is taken here.
//!
//! `syntax` reads a pattern, `matcher` runs it.
//!
//! Literals, `.`, classes, `\d \w \s` and their opposites, `\b`, `^ $ \A \z \Z`, groups with and without a name, `(?=…)`,
//! `(?!…)`, alternatives, greedy and lazy repetition. Everything else is refused at Create. A backtracking machine with
//! a stack of its own, so that Oniguruma's choice among matches is kept; each step counts.

mod matcher;
mod syntax;

use syntax::Parser;

/// Most instructions of a pattern.
const MAX_CODE: usize = 20_000;

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
    Boundary,
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
}
