"""The rules of docs/json-to-columns.md written anew from that page: which records are rows, and with which values.

Neighbours: `check_parquet.py` compares Parquet objects with what this says; `convert.py` and `datasets.py` are the suites.
Numbers and times are in files of their own, types in `hive_types.py`. Nothing here is fast or shared with the program.
Values: dates are days and timestamps microseconds since 1970, a struct is a tuple of its fields, a map a list of pairs.
"""

import base64
import dataclasses
import json
import re
import sys

from conversion_numbers import RANGES, Refused, double, fixed, integer, single
from conversion_times import date, epoch, timestamp

JSON_BLANK = " \t\r\n"
BLANK = re.compile(r"[ \t\n\r]*")
STRING = r'"(?:[^"\\]|\\.)*"'
MAX_DEPTH, MAX_KEY_BYTES = 1000, 262_144
# Only the syntax is wanted: numbers of any length stay text.
DECODER = json.JSONDecoder(parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)), parse_int=str, parse_float=str)
# Values as deep as the rules allow are taken apart by recursion.
sys.setrecursionlimit(20_000)


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
        return integer(text, name)
    if name == "double":
        return double(text)
    if name == "float":
        return single(text)
    if name == "decimal":
        return fixed(text, kind[1], kind[2])
    raise Refused(f"a number in a column of {name}")


def unbase64(value):
    squeezed = re.sub(r"[ \t\r\n\f]", "", value)
    if len(squeezed) % 4 == 0:
        squeezed = re.sub("={1,2}$", "", squeezed)
    if not re.fullmatch(r"[A-Za-z0-9+/]*", squeezed) or len(squeezed) % 4 == 1:
        raise Refused("not base64")
    return base64.b64decode(squeezed + "=" * (-len(squeezed) % 4))
