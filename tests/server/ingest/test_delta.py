"""Deltas become totals, exponential histograms native ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, ExponentialHistogramDataPoint, Metric

from mirante.errors import FormatError, StoreFullError
from mirante.formats import remote_write
from mirante.formats.native_histogram import bound, from_spans
from mirante.server.ingest.delta import DeltaSession, DeltaState
from mirante.server.ingest.exchange import Bounds
from mirante.server.ingest.otlp import OtlpReceiver
from mirante.server.ingest.otlp_values import Explicit, Exponential, added, exponential
from mirante.server.store.protos import Parsed, message_class
from mirante.testing.clock import FakeClock
from tests.server.ingest.conftest import NOW, Door, FixedClock
from tests.server.ingest.test_otlp import post
from tests.write_request import bits

SECOND = 1_000_000_000
MS = NOW // 1_000_000
DELTA, CUMULATIVE = 1, 2


def send(door: Door, *metrics: Metric) -> tuple[int, str]:
    """Send them; gives how many points were refused, and why."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend(metrics)
    reply = post(door, "metrics", request.SerializeToString())
    assert reply.status == 200
    answer: Any = OtlpReceiver("metrics", door.log, door.bounds, door.counts)._response()
    answer.ParseFromString(reply.body)
    return answer.partial_success.rejected_data_points, answer.partial_success.error_message


def counter(*points: tuple[int, int, float], temporality: int = DELTA, flags: int = 0) -> Metric:
    """A counter with points: start and time in seconds before now, and value."""
    metric = Metric(name="c")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = temporality  # type: ignore[assignment] # enums are numbers on the wire
    for start, time, value in points:
        point = metric.sum.data_points.add(
            start_time_unix_nano=NOW - start * SECOND, time_unix_nano=NOW - time * SECOND, flags=flags
        )
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
    return metric


def series(door: Door) -> list[Parsed]:
    """All series that were stored, in order."""
    found: list[Parsed] = []
    for _, body in door.log.bodies:
        message: Parsed = message_class("remote_write").FromString(body)
        found += message.timeseries
    return found


def values(door: Door, name: str = "c_total") -> list[tuple[int, float]]:
    """Seconds before now and value of the samples of a metric."""
    return [
        ((MS - sample.timestamp) // 1000, sample.value)
        for one in series(door)
        for sample in one.samples
        if any(label.name == "__name__" and label.value == name for label in one.labels)
    ]


def test_deltas_add_up(door: Door) -> None:
    """Across requests, whole numbers and others; a gap between two is none of the total's business."""
    assert send(door, counter((60, 50, 2), (50, 40, 3))) == (0, "")
    assert send(door, counter((30, 20, 0.5))) == (0, "")
    assert values(door) == [(50, 2.0), (40, 5.0), (20, 5.5)]


def test_a_delta_that_comes_late_or_twice(door: Door) -> None:
    """It is refused with the reason, and changes nothing."""
    send(door, counter((60, 50, 2), (50, 40, 3)))
    assert send(door, counter((50, 40, 3), (40, 30, 1))) == (1, "a delta is not newer than the one before")
    assert send(door, counter((70, 20, 7))) == (1, "a delta begins before its series does")
    assert values(door) == [(50, 2.0), (40, 5.0), (30, 6.0)]
    assert door.counted()["metrics/rejected"] == 2


def test_series_are_told_apart(door: Door) -> None:
    """By labels, by name and by kind."""
    one, other, cumulative = counter((60, 50, 1)), counter((60, 50, 2)), counter((60, 40, 9), temporality=CUMULATIVE)
    other.sum.data_points[0].attributes.add(key="a").value.string_value = "b"
    assert send(door, one, other, cumulative) == (0, "")
    assert send(door, counter((50, 30, 5))) == (0, "")
    assert values(door) == [(50, 1.0), (50, 2.0), (40, 9.0), (30, 6.0)]


def test_what_was_not_stored_is_not_counted(door: Door) -> None:
    """A request that found no room is sent again, and then counts once."""
    send(door, counter((60, 50, 2)))
    door.log.error = StoreFullError("no room")
    body = ExportMetricsServiceRequest()
    body.resource_metrics.add().scope_metrics.add().metrics.append(counter((50, 40, 3)))
    assert post(door, "metrics", body.SerializeToString()).status == 503
    door.log.error = None
    assert send(door, counter((50, 40, 3))) == (0, "")
    assert values(door) == [(50, 2.0), (40, 5.0)]


def test_no_recorded_value_ends_a_series(door: Door) -> None:
    """A delta without a value is a staleness marker, and adds nothing."""
    send(door, counter((60, 50, 2)), counter((50, 40, 0), flags=1), counter((40, 30, 3)))
    found = values(door)
    assert found[::2] == [(50, 2.0), (30, 5.0)]
    assert bits(found[1][1]) == 0x7FF0000000000002


def test_memory_is_bounded_in_number_and_time() -> None:
    """Too many series are refused, those that were silent for long forgotten; what is in use stays."""
    clock = FakeClock()
    state = DeltaState(clock, most=2, idle=100)

    def add(key: str, time: int, value: int = 1) -> object:
        with DeltaSession(state) as session:
            total = session.add(key, 0, time, value)
            session.commit()
            return total

    assert [add("a", 1), add("b", 1)] == [1, 1]
    with pytest.raises(FormatError, match="more than 2 series have delta temporality"):
        add("c", 1)
    clock.advance(60)
    assert add("a", 2) == 2
    clock.advance(60)
    assert add("a", 3) == 3  # and forgets b
    assert [add("c", 3), add("a", 4)] == [1, 4]
    with pytest.raises(FormatError, match="more than 2 series"):
        add("b", 2)


def test_new_series_of_one_session_are_counted_too() -> None:
    """Nothing is kept of a session that was not committed."""
    state = DeltaState(FixedClock(), most=1)
    with DeltaSession(state) as session:
        session.add("a", 0, 1, 1)
        assert session.add("a", 1, 2, 1) == 2
        with pytest.raises(FormatError, match="more than 1"):
            session.add("b", 0, 1, 1)
    assert state.get("a") is None


def histogram(bounds: Sequence[float], counts: Sequence[int], total: float | None, start: int, time: int) -> Metric:
    """A histogram of deltas."""
    metric = Metric(name="h")
    metric.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    point = metric.histogram.data_points.add(
        start_time_unix_nano=NOW - start * SECOND, time_unix_nano=NOW - time * SECOND, count=sum(counts),
        explicit_bounds=bounds, bucket_counts=counts,
    )  # fmt: skip
    if total is not None:
        point.sum = total
    return metric


def test_histograms_add_up(door: Door) -> None:
    """Bucket by bucket; with other bounds it begins anew; a sum that was once missing stays so."""
    send(door, histogram([1, 2], [1, 0, 2], 5.0, 60, 50), histogram([1, 2], [1, 1, 1], 4.0, 50, 40))
    assert values(door, "h_bucket") == [(50, 1), (50, 1), (50, 3), (40, 2), (40, 3), (40, 6)]
    assert values(door, "h_sum") == [(50, 5.0), (40, 9.0)]
    send(door, histogram([1], [4, 0], None, 40, 30), histogram([1], [1, 0], 1.0, 30, 20))
    assert values(door, "h_count") == [(50, 3), (40, 6), (30, 4), (20, 5)]
    assert len(values(door, "h_sum")) == 2


# Exponential histograms

SIDES = st.dictionaries(st.integers(-20, 20), st.integers(1, 5), max_size=5)


@st.composite
def exponentials(draw: st.DrawFn) -> Exponential:
    """What an SDK may send."""
    positive, negative, zero = draw(SIDES), draw(SIDES), draw(st.integers(0, 3))
    return Exponential(
        scale=draw(st.integers(-2, 10)),
        zero_threshold=draw(st.sampled_from([0.0, 0.0, 1e-6, 0.5])),
        zero_count=zero,
        positive=positive,
        negative=negative,
        count=zero + sum(positive.values()) + sum(negative.values()),
        sum=draw(st.none() | st.floats(-1e6, 1e6)),
    )


def as_point(value: Exponential) -> ExponentialHistogramDataPoint:
    """The message that says it."""
    point = ExponentialHistogramDataPoint(
        scale=value.scale, zero_threshold=value.zero_threshold, zero_count=value.zero_count, count=value.count,
        time_unix_nano=NOW,
    )  # fmt: skip
    if value.sum is not None:
        point.sum = value.sum
    for side, buckets in ((point.positive, value.positive), (point.negative, value.negative)):
        if buckets:
            side.offset = min(buckets)
            side.bucket_counts.extend(buckets.get(i, 0) for i in range(min(buckets), max(buckets) + 1))
    return point


def below(value: Exponential, limit: float) -> int:
    """Observations that are surely no greater than that."""
    scale = value.scale
    count = sum(n for i, n in value.positive.items() if bound(scale, i + 1) <= limit)
    count += sum(n for i, n in value.negative.items() if -bound(scale, i) <= limit)
    return count + (value.zero_count if limit >= value.zero_threshold else 0)


@given(exponentials())
def test_a_message_says_its_value(value: Exponential) -> None:
    """What a point says is read from it."""
    assert exponential(as_point(value)) == value


@given(exponentials(), exponentials())
def test_exponential_histograms_add_up(one: Exponential, other: Exponential) -> None:
    """Nothing is lost, and no observation moves out of the bounds that it was known to be in."""
    total = added(one, other)
    assert isinstance(total, Exponential)
    assert total == added(other, one)
    assert total.count == one.count + other.count
    assert total.zero_count + sum(total.positive.values()) + sum(total.negative.values()) == total.count
    assert total.zero_threshold >= max(one.zero_threshold, other.zero_threshold)
    assert (total.sum is None) == (one.sum is None or other.sum is None)
    for index in range(-5, 6):
        limit = bound(total.scale, index)
        if limit > total.zero_threshold:
            assert below(total, limit) == below(one, limit) + below(other, limit)


@given(exponentials(), st.integers(0, 5))
def test_wider_buckets_hold_the_same(value: Exponential, down: int) -> None:
    """At a coarser scale every bucket holds what the finer ones within it held."""
    coarse = value.scaled_to(value.scale - down)
    for index in range(-5, 6):
        limit = bound(coarse.scale, index)
        if limit > value.zero_threshold:
            assert below(coarse, limit) == below(value, limit)


def test_buckets_that_lie_far_apart_get_wider() -> None:
    """A sum keeps no more buckets than the SDKs do."""
    near, far = (Exponential(3, 0.0, 0, {i: 1}, {}, 1, 1.0) for i in (0, 1000))
    total = added(near, far)
    assert isinstance(total, Exponential)
    assert (total.scale, dict(total.positive)) == (0, {0: 1, 125: 1})


@given(exponentials())
def test_a_native_histogram_has_the_same_buckets(value: Exponential) -> None:
    """Prometheus's bucket i ends where OTLP's bucket i - 1 does."""
    native = value.native()
    coarse = value.scaled_to(min(value.scale, 8))
    assert native.schema == coarse.scale
    assert {i - 1: count for i, count in native.positive.items()} == dict(coarse.positive)
    assert {i - 1: count for i, count in native.negative.items()} == dict(coarse.negative)
    assert (native.count, native.zero_count) == (value.count, value.zero_count)
    assert native.sum == (value.sum or 0.0)


def metric_of(*points: ExponentialHistogramDataPoint, temporality: int = CUMULATIVE) -> Metric:
    """An exponential histogram."""
    metric = Metric(name="e", unit="s")
    metric.exponential_histogram.aggregation_temporality = temporality  # type: ignore[assignment] # a number
    metric.exponential_histogram.data_points.extend(points)
    return metric


@given(exponentials())
def test_an_exponential_histogram_is_stored_as_a_native_one(value: Exponential) -> None:
    """One series of its name, one native histogram at its time, and its exemplars."""
    door = Door()
    point = as_point(value)
    point.exemplars.add(time_unix_nano=NOW, as_double=0.5, trace_id=b"t" * 16)
    assert send(door, metric_of(point)) == (0, "")
    (one,) = series(door)
    assert {label.name: label.value for label in one.labels} == {"__name__": "e_seconds"}
    (stored,) = one.histograms
    expected = remote_write.series(b"", remote_write.histogram(value.native(), MS))
    wanted: Parsed = message_class("remote_write").FromString(expected)
    assert stored == wanted.timeseries[0].histograms[0]
    assert [example.value for example in one.exemplars] == [0.5]


def test_exponential_deltas_add_up(door: Door) -> None:
    """As other deltas do; buckets are added, not replaced."""
    points = [as_point(Exponential(0, 0.0, 1, {0: 2}, {}, 3, 4.0)) for _ in range(2)]
    points[0].time_unix_nano -= SECOND
    assert send(door, metric_of(*points, temporality=DELTA)) == (0, "")
    last = series(door)[-1].histograms[0]
    spans = ((span.offset, span.length) for span in last.positive_spans)
    assert (last.count_int, last.zero_count_int, last.sum) == (6, 2, 8.0)
    assert from_spans(spans, iter(last.positive_deltas)) == {1: 4}


def test_no_recorded_value_ends_an_exponential_histogram(door: Door) -> None:
    """The marker is in the sum."""
    send(door, metric_of(ExponentialHistogramDataPoint(time_unix_nano=NOW, flags=1, scale=3)))
    assert bits(series(door)[0].histograms[0].sum) == 0x7FF0000000000002


def changed(**fields: float) -> ExponentialHistogramDataPoint:
    """A good point but for that."""
    point = as_point(Exponential(0, 0.0, 1, {0: 2}, {}, 3, 4.0))
    for name, value in fields.items():
        setattr(point, name, value)
    return point


def with_buckets(count: int) -> ExponentialHistogramDataPoint:
    """A good point but for so many empty buckets."""
    point = changed()
    point.positive.bucket_counts.extend([0] * count)
    return point


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (
            changed(scale=-5),
            "an exponential histogram has scale -5, a native one has at least",
        ),
        (changed(scale=2**31 - 1), "an exponential histogram has scale 2147483647, zero"),
        (changed(zero_threshold=math.nan), "has scale 0, zero threshold nan"),
        (changed(count=4), "an exponential histogram counts 4, but its buckets hold 3"),
        (with_buckets(10_000), "has more than 10000 buckets"),
        (
            changed(zero_count=2**63, count=2**63 + 2),
            "an exponential histogram counts more than 2^63 observations",
        ),
    ],
)
def test_exponential_histograms_that_cannot_be(point: ExponentialHistogramDataPoint, reason: str) -> None:
    """They are refused with the reason."""
    door = Door(bounds=Bounds(max_body=100_000, clock=FixedClock()))
    refused, why = send(door, metric_of(point))
    assert refused == 1
    assert reason in why
    assert series(door) == []


def test_observations_that_are_no_numbers(door: Door) -> None:
    """A sum that is NaN says that some are in no bucket."""
    assert send(door, metric_of(changed(sum=math.nan, count=9))) == (0, "")


def test_values_of_two_kinds() -> None:
    """A series whose kind changed begins anew."""
    assert added(1, Explicit((), (1,), 1, 1.0)) == Explicit((), (1,), 1, 1.0)
    one, other = Explicit((1.0,), (1, 1), 2, 1.0), Explicit((1.0,), (1,), 1, 1.0)
    assert added(one, other) == other
