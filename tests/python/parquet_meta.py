"""What stands in a Parquet file beside its values, read from the format's specification alone: footer, page headers, column
and offset indexes, bloom filter headers, as dictionaries of the specification's names.

Thrift's compact protocol without any schema gives {field number: value}; the tables below name the fields.
"""

import struct

MAGIC = b"PAR1"
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY = range(8)
REPEATED = 2
DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = range(4)
UNORDERED, ASCENDING, DESCENDING = range(3)
# Of column orders.
TYPE_ORDER, IEEE_754_TOTAL_ORDER, INT96_TIMESTAMP_ORDER = 1, 2, 3

# {struct: {number: (name, struct of the value or of the list's items)}}
FIELDS = {
    "FileMetaData": {
        1: ("version",), 2: ("schema", "SchemaElement"), 3: ("num_rows",), 4: ("row_groups", "RowGroup"), 5: ("key_value_metadata", "KeyValue"),
        6: ("created_by",), 7: ("column_orders",),
    },
    "SchemaElement": {
        1: ("type",), 2: ("type_length",), 3: ("repetition_type",), 4: ("name",), 5: ("num_children",), 6: ("converted_type",), 7: ("scale",),
        8: ("precision",), 9: ("field_id",), 10: ("logicalType",),
    },
    "KeyValue": {1: ("key",), 2: ("value",)},
    "RowGroup": {
        1: ("columns", "ColumnChunk"), 2: ("total_byte_size",), 3: ("num_rows",), 4: ("sorting_columns",), 5: ("file_offset",),
        6: ("total_compressed_size",), 7: ("ordinal",),
    },
    "ColumnChunk": {
        1: ("file_path",), 2: ("file_offset",), 3: ("meta_data", "ColumnMetaData"), 4: ("offset_index_offset",), 5: ("offset_index_length",),
        6: ("column_index_offset",), 7: ("column_index_length",),
    },
    "ColumnMetaData": {
        1: ("type",), 2: ("encodings",), 3: ("path_in_schema",), 4: ("codec",), 5: ("num_values",), 6: ("total_uncompressed_size",),
        7: ("total_compressed_size",), 8: ("key_value_metadata", "KeyValue"), 9: ("data_page_offset",), 10: ("index_page_offset",),
        11: ("dictionary_page_offset",), 12: ("statistics", "Statistics"), 13: ("encoding_stats",), 14: ("bloom_filter_offset",),
        15: ("bloom_filter_length",), 16: ("size_statistics", "SizeStatistics"),
    },
    "Statistics": {
        1: ("max",), 2: ("min",), 3: ("null_count",), 4: ("distinct_count",), 5: ("max_value",), 6: ("min_value",), 7: ("is_max_value_exact",),
        8: ("is_min_value_exact",), 9: ("nan_count",),
    },
    "SizeStatistics": {1: ("unencoded_byte_array_data_bytes",), 2: ("repetition_level_histogram",), 3: ("definition_level_histogram",)},
    "PageHeader": {
        1: ("type",), 2: ("uncompressed_page_size",), 3: ("compressed_page_size",), 4: ("crc",), 5: ("data_page_header", "DataPageHeader"),
        6: ("index_page_header",), 7: ("dictionary_page_header", "DictionaryPageHeader"), 8: ("data_page_header_v2", "DataPageHeaderV2"),
    },
    "DataPageHeader": {1: ("num_values",), 2: ("encoding",), 3: ("definition_level_encoding",), 4: ("repetition_level_encoding",), 5: ("statistics", "Statistics")},
    "DictionaryPageHeader": {1: ("num_values",), 2: ("encoding",), 3: ("is_sorted",)},
    "DataPageHeaderV2": {
        1: ("num_values",), 2: ("num_nulls",), 3: ("num_rows",), 4: ("encoding",), 5: ("definition_levels_byte_length",),
        6: ("repetition_levels_byte_length",), 7: ("is_compressed",), 8: ("statistics", "Statistics"),
    },
    "ColumnIndex": {
        1: ("null_pages",), 2: ("min_values",), 3: ("max_values",), 4: ("boundary_order",), 5: ("null_counts",), 6: ("repetition_level_histograms",),
        7: ("definition_level_histograms",), 8: ("nan_counts",),
    },
    "OffsetIndex": {1: ("page_locations", "PageLocation"), 2: ("unencoded_byte_array_data_bytes",)},
    "PageLocation": {1: ("offset",), 2: ("compressed_page_size",), 3: ("first_row_index",)},
    "BloomFilterHeader": {1: ("numBytes",), 2: ("algorithm",), 3: ("hash",), 4: ("compression",)},
}  # fmt: skip


class Compact:
    """Thrift's compact protocol."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind):
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return struct.unpack("<b", bytes([self.byte()]))[0]
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return struct.unpack("<d", self.data[self.at - 8 : self.at])[0]
        if kind == 8:
            length = self.varint()
            self.at += length
            assert self.at <= len(self.data), "a string beyond the end"
            return bytes(self.data[self.at - length : self.at])
        if kind in (9, 10):
            head = self.byte()
            length, item = head >> 4, head & 15
            if length == 15:
                length = self.varint()
            # Booleans of a list stand each in a byte: 1 is true, 2 (or, by some, 0) is false.
            return [self.byte() == 1 for _ in range(length)] if item in (1, 2) else [self.value(item) for _ in range(length)]
        if kind == 12:
            return self.struct()
        raise AssertionError(f"type {kind} of the compact protocol")

    def struct(self):
        found, number = {}, 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            found[number] = self.value(head & 15)
        return found


def named(kind, fields):
    """The struct with the specification's names; a field that it does not have keeps its number."""
    found = {}
    for number, value in fields.items():
        name, *inner = FIELDS[kind].get(number, (number,))
        if inner:
            value = [named(inner[0], each) for each in value] if isinstance(value, list) else named(inner[0], value)
        found[name] = value
    return found


class ParquetFile:
    """A file in memory."""

    def __init__(self, path):
        self.data = path.read_bytes()
        assert self.data[:4] == self.data[-4:] == MAGIC, "no Parquet file"
        self.footer_offset = len(self.data) - 8 - struct.unpack("<I", self.data[-8:-4])[0]
        self.footer, end = self.struct("FileMetaData", self.footer_offset)
        assert end == len(self.data) - 8, "the footer is not as long as it says"

    def struct(self, kind, at):
        """The struct at an offset, and where it ends."""
        reader = Compact(self.data, at)
        return named(kind, reader.struct()), reader.at

    def leaves(self):
        """Schema elements that have values, in the order of a row group's columns, each with its path."""
        found, elements = [], iter(self.footer["schema"])

        def walk(count, path, is_repeated):
            for _ in range(count):
                element = next(elements)
                name = element["name"].decode()
                inside = is_repeated or element["repetition_type"] == REPEATED
                if "num_children" in element:
                    walk(element["num_children"], (*path, name), inside)
                else:
                    found.append({**element, "path": (*path, name), "is_repeated": inside})

        walk(next(elements)["num_children"], (), False)
        return found

    def column_index(self, chunk):
        """The column index of a column chunk, or None."""
        return self.part("ColumnIndex", chunk, "column_index")

    def offset_index(self, chunk):
        return self.part("OffsetIndex", chunk, "offset_index")

    def part(self, kind, chunk, name):
        if f"{name}_offset" not in chunk:
            return None
        found, end = self.struct(kind, chunk[f"{name}_offset"])
        assert end - chunk[f"{name}_offset"] == chunk[f"{name}_length"], f"{kind} is not as long as the footer says"
        return found

    def pages(self, meta):
        """(offset, length of header and data, header) of the pages of a column chunk, the dictionary's first."""
        at = min(meta["data_page_offset"], meta.get("dictionary_page_offset") or meta["data_page_offset"])
        upto, found = at + meta["total_compressed_size"], []
        while at < upto:
            header, end = self.struct("PageHeader", at)
            found.append((at, end - at + header["compressed_page_size"], header))
            at = end + header["compressed_page_size"]
        assert at == upto, "pages end elsewhere than the column chunk"
        return found
