//! The grammar of jq 1.6 over `lex`'s words, and the names in it.
//!
//! As jq's own grammar has it, with its oddities: a field of an object construction is a term or a pipe of terms, so that
//! `{a: .b // 1}` needs brackets; `try` takes the shortest expression; `?` after brackets is a `try` around all before
//! it. `expression` has the operators and what begins with a word, `term` what they stand between, `fields` objects, and
//! `patterns` what `as` binds to. What jq 1.6 does not compile is refused, and so is what could not end as jq 1.6 would: [`super::refusals`].

mod expression;
mod fields;
mod patterns;
mod term;

use super::ast::{Ast, Definition, Id};
use super::functions;
use super::lex::{Token, lex};
use super::library;
use super::refusals;
use super::value::Value;
use std::sync::Arc;

/// Most expressions inside of each other.
const MAX_NESTING: usize = 100;
/// Most operators and path steps in all, each of which makes the tree deeper.
const MAX_LINKS: usize = 2000;

/// A parsed program and the library functions it uses.
#[derive(Debug)]
pub struct Program {
    /// Names and expressions of the object's fields.
    pub fields: Vec<(String, Ast)>,
    /// Definitions that [`Ast::Library`] names.
    pub library: Vec<Arc<Definition>>,
}

/// Parses a program that is an object construction.
pub fn parse(text: &str) -> Result<Program, String> {
    let mut parser = Parser::new(lex(text)?, Shared::default());
    let fields = parser.top()?;
    // A function that could not be parsed has ended the whole before.
    let library = parser.shared.library.into_iter().map(|(_, _, made)| made).collect::<Option<_>>();
    let library = library.ok_or_else(|| "a function of the library was not parsed".to_owned())?;
    Ok(Program { fields, library })
}

/// What nested parsers share.
#[derive(Default)]
struct Shared {
    next_id: Id,
    library: Vec<(&'static str, usize, Option<Arc<Definition>>)>,
    nesting: usize,
    links: usize,
}

enum Name {
    Function(String, usize),
    Variable(String),
    Label(String),
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    scope: Vec<(Name, Id)>,
    shared: Shared,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn new(tokens: Vec<Token>, shared: Shared) -> Self {
        Self { tokens, at: 0, scope: Vec::new(), shared }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next_is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found) | Token::Keyword(found)) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.next_is(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Field(name)) => format!("'.{name}'"),
            Some(Token::Name(name)) => format!("'{name}'"),
            Some(Token::Number(number)) => format!("'{number}'"),
            Some(Token::Format(name)) => format!("'@{name}'"),
            Some(Token::String(_)) => "a string".to_owned(),
            Some(Token::Keyword(word) | Token::Sign(word)) => format!("'{word}'"),
        };
        format!("found {found} where {wanted} was expected")
    }

    fn id(&mut self) -> Id {
        self.shared.next_id += 1;
        self.shared.next_id
    }

    fn bind(&mut self, name: Name) -> Id {
        let id = self.id();
        self.scope.push((name, id));
        id
    }

    fn top(&mut self) -> Parsed<Vec<(String, Ast)>> {
        if let Some(Token::Keyword(word @ ("import" | "include" | "module"))) = self.peek() {
            return Err(format!("{word}: a query cannot use modules"));
        }
        if !self.take("{") {
            return Err("it must be an object construction such as {customer_id:.customer_id}".to_owned());
        }
        let mut fields: Vec<(String, Ast)> = Vec::new();
        while !self.take("}") {
            let (key, value) = self.field()?;
            let Ast::Const(Value::String(key)) = key else {
                return Err("the name of a key is computed; it must be written out".to_owned());
            };
            if fields.iter().any(|(other, _)| **other == *key) {
                return Err(format!("the key {key} is given twice"));
            }
            fields.push((key.to_string(), value));
            if !self.next_is("}") {
                self.expect(",")?;
            }
        }
        match self.peek() {
            None => Ok(fields),
            Some(_) => Err(self.unexpected("the end")),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.shared.nesting >= MAX_NESTING {
            return Err("it is nested too deep".to_owned());
        }
        self.shared.nesting += 1;
        let parsed = parse(self);
        self.shared.nesting -= 1;
        parsed
    }

    fn link(&mut self) -> Parsed<()> {
        self.shared.links += 1;
        if self.shared.links > MAX_LINKS { Err("it is too long".to_owned()) } else { Ok(()) }
    }

    fn variable_name(&mut self) -> Parsed<String> {
        self.expect("$")?;
        match self.peek().cloned() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name after '$'")),
        }
    }

    fn variable(&mut self, name: &str) -> Parsed<Ast> {
        let bound = |(bound, _): &&(Name, Id)| matches!(bound, Name::Variable(other) if other == name);
        if let Some((_, id)) = self.scope.iter().rev().find(bound) {
            return Ok(Ast::Variable(*id));
        }
        Err(match name {
            "ENV" | "__prog_args" => format!("${name} differs between machines"),
            _ => format!("${name} is not defined"),
        })
    }

    fn call(&mut self, name: &str) -> Parsed<Ast> {
        let mut arguments = Vec::new();
        if self.take("(") {
            arguments.push(self.expression(0)?);
            while self.take(";") {
                arguments.push(self.expression(0)?);
            }
            self.expect(")")?;
        } else {
            match name {
                "true" => return Ok(Ast::Const(Value::Bool(true))),
                "false" => return Ok(Ast::Const(Value::Bool(false))),
                "null" => return Ok(Ast::Const(Value::Null)),
                _ => {}
            }
        }
        let arity = arguments.len();
        let bound = |(bound, _): &&(Name, Id)| matches!(bound, Name::Function(other, count) if other == name && *count == arity);
        if let Some((_, id)) = self.scope.iter().rev().find(bound) {
            return Ok(Ast::Call(*id, arguments));
        }
        if let Some(reason) = refusals::of_function(name, arity) {
            return Err(reason);
        }
        if let Some(special) = refusals::special(name, &mut arguments)? {
            return Ok(special);
        }
        if let Some(function) = functions::named(name, arity) {
            return Ok(Ast::Apply(function, arguments));
        }
        if let Some(at) = self.library(name, arity)? {
            return Ok(Ast::Library(at, arguments));
        }
        Err(refusals::unknown(name, arity))
    }

    /// The place of a library function, which is parsed when it is first used.
    fn library(&mut self, name: &str, arity: usize) -> Parsed<Option<usize>> {
        let known = |(other, count, _): &(&str, usize, _)| *other == name && *count == arity;
        if let Some(at) = self.shared.library.iter().position(known) {
            return Ok(Some(at));
        }
        let Some((name, text)) = library::text_of(name, arity) else {
            return Ok(None);
        };
        let at = self.shared.library.len();
        self.shared.library.push((name, arity, None));
        let links = self.shared.links;
        let mut parser = Parser::new(lex(text)?, std::mem::take(&mut self.shared));
        let definition = parser.definition();
        self.shared = parser.shared;
        self.shared.links = links;
        self.shared.library[at].2 = Some(definition?);
        Ok(Some(at))
    }
}

fn index(of: Ast, key: Ast) -> Ast {
    Ast::Index { of: Box::new(of), key: Box::new(key), optional: false }
}
