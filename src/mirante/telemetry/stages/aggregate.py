"""One record for many measurements."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

from mirante._core.record import AggregatedMetric, Metric
from mirante.errors import DeclarationError
from mirante.metrics.sketch import bin_of, value_of
from mirante.telemetry.stages.base import Bound, RecordContext


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Sums up the measurements of one name and one set of tags until the next flush.

    Each sum is an ``AggregatedMetric`` with count, sum, min, max, last and quantiles. Metadata cannot be summed up and
    is left out. A measurement that ``Sample`` kept counts for those that it left out.

    Attributes:
        quantiles: which to give, each from 0 to 1; empty for none, which saves about a third of the time.
        max_series: sums held at a time; measurements beyond are dropped and counted as ``series_limit``.

    Raises:
        DeclarationError: a number is out of range.

    Example:
        >>> Aggregate(quantiles=(0.5, 0.99)).max_series
        10000
    """

    quantiles: Sequence[float] = (0.5, 0.9, 0.99)
    max_series: int = 10_000

    def __post_init__(self) -> None:
        if not all(0 <= q <= 1 for q in self.quantiles):
            raise DeclarationError(f"Aggregate: quantiles must be from 0 to 1, not {self.quantiles!r}")
        if self.max_series < 1:
            raise DeclarationError(f"Aggregate: max_series must be 1 or more, not {self.max_series!r}")

    def bind(self, context: RecordContext) -> Bound:
        """See ``RecordStage``."""
        sums: dict[object, _Sum] = {}
        max_series, drop = self.max_series, context.drop
        shares = tuple(sorted(set(self.quantiles)))

        def record(metric: Metric) -> None:
            tags = metric.tags
            key = (metric.name, frozenset(tags.items())) if tags else metric.name
            one = sums.get(key)
            if one is None:
                if len(sums) >= max_series:
                    drop("series_limit", 1)
                    return
                one = sums[key] = _Sum(metric, {} if shares else None)
            one.add(metric)

        def drain() -> None:
            nonlocal sums
            done, sums = sums, {}
            for one in done.values():
                context.emit(one.result(shares))

        return Bound(record, drain)


class _Sum:
    """The running sum of one series."""

    __slots__ = ("bins", "count", "last", "max", "min", "newest", "sum")

    def __init__(self, first: Metric, bins: dict[int, float] | None) -> None:
        self.newest = first
        self.count = self.sum = self.last = 0.0
        self.min, self.max = inf, -inf
        self.bins = bins

    def add(self, metric: Metric) -> None:
        value, weight = metric.value, 1.0
        self.sum += value
        if metric.metadata and metric.metadata.get("sampled") is True:
            rate = metric.metadata["sample_rate"]
            value, weight = value * rate, 1.0 / rate
        self.count += weight
        if value < self.min:  # noqa: PLR1730 - half the cost of min()
            self.min = value
        if value > self.max:  # noqa: PLR1730 - as above
            self.max = value
        self.last = value
        self.newest = metric
        if self.bins is not None:
            number = bin_of(value)
            self.bins[number] = self.bins.get(number, 0.0) + weight

    def result(self, shares: Sequence[float]) -> AggregatedMetric:
        return AggregatedMetric(
            self.newest.name,
            self.newest.timestamp,
            self.newest.tags,
            count=self.count,
            sum=self.sum,
            min=self.min,
            max=self.max,
            last=self.last,
            quantiles=self._quantiles(self.bins, shares) if self.bins else {},
        )

    def _quantiles(self, bins: Mapping[int, float], shares: Sequence[float]) -> dict[float, float]:
        """By nearest rank, as if the values stood in a row; within 1 %, and never outside of what was measured."""
        numbers = sorted(bins)
        seen = list(accumulate(bins[number] for number in numbers))
        ranks = {share: bisect_right(seen, share * (self.count - 1)) for share in shares}
        return {share: min(max(value_of(numbers[rank]), self.min), self.max) for share, rank in ranks.items()}
