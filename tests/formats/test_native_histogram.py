"""Buckets of native histograms, and how remote write has them."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats import remote_write
from mirante.formats.native_histogram import CUSTOM_BUCKETS, NativeHistogram, bound, from_spans, to_spans
from mirante.server.store.protos import Parsed, message_class
from tests.native_histograms import native_histograms
from tests.write_request import bits

BUCKETS = st.dictionaries(st.integers(-1000, 1000), st.integers(0, 5), max_size=20)


def dense(buckets: dict[int, float]) -> range:
    """More indexes than there are buckets, from the first on."""
    first = min(buckets, default=0)
    return range(first, first + 2001)


@given(BUCKETS)
def test_spans_hold_all_buckets(buckets: dict[int, float]) -> None:
    """Spans give back the buckets that are not empty, and never touch one another."""
    made = to_spans(buckets)
    assert from_spans(iter(made.spans), iter(made.counts)) == {i: count for i, count in buckets.items() if count}
    assert from_spans(iter([(min(buckets, default=0), 2001)]), (buckets.get(i, 0) for i in dense(buckets))) == {
        i: count for i, count in buckets.items() if count
    }
    assert all(offset > 0 for offset, _ in made.spans[1:])
    assert sum(length for _, length in made.spans) == len(made.counts)


@given(native_histograms())
def test_buckets_follow_one_another(histogram: NativeHistogram) -> None:
    """Buckets ascend without overlapping, and hold what was counted."""
    found = list(histogram.buckets())
    outside = [bucket for bucket in found if bucket.lower < bucket.upper]  # the zero bucket may swallow others whole
    assert all(first.upper <= second.lower for first, second in pairwise(outside))
    assert math.isclose(math.fsum(bucket.count for bucket in found), histogram.count)


@given(st.integers(-4, 8), st.integers(-60, 60))
def test_bounds(schema: int, index: int) -> None:
    """A bucket of the schema is two of the next; bucket 0 ends at 1."""
    assert bound(schema, 0) == 1
    assert bound(schema, index) < bound(schema, index + 1)
    if schema < 8:
        assert math.isclose(bound(schema, index), bound(schema + 1, 2 * index))


def test_the_last_bounds() -> None:
    """The last finite bound is the largest float, whatever the schema; the next bucket ends at infinity."""
    for schema in range(-4, 9):
        last = math.ceil(1024 * 2.0**schema)
        assert bound(schema, last) == sys.float_info.max
        assert bound(schema, last + 1) == math.inf


def test_buckets_of_all_kinds() -> None:
    """The zero bucket has both its bounds and clips its neighbours; below zero buckets are mirrored."""
    some = NativeHistogram(10, 1.0, zero_threshold=0.75, zero_count=1, positive={0: 2, 3: 0}, negative={0: 3, 1: 4})
    assert [(b.lower, b.upper, b.count, b.lower_inclusive, b.upper_inclusive) for b in some.buckets()] == [
        (-2.0, -1.0, 4, True, False),
        (-1.0, -0.75, 3, True, False),
        (-0.75, 0.75, 1, True, True),
        (0.75, 1.0, 2, False, True),
    ]
    own = NativeHistogram(6, 1.0, schema=CUSTOM_BUCKETS, positive={0: 1, 1: 2, 2: 3}, custom_bounds=(0.5, 5.0))
    assert [(b.lower, b.upper, b.count, b.lower_inclusive, b.upper_inclusive) for b in own.buckets()] == [
        (-math.inf, 0.5, 1, True, True),
        (0.5, 5.0, 2, False, True),
        (5.0, math.inf, 3, False, True),
    ]


@given(native_histograms(), st.integers(-(2**50), 2**50))
def test_remote_write_has_every_field(histogram: NativeHistogram, timestamp: int) -> None:
    """What is written is what the protobuf library reads."""
    body = remote_write.series(b"", remote_write.histogram(histogram, timestamp))
    message: Parsed = message_class("remote_write").FromString(body)
    (read,) = message.timeseries[0].histograms
    kind = "float" if histogram.is_float else "int"
    assert (read.WhichOneof("count"), read.WhichOneof("zero_count")) == (f"count_{kind}", f"zero_count_{kind}")
    sides = {}
    for side in ("positive", "negative"):
        spans = ((span.offset, span.length) for span in getattr(read, f"{side}_spans"))
        counts, sum_so_far = list(getattr(read, f"{side}_counts")), 0
        for delta in getattr(read, f"{side}_deltas"):
            sum_so_far += delta
            counts.append(sum_so_far)
        sides[side] = from_spans(spans, iter(counts))
    assert read.timestamp == timestamp
    assert histogram == NativeHistogram(
        count=getattr(read, f"count_{kind}"),
        sum=read.sum,
        schema=read.schema,
        zero_threshold=read.zero_threshold,
        zero_count=getattr(read, f"zero_count_{kind}"),
        custom_bounds=tuple(read.custom_values),
        is_float=histogram.is_float,
        reset_hint=read.reset_hint,
        **sides,
    )


@pytest.mark.parametrize("value", [remote_write.STALE_NAN, remote_write.NORMAL_NAN])
def test_a_sum_keeps_its_bits(value: float) -> None:
    """The staleness marker is told from other NaN by its bits."""
    body = remote_write.series(b"", remote_write.histogram(NativeHistogram(0, value), 1))
    message: Parsed = message_class("remote_write").FromString(body)
    assert bits(message.timeseries[0].histograms[0].sum) == bits(value)
