"""Functions that summarise the samples inside a window.

Source of every rule: Prometheus 3, ``promql/functions.go``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mirante.server.promql.matrix import Bools, Floats
from mirante.server.promql.numeric import compensated, neumaier, quantile, variance
from mirante.server.promql.windows import Points, Windows


def _summed(windows: Windows) -> tuple[Floats, Floats]:
    total, lost = np.zeros(windows.low.size), np.zeros(windows.low.size)
    for which, sample in windows.columns():
        total[which], lost[which] = neumaier(total[which], lost[which], windows.values[sample])
    return total, lost


def sum_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Sum of the samples."""
    return Points(compensated(*_summed(windows)).reshape(windows.low.shape), windows.filled)


def avg_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Mean of the samples; a sum that overflows is taken over the samples divided by their count instead."""
    total, lost = _summed(windows)
    counts = windows.counts.ravel()
    with np.errstate(all="ignore"):
        mean = compensated(total / counts, lost / counts)
    overflown = ~np.isfinite(mean)
    if overflown.any():
        mean = np.where(overflown, _mean_in_parts(windows), mean)
    return Points(mean.reshape(windows.low.shape), windows.filled)


def _mean_in_parts(windows: Windows) -> Floats:
    counts = windows.counts.ravel()
    total, lost = np.zeros(windows.low.size), np.zeros(windows.low.size)
    for which, sample in windows.columns():
        part = windows.values[sample] / counts[which]
        total[which], lost[which] = neumaier(total[which], lost[which], part)
    return compensated(total, lost)


def min_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Smallest sample; NaN only where all are."""
    return Points(windows.reduce(np.fmin, windows.values), windows.filled)


def max_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Largest sample; NaN only where all are."""
    return Points(windows.reduce(np.fmax, windows.values), windows.filled)


def count_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Number of samples."""
    return Points(windows.counts.astype(np.float64), windows.filled)


def present_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """1 where there is a sample."""
    return Points(np.ones(windows.low.shape), windows.filled)


def first_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Oldest sample."""
    return Points(windows.at(windows.low), windows.filled)


def last_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Newest sample."""
    return Points(windows.at(windows.high - 1), windows.filled)


def ts_of_first_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Time of the oldest sample in seconds."""
    return Points(windows.time_at(windows.low) / 1000, windows.filled)


def ts_of_last_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Time of the newest sample in seconds."""
    return Points(windows.time_at(windows.high - 1) / 1000, windows.filled)


def ts_of_min_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Time of the newest of the smallest samples in seconds."""
    return _time_of_best(windows, np.less_equal)


def ts_of_max_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Time of the newest of the largest samples in seconds."""
    return _time_of_best(windows, np.greater_equal)


def _time_of_best(windows: Windows, better: Callable[[Floats, Floats], Bools]) -> Points:
    best = windows.at(windows.low).ravel().copy()
    time = windows.time_at(windows.low).ravel() / 1000
    for which, sample in windows.columns():
        value = windows.values[sample]
        wins = better(value, best[which]) | np.isnan(best[which])
        best[which] = np.where(wins, value, best[which])
        time[which] = np.where(wins, windows.times[sample] / 1000, time[which])
    return Points(time.reshape(windows.low.shape), windows.filled)


def stdvar_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Population variance of the samples."""
    values, inside = windows.padded()
    return Points(variance(values, inside, axis=1).reshape(windows.low.shape), windows.filled)


def stddev_over_time(windows: Windows, args: tuple[Floats, ...]) -> Points:
    """Population standard deviation of the samples."""
    return Points(np.sqrt(stdvar_over_time(windows, args).values), windows.filled)


def quantile_over_time(windows: Windows, args: tuple[Floats, ...]) -> Points:
    """The ``args[0]``-quantile of the samples."""
    values, inside = windows.padded()
    q = np.broadcast_to(args[0], windows.low.shape).ravel()
    return Points(quantile(q, values, inside).reshape(windows.low.shape), windows.filled)


def mad_over_time(windows: Windows, _: tuple[Floats, ...]) -> Points:
    """Median of the samples' distances from their median."""
    values, inside = windows.padded()
    half = np.full(len(values), 0.5)
    with np.errstate(all="ignore"):
        distance = np.abs(values - quantile(half, values, inside)[:, None])
    has_nan = (inside & np.isnan(values)).any(axis=1)
    result = np.where(has_nan, np.nan, quantile(half, distance, inside))
    return Points(result.reshape(windows.low.shape), windows.filled)
