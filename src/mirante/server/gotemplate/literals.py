r"""Strings and numbers as Go writes them.

A byte that is no UTF-8 (``"\xff"``) is kept as Python's surrogate escape and becomes U+FFFD in what is rendered.
"""

from __future__ import annotations

import math
import re

_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL
)
_INTEGER = re.compile(
    r"([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)"
)
_FLOAT = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*\.?|(?=\.[0-9]))(?:[0-9](?:_?[0-9])*)?(?:\.(?:[0-9](?:_?[0-9])*)?)?(?:[eE][+-]?[0-9]+)?"
)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9]+")


def unquote(text: str) -> str:
    r"""What a Go string literal means.

    Raises:
        ValueError: it is not one.

    Source: Go specification, "String literals".

    Example:
        >>> unquote(r'"a\tA"'), unquote(r"`a\t`")
        ('a\tA', 'a\\t')
    """
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    return _unescape(text[1:-1], '"')


def unquote_char(text: str) -> int:
    r"""Number of the character that a Go character literal means.

    Raises:
        ValueError: it is not one.

    Example:
        >>> unquote_char("'a'"), unquote_char(r"'\xff'")
        (97, 255)
    """
    inner = text[1:-1]
    match = _ESCAPE.fullmatch(inner)
    if match is not None and (match[2] or match[3]):
        return int(match[2] or match[3], 16 if match[2] else 8)
    value = _unescape(inner, "'")
    if len(value) != 1:
        raise ValueError(f"malformed character constant: {text}")
    return ord(value)


def _unescape(inner: str, quote: str) -> str:
    out = bytearray()
    last = 0
    for match in _ESCAPE.finditer(inner):
        out += inner[last : match.start()].encode("utf-8", "surrogatepass")
        out += _escaped(match, quote)
        last = match.end()
    out += inner[last:].encode("utf-8", "surrogatepass")
    return out.decode("utf-8", "surrogateescape")


def _escaped(match: re.Match[str], quote: str) -> bytes:
    simple, two, octal, four, eight, _ = match.groups()
    if simple:
        if simple in "'\"" and simple != quote:
            raise ValueError(f"invalid escape {match[0]}")
        return bytes([_SIMPLE.get(simple, ord(simple))])
    if two or octal:
        number = int(two or octal, 16 if two else 8)
        if number > 255:
            raise ValueError(f"invalid escape {match[0]}")
        return bytes([number])
    number = int(four or eight or "110000", 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ValueError(f"invalid escape {match[0]}")
    return chr(number).encode()


def number(text: str) -> int | float:
    """What a Go number literal means.

    Raises:
        ValueError: it is not one, or it does not fit into 64 bits.

    Source: Go specification, "Integer literals" and "Floating-point literals".

    Example:
        >>> number("0x1F"), number("017"), number("1_000"), number("1e3"), number(".5")
        (31, 15, 1000, 1000.0, 0.5)
    """
    match = _INTEGER.fullmatch(text)
    if match is not None:
        return _integer(text, match[1], match[2].replace("_", ""))
    plain = text.replace("_", "")
    try:
        if _HEX_FLOAT.fullmatch(text):
            value = float.fromhex(plain)
        else:
            value = float(plain) if _FLOAT.fullmatch(text) and not text.isdecimal() else math.nan
    except (ValueError, OverflowError):
        value = math.inf if _HEX_FLOAT.fullmatch(text) else math.nan
    if math.isnan(value):
        raise ValueError(f"bad number syntax: {text}")
    if math.isinf(value):
        raise ValueError(f"number out of range: {text}")
    return value


def _integer(text: str, sign: str, digits: str) -> int:
    prefix = digits[:2].lower()
    if prefix in {"0x", "0b", "0o"}:
        value = int(digits, 0)
    else:
        value = int(digits, 8 if digits.startswith("0") else 10) if len(digits) < 100 else 1 << 64
    value = -value if sign == "-" else value
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{text} overflows int")
    return value
