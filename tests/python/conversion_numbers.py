"""Numbers by the rules of docs/json-to-columns.md, exact at any length. Used by `conversion.py` and `conversion_times.py`."""

import decimal
import fractions
import re
import struct

LOOSE_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?\Z")
RANGES = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}


class Refused(Exception):
    """The record is not a row."""


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


def integer(text, name):
    """Of a type of integers."""
    sign, digits, exponent = exact(text)
    if exponent < 0 or len(digits) + exponent > 30:
        raise Refused("no integer, or out of range")
    value = sign * int(digits or "0") * 10**exponent
    if not -(2 ** RANGES[name]) <= value < 2 ** RANGES[name]:
        raise Refused("out of range")
    return value


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


def cut(text, scale):
    """number × 10^scale; what is finer is cut off."""
    sign, digits, exponent = exact(text)
    if len(digits) + exponent > 30:
        raise Refused("timestamp out of range")
    kept = max(0, len(digits) + exponent + scale)
    return sign * int(digits[:kept] or "0") * 10 ** max(0, exponent + scale)
