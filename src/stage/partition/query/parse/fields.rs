//! Fields of an object construction: their keys, and values that are terms or pipes of terms.

use super::super::ast::Ast;
use super::super::lex::Token;
use super::super::value::Value;
use super::{Parsed, Parser, index};

impl Parser {
    /// One field of an object construction.
    pub(super) fn field(&mut self) -> Parsed<(Ast, Ast)> {
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
}
