"""Reading for many instant queries at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.server.backtest.look_ahead import AHEAD, MOST, LookAhead
from mirante.server.promql.engine import Engine
from mirante.server.store.api import Matcher, SeriesSet
from mirante.testing.memory_store import MemoryReader
from tests.server.rules.parts import MINUTE, budget

QUERIES = ("a", "rate(a[5m])", "a offset 10m + b", "max_over_time(a[3h])", "count({__name__=~'a|b'})", "a @ 60")


def filled() -> MemoryReader:
    """Ten hours of two series, one with a gap."""
    reader = MemoryReader()
    reader.add({"__name__": "a"}, [(m * MINUTE, float(m)) for m in range(600)])
    reader.add({"__name__": "b"}, [(m * MINUTE, 1.0) for m in range(600) if m // 50 % 2])
    return reader


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(QUERIES), st.integers(0, 620)), max_size=30))
def test_the_same_answers(asked: list[tuple[str, int]]) -> None:
    """At any times, in any order."""
    plain, ahead = Engine(filled()), Engine(LookAhead(filled()))
    for text, minute in asked:
        one, other = (engine.instant(text, minute * MINUTE, budget()) for engine in (plain, ahead))
        assert (one.labels, one.values.tolist()) == (other.labels, other.values.tolist())


def test_the_store_is_asked_seldom() -> None:
    """Once for as long as is read ahead."""
    store = filled()
    engine = Engine(LookAhead(store))
    for minute in range(180):
        engine.instant("a", minute * MINUTE, budget())
    assert len(store.reads) <= 2 * (180 * MINUTE // AHEAD + 1)


def test_what_is_kept_is_bounded() -> None:
    """The selectors that were asked for first are forgotten."""
    store = filled()
    reader = LookAhead(store)
    selectors = [[Matcher("__name__", "=", "a"), Matcher("x", "!=", str(number))] for number in range(MOST + 1)]
    for selector in [*selectors, selectors[0], selectors[-1]]:
        reader.series(selector, 0, 1, budget())
    assert len(store.reads) == len(selectors) + 1


def test_other_series_and_times_are_read_from_the_store() -> None:
    """What was not looked up here, and what is outside of what was."""
    store = filled()
    reader = LookAhead(store)
    found = reader.series([Matcher("__name__", "=", "a")], 60_000, 120_000, budget())
    assert reader.samples(found, 0, 240_000, budget()).values.tolist() == [1.0, 2.0, 3.0, 4.0]
    plain = SeriesSet(found.ids, found.labels)
    for block in (reader.samples(plain, -1, 60_000, budget()), reader.samples(found, -1, 60_000, budget())):
        assert block.values.tolist() == [0.0, 1.0]
