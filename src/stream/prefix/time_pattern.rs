//! Patterns of java.time.format.DateTimeFormatter, as far as the service takes them in `!{timestamp:…}`.
//!
//! Letters, counts, quotes and brackets mean what they mean to `DateTimeFormatter.ofPattern` of JDK 17 in the locale
//! en_US, which was compared (`tests/golden/keys`). Every field of an instant is known, so an optional section (`[…]`) is
//! always printed. Beyond what Java refuses, the service refuses the letters `V` and `p`.

use super::Length;
use super::time_text::{self, Style, Text};
use super::zone::{Moment, TimeZone};
use chrono::{Datelike, Timelike};
use std::fmt::Write;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimePattern {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(String),
    Number {
        number: Number,
        /// Zeros are put before it up to this width.
        width: usize,
        /// A number wider than that gets a plus sign.
        has_sign: bool,
    },
    /// The last two digits.
    Short(Number),
    /// The first digits of the nine behind the second's point.
    Fraction(usize),
    Text(Text, Style),
    ZoneName {
        style: Style,
        is_generic: bool,
    },
    Offset(OffsetForm),
    /// `GMT`, `GMT-7`, `GMT+05:30`.
    GmtOffset(Style),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Year,
    WeekYear,
    Quarter,
    Month,
    Week,
    WeekOfMonth,
    DayOfYear,
    DayOfMonth,
    /// The count of days since the month began, modulo seven, from 1.
    AlignedDay,
    /// 1 is Sunday.
    DayOfWeek,
    ModifiedJulianDay,
    /// 0 to 23.
    Hour,
    /// 1 to 24.
    ClockHour,
    /// 0 to 11.
    HalfHour,
    /// 1 to 12.
    ClockHalfHour,
    Minute,
    Second,
    MilliOfDay,
    NanoOfSecond,
    NanoOfDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetForm {
    /// What stands for no offset.
    zero: &'static str,
    colons: bool,
    /// Minutes even if there are none.
    minutes: bool,
    /// Seconds if there are any.
    seconds: bool,
}

impl TimePattern {
    /// `None`: the service refuses it.
    pub fn parse(pattern: &str) -> Option<Self> {
        let (mut items, mut literal, mut depth) = (Vec::new(), String::new(), 0usize);
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                _ if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while rest.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if !literal.is_empty() {
                        items.push(Item::Literal(std::mem::take(&mut literal)));
                    }
                    items.push(field(c, count)?);
                }
                '\'' => {
                    let before = literal.len();
                    loop {
                        match rest.next()? {
                            '\'' if rest.next_if_eq(&'\'').is_some() => literal.push('\''),
                            '\'' => break,
                            other => literal.push(other),
                        }
                    }
                    // Two quotes with nothing between are one.
                    if literal.len() == before {
                        literal.push('\'');
                    }
                }
                '[' => depth += 1,
                ']' => depth = depth.checked_sub(1)?,
                '{' | '}' | '#' => return None,
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            items.push(Item::Literal(literal));
        }
        Some(Self { items })
    }

    /// Appends what it says of `moment`.
    pub fn print(&self, moment: &Moment, to: &mut String) {
        self.items.iter().for_each(|item| item.print(moment, to));
    }

    /// The longest that it can print in `zone` in the years 1000 to 9999.
    pub(super) fn longest(&self, zone: TimeZone) -> Length {
        // One Wednesday in September, hour by hour and some on both sides, wherever it is, and both seasons: the longest
        // name of each kind comes up, and each number with as many digits as it can have.
        const NOON_MS: i64 = 1_790_769_273_789; // 2026-09-30T11:54:33.789Z
        const HOUR_MS: i64 = 3_600_000;
        const MONTH_MS: i64 = 30 * 24 * HOUR_MS;
        let hours = (-24..=24).map(|hour| NOON_MS + hour * HOUR_MS);
        let samples = hours.chain([NOON_MS + 3 * MONTH_MS, NOON_MS - 3 * MONTH_MS]);
        let moments: Vec<_> = samples.filter_map(|ms| zone.at(ms)).collect();
        let longest = |item: &Item| {
            let printed = moments.iter().map(|moment| {
                let mut text = String::new();
                item.print(moment, &mut text);
                Length::of(&text)
            });
            printed.fold(Length::default(), Length::max)
        };
        self.items.iter().map(longest).sum()
    }
}

/// What a letter means when it stands `count` times.
fn field(letter: char, count: usize) -> Option<Item> {
    use Number::*;
    let number = |number, width| Some(Item::Number { number, width, has_sign: false });
    let text = |text, style: Option<Style>| style.map(|style| Item::Text(text, style));
    let year = |year| match count {
        2 => Some(Item::Short(year)),
        _ => Some(Item::Number { number: year, width: count, has_sign: count >= 4 }),
    };
    // Three letters or fewer are short.
    let up_to_three = match count {
        1..=3 => Some(Style::Short),
        _ => style(count),
    };
    match (letter, count) {
        ('u' | 'y', 1..=19) => year(Year),
        ('Y', _) => year(WeekYear),
        ('M' | 'L', 1 | 2) => number(Month, count),
        ('M' | 'L', _) => text(Text::Month, style(count)),
        ('Q' | 'q', 1 | 2) => number(Quarter, count),
        ('Q' | 'q', _) => text(Text::Quarter, style(count)),
        ('w', 1 | 2) => number(Week, count),
        ('W', 1) => number(WeekOfMonth, 1),
        ('D', 1..=3) => number(DayOfYear, count),
        ('d', 1 | 2) => number(DayOfMonth, count),
        ('F', 1) => number(AlignedDay, 1),
        ('e', 1 | 2) | ('c', 1) => number(DayOfWeek, count),
        ('e' | 'c', _) => text(Text::DayOfWeek, style(count)),
        ('E', _) => text(Text::DayOfWeek, up_to_three),
        ('G', _) => text(Text::Era, up_to_three),
        ('a', 1) => text(Text::HalfDay, Some(Style::Short)),
        ('B', 1) => text(Text::DayPeriod, Some(Style::Short)),
        ('B', 4 | 5) => text(Text::DayPeriod, style(count)),
        ('H', 1 | 2) => number(Hour, count),
        ('k', 1 | 2) => number(ClockHour, count),
        ('K', 1 | 2) => number(HalfHour, count),
        ('h', 1 | 2) => number(ClockHalfHour, count),
        ('m', 1 | 2) => number(Minute, count),
        ('s', 1 | 2) => number(Second, count),
        ('S', 1..=9) => Some(Item::Fraction(count)),
        ('g', 1..=19) => number(ModifiedJulianDay, count),
        ('A', 1..=19) => number(MilliOfDay, count),
        ('n', 1..=19) => number(NanoOfSecond, count),
        ('N', 1..=19) => number(NanoOfDay, count),
        ('z', 1..=4) => Some(Item::ZoneName { style: up_to_three?, is_generic: false }),
        ('v', 1) => Some(Item::ZoneName { style: Style::Short, is_generic: true }),
        ('v', 4) => Some(Item::ZoneName { style: Style::Full, is_generic: true }),
        ('O', 1) => Some(Item::GmtOffset(Style::Short)),
        ('O' | 'Z', 4) => Some(Item::GmtOffset(Style::Full)),
        ('Z', 1..=3) => Some(Item::Offset(OffsetForm { zero: "+0000", colons: false, minutes: true, seconds: false })),
        ('Z', 5) => offset(5, "Z"),
        ('X', 1..=5) => offset(count, "Z"),
        ('x', 1) => offset(count, "+00"),
        ('x', 2 | 4) => offset(count, "+0000"),
        ('x', 3 | 5) => offset(count, "+00:00"),
        _ => None,
    }
}

fn style(count: usize) -> Option<Style> {
    match count {
        3 => Some(Style::Short),
        4 => Some(Style::Full),
        5 => Some(Style::Narrow),
        _ => None,
    }
}

fn offset(count: usize, zero: &'static str) -> Option<Item> {
    let form = OffsetForm { zero, colons: matches!(count, 3 | 5), minutes: count > 1, seconds: count > 3 };
    Some(Item::Offset(form))
}

impl Item {
    fn print(&self, moment: &Moment, to: &mut String) {
        // Writing into a string does not fail.
        let _ = match self {
            Self::Literal(literal) => to.write_str(literal),
            Self::Number { number, width, has_sign } => {
                let value = number.of(moment);
                let overflows = u32::try_from(*width).ok().and_then(|width| 10i64.checked_pow(width));
                let sign = if *has_sign && overflows.is_some_and(|bound| value >= bound) { "+" } else { "" };
                write!(to, "{sign}{value:0width$}")
            }
            Self::Short(number) => write!(to, "{:02}", number.of(moment) % 100),
            Self::Fraction(digits) => {
                let all = format!("{:09}", Number::NanoOfSecond.of(moment));
                to.write_str(&all[..*digits])
            }
            Self::Text(text, style) => to.write_str(&time_text::text(*text, *style, moment)),
            Self::ZoneName { style, is_generic } => to.write_str(moment.zone_name(*style, *is_generic)),
            Self::Offset(form) => form.print(moment.offset_seconds(), to),
            Self::GmtOffset(style) => gmt_offset(*style, moment.offset_seconds(), to),
        };
    }
}

impl Number {
    fn of(self, moment: &Moment) -> i64 {
        let local = moment.local();
        let nanos = i64::from(local.nanosecond());
        match self {
            Self::Year => local.year().into(),
            Self::WeekYear => week(local.date_naive()).0.into(),
            Self::Quarter => local.quarter().into(),
            Self::Month => local.month().into(),
            Self::Week => week(local.date_naive()).1.into(),
            Self::WeekOfMonth => week_in(local.date_naive(), local.day()).into(),
            Self::DayOfYear => local.ordinal().into(),
            Self::DayOfMonth => local.day().into(),
            Self::AlignedDay => (local.day0() % 7 + 1).into(),
            Self::DayOfWeek => local.weekday().number_from_sunday().into(),
            Self::ModifiedJulianDay => i64::from(local.num_days_from_ce()) - 678_576,
            Self::Hour => local.hour().into(),
            Self::ClockHour => if local.hour() == 0 { 24 } else { local.hour() }.into(),
            Self::HalfHour => (local.hour() % 12).into(),
            Self::ClockHalfHour => local.hour12().1.into(),
            Self::Minute => local.minute().into(),
            Self::Second => local.second().into(),
            Self::MilliOfDay => Self::NanoOfDay.of(moment) / 1_000_000,
            Self::NanoOfSecond => nanos,
            Self::NanoOfDay => i64::from(local.num_seconds_from_midnight()) * 1_000_000_000 + nanos,
        }
    }
}

/// Year and number of the week of a date: weeks begin on Sunday, the first one has the first of January in it.
fn week(date: chrono::NaiveDate) -> (i32, u32) {
    let next = chrono::NaiveDate::from_ymd_opt(date.year() + 1, 1, 1);
    let days_to_next = next.map_or(i64::MAX, |next| (next - date).num_days());
    // The week of the next new year's day, if that comes before Sunday.
    if days_to_next + i64::from(date.weekday().num_days_from_sunday()) < 7 {
        return (date.year() + 1, 1);
    }
    (date.year(), week_in(date, date.ordinal()))
}

/// Number of the week of a date that is day `day` of a month or a year.
fn week_in(date: chrono::NaiveDate, day: u32) -> u32 {
    // Days of the first week that lie before the first day.
    let before = (date.weekday().num_days_from_sunday() + 7 * 53 - (day - 1)) % 7;
    (day - 1 + before) / 7 + 1
}

impl OffsetForm {
    fn print(self, offset_seconds: i32, to: &mut String) -> std::fmt::Result {
        let (sign, hours, minutes, seconds) = parts(offset_seconds);
        if offset_seconds == 0 {
            return to.write_str(self.zero);
        }
        let colon = if self.colons { ":" } else { "" };
        write!(to, "{sign}{hours:02}")?;
        if self.minutes || minutes != 0 {
            write!(to, "{colon}{minutes:02}")?;
        }
        if self.seconds && seconds != 0 {
            write!(to, "{colon}{seconds:02}")?;
        }
        Ok(())
    }
}

fn gmt_offset(style: Style, offset_seconds: i32, to: &mut String) -> std::fmt::Result {
    let (sign, hours, minutes, seconds) = parts(offset_seconds);
    to.write_str("GMT")?;
    if offset_seconds == 0 {
        return Ok(());
    }
    match style {
        Style::Full => write!(to, "{sign}{hours:02}:{minutes:02}")?,
        _ => write!(to, "{sign}{hours}")?,
    }
    if style != Style::Full && (minutes != 0 || seconds != 0) {
        write!(to, ":{minutes:02}")?;
    }
    if seconds != 0 {
        write!(to, ":{seconds:02}")?;
    }
    Ok(())
}

fn parts(offset_seconds: i32) -> (char, i32, i32, i32) {
    let sign = if offset_seconds < 0 { '-' } else { '+' };
    let all = offset_seconds.abs();
    (sign, all / 3600, all / 60 % 60, all % 60)
}
