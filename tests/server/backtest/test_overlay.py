"""What a replay writes, over a store."""

from __future__ import annotations

import numpy as np

from mirante.formats.remote_write import STALE_NAN
from mirante.server.backtest.overlay import Overlay, OverlayReader
from mirante.server.promql.engine import Engine
from mirante.server.rules.evaluation import RuleSample
from mirante.server.store.api import STALE_NAN_BITS, Grid, Matcher
from mirante.testing.memory_store import MemoryReader
from tests.server.rules.parts import budget
from tests.write_request import bits

A = {"__name__": "a", "x": "1"}
SELECT = [Matcher("__name__", "=", "a")]


def test_the_greatest_value_of_one_time_stays() -> None:
    """As in the store: a number before NaN, NaN before the marker of an end, whichever comes first."""
    overlay = Overlay()
    for time, values in enumerate(
        [(1.0, 2.0), (2.0, 1.0), (STALE_NAN, 1.0), (1.0, STALE_NAN), (float("nan"), STALE_NAN)]
    ):
        overlay.write([RuleSample(A, time, value) for value in values])
    (held,) = overlay.matching(SELECT, 0, 10)
    assert list(held.values[:4]) == [2.0, 2.0, 1.0, 1.0]
    assert bits(held.values[4]) != STALE_NAN_BITS
    assert overlay.held == 5


def test_times_are_in_order() -> None:
    """Even where samples come in another."""
    overlay = Overlay()
    overlay.write([RuleSample(A, time, float(time)) for time in (3, 1, 2)])
    (held,) = overlay.matching(SELECT, 0, 10)
    assert list(held.times) == list(held.values) == [1, 2, 3]


def test_what_is_old_is_forgotten() -> None:
    """And a series without samples with it."""
    overlay = Overlay()
    overlay.write([RuleSample(A, time, 1.0) for time in range(10)])
    overlay.write([RuleSample({"__name__": "b"}, 3, 1.0)])
    overlay.forget(5)
    assert overlay.held == 5
    assert [len(held.times) for held in overlay.matching([Matcher("x", "=~", ".*")], 0, 99)] == [5]
    assert overlay.matching(SELECT, 0, 4) == []


def test_stored_series_end_where_the_replay_begins() -> None:
    """Of those that the replay writes; what it wrote follows, and what others wrote goes on."""
    base, overlay = MemoryReader(), Overlay()
    for x in "123":
        base.add({"__name__": "a", "x": x}, [(time, 1.0) for time in range(0, 100, 10)])
    overlay.write([RuleSample(A, 50, 5.0), RuleSample({"__name__": "a", "x": "4"}, 60, 6.0)])
    reader = OverlayReader(base, overlay, {"a": [{"__name__": "a", "x": one} for one in "124"]}, 50)
    found = reader.series(SELECT, 0, 100, budget())
    assert (np.diff(found.ids.astype(object)) > 0).all()
    block = reader.samples(found, 20, 100, budget())
    by_x = {
        labels["x"]: list(zip(block.timestamps[a:b].tolist(), block.values[a:b].tolist(), strict=True))
        for labels, a, b in zip(found.labels, block.offsets[:-1], block.offsets[1:], strict=True)
    }
    stored = [(30, 1.0), (40, 1.0)]
    rest = [(time, 1.0) for time in range(50, 100, 10)]
    assert by_x == {"1": [*stored, (50, 5.0)], "2": stored, "3": stored + rest, "4": [(60, 6.0)]}
    assert reader.grid("last", found, Grid(50, 50, 1, 10), budget()) is None


def test_what_nobody_writes_is_read_as_it_is() -> None:
    """The store answers."""
    base, overlay = MemoryReader(), Overlay()
    base.add({"__name__": "b"}, [(60_000, 1.0)])
    overlay.write([RuleSample(A, 60_000, 5.0)])
    reader = OverlayReader(base, overlay, {"a": [A]}, 0)
    answer = Engine(reader).range("b", 60_000, 120_000, 60_000, budget())
    assert answer.values.tolist() == [[1.0, 1.0]]
