//! Terms: what stands between operators, with the path steps after it.

use super::super::ast::{Ast, Format, Id};
use super::super::lex::{Piece, Token};
use super::super::value::Value;
use super::{Name, Parsed, Parser};

impl Parser {
    pub(super) fn term(&mut self) -> Parsed<Ast> {
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
    pub(super) fn string(&mut self) -> Parsed<Ast> {
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
}
