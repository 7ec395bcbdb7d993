"""Metrics held in memory behind the store's MetricReader contract: for tests of what stands on it."""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mirante.errors import QueryCanceledError, QueryTimeoutError
from mirante.server.promql.matchers import matches, metric_of
from mirante.server.store.api import Grid, Labels, Matcher, QueryBudget, SampleBlock, SeriesSet


class _Held:
    """The samples of one series, in order of time."""

    __slots__ = ("labels", "number", "times", "values")

    def __init__(self, number: int, labels: Labels) -> None:
        self.number, self.labels = number, labels
        self.times, self.values = list[int](), list[float]()

    def add(self, moment: int, value: float) -> None:
        at = bisect_left(self.times, moment)
        if at == len(self.times) or self.times[at] != moment:
            self.times.insert(at, moment)
            self.values.insert(at, value)
        # A number beats NaN: comparing with NaN is always false.
        elif math.isnan(self.values[at]) or value > self.values[at]:
            self.values[at] = value

    def within(self, start: int, end: int) -> bool:
        """Whether there is a sample from start to end, both included."""
        at = bisect_left(self.times, start)
        return at < len(self.times) and self.times[at] <= end


class MemoryReader:
    """A MetricReader over samples given to ``add``. It computes nothing itself: ``grid`` always says None.

    Attributes:
        reads: what was asked: ``("series", matchers)`` and ``("samples", number of series, after, until)``.
    """

    def __init__(self) -> None:
        self._samples: dict[frozenset[tuple[str, str]], _Held] = {}
        self._by_name: dict[str, list[_Held]] = {}
        self.reads: list[tuple[object, ...]] = []

    def add(self, labels: Labels, points: Iterable[tuple[int, float]]) -> None:
        """Add samples (milliseconds, value) of a series; of two at one time the greatest value stays."""
        key = frozenset((n, v) for n, v in labels.items() if v)
        held = self._samples.get(key)
        if held is None:
            held = self._samples[key] = _Held(len(self._samples), dict(key))
            self._by_name.setdefault(held.labels.get("__name__", ""), []).append(held)
        for moment, value in points:
            held.add(moment, value)

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        _check(budget)
        self.reads.append(("series", tuple(matchers)))
        name = metric_of(matchers)
        candidates = self._samples.values() if name is None else self._by_name.get(name, ())
        found = [held for held in candidates if held.within(start, end) and matches(held.labels, matchers)]
        return SeriesSet(np.array([held.number for held in found], np.uint64), [held.labels for held in found])

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """See MetricReader."""
        _check(budget)
        self.reads.append(("samples", len(found), after, until))
        offsets, times, values = [0], list[int](), list[float]()
        for labels in found.labels:
            held = self._samples[frozenset(labels.items())]
            first, last = bisect_right(held.times, after), bisect_right(held.times, until)
            times += held.times[first:last]
            values += held.values[first:last]
            offsets.append(len(times))
        return SampleBlock(np.array(offsets), np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        """Nothing is computed here."""
        _check(budget)
        return None

    def label_names(
        self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[str]:
        """See MetricReader."""
        return sorted({name for labels in self._matching(matcher_sets, start, end, budget) for name in labels})

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[str]:
        """See MetricReader."""
        found = self._matching(matcher_sets, start, end, budget)
        return sorted({labels[name] for labels in found if name in labels})

    def metadata(self, metric: str | None, limit: int | None) -> dict[str, list[dict[str, str]]]:
        """None is kept."""
        return {}

    def _matching(
        self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[Labels]:
        return [labels for one in matcher_sets or [()] for labels in self.series(one, start, end, budget).labels]


def _check(budget: QueryBudget) -> None:
    if budget.canceled:
        raise QueryCanceledError("the query was canceled")
    if time.monotonic() > budget.deadline:
        raise QueryTimeoutError("the query took longer than its time limit")
