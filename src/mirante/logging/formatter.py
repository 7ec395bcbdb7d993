"""Log lines as text: JSON for machines, columns and colours for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder as json_encoder
from math import isfinite
from typing import Any, Protocol

from mirante.logging.line import LogLine, flat, level_name, timestamp

_REMEMBERED = 4096


def _object_encoder() -> Callable[[dict[str, Any]], str]:
    """Writes plain values as one JSON object; raises where a number or a text is none that JSON knows."""
    try:
        import orjson  # where it is present, for a third of the price
    except ImportError:
        make = getattr(json_encoder, "c_make_encoder", None)
        if make is None:  # an interpreter without it
            return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
        chunks = make(None, repr, json_encoder.encode_basestring, None, ":", ",", False, False, False)
        return lambda fields: "".join(chunks(fields, 0))
    dumps = orjson.dumps
    return lambda fields: dumps(fields).decode()


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
        self._encode = _object_encoder()

    def __call__(self, line: LogLine) -> str:
        """See ``Formatter``."""
        time_ns, level, logger, fields = line
        head = self._heads.get((level, logger)) or self._head(level, logger)
        try:
            rest = self._encode(fields)
        except (ValueError, TypeError):
            rest = json.dumps(_known(fields), ensure_ascii=False, separators=(",", ":"))
        return f'{{"timestamp":"{timestamp(time_ns)}{head}{"," if fields else ""}{rest[1:]}'

    def _head(self, level: int, logger: str) -> str:
        if len(self._heads) >= _REMEMBERED:
            self._heads.clear()
        names = json.dumps({"level": level_name(level), "logger": logger}, ensure_ascii=False, separators=(",", ":"))
        head = self._heads[level, logger] = f'",{names[1:-1]}'
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
