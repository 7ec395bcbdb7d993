"""The values of OTLP's points, apart from their messages: how they add up, and what of them is a native histogram.

Source: opentelemetry.io, "Metrics Data Model", sections "ExponentialHistogram" and "Sums: Delta-to-Cumulative".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mirante.errors import FormatError
from mirante.formats.native_histogram import SCHEMAS, NativeHistogram, bound

if TYPE_CHECKING:
    from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp

_MOST_BUCKETS = 160
"""As many as the SDKs keep; a sum of two histograms that needs more gets wider ones."""

_MOST_SENT = 10_000
_SCALES = range(-10, 21)  # OTLP's


@dataclass(frozen=True, slots=True)
class Explicit:
    """A histogram with bounds of its own.

    Attributes:
        bounds: ascending upper bounds; the last bucket has none.
        counts: by bucket, not cumulative.
        count: of all observations.
        sum: of them, or None where it is not known.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    sum: float | None


@dataclass(frozen=True, slots=True)
class Exponential:
    """An exponential histogram: bucket i reaches from ``2 ** (i / 2 ** scale)``, exclusive, to the next, inclusive.

    Attributes:
        scale: of its buckets.
        zero_threshold: what is no farther from zero is in the zero bucket.
        zero_count: observations in it.
        positive: counts by bucket.
        negative: counts by mirrored bucket.
        count: of all observations.
        sum: of them, or None where it is not known.
    """

    scale: int
    zero_threshold: float
    zero_count: int
    positive: Mapping[int, int]
    negative: Mapping[int, int]
    count: int
    sum: float | None

    def scaled_to(self, scale: int) -> Exponential:
        """The same in wider buckets, at a scale that is no finer."""
        down = self.scale - scale
        return replace(self, scale=scale, positive=_merged(self.positive, down), negative=_merged(self.negative, down))

    def with_zero(self, threshold: float) -> Exponential:
        """The same with a zero bucket that is at least so wide: up to the end of any bucket that it would cut."""
        indexes = {*self.positive, *self.negative}
        ends = [bound(self.scale, i + 1) for i in indexes if bound(self.scale, i) < threshold]
        while ends and max(ends) > threshold:
            threshold = max(ends)
            ends = [bound(self.scale, i + 1) for i in indexes if bound(self.scale, i) < threshold]
        outside = [
            {i: count for i, count in side.items() if bound(self.scale, i) >= threshold}
            for side in (self.positive, self.negative)
        ]
        inside = _observations(self.positive, self.negative) - _observations(*outside)
        return replace(
            self,
            zero_threshold=threshold,
            zero_count=self.zero_count + inside,
            positive=outside[0],
            negative=outside[1],
        )

    def native(self) -> NativeHistogram:
        """As Prometheus has it, where bucket i is the one that ends at the i-th bound.

        Raises:
            FormatError: its scale is below what a native histogram can have, or it counts too many.
        """
        if self.scale < SCHEMAS[0]:
            raise FormatError(
                f"an exponential histogram has scale {self.scale}, a native one has at least {SCHEMAS[0]}"
            )
        if self.count >= 1 << 63:
            raise FormatError("an exponential histogram counts more than 2^63 observations")
        fine = self.scaled_to(min(self.scale, SCHEMAS[-1]))
        return NativeHistogram(
            fine.count,
            0.0 if fine.sum is None else fine.sum,
            schema=fine.scale,
            zero_threshold=fine.zero_threshold,
            zero_count=fine.zero_count,
            positive={i + 1: count for i, count in fine.positive.items()},
            negative={i + 1: count for i, count in fine.negative.items()},
        )


Value = float | Explicit | Exponential
"""What a point says: a number, or one of the histograms."""


def explicit(point: otlp.HistogramDataPoint) -> Explicit:
    """The value of a histogram's point."""
    total = point.sum if point.HasField("sum") else None
    return Explicit(tuple(point.explicit_bounds), tuple(point.bucket_counts), point.count, total)


def exponential(point: otlp.ExponentialHistogramDataPoint) -> Exponential:
    """The value of an exponential histogram's point.

    Raises:
        FormatError: it contradicts itself, or has more buckets than anyone needs.
    """
    if point.scale not in _SCALES or not 0 <= point.zero_threshold < math.inf:
        raise FormatError(f"an exponential histogram has scale {point.scale}, zero threshold {point.zero_threshold}")
    made = Exponential(
        scale=point.scale,
        zero_threshold=point.zero_threshold,
        zero_count=point.zero_count,
        positive=_filled(point.positive),
        negative=_filled(point.negative),
        count=point.count,
        sum=point.sum if point.HasField("sum") else None,
    )
    inside = made.zero_count + _observations(made.positive, made.negative)
    if inside != made.count and not (inside < made.count and math.isnan(point.sum)):
        raise FormatError(f"an exponential histogram counts {made.count}, but its buckets hold {inside}")
    return made


def _observations(*sides: Mapping[int, int]) -> int:
    return sum(sum(side.values()) for side in sides)


def _filled(side: otlp.ExponentialHistogramDataPoint.Buckets) -> dict[int, int]:
    if len(side.bucket_counts) > _MOST_SENT:
        raise FormatError(f"an exponential histogram has more than {_MOST_SENT} buckets")
    return {index: count for index, count in enumerate(side.bucket_counts, side.offset) if count}


def number(point: otlp.NumberDataPoint | otlp.Exemplar) -> float:
    """The value of a sum's or gauge's point, or of an exemplar; an ``int`` where it is one."""
    return point.as_int if point.WhichOneof("value") == "as_int" else point.as_double


def added(total: Value, value: Value) -> Value:
    """The sum of two values of one kind; where they cannot be added it begins anew with the second.

    Example:
        >>> added(2, 0.5)
        2.5
        >>> added(Explicit((1.0,), (1, 2), 3, 4.0), Explicit((1.0,), (1, 0), 1, 0.5))
        Explicit(bounds=(1.0,), counts=(2, 2), count=4, sum=4.5)
    """
    if isinstance(total, Exponential) and isinstance(value, Exponential):
        return _added_exponentials(total, value)
    if isinstance(total, Explicit) and isinstance(value, Explicit):
        if total.bounds != value.bounds or len(total.counts) != len(value.counts):
            return value
        counts = tuple(map(int.__add__, total.counts, value.counts))
        return Explicit(total.bounds, counts, total.count + value.count, _added_sums(total.sum, value.sum))
    if isinstance(total, int | float) and isinstance(value, int | float):
        return total + value
    return value


def _added_sums(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _added_exponentials(one: Exponential, other: Exponential) -> Exponential:
    scale = min(one.scale, other.scale)
    one, other = one.scaled_to(scale), other.scaled_to(scale)
    wider = max(one.zero_threshold, other.zero_threshold)
    while not one.zero_threshold == other.zero_threshold == wider:  # each may widen the other's in turn
        one, other = one.with_zero(wider), other.with_zero(wider)
        wider = max(one.zero_threshold, other.zero_threshold)
    sides = [dict(Counter(a) + Counter(b)) for a, b in ((one.positive, other.positive), (one.negative, other.negative))]
    down = 0
    while any(side and (max(side) >> down) - (min(side) >> down) >= _MOST_BUCKETS for side in sides):
        down += 1
    made = Exponential(
        scale=scale,
        zero_threshold=wider,
        zero_count=one.zero_count + other.zero_count,
        positive=sides[0],
        negative=sides[1],
        count=one.count + other.count,
        sum=_added_sums(one.sum, other.sum),
    )
    return made.scaled_to(scale - down)


def _merged(buckets: Mapping[int, int], down: int) -> Mapping[int, int]:
    """Buckets of which 2 ** down became one."""
    if not down:
        return buckets
    merged: Counter[int] = Counter()
    for index, count in buckets.items():
        merged[index >> down] += count
    return merged
