"""Time that stands still until a test moves it."""

from __future__ import annotations


class FakeClock:
    """A Clock for tests.

    Args:
        now: seconds since the Unix epoch at which it stands.

    Example:
        >>> clock = FakeClock(100.0)
        >>> clock.advance(2.5)
        >>> clock.time_ns(), clock.monotonic()
        (102500000000, 102.5)
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return round(self.now * 1e9)

    def monotonic(self) -> float:
        """Seconds; the same as the time of day here."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
