//! Dates and times: the forms OpenX takes, Hive's default, epochs. Hive's own patterns are in `joda`.
//!
//! A timestamp is microseconds since 1970-01-01T00:00:00 without a zone; what is finer than a microsecond is cut off.
//! Years are 0000 to 9999 in the proleptic Gregorian calendar.

use super::number::Number;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// Numbers from here on are milliseconds, below seconds (OpenX).
const FIRST_MILLISECONDS: i128 = 1_000_000_000_000;

/// The day number of a date, 0 for 1970-01-01, if there is such a date.
pub fn day_of(year: i64, month: u32, day: u32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    // Years counted from March, so that the leap day is the last one; 400 years are 146,097 days.
    let from_march = i64::from((month + 9) % 12);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

/// Microseconds of a day and a time in it.
pub fn instant(day: i32, hour: u32, minute: u32, second: u32, micros: u32) -> Option<i64> {
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(i64::from(day) * DAY_US + seconds * SECOND_US + i64::from(micros))
}

/// A date `yyyy-[M]M-[d]d`.
pub fn date(text: &[u8]) -> Option<i32> {
    let mut reader = Reader { rest: text };
    let day = reader.date(1)?;
    reader.rest.is_empty().then_some(day)
}

/// `yyyy-[M]M-[d]d [H]H:[m]m:[s]s[.fffffffff]`: Hive's default form, and one of OpenX's.
pub fn sql(text: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: text };
    let day = reader.date(1)?;
    reader.sign(b' ')?;
    let time = reader.time(day, 1)?;
    reader.rest.is_empty().then_some(time)
}

/// A string in one of OpenX's forms: `yyyy-MM-dd'T'HH:mm:ss[.S]'Z'`, the form with a space, or a number as an epoch.
pub fn openx(text: &[u8]) -> Option<i64> {
    if text.get(10) == Some(&b'T') {
        let mut reader = Reader { rest: text };
        let day = reader.date(2)?;
        reader.sign(b'T')?;
        let time = reader.time(day, 2)?;
        return (reader.rest == b"Z").then_some(time);
    }
    sql(text).or_else(|| epoch(&Number::parse(text)?))
}

/// A number as an epoch: seconds below 10^12, else milliseconds.
pub fn epoch(number: &Number) -> Option<i64> {
    if number.whole && number.exact {
        let factor = if i128::from(number.digits) < FIRST_MILLISECONDS { SECOND_US } else { 1000 };
        return number.as_i64()?.checked_mul(factor);
    }
    let (whole, _) = number.scaled(0, false)?;
    let scale = if whole.abs() < FIRST_MILLISECONDS { 6 } else { 3 };
    i64::try_from(number.scaled(scale, false)?.0).ok()
}

/// A number of milliseconds.
pub fn millis(number: &Number) -> Option<i64> {
    i64::try_from(number.scaled(3, false)?.0).ok()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn sign(&mut self, sign: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[sign])?;
        Some(())
    }

    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let mut value = 0;
        let mut count = 0;
        while count < most && self.rest.get(count).is_some_and(u8::is_ascii_digit) {
            value = value * 10 + u32::from(self.rest[count] - b'0');
            count += 1;
        }
        self.rest = &self.rest[count..];
        (count >= least).then_some(value)
    }

    fn date(&mut self, least: usize) -> Option<i32> {
        let year = self.number(4, 4)?;
        self.sign(b'-')?;
        let month = self.number(least, 2)?;
        self.sign(b'-')?;
        let day = self.number(least, 2)?;
        day_of(i64::from(year), month, day)
    }

    fn time(&mut self, day: i32, least: usize) -> Option<i64> {
        let hour = self.number(least, 2)?;
        self.sign(b':')?;
        let minute = self.number(least, 2)?;
        self.sign(b':')?;
        let second = self.number(least, 2)?;
        let mut micros = 0;
        if self.sign(b'.').is_some() {
            let before = self.rest;
            let nanos = self.number(1, 9)?;
            let digits = before.len() - self.rest.len();
            micros = nanos * 10u32.pow(9 - digits as u32) / 1000;
        }
        instant(day, hour, minute, second, micros)
    }
}
