//! Words, names and signs of Hive's table declarations, each with its place. Used by `ddl`.

use std::fmt;

/// Where in a text: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A bare word: keyword, name or number.
    Word(String),
    /// A name in backticks.
    Name(String),
    /// A text in single or double quotes.
    Text(String),
    /// Any other single character.
    Sign(char),
    /// After the last token.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "'{word}'"),
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Text(text) => write!(f, "the text '{text}'"),
            Self::Sign(sign) => write!(f, "'{sign}'"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

/// A text that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct BadText {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub what: String,
}

/// All tokens of `text`, with [`Token::End`] last.
pub fn tokens(text: &str) -> Result<Vec<(Place, Token)>, BadText> {
    let mut lexer = Lexer { rest: text.chars().peekable(), place: Place { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank()?;
        let place = lexer.place;
        let Some(first) = lexer.take() else {
            tokens.push((place, Token::End));
            return Ok(tokens);
        };
        let token = match first {
            '`' => Token::Name(lexer.quoted(place, '`', "the name in backticks")?),
            '\'' | '"' => Token::Text(lexer.quoted(place, first, "the text in quotes")?),
            c if is_word(c) => lexer.word(c),
            c => Token::Sign(c),
        };
        tokens.push((place, token));
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '@')
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    place: Place,
}

impl Lexer<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn second(&self) -> Option<char> {
        self.rest.clone().nth(1)
    }

    /// Skips white space, `-- …` and `/* … */`.
    fn skip_blank(&mut self) -> Result<(), BadText> {
        loop {
            match self.rest.peek().copied() {
                Some(c) if c.is_whitespace() || c == '\u{feff}' => {
                    self.take();
                }
                Some('-') if self.second() == Some('-') => while self.take().is_some_and(|c| c != '\n') {},
                Some('/') if self.second() == Some('*') => {
                    let place = self.place;
                    self.take();
                    self.take();
                    let mut last = ' ';
                    loop {
                        match self.take() {
                            Some('/') if last == '*' => break,
                            Some(c) => last = c,
                            None => return Err(BadText { place, what: "the comment is not closed".to_owned() }),
                        }
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// The rest of a bare word. A hyphen inside belongs to it, since Glue's type strings have such field names.
    fn word(&mut self, first: char) -> Token {
        let mut word = String::from(first);
        while let Some(&c) = self.rest.peek() {
            if is_word(c) || (c == '-' && self.second().is_some_and(is_word)) {
                self.take();
                word.push(c);
            } else {
                break;
            }
        }
        Token::Word(word)
    }

    /// Up to the closing quote. A doubled quote is one; in texts a backslash takes the next character as it is.
    fn quoted(&mut self, place: Place, quote: char, what: &str) -> Result<String, BadText> {
        let mut text = String::new();
        loop {
            match self.take() {
                Some(c) if c == quote => {
                    if self.rest.peek() != Some(&quote) {
                        return Ok(text);
                    }
                    self.take();
                    text.push(quote);
                }
                Some('\\') if quote != '`' => text.extend(self.take()),
                Some(c) => text.push(c),
                None => return Err(BadText { place, what: format!("{what} is not closed") }),
            }
        }
    }
}
