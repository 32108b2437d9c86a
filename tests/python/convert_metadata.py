"""Judges what stands in a Parquet file beside its values: counts, statistics, indexes, sizes, names. Used by `convert.py`.

Everything is computed from the rows that the rules of `conversion.py` give, and compared with what `parquet_meta.py` reads.
"""

import hashlib
import math
import re
import struct

import parquet_meta
from parquet_meta import ASCENDING, BYTE_ARRAY, DESCENDING, DICTIONARY_PAGE, DOUBLE, FIXED_LEN_BYTE_ARRAY, FLOAT, INT32, INT64, INT96, ParquetFile
from parquet_meta import IEEE_754_TOTAL_ORDER, INT96_TIMESTAMP_ORDER, TYPE_ORDER

# Longest bound that is written; a longer one is cut.
MOST_BOUND_BYTES = 64


def check(path, columns, rows, expected=None):
    """Asserts that all metadata are as the rows are; returns counts of what was looked at."""
    file = ParquetFile(path)
    footer, leaves = file.footer, file.leaves()
    assert footer["num_rows"] == len(rows), (footer["num_rows"], len(rows))
    assert re.fullmatch(rb"hydrant version \d+\.\d+\.\d+", footer["created_by"]), footer["created_by"]
    pairs = {pair["key"].decode(): pair["value"].decode() for pair in footer["key_value_metadata"]}
    assert pairs["hydrant.revision"] == "0" and pairs["hydrant.schema"] == schema_hash(columns), pairs
    for leaf, order in zip(leaves, footer["column_orders"], strict=True):
        wanted = {FLOAT: IEEE_754_TOTAL_ORDER, DOUBLE: IEEE_754_TOTAL_ORDER, INT96: INT96_TIMESTAMP_ORDER}.get(leaf["type"], TYPE_ORDER)
        assert order == {wanted: {}}, f"{leaf['path']}: order {order}"
    shapes = [shape for name, kind in columns for shape in leaf_shapes(kind, (name,))]
    assert [leaf["path"] for leaf in leaves] == [path for path, _ in shapes], "columns of the file"
    counts = {"row groups": len(footer["row_groups"]), "chunks": 0, "pages": 0, "bounds": 0, "cut": 0, "column indexes": 0}
    first, at = 0, 4
    for number, group in enumerate(footer["row_groups"]):
        some = rows[first : first + group["num_rows"]]
        assert len(some) == group["num_rows"] > 0, f"row group {number}"
        assert group.get("ordinal", number) == number
        assert group["total_byte_size"] == sum(chunk["meta_data"]["total_uncompressed_size"] for chunk in group["columns"])
        assert group["total_compressed_size"] == sum(chunk["meta_data"]["total_compressed_size"] for chunk in group["columns"])
        entries = [[] for _ in leaves]
        for row in some:
            at_leaf = 0
            for (_, kind), value in zip(columns, row):
                at_leaf = shred(kind, value, entries, at_leaf)
        for leaf, (_, kind), found, chunk in zip(leaves, shapes, entries, group["columns"]):
            at = check_chunk(file, leaf, kind, found, chunk, at, counts)
        first += group["num_rows"]
    assert first == len(rows)
    assert at <= file.footer_offset
    return counts


def schema_hash(columns):
    """Of the columns' declarations, a line each."""

    def name(text):
        return text if re.fullmatch("[A-Za-z0-9_]+", text) else "`" + text.replace("`", "``") + "`"

    def kind_text(kind):
        if kind[0] == "struct":
            return "struct<" + ",".join(f"{name(field)}:{kind_text(each)}" for field, each in kind[1]) + ">"
        if kind[0] in ("array", "map"):
            return f"{kind[0]}<{','.join(map(kind_text, kind[1:]))}>"
        return kind[0] + (f"({','.join(map(str, kind[1:]))})" if kind[1:] else "")

    return hashlib.sha256("".join(f"{name(column)} {kind_text(kind)}\n" for column, kind in columns).encode()).hexdigest()


def leaf_shapes(kind, path):
    """(path, type) of the columns of the file that a type becomes."""
    if kind[0] == "array":
        return leaf_shapes(kind[1], (*path, "list", "element"))
    if kind[0] == "map":
        return leaf_shapes(kind[1], (*path, "key_value", "key")) + leaf_shapes(kind[2], (*path, "key_value", "value"))
    if kind[0] == "struct":
        return [shape for field, each in kind[1] for shape in leaf_shapes(each, (*path, field))]
    return [(path, kind)]


def shred(kind, value, entries, leaf):
    """Appends one row's entries to each leaf of a column, as a list each, None for what is not there; the next leaf."""
    found = {}

    def put(kind, value, leaf):
        """Appends one value; returns the next leaf."""
        if kind[0] == "array":
            last = leaf
            for item in value or [None]:
                last = put(kind[1], item, leaf)
            return last
        if kind[0] == "map":
            last = leaf
            for key, item in value or [(None, None)]:
                last = put(kind[2], item, put(kind[1], key, leaf))
            return last
        if kind[0] == "struct":
            for at, (_, each) in enumerate(kind[1]):
                leaf = put(each, None if value is None else value[at], leaf)
            return leaf
        found.setdefault(leaf, []).append(comparable(kind, value))
        return leaf + 1

    end = put(kind, value, leaf)
    for each, some in found.items():
        entries[each].append(some)
    return end


def comparable(kind, value):
    """The value as statistics compare it."""
    if value is None:
        return None
    if kind[0] == "decimal":
        return int(value.scaleb(kind[2]))
    if kind[0] in ("string", "char", "varchar"):
        return value.encode()
    return value


def bound(leaf, kind, content):
    """A minimum or maximum as statistics hold it."""
    physical = leaf["type"]
    if physical == FIXED_LEN_BYTE_ARRAY:
        return int.from_bytes(content, "big", signed=True)
    if physical in (INT32, INT64):
        assert len(content) == (4 if physical == INT32 else 8)
        return int.from_bytes(content, "little", signed=True)
    if physical in (FLOAT, DOUBLE):
        return struct.unpack("<f" if physical == FLOAT else "<d", content)[0]
    if physical == INT96:
        nanos, day = struct.unpack("<qi", content)
        return (day - 2_440_588) * 86_400 * 10**6 + nanos // 1000
    if physical == BYTE_ARRAY:
        return content
    assert len(content) == 1, content
    return content == b"\x01"


def check_chunk(file, leaf, kind, rows, chunk, at, counts):
    """`rows`: each row's entries. `at`: where the chunk may begin at the earliest; returns where it ends."""
    meta, where = chunk["meta_data"], f"{'.'.join(leaf['path'])} ({kind})"
    assert tuple(part.decode() for part in meta["path_in_schema"]) == leaf["path"] and meta["type"] == leaf["type"], where
    pages = file.pages(meta)
    assert pages[0][0] >= at, f"{where}: begins inside of what comes before"
    end = pages[-1][0] + pages[-1][1]
    assert end <= file.footer_offset
    headers = sum(length - header["compressed_page_size"] for _, length, header in pages)
    assert meta["total_uncompressed_size"] == headers + sum(header["uncompressed_page_size"] for _, _, header in pages), where
    is_dictionary = pages[0][2]["type"] == DICTIONARY_PAGE
    assert is_dictionary == ("dictionary_page_offset" in meta), where
    data = pages[1:] if is_dictionary else pages
    assert data[0][0] == meta["data_page_offset"] and all(header["type"] != DICTIONARY_PAGE for _, _, header in data), where
    entries = [entry for row in rows for entry in row]
    assert meta["num_values"] == len(entries) == sum(values_of(header)["num_values"] for _, _, header in data), where
    check_statistics(leaf, kind, entries, meta.get("statistics") or {}, f"{where}, column chunk", counts)

    sizes = meta.get("size_statistics") or {}
    if leaf["type"] == BYTE_ARRAY:
        length = sum(len(entry) for entry in entries if entry is not None)
        assert sizes.get("unencoded_byte_array_data_bytes", length) == length, where
    if "definition_level_histogram" in sizes:
        levels = sizes["definition_level_histogram"]
        assert sum(levels) == len(entries) and levels[-1] == len(entries) - entries.count(None), (where, levels)

    offsets = file.offset_index(chunk)
    assert offsets, f"{where}: no offset index"
    locations = offsets["page_locations"]
    assert [(each["offset"], each["compressed_page_size"]) for each in locations] == [(offset, length) for offset, length, _ in data], where
    firsts = [each["first_row_index"] for each in locations]
    assert firsts[0] == 0 and all(one < two for one, two in zip(firsts, firsts[1:])) and firsts[-1] < len(rows), (where, firsts)
    of_pages = [[entry for row in rows[first:upto] for entry in row] for first, upto in zip(firsts, [*firsts[1:], len(rows)])]
    for (_, _, header), some, first, upto in zip(data, of_pages, firsts, [*firsts[1:], len(rows)]):
        values = values_of(header)
        assert values["num_values"] == len(some), f"{where}: entries of the page from row {first}"
        if "num_nulls" in values:
            assert (values["num_nulls"], values["num_rows"]) == (some.count(None), upto - first), where
        if statistics := values.get("statistics"):
            check_statistics(leaf, kind, some, statistics, f"{where}, page from row {first}", counts)
    check_column_index(leaf, kind, of_pages, file.column_index(chunk), where, counts)
    counts["chunks"] += 1
    counts["pages"] += len(data)
    return end


def values_of(header):
    return header.get("data_page_header") or header["data_page_header_v2"]


def check_statistics(leaf, kind, entries, statistics, where, counts):
    assert statistics.get("null_count") == entries.count(None), f"{where}: {statistics} and {entries.count(None)} nulls"
    if leaf["type"] in (FLOAT, DOUBLE):
        assert statistics.get("nan_count") in (None, sum(map(is_nan, entries))), f"{where}: {statistics}"
    low, high = statistics.get("min_value"), statistics.get("max_value")
    check_bounds(leaf, kind, entries, low, high, where, counts, statistics.get("is_min_value_exact"), statistics.get("is_max_value_exact"))
    # The deprecated ones have signed order, so they may stand where that is the type's.
    if "min" in statistics or "max" in statistics:
        assert leaf["type"] not in (BYTE_ARRAY, INT96), f"{where}: deprecated bounds"
        assert (statistics["min"], statistics["max"]) == (low, high), where


def is_nan(value):
    return isinstance(value, float) and math.isnan(value)


def total(value):
    """A key of IEEE 754's total order: -0.0 is below +0.0."""
    return (value, math.copysign(1, value)) if isinstance(value, float) else value


def can_be_cut(value, kind):
    """Whether something short enough is larger than all texts that begin as a long one does: one with a larger character of
    the same length, or a larger byte."""
    if kind[0] == "binary":
        return set(value[:MOST_BOUND_BYTES]) != {0xFF}
    text = value[:MOST_BOUND_BYTES].decode(errors="ignore")
    following = lambda c: 0xE000 if ord(c) == 0xD7FF else ord(c) + 1
    return any(ord(c) < 0x10FFFF and len(chr(following(c)).encode()) == len(c.encode()) for c in text)


def have_bounds(leaf, kind, entries):
    """Whether bounds of these values can be told."""
    values = [value for value in entries if value is not None and not is_nan(value)]
    if leaf["type"] == INT96 or not values:
        return False
    return not isinstance(values[0], bytes) or len(max(values)) <= MOST_BOUND_BYTES or can_be_cut(max(values), kind)


def check_bounds(leaf, kind, entries, low, high, where, counts, low_exact=None, high_exact=None):
    if low is None and high is None and not have_bounds(leaf, kind, entries):
        return
    assert low is not None and high is not None, f"{where}: no bounds"
    found_low, found_high = bound(leaf, kind, low), bound(leaf, kind, high)
    counts["bounds"] += 1
    ordered = [value for value in entries if value is not None and not is_nan(value)]
    if not ordered:
        assert is_nan(found_low) and is_nan(found_high), f"{where}: bounds {found_low} {found_high} of no values"
        return
    least, most = min(ordered, key=total), max(ordered, key=total)
    assert total(found_low) <= total(least) and total(most) <= total(found_high), f"{where}: {found_low} {least} {most} {found_high}"
    if not isinstance(least, bytes):
        assert (found_low, found_high) == (least, most), f"{where}: {found_low}..{found_high}, should be {least}..{most}"
        # A zero is written as the one that lies further out, for readers that do not tell the two apart.
        if isinstance(least, float):
            assert least or math.copysign(1, found_low) < 0, f"{where}: the minimum is +0.0"
            assert most or math.copysign(1, found_high) > 0, f"{where}: the maximum is -0.0"
        return
    for name, content, exact, value in (("minimum", low, low_exact, least), ("maximum", high, high_exact, most)):
        # A maximum that cannot be cut may stay whole.
        is_whole = len(value) <= MOST_BOUND_BYTES or (name == "maximum" and content == value)
        assert is_whole or len(content) <= MOST_BOUND_BYTES, f"{where}: a {name} of {len(content)} bytes"
        if is_whole:
            assert content == value and exact is not False, f"{where}: {name} {content}, {value}"
        else:
            counts["cut"] += 1
            assert exact is not True, f"{where}: the {name} was cut, and is said to be exact"
            if kind[0] != "binary":
                content.decode()


def check_column_index(leaf, kind, of_pages, index, where, counts):
    if index is None:
        # It is for all pages or none.
        without = [some for some in of_pages if some.count(None) < len(some) and not have_bounds(leaf, kind, some)]
        assert without, f"{where}: no column index"
        return
    counts["column indexes"] += 1
    assert index["null_counts"] == [some.count(None) for some in of_pages], f"{where}: null counts of pages"
    assert index["null_pages"] == [some.count(None) == len(some) for some in of_pages], f"{where}: null pages"
    if leaf["type"] in (FLOAT, DOUBLE):
        assert index["nan_counts"] == [sum(map(is_nan, some)) for some in of_pages], f"{where}: NaN counts of pages"
    bounds = []
    for some, low, high, is_null in zip(of_pages, index["min_values"], index["max_values"], index["null_pages"]):
        check_bounds(leaf, kind, some, None if is_null else low, None if is_null else high, f"{where}, column index", counts)
        if is_null:
            assert low == high == b"", where
        else:
            bounds.append((total(bound(leaf, kind, low)), total(bound(leaf, kind, high))))
    order = index["boundary_order"]
    if order != parquet_meta.UNORDERED:
        assert order in (ASCENDING, DESCENDING)
        inner = bounds if order == ASCENDING else bounds[::-1]
        assert all(one[0] <= two[0] and one[1] <= two[1] for one, two in zip(inner, inner[1:])), f"{where}: order {order} of {bounds[:5]}"
