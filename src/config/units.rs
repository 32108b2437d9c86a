//! Sizes such as `10GiB` and durations such as `30s`.

use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes of a text such as `512KiB`.
pub fn size(text: &str) -> Option<u64> {
    scaled(text, &SIZES)
}

/// Time of a text such as `5m`.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, &DURATIONS).map(Duration::from_millis)
}

/// Digits, optionally a fraction, then a unit; a result that is not whole or too large is none.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let mut total = u128::from(whole) * u128::from(scale);
    if number.contains('.') {
        let digits = u32::try_from(fraction.len()).ok().filter(|digits| (1..=9).contains(digits))?;
        let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
        let divisor = 10u128.pow(digits);
        if !part.is_multiple_of(divisor) {
            return None;
        }
        total += part / divisor;
    }
    u64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_have_units() {
        let good = [("0B", 0), ("10GiB", 10 << 30), ("1 MiB", 1 << 20), ("1.5KiB", 1536), ("3MB", 3_000_000)];
        for (text, bytes) in good {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "10", "GiB", "-1GiB", "1gib", "1.0.0B", "1.B", ".5KiB", "0.3B", "99999999999999TiB", "1 2B"] {
            assert_eq!(size(text), None, "{text}");
        }
        let good =
            [("0s", 0), ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1.5h", 5_400_000), ("7d", 604_800_000)];
        for (text, ms) in good {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["30", "s", "1w", "0.1ms", "1h30m"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
