"""OTLP metrics under Prometheus's names."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from mirante.formats.otlp_names import label_name, metric_name
from mirante.server.ingest.delta import DeltaSession, DeltaState
from mirante.server.ingest.exchange import Refusal
from mirante.server.ingest.otlp_metrics import Converter, label_set
from mirante.server.ingest.values import number
from mirante.server.store.protos import Parsed, message_class
from tests.server.ingest.conftest import FixedClock

T = 1_700_000_000_000_000_000
MS = T // 1_000_000
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
Series = dict[tuple[tuple[str, str], ...], list[float]]


def converted(request: ExportMetricsServiceRequest, *promoted: str) -> tuple[Series, Parsed, Converter]:
    """What comes out: values by labels, the whole message, and the converter with its counts."""
    converter = Converter(0, 2 * T, DeltaSession(DeltaState(FixedClock())), promoted)
    message: Parsed = message_class("remote_write").FromString(converter.convert(request))
    found: Series = {}
    for series in message.timeseries:
        labels = tuple(sorted((label.name, label.value) for label in series.labels))
        assert len({name for name, _ in labels}) == len(labels)
        assert all(sample.timestamp == MS for sample in series.samples)
        found[labels] = [sample.value for sample in series.samples]
    return found, message, converter


def request(*metrics: Metric, resource: dict[str, str] | None = None) -> ExportMetricsServiceRequest:
    """The metrics of one scope without a name."""
    made = ExportMetricsServiceRequest()
    of_resource = made.resource_metrics.add()
    for key, value in (resource or {}).items():
        of_resource.resource.attributes.add(key=key).value.string_value = value
    of_resource.scope_metrics.add().metrics.extend(metrics)
    return made


def pairs(**labels: str) -> tuple[tuple[str, str], ...]:
    """Labels as the keys of a Series."""
    return tuple(sorted((name.replace("name__", "__name__"), value) for name, value in labels.items()))


def attributes(**values: str) -> list[KeyValue]:
    """Attributes with text values; ``__`` stands for a dot."""
    return [KeyValue(key=k.replace("__", "."), value=AnyValue(string_value=v)) for k, v in values.items()]


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("http_server_request_duration_seconds", "s", "histogram", "http_server_request_duration_seconds"),
        ("system.cpu.time", "s", "counter", "system_cpu_time_seconds_total"),
        ("system_cpu_time_seconds_total", "s", "counter", "system_cpu_time_seconds_total"),
        ("process_start__time_seconds", "s", "gauge", "process_start__time_seconds"),
        ("system.memory.utilization", "1", "gauge", "system_memory_utilization_ratio"),
        ("system_memory_utilization_ratio", "1", "gauge", "system_memory_utilization_ratio"),
        ("things", "1", "counter", "things_total"),
        ("total.things", "", "counter", "things_total"),
        ("queue.size", "{items}", "sum", "queue_size"),
        ("queue.size", "", "sum", "queue_size"),
        ("net.io", "By/s", "gauge", "net_io_bytes_per_second"),
        ("net.io", "By/fortnight", "gauge", "net_io_bytes_per_fortnight"),
        ("net.io", "{packets}/s", "gauge", "net_io_per_second"),
        ("net.io.per.second", "/s", "gauge", "net_io_per_second"),
        ("disk.free", "%", "gauge", "disk_free_percent"),
        ("temperature", "Cel", "gauge", "temperature_celsius"),
        ("weight", "long tons", "gauge", "weight_long_tons"),
        ("(lambda).function.executions(#)", "", "gauge", "lambda_function_executions"),
        ("2nd.try", "", "gauge", "_2nd_try"),
        ("job:rate:sum", "", "gauge", "job:rate:sum"),
        ("\u00e9", "", "gauge", ""),
    ],
)
def test_metric_names(name: str, unit: str, kind: str, expected: str) -> None:
    """Names follow the compatibility text."""
    assert metric_name(name, unit, kind) == expected


@given(
    name=st.from_regex(r"[a-z][a-z0-9._]{0,20}", fullmatch=True),
    unit=st.sampled_from(["", "s", "By", "1", "%", "{x}", "By/s", "ms"]),
    kind=st.sampled_from(["counter", "gauge", "sum", "histogram", "summary"]),
)
def test_a_translated_name_stays(name: str, unit: str, kind: str) -> None:
    """A name that was translated once is not changed by another time."""
    once = metric_name(name, unit, kind)
    assert metric_name(once, unit, kind) == once


@given(st.text(min_size=1, max_size=8))
def test_label_names_are_valid(key: str) -> None:
    """Every key becomes a name that PromQL can say, and a valid one stays."""
    name = label_name(key)
    assert name.isascii()
    assert name.isidentifier() or not name
    assert label_name(name) == name


def test_attributes_that_become_one_label() -> None:
    """Their values are joined in the order of their own names."""
    given_attributes = [*attributes(b="x", a__b="2"), *attributes(other="o")]
    given_attributes.append(KeyValue(key="a/b", value=AnyValue(string_value="1")))
    assert label_set(given_attributes) == {"a_b": "2;1", "b": "x", "other": "o"}


def test_numbers() -> None:
    """Gauges, sums that may fall and counters; whole numbers and others."""
    gauge = Metric(name="g", description="Words.", unit="s")
    gauge.gauge.data_points.add(time_unix_nano=T, as_double=1.5, attributes=attributes(http__method="GET"))
    gauge.gauge.data_points.add(time_unix_nano=T, as_int=-7, attributes=attributes(http__method="PUT", empty=""))
    falls = Metric(name="in.flight")
    falls.sum.aggregation_temporality = CUMULATIVE
    falls.sum.data_points.add(time_unix_nano=T, as_int=3)
    counter = Metric(name="requests")
    counter.sum.aggregation_temporality = CUMULATIVE
    counter.sum.is_monotonic = True
    counter.sum.data_points.add(time_unix_nano=T, as_int=4)
    series, message, converter = converted(request(gauge, falls, counter))
    assert series == {
        pairs(name__="g_seconds", http_method="GET"): [1.5],
        pairs(name__="g_seconds", http_method="PUT"): [-7.0],
        pairs(name__="in_flight"): [3.0],
        pairs(name__="requests_total"): [4.0],
    }
    described = [(one.metric_family_name, one.type, one.help, one.unit) for one in message.metadata]
    assert described == [("g_seconds", 2, "Words.", "s"), ("in_flight", 2, "", ""), ("requests_total", 1, "", "")]
    assert (converter.accepted, converter.rejected) == (4, 0)


def test_histogram() -> None:
    """Buckets count up and carry their exemplars; the sum is there when it was sent."""
    metric = Metric(name="latency", unit="s")
    metric.histogram.aggregation_temporality = CUMULATIVE
    point = metric.histogram.data_points.add(
        time_unix_nano=T, count=6, sum=3.5, explicit_bounds=[0.005, 1, 1e22], bucket_counts=[1, 2, 0, 3]
    )
    point.exemplars.add(
        time_unix_nano=T,
        as_double=0.5,
        trace_id=b"\x01" * 16,
        span_id=b"\x02" * 8,
        filtered_attributes=attributes(user__id="7"),
    )
    point.exemplars.add(time_unix_nano=T, as_int=2**40)
    series, message, _ = converted(request(metric))
    buckets = {dict(labels)["le"]: value for labels, value in series.items() if dict(labels).get("le")}
    assert buckets == {"0.005": [1.0], "1": [3.0], "1e22": [3.0], "+Inf": [6.0]}
    assert series[pairs(name__="latency_seconds_sum")] == [3.5]
    assert series[pairs(name__="latency_seconds_count")] == [6.0]
    examples = {
        {label.name: label.value for label in one.labels}["le"]: [
            (example.value, {label.name: label.value for label in example.labels}, example.timestamp)
            for example in one.exemplars
        ]
        for one in message.timeseries
        if one.exemplars
    }
    assert examples == {
        "1": [(0.5, {"trace_id": "01" * 16, "span_id": "02" * 8, "user_id": "7"}, MS)],
        "1e22": [(float(2**40), {}, MS)],
    }
    assert [(one.metric_family_name, one.type) for one in message.metadata] == [("latency_seconds", 3)]


@pytest.mark.parametrize("counts", [[], [1], [1, 2, 3, 4, 5]])
def test_histogram_whose_parts_do_not_fit(counts: list[int]) -> None:
    """Too few or too many counts make no fault: what is missing is the total."""
    metric = Metric(name="h")
    metric.histogram.aggregation_temporality = CUMULATIVE
    metric.histogram.data_points.add(time_unix_nano=T, count=9, explicit_bounds=[1, 2], bucket_counts=counts)
    series, _, _ = converted(request(metric))
    assert len([labels for labels in series if dict(labels).get("le")]) == 3
    assert series[pairs(name__="h_bucket", le="+Inf")] == [9.0]
    assert pairs(name__="h_sum") not in series


def test_summary() -> None:
    """Quantiles, sum and count."""
    metric = Metric(name="s")
    point = metric.summary.data_points.add(time_unix_nano=T, count=2, sum=3)
    point.quantile_values.add(quantile=0.99, value=2.5)
    point.quantile_values.add(quantile=1, value=3)
    series, message, _ = converted(request(metric))
    assert series == {
        pairs(name__="s", quantile="0.99"): [2.5],
        pairs(name__="s", quantile="1"): [3.0],
        pairs(name__="s_sum"): [3.0],
        pairs(name__="s_count"): [2.0],
    }
    assert [one.type for one in message.metadata] == [5]


def test_a_point_without_a_value_is_a_staleness_marker() -> None:
    """The flag "no recorded value" ends the series."""
    metric = Metric(name="g")
    metric.gauge.data_points.add(time_unix_nano=T, flags=1)
    series, _, _ = converted(request(metric))
    bits = struct.unpack("<Q", struct.pack("<d", series[pairs(name__="g")][0]))[0]
    assert bits == 0x7FF0000000000002


def test_resource_and_scope() -> None:
    """The resource becomes job, instance and target_info; the scope becomes labels; both win over attributes."""
    metric = Metric(name="g")
    metric.gauge.data_points.add(time_unix_nano=T, attributes=attributes(job="mine", otel__scope__name="mine", k="v"))
    resource = {"service.name": "shop", "service.namespace": "web", "service.instance.id": "i-1", "host.name": "h"}
    made = request(metric, resource=resource)
    scope = made.resource_metrics[0].scope_metrics[0]
    scope.schema_url, scope.scope.name, scope.scope.version = "https://s", "lib", "1"
    scope.scope.attributes.extend(attributes(build__id="b"))
    series, message, _ = converted(made)
    target = {"job": "web/shop", "instance": "i-1"}
    scope_part = {
        "otel_scope_name": "lib", "otel_scope_version": "1",
        "otel_scope_schema_url": "https://s", "otel_scope_build_id": "b",
    }  # fmt: skip
    assert series == {
        pairs(name__="g", k="v", **target, **scope_part): [0.0],
        pairs(name__="target_info", host_name="h", **target): [1.0],
    }
    assert [one.metric_family_name for one in message.metadata] == ["g", "target_info"]


@pytest.mark.parametrize(
    ("resource", "job", "info"),
    [
        ({"service.name": "shop"}, "shop", False),
        ({"service.name": "shop", "host": "h"}, "shop", True),
        ({"service.namespace": "web", "host": "h"}, None, False),
        ({"host": "h"}, None, False),
        ({}, None, False),
    ],
)
def test_what_a_resource_must_say(resource: dict[str, str], job: str | None, info: bool) -> None:
    """Without a service name there is no job; target_info needs an identity and something to say."""
    metric = Metric(name="g")
    metric.gauge.data_points.add(time_unix_nano=T)
    series, _, _ = converted(request(metric, resource=resource))
    assert {dict(labels).get("job") for labels in series} == {job}
    assert any(dict(labels)["__name__"] == "target_info" for labels in series) == info


def test_promoted_attributes() -> None:
    """Chosen attributes of the resource become labels of every series; a point's own attribute of the name wins."""
    metric = Metric(name="g")
    metric.gauge.data_points.add(time_unix_nano=T)
    metric.gauge.data_points.add(time_unix_nano=T, attributes=attributes(host__name="own"))
    resource = {"service.name": "shop", "host.name": "h", "cloud.region": "r"}
    series, _, _ = converted(request(metric, resource=resource), "host.name", "not.there", "service.name")
    assert set(series) == {
        pairs(name__="g", job="shop", service_name="shop", host_name="h"),
        pairs(name__="g", job="shop", service_name="shop", host_name="own"),
        pairs(name__="target_info", job="shop", host_name="h", cloud_region="r"),
    }


def test_what_is_refused() -> None:
    """Metrics without a temporality and impossible times are counted with their reasons."""
    unspecified = Metric(name="d")
    unspecified.sum.data_points.add(time_unix_nano=T)
    without_points = Metric(name="w")
    without_points.exponential_histogram.SetInParent()
    late = Metric(name="l")
    late.gauge.data_points.add(time_unix_nano=2**63)
    late.gauge.data_points.add(time_unix_nano=T)
    series, _, converter = converted(request(unspecified, without_points, late, Metric(name="nothing"), Metric()))
    assert list(series) == [pairs(name__="l")]
    assert (converter.accepted, converter.rejected) == (1, 2)
    assert sorted(converter.reasons) == [
        "a metric does not say its temporality",
        f"there are times outside of 0 to {2 * T}",
    ]


def test_a_body_that_says_too_much() -> None:
    """What many points have in common is said again by each of their series, within a limit."""
    metric = Metric(name="g")
    for number_of_point in range(100):
        metric.gauge.data_points.add(time_unix_nano=T, attributes=attributes(n=str(number_of_point)))
    converter = Converter(0, 2 * T, DeltaSession(DeltaState(FixedClock())), most_bytes=50_000)
    with pytest.raises(Refusal, match="has more than 50000 bytes") as error:
        converter.convert(request(metric, resource={"service.name": "x" * 1000}))
    assert error.value.status == 413


def test_times_of_exemplars() -> None:
    """One without a time is of its point's; one of quite another time is left out."""
    metric = Metric(name="c")
    metric.sum.aggregation_temporality = CUMULATIVE
    point = metric.sum.data_points.add(time_unix_nano=T)
    point.exemplars.add(as_double=math.nan)
    point.exemplars.add(as_double=1.0, time_unix_nano=1)
    point.exemplars.add(as_double=1.0, time_unix_nano=2**64 - 1)
    _, message, _ = converted(request(metric))
    assert [example.timestamp for example in message.timeseries[0].exemplars] == [MS]


def test_values_of_attributes() -> None:
    """Values that are no text are written as text."""
    metric = Metric(name="g")
    array = AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="a")]))
    values: dict[str, Any] = {"b": AnyValue(bool_value=True), "i": AnyValue(int_value=5), "n": AnyValue(), "a": array}
    point = metric.gauge.data_points.add(time_unix_nano=T)
    point.attributes.extend(KeyValue(key=key, value=value) for key, value in values.items())
    series, _, _ = converted(request(metric))
    assert list(series) == [pairs(name__="g", b="true", i="5", a='[1,"a"]')]


@given(st.floats())
def test_number_text(value: float) -> None:
    """The text of a number is the number."""
    assert float(number(value)) == value or math.isnan(value)
