#!/usr/bin/env python3
"""Compares Parquet objects with the NDJSON they were made from, value by value.

    check_parquet.py --schema TABLE.sql --input FILE.ndjson [--readers pyarrow,duckdb,polars] [--may-refuse] OBJECT.parquet…

The expected rows are those of `conversion.py`, the rules of docs/json-to-columns.md. Rows are compared without regard to
their order, since an object's name does not tell its place. A line that the rules refuse is an error unless --may-refuse is
given, which counts them; --refused-out writes their numbers. The exit code is 0 only when all readers agree; the last line
is then `N rows equal`.
"""

import argparse
import collections
import sys

from conversion import Options, Refused, rows
from hive_types import canonical, parse_table

# --- Objects to actual rows ------------------------------------------------------------------------------------------


def read_pyarrow(path, columns):
    import pyarrow.parquet as parquet

    # INT96 is nanoseconds to readers that do not say otherwise, and wraps.
    table = parquet.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    return zip(*(arrow_values(table.column(name).combine_chunks()) for name, _ in columns))


def arrow_values(array):
    """Values as Python's, times and dates as integers, for Python knows the years 1 to 9999 only."""
    import pyarrow as arrow

    if isinstance(array, arrow.ChunkedArray):
        return [value for chunk in array.chunks for value in arrow_values(chunk)]
    kind, valid = array.type, array.is_valid().to_pylist()
    if arrow.types.is_struct(kind):
        found = list(zip(*map(arrow_values, (array.field(at) for at in range(kind.num_fields)))))
    elif arrow.types.is_map(kind):
        entries, ends = list(zip(arrow_values(array.keys), arrow_values(array.items))), array.offsets.to_pylist()
        found = [entries[first:upto] for first, upto in zip(ends, ends[1:])]
    elif arrow.types.is_list(kind):
        values, ends = arrow_values(array.values), array.offsets.to_pylist()
        found = [values[first:upto] for first, upto in zip(ends, ends[1:])]
    elif arrow.types.is_timestamp(kind):
        assert kind.unit == "us", kind
        return array.view(arrow.int64()).to_pylist()
    elif arrow.types.is_date32(kind):
        return array.view(arrow.int32()).to_pylist()
    else:
        return array.to_pylist()
    return [value if some else None for value, some in zip(found, valid)]


def read_duckdb(path, columns):
    import duckdb

    names = ", ".join('"' + name.replace('"', '""') + '"' for name, _ in columns)
    return duckdb.connect().execute(f"SELECT {names} FROM read_parquet(?)", [path]).fetchall()


def read_polars(path, columns):
    import polars

    return polars.read_parquet(path).select([name for name, _ in columns]).rows()


READERS = {"pyarrow": read_pyarrow, "duckdb": read_duckdb, "polars": read_polars}


def by_rules(records, columns, options=Options()):
    """What the rules make of records: {number from 1: its rows in one form}, and {number: why it is refused}."""
    form = canonical(("struct", columns))
    wanted, refused = {}, {}
    for number, record in enumerate(records, 1):
        try:
            wanted[number] = [form(values) for values in rows(columns, record, options)]
        except Refused as error:
            refused[number] = str(error)
    return wanted, refused


def differences(objects, records, columns, readers):
    """Line numbers that the rules refuse, the number of rows, and the first reader's differences as lines of text."""
    form = canonical(("struct", columns))
    wanted, refused = by_rules(records, columns)
    wanted = collections.Counter(row for some in wanted.values() for row in some)
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
            return list(refused.items()), wanted.total(), lines
    return list(refused.items()), wanted.total(), []


def same_rows(path, wanted, columns, readers):
    """Asserts that the file holds the rows of `by_rules`, in the order of their records, by all readers (names, or a dictionary
    of functions); their number."""
    form = canonical(("struct", columns))
    numbered = [(number, row) for number, some in wanted.items() for row in some]
    for reader in readers:
        read = readers[reader] if isinstance(readers, dict) else READERS[reader]
        found = list(map(form, read(str(path), columns))) if path else []
        for (number, row), other in zip(numbered, found):
            for (name, kind), one, two in zip(columns, row, other):
                assert one == two, f"{reader}: record {number}, column {name} {kind}: expected {one!r}, found {two!r}"
        assert len(found) == len(numbered), f"{reader}: {len(found)} rows, expected {len(numbered)}"
    return len(numbered)


def check(objects, records, schema):
    """Asserts that the objects hold exactly the rows of `records` (bytes each), by all readers; returns their number."""
    with open(schema, encoding="utf-8") as file:
        columns = parse_table(file.read())
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
