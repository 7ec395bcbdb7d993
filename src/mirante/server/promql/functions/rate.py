"""Functions of how samples change inside a window.

Source of every rule: Prometheus 3, ``promql/functions.go``; windows are left-open.
"""

from __future__ import annotations

import numpy as np

from mirante.server.promql.matrix import Bools, Floats, Ints
from mirante.server.promql.numeric import compensated, neumaier
from mirante.server.promql.windows import Points, Windows

EXTRAPOLATION_LIMIT = 1.1
"""A boundary farther than this many average intervals is not taken to be part of the series."""


def rate(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Per-second increase of a counter, resets corrected, extrapolated to the window's bounds."""
    return _extrapolated(windows, counter=True, per_second=True)


def increase(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Increase of a counter over the window."""
    return _extrapolated(windows, counter=True, per_second=False)


def delta(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Difference of a gauge over the window."""
    return _extrapolated(windows, counter=False, per_second=False)


def _extrapolated(windows: Windows, *, counter: bool, per_second: bool) -> Points:
    present = windows.counts >= 2
    first, last = windows.at(windows.low), windows.at(windows.high - 1)
    first_time, last_time = windows.time_at(windows.low), windows.time_at(windows.high - 1)
    with np.errstate(all="ignore"):
        result = last - first
        if counter:
            result = result + _lost_by_resets(windows)
        to_start = (first_time - (windows.ends - windows.range)) / 1000
        to_end = (windows.ends - last_time) / 1000
        sampled = (last_time - first_time) / 1000
        average = sampled / (windows.counts - 1)
        limit = average * EXTRAPOLATION_LIMIT
        to_start = np.where(to_start >= limit, average / 2, to_start)
        if counter:
            # A counter cannot have been negative: extrapolate no farther back than to its zero.
            to_zero = np.where((result > 0) & (first >= 0), sampled * (first / result), to_start)
            to_start = np.where(to_zero < to_start, to_zero, to_start)
        to_end = np.where(to_end >= limit, average / 2, to_end)
        factor = (sampled + to_start + to_end) / sampled
        if per_second:
            factor = factor / (windows.range / 1000)
        return Points(result * factor, present)


def _lost_by_resets(windows: Windows) -> Floats:
    """The sum, over each window, of the values from which the counter fell."""
    before = np.concatenate([[0.0], windows.values[:-1]])
    with np.errstate(all="ignore"):
        fallen = np.where(windows.values < before, before, 0.0)
    if not fallen.any():
        return np.zeros(windows.low.shape)
    total = windows.reduce(np.add, fallen, skip=1)
    return np.where(windows.counts >= 2, total, 0.0)


def irate(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Per-second rate between the last two samples of a counter."""
    return _last_two(windows, counter=True)


def idelta(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Difference between the last two samples."""
    return _last_two(windows, counter=False)


def _last_two(windows: Windows, *, counter: bool) -> Points:
    present = windows.counts >= 2
    last, before = windows.at(windows.high - 1), windows.at(windows.high - 2)
    with np.errstate(all="ignore"):
        result = last - before
        if counter:
            result = np.where(last < before, last, result)
            result = result / ((windows.time_at(windows.high - 1) - windows.time_at(windows.high - 2)) / 1000)
    return Points(result, present)


def changes(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """How often the value changed."""
    before = np.concatenate([[np.nan], windows.values[:-1]])
    both_nan = np.isnan(windows.values) & np.isnan(before)
    return _count(windows, (windows.values != before) & ~both_nan)


def resets(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """How often the value fell."""
    before = np.concatenate([[np.nan], windows.values[:-1]])
    return _count(windows, windows.values < before)


def _count(windows: Windows, events: Bools) -> Points:
    """Events at the second and later samples of each window; whole numbers, so that prefix sums are exact."""
    before = np.concatenate([[0], np.cumsum(events)])
    counted = before[windows.high] - before[np.minimum(windows.low + 1, windows.high)]
    return Points(counted.astype(np.float64), windows.filled)


def deriv(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Slope, per second, of the line of least squares."""
    slope, _intercept = _regression(windows, windows.time_at(windows.low))
    return Points(slope, windows.counts >= 2)


def predict_linear(windows: Windows, args: tuple[Floats, ...]) -> Points:
    """Value that the line of least squares has ``args[0]`` seconds after the evaluation time."""
    at = np.broadcast_to(windows.steps, windows.low.shape)
    slope, intercept = _regression(windows, at)
    with np.errstate(all="ignore"):
        return Points(slope * args[0] + intercept, windows.counts >= 2)


def _regression(windows: Windows, zero: Ints) -> tuple[Floats, Floats]:
    """Slope and value at ``zero`` (milliseconds) of the line of least squares through each window."""
    size = windows.low.size
    origin = zero.ravel()
    sums = np.zeros((4, size))
    lost = np.zeros((4, size))
    for which, sample in windows.columns():
        y = windows.values[sample]
        x = (windows.times[sample] - origin[which]) / 1000
        with np.errstate(all="ignore"):
            for row, term in enumerate((x, y, x * y, x * x)):
                sums[row, which], lost[row, which] = neumaier(sums[row, which], lost[row, which], term)
    x_sum, y_sum, xy_sum, xx_sum = (compensated(total, part) for total, part in zip(sums, lost, strict=True))
    count = windows.counts.ravel()
    with np.errstate(all="ignore"):
        covariance = xy_sum - x_sum * y_sum / count
        slope = covariance / (xx_sum - x_sum * x_sum / count)
        intercept = y_sum / count - slope * x_sum / count
    flat, first = _constant(windows)
    bad = np.isinf(first)
    slope = np.where(flat, np.where(bad, np.nan, 0.0), slope)
    intercept = np.where(flat, np.where(bad, np.nan, first), intercept)
    return slope.reshape(windows.low.shape), intercept.reshape(windows.low.shape)


def _constant(windows: Windows) -> tuple[Bools, Floats]:
    """Windows whose samples are all equal, and each one's first value."""
    changed = _count(windows, windows.values != np.concatenate([[np.nan], windows.values[:-1]]))
    return (changed.values == 0).ravel(), windows.at(windows.low).ravel()


def double_exponential_smoothing(windows: Windows, args: tuple[Floats, ...]) -> Points:
    """Holt's linear smoothing with level factor ``args[0]`` and trend factor ``args[1]``, both in (0, 1)."""
    shape = windows.low.shape
    level_factor, trend_factor = (np.broadcast_to(arg, shape).ravel() for arg in args)
    before = np.zeros(windows.low.size)
    level = windows.at(windows.low).ravel().copy()
    trend = (windows.at(windows.low + 1) - windows.at(windows.low)).ravel()
    with np.errstate(all="ignore"):
        for number, (which, sample) in enumerate(windows.columns()):
            if not number:
                continue
            if number > 1:
                factor = trend_factor[which]
                trend[which] = factor * (level[which] - before[which]) + (1 - factor) * trend[which]
            factor = level_factor[which]
            smoothed = factor * windows.values[sample] + (1 - factor) * (level[which] + trend[which])
            before[which], level[which] = level[which], smoothed
    return Points(level.reshape(shape), windows.counts >= 2)
