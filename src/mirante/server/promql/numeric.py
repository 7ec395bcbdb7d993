"""Sums that do not lose small terms beside large ones, and quantiles, for whole arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mirante.server.promql.matrix import Bools, Floats, Ints


def neumaier(total: Floats, lost: Floats, term: Floats) -> tuple[Floats, Floats]:
    """One step of a compensated sum (Kahan, Babuska, Neumaier): the new total and what rounding has lost so far.

    Prometheus adds in the same way and the same order, so that results agree to the last digits.
    """
    with np.errstate(all="ignore"):
        new = total + term
        big = np.abs(total) >= np.abs(term)
        missed = np.where(big, (total - new) + term, (term - new) + total)
        return new, np.where(np.isinf(new), 0.0, lost + missed)


def sum_rows(parts: Iterable[Floats]) -> tuple[Floats, Floats]:
    """Sum over the first axis of all parts, at least one, and what its rounding lost; halves rows until one is left.

    Each addition is exact in the sum of its two results (Knuth's two-sum): nothing small is lost beside a large value.
    """
    sums = map(_halved, parts)
    total, lost = next(sums)
    for term, missed in sums:
        total, lost = neumaier(total, lost + missed, term)
    return total, lost


def _halved(values: Floats) -> tuple[Floats, Floats]:
    with np.errstate(all="ignore"):
        total, lost = values, np.zeros((1, *values.shape[1:]))
        while len(total) > 1:
            half = len(total) // 2
            left, right = total[:half], total[half : 2 * half]
            new = left + right
            shadow = new - left
            missed = (left - (new - shadow)) + (right - shadow)
            missed[~np.isfinite(missed)] = 0.0
            lost = lost + missed.sum(axis=0, keepdims=True)
            total = new if len(total) == 2 * half else np.concatenate([new, total[2 * half :]])
    return total[0], lost[0]


def compensated(total: Floats, lost: Floats) -> Floats:
    """The sum that the two parts stand for."""
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(total), total + lost, total)


def quantile(q: Floats, values: Floats, inside: Bools) -> Floats:
    """The ``q``-quantile of each row's cells that are ``inside``, NaN counting as the smallest value.

    Source: Prometheus ``promql/quantile.go``: linear interpolation between the two nearest ranks.
    """
    counts = inside.sum(axis=1)
    nans = (inside & np.isnan(values)).sum(axis=1)
    # Sorted: what was NaN first (as -Inf), the values, then the cells outside (as +Inf).
    ordered = np.where(inside, np.where(np.isnan(values), -np.inf, values), np.inf)
    ordered.sort(axis=1)
    with np.errstate(all="ignore"):
        rank = np.where((q >= 0) & (q <= 1), q, 0.0) * (counts - 1)
        low = np.clip(np.floor(rank), 0, None).astype(np.int64)
        high = np.clip(np.minimum(counts - 1, low + 1), 0, None)
        weight = rank - np.floor(rank)
        result = _pick(ordered, low, nans) * (1 - weight) + _pick(ordered, high, nans) * weight
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where(np.isnan(q) | (counts == 0), np.nan, result)


def _pick(ordered: Floats, index: Ints, nans: Ints) -> Floats:
    picked = np.take_along_axis(ordered, index[:, None], axis=1)[:, 0]
    return np.where(index < nans, np.nan, picked)


def variance(values: Floats, inside: Bools, axis: int) -> Floats:
    """Population variance of the cells that are ``inside``, exactly 0 for equal values.

    The deviations are taken from the first value and then from their own mean: no cancellation, whatever the offset.
    """
    counts = inside.sum(axis=axis, keepdims=True)
    first = np.take_along_axis(values, np.argmax(inside, axis=axis, keepdims=True), axis=axis)
    with np.errstate(all="ignore"):
        shifted = np.where(inside, values - first, 0.0)
        mean = shifted.sum(axis=axis, keepdims=True) / counts
        squares = np.where(inside, (shifted - mean) ** 2, 0.0)
        return np.asarray(squares.sum(axis=axis) / counts.squeeze(axis))
