"""PromQL with the semantics of Prometheus 3: the package's face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mirante.errors import BadQueryError, QueryLimitError
from mirante.server.promql.annotations import Annotations
from mirante.server.promql.evaluate import Evaluation
from mirante.server.promql.leaf import Leaves, check
from mirante.server.promql.matrix import NAME, Bools, Floats, Ints, Matrix, names_settled
from mirante.server.promql.native import Natives, SeriesHistograms, without
from mirante.server.promql.parse import FARTHEST, line_and_column, parse
from mirante.server.promql.plan import Node, RangeSelector, Selector, String, type_of
from mirante.server.promql.steps import Query, Steps
from mirante.server.promql.windows import without_stale
from mirante.server.store.api import HistogramReader, Labels, MetricReader, QueryBudget, SampleBlock

ResultType = Literal["vector", "matrix", "scalar", "string"]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a query.

    Attributes:
        type: as Prometheus names it.
        labels: label sets of the N series; one empty set for a scalar.
        times: int64 milliseconds of the T steps.
        values: float64 of shape (N, T).
        present: where there is a value, shape (N, T).
        warnings: what may make the answer wrong.
        infos: what may be wrong with the question.
        text: the value of a string.
        samples: of a range selector asked as an instant query: its raw samples instead of ``values``.
        histograms: native histograms of a selector that stands alone; at their steps there is no value.
    """

    type: ResultType
    labels: Sequence[Labels]
    times: Ints
    values: Floats
    present: Bools
    warnings: Sequence[str] = ()
    infos: Sequence[str] = ()
    text: str = ""
    samples: SampleBlock | None = None
    histograms: Sequence[SeriesHistograms] = ()


class Engine:
    """Answers PromQL from a reader's samples. Has no state of its own, so any thread may ask."""

    def __init__(
        self,
        reader: MetricReader,
        *,
        lookback_ms: int = 300_000,
        subquery_step_ms: int = 60_000,
        delayed_name_removal: bool = False,
        histograms: HistogramReader | None = None,
    ) -> None:
        """Prepare an engine.

        Args:
            reader: where series and samples come from.
            lookback_ms: how far an instant selector looks back for a sample.
            subquery_step_ms: step of a subquery that gives none (Prometheus: the global evaluation interval).
            delayed_name_removal: drop ``__name__`` only from the finished answer (Prometheus's feature flag
                ``promql-delayed-name-removal``).
            histograms: where native histograms come from, if from anywhere.
        """
        self._reader = reader
        self._lookback = lookback_ms
        self._subquery_step = subquery_step_ms
        self._delayed = delayed_name_removal
        self._histograms = histograms

    def instant(self, expr: str, time_ms: int, budget: QueryBudget, *, lookback_ms: int | None = None) -> Result:
        """The value of an expression at one time.

        Raises:
            BadQueryError: the expression is wrong.
            QueryError: it cannot be evaluated on these series, or a limit of the budget was met.
        """
        plan = parse(expr)
        query = self._query(time_ms, time_ms, 0, lookback_ms)
        return self._run(expr, plan, query, Steps(time_ms, 1, 1), budget)

    def range(
        self,
        expr: str,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        budget: QueryBudget,
        *,
        lookback_ms: int | None = None,
    ) -> Result:
        """The values of an expression from ``start_ms`` to ``end_ms`` every ``step_ms``.

        Raises:
            BadQueryError: the expression, or the range, is wrong.
            QueryError: it cannot be evaluated on these series, or a limit of the budget was met.
        """
        if step_ms < 1:
            raise BadQueryError("zero or negative query resolution step widths are not accepted")
        if end_ms < start_ms:
            raise BadQueryError("end timestamp must not be before start time")
        plan = parse(expr)
        kind = type_of(plan)
        if kind in {"string", "matrix"}:
            named = "range vector" if kind == "matrix" else "string"
            raise BadQueryError(
                f'invalid expression type "{named}" for range query, must be Scalar or instant Vector',
                position=plan.position,
            )
        steps = Steps(start_ms, step_ms, (end_ms - start_ms) // step_ms + 1)
        return self._run(expr, plan, self._query(start_ms, end_ms, step_ms, lookback_ms), steps, budget)

    def newest(
        self, selector: Selector, time_ms: int, budget: QueryBudget, *, lookback_ms: int | None = None
    ) -> Iterator[tuple[Labels, int, float]]:
        """Labels, time in milliseconds and value of the newest sample of every series that has a fresh one.

        Raises:
            QueryError: a limit of the budget was met.
        """
        query, steps = self._query(time_ms, time_ms, 0, lookback_ms), Steps(time_ms, 1, 1)
        leaves = Leaves(self._reader, budget, query)
        leaves.prepare(selector, steps)
        found, times, points = leaves.newest(selector, steps)
        for row in np.flatnonzero(points.present[:, 0]).tolist():
            yield found.labels[row], int(times[row, 0]), float(points.values[row, 0])

    def _query(self, start: int, end: int, step: int, lookback: int | None) -> Query:
        if max(-start, end, step) > FARTHEST:
            raise BadQueryError("the time is out of bounds")
        back = self._lookback if lookback is None else lookback
        return Query(start, end, step, back, self._subquery_step, self._delayed, many=step > 0)

    def _run(self, expr: str, plan: Node, query: Query, steps: Steps, budget: QueryBudget) -> Result:
        check(budget)
        leaves = Leaves(self._reader, budget, query)
        leaves.prepare(plan, steps)
        notes = Annotations(lambda position: line_and_column(expr, position))
        evaluation = Evaluation(query, steps, leaves, notes, budget)
        times = steps.times
        kind = type_of(plan)
        if isinstance(plan, String):
            return Result("string", [], times, *_nothing(), text=plan.value)
        natives: Sequence[SeriesHistograms] = ()
        if self._histograms is not None and isinstance(plan, Selector | RangeSelector):
            natives = Natives(self._histograms, self._reader, budget).of(plan, leaves, query, steps)
        if kind == "matrix":
            return replace(_raw(evaluation, plan, times), histograms=natives)
        matrix = names_settled(evaluation.vector_of(plan)).compact()
        if matrix.values.size > budget.max_samples:
            raise QueryLimitError(
                f"the answer has more than the limit of {budget.max_samples} samples;"
                " ask for fewer series or a longer step, or raise the limit on samples"
            )
        if query.many:
            matrix = _by_labels(matrix)
        shown: ResultType = "matrix" if query.many else "scalar" if kind == "scalar" else "vector"
        present = without(matrix, natives)
        return Result(
            shown, matrix.labels, times, matrix.values, present, notes.warnings, notes.infos, histograms=natives
        )


def _nothing() -> tuple[Floats, Bools]:
    return np.empty((0, 1)), np.empty((0, 1), dtype=np.bool_)


def _by_labels(matrix: Matrix) -> Matrix:
    keys = [sorted(labels.items()) for labels in matrix.labels]
    return matrix.rows(np.asarray(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64))


def _raw(evaluation: Evaluation, plan: Node, times: Ints) -> Result:
    """A range selector or subquery at one time: the samples themselves."""
    labels, windows, unnamed = evaluation.windows(plan)
    counts = windows.counts[:, 0]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = np.repeat(windows.low[:, 0] - offsets[:-1], counts) + np.arange(int(counts.sum()))
    samples = SampleBlock(offsets, windows.times[index], windows.values[index])
    used = np.flatnonzero(counts > 0).tolist()
    samples = without_stale(SampleBlock(np.append(offsets[:-1][used], offsets[-1]), samples.timestamps, samples.values))
    notes = evaluation.notes
    gone = np.zeros(len(labels), dtype=np.bool_) if unnamed is None else unnamed
    shown = [{n: v for n, v in labels[row].items() if n != NAME or not gone[row]} for row in used]
    return Result("matrix", shown, times, *_nothing(), notes.warnings, notes.infos, samples=samples)
