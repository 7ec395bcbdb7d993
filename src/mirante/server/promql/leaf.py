"""Reads what selectors ask for: in the engine where it gives PromQL's answer, else raw samples for NumPy.

Every selector's series are looked up once and its raw samples are read once, over the union of the times that the whole
query needs of it; ``prepare`` finds these before anything is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from mirante.errors import QueryCanceledError, QueryLimitError, QueryTimeoutError
from mirante.server.promql.matrix import Floats, Ints, Matrix
from mirante.server.promql.plan import Aggregate, At, Binary, Call, Negate, Node, RangeSelector, Selector, Subquery
from mirante.server.promql.steps import Query, Steps, subquery_steps
from mirante.server.promql.windows import (
    Points,
    Ranges,
    is_stale,
    make_windows,
    positions,
    without_stale,
)
from mirante.server.store.api import (
    Grid,
    Matcher,
    MetricReader,
    QueryBudget,
    SampleBlock,
    SeriesSet,
)

NO_SAMPLE_BITS = np.float64(np.nan).view(np.uint64)

Matchers = tuple[Matcher, ...]
Interval = tuple[int, int]
"""Times after the first and until the second, both in milliseconds."""


def check(budget: QueryBudget) -> None:
    """Ends the query when its time is up or nobody waits for it.

    Raises:
        QueryTimeoutError: past the deadline.
        QueryCanceledError: after a cancellation.
    """
    if budget.canceled:
        raise QueryCanceledError("the query was canceled")
    if time.monotonic() > budget.deadline:
        raise QueryTimeoutError("the query took longer than its time limit; raise the timeout or ask for less")


class Leaves:
    """The selectors of one query."""

    def __init__(self, reader: MetricReader, budget: QueryBudget, query: Query) -> None:
        self._reader = reader
        self._budget = budget
        self._query = query
        self._intervals: dict[Matchers, list[Interval]] = {}
        self._series: dict[Matchers, SeriesSet] = {}
        self._blocks: dict[tuple[Matchers, Interval], SampleBlock] = {}
        self._pushed: dict[tuple[str, Matchers, Grid, tuple[float, ...]], Floats | None] = {}
        self._held = 0

    def prepare(self, plan: Node, steps: Steps) -> None:
        """Finds what each selector of the plan needs, before the first read."""
        needs: dict[Matchers, list[Interval]] = {}
        self._collect(plan, steps, needs)
        self._intervals = {matchers: _joined(intervals) for matchers, intervals in needs.items()}

    def _collect(self, node: Node, steps: Steps, needs: dict[Matchers, list[Interval]]) -> None:
        match node:
            case Selector():
                self._note(node, self._query.lookback, steps, needs)
            case RangeSelector():
                self._note(node.selector, node.range, steps, needs)
            case Subquery():
                self._collect(node.expr, self.subquery(node, steps), needs)
            case Call(args=args):
                for arg in args:
                    self._collect(arg, steps, needs)
            case Aggregate(expr=expr, param=param):
                self._collect(expr, steps, needs)
                if param is not None:
                    self._collect(param, steps, needs)
            case Binary(left=left, right=right):
                self._collect(left, steps, needs)
                self._collect(right, steps, needs)
            case Negate(expr=expr):
                self._collect(expr, steps, needs)

    def _note(self, selector: Selector, span: int, steps: Steps, needs: dict[Matchers, list[Interval]]) -> None:
        if steps.count:
            needs.setdefault(selector.matchers, []).append(self._interval(selector, span, steps))

    def _interval(self, selector: Selector, span: int, steps: Steps) -> Interval:
        at = self.moment(selector.at)
        first, last = (steps.start, steps.end) if at is None else (at, at)
        return first - selector.offset - span, last - selector.offset

    def moment(self, at: At) -> int | None:
        """The time of an ``@`` modifier."""
        return self._query.start if at == "start" else self._query.end if at == "end" else at

    def subquery(self, node: Subquery, steps: Steps) -> Steps:
        """The steps at which a subquery's expression is evaluated."""
        step = self._query.subquery_step if node.step is None else node.step
        return subquery_steps(steps, self.moment(node.at), node.offset, node.range, step)

    def ends(self, at: At, offset: int, steps: Steps) -> Ints:
        """The times at which the windows of a selector end."""
        moment = self.moment(at)
        return (steps.times if moment is None else np.full(steps.count, moment, dtype=np.int64)) - offset

    def series(self, selector: Selector) -> SeriesSet:
        """The series of a selector; looked up once a query."""
        found = self._series.get(selector.matchers)
        if found is None:
            check(self._budget)
            intervals = self._intervals.get(selector.matchers)
            if not intervals:  # only ever asked for at no step at all
                return SeriesSet(np.empty(0, dtype=np.uint64), [])
            after, until = intervals[0][0], intervals[-1][1]
            found = self._reader.series(selector.matchers, after + 1, until, self._budget)
            if len(found) > self._budget.max_series:
                raise QueryLimitError(
                    f"a selector matches {len(found)} series, more than the limit of {self._budget.max_series};"
                    " select fewer or raise the limit on series a query may read"
                )
            self._series[selector.matchers] = found
        return found

    def instant(self, selector: Selector, steps: Steps) -> Matrix:
        """The newest sample of the look-back window at every step, unless it is a staleness marker."""
        found = self.series(selector)
        points = self._in_engine("last", selector, self._query.lookback, steps, ())
        if points is None:
            points = self._last(selector, steps, lambda block, index: block.values[index])
        return Matrix(found.labels, *points).compact()

    def instant_times(self, selector: Selector, steps: Steps) -> Matrix:
        """The times, in seconds, of the samples that ``instant`` gives."""
        found = self.series(selector)
        points = self._last(selector, steps, lambda block, index: block.timestamps[index] / 1000)
        return Matrix(found.labels, *points).compact()

    def newest(self, selector: Selector, steps: Steps) -> tuple[SeriesSet, Ints, Points]:
        """The series, and at every step the time in milliseconds and the value of the newest sample."""
        times = self._last(selector, steps, lambda block, index: block.timestamps[index].astype(np.float64))
        points = self._last(selector, steps, lambda block, index: block.values[index])
        return self.series(selector), times.values.astype(np.int64), points

    def _last(
        self,
        selector: Selector,
        steps: Steps,
        read: Callable[[SampleBlock, Ints], Floats],
    ) -> Points:
        block = self._raw(selector, self._query.lookback, steps)
        ends = self.ends(selector.at, selector.offset, steps)
        low, high = positions(block, ends - self._query.lookback), positions(block, ends)
        if not block.values.size:
            return Points(np.zeros(low.shape), np.zeros(low.shape, dtype=np.bool_))
        index = np.clip(high - 1, 0, None)
        return Points(np.asarray(read(block, index)), (high > low) & ~is_stale(block.values)[index])

    def windows(self, node: RangeSelector, steps: Steps, rows: Ints | None = None) -> Ranges:
        """The samples in the windows of a range selector, of some of its series only; without staleness markers."""
        selector = node.selector
        found = self.series(selector)
        if rows is None:
            block = without_stale(self._raw(selector, node.range, steps))
        else:
            check(self._budget)
            found = SeriesSet(found.ids[rows], [found.labels[row] for row in rows.tolist()])
            block = without_stale(
                self._reader.samples(found, *self._interval(selector, node.range, steps), self._budget)
            )
            self._hold(block.values.size)
        ends = self.ends(selector.at, selector.offset, steps)
        return Ranges(found.labels, make_windows(block, ends, node.range, steps.times))

    def computed(
        self, function: str, node: RangeSelector, steps: Steps, args: tuple[float, ...]
    ) -> tuple[Matrix, Ints] | None:
        """A range function computed where the samples are, or None; with it the rows that it could not compute.

        The engine marks such a row by a staleness marker in its first cell.
        """
        found = self.series(node.selector)
        points = self._in_engine(function, node.selector, node.range, steps, args)
        if points is None:
            return None
        return Matrix(found.labels, *points), np.flatnonzero(is_stale(np.ascontiguousarray(points.values[:, :1]))[:, 0])

    def _in_engine(
        self, function: str, selector: Selector, span: int, steps: Steps, args: tuple[float, ...]
    ) -> Points | None:
        if not steps.count:
            return None
        at = self.moment(selector.at)
        first, last = (steps.start, steps.end) if at is None else (at, at)
        grid = Grid(first - selector.offset, last - selector.offset, steps.step, span)
        key = (function, selector.matchers, grid, args)
        if key not in self._pushed:
            check(self._budget)
            found = self.series(selector)
            self._hold(len(found) * grid.steps)
            self._pushed[key] = self._reader.grid(function, found, grid, self._budget, args)
        values = self._pushed[key]
        if values is None:
            return None
        values = np.broadcast_to(values, (len(values), steps.count))
        return Points(values, values.view(np.uint64) != NO_SAMPLE_BITS)

    def _raw(self, selector: Selector, span: int, steps: Steps) -> SampleBlock:
        if not steps.count:
            return SampleBlock(np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
        after, until = self._interval(selector, span, steps)
        whole = next((low, high) for low, high in self._intervals[selector.matchers] if low <= after and until <= high)
        key = (selector.matchers, whole)
        block = self._blocks.get(key)
        if block is None:
            check(self._budget)
            block = self._reader.samples(self.series(selector), *whole, self._budget)
            self._hold(block.values.size)
            self._blocks[key] = block
        return block

    def _hold(self, count: int) -> None:
        self._held += count
        self._budget.held = self._held
        if self._held > self._budget.max_samples:
            raise QueryLimitError(
                f"the query would hold more than the limit of {self._budget.max_samples} samples in memory;"
                " ask for fewer series, a shorter time or a longer step, or raise the limit on samples"
            )


def _joined(intervals: Sequence[Interval]) -> list[Interval]:
    """Ascending intervals, those that touch made one."""
    joined: list[Interval] = []
    for after, until in sorted(intervals):
        if joined and after <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((after, until))
    return joined
