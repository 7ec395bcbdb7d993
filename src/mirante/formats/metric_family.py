"""Prometheus's protobuf exposition, the writing side: the only one that carries native histograms.

Source: io.prometheus.client.MetricFamily (prometheus/client_model, metrics.proto); each message behind its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mirante._core.model import Exemplar, MetricFamily, NativePoint, Sample
from mirante.formats.protobuf import blob, delimited, double, int64, sint64, string, varint

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_COUNTER, _GAUGE, _SUMMARY, _UNTYPED, _HISTOGRAM = range(5)
_TYPES = {"counter": _COUNTER, "gauge": _GAUGE, "summary": _SUMMARY, "histogram": _HISTOGRAM, "unknown": _UNTYPED}
_SUFFIXES = {"counter": "_total", "info": "_info"}


def metric_family(family: MetricFamily) -> bytes:
    """One family behind its length; info and state set become gauges, as in the text format.

    Example:
        >>> metric_family(MetricFamily("up", "gauge", "", samples=(Sample("up", {}, 1.0),))).hex(" ", 8)
        '150a02757012 001801220b120909 000000000000f03f'
    """
    name = family.name + _SUFFIXES.get(family.type, "")
    kind = _TYPES.get(family.type, _GAUGE)
    head = string(1, name) + string(2, family.help) + int64(3, kind)
    unit = string(5, family.unit) if family.unit else b""
    return delimited(b"".join([head, *(blob(4, metric) for metric in _metrics(family, name, kind)), unit]))


def _metrics(family: MetricFamily, name: str, kind: int) -> Iterator[bytes]:
    if kind == _HISTOGRAM:
        yield from _histograms(family)
    elif kind == _SUMMARY:
        for labels, samples in _groups(family.samples, "quantile"):
            yield _pairs(labels) + blob(4, _summary(family.name, samples))
    else:
        field, exemplary = {_COUNTER: (3, True), _GAUGE: (2, False), _UNTYPED: (5, False)}[kind]
        for sample in family.samples:
            if sample.name == name:
                more = blob(2, _exemplar(sample.exemplar)) if exemplary and sample.exemplar else b""
                yield _pairs(sample.labels) + blob(field, double(1, sample.value) + more) + _time(sample)


def _time(sample: Sample) -> bytes:
    return b"" if sample.timestamp is None else int64(6, round(sample.timestamp * 1000))


def _pairs(labels: Mapping[str, str]) -> bytes:
    return b"".join([blob(1, string(1, name) + string(2, value)) for name, value in labels.items()])


def _groups(samples: Sequence[Sample], without: str) -> Iterator[tuple[dict[str, str], list[Sample]]]:
    """The samples that share all labels but one."""
    found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in samples:
        key = tuple((name, value) for name, value in sample.labels.items() if name != without)
        found.setdefault(key, []).append(sample)
    for key, group in found.items():
        yield dict(key), group


def _summary(name: str, samples: Sequence[Sample]) -> bytes:
    parts = []
    for sample in samples:
        if sample.name == f"{name}_count":
            parts.append(int64(1, int(sample.value)))
        elif sample.name == f"{name}_sum":
            parts.append(double(2, sample.value))
        elif sample.name == name:
            parts.append(blob(3, double(1, float(sample.labels["quantile"])) + double(2, sample.value)))
    return b"".join(parts)


def _histograms(family: MetricFamily) -> Iterator[bytes]:
    """Classic and native ones; where both have the same labels they are one message."""
    native = {tuple(point.labels.items()): point for point in family.native}
    for labels, samples in _groups(family.samples, "le"):
        point = native.pop(tuple(labels.items()), None)
        # A native histogram's count and sum must be those of its own buckets.
        own = _native(point) if point else b"".join(_totals(family.name, samples))
        yield _pairs(labels) + blob(7, own + b"".join(_buckets(family.name, samples)))
    for point in native.values():
        yield _pairs(point.labels) + blob(7, _native(point))


def _totals(name: str, samples: Sequence[Sample]) -> Iterator[bytes]:
    for sample in samples:
        if sample.name == f"{name}_count":
            yield int64(1, int(sample.value))
        elif sample.name == f"{name}_sum":
            yield double(2, sample.value)


def _buckets(name: str, samples: Sequence[Sample]) -> Iterator[bytes]:
    for sample in samples:
        if sample.name == f"{name}_bucket":
            more = blob(3, _exemplar(sample.exemplar)) if sample.exemplar else b""
            yield blob(3, int64(1, int(sample.value)) + double(2, float(sample.labels["le"])) + more)


def _native(point: NativePoint) -> bytes:
    parts = [
        int64(1, point.observations),
        double(2, point.sum),
        sint64(5, point.schema),
        double(6, point.zero_threshold),
        int64(7, point.zero_count),
        _sparse(point.negative, 9, 10),
        _sparse(point.positive, 12, 13),
    ]
    if not point.positive and not point.negative and not point.zero_count:
        parts.append(blob(12, sint64(1, 0) + int64(2, 0)))  # an empty span says that it is native all the same
    if point.created is not None:
        parts.append(blob(15, _timestamp(point.created)))
    parts += [blob(16, _exemplar(example)) for example in point.exemplars]
    return b"".join(parts)


def _sparse(buckets: Mapping[int, int], span_field: int, delta_field: int) -> bytes:
    """Runs of neighbouring buckets, each by its distance from the one before, and counts as differences."""
    spans: list[list[int]] = []
    deltas = []
    at = before = 0
    for index in sorted(buckets):
        if spans and index == at:
            spans[-1][1] += 1
        else:
            spans.append([index - at, 1])
        deltas.append(_zigzag(buckets[index] - before))
        at, before = index + 1, buckets[index]
    runs = b"".join([blob(span_field, sint64(1, offset) + int64(2, length)) for offset, length in spans])
    return runs + (blob(delta_field, b"".join(deltas)) if deltas else b"")


def _zigzag(n: int) -> bytes:
    return varint((n << 1 ^ n >> 63) & 0xFFFFFFFFFFFFFFFF)


def _exemplar(exemplar: Exemplar) -> bytes:
    time = blob(3, _timestamp(exemplar.timestamp)) if exemplar.timestamp is not None else b""
    return _pairs(exemplar.labels) + double(2, exemplar.value) + time


def _timestamp(seconds: float) -> bytes:
    whole = int(seconds // 1)
    return int64(1, whole) + int64(2, int((seconds - whole) * 1e9))
