"""Native histograms of a selector that stands alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mirante.errors import QueryLimitError
from mirante.formats.native_histogram import CUSTOM_BUCKETS, NativeHistogram
from mirante.formats.remote_write import STALE_NAN
from mirante.server.promql.encode import encode, histogram_json
from mirante.server.promql.engine import Engine
from mirante.server.promql.matchers import matches
from mirante.server.store.api import HistogramBlock, Labels, Matcher, QueryBudget, SeriesSet
from mirante.testing.memory_store import MemoryReader
from tests.native_histograms import native_histograms
from tests.server.promql.queries import budget

MINUTE = 60_000
ONE = NativeHistogram(1, 1.0, positive={1: 1})
TWO = NativeHistogram(2, 2.5, zero_threshold=0.5, zero_count=1, positive={3: 1})
STALE = NativeHistogram(0, STALE_NAN)
ONE_JSON = {"count": "1", "sum": "1", "buckets": [[0, "1", "2", "1"]]}
TWO_JSON = {"count": "2", "sum": "2.5", "buckets": [[3, "-0.5", "0.5", "1"], [0, "4", "8", "1"]]}


class Held(MemoryReader):
    """Floats and native histograms in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._points: dict[frozenset[tuple[str, str]], Sequence[tuple[int, NativeHistogram]]] = {}

    def add_histograms(self, labels: Labels, *points: tuple[int, NativeHistogram]) -> None:
        """Add a series of histograms, in order of time."""
        self.add(labels, [])
        self._points[frozenset(labels.items())] = points

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader: every series that matches, whatever it has."""
        index = {key: number for number, key in enumerate(self._samples) if matches(dict(key), matchers)}
        return SeriesSet(np.array([*index.values()], np.uint64), [dict(key) for key in index])

    def histograms(self, found: SeriesSet, after: int, until: int, _: QueryBudget) -> HistogramBlock:
        """See HistogramReader."""
        offsets, times, histograms = [0], [], []
        for labels in found.labels:
            for time, histogram in self._points.get(frozenset(labels.items()), ()):
                if after < time <= until:
                    times.append(time)
                    histograms.append(histogram)
            offsets.append(len(times))
        return HistogramBlock(np.array(offsets), np.array(times, np.int64), histograms)

    def instant(self, expr: str, at: int) -> Any:
        """The ``result`` of an instant query."""
        result = Engine(self, histograms=self).instant(expr, at, budget())
        return json.loads(encode(result))["result"]

    def ranged(self, expr: str, start: int, end: int) -> Any:
        """The ``result`` of a range query, a step a minute."""
        result = Engine(self, histograms=self).range(expr, start, end, MINUTE, budget())
        return json.loads(encode(result))["result"]


@pytest.fixture
def held() -> Held:
    """Series ``h`` with histograms, ``f`` with floats, ``m`` with first the one, then the other."""
    reader = Held()
    reader.add_histograms({"__name__": "h", "job": "a"}, (0, ONE), (MINUTE, TWO), (2 * MINUTE, STALE))
    reader.add({"__name__": "f", "job": "a"}, [(0, 5.0)])
    reader.add_histograms({"__name__": "m"}, (0, ONE), (3 * MINUTE, TWO))
    reader.add({"__name__": "m"}, [(MINUTE, 7.0), (4 * MINUTE, STALE_NAN)])
    return reader


def test_an_instant_selector(held: Held) -> None:
    """The newest of the look-back window, beside floats; a staleness marker ends it."""
    labels = {"__name__": "h", "job": "a"}
    assert held.instant("h", 30_000) == [{"metric": labels, "histogram": [30, ONE_JSON]}]
    assert held.instant("h", MINUTE) == [{"metric": labels, "histogram": [60, TWO_JSON]}]
    assert held.instant("h", 2 * MINUTE) == []
    assert held.instant("h offset 1m", 2 * MINUTE) == [{"metric": labels, "histogram": [120, TWO_JSON]}]
    assert held.instant("h @ 0", 2 * MINUTE) == [{"metric": labels, "histogram": [120, ONE_JSON]}]
    assert held.instant("h", 20 * MINUTE) == []
    assert held.instant("m", 3 * MINUTE) == [{"metric": {"__name__": "m"}, "histogram": [180, TWO_JSON]}]
    both = held.instant('{job="a"}', 1000)
    assert [{*one} for one in both] == [{"metric", "value"}, {"metric", "histogram"}]


def test_a_range_query(held: Held) -> None:
    """Every step has the newest sample, whether it is a float or a histogram; a series may have both."""
    (only,) = held.ranged("h", 0, 3 * MINUTE)
    assert only["histograms"] == [[0, ONE_JSON], [60, TWO_JSON]]
    (mixed,) = held.ranged("m", 0, 5 * MINUTE)
    assert mixed["values"] == [[60, "7"], [120, "7"]]
    assert mixed["histograms"] == [[0, ONE_JSON], [180, TWO_JSON]]
    all_of_them = held.ranged('{__name__=~"h|f|m"}', 0, 0)
    assert [one["metric"]["__name__"] for one in all_of_them] == ["f", "h", "m"]


def test_a_range_selector(held: Held) -> None:
    """All samples of the window, but for staleness markers."""
    (only,) = held.instant("h[10m]", 5 * MINUTE)
    assert only == {"metric": {"__name__": "h", "job": "a"}, "histograms": [[0, ONE_JSON], [60, TWO_JSON]]}
    (mixed,) = held.instant("m[10m]", 5 * MINUTE)
    assert (mixed["values"], mixed["histograms"]) == ([[60, "7"]], [[0, ONE_JSON], [180, TWO_JSON]])
    assert held.instant("h[30s]", 2 * MINUTE) == []


def test_functions_see_floats_alone(held: Held) -> None:
    """What is more than a selector does not take native histograms yet."""
    assert held.instant("h + 0", 0) == []
    assert held.instant("count_over_time(m[10m])", 5 * MINUTE)[0]["value"][1] == "1"


def test_a_reader_without_histograms(held: Held) -> None:
    """An engine that was given none answers from floats."""
    assert json.loads(encode(Engine(held).instant("h", 0, budget())))["result"] == []


def test_too_large_an_answer(held: Held) -> None:
    """The limit of samples holds for histograms too."""
    with pytest.raises(QueryLimitError, match="more than the limit of 3 samples"):
        Engine(held, histograms=held).range("h", 0, 9 * MINUTE, MINUTE, budget(max_samples=3))


@given(native_histograms())
def test_any_histogram_is_valid_json(histogram: NativeHistogram) -> None:
    """Its counts add up to what it counts."""
    shown = json.loads(histogram_json(histogram))
    inside = [float(bucket[3]) for bucket in shown.get("buckets", [])]
    assert np.isclose(sum(inside), float(shown["count"]))


def test_buckets_say_what_they_include() -> None:
    """Mirrored buckets end where they begin, the zero bucket has both bounds, the first custom one has -Inf."""
    mirrored = NativeHistogram(3, 0.0, zero_threshold=0.25, zero_count=1, positive={0: 1}, negative={0: 1})
    assert [bucket[0] for bucket in json.loads(histogram_json(mirrored))["buckets"]] == [1, 3, 0]
    custom = NativeHistogram(2, 0.0, schema=CUSTOM_BUCKETS, positive={0: 1, 1: 1}, custom_bounds=(1.0,))
    assert json.loads(histogram_json(custom))["buckets"] == [[3, "-Inf", "1", "1"], [0, "1", "+Inf", "1"]]
    assert json.loads(histogram_json(NativeHistogram(0, 0.0))) == {"count": "0", "sum": "0"}
