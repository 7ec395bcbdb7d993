"""Acknowledgements: somebody has taken an alert on, so nobody is told of it again until it resolves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That of one alert. Times are milliseconds since 1970.

    Attributes:
        alert_id: whose.
        author: who takes it on.
        comment: what they say.
        at: when.
        until: when people are told of it again, as long as it has not resolved; None for never (snoozed otherwise).
    """

    alert_id: str
    author: str
    comment: str
    at: int
    until: int | None = None

    def holds(self, now: int) -> bool:
        """Whether it is in force at that time."""
        return self.until is None or now < self.until
