"""The section Inference of docs/json-to-columns.md written anew: the table that records teach. Beside `conversion.py`.

The limit of 4,000 columns and fields is not here: `infer` asserts that it is not reached.
"""

import unicodedata

from conversion import Refused, check_record, items, members, plain

MAX_LEVELS, MAX_FIELDS, MAX_ALL_FIELDS, MAX_NAME_BYTES = 16, 512, 4000, 255


class Seen:
    """What all values of a column, field or item were."""

    def __init__(self):
        self.kinds, self.items, self.fields = set(), None, {}
        self.has_wide_integer = False

    def take(self, text, level):
        """One value; `level` is that of an object or array here, the record being 1."""
        first = text[0]
        if text == "null":
            return
        if text in ("true", "false"):
            self.kinds.add("boolean")
        elif first == "[":
            self.array(text, level)
        elif first == "{":
            self.object(text, level)
        elif first == '"':
            self.kinds.add("string")
        elif text.lstrip("-").isdigit():
            digits = text.lstrip("-").lstrip("0")
            value = int(text) if len(digits) < 30 else None
            if value is None or not -(2**63) <= value < 2**63:
                self.kinds.add("string")
            else:
                self.kinds.add("integer")
                self.has_wide_integer |= not -(2**53) <= value <= 2**53
        else:
            self.kinds.add("string" if abs(float(text)) == float("inf") else "double")

    def array(self, text, level):
        if level > MAX_LEVELS:
            self.kinds.add("string")
            return
        self.kinds.add("array")
        self.items = self.items or Seen()
        for item in items(text):
            self.items.take(item, level + 1)

    def object(self, text, level):
        pairs = [(plain(key), value) for key, value in members(text)]
        if level > MAX_LEVELS or not all(is_usable(key) for key, _ in pairs):
            self.kinds.add("string")
            return
        self.kinds.add("object")
        self.take_fields(pairs, level)
        if len(self.fields) > MAX_FIELDS:
            self.kinds.add("string")

    def take_fields(self, pairs, level):
        """Fields with their values. Of those that are equal without case the last one counts as a value, but each has to fit
        the field, and so each of them teaches."""
        for key, value in pairs:
            self.fields.setdefault(key.lower(), (key, Seen()))[1].take(value, level + 1)

    def type(self):
        """The type of all values, or None if there was none."""
        if not self.kinds:
            return None
        if self.kinds == {"boolean"}:
            return ("boolean",)
        if self.kinds == {"integer"}:
            return ("bigint",)
        if self.kinds == {"double"} or (self.kinds == {"integer", "double"} and not self.has_wide_integer):
            return ("double",)
        if self.kinds == {"array"}:
            return ("array", self.items.type() or ("string",))
        if self.kinds == {"object"} and (fields := self.typed_fields()):
            return ("struct", fields)
        return ("string",)

    def typed_fields(self):
        return [(name, kind) for name, seen in self.fields.values() if (kind := seen.type())]


def is_usable(name):
    return bool(name.strip()) and len(name.encode()) <= MAX_NAME_BYTES and not any(unicodedata.category(c) == "Cc" for c in name)


def infer(records):
    """[(column, type)] that the records teach, in the order in which the keys came."""
    whole = Seen()
    for record in records:
        try:
            objects = check_record(record)
        except Refused:
            continue
        for text in objects:
            whole.take_fields([(plain(key), value) for key, value in members(text) if is_usable(plain(key))], 1)
    assert count(whole) < MAX_ALL_FIELDS, "beyond the limit that this does not know"
    return [(name.lower(), kind) for name, kind in whole.typed_fields()]


def count(seen):
    return sum(1 + count(each) for _, each in seen.fields.values()) + (count(seen.items) if seen.items else 0)
