"""What is promised of a service, as frozen values, and the windows over which it is watched. Times are milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from mirante.formats.duration import format_duration

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOW = "$window"
"""Stands in expressions for the window over which something is counted."""

_MONTH = 30 * DAY
_A_MONTH = range(28 * DAY, 31 * DAY + 1)
_RECORDED = (5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY)
"""For a period of 30 days."""


@dataclass(frozen=True, slots=True)
class Events:
    """An indicator that counts events: requests, tasks, messages.

    Attributes:
        errors: expression of the events a second that were bad; ``$window`` stands for the range.
        total: the same of all events.
    """

    errors: str
    total: str


@dataclass(frozen=True, slots=True)
class Share:
    """An indicator that measures time.

    Attributes:
        bad: expression of how bad it is at this moment, from 0 (not at all) to 1.
    """

    bad: str


@dataclass(frozen=True, slots=True)
class Slo:
    """A service level objective.

    Attributes:
        name: unique in its service.
        service: whose it is.
        percent: how much must be good, above 0 and below 100.
        indicator: what is measured.
        period: the rolling window over which the promise holds, in milliseconds.
        description: what is promised, for people.
        labels: added to all series and alerts.
        annotations: added to alerts.
        source: file and line.

    Example:
        >>> slo = Slo("available", "shop", 99.9, Share("up == bool 0"))
        >>> slo.objective, slo.budget
        (0.999, 0.001)
    """

    name: str
    service: str
    percent: float
    indicator: Events | Share
    period: int = _MONTH
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def objective(self) -> float:
        """How much must be good, as a ratio."""
        return float(Decimal(str(self.percent)) / 100)

    @property
    def budget(self) -> float:
        """How much may be bad, as a ratio."""
        return float(1 - Decimal(str(self.percent)) / 100)


class BurnAlert(NamedTuple):
    """When the budget burns too fast: in a long window, and still in a short one.

    Attributes:
        severity: of the alert.
        long: length of the window in which so much was burnt.
        short: length of the window that tells whether it still burns.
        factor: how much faster than the period allows.
    """

    severity: str
    long: int
    short: int
    factor: float


class _Burnt(NamedTuple):
    severity: str
    long: int
    percent: int


_ALERTS = (_Burnt("critical", HOUR, 2), _Burnt("critical", 6 * HOUR, 5), _Burnt("warning", 3 * DAY, 10))
"""Share of a month's budget that is gone after the long window. Source: "The Site Reliability Workbook", chapter 5."""


def windows(period: int) -> list[int]:
    """Windows over which a ratio is recorded, in milliseconds, from short to long; the period is the last.

    Example:
        >>> [format_duration(one) for one in windows(30 * DAY)]
        ['5m', '30m', '1h', '2h', '6h', '1d', '3d', '30d']
        >>> [format_duration(one) for one in windows(7 * DAY)]
        ['1m', '7m', '12m', '24m', '1h24m', '5h36m', '16h48m', '1w']
    """
    return sorted({*(_scaled(one, period) for one in _RECORDED), period})


def burn_alerts(period: int) -> list[BurnAlert]:
    """The multiwindow, multi-burn-rate alerts of a period.

    Windows are the workbook's where the period is a month, otherwise scaled with it, to whole minutes.

    Example:
        >>> [(one.factor, format_duration(one.long), format_duration(one.short)) for one in burn_alerts(30 * DAY)]
        [(14.4, '1h', '5m'), (6.0, '6h', '30m'), (1.0, '3d', '6h')]
        >>> [one.factor for one in burn_alerts(28 * DAY)]
        [13.44, 5.6, 0.9333]
    """
    found = []
    for severity, length, percent in _ALERTS:
        short = _scaled(length // 12, period)
        long = _scaled(length, period)
        found.append(BurnAlert(severity, long, short, round(percent * period / (100 * long), 4)))
    return found


def _scaled(window: int, period: int) -> int:
    if period in _A_MONTH:
        return window
    short = window if window < HOUR else window // 12  # long windows are twelve short ones, as in the workbook
    scaled = max(1, round(short * period / _MONTH / MINUTE)) * MINUTE
    return scaled if window < HOUR else 12 * scaled


def spelled(window: int) -> str:
    """A window as names of series and PromQL have it.

    Example:
        >>> spelled(30 * DAY), spelled(7 * DAY)
        ('30d', '7d')
    """
    return f"{window // DAY}d" if window % DAY == 0 else format_duration(window)
