"""One scan for many rules: what the rules of a round ask of a metric is read once, and each takes its part.

A round is what is evaluated at one time. The metrics that its rules ask for are known before. Their series are looked
up once a round and chosen from by label in memory; samples of short windows are read by few statements for all of them;
what a function makes of a window is computed for all series of the metric at once. The rest goes to the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mirante.server.promql.functions import over_time, rate
from mirante.server.promql.matchers import metric_of
from mirante.server.promql.windows import Points, Windows, is_stale, make_windows, without_stale
from mirante.server.rules.label_index import Chosen, LabelIndex, Rows
from mirante.server.rules.needs import Need
from mirante.server.store.api import Grid, Matcher, MetricReader, QueryBudget, SampleBlock, SeriesSet

Cells = npt.NDArray[np.float64]

MOST_AT_ONCE = 25_000
"""Series whose samples one statement reads."""

MOST_SERIES = 200_000
"""Series whose samples are held at once; of the others each rule reads its own."""

_NO_SAMPLE, _REAL_NAN = np.uint64(0x7FF8000000000000), np.uint64(0x7FF8000000000001)

_FUNCTIONS: Mapping[str, Callable[[Windows, tuple[Cells, ...]], Points]] = {
    function.__name__: function
    for function in (
        *(rate.rate, rate.increase, rate.delta, rate.irate, rate.idelta, rate.changes, rate.resets, rate.deriv),
        *(over_time.sum_over_time, over_time.avg_over_time, over_time.min_over_time, over_time.max_over_time),
        *(over_time.count_over_time, over_time.last_over_time, over_time.present_over_time, rate.predict_linear),
    )
}


class Selectors:
    """What selectors chose, kept from round to round as long as a metric's series stay the same."""

    def __init__(self) -> None:
        self._indexes: dict[str, LabelIndex] = {}

    def index(self, metric: str, family: SeriesSet) -> LabelIndex:
        """The index of those series."""
        index = self._indexes.get(metric)
        if index is None or not (index.family is family or np.array_equal(index.family.ids, family.ids)):
            index = self._indexes[metric] = LabelIndex(metric, family)
        return index


class _Part(NamedTuple):
    """Samples of a metric: ``after`` is where they begin."""

    block: SampleBlock
    after: int


class SharedReader:
    """A MetricReader for one round. Threads may share it.

    Args:
        base: the store.
        needs: what the round's rules read, by metric.
        at: the time of the round in milliseconds.
        selectors: what is kept between rounds.
    """

    def __init__(self, base: MetricReader, needs: Mapping[str, Need], at: int, selectors: Selectors) -> None:
        self._base, self._at, self._selectors = base, at, selectors
        self._needs = needs
        self._lock = threading.RLock()
        self._families: dict[str, LabelIndex] = {}
        self._parts: dict[str, _Part | None] = {}
        self._computed: dict[tuple[str, str, Grid, tuple[float, ...]], Cells | None] = {}
        self._worth: dict[str, bool] = {}
        self._held = 0
        self.label_names, self.label_values, self.metadata = base.label_names, base.label_values, base.metadata

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        metric = metric_of(matchers)
        need = None if metric is None else self._needs.get(metric)
        if metric is None or need is None or end > self._at or start <= self._at - need.longest:
            return self._base.series(matchers, start, end, budget)
        with self._lock:
            return self._family(metric, budget).choose(matchers)

    def _family(self, metric: str, budget: QueryBudget) -> LabelIndex:
        index = self._families.get(metric)
        if index is None:
            after = self._at - self._needs[metric].longest
            found = self._base.series((Matcher("__name__", "=", metric),), after + 1, self._at, budget)
            index = self._families[metric] = self._selectors.index(metric, found)
        return index

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """See MetricReader."""
        if isinstance(found, Chosen) and until == self._at:
            part = self._part(found.metric, after, budget)
            if part is not None:
                return _rows(part.block, found.rows, after)
        return self._base.samples(found, after, until, budget)

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> Cells | None:
        """See MetricReader."""
        if not isinstance(found, Chosen) or grid.start != self._at or grid.steps != 1:
            return self._base.grid(function, found, grid, budget, args)
        if not self._worth_sharing(found.metric):
            return self._base.grid(function, found, grid, budget, args)
        key = (function, found.metric, grid, tuple(args))
        with self._lock:
            if key not in self._computed:
                self._computed[key] = self._compute(function, found, grid, budget, tuple(args))
            cells = self._computed[key]
        return None if cells is None else cells[found.rows]

    def _compute(
        self, function: str, found: Chosen, grid: Grid, budget: QueryBudget, args: tuple[float, ...]
    ) -> Cells | None:
        """The values of all series of the metric."""
        part = self._part(found.metric, grid.start - grid.window, budget)
        if part is None:  # the window is a long one
            return self._base.grid(function, found.family, grid, budget, args)
        if function == "last":
            return _cells(_last(part.block, grid.start - grid.window))
        if function not in _FUNCTIONS:
            return None
        ends = np.array([grid.start])
        windows = make_windows(without_stale(part.block), ends, grid.window, ends)
        return _cells(_FUNCTIONS[function](windows, tuple(np.array([arg]) for arg in args)))

    def _part(self, metric: str, after: int, budget: QueryBudget) -> _Part | None:
        """The samples of a metric, if they are held from ``after`` on."""
        if after < self._at - self._needs[metric].span or not self._worth_sharing(metric):
            return None
        with self._lock:
            if metric not in self._parts:
                self._read(metric, budget)
            return self._parts[metric]

    def _worth_sharing(self, metric: str) -> bool:
        """Whether the selectors together take as many series as there are."""
        with self._lock:
            worth = self._worth.get(metric)
            if worth is None:
                index = self._families[metric]
                taken = sum(len(index.choose(matchers)) for matchers in self._needs[metric].selectors)
                worth = self._worth[metric] = taken >= len(index.family)
            return worth

    def _read(self, metric: str, budget: QueryBudget) -> None:
        """Read the samples of that metric, and with it those of others that need the same time."""
        span = self._needs[metric].span
        batch = {metric: self._family(metric, budget).family}
        for other in self._waiting(span):
            if sum(map(len, batch.values())) >= MOST_AT_ONCE:
                break
            family = self._family(other, budget).family
            if self._worth_sharing(other):
                batch[other] = family
        count = sum(map(len, batch.values()))
        if self._held + count > MOST_SERIES:
            self._parts[metric] = None
            return
        self._held += count
        after = self._at - span
        ids = np.concatenate([family.ids for family in batch.values()])
        order = np.argsort(ids)
        labels = [labels for family in batch.values() for labels in family.labels]
        union = SeriesSet(ids[order], [labels[row] for row in order.tolist()])
        block = self._base.samples(union, after, self._at, budget)
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order))
        first = 0
        for name, family in batch.items():
            self._parts[name] = _Part(_rows(block, places[first : first + len(family)], after), after)
            first += len(family)

    def _waiting(self, span: int) -> Iterator[str]:
        return (name for name, need in self._needs.items() if need.span == span and name not in self._parts)


def _rows(block: SampleBlock, rows: Rows, after: int) -> SampleBlock:
    """Some series of a block, in that order, and their samples after that time."""
    starts, counts = block.offsets[rows], np.diff(block.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = np.repeat(starts - offsets[:-1], counts) + np.arange(int(offsets[-1]))
    times, values = block.timestamps[index], block.values[index]
    keep = times > after
    if not keep.all():
        offsets = np.concatenate([[0], np.cumsum(keep)])[offsets].astype(np.int64)
        times, values = times[keep], values[keep]
    return SampleBlock(offsets, times, values)


def _last(block: SampleBlock, after: int) -> Points:
    """The newest sample of each series after that time, unless it is a staleness marker."""
    if not block.values.size:
        nothing = np.zeros((len(block.offsets) - 1, 1))
        return Points(nothing, nothing.astype(np.bool_))
    newest = np.clip(block.offsets[1:] - 1, 0, None)
    present = (np.diff(block.offsets) > 0) & (block.timestamps[newest] > after) & ~is_stale(block.values)[newest]
    return Points(block.values[newest][:, None], present[:, None])


def _cells(points: Points) -> Cells:
    """Points as a grid's cells."""
    bits = points.values.astype(np.float64).view(np.uint64)
    bits = np.where(bits == _NO_SAMPLE, _REAL_NAN, bits)
    return np.where(points.present, bits, _NO_SAMPLE).view(np.float64)
