//! Expressions: operators by how strongly they bind, and what begins with a word.

use super::super::ast::{Ast, Definition};
use super::super::functions;
use super::super::lex::Token;
use super::super::refusals;
use super::super::value::Value;
use super::{Name, Parsed, Parser};
use std::sync::Arc;

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

impl Parser {
    /// An expression of operators that bind at least as strongly as `least`.
    pub(super) fn expression(&mut self, least: u8) -> Parsed<Ast> {
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

    /// A definition; its name stays in scope.
    pub(super) fn definition(&mut self) -> Parsed<Arc<Definition>> {
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
