"""OTLP, the writing side for metrics: families to the bytes of an ``ExportMetricsServiceRequest``.

A metric keeps the name that its samples have in Prometheus (``jobs_total``, ``latency_seconds``) and states its unit as
OpenTelemetry does; a receiver that adds suffixes does so only where they are missing.

Source: opentelemetry-proto 1.x, ``metrics.proto``, ``common.proto``, ``resource.proto``; OpenTelemetry, "Prometheus and
OpenMetrics Compatibility".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from mirante._core.model import MetricFamily, Sample
from mirante.formats.otlp_common import put_attributes
from mirante.formats.otlp_common import resource as resource_message
from mirante.formats.protobuf import blob, double, fixed64, int64, sint64, string, varint

AttributeValue = str | bool | int | float

_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1", "meters": "m", "celsius": "Cel", "joules": "J", "volts": "V"}
_LABELS, _HISTOGRAM_LABELS, _NATIVE_LABELS = b"\x3a", b"\x4a", b"\x0a"
"""Tags of the fields 7, 9 and 1, length-delimited: each kind of point has its attributes elsewhere."""
_CUMULATIVE = int64(2, 2)
_MONOTONIC = int64(3, 1)


class Times(NamedTuple):
    """Nanoseconds since the Unix epoch: when counting began, and when the values were read."""

    start: int
    now: int


def metrics_request(
    resource: Mapping[str, AttributeValue], scope: tuple[str, str], families: Iterable[MetricFamily], times: Times
) -> bytes:
    """All families as one request.

    Args:
        resource: attributes of the process that they describe.
        scope: name and version of what produced them.
        families: what to send; one without samples is left out.
        times: of every point.

    Example:
        >>> up = MetricFamily("up", "gauge", samples=(Sample("up", {}, 1.0),))
        >>> b"service.name" in metrics_request({"service.name": "a"}, ("mirante", "1"), [up], Times(0, 1))
        True
    """
    name, version = scope
    metrics = b"".join([blob(2, metric(family, times)) for family in families if family.samples or family.native])
    scoped = blob(1, string(1, name) + string(2, version)) + metrics
    return blob(1, blob(1, resource_message(resource)) + blob(2, scoped))


def metric(family: MetricFamily, times: Times) -> bytes:
    """One family as the message ``Metric``."""
    name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
    unit = _UNITS.get(family.unit, f"{{{family.unit}}}") if family.unit else ""
    data = _DATA.get(family.type, _gauge) if family.samples else _exponential
    return string(1, name) + string(2, family.help) + string(3, unit) + data(family, times)


def attributes(tag: bytes, values: Mapping[str, object]) -> bytes:
    """Repeated ``KeyValue`` behind that tag."""
    out: list[bytes] = []
    put_attributes(out, tag, values)
    return b"".join(out)


def _numbers(family: MetricFamily, times: Times, *, start: bool) -> bytes:
    began = fixed64(2, times.start) if start else b""
    points = []
    for sample in family.samples:
        if not sample.name.endswith("_created") or family.type == "gauge":
            read = times.now if sample.timestamp is None else round(sample.timestamp * 1e9)
            points.append(
                blob(1, attributes(_LABELS, sample.labels) + began + fixed64(3, read) + double(4, sample.value))
            )
    return b"".join(points)


def _gauge(family: MetricFamily, times: Times) -> bytes:
    return blob(5, _numbers(family, times, start=False))


def _sum(family: MetricFamily, times: Times) -> bytes:
    return blob(7, _numbers(family, times, start=True) + _CUMULATIVE + _MONOTONIC)


class _Point:
    """The samples of one histogram or summary that share their labels."""

    def __init__(self) -> None:
        self.labels: Mapping[str, str] = {}
        self.parts: list[tuple[float, float]] = []
        self.count = 0.0
        self.sum: float | None = None


def _points(family: MetricFamily, own: str) -> Iterable[_Point]:
    """Group samples by their labels without ``own``, which is ``le`` or ``quantile``."""
    found: dict[tuple[tuple[str, str], ...], _Point] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != own}
        point = found.setdefault(tuple(sorted(labels.items())), _Point())
        point.labels = labels
        _place(point, family, sample, own)
    return found.values()


def _place(point: _Point, family: MetricFamily, sample: Sample, own: str) -> None:
    if own in sample.labels:
        point.parts.append((float(sample.labels[own]), sample.value))
    elif sample.name == f"{family.name}_count":
        point.count = sample.value
    elif sample.name == f"{family.name}_sum":
        point.sum = sample.value


def _histogram(family: MetricFamily, times: Times) -> bytes:
    out = []
    for point in _points(family, "le"):
        parts = sorted(point.parts)
        cumulative = [int(count) for _, count in parts]
        counts = [high - low for low, high in zip([0, *cumulative], cumulative, strict=False)]
        bounds = [upper for upper, _ in parts if upper != float("inf")]
        out.append(
            blob(
                1,
                attributes(_HISTOGRAM_LABELS, point.labels)
                + fixed64(2, times.start)
                + fixed64(3, times.now)
                + fixed64(4, int(point.count))
                + (b"" if point.sum is None else double(5, point.sum))
                + blob(6, struct.pack(f"<{len(counts)}Q", *counts))
                + blob(7, struct.pack(f"<{len(bounds)}d", *bounds)),
            )
        )
    return blob(9, b"".join(out) + _CUMULATIVE)


def _exponential(family: MetricFamily, times: Times) -> bytes:
    """A native histogram; one that has classic buckets too is sent with those, because a metric has one type."""
    out = [
        blob(
            1,
            attributes(_NATIVE_LABELS, point.labels)
            + fixed64(2, times.start)
            + fixed64(3, times.now)
            + fixed64(4, point.observations)
            + double(5, point.sum)
            + sint64(6, point.schema)
            + fixed64(7, point.zero_count)
            + blob(8, _buckets(point.positive))
            + blob(9, _buckets(point.negative))
            + double(14, point.zero_threshold),
        )
        for point in family.native
    ]
    return blob(10, b"".join(out) + _CUMULATIVE)


def _buckets(counts: Mapping[int, int]) -> bytes:
    """The message ``Buckets``: counts without gaps from an offset; its bucket i begins where ours ends."""
    if not counts:
        return b""
    first, last = min(counts), max(counts)
    dense = b"".join([varint(counts.get(index, 0)) for index in range(first, last + 1)])
    return sint64(1, first - 1) + blob(2, dense)


def _summary(family: MetricFamily, times: Times) -> bytes:
    out = []
    for point in _points(family, "quantile"):
        ranks = b"".join([blob(6, double(1, rank) + double(2, value)) for rank, value in point.parts])
        count_and_sum = fixed64(4, int(point.count)) + double(5, point.sum or 0.0)
        times_ = fixed64(2, times.start) + fixed64(3, times.now)
        out.append(blob(1, attributes(_LABELS, point.labels) + times_ + count_and_sum + ranks))
    return blob(11, b"".join(out))


_DATA: dict[str, Callable[[MetricFamily, Times], bytes]] = {
    "counter": _sum,
    "histogram": _histogram,
    "summary": _summary,
}
"""How each type is written; the others are gauges."""
