"""What was written, turned into values: parsers of settings, which raise ValueError with what they expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mirante.formats.duration import parse_duration

Parser = Callable[[Any], Any]


def seconds(value: object) -> float:
    """Seconds from a number, or from text such as ``15s`` or ``1h30m``.

    Raises:
        ValueError: it is neither.

    Example:
        >>> seconds("1m30s"), seconds(5)
        (90.0, 5.0)
    """
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return parse_duration(value) / 1000
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected seconds or a duration such as 15s")
    return float(value)


def milliseconds(value: object) -> float:
    """Seconds from a number of milliseconds, as ``OTEL_*`` variables have it."""
    return float(str(value)) / 1000


def one_of(*known: str) -> Parser:
    """A parser of names, in whatever case they are written; it raises ValueError for others.

    Example:
        >>> one_of("gzip", "none")(" GZIP ")
        'gzip'
    """

    def parse(value: object) -> str:
        name = str(value).strip().lower()
        if name not in known:
            raise ValueError(f"expected {' or '.join(known) if len(known) < 3 else 'one of ' + ', '.join(known)}")
        return name

    return parse


def whole(least: int) -> Parser:
    """A parser of whole numbers that are ``least`` or more; it raises ValueError for others.

    Example:
        >>> whole(1)("12")
        12
    """

    def parse(value: object) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = least - 1
        if isinstance(value, bool) or number < least:
            raise ValueError(f"expected a whole number, {least} or more")
        return number

    return parse


def headers(value: object) -> str:
    """Headers as ``key=value,key=value``, percent-encoded; checked here, taken apart by ``header_map``."""
    header_map(str(value))
    return str(value)


def header_map(text: str) -> dict[str, str]:
    """Names to values.

    Raises:
        ValueError: a part is no ``key=value``.

    Example:
        >>> header_map("authorization=Bearer%20x,tenant=a")
        {'authorization': 'Bearer x', 'tenant': 'a'}
    """
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError("expected key=value,key=value")
        found[unquote(key.strip()).lower()] = unquote(value.strip())
    return found


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[str(value).strip().lower()]
    except KeyError:
        raise ValueError("expected true or false") from None


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value)).expanduser()


PARSERS: dict[Any, Parser] = {
    bool: _boolean,
    int: _integer,
    float: seconds,
    str: _text,
    str | None: _text,
    Path: _path,
    Path | None: _path,
}
"""The parser of a field that names none, by its type."""
