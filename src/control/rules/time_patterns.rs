//! Which java.time patterns the service accepts in TimestampFormats; for those in prefixes see `stream::prefix`.

/// Letters that the service refuses outside of quotes; it takes every other ASCII letter.
const REFUSED_LETTERS: &str = "CIJPRTUVbfijloprt";

/// Whether a pattern passes.
pub fn is_accepted(pattern: &str) -> bool {
    let mut quoted = false;
    pattern.chars().all(|c| {
        if c == '\'' {
            quoted = !quoted;
        }
        quoted || !REFUSED_LETTERS.contains(c)
    })
}
