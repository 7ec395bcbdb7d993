"""PromQL over the embedded store: what the engine computes agrees with NumPy over the same samples."""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirante.errors import QueryCanceledError, QueryLimitError
from mirante.server.promql.engine import Engine, Result
from mirante.server.store import grid as grids
from mirante.server.store.api import Grid, Labels, Matcher, SeriesSet
from mirante.server.store.client import Connection
from mirante.server.store.client import Engine as Store
from mirante.server.store.grid import read_grid
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.samples import read_samples
from mirante.testing.memory_store import MemoryReader
from mirante.testing.series_notation import STALE
from tests.server.promql.queries import budget

pytestmark = pytest.mark.slow

START = 1_700_000_040_000
Series = tuple[Labels, Sequence[tuple[int, float]]]


class Loaded:
    """A store, and how to put series into it.

    Attributes:
        store: the open engine.
        connection: for the inserts.
        reader: what queries read from.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.connection: Connection = store.connect()
        self.reader = StoreReader(store, small=0)

    def insert(self, series: Sequence[Series]) -> None:
        """Insert samples bit for bit, one part for each call."""
        rows = []
        for labels, points in series:
            pairs = ",".join(f"('{name}','{value}')" for name, value in sorted(labels.items()))
            samples = ",".join(f"({bits(value)},toInt64({time}))" for time, value in points)
            rows.append(f"(cityHash64([{pairs}]),[{pairs}],[{samples}],[])")
        if any(points for _, points in series):
            columns = "series_id, pairs, samples, exemplars"
            self.connection.command(f"INSERT INTO points_in ({columns}) VALUES {','.join(rows)}")  # noqa: S608 # made above


def bits(value: float) -> str:
    """A float as SQL, whatever kind of NaN it is."""
    return f"reinterpretAsFloat64(toUInt64({struct.unpack('<Q', struct.pack('<d', value))[0]}))"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """An empty embedded store."""
    store = Store(f"chdb://{tmp_path_factory.mktemp('promql') / 'data'}")
    migrate(store)
    yield Loaded(store)
    store.close()


counter = itertools.count()

ordinary = st.one_of(
    st.integers(0, 1000).map(float), st.floats(-1e6, 1e6, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-3)
)
peculiar = st.sampled_from([math.nan, math.inf, -math.inf, STALE, -0.0, 0.0])


@st.composite
def some_points(draw: st.DrawFn) -> list[tuple[int, float]]:
    """Gaps, resets, staleness markers, odd values, samples exactly on steps and on the edges of windows."""
    times = sorted(draw(st.lists(st.integers(0, 60).map(lambda n: START + n * 7_500), unique=True, max_size=30)))
    if draw(st.booleans()):
        total, points = 0.0, []
        for time in times:
            total = 0.0 if draw(st.integers(0, 6)) == 0 else total + draw(st.sampled_from([0.0, 1.0, 2.5, 0.1]))
            points.append((time, total))
    else:
        points = [(time, draw(ordinary)) for time in times]
    for index in draw(st.lists(st.integers(0, 40), max_size=3)):
        if index < len(points):
            points[index] = (points[index][0], draw(peculiar))
    return points


def differences(ours: Result, theirs: Result) -> Iterator[str]:
    """Where two answers differ by more than nine digits of what went into them."""
    sides = []
    for result in (ours, theirs):
        side = {}
        for labels, values, present in zip(result.labels, result.values, result.present, strict=True):
            side[tuple(sorted(labels.items()))] = np.where(present, values, 1e301)
        sides.append(side)
    if sides[0].keys() != sides[1].keys():
        yield f"series: {sides[0].keys() ^ sides[1].keys()}"
        return
    for key, values in sides[0].items():
        if not np.allclose(values, sides[1][key], rtol=1e-9, atol=1e-9, equal_nan=True):
            yield f"{key}: {values} and {sides[1][key]}"


PUSHED = [
    "m",
    "m offset 10s",
    "m @ 1700000160",
    *(
        f"{name}(m[{span}])"
        for name in ("rate", "increase", "delta", "irate", "idelta", "resets", "changes")
        for span in ("1m", "45s")
    ),
    *(f"{name}_over_time(m[40s])" for name in ("sum", "avg", "min", "max", "count", "last")),
    "rate(m[1m] offset 20s)",
    "rate(m[1m] @ end())",
    "deriv(m[1m])",
    "predict_linear(m[1m], 30)",
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(series=st.lists(some_points(), min_size=1, max_size=4), step=st.sampled_from([7_500, 15_000, 41_000]))
def test_the_engine_agrees_with_numpy(loaded: Loaded, series: list[list[tuple[int, float]]], step: int) -> None:
    """Every function that is pushed down gives the evaluator's own answer, step by step."""
    name = f"m{next(counter)}"
    memory = MemoryReader()
    rows: list[Series] = [({"__name__": name, "n": str(number)}, points) for number, points in enumerate(series)]
    loaded.insert(rows)
    for labels, points in rows:
        memory.add(labels, points)
    for pattern in PUSHED:
        expr = re.sub(r"\bm\b(?!\w)(?=\[| |$)", name, pattern)
        answers = [
            Engine(reader).range(expr, START, START + 450_000, step, budget()) for reader in (loaded.reader, memory)
        ]
        assert list(differences(*answers)) == [], expr


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(st.tuples(st.integers(0, 20), st.one_of(ordinary, peculiar)), max_size=10), max_size=4))
def test_raw_samples_come_in_order_and_once(loaded: Loaded, parts: list[list[tuple[int, float]]]) -> None:
    """However late and often samples came, times ascend and of two at one time the greatest value is kept."""
    labels = {"__name__": f"raw{next(counter)}"}
    memory = MemoryReader()
    for part in parts:
        points = [(START + time * 1000, value) for time, value in part]
        loaded.insert([(labels, points)])
        memory.add(labels, [point for point in points if not is_marker(point[1])])
    matchers = [Matcher("__name__", "=", labels["__name__"])]
    found = loaded.reader.series(matchers, START, START + 20_000, budget())
    block = loaded.reader.samples(found, START + 2_000, START + 15_000, budget())
    assert (np.diff(block.timestamps) > 0).all()
    assert ((block.timestamps > START + 2_000) & (block.timestamps <= START + 15_000)).all()
    marker = block.values.view(np.uint64) == 0x7FF0000000000002
    wanted = memory.samples(
        memory.series(matchers, START, START + 20_000, budget()), START + 2_000, START + 15_000, budget()
    )
    assert block.timestamps[~marker].tolist() == wanted.timestamps.tolist()
    np.testing.assert_array_equal(np.isnan(block.values[~marker]), np.isnan(wanted.values))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), count=st.sampled_from([3, 64, 65, 200]))
def test_many_series_in_many_parts_keep_their_samples_apart(loaded: Loaded, seed: int, count: int) -> None:
    """Each insert has other samples of each series: all come together series by series, for grids too."""
    name, chance = f"many{next(counter)}", np.random.default_rng(seed)
    memory = MemoryReader()
    rows: list[Series] = [
        ({"__name__": name, "n": str(number)}, [(START + int(slot) * 1_000, float(slot)) for slot in slots])
        for number in range(count)
        if len(slots := np.flatnonzero(chance.random(40) < 0.2))
    ]
    for labels, points in rows:
        memory.add(labels, points)
    for part in range(3):
        loaded.insert([(labels, points[part::3]) for labels, points in rows])
    matchers = [Matcher("__name__", "=", name)]
    answers = []
    for reader in (loaded.reader, memory):
        found = reader.series(matchers, START, START + 40_000, budget())
        block = reader.samples(found, START + 4_000, START + 30_000, budget())
        times = np.split(block.timestamps, block.offsets[1:-1])
        answers.append({labels["n"]: each.tolist() for labels, each in zip(found.labels, times, strict=True)})
    assert answers[0] == answers[1]
    both = [
        Engine(reader).range(f"max_over_time({name}[7s])", START, START + 40_000, 5_000, budget())
        for reader in (loaded.reader, memory)
    ]
    assert list(differences(*both)) == []


def is_marker(value: float) -> bool:
    """Whether it is the staleness marker."""
    return bool(struct.pack("<d", value) == struct.pack("<d", STALE))


def test_series_without_samples_keep_their_place(loaded: Loaded) -> None:
    """Rows of a block and of a grid are those of the series asked for, whether they have samples or not."""
    names = [f"gap{number}" for number in range(4)]
    loaded.insert(
        [({"__name__": "gaps", "n": name}, [(START + 1000, 1.0)] if name != "gap2" else []) for name in names]
    )
    ids = np.sort(np.array([1, 2, 2**64 - 1], dtype=np.uint64))
    real = loaded.reader.series([Matcher("__name__", "=", "gaps")], START, START + 5000, budget())
    every = np.sort(np.concatenate([ids, real.ids]))
    found = SeriesSet(every, [{} for _ in every])
    block = read_samples(loaded.store, found, START, START + 5000, budget())
    assert np.diff(block.offsets).tolist() == [int(number in real.ids) for number in every]
    grid = read_grid(loaded.store, "count_over_time", found, Grid(START + 5000, START + 5000, 1, 10_000), budget())
    assert grid is not None
    assert np.nan_to_num(grid[:, 0]).tolist() == [float(number in real.ids) for number in every]


@pytest.mark.parametrize("at_once", [1, 4 * 900_000])
def test_many_series_are_computed_in_parts(loaded: Loaded, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Parts give what the whole gives, with series of no sample among them; a cancelled query ends in each."""
    values = [[1.5, 0.25, 2.0], [3.0, 1.0, 8.0], [math.inf, 1.0, 2.0], [], [2.0]] * 5
    series = [
        ({"__name__": "parts", "n": str(n)}, [(START + t * 60_000, v) for t, v in enumerate(points)])
        for n, points in enumerate(values)
    ]
    loaded.insert(series)
    real = loaded.reader.series([Matcher("__name__", "=", "parts")], START, START + 5000, budget()).ids
    every = np.sort(np.concatenate([real, np.array([1, 2, 3, 2**64 - 1], dtype=np.uint64)]))
    found, steps = SeriesSet(every, [{} for _ in every]), Grid(START, START + 600_000, 60_000, 300_000)
    whole = read_grid(loaded.store, "rate", found, steps, budget())
    monkeypatch.setattr(grids, "SERIES_TIME_AT_ONCE", at_once)
    parts = read_grid(loaded.store, "rate", found, steps, budget())
    assert whole is not None
    assert parts is not None
    assert (whole.view(np.uint64) != grids.NO_SAMPLE).any(axis=1).sum() == 20 - 5  # those of one sample have no rate
    assert parts.view(np.uint64).tolist() == whole.view(np.uint64).tolist()
    canceled = budget()
    canceled.canceled = True
    with pytest.raises(QueryCanceledError):
        read_grid(loaded.store, "rate", found, steps, canceled)


def test_nothing_is_asked_of_the_engine_for_no_series(loaded: Loaded) -> None:
    """An unknown metric is an empty answer."""
    none = SeriesSet(np.empty(0, dtype=np.uint64), [])
    assert read_samples(loaded.store, none, 0, 1, budget()).offsets.tolist() == [0]
    grid = read_grid(loaded.store, "rate", none, Grid(0, 10, 5, 10), budget())
    assert grid is not None
    assert grid.shape == (0, 3)
    assert Engine(loaded.reader).range("rate(unknown[5m])", START, START + 60_000, 15_000, budget()).labels == []


def test_a_window_without_any_sample(loaded: Loaded) -> None:
    """Series that exist on that day and have no sample in the window."""
    loaded.insert([({"__name__": "early"}, [(START, 1.0)])])
    result = Engine(loaded.reader).range("early", START + 600_000, START + 660_000, 30_000, budget())
    assert len(result.labels) == 0
    raw = Engine(loaded.reader).range("mad_over_time(early[5m])", START + 600_000, START + 660_000, 30_000, budget())
    assert len(raw.labels) == 0


@pytest.mark.parametrize("at", [-(2**50), 2**50])
def test_times_beyond_the_engine_s_calendar_have_no_samples(loaded: Loaded, at: int) -> None:
    """No error: there is nothing."""
    loaded.insert([({"__name__": "timely"}, [(START, 1.0)])])
    for expr in ("timely", "rate(timely[5m])", f"timely @ {at // 1000}"):
        assert Engine(loaded.reader).instant(expr, at, budget()).labels == []


@pytest.mark.parametrize("args", [(math.nan,), (math.inf,)])
def test_arguments_that_are_no_numbers_stay_here(loaded: Loaded, args: tuple[float]) -> None:
    """The engine's aggregates do not take them."""
    found = SeriesSet(np.array([1], dtype=np.uint64), [{}])
    assert read_grid(loaded.store, "predict_linear", found, Grid(0, 0, 1, 10), budget(), args) is None
    assert read_grid(loaded.store, "mad_over_time", found, Grid(0, 0, 1, 10), budget()) is None


def test_the_engine_s_memory_is_bounded_by_the_budget(loaded: Loaded) -> None:
    """A read that would need more ends with a limit error, and the next query works."""
    loaded.insert(
        [({"__name__": "wide", "n": str(n)}, [(START + t * 1000, 1.0) for t in range(300)]) for n in range(40)]
    )
    small = budget()
    small.max_memory_bytes = 100_000
    with pytest.raises(QueryLimitError):
        Engine(loaded.reader).range("mad_over_time(wide[5m])", START, START + 300_000, 1000, small)
    answer = Engine(loaded.reader).range("sum(wide)", START, START + 300_000, 1000, budget())
    assert answer.values.shape == (1, 301)
    assert answer.values[0, -1] == 40
