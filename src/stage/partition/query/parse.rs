//! The grammar of jq 1.6 over `lex`'s words, and the names in it.
//!
//! As jq's own grammar has it, with its oddities: a field of an object construction is a term or a pipe of terms, so that
//! `{a: .b // 1}` needs brackets; `try` takes the shortest expression; `?` after brackets is a `try` around all before
//! it. What jq 1.6 does not compile is refused, and so is what could not end as jq 1.6 would: [`super::refusals`].

use super::ast::{Ast, Definition, Format, Id, Pattern};
use super::functions;
use super::lex::{Piece, Token, lex};
use super::library;
use super::refusals;
use super::value::Value;
use std::sync::Arc;

/// Most expressions inside of each other.
const MAX_NESTING: usize = 100;
/// Most operators and path steps in all, each of which makes the tree deeper.
const MAX_LINKS: usize = 2000;

/// How strongly an operator binds, weakest first.
mod binding {
    pub const PIPE: u8 = 1;
    pub const COMMA: u8 = 2;
    pub const ALTERNATIVE: u8 = 3;
    pub const ASSIGN: u8 = 4;
    pub const OR: u8 = 5;
    pub const AND: u8 = 6;
    pub const COMPARE: u8 = 7;
    pub const ADD: u8 = 8;
    pub const MULTIPLY: u8 = 9;
    pub const OPTIONAL: u8 = 10;
    /// No operator at all.
    pub const NONE: u8 = 11;
}

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

    /// One field of an object construction.
    fn field(&mut self) -> Parsed<(Ast, Ast)> {
        let token = self.peek().cloned().ok_or_else(|| self.unexpected("a key"))?;
        self.at += 1;
        match token {
            Token::Name(name) => {
                let key = Ast::Const(Value::text(&name));
                if self.take(":") {
                    return Ok((key, self.field_value()?));
                }
                Ok((key, index(Ast::Identity, Ast::Const(Value::text(&name)))))
            }
            Token::Keyword(word) => {
                self.expect(":")?;
                Ok((Ast::Const(Value::text(word)), self.field_value()?))
            }
            Token::String(_) | Token::Format(_) => {
                self.at -= 1;
                let begins = self.at;
                let key = self.string()?;
                if self.take(":") {
                    return Ok((key, self.field_value()?));
                }
                // The key's expression serves twice, so it is parsed again.
                let ends = std::mem::replace(&mut self.at, begins);
                let again = self.string()?;
                self.at = ends;
                if !matches!(key, Ast::Const(_)) {
                    return Err("a key with an interpolation needs a value of its own".to_owned());
                }
                Ok((key, index(Ast::Identity, again)))
            }
            Token::Sign("$") => match self.peek().cloned() {
                Some(Token::Name(name)) => Ok((Ast::Const(Value::text(&name)), {
                    self.at += 1;
                    self.variable(&name)?
                })),
                _ => Err(self.unexpected("the name of a variable")),
            },
            Token::Sign("(") => {
                let key = self.expression(0)?;
                self.expect(")")?;
                self.expect(":")?;
                if let Ast::Const(constant) = &key
                    && !matches!(constant, Value::String(_))
                {
                    return Err(format!("a {} cannot be the key of an object", constant.kind()));
                }
                Ok((key, self.field_value()?))
            }
            _ => {
                self.at -= 1;
                Err(self.unexpected("a key"))
            }
        }
    }

    fn field_value(&mut self) -> Parsed<Ast> {
        self.nested(|parser| {
            let value = if parser.take("-") {
                let mut signs = 1;
                while parser.take("-") {
                    parser.link()?;
                    signs += 1;
                }
                let term = parser.term()?;
                (0..signs).fold(term, |value, _| Ast::Negate(Box::new(value)))
            } else {
                parser.term()?
            };
            if parser.take("|") {
                return Ok(Ast::Pipe(Box::new(value), Box::new(parser.field_value()?)));
            }
            Ok(value)
        })
        .map_err(|error| match self.peek() {
            Some(Token::Keyword("if" | "try" | "reduce" | "foreach" | "def" | "label")) => {
                format!("{error}; put the value into round brackets")
            }
            _ => error,
        })
        .and_then(|value| match self.peek() {
            Some(Token::Sign(sign)) if !matches!(*sign, "," | "}" | "|") => Err(format!(
                "found '{sign}' after a value; jq 1.6 takes a value with operators only in round brackets: {{key:(… {sign} …)}}"
            )),
            _ => Ok(value),
        })
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

    /// An expression of operators that bind at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Parsed<Ast> {
        self.nested(|parser| parser.operators(least))
    }

    fn operators(&mut self, least: u8) -> Parsed<Ast> {
        let depth = self.scope.len();
        let mut left = self.prefix()?;
        self.scope.truncate(depth);
        let mut refused = None;
        loop {
            self.link()?;
            let Some(Token::Sign(sign) | Token::Keyword(sign)) = self.peek().cloned() else {
                return Ok(left);
            };
            if sign == "?" && least <= binding::OPTIONAL {
                self.at += 1;
                left = Ast::Try { body: Box::new(left), catch: None };
                continue;
            }
            let (strength, right_strength) = match sign {
                "|" => (binding::PIPE, binding::PIPE),
                "," => (binding::COMMA, binding::COMMA + 1),
                "//" => (binding::ALTERNATIVE, binding::ALTERNATIVE),
                "=" | "|=" | "+=" | "-=" | "*=" | "/=" | "%=" | "//=" => (binding::ASSIGN, binding::ASSIGN + 1),
                "or" => (binding::OR, binding::OR + 1),
                "and" => (binding::AND, binding::AND + 1),
                "==" | "!=" | "<" | ">" | "<=" | ">=" => (binding::COMPARE, binding::COMPARE + 1),
                "+" | "-" => (binding::ADD, binding::ADD + 1),
                "*" | "/" | "%" => (binding::MULTIPLY, binding::MULTIPLY + 1),
                "?//" => return Err(refusals::ALTERNATIVES.to_owned()),
                _ => return Ok(left),
            };
            if strength < least {
                return Ok(left);
            }
            if refused == Some(strength) {
                return Err(format!("'{sign}' cannot follow another of its kind; use round brackets"));
            }
            refused = matches!(strength, binding::ASSIGN | binding::COMPARE).then_some(strength);
            self.at += 1;
            let right = self.expression(right_strength)?;
            left = binary(sign, left, right)?;
        }
    }

    /// What an expression begins with.
    fn prefix(&mut self) -> Parsed<Ast> {
        let word = match self.peek() {
            Some(Token::Keyword(word) | Token::Sign(word)) => *word,
            _ => "",
        };
        match word {
            "def" => {
                let definition = self.definition()?;
                Ok(Ast::Define(definition, Box::new(self.expression(0)?)))
            }
            "reduce" | "foreach" => self.fold(word == "foreach"),
            "if" => {
                self.at += 1;
                self.condition()
            }
            "try" => {
                self.at += 1;
                let body = Box::new(self.expression(binding::NONE)?);
                let catch = if self.take("catch") { Some(Box::new(self.expression(binding::NONE)?)) } else { None };
                Ok(Ast::Try { body, catch })
            }
            "label" => {
                self.at += 1;
                let name = self.variable_name()?;
                self.expect("|")?;
                let id = self.bind(Name::Label(name));
                Ok(Ast::Label(id, Box::new(self.expression(0)?)))
            }
            "-" => {
                self.at += 1;
                Ok(Ast::Negate(Box::new(self.expression(binding::MULTIPLY)?)))
            }
            _ => {
                let source = self.term()?;
                if !self.take("as") {
                    return Ok(source);
                }
                let pattern = self.pattern()?;
                self.expect("|")?;
                Ok(Ast::Bind { source: Box::new(source), pattern, body: Box::new(self.expression(0)?) })
            }
        }
    }

    fn condition(&mut self) -> Parsed<Ast> {
        let condition = Box::new(self.expression(0)?);
        self.expect("then")?;
        let then = Box::new(self.expression(0)?);
        let otherwise = if self.take("elif") {
            Box::new(self.nested(Self::condition)?)
        } else {
            if self.next_is("end") {
                return Err("jq 1.6 has no `if` without `else`: add `else .`".to_owned());
            }
            self.expect("else")?;
            let otherwise = self.expression(0)?;
            self.expect("end")?;
            Box::new(otherwise)
        };
        Ok(Ast::If { condition, then, otherwise })
    }

    fn fold(&mut self, each: bool) -> Parsed<Ast> {
        self.at += 1;
        let source = Box::new(self.term()?);
        self.expect("as")?;
        let depth = self.scope.len();
        let pattern = self.pattern()?;
        self.expect("(")?;
        // The start is outside of the pattern's variables.
        let bound: Vec<_> = self.scope.drain(depth..).collect();
        let init = Box::new(self.expression(0)?);
        self.scope.extend(bound);
        self.expect(";")?;
        let update = Box::new(self.expression(0)?);
        let extract = if each && self.take(";") { self.expression(0)? } else { Ast::Identity };
        self.expect(")")?;
        self.scope.truncate(depth);
        Ok(if each {
            Ast::Foreach { source, pattern, init, update, extract: Box::new(extract) }
        } else {
            Ast::Reduce { source, pattern, init, update }
        })
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

    fn pattern(&mut self) -> Parsed<Pattern> {
        let pattern = self.nested(Self::pattern_inside)?;
        if self.next_is("?//") { Err(refusals::ALTERNATIVES.to_owned()) } else { Ok(pattern) }
    }

    fn pattern_inside(&mut self) -> Parsed<Pattern> {
        if self.next_is("$") {
            let name = self.variable_name()?;
            return Ok(Pattern::Variable(self.bind(Name::Variable(name))));
        }
        if self.take("[") {
            let mut items = vec![self.pattern()?];
            while self.take(",") {
                items.push(self.pattern()?);
            }
            self.expect("]")?;
            return Ok(Pattern::Array(items));
        }
        self.expect("{")?;
        let mut fields = Vec::new();
        loop {
            if self.next_is("$") {
                let name = self.variable_name()?;
                let id = self.bind(Name::Variable(name.clone()));
                let inside = if self.take(":") { Some(self.pattern()?) } else { None };
                fields.push((Value::text(&name), Some(id), inside));
            } else {
                let key = match self.peek().cloned() {
                    Some(Token::Name(name)) => Value::text(&name),
                    Some(Token::Keyword(word)) => Value::text(word),
                    Some(Token::String(pieces)) => match pieces.as_slice() {
                        [] => Value::text(""),
                        [Piece::Text(text)] => Value::text(text),
                        _ => return Err("a computed key in a pattern is not supported".to_owned()),
                    },
                    Some(Token::Sign("(")) => return Err("a computed key in a pattern is not supported".to_owned()),
                    _ => return Err(self.unexpected("a key of a pattern")),
                };
                self.at += 1;
                self.expect(":")?;
                fields.push((key, None, Some(self.pattern()?)));
            }
            if !self.take(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(Pattern::Object(fields))
    }

    /// A definition; its name stays in scope.
    fn definition(&mut self) -> Parsed<Arc<Definition>> {
        self.at += 1;
        let name = match self.peek().cloned() {
            Some(Token::Name(name)) => name,
            _ => return Err(self.unexpected("the name of a function")),
        };
        self.at += 1;
        let mut names = Vec::new();
        if self.take("(") {
            loop {
                let variable = self.take("$");
                match self.peek().cloned() {
                    Some(Token::Name(parameter)) => names.push((parameter, variable)),
                    _ => return Err(self.unexpected("the name of a parameter")),
                }
                self.at += 1;
                if !self.take(";") {
                    break;
                }
            }
            self.expect(")")?;
        }
        self.expect(":")?;
        let id = self.bind(Name::Function(name, names.len()));
        let depth = self.scope.len();
        let parameters = names
            .into_iter()
            .map(|(name, variable)| {
                let closure = self.bind(Name::Function(name.clone(), 0));
                (closure, variable.then(|| self.bind(Name::Variable(name))))
            })
            .collect();
        let body = self.expression(0)?;
        self.expect(";")?;
        self.scope.truncate(depth);
        Ok(Arc::new(Definition { id, parameters, body }))
    }

    fn term(&mut self) -> Parsed<Ast> {
        let mut term = self.term_head()?;
        loop {
            self.link()?;
            match self.peek().cloned() {
                Some(Token::Field(name)) => {
                    self.at += 1;
                    let key = Box::new(Ast::Const(Value::text(&name)));
                    term = Ast::Index { of: Box::new(term), key, optional: self.take("?") };
                }
                Some(Token::Sign(".")) => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(Token::String(_) | Token::Format(_))) {
                        return Err(self.unexpected("the name of a field"));
                    }
                    let key = Box::new(self.string()?);
                    term = Ast::Index { of: Box::new(term), key, optional: self.take("?") };
                }
                Some(Token::Sign("[")) => {
                    self.at += 1;
                    term = self.nested(|parser| parser.bracket(term))?;
                }
                _ => return Ok(term),
            }
        }
    }

    fn bracket(&mut self, of: Ast) -> Parsed<Ast> {
        let of = Box::new(of);
        if self.take("]") {
            return Ok(Ast::Each { of, optional: self.take("?") });
        }
        let from = if self.next_is(":") { None } else { Some(Box::new(self.expression(0)?)) };
        if !self.take(":") {
            self.expect("]")?;
            let key = from.ok_or("an index is missing")?;
            return Ok(Ast::Index { of, key, optional: self.take("?") });
        }
        let upto = if self.next_is("]") && from.is_some() { None } else { Some(Box::new(self.expression(0)?)) };
        self.expect("]")?;
        Ok(Ast::Slice { of, from, upto, optional: self.take("?") })
    }

    fn term_head(&mut self) -> Parsed<Ast> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.unexpected("a value"));
        };
        match token {
            Token::Field(name) => {
                self.at += 1;
                let key = Box::new(Ast::Const(Value::text(&name)));
                Ok(Ast::Index { of: Box::new(Ast::Identity), key, optional: self.take("?") })
            }
            Token::Number(number) => {
                self.at += 1;
                Ok(Ast::Const(Value::Number(number)))
            }
            Token::String(_) => self.string(),
            Token::Format(name) => {
                if matches!(self.tokens.get(self.at + 1), Some(Token::String(_))) {
                    return self.string();
                }
                self.at += 1;
                Ok(Ast::Format(Format::named(&name).ok_or_else(|| format!("@{name} is not a format"))?))
            }
            Token::Sign(".") => {
                self.at += 1;
                if matches!(self.peek(), Some(Token::String(_)))
                    || (matches!(self.peek(), Some(Token::Format(_)))
                        && matches!(self.tokens.get(self.at + 1), Some(Token::String(_))))
                {
                    let key = Box::new(self.string()?);
                    return Ok(Ast::Index { of: Box::new(Ast::Identity), key, optional: self.take("?") });
                }
                match self.peek() {
                    Some(Token::Name(_)) => Err(self.unexpected("the end of '.'")),
                    _ => Ok(Ast::Identity),
                }
            }
            Token::Sign("..") => {
                self.at += 1;
                Ok(Ast::Recurse)
            }
            Token::Sign("(") => {
                self.at += 1;
                let inside = self.expression(0)?;
                self.expect(")")?;
                Ok(inside)
            }
            Token::Sign("[") => {
                self.at += 1;
                if self.take("]") {
                    return Ok(Ast::Const(Value::empty_array()));
                }
                let inside = self.expression(0)?;
                self.expect("]")?;
                Ok(Ast::Array(Box::new(inside)))
            }
            Token::Sign("{") => {
                self.at += 1;
                let mut fields = Vec::new();
                while !self.take("}") {
                    fields.push(self.field()?);
                    if !self.next_is("}") {
                        self.expect(",")?;
                    }
                }
                Ok(Ast::Object(fields))
            }
            Token::Sign("$") => {
                if matches!(self.tokens.get(self.at + 1), Some(Token::Keyword("__loc__"))) {
                    return Err("$__loc__ is not supported".to_owned());
                }
                let name = self.variable_name()?;
                self.variable(&name)
            }
            Token::Keyword("break") => {
                self.at += 1;
                let name = self.variable_name()?;
                let bound = |(bound, _): &&(Name, Id)| matches!(bound, Name::Label(other) if *other == name);
                match self.scope.iter().rev().find(bound) {
                    Some((_, id)) => Ok(Ast::Break(*id)),
                    None => Err(format!("the label ${name} of a break is not defined")),
                }
            }
            Token::Name(name) => {
                self.at += 1;
                self.call(&name)
            }
            Token::Keyword(_) | Token::Sign(_) => Err(self.unexpected("a value")),
        }
    }

    /// A string, its format before it.
    fn string(&mut self) -> Parsed<Ast> {
        let mut format = Format::Text;
        if let Some(Token::Format(name)) = self.peek() {
            format = Format::named(name).ok_or_else(|| format!("@{name} is not a format"))?;
            self.at += 1;
        }
        let Some(Token::String(pieces)) = self.peek().cloned() else {
            return Err(self.unexpected("a string"));
        };
        self.at += 1;
        if !pieces.iter().any(|piece| matches!(piece, Piece::Program(_))) {
            let text: String =
                pieces.iter().filter_map(|p| if let Piece::Text(t) = p { Some(&**t) } else { None }).collect();
            return Ok(Ast::Const(Value::text(&text)));
        }
        let mut parts = Vec::new();
        for piece in pieces {
            parts.push(match piece {
                Piece::Text(text) => Ast::Const(Value::text(&text)),
                Piece::Program(tokens) => {
                    let outer = (std::mem::replace(&mut self.tokens, tokens), std::mem::take(&mut self.at));
                    let inside = self.expression(0)?;
                    if self.peek().is_some() {
                        return Err(self.unexpected("')'"));
                    }
                    (self.tokens, self.at) = outer;
                    // Marks what is to be formatted.
                    Ast::Array(Box::new(inside))
                }
            });
        }
        Ok(Ast::Interpolation { format, parts })
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

fn binary(sign: &str, left: Ast, right: Ast) -> Parsed<Ast> {
    if let (Ast::Const(Value::Number(a)), Ast::Const(Value::Number(b))) = (&left, &right) {
        // jq computes these when it compiles, where a division by zero is not an error of the record.
        let folded = match sign {
            "+" => Some(a + b),
            "-" => Some(a - b),
            "*" => Some(a * b),
            "/" => Some(a / b),
            _ => None,
        };
        if let Some(folded) = folded {
            if sign == "/" && folded.is_infinite() {
                return Err("a division by zero".to_owned());
            }
            return Ok(Ast::Const(Value::Number(folded)));
        }
    }
    let (left, right) = (Box::new(left), Box::new(right));
    let arithmetic = |sign: &str| functions::operator(sign);
    Ok(match sign {
        "|" => Ast::Pipe(left, right),
        "," => Ast::Comma(left, right),
        "//" => Ast::Alternative(left, right),
        "and" => Ast::And(left, right),
        "or" => Ast::Or(left, right),
        "=" => Ast::Assign(left, right),
        "|=" => Ast::Modify(left, right),
        "//=" => Ast::Update(None, left, right),
        "+=" | "-=" | "*=" | "/=" | "%=" => Ast::Update(arithmetic(&sign[..1]), left, right),
        _ => match arithmetic(sign) {
            Some(function) => Ast::Apply(function, vec![*left, *right]),
            None => return Err(format!("'{sign}' is not an operator")),
        },
    })
}
