"""Every range function once more, one window at a time in plain Python: slow, and plain to read.

Written from Prometheus's documentation; the arrays of the evaluator are compared with it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction

Window = Sequence[tuple[int, float]]
"""Samples (milliseconds, value) by time."""


def extrapolated(window: Window, start: int, end: int, *, counter: bool) -> float | None:
    """The increase over (start, end]."""
    if len(window) < 2:
        return None
    (first_time, first), (last_time, last) = window[0], window[-1]
    increase = last - first
    if counter:
        increase += sum(a for (_, a), (_, b) in itertools.pairwise(window) if b < a)
    sampled = (last_time - first_time) / 1000
    average = sampled / (len(window) - 1)
    before, behind = (first_time - start) / 1000, (end - last_time) / 1000
    if before >= average * 1.1:
        before = average / 2
    if counter and increase > 0 and first >= 0:
        before = min(before, sampled * (first / increase))
    if behind >= average * 1.1:
        behind = average / 2
    return increase * ((sampled + before + behind) / sampled)


def rate(window: Window, start: int, end: int) -> float | None:
    """Per second."""
    value = extrapolated(window, start, end, counter=True)
    return None if value is None else value / ((end - start) / 1000)


def last_two(window: Window, *, counter: bool) -> float | None:
    """The difference of the last two samples, of a counter per second."""
    if len(window) < 2:
        return None
    (time, before), (last_time, last) = window[-2:]
    if not counter:
        return last - before
    return (last if last < before else last - before) / ((last_time - time) / 1000)


def changed(a: float, b: float) -> bool:
    """Whether a sample differs from the one before it."""
    return a != b and not (math.isnan(a) and math.isnan(b))


def pairs(window: Window, test: Callable[[float, float], bool]) -> float | None:
    """How many neighbours pass."""
    if not window:
        return None
    return float(sum(test(a, b) for (_, a), (_, b) in itertools.pairwise(window)))


def line(window: Window, zero: int) -> tuple[float, float] | None:
    """Slope per second and value at ``zero``, in exact fractions."""
    if len(window) < 2:
        return None
    xs = [Fraction(time - zero, 1000) for time, _ in window]
    ys = [Fraction(value) for _, value in window]
    n = len(window)
    x_mean, y_mean = sum(xs) / n, sum(ys) / n
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / sum((x - x_mean) ** 2 for x in xs)
    return float(slope), float(y_mean - slope * x_mean)


def smoothed(window: Window, level_factor: float, trend_factor: float) -> float | None:
    """Holt's double exponential smoothing."""
    if len(window) < 2:
        return None
    values = [value for _, value in window]
    level, trend = values[0], values[1] - values[0]
    before = 0.0
    for number, value in enumerate(values[1:]):
        if number:
            trend = trend_factor * (level - before) + (1 - trend_factor) * trend
        before, level = level, level_factor * value + (1 - level_factor) * (level + trend)
    return level


def quantile(q: float, values: Sequence[float]) -> float | None:
    """Linear between the two nearest ranks."""
    if not values:
        return None
    if not 0 <= q <= 1:
        return math.nan if math.isnan(q) else math.copysign(math.inf, q - 0.5)
    ordered = sorted(values)
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)


def deviation(values: Sequence[float]) -> float | None:
    """Median distance from the median."""
    if not values:
        return None
    middle = statistics.median(values)
    return statistics.median([abs(value - middle) for value in values])


def best(window: Window, better: Callable[[float, float], bool]) -> float | None:
    """Seconds of the newest of the best samples."""
    if not window:
        return None
    time, value = window[0]
    for moment, candidate in window:
        if better(candidate, value):
            time, value = moment, candidate
    return time / 1000


Simple = Callable[[Window, int, int], float | None]


def _of_values(function: Callable[[Sequence[float]], float]) -> Simple:
    return lambda window, _start, _end: function([value for _, value in window]) if window else None


FUNCTIONS: dict[str, Simple] = {
    "avg_over_time": _of_values(statistics.fmean),
    "changes": lambda window, _s, _e: pairs(window, changed),
    "count_over_time": _of_values(lambda values: float(len(values))),
    "delta": lambda window, start, end: extrapolated(window, start, end, counter=False),
    "deriv": lambda window, _s, _e: (found := line(window, window[0][0] if window else 0)) and found[0],
    "first_over_time": _of_values(lambda values: values[0]),
    "idelta": lambda window, _s, _e: last_two(window, counter=False),
    "increase": lambda window, start, end: extrapolated(window, start, end, counter=True),
    "irate": lambda window, _s, _e: last_two(window, counter=True),
    "last_over_time": _of_values(lambda values: values[-1]),
    "mad_over_time": lambda window, _s, _e: deviation([value for _, value in window]),
    "max_over_time": _of_values(max),
    "min_over_time": _of_values(min),
    "present_over_time": _of_values(lambda _: 1.0),
    "rate": rate,
    "resets": lambda window, _s, _e: pairs(window, lambda a, b: b < a),
    "stddev_over_time": _of_values(statistics.pstdev),
    "stdvar_over_time": _of_values(statistics.pvariance),
    "sum_over_time": _of_values(math.fsum),
    "ts_of_first_over_time": lambda window, _s, _e: window[0][0] / 1000 if window else None,
    "ts_of_last_over_time": lambda window, _s, _e: window[-1][0] / 1000 if window else None,
    "ts_of_max_over_time": lambda window, _s, _e: best(window, lambda a, b: a >= b),
    "ts_of_min_over_time": lambda window, _s, _e: best(window, lambda a, b: a <= b),
}
"""Functions that take nothing but a window."""
