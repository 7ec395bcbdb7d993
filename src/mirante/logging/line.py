"""One log line, as it goes from whoever wrote it to whatever shows, counts or sends it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from time import gmtime, strftime
from typing import Any, NamedTuple, Protocol

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Names to numbers, as the standard library counts."""

_NAMES = {number: name for name, number in LEVELS.items()}

RESERVED = frozenset({"timestamp", "level", "logger", "event"})
"""Fields that every line has; a value that somebody binds under such a name is kept under ``<name>_``."""


class LogLine(NamedTuple):
    """A line: cleaned of secrets, and of nothing but text, numbers, booleans, None, lists and dicts of these.

    Attributes:
        time_ns: nanoseconds since the Unix epoch.
        level: as the standard library counts: 20 is INFO.
        logger: the logger's name.
        fields: ``event`` first, then whatever belongs to it.
    """

    time_ns: int
    level: int
    logger: str
    fields: dict[str, Any]


class Sink(Protocol):
    """Takes lines: shows, counts or sends them. Called by whoever logs, so it must be quick."""

    def __call__(self, line: LogLine, /) -> None:
        """Take one line."""
        ...


def level_name(level: int) -> str:
    """The name of a level; levels that an application has added are named by the standard library.

    Example:
        >>> level_name(20), level_name(25)
        ('info', 'level 25')
    """
    name = _NAMES.get(level)
    if name is None:
        import logging

        name = logging.getLevelName(level).lower()
    return name


def level_number(level: str | int) -> int:
    """The number of a level.

    Raises:
        ValueError: there is no such level.

    Example:
        >>> level_number("Warning"), level_number(15), level_number("25")
        (30, 15, 25)
    """
    text = str(level).strip().lower()
    if text in LEVELS:
        return LEVELS[text]
    if text.isdecimal():
        return int(text)
    import logging

    number = logging.getLevelName(text.upper())
    if not isinstance(number, int):
        raise ValueError(f"expected one of {', '.join(LEVELS)} or a number, not {level!r}")
    return number


@lru_cache(4)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def timestamp(time_ns: int) -> str:
    """RFC 3339 in UTC, with microseconds.

    Example:
        >>> timestamp(1_700_000_000_123_456_789)
        '2023-11-14T22:13:20.123456Z'
    """
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def flat(line: LogLine) -> dict[str, Any]:
    """The line as one dict.

    Example:
        >>> flat(LogLine(0, 20, "shop", {"event": "sold", "id": 7}))["level"]
        'info'
    """
    return {
        "timestamp": timestamp(line.time_ns),
        "level": level_name(line.level),
        "logger": line.logger,
        **line.fields,
    }
