"""Adds deltas up to what Prometheus wants: totals since a beginning.

Source: opentelemetry.io, "Metrics Data Model", section "Sums: Delta-to-Cumulative", as the Collector's
deltatocumulative processor reads it.

The state is in memory alone. After a restart each series begins anew, which PromQL reads as the reset of a counter.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import NamedTuple, Self

from mirante._core.clock import Clock
from mirante.errors import FormatError
from mirante.server.ingest.otlp_values import Value, added


class Total(NamedTuple):
    """What a series has come to.

    Attributes:
        start: when its first delta began, in nanoseconds.
        time: when its last one ended.
        value: the sum of all of them.
        used: when that was, on the monotonic clock in seconds.
    """

    start: int
    time: int
    value: Value
    used: float


class DeltaState:
    """The totals of all series that send deltas.

    Args:
        clock: tells how long a series was idle.
        most: series kept; of more the points are refused.
        idle: seconds without a point after which a series is forgotten.

    Attributes:
        lock: to be held around any use of it.
    """

    def __init__(self, clock: Clock, *, most: int = 100_000, idle: float = 3600.0) -> None:
        self.lock = threading.Lock()
        self.clock = clock
        self._most = most
        self._idle = idle
        self._totals: dict[Hashable, Total] = {}  # the least recently used first

    def get(self, key: Hashable) -> Total | None:
        """The total of a series, or None of a new one."""
        return self._totals.get(key)

    def check_room(self, new: int) -> None:
        """Raise FormatError when so many new series are too many."""
        if len(self._totals) + new > self._most:
            raise FormatError(f"more than {self._most} series have delta temporality")

    def keep(self, changed: Mapping[Hashable, Total]) -> None:
        """Take these totals over, and forget the series that were idle for too long."""
        for key, total in changed.items():
            self._totals.pop(key, None)
            self._totals[key] = total
        horizon = self.clock.monotonic() - self._idle
        while self._totals and (oldest := next(iter(self._totals.items())))[1].used < horizon:
            del self._totals[oldest[0]]


class DeltaSession:
    """Additions that count together or not at all: a context manager, and nothing counts before ``commit``.

    So a request that could not be stored, and is sent again, is not added twice. From the first addition to the end of
    the block other sessions wait.
    """

    def __init__(self, state: DeltaState) -> None:
        self._state = state
        self._changed: dict[Hashable, Total] = {}
        self._new = 0
        self._held = False

    def add(self, key: Hashable, start: int, time: int, value: Value) -> Value:
        """The series' total with this delta.

        Args:
            key: names the series.
            start: when the delta's time began, in nanoseconds.
            time: when it ended.
            value: the delta.

        Raises:
            FormatError: it came too late, belongs to an earlier life of the series, or there are too many series.
        """
        if not self._held:
            self._held = self._state.lock.acquire()
        total = self._changed.get(key) or self._state.get(key)
        if total is None:
            self._state.check_room(self._new + 1)
            self._new += 1
        elif start < total.start:
            raise FormatError("a delta begins before its series does")
        elif time <= total.time:
            raise FormatError("a delta is not newer than the one before")
        else:
            value, start = added(total.value, value), total.start
        self._changed[key] = Total(start, time, value, self._state.clock.monotonic())
        return value

    def commit(self) -> None:
        """Keep what was added."""
        if self._held:
            self._state.keep(self._changed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._state.lock.release()
            self._held = False
