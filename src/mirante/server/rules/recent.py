"""What rules wrote a moment ago, in memory over the store: the log is loaded in groups, and no rule need wait.

A sample that is in both counts once, as it is the same one. Times are milliseconds.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from mirante.server.promql.matchers import matches, metric_of
from mirante.server.rules.evaluation import NAME, LabelKey, RuleSample, key_of
from mirante.server.store.api import Grid, Labels, Matcher, MetricReader, QueryBudget, SampleBlock, SeriesSet
from mirante.server.store.samples import in_order


class _Sample(NamedTuple):
    """A sample, and the place in the log that has been loaded when it is in the store."""

    place: int
    time: int
    value: float


@dataclass(slots=True)
class _Series:
    """One series' samples in the order written; ``number`` stands for its id, which only the store can compute."""

    labels: Labels
    number: int
    samples: deque[_Sample] = field(default_factory=deque)


class _Recent(NamedTuple):
    """What a reader gets to see of a series."""

    labels: Labels
    number: int
    samples: Sequence[_Sample]


class RecentSamples:
    """The samples that rules wrote and that are not in the store yet. Any thread may call any method.

    A reader may have read the store before they were loaded: for it they stay as long as it lives.

    Args:
        position: the place behind what was appended to the log last.
        loaded: the place up to which the log is in the store.
    """

    def __init__(self, position: Callable[[], int], loaded: Callable[[], int]) -> None:
        self._position, self._loaded = position, loaded
        self._names: dict[str, dict[LabelKey, _Series]] = {}
        self._order: deque[tuple[int, str, LabelKey]] = deque()
        self._readers: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def keep_for(self, reader: object) -> None:
        """Keep what is loaded from now on while that reader lives."""
        with self._lock:
            self._readers[reader] = self._loaded()

    def add(self, samples: Sequence[RuleSample]) -> None:
        """Show samples that were just appended to the log."""
        place = self._position()
        with self._lock:
            self._forget()
            for labels, time, value in samples:
                name, key = labels[NAME], key_of(labels)
                series = self._names.setdefault(name, {})
                if key not in series:
                    series[key] = _Series(labels, _number(key))
                series[key].samples.append(_Sample(place, time, value))
                self._order.append((place, name, key))

    def _forget(self) -> None:
        loaded = min([self._loaded(), *self._readers.values()])
        while self._order and self._order[0][0] <= loaded:
            _, name, key = self._order.popleft()
            series = self._names[name]
            series[key].samples.popleft()
            if not series[key].samples:
                del series[key]
            if not series:
                del self._names[name]

    def matching(self, matchers: Sequence[Matcher], start: int, end: int) -> list[_Recent]:
        """Series that match and have a sample in [start, end]."""
        with self._lock:
            self._forget()
            candidates = [_Recent(one.labels, one.number, tuple(one.samples)) for one in self._candidates(matchers)]
        return [
            one
            for one in candidates
            if any(start <= sample.time <= end for sample in one.samples) and matches(one.labels, matchers)
        ]

    def _candidates(self, matchers: Sequence[Matcher]) -> Iterator[_Series]:
        name = metric_of(matchers)
        for series in self._names.values() if name is None else (self._names.get(name, {}),):
            yield from series.values()


@dataclass(frozen=True, slots=True)
class _WithRecent(SeriesSet):
    """Series of which some have samples in memory.

    Attributes:
        base: those that the store has.
        places: where each of these stands.
        recent: by row, what is in memory.
    """

    base: SeriesSet
    places: npt.NDArray[np.int64]
    recent: Mapping[int, _Recent]


class RecentReader:
    """A MetricReader that shows the samples in memory over those of another reader.

    Args:
        base: the store; may remember what it has read since the reader was made.
        recent: the samples in memory.
    """

    def __init__(self, base: MetricReader, recent: RecentSamples) -> None:
        self._base, self._recent = base, recent
        recent.keep_for(self)
        self.label_names, self.label_values, self.metadata = base.label_names, base.label_values, base.metadata

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        recent = self._recent.matching(matchers, start, end)  # first: what is loaded in between is then in both
        found = self._base.series(matchers, start, end, budget)
        return _joined(found, recent) if recent else found

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """See MetricReader."""
        if not isinstance(found, _WithRecent):
            return self._base.samples(found, after, until, budget)
        block = _spread(self._base.samples(found.base, after, until, budget), found.places, len(found))
        more = [
            (row, sample.time, sample.value)
            for row, one in found.recent.items()
            for sample in one.samples
            if after < sample.time <= until
        ]
        return _merged(block, more) if more else block

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        """See MetricReader; what has samples in memory is computed from its samples."""
        return None if isinstance(found, _WithRecent) else self._base.grid(function, found, grid, budget, args)


def _joined(found: SeriesSet, recent: Sequence[_Recent]) -> SeriesSet:
    rows = {key_of(labels): row for row, labels in enumerate(found.labels)}
    new = [one for one in recent if key_of(one.labels) not in rows]
    ids = np.concatenate([found.ids, np.array([one.number for one in new], dtype=np.uint64)])
    labels = [*found.labels, *(one.labels for one in new)]
    order = np.argsort(ids)
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    rows |= {key_of(one.labels): len(found) + number for number, one in enumerate(new)}
    of_row = {int(places[rows[key_of(one.labels)]]): one for one in recent}
    return _WithRecent(ids[order], [labels[row] for row in order.tolist()], found, places[: len(found)], of_row)


def _spread(block: SampleBlock, places: npt.NDArray[np.int64], series: int) -> SampleBlock:
    """The block with rows for series that have no samples in it."""
    counts = np.zeros(series, dtype=np.int64)
    counts[places] = np.diff(block.offsets)
    return SampleBlock(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), block.timestamps, block.values)


def _merged(block: SampleBlock, more: Sequence[tuple[int, int, float]]) -> SampleBlock:
    series = len(block.offsets) - 1
    owner = np.repeat(np.arange(series), np.diff(block.offsets))
    rows, times, values = zip(*more, strict=True)
    owner = np.concatenate([owner, np.array(rows, dtype=np.int64)])
    order = np.argsort(owner, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=series))]).astype(np.int64)
    all_times = np.concatenate([block.timestamps, np.array(times, dtype=np.int64)])[order]
    all_values = np.concatenate([block.values, np.array(values, dtype=np.float64)])[order]
    return in_order(SampleBlock(offsets, all_times, all_values))


def _number(key: LabelKey) -> int:
    return int.from_bytes(hashlib.blake2b(repr(sorted(key)).encode(), digest_size=8).digest(), "little")
