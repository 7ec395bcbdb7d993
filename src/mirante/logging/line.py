"""One log line, as it goes from whoever wrote it to whatever shows, counts or sends it."""

from __future__ import annotations

from collections.abc import Mapping
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


_SECOND = 1_000_000_000
_THREE_DIGITS = tuple(f"{number:03}" for number in range(1000))
_second: tuple[int, str] = (0, "1970-01-01T00:00:00.")  # the last one that was written; replaced as a whole


def timestamp(time_ns: int) -> str:
    """RFC 3339 in UTC, with microseconds.

    Example:
        >>> timestamp(1_700_000_000_123_456_789)
        '2023-11-14T22:13:20.123456Z'
    """
    global _second  # noqa: PLW0603 - lines come in the order of time, so one is enough to remember
    begun, text = _second
    past = time_ns - begun
    if not 0 <= past < _SECOND:
        past = time_ns % _SECOND
        begun = time_ns - past
        text = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(begun // _SECOND))
        _second = begun, text
    micros = past // 1000
    return f"{text}{_THREE_DIGITS[micros // 1000]}{_THREE_DIGITS[micros % 1000]}Z"


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
