//! Lines of an access log as Apache writes them (Common Log Format; what follows it, as in the combined format, is left
//! out). Members are those of the blueprint of Lambda.

use crate::json::Object;
use crate::{each_line, only_known, Fate};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub struct Blueprint;

impl Blueprint {
    pub fn of(variables: &[(String, String)]) -> Result<Self, String> {
        only_known(variables, &[]).map(|()| Self)
    }

    pub fn convert(&self, data: &[u8], out: &mut Vec<u8>) -> Result<Fate, String> {
        each_line(data, out, line, "line of an access log")
    }
}

/// `host ident authuser [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326`
fn line(line: &str, object: &mut Object) -> Option<()> {
    let (host, rest) = word(line)?;
    let (ident, rest) = word(rest)?;
    let (authuser, rest) = word(rest)?;
    let (time, rest) = rest.strip_prefix('[')?.split_once("] \"")?;
    // A quote inside the request is written as \".
    let mut escaped = false;
    let end = rest.find(|c| {
        let quote = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        quote
    })?;
    let (request, rest) = (&rest[..end], rest[end + 1..].strip_prefix(' ')?);
    let (response, rest) = rest.split_once(' ')?;
    let bytes = rest.split(' ').next()?;
    if request.is_empty() || response.len() != 3 || !digits(response) || !(bytes == "-" || digits(bytes)) {
        return None;
    }
    let (local, zone) = match time.split_once(' ') {
        Some((local, zone)) => (local, Some(zone)),
        None => (time, None),
    };
    object.text("host", host);
    object.text("ident", ident);
    object.text("authuser", authuser);
    object.text("request", request);
    object.raw("response", number(response));
    object.raw("bytes", if bytes == "-" { "0" } else { number(bytes) });
    if let Some((verb, _)) = request.split_once(' ') {
        object.text("verb", verb);
    }
    let seconds = seconds(local);
    match seconds {
        Some(seconds) => object.text("@timestamp", &rfc3339(seconds)),
        // Not a time: as it came.
        None => object.text("@timestamp", local),
    }
    if let Some(zone) = zone {
        object.text("timezone", zone);
        if let (Some(seconds), Some(offset)) = (seconds, offset_seconds(zone)) {
            object.text("@timestamp_utc", &rfc3339(seconds - offset));
        }
    }
    Some(())
}

fn word(text: &str) -> Option<(&str, &str)> {
    text.split_once(' ').filter(|(word, _)| !word.is_empty())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// JSON allows no leading zeros.
fn number(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        number => number,
    }
}

/// `10/Oct/2000:13:55:36` as seconds since the epoch, as if it were UTC.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(':')?;
    let mut date = date.split('/');
    let day = small(date.next()?, 1, 31)?;
    let month = date.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year = date.next().filter(|year| year.len() == 4 && digits(year))?.parse().ok()?;
    let mut time = time.split(':');
    let (hour, minute) = (small(time.next()?, 0, 23)?, small(time.next()?, 0, 59)?);
    let second = small(time.next()?, 0, 59)?;
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds)
}

fn small(text: &str, first: i64, last: i64) -> Option<i64> {
    let value = text.parse().ok().filter(|_| text.len() <= 2 && digits(text))?;
    (first..=last).contains(&value).then_some(value)
}

/// `-0700`
fn offset_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..).filter(|text| text.len() == 4 && digits(text))?;
    let value: i64 = digits.parse().ok()?;
    Some(sign * (value / 100 * 60 + value % 100) * 60)
}

/// Days since the epoch. Years begin in March here, so that the leap day is the last one; eras are of 400 years.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2000-10-10T13:55:36.000Z`
fn rfc3339(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let (year, month) =
        if march_month < 10 { (era * 400 + year, march_month + 3) } else { (era * 400 + year + 1, march_month - 9) };
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}
