"""The engine's face: results of every type, reading once, limits, and the ways a query ends early."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from mirante.errors import (
    BadQueryError,
    QueryCanceledError,
    QueryError,
    QueryLimitError,
    QueryTimeoutError,
)
from mirante.server.promql.engine import Engine
from mirante.server.store.api import Grid, Matcher, QueryBudget, SeriesSet
from mirante.testing.memory_store import MemoryReader
from tests.server.promql.queries import MINUTE, budget, instant, one_row, ranged, reader_of, rows


def test_each_type_of_result_has_its_shape() -> None:
    """A vector has a column, a scalar a cell, a string a text, a range selector its samples."""
    reader = reader_of({"a": [1, 2], "b": [3, 4]})
    vector = instant(reader, "{__name__=~'a|b'}", MINUTE)
    assert (vector.type, vector.values.tolist(), vector.times.tolist()) == ("vector", [[2.0], [4.0]], [MINUTE])
    assert instant(reader, "1 + 1").type == "scalar"
    string = instant(reader, "'text'")
    assert (string.type, string.text) == ("string", "text")
    matrix = instant(reader, "a[5m]", MINUTE)
    assert matrix.type == "matrix"
    assert matrix.samples is not None
    assert matrix.samples.values.tolist() == [1, 2]
    assert ranged(reader, "1", 0, MINUTE).type == "matrix"


def test_a_range_query_answers_in_the_order_of_labels() -> None:
    """As Prometheus does, whatever the order in which series were found."""
    reader = reader_of({"c": [1], "a": [1], "b": [1]})
    assert [labels["__name__"] for labels in ranged(reader, '{__name__=~".+"}', 0, 0).labels] == ["a", "b", "c"]


def test_the_last_step_is_not_behind_the_end() -> None:
    """Steps are start, start + step, ... up to the end."""
    assert ranged(reader_of({"m": [1]}), "m", 0, 2 * MINUTE - 1).times.tolist() == [0, MINUTE]


@pytest.mark.parametrize(
    ("start", "end", "step", "message"),
    [(0, 10, 0, "zero or negative"), (10, 0, 1, "before start"), (0, 2**60, 2**50, "out of bounds")],
)
def test_an_impossible_range_is_refused(start: int, end: int, step: int, message: str) -> None:
    """With a sentence that says why."""
    with pytest.raises(BadQueryError, match=message):
        ranged(MemoryReader(), "m", start, end, step)


@pytest.mark.parametrize(("expr", "kind"), [("'s'", "string"), ("m[5m]", "range vector")])
def test_only_scalars_and_vectors_can_be_asked_for_over_a_range(expr: str, kind: str) -> None:
    """The message names the type."""
    with pytest.raises(BadQueryError, match=f'invalid expression type "{kind}"'):
        ranged(MemoryReader(), expr, 0, MINUTE)


def test_the_lookback_can_be_set_for_the_engine_and_for_a_query() -> None:
    """A sample older than the look-back is not seen."""
    reader = reader_of({"m": [1]})
    assert rows(Engine(reader, lookback_ms=1000).instant("m", 1000, budget())) == {}
    assert one_row(Engine(reader, lookback_ms=1000).instant("m", 1000, budget(), lookback_ms=1001)) == [1]
    many = Engine(reader).range("m", 0, 2000, 1000, budget(), lookback_ms=1500)
    assert one_row(many) == [1, 1, None]


def test_the_step_of_subqueries_can_be_set() -> None:
    """A subquery without a step takes the engine's."""
    reader = reader_of({"m": [1] * 10})
    engine = Engine(reader, subquery_step_ms=30_000)
    assert one_row(engine.instant("count_over_time(m[4m:])", 4 * MINUTE, budget())) == [8]


def test_a_selector_used_twice_is_read_once() -> None:
    """Series are looked up once and the samples of overlapping times are read once."""
    reader = reader_of({"m_total": list(range(60))})
    expr = "rate(m_total[5m]) / rate(m_total[5m]) + max_over_time(m_total[7m]) + m_total offset 2m"
    ranged(reader, expr, 10 * MINUTE, 20 * MINUTE)
    assert [read[0] for read in reader.reads] == ["series", "samples"]
    assert reader.reads[1][2:] == (3 * MINUTE, 20 * MINUTE)


def test_times_that_do_not_touch_are_not_read_through() -> None:
    """A comparison with last week does not read the week between."""
    day = 24 * 60
    reader = reader_of({"m": [1] * 10}, every=MINUTE)
    reader.add({"__name__": "m"}, [(day * MINUTE, 5)])
    assert one_row(instant(reader, "m - m offset 1d", day * MINUTE)) == [4]
    assert [read[2:] for read in reader.reads if read[0] == "samples"] == [
        (day * MINUTE - 5 * MINUTE, day * MINUTE),
        (-5 * MINUTE, 0),
    ]


def test_a_query_that_is_too_late_times_out() -> None:
    """The deadline is checked before anything is read."""
    reader = reader_of({"m": [1]})
    with pytest.raises(QueryTimeoutError, match="time limit"):
        Engine(reader).instant("m", 0, QueryBudget(deadline=time.monotonic() - 1))
    assert reader.reads == []


def test_a_cancelled_query_ends_at_its_next_step() -> None:
    """Whoever gave up sets a flag from another thread; the query ends before its next node."""
    given_up = budget()

    class Slow(MemoryReader):
        def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
            found = super().series(matchers, start, end, budget)
            thread = threading.Thread(target=lambda: setattr(given_up, "canceled", True))
            thread.start()
            thread.join()
            return found

    reader = Slow()
    reader.add({"__name__": "m"}, [(0, 1.0)])
    with pytest.raises(QueryCanceledError):
        Engine(reader).instant("m + m", 0, given_up)


@pytest.mark.parametrize(
    ("expr", "limits", "message"),
    [
        ("m", {"max_series": 2}, "matches 3 series, more than the limit of 2"),
        ("sum_over_time(m[10m])", {"max_samples": 20}, "more than the limit of 20 samples"),
        ("m", {"max_samples": 20}, "more than the limit of 20 samples"),
        ("vector(1)", {"max_samples": 5}, "the answer has more than the limit of 5 samples"),
    ],
)
def test_limits_say_which_and_how_to_raise_them(expr: str, limits: dict[str, int], message: str) -> None:
    """Series that a selector matches, samples held, and cells of the answer are bounded."""
    reader = MemoryReader()
    for number in range(3):
        reader.add({"__name__": "m", "n": str(number)}, [(t * MINUTE, 1.0) for t in range(10)])
    with pytest.raises(QueryLimitError, match=message) as caught:
        Engine(reader).range(expr, 0, 9 * MINUTE, MINUTE, budget(**limits))
    assert "raise the limit" in str(caught.value)


def test_a_broken_regular_expression_is_a_bad_query() -> None:
    """What the parser lets through and RE2 does not is still the asker's fault."""
    with pytest.raises(BadQueryError):
        instant(reader_of({"m": [1]}), r'm{a=~"\\C"}')


def test_execution_errors_are_query_errors_and_not_bad_queries() -> None:
    """The expression is right; it is these series that it does not fit."""
    with pytest.raises(QueryError) as caught:
        instant(reader_of({"a": [1], "b": [2]}), "-{__name__=~'a|b'}")
    assert not isinstance(caught.value, BadQueryError)


class GridReader(MemoryReader):
    """Answers ``grid`` with given rows and remembers what it was asked."""

    def __init__(self, answer: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.answer = np.array(answer)
        self.asked: list[tuple[str, Grid, tuple[float, ...]]] = []

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        self.asked.append((function, grid, tuple(args)))
        return self.answer


def grid_reader(answer: Sequence[Sequence[float]]) -> GridReader:
    """With two series of counters."""
    reader = GridReader(answer)
    for number in range(len(answer)):
        reader.add({"__name__": "m_total", "n": str(number)}, [(t * MINUTE, t * 60.0) for t in range(10)])
    return reader


def test_what_the_store_computes_is_taken_as_it_is() -> None:
    """A plain NaN is "no sample", another NaN is a value; the samples are not read."""
    real_nan = float(np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)[0])
    reader = grid_reader([[1, math.nan], [real_nan, 4]])
    result = ranged(reader, "rate(m_total[3m] offset 1m)", 5 * MINUTE, 6 * MINUTE)
    assert result.present.tolist() == [[True, False], [True, True]]
    assert math.isnan(result.values[1, 0])
    assert reader.asked == [("rate", Grid(4 * MINUTE, 5 * MINUTE, MINUTE, 3 * MINUTE), ())]
    assert [read[0] for read in reader.reads] == ["series"]


def test_the_store_computes_the_same_thing_once() -> None:
    """Also for instant selectors, whose function is called last."""
    reader = grid_reader([[5], [6]])
    instant(reader, "m_total + m_total + sum_over_time(m_total[1m]) - sum_over_time(m_total[1m])", MINUTE)
    assert [asked[0] for asked in reader.asked] == ["last", "sum_over_time"]


def test_a_moment_is_computed_once_and_shown_at_every_step() -> None:
    """With an @ modifier the grid has one step."""
    reader = grid_reader([[5], [6]])
    result = ranged(reader, "rate(m_total[1m] @ 120)", 0, 2 * MINUTE)
    assert result.values.tolist() == [[5, 5, 5], [6, 6, 6]]
    assert reader.asked[0][1] == Grid(2 * MINUTE, 2 * MINUTE, MINUTE, MINUTE)


def test_a_row_that_the_store_is_not_sure_of_is_computed_from_its_samples() -> None:
    """A staleness marker in the first cell of a row says so; the other rows stay as they are."""
    unsure = float(np.array([0x7FF0000000000002], dtype=np.uint64).view(np.float64)[0])
    reader = grid_reader([[7, 7], [unsure, 0]])
    result = ranged(reader, "rate(m_total[4m])", 5 * MINUTE, 6 * MINUTE)
    assert result.values == pytest.approx(np.array([[7, 7], [1, 1]]))
    assert ("samples", 1, MINUTE, 6 * MINUTE) in reader.reads


def test_arguments_go_along_only_when_they_are_constant() -> None:
    """What changes from step to step, or depends on the step's own time, is computed here."""
    reader = grid_reader([[7, 7], [7, 7]])
    ranged(reader, "predict_linear(m_total[4m], 60)", 5 * MINUTE, 6 * MINUTE)
    assert reader.asked[0][2] == (60.0,)
    reader.asked.clear()
    for expr in (
        "predict_linear(m_total[4m], time())",
        "predict_linear(m_total[4m] @ 300, 60)",
        "predict_linear(m_total[4m] offset 1m, 60)",
    ):
        ranged(reader, expr, 5 * MINUTE, 6 * MINUTE)
    assert reader.asked == []


def test_many_threads_may_ask_one_engine() -> None:
    """The engine has no state: concurrent queries do not see one another."""
    engine = Engine(reader_of({"m_total": [n * 60.0 for n in range(60)]}))

    def ask(number: int) -> float | None:
        return one_row(engine.instant(f"rate(m_total[5m]) * {number}", 30 * MINUTE, budget()))[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [float(number) for number in range(40)]
