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
    """[(column, type)] of a CREATE TABLE; a type is a tuple whose first item is its name."""
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
        column = name().lower()
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


def canonical(kind, value):
    """A value as all readers and the rules shall have it."""
    if value is None:
        return None
    name = kind[0]
    if name == "array":
        return tuple(canonical(kind[1], item) for item in value)
    if name == "map":
        if isinstance(value, dict):
            pairs = list(zip(value["key"], value["value"])) if value.keys() == {"key", "value"} and isinstance(value["key"], list) else list(value.items())
        else:
            pairs = [(pair["key"], pair["value"]) if isinstance(pair, dict) else pair for pair in value]
        return tuple(sorted((canonical(kind[1], key), canonical(kind[2], item)) for key, item in pairs))
    if name == "struct":
        if isinstance(value, dict):
            value = [value[field] for field, _ in kind[1]]
        return tuple(canonical(field[1], item) for field, item in zip(kind[1], value))
    if name == "timestamp" and isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if name in ("double", "float"):
        return repr(float(value) + 0.0)
    if name == "decimal":
        return str(decimal.Decimal(value).quantize(decimal.Decimal(1).scaleb(-kind[2])))
    if name == "binary":
        return bytes(value)
    if name == "boolean" or isinstance(value, bool):
        return bool(value)
    return value


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--readers", default="pyarrow,duckdb,polars")
    parser.add_argument("--may-refuse", action="store_true")
    parser.add_argument("--refused-out")
    parser.add_argument("objects", nargs="*")
    options = parser.parse_args()
    sys.setrecursionlimit(20_000)

    with open(options.schema, encoding="utf-8") as file:
        columns = parse_table(file.read())
    record_kind = ("struct", columns)
    wanted = collections.Counter()
    refused = []
    with open(options.input, "rb") as file:
        for number, line in enumerate(file.read().split(b"\n"), 1):
            if not line and options.may_refuse is False:
                continue
            try:
                for values in rows(columns, line):
                    wanted[canonical(record_kind, values)] += 1
            except Refused as error:
                refused.append(number)
                if not options.may_refuse:
                    sys.exit(f"{options.input}:{number}: the rules refuse this line: {error}")
    if options.refused_out:
        with open(options.refused_out, "w", encoding="utf-8") as file:
            file.writelines(f"{number}\n" for number in refused)

    total = wanted.total()
    for reader in options.readers.split(","):
        found = collections.Counter()
        for path in options.objects:
            for values in READERS[reader](path, columns):
                found[canonical(record_kind, values)] += 1
        if found != wanted:
            missing, alien = wanted - found, found - wanted
            print(f"{reader}: {found.total()} rows, expected {total}; {missing.total()} missing, {alien.total()} alien")
            for label, some in (("missing", missing), ("alien", alien)):
                for values in list(some)[:3]:
                    print(f"  {label}: {dict(zip((name for name, _ in columns), values))}")
            return 1
    if options.may_refuse:
        print(f"{len(refused)} lines refused by the rules")
    print(f"{total} rows equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
