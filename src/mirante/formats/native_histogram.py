"""Prometheus's native histograms: one sample that counts in exponential buckets, or in buckets with bounds of its own.

Source: prometheus.io, "Native Histograms", sections "Data model" and "Schema".
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

CUSTOM_BUCKETS = -53
"""The schema of buckets whose bounds are listed."""

SCHEMAS = range(-4, 9)
"""The schemas of exponential buckets: bucket i ends at ``2 ** (i / 2 ** schema)``, inclusive."""

UNKNOWN_RESET, COUNTER_RESET, NOT_COUNTER_RESET, GAUGE = range(4)
"""What is known of the sample before: nothing, that counting began anew, that it did not, that this is a gauge."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that is not empty.

    Attributes:
        lower: its lower bound.
        upper: its upper bound.
        count: observations in it.
        lower_inclusive: whether the bound itself belongs to it.
        upper_inclusive: the same of the upper one.
    """

    lower: float
    upper: float
    count: float
    lower_inclusive: bool
    upper_inclusive: bool


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One sample.

    Attributes:
        count: observations; an ``int`` unless ``is_float``, as all counts.
        sum: of the observations; the staleness marker's bits make the sample one.
        schema: -4 to 8, or ``CUSTOM_BUCKETS``.
        zero_threshold: width of the zero bucket to both sides.
        zero_count: observations in it.
        positive: counts by bucket index; no order, no empty buckets needed.
        negative: the same for the mirrored buckets below zero.
        custom_bounds: ascending upper bounds, of ``CUSTOM_BUCKETS`` only: bucket i ends at the i-th, the last at +Inf.
        is_float: whether it counts in floats.
        reset_hint: one of the four above.
    """

    count: float
    sum: float
    schema: int = 0
    zero_threshold: float = 0.0
    zero_count: float = 0
    positive: Mapping[int, float] = field(default_factory=dict)
    negative: Mapping[int, float] = field(default_factory=dict)
    custom_bounds: tuple[float, ...] = ()
    is_float: bool = False
    reset_hint: int = UNKNOWN_RESET

    def buckets(self) -> Iterator[Bucket]:
        """The buckets that are not empty, from the lowest to the highest; none reaches into the zero bucket.

        Example:
            >>> list(NativeHistogram(3, 4.5, positive={1: 3}).buckets())
            [Bucket(lower=1.0, upper=2.0, count=3, lower_inclusive=False, upper_inclusive=True)]
        """
        if self.schema == CUSTOM_BUCKETS:
            bounds = (-math.inf, *self.custom_bounds, math.inf)
            for index, count in _filled(self.positive):
                yield Bucket(bounds[index], bounds[index + 1], count, index == 0, upper_inclusive=True)
            return
        zero = self.zero_threshold
        for index, count in reversed(_filled(self.negative)):
            low, high = -bound(self.schema, index), -bound(self.schema, index - 1)
            yield Bucket(low, min(high, -zero), count, lower_inclusive=True, upper_inclusive=False)
        if self.zero_count:
            yield Bucket(-zero, zero, self.zero_count, lower_inclusive=True, upper_inclusive=True)
        for index, count in _filled(self.positive):
            low, high = bound(self.schema, index - 1), bound(self.schema, index)
            yield Bucket(max(low, zero), high, count, lower_inclusive=False, upper_inclusive=True)


def _filled(buckets: Mapping[int, float]) -> list[tuple[int, float]]:
    return [(index, count) for index, count in sorted(buckets.items()) if count]


@lru_cache(10_000)
def bound(schema: int, index: int) -> float:
    """The upper bound of an exponential bucket; the largest float where it would be infinite but for the last bucket.

    Example:
        >>> bound(0, 3), bound(1, 1), bound(-1, -1), bound(0, 1024), bound(0, 1025)
        (8.0, 1.4142135623730951, 0.25, 1.7976931348623157e+308, inf)
    """
    if schema < 0:
        fraction, exponent = 0.5, (index << -schema) + 1
    else:
        per_octave = 1 << schema
        fraction, exponent = 0.5 * 2.0 ** (index % per_octave / per_octave), (index >> schema) + 1
    if fraction == 0.5 and exponent == sys.float_info.max_exp + 1:
        return sys.float_info.max
    try:
        return math.ldexp(fraction, exponent)
    except OverflowError:
        return math.inf


class Spans(NamedTuple):
    """Buckets as the protocols write them.

    Attributes:
        spans: (buckets left out since the end of the one before, or the first index; consecutive buckets).
        counts: of the buckets of all spans.
    """

    spans: list[tuple[int, int]]
    counts: list[float]


def to_spans(buckets: Mapping[int, float]) -> Spans:
    """The buckets that are not empty, as spans.

    Example:
        >>> to_spans({3: 1, 4: 2, 9: 5})
        Spans(spans=[(3, 2), (4, 1)], counts=[1, 2, 5])
    """
    spans: list[tuple[int, int]] = []
    end = 0
    filled = _filled(buckets)
    for index, _ in filled:
        if spans and index == end:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((index - end, 1))
        end = index + 1
    return Spans(spans, [count for _, count in filled])


def from_spans(spans: Iterator[tuple[int, int]], counts: Iterator[float]) -> dict[int, float]:
    """Counts by bucket index, empty buckets left out.

    Example:
        >>> from_spans(iter([(3, 2), (4, 1)]), iter([1, 0, 5]))
        {3: 1, 9: 5}
    """
    found: dict[int, float] = {}
    index = 0
    for offset, length in spans:
        index += offset
        for _ in range(length):
            count = next(counts)
            if count:
                found[index] = count
            index += 1
    return found
