"""Dates and times by the rules of docs/json-to-columns.md: days and microseconds since 1970. Used by `conversion.py`."""

import datetime
import re

from conversion_numbers import Refused, cut

DAY_US = 86_400 * 10**6
ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z\Z")
SQL = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2}) ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]{1,9}))?\Z")
DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})\Z")
MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()


def day_number(year, month, day):
    """Days since 1970, of the years 0000 to 9999. Python has no year 0; the calendar repeats after 400 years."""
    try:
        return datetime.date(year + 400 if year == 0 else year, month, day).toordinal() - 719_163 - (146_097 if year == 0 else 0)
    except ValueError as error:
        raise Refused(str(error)) from error


def instant(day, hour, minute, second, fraction):
    if hour > 23 or minute > 59 or second > 59:
        raise Refused("no such time")
    return day * DAY_US + (hour * 3600 + minute * 60 + second) * 10**6 + int((fraction or "").ljust(9, "0")[:6])


def date(text):
    match = DATE.match(text)
    if not match:
        raise Refused("not a date")
    return day_number(*map(int, match.groups()))


def timestamp(text, options):
    """Of a string, or for Hive of a number's text."""
    forms = (SQL,) if options.dialect == "hive" else (ISO, SQL)
    if options.dialect == "hive":
        for pattern in options.timestamp_formats:
            found = by_pattern(pattern, text)
            if found is not None:
                return found
    for form in forms:
        if match := form.match(text):
            year, month, day, hour, minute, second = map(int, match.groups()[:6])
            return instant(day_number(year, month, day), hour, minute, second, match[7])
    if options.dialect == "hive":
        raise Refused("unsupported timestamp")
    return epoch(text)


def moment(micros):
    if not -(2**63) <= micros < 2**63:
        raise Refused("timestamp out of range")
    return micros


def epoch(text):
    return moment(cut(text, 6 if abs(cut(text, 0)) < 10**12 else 3))


def by_pattern(pattern, text):
    """The time of `text` by a Joda pattern or `millis`; None if it has not that form."""
    try:
        return moment(cut(text, 3)) if pattern == "millis" else match_pattern(pattern, text)
    except Refused:
        return None


def pattern_items(pattern):
    """The parts of a Joda pattern: (letter, count), or a text that stands for itself."""
    found, at = [], 0
    while at < len(pattern):
        if pattern[at] == "'":
            quoted = re.compile(r"'((?:[^']|'')*)'").match(pattern, at)
            found.append(quoted[1].replace("''", "'") or "'")
            at = quoted.end()
        elif re.match("[A-Za-z]", pattern[at]):
            letters = re.compile(f"{pattern[at]}+").match(pattern, at)[0]
            found.append((letters[0], len(letters)))
            at += len(letters)
        else:
            found.append(pattern[at])
            at += 1
    return found


MOST_DIGITS = {"y": 4, "u": 4, "Y": 4, "M": 2, "d": 2, "D": 3, "H": 2, "k": 2, "h": 2, "K": 2, "m": 2, "s": 2, "S": 9}


def is_number(item):
    return isinstance(item, tuple) and item[0] in MOST_DIGITS and not (item[0] == "M" and item[1] > 2)


def match_pattern(pattern, text):
    found = {"y": 1970, "M": 1, "d": 1, "H": 0, "m": 0, "s": 0, "S": ""}
    at, zone_us = 0, 0
    items = pattern_items(pattern)

    def take(form):
        nonlocal at
        match = re.compile(form, re.I).match(text, at)
        if not match:
            raise Refused(f"not of the form {pattern}")
        at = match.end()
        return match[0]

    def name(names):
        word = take("|".join(f"{each}|{each[:3]}" for each in names)).lower()
        return next(number for number, each in enumerate(names) if each.startswith(word))

    for item, following in zip(items, items[1:] + [""]):
        if isinstance(item, str):
            take("(?-i:" + re.escape(item) + ")")
            continue
        letter, count = item
        if is_number(item):
            two_digit_year = letter in "yuY" and count == 2
            widths = "{2}" if two_digit_year else f"{{{count}}}" if is_number(following) else f"{{1,{MOST_DIGITS[letter]}}}"
            digits = take("[0-9]" + widths)
            found[{"u": "y", "Y": "y", "k": "H"}.get(letter, letter)] = digits if letter == "S" else int(digits) + 2000 * two_digit_year
        elif letter == "M":
            found["M"] = name(MONTHS) + 1
        elif letter == "E":
            name(WEEKDAYS)
        elif letter == "a":
            found["a"] = take("am|pm").lower()
        else:
            zone = take("(?-i:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)")
            if zone[0] in "+-":
                hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
                if hours > 18 or minutes > 59:
                    raise Refused("no such zone")
                zone_us = (hours * 60 + minutes) * 60 * 10**6 * (-1 if zone[0] == "-" else 1)
    if at < len(text):
        raise Refused("something follows")
    hour = 0 if found["H"] == 24 else found["H"]
    for letter in "hK":
        if letter in found:
            if found[letter] > 12:
                raise Refused("no such hour")
            hour = found[letter] % 12
    if found.get("a") == "pm" and hour < 12:
        hour += 12
    if "D" in found:
        day = day_number(found["y"], 1, 1) + found["D"] - 1
        if found["D"] < 1 or day > day_number(found["y"], 12, 31):
            raise Refused("no such day")
    else:
        day = day_number(found["y"], found["M"], found["d"])
    return instant(day, hour, found["m"], found["s"], found["S"]) - zone_us
