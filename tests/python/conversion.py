"""The rules of docs/json-to-columns.md written anew from that page: which records are rows, and with which values.

Neighbours: `check_parquet.py` compares Parquet objects with what this says; `convert.py` and `datasets.py` are the suites.
Nothing here is fast or shared with the program. Values: dates are days and timestamps microseconds since 1970, a struct is
a tuple of its fields, a map a list of pairs; `canonical` brings these and what readers give to one form.
"""

import base64
import dataclasses
import datetime
import decimal
import fractions
import json
import re
import struct
import sys

JSON_BLANK = " \t\r\n"
BLANK = re.compile(r"[ \t\n\r]*")
STRING = r'"(?:[^"\\]|\\.)*"'
LOOSE_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?\Z")
MAX_DEPTH, MAX_KEY_BYTES = 1000, 262_144
# Only the syntax is wanted: numbers of any length stay text.
DECODER = json.JSONDecoder(parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)), parse_int=str, parse_float=str)
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
DAY_US = 86_400 * 10**6
decimal.getcontext().prec = 200
# Values as deep as the rules allow are taken apart by recursion.
sys.setrecursionlimit(20_000)


class Refused(Exception):
    """The record is not a row."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The deserializer's options; the default is OpenX with its defaults."""

    dialect: str = "openx"
    case_insensitive: bool = True
    dots_to_underscores: bool = False
    mappings: tuple = ()  # (column, key)
    timestamp_formats: tuple = ()
    unknown_fields: str = ""  # the column that takes what no other does

    def key(self, text):
        """What a key, or a mapped key, is compared as."""
        if self.dialect == "hive" or self.case_insensitive:
            text = text.lower()
        return text.replace(".", "_") if self.dots_to_underscores and self.dialect == "openx" else text

    def name(self, text):
        """What a column's or field's name is compared as."""
        return text.lower() if self.dialect == "hive" or self.case_insensitive else text

    def arguments(self):
        """As arguments of `hydrant convert`."""
        found = ["--deserializer", self.dialect]
        found += [] if self.case_insensitive else ["--case-sensitive"]
        found += ["--dots-to-underscores"] if self.dots_to_underscores else []
        for column, key in self.mappings:
            found += ["--map", f"{column}={key}"]
        for pattern in self.timestamp_formats:
            found += ["--timestamp-format", pattern]
        return found + (["--unknown-fields", self.unknown_fields] if self.unknown_fields else [])

    def columns(self, declared):
        """The columns of the file: those declared, and behind them that of unknown fields if it is not one of them."""
        name = self.unknown_fields.lower()
        return [*declared, (name, ("string",))] if name and name not in dict(declared) else declared


# --- The table -------------------------------------------------------------------------------------------------------


def parse_table(text):
    """[(column, type)] of a CREATE TABLE, in lower case as tables have them; a type is a tuple that begins with its name."""
    return [(name.lower(), kind) for name, kind in parse_columns(text)]


def parse_columns(text):
    """As `parse_table`, with names as they are written."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.S)
    tokens = re.findall(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|[\w-]+|\S", text)
    position = [tokens.index("(") + 1]

    def peek():
        return tokens[position[0]]

    def take(expected=None):
        token = tokens[position[0]]
        if expected and token.lower() != expected:
            sys.exit(f"schema: expected {expected}, found {token}")
        position[0] += 1
        return token

    def name():
        token = take()
        return token[1:-1].replace("``", "`") if token.startswith("`") else token

    def kind():
        word = take().lower()
        word = {"integer": "int", "dec": "decimal", "numeric": "decimal"}.get(word, word)
        if word == "array":
            take("<")
            item = kind()
            take(">")
            return ("array", item)
        if word == "map":
            take("<")
            key = kind()
            take(",")
            value = kind()
            take(">")
            return ("map", key, value)
        if word == "struct":
            take("<")
            fields = []
            while True:
                field = name()
                take(":")
                fields.append((field, kind()))
                comment()
                if take() == ">":
                    return ("struct", fields)
        arguments = []
        if peek() == "(":
            while take() != ")":
                if peek() not in ",)":
                    arguments.append(int(peek()))
        if word == "decimal":
            arguments = (arguments + [10, 0])[:2] if not arguments else (arguments + [0])[:2]
        return (word, *arguments)

    def comment():
        if peek().lower() == "comment":
            take()
            take()

    columns = []
    while True:
        column = name()
        columns.append((column, kind()))
        comment()
        if take() == ")":
            return columns


def show_type(kind):
    """A type as a declaration has it."""
    name, *rest = kind
    if name == "struct":
        return "struct<" + ",".join(f"`{field}`:{show_type(each)}" for field, each in rest[0]) + ">"
    if name in ("array", "map"):
        return f"{name}<{','.join(map(show_type, rest))}>"
    return name + (f"({','.join(map(str, rest))})" if rest else "")


def show_table(columns):
    """The declaration of a table."""
    return "CREATE TABLE t (" + ", ".join(f"`{name}` {show_type(kind)}" for name, kind in columns) + ")"


# --- Records to rows -------------------------------------------------------------------------------------------------


def rows(columns, record, options=Options()):
    """The rows of one record; `columns` are those of the file."""
    found = check_record(record)
    names = names_of(column_names, columns, options)
    rest = next((at for at, (name, _) in enumerate(columns) if name == options.unknown_fields.lower()), None)
    return [row(columns, names, text, options, rest) for text in found]


def check_record(record):
    """The texts of a record's objects; refused for what is wrong whatever the columns are."""
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8") from error
    if not text.strip(JSON_BLANK):
        raise Refused("blank")
    if too_deep(text):
        raise Refused("too deep")
    found = []
    at = blank(text, 0)
    while at < len(text):
        if text[at] != "{":
            raise Refused("not an object")
        end = decode(text, at)
        found.append(text[at:end])
        at = blank(text, end)
    if len(text) > MAX_KEY_BYTES // 4:
        for key in re.finditer(f"({STRING})[ \t\r\n]*:|{STRING}", text):
            if key[1] and len(key[1].encode()) - 2 > MAX_KEY_BYTES:
                raise Refused("a long key")
    return found


def blank(text, at):
    return BLANK.match(text, at).end() if text[at : at + 1] in JSON_BLANK else at


def too_deep(text):
    """Whether brackets outside strings are nested deeper than allowed."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in re.findall(r"[\[{\]}]", re.sub(STRING, "", text, flags=re.S)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def decode(text, at):
    """End of the JSON value at `at`."""
    try:
        return DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from error


def members(text):
    """(text of the key, text of the value) of an object's text, in order."""
    at = blank(text, 1)
    while text[at] != "}":
        end = decode(text, at)
        key = text[at:end]
        at = blank(text, blank(text, end) + 1)
        end = decode(text, at)
        yield key, text[at:end]
        at = blank(text, end)
        if text[at] == ",":
            at = blank(text, at + 1)


def items(text):
    """Texts of a list's items."""
    at = blank(text, 1)
    while text[at] != "]":
        end = decode(text, at)
        yield text[at:end]
        at = blank(text, end)
        if text[at] == ",":
            at = blank(text, at + 1)


def plain(text):
    """The content of a JSON string; a surrogate without its partner is U+FFFD."""
    if "\\" not in text:
        return text[1:-1]
    return re.sub(r"[\ud800-\udfff]", "\ufffd", json.loads(text))


KNOWN_NAMES = {}


def names_of(function, fields, options):
    """The function's result for these fields, kept: they do not change."""
    found = KNOWN_NAMES.get((function, id(fields), options))
    if not found:
        # With the fields, so that their id stays theirs.
        found = KNOWN_NAMES[function, id(fields), options] = (fields, function(fields, options))
    return found[1]


def column_names(columns, options):
    """{key: columns}. A mapped column is found by its mapped key alone."""
    mapped = {column.lower(): options.key(key) for column, key in options.mappings}
    found = {}
    for at, (name, _) in enumerate(columns):
        if name != options.unknown_fields.lower():
            found.setdefault(mapped.get(name.lower(), options.name(name)), set()).add(at)
    return found


def field_names(fields, options):
    """{key: fields} of a struct, whose fields are found by a mapped key too."""
    mapped = {column.lower(): options.key(key) for column, key in options.mappings}
    found = {}
    for at, (name, _) in enumerate(fields):
        for key in {options.name(name), mapped.get(name.lower(), options.name(name))}:
            found.setdefault(key, set()).add(at)
    return found


def row(columns, names, text, options, rest=None):
    """The values of an object, in the order of the columns; of equal keys the last one counts. `rest`: the number of the
    column for the fields that no other takes, as they are written."""
    values, unknown = [None] * len(columns), []
    for key, value in members(text):
        found = names.get(options.key(plain(key)), ())
        for at in found:
            values[at] = expected(columns[at][1], value, options)
        if not found:
            unknown.append(f"{key}:{value}")
    if rest is not None and unknown:
        values[rest] = "{" + ",".join(unknown) + "}"
    return tuple(values)


# --- Values ----------------------------------------------------------------------------------------------------------

RANGES = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}


def expected(kind, text, options=Options()):
    """The value that the JSON text has in a column of this type."""
    name = kind[0]
    first = text[0]
    lenient = options.dialect == "openx"
    if text == "null":
        return None
    if name in ("string", "char", "varchar"):
        if first in "[{" and not lenient:
            raise Refused("not a string")
        value = plain(text) if first == '"' else text
        return value[: kind[1]] if len(kind) > 1 else value
    if name == "array":
        if first != "[":
            raise Refused("not an array")
        return [expected(kind[1], item, options) for item in items(text)]
    if name == "map":
        if first != "{":
            raise Refused("not a map")
        pairs = {}
        for key, value in members(text):
            key = map_key(kind[1], plain(key), options)
            # NaN equals NaN here, and zeros of either sign are equal.
            pairs[repr(key + 0.0 if isinstance(key, float) else key)] = (key, expected(kind[2], value, options))
        return list(pairs.values())
    if name == "struct":
        if first != "{":
            raise Refused("not a struct")
        return row(kind[1], names_of(field_names, kind[1], options), text, options)
    if first in "[{":
        raise Refused("not a scalar")
    if text in ("true", "false"):
        if name != "boolean":
            raise Refused("a boolean")
        return text == "true"
    if first == '"':
        return from_string(kind, plain(text), lenient, options)
    return from_number(kind, text, options)


def map_key(kind, key, options):
    if kind[0] in ("string", "char", "varchar"):
        return key[: kind[1]] if len(kind) > 1 else key
    return from_string(kind, key, True, options)


def from_string(kind, value, lenient, options):
    name = kind[0]
    if name == "date":
        return date(value)
    if name == "timestamp":
        return timestamp(value, options)
    if name == "binary":
        return unbase64(value) if options.dialect == "openx" else value.encode()
    if not lenient:
        raise Refused("a string")
    if name == "boolean":
        if value.lower() not in ("true", "false") or not value.isascii():
            raise Refused("not a boolean")
        return value.lower() == "true"
    if name in ("double", "float") and value in ("NaN", "Infinity", "+Infinity", "-Infinity"):
        return float(value)
    return from_number(kind, value, options)


def from_number(kind, text, options):
    """`text` is a number of JSON, or what a string holds."""
    name = kind[0]
    if name == "timestamp":
        return timestamp(text, options) if options.dialect == "hive" else epoch(text)
    if name in RANGES:
        sign, digits, exponent = exact(text)
        if exponent < 0 or len(digits) + exponent > 30:
            raise Refused("no integer, or out of range")
        value = sign * int(digits or "0") * 10**exponent
        if not -(2 ** RANGES[name]) <= value < 2 ** RANGES[name]:
            raise Refused("out of range")
        return value
    if name == "double":
        return double(text)
    if name == "float":
        return single(text)
    if name == "decimal":
        return fixed(text, kind[1], kind[2])
    raise Refused(f"a number in a column of {name}")


def exact(text):
    """(sign, significant digits, exponent): the value is sign × digits × 10^exponent; without digits it is 0."""
    match = LOOSE_NUMBER.match(text)
    if not match:
        raise Refused("not a number")
    sign, whole, fraction, exponent = match.groups()
    digits = (whole + (fraction or "")).lstrip("0")
    kept = digits.rstrip("0")
    if not kept:
        return 1, "", 0
    exponent = max(-(10**9), min(10**9, int(exponent[:12]) if exponent else 0)) - len(fraction or "")
    return -1 if sign == "-" else 1, kept, exponent + len(digits) - len(kept)


def double(text):
    if not LOOSE_NUMBER.match(text):
        raise Refused("not a number")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Refused("out of range")
    return value


def single(text):
    """The nearest float, rounded once."""
    wide = double(text)
    halfway = struct.unpack("<Q", struct.pack("<d", wide))[0] & 0x1FFFFFFF == 0x10000000
    if not halfway and 1e-37 < abs(wide) < 3e38:
        # What was rounded to a double is on the same side of the middle between two floats.
        return struct.unpack("<f", struct.pack("<f", wide))[0]
    sign, digits, exponent = exact(text)
    if not digits or len(digits) + exponent < -60:
        return -0.0 if text.startswith("-") else 0.0
    if len(digits) + exponent > 60:
        raise Refused("out of range")
    value = fractions.Fraction(int(digits)) * fractions.Fraction(10) ** exponent
    if value >= fractions.Fraction(2**25 - 1, 2) * 2**104:
        raise Refused("out of range")
    try:
        bits = struct.unpack("<I", struct.pack("<f", abs(wide)))[0]
    except OverflowError:  # rounded up twice
        bits = 0x7F7FFFFF
    near = [struct.unpack("<f", struct.pack("<I", each))[0] for each in (max(bits, 1) - 1, bits, min(bits + 1, 0x7F7FFFFF))]
    even = lambda each: struct.unpack("<I", struct.pack("<f", each))[0] % 2
    return sign * min(near, key=lambda each: (abs(fractions.Fraction(each) - value), even(each)))


def fixed(text, precision, scale):
    """More than `scale` digits behind the point are rounded, halves away from zero."""
    sign, digits, exponent = exact(text)
    kept = len(digits) + exponent + scale
    if digits and kept > 60:
        raise Refused("out of range")
    value = int(digits[: max(kept, 0)] or "0") * 10 ** max(0, exponent + scale)
    if 0 <= kept < len(digits) and digits[kept] >= "5":
        value += 1
    if value >= 10**precision:
        raise Refused("out of range")
    return decimal.Decimal(sign * value).scaleb(-scale)


def unbase64(value):
    squeezed = re.sub(r"[ \t\r\n\f]", "", value)
    if len(squeezed) % 4 == 0:
        squeezed = re.sub("={1,2}$", "", squeezed)
    if not re.fullmatch(r"[A-Za-z0-9+/]*", squeezed) or len(squeezed) % 4 == 1:
        raise Refused("not base64")
    return base64.b64decode(squeezed + "=" * (-len(squeezed) % 4))


# --- Dates and times -------------------------------------------------------------------------------------------------

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


def cut(text, scale):
    """number × 10^scale; what is finer is cut off."""
    sign, digits, exponent = exact(text)
    if len(digits) + exponent > 30:
        raise Refused("timestamp out of range")
    kept = max(0, len(digits) + exponent + scale)
    return sign * int(digits[:kept] or "0") * 10 ** max(0, exponent + scale)


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


# --- Values in one form ----------------------------------------------------------------------------------------------


def canonical(kind):
    """A function that brings values of this type, as any reader or the rules have them, to one form."""
    name = kind[0]
    if name == "array":
        item = canonical(kind[1])
        return lambda value: tuple([None if each is None else item(each) for each in value])
    if name == "map":
        key, item = canonical(kind[1]), canonical(kind[2])
        pair = lambda pair: (key(pair[0]), None if pair[1] is None else item(pair[1]))
        return lambda value: tuple(sorted(map(pair, pairs(value)), key=repr))
    if name == "struct":
        names = [field for field, _ in kind[1]]
        forms = [canonical(form) for _, form in kind[1]]

        def record(value):
            if isinstance(value, dict):
                value = [value[field] for field in names]
            return tuple([None if each is None else form(each) for form, each in zip(forms, value)])

        return record
    if name == "timestamp":
        return lambda value: value if isinstance(value, int) else (value - EPOCH) // MICROSECOND
    if name == "date":
        return lambda value: value if isinstance(value, int) else value.toordinal() - 719_163
    if name in ("double", "float"):
        return lambda value: repr(float(value))
    if name == "decimal":
        unit = decimal.Decimal(1).scaleb(-kind[2])
        return lambda value: decimal_text(decimal.Decimal(value).quantize(unit))
    return {"binary": bytes, "boolean": bool}.get(name, lambda value: value)


def decimal_text(value):
    """Decimals have no negative zero."""
    return str(abs(value) if not value else value)


def pairs(value):
    """A map's entries, whatever a reader makes of a map."""
    if isinstance(value, dict):
        return value.items()
    return [(pair["key"], pair["value"]) if isinstance(pair, dict) else pair for pair in value]
