"""Native histograms in the store."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirante._core.model import Exemplar
from mirante.errors import QueryLimitError
from mirante.formats import remote_write
from mirante.formats.native_histogram import NativeHistogram
from mirante.server.store.api import HistogramBlock, Matcher
from tests.native_histograms import native_histograms
from tests.server.store.conftest import NOW, Store, budget
from tests.write_request import bits

COUNTER = itertools.count()


def series(name: str, *points: tuple[int, NativeHistogram], **labels: str) -> bytes:
    """A body with one series."""
    written = (remote_write.histogram(histogram, at) for at, histogram in points)
    return remote_write.series(remote_write.labels({"__name__": name, **labels}), *written)


def read(store: Store, name: str, after: int = NOW - 1000, until: int = NOW + 1000) -> HistogramBlock:
    """The histograms of a metric."""
    found = store.reader.series([Matcher("__name__", "=", name)], after, until, budget())
    return store.reader.histograms(found, after, until, budget())


def points(block: HistogramBlock) -> list[tuple[int, NativeHistogram]]:
    """Times and histograms of all series."""
    return list(zip(block.timestamps.tolist(), block.histograms, strict=True))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(native_histograms(), min_size=1, max_size=4))
def test_they_come_back_as_they_were(store: Store, histograms: list[NativeHistogram]) -> None:
    """Whatever a histogram is, it is read as it was written."""
    name = f"some{next(COUNTER)}"
    written = [(NOW + place, one) for place, one in enumerate(histograms)]
    store.write("remote_write", series(name, *written))
    assert points(read(store, name)) == written


def test_a_time_range_is_open_on_the_left(store: Store) -> None:
    """The first time is excluded, the last one included; each series has its own rows."""
    one, two = NativeHistogram(1, 1.0, positive={0: 1}), NativeHistogram(2, 2.0, positive={0: 2})
    store.write(
        "remote_write",
        series("ranged", (NOW, one), (NOW + 5, two), job="a")
        + series("ranged", (NOW + 5, one), (NOW + 6, two), job="b"),
    )
    block = read(store, "ranged", NOW, NOW + 5)
    assert sorted(zip(block.timestamps.tolist(), [h.count for h in block.histograms], strict=True)) == [
        (NOW + 5, 1),
        (NOW + 5, 2),
    ]
    assert block.offsets.tolist() == [0, 1, 2]


def test_of_several_at_one_time_the_greatest_count_stays(store: Store) -> None:
    """Whatever came last: the greatest count, of equal counts the greatest sum, a staleness marker only if alone."""
    small = NativeHistogram(2, 9.0, positive={0: 2})
    large, larger = (
        NativeHistogram(3, 1.0, positive={0: 3}),
        NativeHistogram(3.0, 2.0, positive={0: 3.0}, is_float=True),
    )
    stale = NativeHistogram(0, remote_write.STALE_NAN)
    for one in (larger, stale, large, replace(larger, sum=remote_write.NORMAL_NAN), small):
        store.write("remote_write", series("several", (NOW, one)))
    assert points(read(store, "several")) == [(NOW, larger)]


def test_a_staleness_marker_keeps_its_bits(store: Store) -> None:
    """The end of a series is told from a sum that is no number."""
    markers = [remote_write.STALE_NAN, remote_write.NORMAL_NAN]
    written = [(NOW + place, NativeHistogram(0, value)) for place, value in enumerate(markers)]
    store.write("remote_write", series("ends", *written))
    assert [bits(one.sum) for one in read(store, "ends").histograms] == [bits(value) for value in markers]


def test_series_and_exemplars(store: Store) -> None:
    """A series with nothing but histograms is found by its labels, and keeps its exemplars."""
    histogram = remote_write.histogram(NativeHistogram(1, 0.5, positive={0: 1}), NOW)
    example = remote_write.exemplar(Exemplar({"trace_id": "abc"}, 0.5, NOW / 1000), NOW)
    labels = remote_write.labels({"__name__": "findable", "flavour": "native"})
    store.write("remote_write", remote_write.series(labels, histogram, example))
    found = store.reader.series([Matcher("flavour", "=", "native")], NOW, NOW, budget())
    assert [dict(one) for one in found.labels] == [{"__name__": "findable", "flavour": "native"}]
    assert store.reader.label_values("flavour", [], NOW, NOW, budget()) == ["native"]
    sql = f"SELECT labels['trace_id'] FROM exemplars WHERE series_id = {found.ids[0]}"  # noqa: S608 # a number
    assert store.one(sql) == "abc"


def test_a_limit_of_samples(store: Store) -> None:
    """A query that would hold too many is ended."""
    one = NativeHistogram(1, 0.5, positive={0: 1})
    store.write("remote_write", series("many", *((NOW + place, one) for place in range(3))))
    found = store.reader.series([Matcher("__name__", "=", "many")], NOW, NOW, budget())
    with pytest.raises(QueryLimitError, match="more than 2 native histograms"):
        store.reader.histograms(found, NOW - 1, NOW + 9, budget(max_samples=2))


def test_no_series_have_none(store: Store) -> None:
    """A selector that finds nothing reads nothing."""
    block = read(store, "nobody")
    assert (block.offsets.tolist(), points(block)) == ([0], [])
