"""Metrics held in memory behind the store's MetricReader contract: for tests of what stands on it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mirante.errors import QueryCanceledError, QueryTimeoutError
from mirante.server.promql.matchers import matches
from mirante.server.store.api import Grid, Labels, Matcher, QueryBudget, SampleBlock, SeriesSet


class MemoryReader:
    """A MetricReader over samples given to ``add``. It computes nothing itself: ``grid`` always says None.

    Attributes:
        reads: what was asked: ``("series", matchers)`` and ``("samples", number of series, after, until)``.
    """

    def __init__(self) -> None:
        self._samples: dict[frozenset[tuple[str, str]], dict[int, float]] = {}
        self.reads: list[tuple[object, ...]] = []

    def add(self, labels: Labels, points: Iterable[tuple[int, float]]) -> None:
        """Add samples (milliseconds, value) of a series; of two at one time the greatest value stays."""
        held = self._samples.setdefault(frozenset((n, v) for n, v in labels.items() if v), {})
        for moment, value in points:
            before = held.get(moment)
            # A number beats NaN: comparing with NaN is always false.
            held[moment] = value if before is None or math.isnan(before) or value > before else before

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        _check(budget)
        self.reads.append(("series", tuple(matchers)))
        found = [
            key
            for key, samples in self._samples.items()
            if matches(dict(key), matchers) and any(start <= moment <= end for moment in samples)
        ]
        index = {key: number for number, key in enumerate(self._samples)}
        return SeriesSet(np.array([index[key] for key in found], dtype=np.uint64), [dict(key) for key in found])

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """See MetricReader."""
        _check(budget)
        self.reads.append(("samples", len(found), after, until))
        offsets, times, values = [0], [], []
        for labels in found.labels:
            for moment, value in sorted(self._samples[frozenset(labels.items())].items()):
                if after < moment <= until:
                    times.append(moment)
                    values.append(value)
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
