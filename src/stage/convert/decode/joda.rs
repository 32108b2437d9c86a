//! HiveJsonSerDe's TimestampFormats: Joda patterns and `millis`, compiled once.
//!
//! Used by `rules` (checked when a stream is created) and `value`. A format without a zone means UTC; one without a
//! year, month or day means 1970, January, the first.

use super::number::Number;
use super::timestamp;

/// Letters that AWS refuses in a pattern.
const REFUSED: &str = "CIJPRTUVbfijloprt";

/// One of the formats of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampFormat {
    /// Milliseconds since 1970.
    Millis,
    /// A pattern.
    Pattern(Vec<Item>),
}

/// A format that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// AWS refuses it too.
    #[error(
        "Invalid deserializer option(s): One or more SerDe options are invalid for org.apache.hcatalog.data.JsonSerDe: [Key: timestamp.formats Value: {0}]"
    )]
    Invalid(String),
    /// A letter that is not built.
    #[error(
        "TimestampFormats has the format '{0}' with the letter '{1}', which is not supported. Supported are y u Y M d D H k K h m s S a E Z X x z and 'millis'."
    )]
    Unsupported(String, char),
}

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// This character.
    Literal(char),
    /// Year; two letters are a year of this century.
    Year(Width),
    /// Month as a number.
    Month(Width),
    /// Month by its English name or first three letters.
    MonthName,
    /// Day of the month.
    Day(Width),
    /// Day of the year.
    DayOfYear(Width),
    /// Hour of the day; 24 is 0.
    Hour(Width),
    /// Hour of the half day; 12 is 0.
    HalfHour(Width),
    /// Minute.
    Minute(Width),
    /// Second.
    Second(Width),
    /// Fraction of a second.
    Fraction(Width),
    /// AM or PM.
    HalfDay,
    /// Day of the week, by its English name or first three letters; not compared with the date.
    Weekday,
    /// `Z`, `+hh`, `+hhmm`, `+hh:mm`, `UTC` or `GMT`.
    Zone,
}

/// How many digits a number has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    /// At least.
    pub least: u8,
    /// At most.
    pub most: u8,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl TimestampFormat {
    /// Compiles one entry of TimestampFormats.
    pub fn compile(text: &str) -> Result<Self, BadFormat> {
        if text == "millis" {
            return Ok(Self::Millis);
        }
        let mut items: Vec<(Item, u8)> = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                quoted(&mut chars, &mut items).ok_or_else(|| BadFormat::Invalid(text.to_owned()))?;
                continue;
            }
            if !c.is_ascii_alphabetic() {
                items.push((Item::Literal(c), 0));
                continue;
            }
            let mut count = 1u8;
            while chars.next_if_eq(&c).is_some() {
                count = count.saturating_add(1);
            }
            let any = Width { least: 1, most: 9 };
            let item = match c {
                c if REFUSED.contains(c) => return Err(BadFormat::Invalid(text.to_owned())),
                'y' | 'u' | 'Y' => Item::Year(any),
                'M' if count > 2 => Item::MonthName,
                'M' => Item::Month(any),
                'd' => Item::Day(any),
                'D' => Item::DayOfYear(any),
                'H' | 'k' => Item::Hour(any),
                'K' | 'h' => Item::HalfHour(any),
                'm' => Item::Minute(any),
                's' => Item::Second(any),
                'S' => Item::Fraction(any),
                'a' => Item::HalfDay,
                'E' => Item::Weekday,
                'Z' | 'X' | 'x' | 'z' => Item::Zone,
                other => return Err(BadFormat::Unsupported(text.to_owned(), other)),
            };
            items.push((item, count));
        }
        Ok(Self::Pattern(with_widths(&items)))
    }

    /// The time that `text` stands for, if it has this form.
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        match self {
            Self::Millis => timestamp::millis(&Number::parse(text)?),
            Self::Pattern(items) => parse(items, std::str::from_utf8(text).ok()?),
        }
    }
}

/// The rest of a quoted text; two quotes are one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars>, items: &mut Vec<(Item, u8)>) -> Option<()> {
    if chars.next_if_eq(&'\'').is_some() {
        items.push((Item::Literal('\''), 0));
        return Some(());
    }
    loop {
        match chars.next()? {
            '\'' if chars.next_if_eq(&'\'').is_none() => return Some(()),
            c => items.push((Item::Literal(c), 0)),
        }
    }
}

/// Numbers without anything between them are as wide as they are written in the pattern; others take what is there.
fn with_widths(items: &[(Item, u8)]) -> Vec<Item> {
    let numeric = |item: Option<&(Item, u8)>| item.is_some_and(|(item, _)| width(*item).is_some());
    (0..items.len())
        .map(|i| {
            let (item, count) = items[i];
            let Some(_) = width(item) else { return item };
            let next_is_number = numeric(items.get(i + 1));
            let most = match item {
                Item::Year(_) if count == 2 => 2,
                Item::Year(_) => 4,
                Item::DayOfYear(_) => 3,
                Item::Fraction(_) => 9,
                _ => 2,
            };
            let wide = if next_is_number { Width { least: count, most: count } } else { Width { least: 1, most } };
            match item {
                Item::Year(_) if count == 2 => Item::Year(Width { least: 2, most: 2 }),
                Item::Year(_) => Item::Year(wide),
                Item::Month(_) => Item::Month(wide),
                Item::Day(_) => Item::Day(wide),
                Item::DayOfYear(_) => Item::DayOfYear(wide),
                Item::Hour(_) => Item::Hour(wide),
                Item::HalfHour(_) => Item::HalfHour(wide),
                Item::Minute(_) => Item::Minute(wide),
                Item::Second(_) => Item::Second(wide),
                Item::Fraction(_) => Item::Fraction(wide),
                other => other,
            }
        })
        .collect()
}

fn width(item: Item) -> Option<Width> {
    match item {
        Item::Year(width)
        | Item::Month(width)
        | Item::Day(width)
        | Item::DayOfYear(width)
        | Item::Hour(width)
        | Item::HalfHour(width)
        | Item::Minute(width)
        | Item::Second(width)
        | Item::Fraction(width) => Some(width),
        _ => None,
    }
}

fn parse(items: &[Item], text: &str) -> Option<i64> {
    let mut rest = text;
    let (mut year, mut month, mut day, mut day_of_year) = (1970i64, 1u32, 1u32, None);
    let (mut hour, mut minute, mut second, mut micros) = (0u32, 0u32, 0u32, 0u32);
    let mut afternoon = None;
    let mut offset_us = 0i64;
    for item in items {
        if let Some(width) = width(*item) {
            let (value, digits) = number(&mut rest, width)?;
            match item {
                Item::Year(Width { most: 2, .. }) => year = 2000 + i64::from(value),
                Item::Year(_) => year = i64::from(value),
                Item::Month(_) => month = value,
                Item::Day(_) => day = value,
                Item::DayOfYear(_) => day_of_year = Some(value),
                Item::Hour(_) => hour = if value == 24 { 0 } else { value },
                Item::HalfHour(_) if value > 12 => return None,
                Item::HalfHour(_) => hour = value % 12,
                Item::Minute(_) => minute = value,
                Item::Second(_) => second = value,
                _ => micros = (u64::from(value) * 10u64.pow(9 - digits) / 1000) as u32,
            }
            continue;
        }
        match item {
            Item::Literal(c) => rest = rest.strip_prefix(*c)?,
            Item::MonthName => month = name(&mut rest, &MONTHS)? + 1,
            Item::Weekday => drop(name(&mut rest, &WEEKDAYS)?),
            Item::HalfDay => afternoon = Some(name(&mut rest, &["am", "pm"])? == 1),
            _ => offset_us = zone(&mut rest)?,
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let day = match day_of_year {
        Some(nth) => {
            let last = timestamp::day_of(year, 12, 31)?;
            let day = timestamp::day_of(year, 1, 1)?.checked_add(i32::try_from(nth).ok()? - 1)?;
            (nth >= 1 && day <= last).then_some(day)?
        }
        None => timestamp::day_of(year, month, day)?,
    };
    if afternoon == Some(true) && hour < 12 {
        hour += 12;
    }
    Some(timestamp::instant(day, hour, minute, second, micros)? - offset_us)
}

fn number(rest: &mut &str, width: Width) -> Option<(u32, u32)> {
    let digits = rest.bytes().take(usize::from(width.most.min(9))).take_while(u8::is_ascii_digit).count();
    if digits < usize::from(width.least) {
        return None;
    }
    let value = rest[..digits].parse().ok()?;
    *rest = &rest[digits..];
    Some((value, digits as u32))
}

/// The place of the name, full or by its first three letters, that `rest` begins with in any case.
fn name(rest: &mut &str, names: &[&str]) -> Option<u32> {
    for (i, name) in (0..).zip(names) {
        for length in [name.len(), name.len().min(3)] {
            if rest.get(..length).is_some_and(|head| head.eq_ignore_ascii_case(&name[..length])) {
                *rest = &rest[length..];
                return Some(i);
            }
        }
    }
    None
}

/// The offset of a zone from UTC in microseconds.
fn zone(rest: &mut &str) -> Option<i64> {
    for utc in ["Z", "UTC", "GMT"] {
        if let Some(after) = rest.strip_prefix(utc) {
            *rest = after;
            return Some(0);
        }
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let two = Width { least: 2, most: 2 };
    let (hours, _) = number(rest, two)?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = number(rest, two).map_or(0, |(minutes, _)| minutes);
    if hours > 18 || minutes > 59 {
        return None;
    }
    Some(sign * i64::from(hours * 60 + minutes) * 60_000_000)
}
