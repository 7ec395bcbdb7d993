"""Ids that count instead of being random."""

from __future__ import annotations

from itertools import count


class FakeIds:
    """An id source for tests: the first trace is 1, the first span is 1, the first request is ``request-1``.

    Example:
        >>> ids = FakeIds()
        >>> ids.trace_id(), ids.trace_id(), ids.span_id(), ids.request_id()
        (1, 2, 1, 'request-1')
    """

    def __init__(self) -> None:
        self._traces, self._spans, self._requests = count(1), count(1), count(1)

    def trace_id(self) -> int:
        """The next trace's."""
        return next(self._traces)

    def span_id(self) -> int:
        """The next span's."""
        return next(self._spans)

    def request_id(self) -> str:
        """The next request's."""
        return f"request-{next(self._requests)}"
