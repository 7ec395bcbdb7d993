"""Counts of log lines over a window of time, from a bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from itertools import takewhile
from typing import Any, NamedTuple

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.correlation import stamp
from mirante.errors import DeclarationError
from mirante.logging.exceptions import exc_info_of, exception_field
from mirante.logging.line import LogLine, flat, level_name, level_number
from mirante.logging.patterns import pattern_of
from mirante.logging.redaction import Redactor

_EVENT_CHARACTERS = 500
_ERROR = 40


class _Seen(NamedTuple):
    """What is remembered of a line."""

    at: float
    level: int
    logger: str
    event: str


class LogAggregator:
    """Counts log lines: those that are written to it, and, as a sink, those of the whole process.

    Args:
        window: seconds for which lines are remembered at most.
        max_lines: lines that are remembered at most; then the oldest make room.
        logger: the name that lines written here have.
        redactor: cleans them.
        clock: the time.

    Raises:
        DeclarationError: a bound is not above zero.

    Example:
        >>> from mirante.logging import LogAggregator, add_sink, get_logger, remove_sink
        >>> aggregator = LogAggregator()
        >>> add_sink(aggregator)
        >>> get_logger("shop").error("order 17 failed", reason="no stock")
        >>> aggregator.aggregate(60)["top_messages"]
        [{'pattern': 'order <n> failed', 'count': 1, 'example': 'order 17 failed'}]
        >>> remove_sink(aggregator)
    """

    def __init__(
        self,
        *,
        window: float = 3600.0,
        max_lines: int = 10_000,
        logger: str = "root",
        redactor: Redactor | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not window > 0 or max_lines < 1:
            raise DeclarationError("LogAggregator: window and max_lines must be above zero")
        self._window = window
        self._lines: deque[_Seen] = deque(maxlen=max_lines)
        self._logger = logger
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._dropped_at: float | None = None  # when the last line that had to make room was written

    def __call__(self, line: LogLine) -> None:
        """Count a line."""
        lines = self._lines
        now = self._clock.monotonic()
        if len(lines) == lines.maxlen:
            self._dropped_at = lines[0].at
        lines.append(_Seen(now, line.level, line.logger, str(line.fields.get("event", ""))[:_EVENT_CHARACTERS]))
        while now - lines[0].at > self._window:
            lines.popleft()

    def log(self, event: str, *, level: str | int = "info", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """Count a line that is written here.

        Args:
            event: what happened.
            level: its name or number.
            fields: more about it; ``exc_info`` as the standard library has it.

        Returns:
            The line as its fields, with the ids of the moment.

        Raises:
            ValueError: there is no such level.
        """
        number = level_number(level)
        error = exc_info_of(fields.pop("exc_info", None))
        content = {"event": event, **fields}
        if error is not None:
            content["exception"] = exception_field(error)
        stamp(content)
        self._redactor.clean(content)
        line = LogLine(self._clock.time_ns(), number, self._logger, content)
        self(line)
        return flat(line)

    def debug(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """``log`` at level debug."""
        return self.log(event, level=10, **fields)

    def info(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """``log`` at level info."""
        return self.log(event, level=20, **fields)

    def warning(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """``log`` at level warning."""
        return self.log(event, level=30, **fields)

    def error(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """``log`` at level error."""
        return self.log(event, level=_ERROR, **fields)

    def critical(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """``log`` at level critical."""
        return self.log(event, level=50, **fields)

    def exception(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
        """``log`` at level error, with the exception being handled."""
        return self.log(event, level=_ERROR, **{"exc_info": True, **fields})

    def aggregate(self, window_seconds: float, *, top: int = 10) -> dict[str, Any]:
        """What was logged in the last seconds.

        Args:
            window_seconds: how far to look back.
            top: patterns in ``top_messages`` at most.

        Returns:
            ``total``; ``by_level``, ``by_logger``, ``by_event``: names to counts; ``error_rate``: share of lines at
            level error or above, 0 to 1; ``top_messages``: the most frequent patterns, each with ``pattern``, ``count``
            and an ``example``; ``window_seconds``; ``complete``: false when lines of this window have been forgotten.
        """
        now = self._clock.monotonic()
        since = now - window_seconds
        seen = list(takewhile(lambda one: one.at >= since, reversed(self._lines.copy())))
        errors = sum(one.level >= _ERROR for one in seen)
        return {
            "window_seconds": window_seconds,
            "total": len(seen),
            "by_level": dict(Counter(level_name(one.level) for one in seen)),
            "by_logger": dict(Counter(one.logger for one in seen)),
            "by_event": dict(Counter(one.event for one in seen)),
            "error_rate": errors / len(seen) if seen else 0.0,
            "top_messages": _patterns(seen, top),
            "complete": window_seconds <= self._window and (self._dropped_at is None or self._dropped_at < since),
        }


def _patterns(seen: list[_Seen], top: int) -> list[dict[str, Any]]:
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for event, count in Counter(one.event for one in seen).items():
        pattern = pattern_of(event)
        counts[pattern] += count
        examples.setdefault(pattern, event)
    return [{"pattern": p, "count": count, "example": examples[p]} for p, count in counts.most_common(top)]
