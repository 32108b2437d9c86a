//! Words for fields of a time, in American English, as Java's formatter has them.

use super::zone::Moment;
use chrono::{Datelike, Timelike};
use std::borrow::Cow;

/// English names of the months, from January.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// English names of the days of the week, from Sunday.
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];

/// How long a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `Jul`.
    Short,
    /// `July`.
    Full,
    /// `J`.
    Narrow,
}

/// What is said in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// `AD`: no record arrived before.
    Era,
    /// `July`.
    Month,
    /// `3rd quarter`.
    Quarter,
    /// `Monday`.
    DayOfWeek,
    /// `PM`.
    HalfDay,
    /// `in the afternoon`.
    DayPeriod,
}

/// The word for a field of `moment`.
pub fn text(text: Text, style: Style, moment: &Moment) -> Cow<'static, str> {
    let local = moment.local();
    // Short names are the first three letters, narrow ones the first.
    let cut = |name: &'static str| match style {
        Style::Short => &name[..3],
        Style::Full => name,
        Style::Narrow => &name[..1],
    };
    let word = match text {
        Text::Era => match style {
            Style::Short => "AD",
            Style::Full => "Anno Domini",
            Style::Narrow => "A",
        },
        Text::Month => cut(MONTHS[local.month0() as usize]),
        Text::DayOfWeek => cut(DAYS[local.weekday().num_days_from_sunday() as usize]),
        Text::Quarter => match style {
            Style::Full => QUARTERS[local.quarter() as usize - 1],
            Style::Short => return format!("Q{}", local.quarter()).into(),
            Style::Narrow => return local.quarter().to_string().into(),
        },
        Text::HalfDay if local.hour() < 12 => "AM",
        Text::HalfDay => "PM",
        Text::DayPeriod => day_period(local.hour(), local.minute(), style),
    };
    word.into()
}

fn day_period(hour: u32, minute: u32, style: Style) -> &'static str {
    match (hour, minute) {
        (0, 0) if style == Style::Narrow => "mi",
        (0, 0) => "midnight",
        (12, 0) if style == Style::Narrow => "n",
        (12, 0) => "noon",
        (6..12, _) => "in the morning",
        (12..18, _) => "in the afternoon",
        (18..21, _) => "in the evening",
        _ => "at night",
    }
}
