"""Time as a parameter: the one place that reads the system's clocks."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a component needs to know about time; a fake one drives the tests."""

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for durations and deadlines."""
        ...


class SystemClock:
    """The operating system's clocks."""

    __slots__ = ()

    time_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)


SYSTEM_CLOCK = SystemClock()
