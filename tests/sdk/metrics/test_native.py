"""Native histograms: bucket bounds, resolution, merging."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import DeclarationError
from mirante.metrics import Histogram, Registry, cells, histogram
from mirante.metrics.cells import LOCKED, PLAIN, Cells
from mirante.metrics.native import FINEST, NativeBuckets, finest_index, schema_of

MAGNITUDES = st.floats(min_value=1e-30, max_value=1e300)
VALUES = st.floats(allow_nan=False)


@given(MAGNITUDES, st.integers(-4, 8))
def test_a_value_lies_in_its_bucket(value: float, schema: int) -> None:
    """Bucket i is (base ** (i - 1), base ** i], at every resolution."""
    index = -(-finest_index(value) >> (FINEST - schema))
    base = 2.0**-schema
    assert (index - 1) * base <= math.log2(value) * (1 + 1e-12) + 1e-12
    assert math.log2(value) <= index * base + 1e-9


@pytest.mark.parametrize(("value", "index"), [(1.0, 0), (2.0, 256), (1.0000001, 1), (0.5, -256), (math.inf, 262145)])
def test_bounds_are_inclusive_above(value: float, index: int) -> None:
    """A power of two ends a bucket; infinity has one of its own."""
    assert finest_index(value) == index


@pytest.mark.parametrize(("factor", "schema"), [(1.1, 3), (2, 0), (4, -1), (1e9, -4), (1.001, 8), (1.01, 7)])
def test_factor_to_schema(factor: float, schema: int) -> None:
    """The coarsest that is fine enough, within what the format has."""
    assert schema_of("h", factor) == schema


def test_a_factor_must_grow() -> None:
    """1 would never end."""
    with pytest.raises(DeclarationError, match="native_factor"):
        Histogram("h", native_factor=1)


@given(st.lists(VALUES, max_size=60), st.lists(VALUES, max_size=60))
def test_merged_is_the_same_as_counted_together(first: list[float], second: list[float]) -> None:
    """Whatever resolutions both had come to."""
    one, two, both = (NativeBuckets(8, 20) for _ in range(3))
    for value in first:
        one.add(value)
    for value in second:
        two.add(value)
    for value in first + second:
        both.add(value)
    one.merge(two.state())
    merged, counted = one.state(), both.state()
    assert merged.schema <= counted.schema + 12
    assert sum(merged.positive.values()) == sum(counted.positive.values())
    while counted.schema > merged.schema:
        both._halve()
        counted = both.state()
    while merged.schema > counted.schema:
        one._halve()
        merged = one.state()
    assert (merged.positive, merged.negative, merged.zero_count) == (
        counted.positive,
        counted.negative,
        counted.zero_count,
    )


@given(st.lists(VALUES))
def test_nothing_is_lost_and_the_buckets_stay_few(values: list[float]) -> None:
    """Resolution gives way, counts do not."""
    buckets = NativeBuckets(8, 10)
    for value in values:
        buckets.add(value)
    state = buckets.state()
    assert state.zero_count + sum(state.positive.values()) + sum(state.negative.values()) == len(values)
    assert len(state.positive) + len(state.negative) <= 10 or state.schema == -4
    buckets.clear()
    assert buckets.state()[1:] == (0, 0.0, {}, {})


@pytest.mark.parametrize("twins", [PLAIN, LOCKED], ids=["plain", "locked"])
def test_beside_a_classic_one(twins: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """One observe fills both; text shows the classic one, families have both."""
    monkeypatch.setattr(cells, "CELLS", twins)
    registry = Registry()
    latency = histogram("latency", "", ["path"], buckets=[1], native_factor=2, registry=registry)
    latency.labels("/").observe(0.75, {"trace_id": "a"})
    latency.labels("/").observe(3)
    assert 'latency_bucket{path="/",le="1.0"} 1\n' in registry.expose().decode()
    [family] = registry.collect()
    [point] = family.native
    assert point.labels == {"path": "/"}
    assert (point.schema, point.positive, point.sum) == (0, {0: 1, 2: 1}, 3.75)
    assert (point.observations, len(point.exemplars)) == (2, 1)
    latency.reset()
    [family] = registry.collect()
    assert family.native[0].observations == 0


def test_without_classic_buckets() -> None:
    """Then only the last one is left for those who read text."""
    sizes = Histogram("sizes", buckets=(), native_factor=1.1)
    sizes.observe(5)
    assert [s.labels.get("le") for f in sizes.collect() for s in f.samples] == ["+Inf", None, None]
    with pytest.raises(DeclarationError, match="at least one finite bucket"):
        Histogram("sizes", buckets=())


def test_threads_lose_nothing_while_the_resolution_changes() -> None:
    """Counting goes on in the new buckets while the old ones are moved over."""
    buckets = NativeBuckets(8, 20)

    def work(start: int) -> None:
        for n in range(5000):
            buckets.add(1.0 + (n * 7 + start) % 1000)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(buckets.state().positive.values()) == 20_000


def test_a_forked_child_begins_anew_whoever_held_the_lock() -> None:
    """Another thread of the parent may have been reading; that thread is not there to let go."""
    buckets = NativeBuckets(3, 160)
    buckets.add(1.0)
    with buckets._lock:
        buckets.clear()
        buckets.add(2.0)
        assert buckets.state().sum == 2.0
