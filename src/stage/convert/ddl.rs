//! Hive's and Athena's `CREATE TABLE` into a [`TableSchema`], and Hive's type strings into a [`HiveType`].
//!
//! Read: `CREATE [EXTERNAL] TABLE [IF NOT EXISTS] [db.]table ( column type [COMMENT '…'], … )`. What follows the
//! columns (PARTITIONED BY, ROW FORMAT, STORED AS, LOCATION, TBLPROPERTIES, …) is skipped: partition columns are not
//! written, and format and place are the stream's. Tokens come from `lex`; errors name line and column.

use super::lex::{BadText, Place, Token, tokens};
use super::schema::{Field, HiveType, MAX_DEPTH, MAX_PRECISION, TableSchema};

/// The table that the text declares.
pub fn parse_table(text: &str) -> Result<TableSchema, BadText> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let place = parser.place();
    let columns = parser.table()?;
    TableSchema::new(columns).map_err(|error| BadText { place, what: error.to_string() })
}

/// The type that a type string such as `array<struct<a:int>>` names.
pub fn parse_type(text: &str) -> Result<HiveType, BadText> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let kind = parser.hive_type(1)?;
    match parser.peek() {
        Token::End => Ok(kind),
        other => Err(parser.wrong(format!("{other} after the type"))),
    }
}

struct Parser {
    tokens: Vec<(Place, Token)>,
    next: usize,
}

impl Parser {
    /// The next token; the last one, `End`, stays.
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn place(&self) -> Place {
        self.tokens.get(self.next).map_or(Place { line: 1, column: 1 }, |(place, _)| *place)
    }

    fn advance(&mut self) {
        if *self.peek() != Token::End {
            self.next += 1;
        }
    }

    fn wrong(&self, what: String) -> BadText {
        BadText { place: self.place(), what }
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.next += 1;
        }
        found
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        if found {
            self.next += 1;
        }
        found
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<(), BadText> {
        if self.take_keyword(keyword) {
            return Ok(());
        }
        Err(self.wrong(format!("expected {keyword}, found {}", self.peek())))
    }

    fn expect_sign(&mut self, sign: char, what: &str) -> Result<(), BadText> {
        if self.take_sign(sign) {
            return Ok(());
        }
        Err(self.wrong(format!("expected '{sign}' {what}, found {}", self.peek())))
    }

    fn name(&mut self, what: &str) -> Result<String, BadText> {
        match self.peek().clone() {
            Token::Word(name) => {
                self.next += 1;
                Ok(name)
            }
            Token::Name(name) if !name.trim().is_empty() => {
                self.next += 1;
                Ok(name)
            }
            other => Err(self.wrong(format!("expected {what}, found {other}"))),
        }
    }

    fn table(&mut self) -> Result<Vec<Field>, BadText> {
        self.expect_keyword("CREATE")?;
        while self.take_keyword("EXTERNAL") || self.take_keyword("TEMPORARY") {}
        self.expect_keyword("TABLE")?;
        if self.take_keyword("IF") {
            self.expect_keyword("NOT")?;
            self.expect_keyword("EXISTS")?;
        }
        self.name("the table's name")?;
        while self.take_sign('.') {
            self.name("the table's name")?;
        }
        self.expect_sign('(', "before the columns")?;
        let mut columns = vec![self.column()?];
        while self.take_sign(',') {
            columns.push(self.column()?);
        }
        self.expect_sign(')', "or ',' after the column")?;
        self.tail()?;
        Ok(columns)
    }

    fn column(&mut self) -> Result<Field, BadText> {
        let name = self.name("a column's name")?;
        let kind = self.hive_type(1)?;
        if self.take_keyword("NOT") {
            self.expect_keyword("NULL")?;
        }
        self.comment()?;
        Ok(Field { name, kind })
    }

    fn comment(&mut self) -> Result<(), BadText> {
        if self.take_keyword("COMMENT") {
            match self.peek() {
                Token::Text(_) => self.next += 1,
                other => return Err(self.wrong(format!("expected the comment in quotes, found {other}"))),
            }
        }
        Ok(())
    }

    /// Skips the clauses behind the columns; only one statement may stand in the text.
    fn tail(&mut self) -> Result<(), BadText> {
        loop {
            match self.peek() {
                Token::End => return Ok(()),
                Token::Sign(';') => {
                    self.next += 1;
                    return match self.peek() {
                        Token::End => Ok(()),
                        other => Err(self.wrong(format!("{other} after the end of the statement"))),
                    };
                }
                _ => self.advance(),
            }
        }
    }

    fn hive_type(&mut self, depth: usize) -> Result<HiveType, BadText> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(format!("types may be nested {MAX_DEPTH} levels deep")));
        }
        let place = self.place();
        let word = match self.peek() {
            Token::Word(word) => word.to_ascii_lowercase(),
            other => return Err(self.wrong(format!("expected a type, found {other}"))),
        };
        self.next += 1;
        Ok(match word.as_str() {
            "tinyint" => HiveType::TinyInt,
            "smallint" => HiveType::SmallInt,
            "int" | "integer" => HiveType::Int,
            "bigint" => HiveType::BigInt,
            "float" => HiveType::Float,
            "double" => {
                self.take_keyword("PRECISION");
                HiveType::Double
            }
            "boolean" => HiveType::Boolean,
            "string" => HiveType::String,
            "binary" => HiveType::Binary,
            "timestamp" => HiveType::Timestamp,
            "date" => HiveType::Date,
            "char" => HiveType::Char(self.length(255)?),
            "varchar" => HiveType::Varchar(self.length(65_535)?),
            "decimal" | "dec" | "numeric" => self.decimal()?,
            "array" => {
                self.expect_sign('<', "after array")?;
                let item = self.hive_type(depth + 1)?;
                self.expect_sign('>', "after the array's type")?;
                HiveType::Array(Box::new(item))
            }
            "map" => self.map(depth)?,
            "struct" => self.fields(depth)?,
            "uniontype" | "set" | "void" | "interval" => {
                return Err(BadText { place, what: format!("the type {word} is not supported") });
            }
            _ => return Err(BadText { place, what: format!("'{word}' is not a Hive type") }),
        })
    }

    fn map(&mut self, depth: usize) -> Result<HiveType, BadText> {
        self.expect_sign('<', "after map")?;
        let place = self.place();
        let key = self.hive_type(depth + 1)?;
        if !key.is_primitive() {
            return Err(BadText { place, what: format!("the key of a map is a primitive type, not {key}") });
        }
        self.expect_sign(',', "between the map's types")?;
        let value = self.hive_type(depth + 1)?;
        self.expect_sign('>', "after the map's types")?;
        Ok(HiveType::Map(Box::new(key), Box::new(value)))
    }

    fn fields(&mut self, depth: usize) -> Result<HiveType, BadText> {
        self.expect_sign('<', "after struct")?;
        let mut fields = Vec::new();
        loop {
            let name = self.name("a field's name")?;
            self.expect_sign(':', "after the field's name")?;
            let kind = self.hive_type(depth + 1)?;
            self.comment()?;
            fields.push(Field { name, kind });
            if !self.take_sign(',') {
                self.expect_sign('>', "or ',' after the field")?;
                return Ok(HiveType::Struct(fields));
            }
        }
    }

    fn number(&mut self, what: &str, first: u32, last: u32) -> Result<u32, BadText> {
        let number = match self.peek() {
            Token::Word(word) => word.parse().ok().filter(|n| (first..=last).contains(n)),
            _ => None,
        };
        match number {
            Some(number) => {
                self.next += 1;
                Ok(number)
            }
            None => Err(self.wrong(format!("expected {what} from {first} to {last}, found {}", self.peek()))),
        }
    }

    fn length(&mut self, last: u32) -> Result<u32, BadText> {
        self.expect_sign('(', "and a length")?;
        let length = self.number("a length", 1, last)?;
        self.expect_sign(')', "after the length")?;
        Ok(length)
    }

    /// `decimal`, `decimal(p)` or `decimal(p,s)`; Hive's defaults are 10 and 0.
    fn decimal(&mut self) -> Result<HiveType, BadText> {
        let (mut precision, mut scale) = (10, 0);
        if self.take_sign('(') {
            precision = self.number("a precision", 1, u32::from(MAX_PRECISION))?;
            if self.take_sign(',') {
                scale = self.number("a scale", 0, precision)?;
            }
            self.expect_sign(')', "after the precision")?;
        }
        Ok(HiveType::Decimal { precision: precision as u8, scale: scale as u8 })
    }
}
