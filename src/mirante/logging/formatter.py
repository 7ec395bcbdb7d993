"""Log lines as text: JSON for machines, columns and colours for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Protocol, TypeVar

from mirante.logging.line import LogLine, flat, level_name, timestamp

_REMEMBERED = 4096
_SHORT = 31
"""Characters of texts that are worth remembering; ids are longer, and new in every request."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class _Members:
    """Writes plain values as the members of a JSON object: a comma, name and value for each, and the closing brace."""

    __slots__ = ("_names", "_texts")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._texts: dict[tuple[str, str], str] = {}

    def write(self, fields: dict[str, Any]) -> str:
        """The members; raises ValueError or TypeError where a number or a name is none that JSON knows."""
        names, texts = self._names, self._texts
        out: list[str] = []
        append = out.append
        for pair in fields.items():
            name, value = pair
            kind = type(value)
            if kind is str:
                append(texts.get(pair) or self._text(pair))
                continue
            append(names.get(name) or self._name(name))
            if kind is int or (kind is float and isfinite(value)):
                append(repr(value))
            elif kind is bool:
                append("true" if value else "false")
            else:
                append(_encode(value))
        append("}")
        return "".join(out)

    def _text(self, pair: tuple[str, str]) -> str:
        """A member whose value is a text; these repeat from line to line."""
        written = f",{encode_basestring(pair[0])}:{encode_basestring(pair[1])}"
        if len(pair[1]) <= _SHORT:
            _remember(self._texts, pair, written)
        return written

    def _name(self, name: str) -> str:
        written = f",{encode_basestring(name)}:"
        _remember(self._names, name, written)
        return written


K = TypeVar("K")


def _remember(known: dict[K, str], key: K, written: str) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = written


def _members() -> Callable[[dict[str, Any]], str]:
    """The quickest way there is here to do what ``_Members`` does."""
    try:
        from orjson import dumps
    except ImportError:
        return _Members().write
    return lambda fields: f",{dumps(fields)[1:].decode()}" if fields else "}"


class Formatter(Protocol):
    """Turns lines into text, which is to be encoded with ``backslashreplace``: it may hold lone surrogates."""

    def __call__(self, line: LogLine, /) -> str:
        """One line, without the line break at its end."""
        ...


class JsonFormatter:
    """One JSON object a line: ``timestamp``, ``level``, ``logger``, ``event``, then the rest.

    A float that JSON does not know (NaN, infinities) becomes null.

    Example:
        >>> JsonFormatter()(LogLine(0, 20, "shop", {"event": "sold", "id": 7}))
        '{"timestamp":"1970-01-01T00:00:00.000000Z","level":"info","logger":"shop","event":"sold","id":7}'
    """

    def __init__(self) -> None:
        self._heads: dict[tuple[int, str], str] = {}
        self._members = _members()

    def __call__(self, line: LogLine) -> str:
        """See ``Formatter``."""
        time_ns, level, logger, fields = line
        head = self._heads.get((level, logger)) or self._head(level, logger)
        try:
            members = self._members(fields)
        except (ValueError, TypeError):
            members = f",{_encode(_known(fields))[1:]}"
        return f'{{"timestamp":"{timestamp(time_ns)}{head}{members}'

    def _head(self, level: int, logger: str) -> str:
        if len(self._heads) >= _REMEMBERED:
            self._heads.clear()
        level_and_logger = _encode({"level": level_name(level), "logger": logger})
        head = self._heads[level, logger] = f'",{level_and_logger[1:-1]}'
        return head


_LONG = 10**300
"""Beyond it Python may refuse to write a number in decimal digits."""


def _known(value: Any) -> Any:  # noqa: ANN401 - any plain value
    """With null for numbers that are none, and hexadecimal text for those that are too long."""
    if isinstance(value, dict):
        return {name: _known(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_known(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, int) and not -_LONG < value < _LONG:
        return f"{value:#x}"
    return value


class ConsoleFormatter:
    """For people: structlog's console renderer.

    Args:
        colors: whether levels and names are coloured.

    Example:
        >>> print(ConsoleFormatter(colors=False)(LogLine(0, 20, "shop", {"event": "sold", "id": 7})))
        1970-01-01T00:00:00.000000Z [info     ] sold                           [shop] id=7
    """

    def __init__(self, *, colors: bool) -> None:
        import structlog  # takes 80 ms

        self._render = structlog.dev.ConsoleRenderer(
            colors=colors, force_colors=colors, exception_formatter=structlog.dev.plain_traceback
        )

    def __call__(self, line: LogLine) -> str:
        """See ``Formatter``."""
        fields = flat(line)
        fields["event"] = _harmless(str(fields.get("event", "")))
        error = fields.get("exception")
        if isinstance(error, dict):
            fields["exception"] = _harmless(str(error.get("stacktrace", error)), keep="\n\t")
        return str(self._render(None, fields["level"], fields))


_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def _harmless(text: str, keep: str = "") -> str:
    """Without what would move the cursor of a terminal or forge another line."""
    return text.translate({code: seen for code, seen in _CONTROLS.items() if chr(code) not in keep})
