"""Tables and types of Hive: read from a declaration, written as one, and their values in one form.

A type is a tuple that begins with its name: ("int",), ("decimal", 10, 2), ("array", item), ("map", key, value),
("struct", [(field, type)]).
"""

import datetime
import decimal
import re
import sys

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
decimal.getcontext().prec = 200


def parse_table(text):
    """[(column, type)] of a CREATE TABLE, in lower case as tables have them; a type is a tuple that begins with its name."""
    return [(name.lower(), kind) for name, kind in parse_columns(text)]


def parse_columns(text):
    """As `parse_table`, with names as they are written."""
    # Comments, but not what looks like one in a quoted name or text.
    text = re.sub(r"(`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*')|--[^\n]*|/\*.*?\*/", lambda found: found[1] or " ", text, flags=re.S)
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
