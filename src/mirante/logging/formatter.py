"""Log lines as text: JSON for machines, columns and colours for people."""

from __future__ import annotations

import json
from json.encoder import encode_basestring as quote
from math import isfinite
from typing import Any, Protocol

from mirante.logging.line import LogLine, flat, level_name, timestamp

_REMEMBERED = 4096

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


class Formatter(Protocol):
    """Turns lines into text."""

    def __call__(self, line: LogLine, /) -> str:
        """One line, without the line break at its end."""
        ...


class JsonFormatter:
    """One JSON object a line: ``timestamp``, ``level``, ``logger``, ``event``, then the rest.

    A float that JSON does not know (NaN, infinities) becomes null. A lone surrogate is written as its escape, so that
    the text can always be encoded.

    Example:
        >>> JsonFormatter()(LogLine(0, 20, "shop", {"event": "sold", "id": 7}))
        '{"timestamp":"1970-01-01T00:00:00.000000Z","level":"info","logger":"shop","event":"sold","id":7}'
    """

    def __init__(self) -> None:
        self._heads: dict[tuple[int, str], str] = {}
        self._names: dict[str, str] = {}

    def __call__(self, line: LogLine) -> str:
        """See ``Formatter``."""
        time_ns, level, logger, fields = line
        head = self._heads.get((level, logger)) or self._head(level, logger)
        out = ['{"timestamp":"', timestamp(time_ns), head]
        names = self._names
        for name, value in fields.items():
            kind = type(value)
            if kind is str:
                text = quote(value)
            elif kind is int:
                text = repr(value) if -_LONG < value < _LONG else f'"{value:#x}"'
            elif kind is float and isfinite(value):
                text = repr(value)
            else:
                text = _other(value)
            out += (names.get(name) or self._name(name), text)
        out.append("}")
        text = "".join(out)
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

    def _head(self, level: int, logger: str) -> str:
        if len(self._heads) >= _REMEMBERED:
            self._heads.clear()
        head = self._heads[level, logger] = f'","level":{quote(level_name(level))},"logger":{quote(logger)}'
        return head

    def _name(self, name: str) -> str:
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        text = self._names[name] = f",{quote(name)}:"
        return text


_LONG = 10**300
"""Beyond it Python may refuse to write a number in decimal digits."""


def _other(value: Any) -> str:  # noqa: ANN401 - any plain value
    try:
        return _encode(value)
    except ValueError:  # not a number, or one that is too long to be written
        return _encode(_finite(value))


def _finite(value: Any) -> Any:  # noqa: ANN401 - any plain value
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
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
        text = self._render(None, fields["level"], fields)
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def _harmless(text: str, keep: str = "") -> str:
    """Without what would move the cursor of a terminal or forge another line."""
    return text.translate({code: seen for code, seen in _CONTROLS.items() if chr(code) not in keep})
