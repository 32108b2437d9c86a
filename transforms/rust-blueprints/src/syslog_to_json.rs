//! Lines as syslog daemons write them to files (RFC 3164 without the priority). Members are those of the blueprint of
//! Lambda.

use crate::json::Object;
use crate::{each_line, only_known, Fate};

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];

pub struct Blueprint;

impl Blueprint {
    pub fn of(variables: &[(String, String)]) -> Result<Self, String> {
        only_known(variables, &[]).map(|()| Self)
    }

    pub fn convert(&self, data: &[u8], out: &mut Vec<u8>) -> Result<Fate, String> {
        each_line(data, out, line, "line of syslog")
    }
}

/// `Oct 11 22:14:15 mymachine su[12]: 'su root' failed`; after the time `<facility.severity> ` may stand.
fn line(line: &str, object: &mut Object) -> Option<()> {
    let (month, rest) = line.split_once(' ')?;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    if !is_month(month) || !is_number(day, 1, 31) || !is_time(time) {
        return None;
    }
    let timestamp = &line[..line.len() - rest.len() - 1];
    let rest = match rest.strip_prefix('<') {
        None => rest,
        Some(priority) => {
            let (priority, rest) = priority.split_once("> ")?;
            let (facility, severity) = priority.split_once('.')?;
            if !is_number(facility, 0, 999) || !is_number(severity, 0, 999) {
                return None;
            }
            rest
        }
    };
    let (host, rest) = rest.split_once(' ')?;
    let (tag, message) = rest.split_once(": ")?;
    let (program, process) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, process)) => (program, Some(process)),
        None => (tag, None),
    };
    let is_name = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c))
    };
    if !is_name(host, ":") || !is_name(program, "/%") || process.is_some_and(|id| !is_number(id, 1, u32::MAX)) {
        return None;
    }
    object.text("timestamp", timestamp);
    object.text("hostname", host);
    object.text("program", program);
    if let Some(process) = process {
        object.text("processid", process);
    }
    object.text("message", message);
    Some(())
}

fn is_month(text: &str) -> bool {
    MONTHS.iter().any(|month| *month == text || month[..3] == *text)
}

fn is_number(text: &str, first: u32, last: u32) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|number: u32| (first..=last).contains(&number))
}

/// `22:14:15`, with a fraction or without.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.find(['.', ',']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let mut part = |last| parts.next().is_some_and(|text| text.len() <= 2 && is_number(text, 0, last));
    part(23)
        && part(59)
        && part(60)
        && parts.next().is_none()
        && fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
