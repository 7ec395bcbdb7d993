"""What became of every series within the last while: the quick look that needs no server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily

_COUNTED = ("counter", "histogram", "summary")

_Series = tuple[str, tuple[tuple[str, str], ...]]
_Values = dict[_Series, tuple[float, bool]]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One series over the window.

    Attributes:
        name: the sample's full name.
        labels: its labels.
        count: collections that saw it.
        last: its present value.
        min: the least value.
        max: the greatest value.
        mean: of the values at collection.
        increase: by how much a counter rose, restarts at zero counted as rising from there; None for other types.
        rate: ``increase`` by second; None for other types, and before the second collection.
    """

    name: str
    labels: Mapping[str, str]
    count: int
    last: float
    min: float
    max: float
    mean: float
    increase: float | None
    rate: float | None


class Window:
    """Keeps the collections of the last ``seconds``.

    Args:
        seconds: how long a collection counts.
        clock: the source of time.

    Example:
        >>> from mirante._core.model import Sample
        >>> window = Window(60.0)
        >>> window.add([MetricFamily("depth", "gauge", samples=(Sample("depth", {}, 7.0),))])
        >>> window.aggregates()[0].last
        7.0
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seconds = seconds
        self._clock = clock
        # Replaced as a whole, so that readers in other threads need no lock.
        self._kept: tuple[tuple[float, _Values], ...] = ()

    def add(self, families: Iterable[MetricFamily]) -> None:
        """Take one collection in, and forget those that are too old."""
        now = self._clock.monotonic()
        values = {
            (sample.name, tuple(sample.labels.items())): (sample.value, _counted(family, sample.labels))
            for family in families
            for sample in family.samples
        }
        kept = [one for one in self._kept if now - one[0] <= self._seconds]
        self._kept = (*kept, (now, values))

    def aggregates(self) -> list[Aggregate]:
        """Every series of the latest collection."""
        kept = self._kept
        if not kept:
            return []
        return [_aggregate(series, kept) for series in kept[-1][1]]


def _counted(family: MetricFamily, labels: Mapping[str, str]) -> bool:
    return family.type in _COUNTED and "quantile" not in labels


def _aggregate(series: _Series, kept: tuple[tuple[float, _Values], ...]) -> Aggregate:
    seen = [(at, *values[series]) for at, values in kept if series in values]
    numbers = [value for _, value, _ in seen]
    increase = rate = None
    if seen[-1][2]:
        increase = sum(now - before if now >= before else now for before, now in pairwise(numbers))
        elapsed = seen[-1][0] - seen[0][0]
        rate = increase / elapsed if elapsed > 0 else None
    name, labels = series
    mean = sum(numbers) / len(numbers)
    return Aggregate(name, dict(labels), len(seen), numbers[-1], min(numbers), max(numbers), mean, increase, rate)
