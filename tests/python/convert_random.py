"""Random tables, and random records that mostly fit them: sound, odd and broken ones. Used by `convert.py`."""

import base64
import json

SCALARS = (
    "tinyint smallint int bigint float double boolean string string char varchar binary timestamp timestamp date decimal decimal".split()
)
NAMES = "a b id key Name größe user_id x-y select Q1 🙂 value tags".split()
LETTERS = "abcxyzABC0189 _-.éß€漢😀\x7f\u2028"
NOISE = b"{}[]\",:09x\\ntu-+.eE \x00\x0b\x1f\x7f\xff\xc3\xa9\xed\xa0\x80"
ODD = [
    "null", "true", "false", "0", "-0", "-0.0", "1e400", "-1E+2", "1.5", "9223372036854775808", "-9223372036854775809", "1e-400", "2147483648", "128",
    '""', '"x"', '"1"', '"+1.0"', '"NaN"', '"-Infinity"', '"true"', '"\\ud83d"', '"\\udc00\\ud83d"', '"2015-02-30"', '"2015-09-12 00:00:60"', '"0000-12-31"',
    "[]", "{}", "[null]", '{"a":1}', "[1,[2,{}]]", '{"":[]}', "tru", "01", "1.", '"\t"', "[1,]", '{"a"}', "NaN",
]  # fmt: skip


def table(rng, options, depth=4):
    """[(name, type)] with types nested up to `depth`."""
    found = [(name.lower(), kind(rng, depth)) for name in names(rng, rng.randrange(1, 7))]
    return [(name, ("string",) if name == options.unknown_fields.lower() else each) for name, each in found]


def names(rng, count):
    return rng.sample(NAMES, count)


def kind(rng, depth):
    if depth > 1 and rng.random() < 0.4:
        form = rng.choice(("array", "map", "struct", "struct"))
        if form == "array":
            return ("array", kind(rng, depth - 1))
        if form == "map":
            return ("map", kind(rng, 1), kind(rng, depth - 1))
        return ("struct", [(name, kind(rng, depth - 1)) for name in names(rng, rng.randrange(1, 5))])
    name = rng.choice(SCALARS)
    if name in ("char", "varchar"):
        return (name, rng.randrange(1, 6))
    if name == "decimal":
        precision = rng.choice((1, 5, 9, 10, 18, 19, 38))
        return (name, precision, rng.randrange(0, precision + 1))
    return (name,)


def record(rng, columns, options):
    """One record, without line breaks."""
    text = blank(rng) + blank(rng).join(members(rng, columns, options) for _ in range(3 if rng.random() < 0.05 else 1)) + blank(rng)
    content = bytearray(text.encode())
    if rng.random() < 0.04:
        at = rng.randrange(len(content))
        match rng.randrange(3):
            case 0:
                del content[at:]
            case 1:
                del content[at]
            case _:
                content[at] = rng.choice(NOISE)
    return bytes(content)


def blank(rng):
    return rng.choice((" ", "\t", "\r", "  ")) if rng.random() < 0.05 else ""


def members(rng, fields, options):
    """An object with most of the fields, in any order, some twice, and some that are not declared."""
    chosen = [field for field in fields if rng.random() < 0.85]
    if rng.random() < 0.3:
        rng.shuffle(chosen)
    if chosen and rng.random() < 0.05:
        chosen.append(rng.choice(chosen))
    found = [written_key(rng, name, options) + blank(rng) + ":" + blank(rng) + value(rng, each, options) for name, each in chosen]
    while rng.random() < 0.15:
        found.insert(rng.randrange(len(found) + 1), string(rng, rng.choice(("unknown", "rest", "é"))) + ":" + blank(rng) + anything(rng, 3))
    return "{" + blank(rng) + (blank(rng) + "," + blank(rng)).join(found) + blank(rng) + "}"


def written_key(rng, name, options):
    if rng.random() < 0.1 and options.case_insensitive:
        name = name.upper() if name.upper().lower() == name.lower() else name
    return string(rng, name)


def string(rng, text):
    """A text as JSON, with escapes where they need not be."""
    found = []
    for c in text:
        if c in '"\\' or c < " ":
            found.append(json.dumps(c)[1:-1])
        elif rng.random() < 0.05:
            found.append("".join(f"\\u{int.from_bytes(pair, 'big'):04{rng.choice('xX')}}" for pair in halves(c)))
        else:
            found.append(c)
    return '"' + "".join(found) + '"'


def halves(c):
    encoded = c.encode("utf-16-be")
    return [encoded[at : at + 2] for at in range(0, len(encoded), 2)]


def some_text(rng):
    return "".join(rng.choices(LETTERS, k=rng.randrange(0, rng.choice((4, 12, 40)))))


def digits(rng, count):
    return str(rng.randrange(10 ** rng.randrange(count + 1)))


def number(rng, whole, fraction):
    """About so many digits before and behind the point."""
    text = rng.choice(("", "", "-")) + digits(rng, whole)
    if fraction and rng.random() < 0.6:
        text += "." + digits(rng, fraction).zfill(rng.randrange(1, fraction + 1))
    if rng.random() < 0.08:
        text += rng.choice("eE") + rng.choice(("", "+", "-")) + str(rng.randrange(4))
    return text


def value(rng, kind, options):
    """A JSON text that mostly fits the type."""
    dice = rng.random()
    if dice < 0.006:
        return rng.choice(ODD)
    if dice < 0.08:
        return "null"
    name = kind[0]
    if name == "array":
        return "[" + ",".join(blank(rng) + value(rng, kind[1], options) for _ in range(rng.choice((0, 1, 2, 3, 9)))) + "]"
    if name == "map":
        keys = [plain(rng, kind[1], options, as_key=True) for _ in range(rng.choice((0, 1, 2, 12)))]
        return "{" + ",".join(string(rng, key) + ":" + value(rng, kind[2], options) for key in keys) + "}"
    if name == "struct":
        return members(rng, kind[1], options)
    text = plain(rng, kind, options)
    if name in ("string", "char", "varchar"):
        if rng.random() < 0.1:
            return anything(rng, 0 if options.dialect == "hive" else 2)
        return string(rng, text)
    if name in ("date", "binary") or (name == "timestamp" and not text.lstrip("-").replace(".", "").isdigit()):
        return string(rng, text)
    if options.dialect == "openx" and rng.random() < 0.1:
        return string(rng, text)
    return text


def plain(rng, kind, options, as_key=False):
    """The text of a scalar, as a number has it or a string holds it."""
    name = kind[0]
    if name in ("tinyint", "smallint", "int", "bigint"):
        bits = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}[name]
        return str(rng.choice((rng.randrange(-(2**bits), 2**bits), rng.randrange(-9, 100), 2**bits - 1, -(2**bits), rng.randrange(2)))) + rng.choice(("",) * 9 + (".0",))
    if name == "float":
        return rng.choice((number(rng, 7, 7), number(rng, 20, 20), str(rng.random()), "1e-30", "16777217", "-0"))
    if name == "double":
        return rng.choice((number(rng, 9, 9), number(rng, 25, 25), repr(rng.uniform(-1e9, 1e9)), repr(rng.random() * 10.0 ** rng.randrange(-300, 300)), "-0.0"))
    if name == "decimal":
        whole = kind[1] - kind[2]
        return number(rng, whole, kind[2] + 2) if rng.random() < 0.9 and whole else number(rng, max(0, whole - 1), kind[2])
    if name == "boolean":
        return rng.choice(("true", "false"))
    if name == "binary":
        content = rng.randbytes(rng.randrange(0, 9))
        return base64.b64encode(content).decode().rstrip(rng.choice(("", "="))) if options.dialect == "openx" else some_text(rng)
    if name == "date":
        return day(rng)
    if name == "timestamp":
        return time(rng, options)
    return rng.choice(("k", "K", "l", "m")) if as_key and rng.random() < 0.5 else some_text(rng)


def day(rng):
    year = rng.choice((rng.randrange(1, 10_000), rng.randrange(1960, 2040), rng.randrange(1600, 2400)))
    month, nth = rng.randrange(1, 13), rng.randrange(1, 32 if rng.random() < 0.02 else 29)
    form = rng.choice(("{:04}-{:02}-{:02}", "{:04}-{:02}-{:02}", "{:04}-{}-{}"))
    return form.format(year, month, nth)


def time(rng, options):
    second, fraction = rng.randrange(60), digits(rng, 9)
    clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{second:02}" + rng.choice(("", f".{fraction}"))
    date = day(rng)
    if options.dialect == "hive":
        forms = {
            "millis": str(rng.randrange(-(10**13), 10**13)),
            "yyyy-MM-dd'T'HH:mm:ss.SSSZ": f"{date}T{clock.partition('.')[0]}.{fraction[:3]}+0{rng.randrange(10)}00",
            "d/MMM/yyyy h a": f"{rng.randrange(1, 29)}/{rng.choice(('Jan', 'MARCH', 'dec'))}/{rng.randrange(1000, 9999)} {rng.randrange(1, 13)} {rng.choice(('am', 'PM'))}",
        }
        usable = [text for form, text in forms.items() if form in options.timestamp_formats]
        return rng.choice([*usable, f"{date} {clock}"])
    return rng.choice((
        f"{date} {clock}",
        f"{rng.randrange(1, 10_000):04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{clock}Z",
        str(rng.randrange(-(10**9), 4 * 10**9)),
        f"{rng.randrange(4 * 10**9)}.{fraction}",
        str(rng.randrange(10**12, 4 * 10**12)),
    ))  # fmt: skip


def anything(rng, depth):
    """Any JSON."""
    match rng.randrange(6 if depth else 4):
        case 0:
            return rng.choice(("null", "true", "false"))
        case 1:
            return number(rng, 25, 5)
        case 2 | 3:
            return string(rng, some_text(rng))
        case 4:
            return "[" + ("," + blank(rng)).join(anything(rng, depth - 1) for _ in range(rng.randrange(4))) + "]"
        case _:
            return "{" + ",".join(string(rng, some_text(rng)) + ":" + anything(rng, depth - 1) for _ in range(rng.randrange(4))) + "}"


def shapeless(rng):
    """A record of a few keys whose values now and then change their type."""
    usual = {"a": "{}", "b": "[]", "c": "1", "d": "1.5", "e": "true", "F": '"x"', "g": "null"}
    found = []
    for key in rng.sample(sorted(usual), rng.randrange(1, 8)):
        dice = rng.random()
        if dice < 0.05:
            text = anything(rng, 3)
        elif key == "a":
            text = "{" + ",".join(f'"{rng.choice("kKlmn")}":{shallow(rng, inner)}' for inner in rng.choices("cdeFgb", k=rng.randrange(4))) + "}"
        else:
            text = shallow(rng, key)
        found.append(string(rng, rng.choice((key, key, key, key.swapcase(), " ", "é") if dice < 0.1 else (key,))) + ":" + blank(rng) + text)
    text = "{" + ",".join(found) + "}"
    return (text * 2 if rng.random() < 0.03 else text[:-1] if rng.random() < 0.03 else text).encode()


def shallow(rng, key):
    """A value of the usual type of a key."""
    choices = {
        "b": ("[]", "[1,2]", "[1.5]", "[null]", '["x",{}]', '[{"k":1},{"l":"x"}]', "[[1],[]]"),
        "c": ("1", "0", "-5", "9007199254740993", "9223372036854775807", "9223372036854775808", "-0"),
        "d": ("1.5", "2e3", "7", "1e400", "-0.0", "1e-400", "9007199254740992"),
        "e": ("true", "false"),
        "F": ('"x"', '"1"', '"\\ud800"', '""'),
        "g": ("null",),
    }[key]
    weights = [8] * min(3, len(choices)) + [1] * max(0, len(choices) - 3)
    return rng.choices(choices, weights)[0]
