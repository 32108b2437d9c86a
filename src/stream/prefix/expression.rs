//! Finds the expressions `!{namespace:value}` in a prefix. What a namespace means, `super` knows.

/// What an expression begins with.
pub const START: &str = "!{";

/// An expression, `!{namespace:value}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expression<'a> {
    /// Before the first colon.
    pub(super) namespace: &'a str,
    /// After it, up to the first `}`; never empty.
    pub(super) value: &'a str,
}

/// Why a prefix is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// `!{` that begins no full expression.
    #[error("an expression must be of the form !{{<namespace>:<value>}}")]
    Usage,
    /// A namespace that does not exist.
    #[error("'{0}' is no namespace of expressions")]
    Namespace(String),
    /// A value that its namespace does not have, or that is no pattern.
    #[error("the value of an expression is none that its namespace has")]
    Value,
}

/// The text before each expression, and the expression; last what follows them all.
pub(super) fn split(prefix: &str) -> Result<Vec<(&str, Option<Expression<'_>>)>, PrefixError> {
    let (mut found, mut rest) = (Vec::new(), prefix);
    while let Some((literal, inside)) = rest.split_once(START) {
        let (content, after) = inside.split_once('}').ok_or(PrefixError::Usage)?;
        let (namespace, value) = content.split_once(':').ok_or(PrefixError::Usage)?;
        if value.is_empty() {
            return Err(PrefixError::Usage);
        }
        found.push((literal, Some(Expression { namespace, value })));
        rest = after;
    }
    found.push((rest, None));
    Ok(found)
}
