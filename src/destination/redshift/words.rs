//! Options of COPY in pieces, as a server reads them. For [`super::copy`]. Pure.

/// A piece of the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it stands there.
    pub text: String,
    /// Of a string literal, without its quotes and doublings; not of those of other forms (E'…').
    pub value: Option<String>,
    /// Parentheses around it.
    depth: usize,
    /// Whether it stands first in its parentheses, or behind a comma.
    is_first: bool,
}

impl Word {
    /// The option that it names outside of all parentheses, in capitals; else nothing.
    pub fn option(&self) -> String {
        let is_name = self.depth == 0 && !self.text.contains('\'');
        if is_name { self.text.to_ascii_uppercase() } else { String::new() }
    }

    /// Whether it names this option outside of all parentheses.
    pub fn is_option(&self, name: &str) -> bool {
        self.depth == 0 && self.text.eq_ignore_ascii_case(name)
    }

    /// Whether it names this option in a list of them, `WITH (…)`.
    pub fn is_listed(&self, name: &str) -> bool {
        self.depth == 1 && self.is_first && self.text.eq_ignore_ascii_case(name)
    }
}

/// The options in pieces; `has_escapes`: backslashes escape in the server's string literals. A literal that does not end is one all the same: the server says what is wrong with it.
pub fn words(options: &str, has_escapes: bool) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut rest, mut depth) = (options.trim_start(), 0_usize);
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => quoted_end(rest, 0, first == '\'' && has_escapes),
            'E' | 'e' if rest[1..].starts_with('\'') => quoted_end(rest, 1, true),
            '(' | ')' | ',' | ';' => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '(' | ')' | ',' | ';'))
                .unwrap_or(rest.len()),
        };
        let text = rest[..end].to_owned();
        let value = text.strip_prefix('\'').map(|inner| inner.strip_suffix('\'').unwrap_or(inner).replace("''", "'"));
        depth -= usize::from(first == ')' && depth > 0);
        let is_first = words.last().is_some_and(|before| matches!(before.text.as_str(), "(" | ","));
        words.push(Word { text, value, depth, is_first });
        depth += usize::from(first == '(');
        rest = rest[end..].trim_start();
    }
    words
}

/// Where the literal or the name ends whose quote stands at `quote`.
fn quoted_end(text: &str, quote: usize, has_escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let (mut at, sign) = (quote + 1, bytes[quote]);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if has_escapes => at += 2,
            byte if byte == sign && bytes.get(at + 1) == Some(&sign) => at += 2,
            byte if byte == sign => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}
