//! The words of a jq 1.6 program.
//!
//! As jq's own lexer has them: the longest word counts, white space is blank, tab and line feed alone.

use super::json;

/// Most strings with interpolations inside of each other.
const MAX_NESTED_STRINGS: usize = 16;

const KEYWORDS: &[&str] = &[
    "as", "import", "include", "module", "def", "if", "then", "else", "elif", "and", "or", "end", "reduce", "foreach",
    "try", "catch", "label", "break", "__loc__",
];
/// Longest first.
const SIGNS: &[&str] = &[
    "//=", "?//", "!=", "==", "//", "|=", "+=", "-=", "*=", "/=", "%=", "<=", ">=", "..", ".", "?", "=", ";", ",", ":",
    "|", "+", "-", "*", "/", "%", "$", "<", ">", "[", "]", "(", ")", "{", "}",
];

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// `.name`.
    Field(String),
    Name(String),
    Number(f64),
    /// `@name`.
    Format(String),
    String(Vec<Piece>),
    Keyword(&'static str),
    Sign(&'static str),
}

/// A piece of a string.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    /// What stands in `\(…)`.
    Program(Vec<Token>),
}

/// Splits `text`.
pub fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut lexer = Lexer { text, at: 0, strings: 0 };
    let tokens = lexer.tokens(false)?;
    debug_assert!(lexer.at == text.len());
    Ok(tokens)
}

/// How long jq's `[0-9.]+([eE][+-]?[0-9]+)?` is at the begin of `text`.
fn number_length(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mantissa = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    if !matches!(text.get(mantissa), Some(b'e' | b'E')) {
        return mantissa;
    }
    let first = mantissa + 1 + usize::from(matches!(text.get(mantissa + 1), Some(b'+' | b'-')));
    match text.get(first..).map_or(0, |_| digits(first)) {
        0 => mantissa,
        exponent => first + exponent,
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    strings: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take_while(&mut self, holds: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest().bytes().position(|byte| !holds(byte)).unwrap_or(self.rest().len());
        let taken = &self.rest()[..length];
        self.at += length;
        taken
    }

    /// The words up to the end, or up to the bracket that closes `\(`.
    fn tokens(&mut self, interpolated: bool) -> Result<Vec<Token>, String> {
        let (mut tokens, mut open) = (Vec::new(), Vec::new());
        loop {
            self.take_while(|byte| matches!(byte, b' ' | b'\n' | b'\t'));
            let rest = self.rest();
            let Some(first) = rest.bytes().next() else {
                return if interpolated { Err("a string is not closed".to_owned()) } else { Ok(tokens) };
            };
            if first == b'#' {
                self.take_while(|byte| byte != b'\n' && byte != b'\r');
                continue;
            }
            if first == b')' && open.is_empty() && interpolated {
                self.at += 1;
                return Ok(tokens);
            }
            let token = self.token(first)?;
            match token {
                Token::Sign(sign @ ("(" | "[" | "{")) => open.push(sign),
                Token::Sign(sign @ (")" | "]" | "}")) => match (open.pop(), sign) {
                    (Some("("), ")") | (Some("["), "]") | (Some("{"), "}") => {}
                    _ => return Err(format!("'{sign}' closes nothing")),
                },
                _ => {}
            }
            tokens.push(token);
        }
    }

    fn token(&mut self, first: u8) -> Result<Token, String> {
        let rest = self.rest();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let begins = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let second = rest.as_bytes().get(1).copied().unwrap_or(0);
        match first {
            b'"' => {
                self.at += 1;
                self.string()
            }
            b'@' if word(second) => {
                self.at += 1;
                Ok(Token::Format(self.take_while(word).to_owned()))
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.dot_begins_number() => self.number(),
            b'.' if begins(second) => {
                self.at += 1;
                Ok(Token::Field(self.take_while(word).to_owned()))
            }
            _ if begins(first) => {
                let name = self.take_while(word);
                if self.rest().starts_with("::") {
                    return Err(format!("{name}:: names a module, which a query cannot import"));
                }
                Ok(match KEYWORDS.iter().find(|keyword| **keyword == name) {
                    Some(keyword) => Token::Keyword(keyword),
                    None => Token::Name(name.to_owned()),
                })
            }
            _ => {
                let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) else {
                    let found = rest.chars().next().unwrap_or(' ');
                    return Err(format!("the character {found:?} has no meaning there"));
                };
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
        }
    }

    /// Whether the longest word from this dot on is a number's, where `.` and `..` alone are signs. As long as a
    /// field's it wins: `.e64` and `.e-1` are broken numbers to jq, and no fields.
    fn dot_begins_number(&self) -> bool {
        let rest = self.rest();
        let field = 1 + rest[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let length = number_length(rest.as_bytes());
        length >= field && !matches!(&rest[..length], "." | "..")
    }

    fn number(&mut self) -> Result<Token, String> {
        let text = &self.rest()[..number_length(self.rest().as_bytes())];
        self.at += text.len();
        json::number(text.as_bytes()).map(Token::Number).ok_or_else(|| match text.strip_prefix('.') {
            Some(name) if name.starts_with(['e', 'E']) => {
                format!("{text} is a number without digits to jq; write .\"{name}\" for the field {name}")
            }
            _ => format!("{text} is not a number"),
        })
    }

    /// From after the opening quote on.
    fn string(&mut self) -> Result<Token, String> {
        self.strings += 1;
        if self.strings > MAX_NESTED_STRINGS {
            return Err("strings are nested too deep".to_owned());
        }
        let mut pieces = Vec::new();
        loop {
            let text = self.take_while(|byte| byte != b'"' && byte != b'\\');
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            let rest = self.rest();
            if rest.is_empty() {
                return Err("a string is not closed".to_owned());
            } else if rest.starts_with('"') {
                self.at += 1;
                self.strings -= 1;
                return Ok(Token::String(pieces));
            } else if rest.starts_with("\\(") {
                self.at += 2;
                pieces.push(Piece::Program(self.tokens(true)?));
            } else {
                let start = self.at;
                while self.rest().starts_with('\\') && !self.rest().starts_with("\\(") {
                    self.at += 1;
                    let kind = self.rest().chars().next().ok_or("a string is not closed")?;
                    self.at += kind.len_utf8();
                    if kind == 'u' {
                        let digits = self.rest().bytes().take(4).take_while(u8::is_ascii_alphanumeric).count();
                        self.at += digits;
                    }
                }
                let escapes = json::unescape(&self.text.as_bytes()[start..self.at])?;
                pieces.push(Piece::Text(json::text(&escapes).to_string()));
            }
        }
    }
}
