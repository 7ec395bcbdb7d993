"""Functions of classic histograms: series that differ only in ``le`` are the cumulative buckets of one.

Source of every rule: Prometheus 3, ``promql/quantile.go``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mirante.server.promql.matrix import NAME, Bools, Floats, Ints, Matrix
from mirante.server.store.api import Labels

SMALL_DELTA = 1e-12
"""Relative difference between neighbouring buckets that is taken for rounding."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """The buckets of one histogram at every step, by ascending upper bound.

    Attributes:
        labels: of the series, without ``le``; the name still there.
        bounds: upper bounds, shape (B,), each once.
        counts: cumulative counts, shape (B, T).
        present: which buckets there are at each step.
        unnamed: whether the name is to be dropped later.
    """

    labels: Labels
    bounds: Floats
    counts: Floats
    present: Bools
    unnamed: bool


def histograms(matrix: Matrix) -> tuple[list[Histogram], list[tuple[str, str]]]:
    """The histograms among the series, and the metric name and ``le`` of each series that is no bucket."""
    groups: dict[frozenset[tuple[str, str]], tuple[Labels, list[int], list[float]]] = {}
    bad: list[tuple[str, str]] = []
    for row, labels in enumerate(matrix.labels):
        bound = _bound(labels.get("le", ""))
        if bound is None:
            bad.append((labels.get(NAME, ""), labels.get("le", "")))
            continue
        rest = {name: value for name, value in labels.items() if name != "le"}
        _, rows, bounds = groups.setdefault(frozenset(rest.items()), (rest, [], []))
        rows.append(row)
        bounds.append(bound)
    return [_histogram(matrix, *group) for group in groups.values()], bad


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _histogram(matrix: Matrix, labels: Labels, rows: Sequence[int], bounds: Sequence[float]) -> Histogram:
    index = np.asarray(rows)
    distinct, place = np.unique(np.asarray(bounds), return_inverse=True)
    counts = np.zeros((len(distinct), matrix.steps))
    present = np.zeros((len(distinct), matrix.steps), dtype=np.bool_)
    # Two spellings of one bound ("1" and "1.0") are one bucket with the counts of both.
    np.add.at(counts, place, np.where(matrix.present[index], matrix.values[index], 0.0))
    np.logical_or.at(present, place, matrix.present[index])
    unnamed = matrix.unnamed is not None and bool(matrix.unnamed[index].any())
    return Histogram(labels, distinct, counts, present, unnamed)


def _tables(histogram: Histogram) -> Iterator[tuple[Ints, Floats, Floats]]:
    """Steps that have the same buckets: their numbers, those buckets' bounds, and the counts of shape (B, steps)."""
    patterns, which = np.unique(histogram.present, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if pattern.any():
            steps = np.flatnonzero(which == number)
            yield steps, histogram.bounds[pattern], histogram.counts[np.ix_(np.flatnonzero(pattern), steps)]


def quantiles(histogram: Histogram, q: Floats) -> tuple[Floats, Bools, Bools]:
    """The ``q``-quantile at every step, where there is one, and where the buckets had to be made to grow."""
    steps = histogram.counts.shape[1]
    result, forced = np.full(steps, np.nan), np.zeros(steps, dtype=np.bool_)
    present: Bools = np.asarray(histogram.present.any(axis=0))
    for which, bounds, raw in _tables(histogram):
        asked = q[which]
        if np.isposinf(bounds[-1]):
            counts, forced[which] = _monotonic(raw)
            if len(bounds) >= 2:
                result[which] = _quantile(asked, bounds, counts)
        result[which] = np.where(asked < 0, -np.inf, np.where(asked > 1, np.inf, result[which]))
        forced[which] &= (asked >= 0) & (asked <= 1)
    return result, present, forced


def _monotonic(counts: Floats) -> tuple[Floats, Bools]:
    """Counts that never fall from bucket to bucket, and the steps that had to be changed by more than rounding."""
    fixed = counts.copy()
    forced = np.zeros(counts.shape[1], dtype=np.bool_)
    before = fixed[0]
    for row in range(1, len(fixed)):
        current = fixed[row]
        with np.errstate(all="ignore"):
            close = np.abs(current - before) <= SMALL_DELTA * np.minimum(
                np.abs(current) + np.abs(before), np.finfo(float).max
            )
        falls = (current < before) & ~close
        forced |= falls
        fixed[row] = np.where(falls | close, before, current)
        before = fixed[row]
    return fixed, forced


def _quantile(q: Floats, bounds: Floats, counts: Floats) -> Floats:
    steps = np.arange(counts.shape[1])
    total = counts[-1]
    with np.errstate(all="ignore"):
        rank = q * total
        # The first bucket but the last whose count reaches the rank, or the last.
        reached = counts[:-1] >= rank
        bucket = np.where(reached.any(axis=0), np.argmax(reached, axis=0), len(bounds) - 1)
        below = np.maximum(bucket - 1, 0)
        start = np.where(bucket > 0, bounds[below], 0.0)
        before = np.where(bucket > 0, counts[below, steps], 0.0)
        share = (rank - before) / (counts[bucket, steps] - before)
        result = start + (bounds[bucket] - start) * share
    result = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], result)
    result = np.where(bucket == len(bounds) - 1, bounds[-2], result)
    return np.where((total == 0) | np.isnan(total) | np.isnan(q), np.nan, result)


def fractions(histogram: Histogram, lower: Floats, upper: Floats) -> tuple[Floats, Bools]:
    """Share of the observations between the bounds at every step, linear inside a bucket, and where there is one."""
    steps = histogram.counts.shape[1]
    result = np.full(steps, np.nan)
    present: Bools = np.asarray(histogram.present.any(axis=0))
    for which, bounds, raw in _tables(histogram):
        if not np.isposinf(bounds[-1]):
            continue
        counts, _ = _monotonic(raw)
        low, high, total = lower[which], upper[which], counts[-1]
        with np.errstate(all="ignore"):
            share = (_rank(high, bounds, counts) - _rank(low, bounds, counts)) / total
        share = np.where(low >= high, 0.0, share)
        result[which] = np.where((total == 0) | np.isnan(total) | np.isnan(low) | np.isnan(high), np.nan, share)
    return result, present


def _rank(value: Floats, bounds: Floats, counts: Floats) -> Floats:
    """How many observations are at most ``value``."""
    steps = np.arange(counts.shape[1])
    bucket = np.minimum(np.searchsorted(bounds, value, side="left"), len(bounds) - 1)
    below = np.maximum(bucket - 1, 0)
    before = np.where(bucket > 0, counts[below, steps], 0.0)
    start = np.where(bucket > 0, bounds[below], 0.0)
    end = bounds[bucket]
    inside = counts[bucket, steps] - before
    with np.errstate(all="ignore"):
        partial = before + inside * (value - start) / (end - start)
    # Nothing is known of where in an endless bucket observations lie: a first one that ends at or below 0, the last.
    first = (bucket == 0) & (bounds[0] <= 0)
    partial = np.where(first, np.where(np.isneginf(value), 0.0, inside), partial)
    partial = np.where(np.isposinf(end), np.where(np.isposinf(value), before + inside, before), partial)
    return np.where((bucket == 0) & (bounds[0] > 0) & (value <= 0), 0.0, partial)
