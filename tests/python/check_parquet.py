#!/usr/bin/env python3
"""Compares Parquet objects with the NDJSON they were made from, value by value.

    check_parquet.py --schema TABLE.sql --input FILE.ndjson [--readers pyarrow,duckdb,polars] [--may-refuse] OBJECT.parquet…

The expected rows come from Python's json and from the rules of docs/json-to-columns.md (OpenXJsonSerDe with its
defaults), written anew here. Rows are compared without regard to their order, since an object's name does not tell its
place. A line that the rules refuse is an error unless --may-refuse is given, which counts them; --refused-out writes
their numbers. The exit code is 0 only when all readers agree; the last line is then `N rows equal`.
"""

import argparse
import base64
import collections
import datetime
import decimal
import json
import re
import struct
import sys

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
DECODER = json.JSONDecoder(parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
BLANK = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
LOOSE_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
MAX_DEPTH = 1000
decimal.getcontext().prec = 200


class Refused(Exception):
    """The record is not a row."""


# --- The table -------------------------------------------------------------------------------------------------------


def parse_table(text):
    """[(column, type)] of a CREATE TABLE, in lower case as tables have them; a type is a tuple that begins with its name."""
    return [(name.lower(), kind) for name, kind in parse_columns(text)]


def parse_columns(text):
    """As `parse_table`, with names as they are written."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.S)
    tokens = re.findall(r"`[^`]*`|'(?:[^'\\]|\\.|'')*'|[\w-]+|\S", text)
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
        return take().strip("`")

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


# --- Records to expected rows ----------------------------------------------------------------------------------------


def blank(text, at):
    return BLANK.match(text, at).end()


def too_deep(text):
    """Whether brackets outside strings are nested deeper than allowed."""
    depth = 0
    for bracket in re.findall(r"[\[{\]}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
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
    """(key, text of the value) of an object's text, in order."""
    at = blank(text, 1)
    while text[at] != "}":
        end = decode(text, at)
        key = json.loads(text[at:end])
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
    return re.sub(r"[\ud800-\udfff]", "\ufffd", json.loads(text))


RANGES = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}


def exact(number):
    value = decimal.Decimal(number)
    if value and not -400 < value.adjusted() < 400:
        raise Refused("out of range")
    return value


def integer(number, bits):
    value = exact(number)
    if value != value.to_integral_value() or not -(2**bits) <= value < 2**bits:
        raise Refused("out of range")
    return int(value)


def double(number):
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise Refused("out of range")
    return value


def single(value):
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError as error:
        raise Refused("out of range") from error


def moment(micros):
    if not -(2**63) <= micros < 2**63:
        raise Refused("timestamp out of range")
    return micros


def epoch(number):
    value = exact(number)
    factor = 10**6 if abs(int(value)) < 10**12 else 10**3
    return moment(int(value * factor))


ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z\Z", re.A)
SQL = re.compile(r"(\d{4})-(\d\d?)-(\d\d?) (\d\d?):(\d\d?):(\d\d?)(?:\.(\d{1,9}))?\Z", re.A)
DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)\Z", re.A)


def timestamp(text):
    match = ISO.match(text) or SQL.match(text)
    if not match:
        if LOOSE_NUMBER.match(text):
            return epoch(text)
        raise Refused("unsupported timestamp")
    fields = [int(field) for field in match.groups()[:6]]
    try:
        seconds = (datetime.datetime(*fields) - EPOCH) // datetime.timedelta(seconds=1)
    except ValueError as error:
        raise Refused(str(error)) from error
    return seconds * 10**6 + int((match[7] or "").ljust(9, "0")[:6])


def expected(kind, text):
    """The value that the JSON text has in a column of this type."""
    name = kind[0]
    first = text[0]
    if text == "null":
        return None
    if name in ("string", "char", "varchar"):
        value = plain(text) if first == '"' else text
        return value[: kind[1]] if len(kind) > 1 else value
    if name == "array":
        if first != "[":
            raise Refused("not an array")
        return [expected(kind[1], item) for item in items(text)]
    if name == "map":
        if first != "{":
            raise Refused("not a map")
        pairs = {}
        for key, value in members(text):
            pairs[expected(kind[1], json.dumps(key))] = expected(kind[2], value)
        return sorted(pairs.items())
    if name == "struct":
        if first != "{":
            raise Refused("not a struct")
        return row(kind[1], text)
    if first in "[{":
        raise Refused("not a scalar")
    if name == "boolean":
        word = plain(text).lower() if first == '"' else text
        if word not in ("true", "false"):
            raise Refused("not a boolean")
        return word == "true"
    if text in ("true", "false"):
        raise Refused("a boolean")
    value = plain(text) if first == '"' else text
    if name == "timestamp":
        return timestamp(value) if first == '"' else epoch(value)
    if name == "date":
        match = DATE.match(value)
        if first != '"' or not match:
            raise Refused("not a date")
        try:
            return datetime.date(*map(int, match.groups()))
        except ValueError as error:
            raise Refused(str(error)) from error
    if name == "binary":
        if first != '"':
            raise Refused("not base64")
        try:
            squeezed = re.sub(r"[ \t\r\n\f]", "", value)
            return base64.b64decode(squeezed.rstrip("=") + "=" * (-len(squeezed.rstrip("=")) % 4), validate=True)
        except ValueError as error:
            raise Refused(str(error)) from error
    if name in ("double", "float") and first == '"' and value in ("NaN", "Infinity", "+Infinity", "-Infinity"):
        return float(value)
    if not LOOSE_NUMBER.match(value):
        raise Refused("not a number")
    if name in RANGES:
        return integer(value, RANGES[name])
    if name == "double":
        return double(value)
    if name == "float":
        return single(double(value))
    if name == "decimal":
        scaled = exact(value).scaleb(kind[2]).to_integral_value(decimal.ROUND_HALF_UP)
        if abs(scaled) >= 10 ** kind[1]:
            raise Refused("out of range")
        return scaled.scaleb(-kind[2])
    sys.exit(f"schema: no rule for {name}")


def row(columns, text):
    """The values of an object, in the order of the columns; of equal keys the last one counts."""
    values = {}
    names = {name.lower(): (name, kind) for name, kind in columns}
    for key, value in members(text):
        column = names.get(key.lower())
        if column:
            values[column[0]] = expected(column[1], value)
    return tuple(values.get(name) for name, _ in columns)


def rows(columns, record):
    """The rows of one record."""
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8") from error
    if not text.strip(" \t\r\n"):
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
    return [row(columns, text) for text in found]


# --- Objects to actual rows ------------------------------------------------------------------------------------------


def canonical(kind):
    """A function that brings values of this type, as any reader or the rules have them, to one form."""
    name = kind[0]
    if name == "array":
        item = canonical(kind[1])
        return lambda value: tuple(None if each is None else item(each) for each in value)
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
    if name in ("double", "float"):
        return lambda value: repr(float(value) + 0.0)
    if name == "decimal":
        unit = decimal.Decimal(1).scaleb(-kind[2])
        return lambda value: str(decimal.Decimal(value).quantize(unit))
    return {"binary": bytes, "boolean": bool}.get(name, lambda value: value)


def pairs(value):
    """A map's entries, whatever a reader makes of a map."""
    if isinstance(value, dict):
        return value.items()
    return [(pair["key"], pair["value"]) if isinstance(pair, dict) else pair for pair in value]


def read_pyarrow(path, columns):
    import pyarrow.parquet as parquet

    table = parquet.ParquetFile(path).read()
    return zip(*(table.column(name).to_pylist() for name, _ in columns))


def read_duckdb(path, columns):
    import duckdb

    names = ", ".join('"' + name.replace('"', '""') + '"' for name, _ in columns)
    return duckdb.connect().execute(f"SELECT {names} FROM read_parquet(?)", [path]).fetchall()


def read_polars(path, columns):
    import polars

    return polars.read_parquet(path).select([name for name, _ in columns]).rows()


READERS = {"pyarrow": read_pyarrow, "duckdb": read_duckdb, "polars": read_polars}


def differences(objects, records, columns, readers):
    """Line numbers that the rules refuse, the number of rows, and the first reader's differences as lines of text."""
    form = canonical(("struct", columns))
    wanted = collections.Counter()
    refused = []
    for number, record in enumerate(records, 1):
        try:
            wanted.update(map(form, rows(columns, record)))
        except Refused as error:
            refused.append((number, str(error)))
    for reader in readers:
        found = collections.Counter()
        for path in objects:
            found.update(map(form, READERS[reader](str(path), columns)))
        if found != wanted:
            missing, alien = wanted - found, found - wanted
            lines = [f"{reader}: {found.total()} rows, expected {wanted.total()}; {missing.total()} missing, {alien.total()} alien"]
            for label, some in (("missing", missing), ("alien", alien)):
                for values in list(some)[:3]:
                    lines.append(f"  {label}: {dict(zip((name for name, _ in columns), values))}")
            return refused, wanted.total(), lines
    return refused, wanted.total(), []


def check(objects, records, schema):
    """Asserts that the objects hold exactly the rows of `records` (bytes each), by all readers; returns their number."""
    with open(schema, encoding="utf-8") as file:
        columns = parse_table(file.read())
    sys.setrecursionlimit(20_000)
    refused, total, lines = differences(objects, records, columns, READERS)
    assert not refused, f"record {refused[0][0]}: the rules refuse it: {refused[0][1]}"
    assert not lines, "\n".join(lines)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--may-refuse", action="store_true")
    parser.add_argument("--refused-out")
    parser.add_argument("objects", nargs="*")
    options = parser.parse_args()
    sys.setrecursionlimit(20_000)

    with open(options.schema, encoding="utf-8") as file:
        columns = parse_table(file.read())
    with open(options.input, "rb") as file:
        records = file.read().removesuffix(b"\n").split(b"\n")
    refused, total, lines = differences(options.objects, records, columns, options.readers.split(","))
    if options.refused_out:
        with open(options.refused_out, "w", encoding="utf-8") as file:
            file.writelines(f"{number}\n" for number, _ in refused)
    if refused and not options.may_refuse:
        print(f"{options.input}:{refused[0][0]}: the rules refuse this line: {refused[0][1]}")
        return 1
    if lines:
        print("\n".join(lines))
        return 1
    if options.may_refuse:
        print(f"{len(refused)} lines refused by the rules")
    print(f"{total} rows equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
