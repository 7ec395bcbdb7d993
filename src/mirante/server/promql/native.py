"""Native histograms of a selector that stands alone, shown as they are; functions and operators see floats alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mirante.errors import QueryLimitError
from mirante.formats.native_histogram import NativeHistogram
from mirante.server.promql.leaf import Leaves
from mirante.server.promql.matrix import Bools, Ints, Matrix
from mirante.server.promql.plan import RangeSelector, Selector
from mirante.server.promql.steps import Query, Steps
from mirante.server.store.api import (
    STALE_NAN_BITS,
    HistogramReader,
    Labels,
    MetricReader,
    QueryBudget,
    SampleBlock,
    SeriesSet,
)


@dataclass(frozen=True, slots=True)
class SeriesHistograms:
    """The histograms of one series.

    Attributes:
        labels: the series.
        times: milliseconds.
        histograms: one for each time.
        steps: the numbers of the steps at which they stand in for a float; empty for a range selector.
    """

    labels: Labels
    times: Ints
    histograms: Sequence[NativeHistogram]
    steps: Ints


class Natives:
    """Reads them for one query.

    Args:
        histograms: where they come from.
        floats: where the floats of the same series come from: of the two at one step the newer counts.
        budget: what the query may use.
    """

    def __init__(self, histograms: HistogramReader, floats: MetricReader, budget: QueryBudget) -> None:
        self._histograms = histograms
        self._floats = floats
        self._budget = budget

    def of(self, plan: Selector | RangeSelector, leaves: Leaves, query: Query, steps: Steps) -> list[SeriesHistograms]:
        """What the selector shows besides floats, by series."""
        selector, span = (plan, query.lookback) if isinstance(plan, Selector) else (plan.selector, plan.range)
        found = leaves.series(selector)
        ends = leaves.ends(selector.at, selector.offset, steps)
        after, until = int(ends.min()) - span, int(ends.max())
        block = self._histograms.histograms(found, after, until, self._budget)
        rows = np.flatnonzero(np.diff(block.offsets))
        if not len(rows):
            return []
        if isinstance(plan, RangeSelector):
            return list(self._windows(found, rows.tolist(), block.offsets, block.timestamps, block.histograms))
        if len(rows) * steps.count > self._budget.max_samples:
            raise QueryLimitError(
                f"the answer has more than the limit of {self._budget.max_samples} samples;"
                " ask for fewer series or a longer step, or raise the limit on samples"
            )
        chosen = SeriesSet(found.ids[rows], [found.labels[row] for row in rows.tolist()])
        floats = self._floats.samples(chosen, after, until, self._budget)
        shown = []
        for place, row in enumerate(rows.tolist()):
            low, high = block.offsets[row], block.offsets[row + 1]
            newest, index = _newest(block.timestamps[low:high], ends, span)
            newest_float, _ = _newest(_times(floats, place), ends, span)
            own = block.histograms[low:high]
            alive = np.array([not _is_stale(one) for one in own])
            at = np.flatnonzero((index >= 0) & (newest >= newest_float) & alive[index])
            if len(at):
                shown.append(SeriesHistograms(found.labels[row], steps.times[at], [own[i] for i in index[at]], at))
        return shown

    @staticmethod
    def _windows(
        found: SeriesSet, rows: Sequence[int], offsets: Ints, times: Ints, histograms: Sequence[NativeHistogram]
    ) -> Iterator[SeriesHistograms]:
        for row in rows:
            kept = [i for i in range(offsets[row], offsets[row + 1]) if not _is_stale(histograms[i])]
            if kept:
                none = np.empty(0, np.int64)
                yield SeriesHistograms(found.labels[row], times[kept], [histograms[i] for i in kept], none)


def without(matrix: Matrix, natives: Sequence[SeriesHistograms]) -> Bools:
    """Where the matrix has values, but for the steps at which a histogram of the same series is newer."""
    if not natives:
        return matrix.present
    present = matrix.present.copy()
    rows = {frozenset(labels.items()): row for row, labels in enumerate(matrix.labels)}
    for one in natives:
        row = rows.get(frozenset(one.labels.items()))
        if row is not None:
            present[row, one.steps] = False
    return present


def _newest(times: Ints, ends: Ints, span: int) -> tuple[Ints, Ints]:
    """The time of the newest sample in each window and its number; -1 where there is none."""
    index = np.searchsorted(times, ends, side="right") - 1
    newest = times[index] if len(times) else np.full(len(ends), -1)
    inside = (index >= 0) & (newest > ends - span)
    return np.where(inside, newest, -1), np.where(inside, index, -1)


def _times(block: SampleBlock, row: int) -> Ints:
    return block.timestamps[block.offsets[row] : block.offsets[row + 1]]


def _is_stale(histogram: NativeHistogram) -> bool:
    return int(np.float64(histogram.sum).view(np.uint64)) == STALE_NAN_BITS
