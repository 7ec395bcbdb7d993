"""Quantiles of the recent past from a stream of values, in little memory and with a stated error.

Each value falls into one of the bins (g**(i-1), g**i] with g = (1 + a) / (1 - a), so that the middle of a bin is within
the relative distance ``a`` of every value in it. The past is a ring of windows; the oldest is forgotten as a whole.

Source: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
VLDB 2019.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from mirante._core.clock import Clock

RELATIVE_ERROR = 0.01
"""A reported quantile is at most this part of itself away from a value of that rank."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(_GAMMA)
_TINY = 1e-12
"""Values closer to zero count as zero; then nanoseconds to days are at most 2,000 bins, all of float64 37,000."""
_SIGN = 1 << 20


def bin_of(value: float) -> int:
    """The bin of a number: positive for positive values, negative for negative ones, 0 for (nearly) zero.

    Bins of negative values are mirrored, so that the order of bins is the order of values.
    """
    if value > _TINY:
        return _SIGN + math.ceil(math.log(min(value, 1.7e308)) * _PER_LOG)
    if value < -_TINY:
        return -_SIGN - math.ceil(math.log(min(-value, 1.7e308)) * _PER_LOG)
    return 0


def value_of(index: int) -> float:
    """The value that stands for all in a bin."""
    if index == 0:
        return 0.0
    power = abs(index) - _SIGN
    return math.copysign(2 * math.exp(power / _PER_LOG) / (1 + _GAMMA), index)


class SlidingSketch:
    """Counts by bin over the last ``max_age`` seconds.

    Args:
        max_age: seconds after which a value no longer counts.
        windows: parts in which the past is forgotten: a value counts for at least ``max_age * (1 - 1 / windows)``.
        clock: the source of time.

    Example:
        >>> from mirante._core.clock import SYSTEM_CLOCK
        >>> sketch = SlidingSketch(600.0, 5, SYSTEM_CLOCK)
        >>> for n in range(1, 101):
        ...     sketch.add(float(n))
        >>> 49 < sketch.quantiles([0.5])[0] < 51
        True
    """

    __slots__ = ("_clock", "_current", "_span", "_until", "_windows")

    def __init__(self, max_age: float, windows: int, clock: Clock) -> None:
        self._clock = clock
        self._span = max_age / windows
        self._windows: list[defaultdict[int, int]] = [defaultdict(int) for _ in range(windows)]
        self._current = self._windows[-1]
        self._until = clock.monotonic() + self._span

    def add(self, value: float) -> None:
        """Count a value, which must not be NaN; infinities count as the greatest float64."""
        if self._clock.monotonic() >= self._until:
            self._rotate()
        self._current[bin_of(value)] += 1

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        """The value at each rank between 0 and 1; NaN when nothing was counted in the sliding window."""
        bins = sorted(self.bins().items())
        total = sum(count for _, count in bins)
        return [_at_rank(bins, rank * (total - 1)) for rank in ranks]

    def bins(self) -> Mapping[int, int]:
        """How many values of the sliding window are in each bin."""
        if self._clock.monotonic() >= self._until:
            self._rotate()
        merged: defaultdict[int, int] = defaultdict(int)
        for window in self._windows:
            for index, count in list(window.items()):  # copied at once: other threads go on counting
                merged[index] += count
        return merged

    def load(self, bins: Mapping[int, int]) -> None:
        """Count what another sketch has counted."""
        for index, count in bins.items():
            self._current[index] += count

    def clear(self) -> None:
        """Forget everything."""
        for window in self._windows:
            window.clear()

    def _rotate(self) -> None:
        until = self._until
        passed = int((self._clock.monotonic() - until) / self._span) + 1
        fresh = min(passed, len(self._windows))
        windows = self._windows[fresh:] + [defaultdict(int) for _ in range(fresh)]
        following = until + passed * self._span
        if self._until == until:  # no call between this and the store, so that of two threads one rotates
            self._until = following
            self._windows = windows
            self._current = windows[-1]


def _at_rank(bins: Sequence[tuple[int, int]], rank: float) -> float:
    below = 0
    for index, count in bins:
        below += count
        if below > rank:
            return value_of(index)
    return math.nan
