"""What we write as OTLP, OpenTelemetry's own message classes read back as what we meant."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from mirante._core.model import MetricFamily, NativePoint, Sample
from mirante.formats.otlp import AttributeValue, Times, metrics_request
from mirante.metrics import Registry, counter, gauge, histogram, summary

TIMES = Times(start=1_700_000_000_000_000_001, now=1_700_000_015_000_000_002)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def read(*families: MetricFamily) -> list[Metric]:
    """The metrics of a request, as the receiver sees them."""
    request = ExportMetricsServiceRequest.FromString(metrics_request({}, ("mirante", "1"), families, TIMES))
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    return list(scope.metrics)


def labels(attributes: list[KeyValue]) -> dict[str, str]:
    """Attributes that are all text."""
    return {pair.key: pair.value.string_value for pair in attributes}


def test_resource_and_scope() -> None:
    """Attributes keep their types."""
    resource: dict[str, AttributeValue] = {
        "service.name": "a",
        "pid": 7,
        "negative": -1,
        "on": True,
        "x": 0.5,
    }
    body = metrics_request(resource, ("mirante", "1.2"), [], TIMES)
    (found,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    values = {pair.key: pair.value for pair in found.resource.attributes}
    assert values["service.name"].string_value == "a"
    assert (values["pid"].int_value, values["negative"].int_value) == (7, -1)
    assert values["on"].bool_value is True
    assert values["x"].double_value == 0.5
    assert (found.scope_metrics[0].scope.name, found.scope_metrics[0].scope.version) == ("mirante", "1.2")


def test_a_counter_is_a_cumulative_monotonic_sum() -> None:
    """Under the name that its samples have, with the unit as OpenTelemetry writes it."""
    registry = Registry()
    counter("sent", "Sent.", ["x"], registry=registry, unit="bytes").labels("a").inc(3)
    (metric,) = read(*registry.collect())
    assert (metric.name, metric.description, metric.unit) == ("sent_bytes_total", "Sent.", "By")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = metric.sum.data_points
    assert (point.as_double, labels(list(point.attributes))) == (3.0, {"x": "a"})
    assert (point.start_time_unix_nano, point.time_unix_nano) == TIMES


def test_a_gauge_is_a_gauge() -> None:
    """It has no beginning."""
    registry = Registry()
    gauge("depth", registry=registry).set(-2.5)
    (metric,) = read(*registry.collect())
    (point,) = metric.gauge.data_points
    assert (metric.name, metric.unit, point.as_double, point.start_time_unix_nano) == ("depth", "", -2.5, 0)


def test_other_types_are_gauges() -> None:
    """OTLP has no info, no stateset and no unknown; an unusual unit is an annotation."""
    info = MetricFamily("build", "info", samples=(Sample("build_info", {"v": "1"}, 1.0),))
    odd = MetricFamily("odd", "unknown", unit="parrots", samples=(Sample("odd", {}, 1.0, timestamp=2.5),))
    metrics = read(info, odd)
    assert [(metric.name, metric.unit, metric.WhichOneof("data")) for metric in metrics] == [
        ("build_info", "", "gauge"),
        ("odd", "{parrots}", "gauge"),
    ]
    assert metrics[1].gauge.data_points[0].time_unix_nano == 2_500_000_000


def test_a_family_without_samples_is_left_out() -> None:
    """As is a counter's creation time, which OTLP states otherwise; a gauge may be named so."""
    samples = (Sample("c_total", {}, 1.0), Sample("c_created", {}, 5.0))
    own = MetricFamily("x_created", "gauge", samples=(Sample("x_created", {}, 5.0),))
    metrics = read(MetricFamily("none", "gauge"), MetricFamily("c", "counter", samples=samples), own)
    assert [metric.name for metric in metrics] == ["c_total", "x_created"]
    assert [len(metric.sum.data_points) + len(metric.gauge.data_points) for metric in metrics] == [1, 1]


@given(st.dictionaries(TEXT, st.lists(st.floats(0, 100), min_size=1), min_size=1, max_size=3))
def test_histograms_keep_buckets_count_and_sum(observed: dict[str, list[float]]) -> None:
    """Bucket counts are not cumulative there, and the last bound, infinity, is not said."""
    registry = Registry()
    ours = histogram("h", "", ["x"], registry=registry, buckets=[1, 10])
    for text, values in observed.items():
        for value in values:
            ours.labels(text).observe(value)
    (metric,) = read(*registry.collect())
    points = {labels(list(point.attributes))["x"]: point for point in metric.histogram.data_points}
    assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert set(points) == set(observed)
    for text, values in observed.items():
        low, middle = sum(v <= 1 for v in values), sum(1 < v <= 10 for v in values)
        point = points[text]
        assert list(point.bucket_counts) == [low, middle, len(values) - low - middle]
        assert list(point.explicit_bounds) == [1.0, 10.0]
        assert point.count == len(values)
        assert math.isclose(point.sum, math.fsum(values), abs_tol=1e-9)


def test_a_histogram_without_a_sum_says_none() -> None:
    """As other programs' histograms of negative values may be."""
    samples = (Sample("h_bucket", {"le": "+Inf"}, 2.0), Sample("h_count", {}, 2.0), Sample("h_created", {}, 1.0))
    (metric,) = read(MetricFamily("h", "histogram", samples=samples))
    (point,) = metric.histogram.data_points
    assert (list(point.bucket_counts), point.count, point.HasField("sum")) == ([2], 2, False)


BUCKETS = st.dictionaries(st.integers(-50, 50), st.integers(0, 2**40), max_size=5)


@given(BUCKETS, BUCKETS, st.integers(-4, 8), st.integers(0, 100))
def test_native_histograms_keep_their_buckets(
    positive: dict[int, int], negative: dict[int, int], schema: int, zero: int
) -> None:
    """As exponential ones, whose bucket i is our i + 1."""
    sent = NativePoint({"x": "a"}, schema, 1e-9, zero, 12.5, positive, negative)
    (metric,) = read(MetricFamily("h", "histogram", native=(sent,)))
    data = metric.exponential_histogram
    assert data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = data.data_points
    for ours, theirs in ((positive, point.positive), (negative, point.negative)):
        found = {theirs.offset + i + 1: n for i, n in enumerate(theirs.bucket_counts) if n}
        assert found == {i: n for i, n in ours.items() if n}
    assert (point.scale, point.zero_count, point.zero_threshold, point.sum) == (schema, zero, 1e-9, 12.5)
    assert point.count == sent.observations
    assert labels(list(point.attributes)) == {"x": "a"}


def test_a_histogram_of_both_kinds_is_sent_with_its_classic_buckets() -> None:
    """A metric has one type there."""
    samples = (Sample("h_bucket", {"le": "+Inf"}, 2.0), Sample("h_count", {}, 2.0), Sample("h_sum", {}, 1.0))
    native = (NativePoint({}, 3, 0.0, 0, 1.0, {1: 2}, {}),)
    (metric,) = read(MetricFamily("h", "histogram", samples=samples, native=native))
    assert metric.WhichOneof("data") == "histogram"


def test_summaries_keep_quantiles_count_and_sum() -> None:
    """With and without quantiles."""
    registry = Registry()
    summary("s", registry=registry, quantiles=[0.5]).observe(2)
    summary("plain", registry=registry, quantiles=()).observe(3)
    first, second = (metric.summary.data_points[0] for metric in read(*registry.collect()))
    assert (first.count, first.sum, first.quantile_values[0].quantile) == (1, 2.0, 0.5)
    assert math.isclose(first.quantile_values[0].value, 2.0, rel_tol=0.01)
    assert (second.count, second.sum, list(second.quantile_values)) == (1, 3.0, [])


@given(st.dictionaries(TEXT, TEXT, max_size=4), st.floats(allow_nan=True))
def test_any_text_and_number_survives(attributes: dict[str, str], value: float) -> None:
    """Label values are UTF-8, numbers keep every bit."""
    (metric,) = read(MetricFamily("g", "gauge", samples=(Sample("g", attributes, value),)))
    (point,) = metric.gauge.data_points
    assert labels(list(point.attributes)) == attributes
    assert point.as_double == value or math.isnan(value)
