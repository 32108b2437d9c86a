//! Patterns, which bind variables to parts of a value.

use super::super::ast::Pattern;
use super::super::lex::{Piece, Token};
use super::super::refusals;
use super::super::value::Value;
use super::{Name, Parsed, Parser};

impl Parser {
    pub(super) fn pattern(&mut self) -> Parsed<Pattern> {
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
}
