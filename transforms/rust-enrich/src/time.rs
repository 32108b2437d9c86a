//! Milliseconds since the Unix epoch as `2024-02-29T23:59:59.999Z`.

/// Years up to 9999 have their four digits; what is later is written modulo 10,000.
pub fn rfc3339(ms: u64) -> [u8; 24] {
    let (days, of_day) = (ms / 86_400_000, (ms % 86_400_000) as u32);
    let (hour, minute, second, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    // Years begin in March here, so that the leap day is the last one; eras are of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, (days % 146_097) as u32);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let year = (era % 25) as u32 * 400 + year;
    let (year, month) = match march_month {
        0..=9 => (year, march_month + 3),
        _ => (year + 1, march_month - 9),
    };
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (first, upto, mut value) in
        [(0, 4, year), (5, 7, month), (8, 10, day), (11, 13, hour), (14, 16, minute), (17, 19, second), (20, 23, milli)]
    {
        for digit in text[first..upto].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    text
}
