//! Dates as jq 1.6 has them over glibc in UTC and the C locale.
//!
//! Formats are literals of the query and checked at Create: a conversion whose result depends on the time zone or locale,
//! or that is not implemented here, is refused there.

use super::limits::{Run, Stop};
use super::value::Value;
use crate::stream::prefix::{DAYS, MONTHS};
use std::fmt::Write;

const OUTPUT: &str = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY%";
const INPUT: &str = "aAbBdDeFhHIlkmMnpRStTyY%Z";
/// Bytes beyond its format that a date may take, as jq has it.
const SPARE_BYTES: usize = 100;
const SECONDS_A_DAY: i64 = 86400;

/// The fields of `struct tm`, the year counted from 0.
#[derive(Debug, Clone, Copy, Default)]
struct Broken {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    week_day: i64,
    year_day: i64,
}

fn check(format: &str, known: &str) -> Result<(), String> {
    let mut chars = format.chars();
    if format.contains('\0') {
        return Err("a date format has a NUL".to_owned());
    }
    while let Some(c) = chars.next() {
        if c == '%' {
            match chars.next() {
                Some(c) if known.contains(c) => {}
                Some(c @ ('Z' | 'z' | 's' | '+')) => {
                    return Err(format!("%{c} in a date format depends on the time zone of the machine"));
                }
                Some(c) => return Err(format!("%{c} in a date format is not supported")),
                None => return Err("a date format ends in %".to_owned()),
            }
        }
    }
    Ok(())
}

/// Checks a format of `strftime`.
pub fn check_output(format: &str) -> Result<(), String> {
    check(format, OUTPUT)
}

/// Checks a format of `strptime`.
pub fn check_input(format: &str) -> Result<(), String> {
    if !format.is_ascii() {
        return Err("a date format of strptime must be ASCII".to_owned());
    }
    check(format, INPUT)
}

/// Days from 1970-01-01 to a date, whose month counts from 0 and may be any.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year + month.div_euclid(12);
    let month = month.rem_euclid(12) + 1;
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn break_down(seconds: i64) -> Broken {
    let (days, rest) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 2 } else { shifted_month - 10 };
    let year = year_of_era + era * 400 + i64::from(month <= 1);
    Broken {
        year,
        month,
        day,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
        week_day: (days + 4).rem_euclid(7),
        year_day: days - days_from_civil(year, 0, 1),
    }
}

fn to_array(run: &mut Run, date: &Broken, second: f64) -> Result<Value, Stop> {
    let fields = [date.year, date.month, date.day, date.hour, date.minute];
    let mut items: Vec<Value> = fields.into_iter().map(|field| Value::Number(field as f64)).collect();
    items.push(Value::Number(second));
    items.extend([date.week_day, date.year_day].map(|field| Value::Number(field as f64)));
    Value::array(run, items)
}

/// `gmtime`.
pub fn gmtime(run: &mut Run, input: &Value) -> Result<Value, Stop> {
    let Value::Number(seconds) = input else {
        return Err(Stop::error("gmtime() requires numeric inputs"));
    };
    // The year must fit an int of C.
    if !(-6.7e16..6.7e16).contains(seconds) {
        return Err(Stop::error("errror converting number of seconds since epoch to datetime"));
    }
    let date = break_down(*seconds as i64);
    to_array(run, &date, date.second as f64 + (seconds - seconds.floor()))
}

/// The fields of a broken down time; none if one is missing, no number or beyond an int of C.
/// What an array stands for; nothing if it is no date. One that no int of C holds is not asked for.
fn from_array(input: &Value) -> Result<Option<Broken>, Stop> {
    let Value::Array(list) = input else { return Ok(None) };
    let no_int = |item: &Value| matches!(item, Value::Number(number) if number.is_nan() || number.abs() >= 2e9);
    if list.iter().take(8).any(no_int) {
        return Err(Stop::Limit("a date is out of range"));
    }
    Ok(broken_down(list))
}

fn broken_down(list: &[Value]) -> Option<Broken> {
    let field = |at: usize| match list.get(at) {
        Some(Value::Number(number)) => Some(*number as i64),
        _ => None,
    };
    Some(Broken {
        year: field(0)?,
        month: field(1)?,
        day: field(2)?,
        hour: field(3)?,
        minute: field(4)?,
        second: field(5)?,
        week_day: field(6)?,
        year_day: field(7)?,
    })
}

/// `mktime`.
pub fn mktime(input: &Value) -> Result<Value, Stop> {
    let Value::Array(list) = input else {
        return Err(Stop::error("mktime requires array inputs"));
    };
    let date = from_array(input)?.filter(|_| list.len() >= 6);
    let date = date.ok_or_else(|| Stop::error("mktime requires parsed datetime inputs"))?;
    let days = days_from_civil(date.year, date.month, 1) + date.day - 1;
    let seconds = days * SECONDS_A_DAY + date.hour * 3600 + date.minute * 60 + date.second;
    // What these two would be is how the C functions say that they failed.
    match seconds {
        -1 => return Err(Stop::error("invalid gmtime representation")),
        -2 => return Err(Stop::error("mktime not supported on this platform")),
        _ => {}
    }
    Ok(Value::Number(seconds as f64))
}

/// `strftime`.
pub fn strftime(run: &mut Run, input: &Value, arguments: &[Value]) -> Result<Value, Stop> {
    let broken = match input {
        Value::Number(_) => gmtime(run, input)?,
        Value::Array(_) => input.clone(),
        _ => return Err(Stop::error("strftime/1 requires parsed datetime inputs")),
    };
    let Value::String(format) = &arguments[0] else {
        return Err(Stop::error("strftime/1 requires a string format"));
    };
    let date = from_array(&broken)?.ok_or_else(|| Stop::error("strftime/1 requires parsed datetime inputs"))?;
    let usual = (0..24).contains(&date.month)
        && (0..=31).contains(&date.day)
        && (0..24).contains(&date.hour)
        && (0..60).contains(&date.minute)
        && (0..=61).contains(&date.second)
        && (0..=8).contains(&date.week_day)
        && (0..=2_000_000_000).contains(&date.year);
    let of_week = "gGjUVW".chars().any(|c| format.contains(c));
    if !usual || (of_week && !((0..7).contains(&date.week_day) && (0..366).contains(&date.year_day))) {
        return Err(Stop::Limit("a date is out of range"));
    }
    run.take_bytes(format.len() + SPARE_BYTES)?;
    let mut out = String::new();
    push_date(&mut out, format, &date);
    if out.is_empty() || out.len() >= format.len() + SPARE_BYTES {
        return Err(Stop::error("strftime/1: unknown system failure"));
    }
    Ok(Value::String(out.into()))
}

/// Week and year by ISO 8601.
fn iso_week(date: &Broken) -> (i64, i64) {
    let monday_based = (date.week_day + 6) % 7;
    let week = (date.year_day - monday_based + 10).div_euclid(7);
    let weeks_in = |year: i64| {
        let first = (days_from_civil(year, 0, 1) + 4).rem_euclid(7);
        if first == 4 || (first == 3 && is_leap(year)) { 53 } else { 52 }
    };
    if week < 1 {
        (weeks_in(date.year - 1), date.year - 1)
    } else if week > weeks_in(date.year) {
        (1, date.year + 1)
    } else {
        (week, date.year)
    }
}

fn push_date(out: &mut String, format: &str, date: &Broken) {
    let mut chars = format.chars();
    let twelve = (date.hour + 11) % 12 + 1;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let day = DAYS.get(date.week_day as usize).copied().unwrap_or("?");
        let month = MONTHS.get(date.month as usize).copied().unwrap_or("?");
        let half = if date.hour < 12 { "AM" } else { "PM" };
        let _ = match chars.next().unwrap_or('%') {
            'a' => write!(out, "{}", day.get(..3).unwrap_or(day)),
            'A' => write!(out, "{day}"),
            'b' | 'h' => write!(out, "{}", month.get(..3).unwrap_or(month)),
            'B' => write!(out, "{month}"),
            'c' => {
                push_date(out, "%a %b %e %H:%M:%S %Y", date);
                Ok(())
            }
            'C' => write!(out, "{}", date.year / 100),
            'd' => write!(out, "{:02}", date.day),
            'D' | 'x' => {
                push_date(out, "%m/%d/%y", date);
                Ok(())
            }
            'e' => write!(out, "{:2}", date.day),
            'F' => {
                push_date(out, "%Y-%m-%d", date);
                Ok(())
            }
            'g' => write!(out, "{:02}", iso_week(date).1.rem_euclid(100)),
            'G' => write!(out, "{}", iso_week(date).1),
            'H' => write!(out, "{:02}", date.hour),
            'I' => write!(out, "{twelve:02}"),
            'j' => write!(out, "{:03}", date.year_day + 1),
            'k' => write!(out, "{:2}", date.hour),
            'l' => write!(out, "{twelve:2}"),
            'm' => write!(out, "{:02}", date.month + 1),
            'M' => write!(out, "{:02}", date.minute),
            'n' => out.write_char('\n'),
            'p' => write!(out, "{half}"),
            'P' => write!(out, "{}", half.to_ascii_lowercase()),
            'r' => {
                push_date(out, "%I:%M:%S %p", date);
                Ok(())
            }
            'R' => {
                push_date(out, "%H:%M", date);
                Ok(())
            }
            'S' => write!(out, "{:02}", date.second),
            't' => out.write_char('\t'),
            'T' | 'X' => {
                push_date(out, "%H:%M:%S", date);
                Ok(())
            }
            'u' => write!(out, "{}", (date.week_day + 6) % 7 + 1),
            'U' => write!(out, "{:02}", (date.year_day - date.week_day + 7) / 7),
            'V' => write!(out, "{:02}", iso_week(date).0),
            'w' => write!(out, "{}", date.week_day),
            'W' => write!(out, "{:02}", (date.year_day - (date.week_day + 6) % 7 + 7) / 7),
            'y' => write!(out, "{:02}", date.year % 100),
            'Y' => write!(out, "{}", date.year),
            other => write!(out, "{other}"),
        };
    }
}

/// `strptime`.
pub fn strptime(run: &mut Run, input: &Value, arguments: &[Value]) -> Result<Value, Stop> {
    let (Value::String(text), Value::String(format)) = (input, &arguments[0]) else {
        return Err(Stop::error("strptime/1 requires string inputs and arguments"));
    };
    run.take_steps(text.len() as u64 / 32)?;
    let text = text.split('\0').next().unwrap_or_default();
    let mut reader = Reader { rest: text.as_bytes(), ..Reader::default() };
    let read = reader.read(format.as_bytes());
    if read.is_none() || reader.rest.first().is_some_and(|byte| !is_blank(*byte)) {
        return Err(Stop::error(format!("date \"{text}\" does not match format \"{format}\"")));
    }
    let date = reader.finish();
    let broken = to_array(run, &date, date.second as f64)?;
    if reader.rest.is_empty() {
        return Ok(broken);
    }
    let rest = String::from_utf8_lossy(reader.rest).into_owned();
    broken.with_items(run, &[Value::text(&rest)])
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// What `strptime` of glibc keeps while it reads.
#[derive(Debug, Default)]
struct Reader<'a> {
    rest: &'a [u8],
    date: Broken,
    afternoon: Option<bool>,
    twelve: bool,
    have_year: bool,
    have_month: bool,
    have_day: bool,
    have_week_day: bool,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.rest.first().is_some_and(|byte| is_blank(*byte)) {
            self.rest = &self.rest[1..];
        }
    }

    /// A number of at most `digits` digits.
    fn number(&mut self, range: std::ops::RangeInclusive<i64>, digits: usize) -> Option<i64> {
        self.blanks();
        let count = self.rest.iter().take(digits).take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&self.rest[..count]).ok()?.parse().ok()?;
        self.rest = &self.rest[count..];
        range.contains(&number).then_some(number)
    }

    fn name(&mut self, names: &[&str]) -> Option<i64> {
        for (at, name) in names.iter().enumerate() {
            for name in [*name, &name[..3]] {
                if self.rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes())) {
                    self.rest = &self.rest[name.len()..];
                    return Some(at as i64);
                }
            }
        }
        None
    }

    fn read(&mut self, format: &[u8]) -> Option<()> {
        let mut format = format.iter();
        while let Some(&byte) = format.next() {
            if is_blank(byte) {
                self.blanks();
                continue;
            }
            if byte != b'%' {
                if self.rest.first() != Some(&byte) {
                    return None;
                }
                self.rest = &self.rest[1..];
                continue;
            }
            match format.next()? {
                b'%' => {
                    self.rest = self.rest.strip_prefix(b"%")?;
                }
                b'a' | b'A' => {
                    self.date.week_day = self.name(&DAYS)?;
                    self.have_week_day = true;
                }
                b'b' | b'B' | b'h' => {
                    self.date.month = self.name(&MONTHS)?;
                    self.have_month = true;
                }
                b'd' | b'e' => {
                    self.date.day = self.number(1..=31, 2)?;
                    self.have_day = true;
                }
                b'D' => self.read(b"%m/%d/%y")?,
                b'F' => self.read(b"%Y-%m-%d")?,
                b'H' | b'k' => {
                    self.date.hour = self.number(0..=23, 2)?;
                    self.twelve = false;
                }
                b'I' | b'l' => {
                    self.date.hour = self.number(1..=12, 2)? % 12;
                    self.twelve = true;
                }
                b'm' => {
                    self.date.month = self.number(1..=12, 2)? - 1;
                    self.have_month = true;
                }
                b'M' => self.date.minute = self.number(0..=59, 2)?,
                b'n' | b't' => self.blanks(),
                b'p' => {
                    let half = self.rest.get(..2)?;
                    self.afternoon = Some(if half.eq_ignore_ascii_case(b"AM") {
                        false
                    } else if half.eq_ignore_ascii_case(b"PM") {
                        true
                    } else {
                        return None;
                    });
                    self.rest = &self.rest[2..];
                }
                b'R' => self.read(b"%H:%M")?,
                b'S' => self.date.second = self.number(0..=61, 2)?,
                b'T' => self.read(b"%H:%M:%S")?,
                b'y' => {
                    let year = self.number(0..=99, 2)?;
                    self.date.year = if year >= 69 { 1900 + year } else { 2000 + year };
                    self.have_year = true;
                }
                b'Y' => {
                    self.date.year = self.number(0..=9999, 4)?;
                    self.have_year = true;
                }
                b'Z' => {
                    self.blanks();
                    while self.rest.first().is_some_and(|byte| !is_blank(*byte)) {
                        self.rest = &self.rest[1..];
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// The date, with the days of week and year that follow from what was read; glibc computes them from whatever is
    /// there, and jq marks them with 8 and 367 if nothing is.
    fn finish(&self) -> Broken {
        let mut date = self.date;
        if self.twelve && self.afternoon == Some(true) {
            date.hour += 12;
        }
        if !self.have_year {
            date.year = 1900;
        }
        let dated = self.have_year || self.have_month || self.have_day;
        let days = days_from_civil(date.year, date.month, 1) + date.day - 1;
        if !self.have_week_day {
            date.week_day = if dated { (days + 4).rem_euclid(7) } else { 8 };
        }
        date.year_day = if dated { days - days_from_civil(date.year, 0, 1) } else { 367 };
        date
    }
}
