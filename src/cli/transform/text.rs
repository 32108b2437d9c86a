//! Texts for a person that all subcommands print alike. What a record, a guest or a file says is not to be trusted: it is
//! printed with its control characters escaped.

use std::time::Duration;

/// On one line, without what steers a terminal.
pub(super) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// A duration with three digits.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        1.0.. => (seconds, "s"),
        1e-3.. => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(escaped("é\n\u{1b}[2J\u{9b}1m\"'"), "é\\n\\u{1b}[2J\\u{9b}1m\"'");
    }

    #[test]
    fn durations_have_three_digits() {
        let shown = [1, 1234, 12_345, 123_456, 1_234_567, 1_234_567_890, 123_456_789_012]
            .map(Duration::from_nanos)
            .map(duration);
        assert_eq!(shown, ["0.00 µs", "1.23 µs", "12.3 µs", "123 µs", "1.23 ms", "1.23 s", "123 s"]);
    }
}
