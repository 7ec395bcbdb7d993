"""Computed grids are kept, and what is kept is always what would be computed now."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirante.errors import QueryCanceledError, QueryTimeoutError
from mirante.server.store.api import STALE_NAN_BITS, Grid, Matcher, SeriesSet
from mirante.server.store.changes import ANY_TIME, Changes, Moment
from mirante.server.store.grids import Floats, GridCache
from mirante.server.store.reader import StoreReader
from mirante.server.trace import Trace
from tests.server.store.conftest import Store, body, budget
from tests.server.store.test_deletion import deleter, named

MIDNIGHT = 1_700_006_400_000
START = MIDNIGHT - 240_000
STEP = 15_000
COUNTER = itertools.count()

values = st.one_of(st.integers(0, 9).map(float), st.sampled_from([0.25, 1.5, float("nan"), float("inf")]))
samples = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), values), min_size=1, max_size=12)
deletions = st.tuples(st.integers(0, 2), st.integers(0, 50), st.integers(0, 20))
rounds = st.lists(
    st.one_of(
        samples.map(lambda points: ("write", points)),
        samples.map(lambda points: ("write", points)),
        deletions.map(lambda what: ("delete", what)),
        st.just(("merge", None)),
    ),
    min_size=1,
    max_size=5,
)
questions = st.lists(st.tuples(st.integers(0, 10), st.integers(8, 25)), min_size=5, max_size=5)
FUNCTIONS = ("last", "rate", "max_over_time")


def carry_out(store: Store, name: str, what: str, details: Any) -> None:
    """One change of the store."""
    if what == "write":
        at = [body(name, value, START + slot * 7_500, n=str(series)) for series, slot, value in details]
        store.write("remote_write", *at)
    elif what == "delete":
        series, slot, length = details
        deleter(store).series([named(name, n=str(series))], START + slot * 7_500, START + (slot + length) * 7_500)
    else:
        store.engine.connect().command("OPTIMIZE TABLE samples FINAL")


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=rounds, questions=questions)
def test_what_is_kept_is_what_would_be_computed(
    store: Store, rounds: Sequence[tuple[str, Any]], questions: Sequence[tuple[int, int]]
) -> None:
    """Whatever was written late, merged or deleted since: bit for bit what a reader gives that keeps nothing."""
    name = f"kept{next(COUNTER)}"
    keeping, plain = StoreReader(store.engine, grid_bytes=1 << 24, small=0), StoreReader(store.engine, small=0)
    for (what, details), (first, steps) in zip(rounds, questions, strict=False):
        carry_out(store, name, what, details)
        start = START + first * STEP
        grid = Grid(start, start + (steps - 1) * STEP, STEP, 60_000)
        ours, theirs = (
            reader.series([Matcher("__name__", "=", name)], START - 60_000, grid.end, budget())
            for reader in (keeping, plain)
        )
        assert ours.ids.tolist() == theirs.ids.tolist()
        for function in FUNCTIONS:
            answers = [
                reader.grid(function, found, grid, budget()) for reader, found in ((keeping, ours), (plain, theirs))
            ]
            assert same(*answers), (function, answers)


def same(ours: Floats | None, theirs: Floats | None) -> bool:
    """Whether two grids say the same; of a marked row only the mark counts, and one may be marked out of caution."""
    assert ours is not None
    assert theirs is not None
    left, right = (np.ascontiguousarray(side).view(np.uint64) for side in (ours, theirs))
    sure = (left[:, 0] != STALE_NAN_BITS) if len(left) else np.empty(0, dtype=np.bool_)
    return left.shape == right.shape and bool((left[sure] == right[sure]).all())


def found(count: int = 1) -> SeriesSet:
    """So many series."""
    return SeriesSet(np.arange(count, dtype=np.uint64), [{}] * count)


class Told(Changes):
    """Changes as a test tells them."""

    def __init__(self) -> None:
        self.moment: Moment | None = Moment(0, 0)
        self.oldest: int | None = None

    def now(self, budget: object) -> Moment | None:
        """As told."""
        return self.moment

    def oldest_since(self, then: Moment) -> int | None:
        """As told."""
        return self.oldest


class Computer:
    """Computes grids of step numbers, and notes which.

    Attributes:
        asked: first and last step of each grid that was computed.
    """

    def __init__(self, found: SeriesSet) -> None:
        self.asked: list[tuple[int, int]] = []
        self._found = found

    def __call__(self, grid: Grid) -> Floats | None:
        self.asked.append((grid.start, grid.end))
        row = np.arange(grid.start, grid.end + 1, grid.step, dtype=np.float64)
        return np.repeat(row[None, :], len(self._found), axis=0)


def ask(cache: GridCache, compute: Callable[[Grid], Floats | None], first: int, last: int, **of: Any) -> list[float]:
    """The first row of the steps from ``first`` to ``last``."""
    of = {"found": found(), "budget": budget(), **of}
    values = cache.read(compute, "rate", of["found"], Grid(first, last, 1, 5), of["budget"])
    assert values is not None
    assert not values.flags.writeable
    return [float(value) for value in values[0]]


def test_only_the_new_steps_are_computed() -> None:
    """A range that has moved on is computed from where the kept one ends; one that lies in it not at all."""
    cache, compute = GridCache(Told(), 1 << 20), Computer(found())
    for first, last in ((10, 29), (12, 31), (15, 25), (13, 31)):
        assert ask(cache, compute, first, last) == list(range(first, last + 1))
    assert compute.asked == [(10, 29), (30, 31)]
    assert ask(cache, compute, 5, 25) == list(range(5, 26))  # it begins before
    assert ask(cache, compute, 22, 40) == list(range(22, 41))  # too little of it is known
    assert compute.asked[2:] == [(5, 25), (22, 40)]


@pytest.mark.parametrize(
    ("oldest", "again"),
    [
        (None, []),
        (30, []),
        (29, [(29, 29)]),
        (20, [(20, 29)]),
        (19, [(10, 29)]),
        (ANY_TIME, [(10, 29)]),
    ],
)
def test_steps_from_the_oldest_new_sample_on_are_computed_again(oldest: int | None, again: list[Any]) -> None:
    """A sample changes the steps from its own time on; what is left has to be worth it."""
    told, compute = Told(), Computer(found())
    cache = GridCache(told, 1 << 20)
    ask(cache, compute, 10, 29)
    told.oldest = oldest
    trace = Trace()
    assert ask(cache, compute, 10, 29, budget=budget(trace=trace)) == list(range(10, 30))
    assert compute.asked[1:] == again
    assert trace.root.kept == 20 - sum(last - first + 1 for first, last in again)


@pytest.mark.parametrize("case", ["other series", "few steps", "no room", "nobody knows", "other phase"])
def test_what_is_computed_every_time(case: str) -> None:
    """Other series or times between the steps, grids that are too small or large, and stores that others write to."""
    told, compute = Told(), Computer(found())
    cache = GridCache(told, 300 if case == "no room" else 1 << 20)
    last = 12 if case == "few steps" else 29
    told.moment = None if case == "nobody knows" else told.moment
    first = cache.read(compute, "rate", found(), Grid(10, last, 2, 5), budget())
    series, start = found(2 if case == "other series" else 1), 11 if case == "other phase" else 10
    again = cache.read(compute, "rate", series, Grid(start, last, 2, 5), budget())
    assert first is not None
    assert again is not None
    assert compute.asked == [(10, last), (start, last)]


def test_marked_rows_stay_marked() -> None:
    """A row that the engine could not compute, in the kept part or the new one, is marked in the first step."""
    mark = np.uint64(STALE_NAN_BITS)

    def compute(grid: Grid) -> Floats:
        values = np.zeros((3, grid.steps))
        values.view(np.uint64)[0 if grid.start == 10 else 1, 0] = mark
        return values

    cache, three = GridCache(Told(), 1 << 20), found(3)
    for first, last, marked in ((10, 29, [True, False, False]), (12, 31, [True, True, False])):
        values = cache.read(compute, "rate", three, Grid(first, last, 1, 5), budget())
        assert values is not None
        assert (np.ascontiguousarray(values[:, 0]).view(np.uint64) == mark).tolist() == marked


def test_what_the_engine_cannot_compute_is_not_kept() -> None:
    """No answer is no answer, at first and for the steps that are new."""
    cache, compute = GridCache(Told(), 1 << 20), Computer(found())
    question = "rate", found()
    assert cache.read(lambda _: None, *question, Grid(10, 29, 1, 5), budget()) is None
    ask(cache, compute, 10, 29)
    assert cache.read(lambda _: None, *question, Grid(12, 31, 1, 5), budget()) is None


def test_one_of_many_computes() -> None:
    """Panels that ask for the same at once wait for one of them, no longer than their own time lasts."""
    cache, started, go_on = GridCache(Told(), 1 << 20), threading.Event(), threading.Event()
    compute = Computer(found())

    def slowly(grid: Grid) -> Floats | None:
        started.set()
        assert go_on.wait(60)
        return compute(grid)

    answers: list[list[float]] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(cache, slowly, 10, 29))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    late = budget()
    late.deadline = time.monotonic() + 0.01
    with pytest.raises(QueryTimeoutError):
        ask(cache, compute, 10, 29, budget=late)
    with pytest.raises(QueryCanceledError):
        ask(cache, compute, 10, 29, budget=budget(canceled=True))
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert answers == [list(range(10, 30))] * 3
    assert compute.asked == [(10, 29)]
