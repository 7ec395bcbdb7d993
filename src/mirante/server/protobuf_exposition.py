"""Reads Prometheus's protobuf exposition: the only one that carries native histograms.

A classic histogram or summary comes apart into the same series that the text formats have, named by the same text, so
that a target can change its format without its series ending. Source: io.prometheus.client.MetricFamily
(prometheus/client_model, metrics.proto), each message behind its length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from mirante._core.model import Exemplar
from mirante.errors import FormatError
from mirante.formats.exposition_parser import Measure, Metadata
from mirante.formats.names import LABEL_NAME, METRIC_NAME
from mirante.formats.native_histogram import GAUGE, SCHEMAS, UNKNOWN_RESET, NativeHistogram, from_spans
from mirante.server.store.protos import Proto

_SCHEMA = """
message MetricFamily { string name = 1; string help = 2; int32 type = 3; repeated Metric metric = 4; string unit = 5; }
message Metric {
  repeated LabelPair label = 1; Value gauge = 2; Value counter = 3; Summary summary = 4; Value untyped = 5;
  Histogram histogram = 7; optional int64 timestamp_ms = 6;
}
message LabelPair { string name = 1; string value = 2; }
message Value { double value = 1; Exemplar exemplar = 2; }
message Summary { uint64 sample_count = 1; double sample_sum = 2; repeated Quantile quantile = 3; }
message Quantile { double quantile = 1; double value = 2; }
message Histogram {
  uint64 sample_count = 1; double sample_count_float = 4; double sample_sum = 2; repeated Bucket bucket = 3;
  sint32 schema = 5; double zero_threshold = 6; uint64 zero_count = 7; double zero_count_float = 8;
  repeated BucketSpan negative_span = 9; repeated sint64 negative_delta = 10; repeated double negative_count = 11;
  repeated BucketSpan positive_span = 12; repeated sint64 positive_delta = 13; repeated double positive_count = 14;
  repeated Exemplar exemplars = 16;
}
message Bucket {
  uint64 cumulative_count = 1; double cumulative_count_float = 4; double upper_bound = 2; Exemplar exemplar = 3;
}
message BucketSpan { sint32 offset = 1; uint32 length = 2; }
message Exemplar { repeated LabelPair label = 1; double value = 2; Timestamp timestamp = 3; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
"""
_TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")
_GAUGE_HISTOGRAM = 5
_SLACK = 1 + 1e-9  # float counts are sums of floats

Message = Any
"""A message of a class that is made at run time: its fields are known to the text above alone."""


class NativeSample(NamedTuple):
    """A native histogram and what belongs to it; the timestamp in seconds since the Unix epoch."""

    series: bytes
    value: NativeHistogram
    timestamp: float | None
    exemplars: tuple[Exemplar, ...]


@dataclass(slots=True)
class ProtobufPage:
    """A page.

    Attributes:
        samples: by the text of their series.
        natives: native histograms.
        metadata: by family.
    """

    samples: list[tuple[bytes, Measure]] = field(default_factory=list)
    natives: list[NativeSample] = field(default_factory=list)
    metadata: dict[str, Metadata] = field(default_factory=dict)


def read_protobuf(body: bytes, *, classic: bool = False) -> ProtobufPage:
    """Read a page.

    Args:
        body: messages, each behind its length.
        classic: keep the classic buckets of histograms that are native too.

    Raises:
        FormatError: it is no such page; the message names the family.
    """
    page = ProtobufPage()
    for family in _families(body):
        if not 0 <= family.type < len(_TYPES):
            raise FormatError(f'metric family "{family.name}" has the unknown type {family.type}')
        page.metadata[family.name] = Metadata(_TYPES[family.type], family.help, family.unit)
        for metric in family.metric:
            _add(page, family, metric, classic=classic)
    return page


@cache
def _family_class() -> Callable[[], Message]:
    return Proto(_SCHEMA).message_class()


def _families(body: bytes) -> Iterator[Message]:
    make, at, view = _family_class(), 0, memoryview(body)
    while at < len(body):
        length, at = _length(body, at)
        if at + length > len(body):
            raise FormatError("the page ends in the middle of a metric family")
        family = make()
        try:
            family.ParseFromString(view[at : at + length])
        except DecodeError:
            raise FormatError(f"there is no metric family at byte {at}") from None
        yield family
        at += length


def _length(body: bytes, at: int) -> tuple[int, int]:
    """The varint there, and where it ends."""
    length = shift = 0
    for end in range(at, min(at + 5, len(body))):
        length |= (body[end] & 0x7F) << shift
        if body[end] < 0x80:
            return length, end + 1
        shift += 7
    raise FormatError(f"there is no length of a metric family at byte {at}")


def _add(page: ProtobufPage, family: Message, metric: Message, *, classic: bool) -> None:
    pairs = [(pair.name, pair.value) for pair in metric.label]
    time = metric.timestamp_ms / 1000 if metric.HasField("timestamp_ms") else None
    name = family.name

    def add(suffix: str, value: float, *more: tuple[str, str], exemplar: Message = None) -> None:
        example = _exemplar(exemplar) if exemplar is not None else None
        page.samples.append((series_text(name + suffix, [*pairs, *more]), Measure(float(value), time, example)))

    match _TYPES[family.type]:
        case "counter":
            add("", metric.counter.value, exemplar=_given(metric.counter))
        case "gauge":
            add("", metric.gauge.value)
        case "unknown":
            add("", metric.untyped.value)
        case "summary":
            for quantile in metric.summary.quantile:
                add("", quantile.value, ("quantile", _number(quantile.quantile)))
            add("_sum", metric.summary.sample_sum)
            add("_count", metric.summary.sample_count)
        case _:
            histogram = metric.histogram
            if _is_native(histogram):
                value = _native(family, histogram)
                examples = tuple(map(_exemplar, histogram.exemplars))
                page.natives.append(NativeSample(series_text(name, pairs), value, time, examples))
            if classic or not _is_native(histogram):
                _add_classic(histogram, add)


def _add_classic(histogram: Message, add: Callable[..., None]) -> None:
    count = histogram.sample_count_float or histogram.sample_count
    for bucket in histogram.bucket:
        value = bucket.cumulative_count_float or bucket.cumulative_count
        add("_bucket", value, ("le", _number(bucket.upper_bound)), exemplar=_given(bucket))
    if not histogram.bucket or histogram.bucket[-1].upper_bound != math.inf:
        add("_bucket", count, ("le", "+Inf"))
    add("_sum", histogram.sample_sum)
    add("_count", count)


def _is_native(histogram: Message) -> bool:
    # Any of these; an empty span says that a histogram without observations is native all the same.
    return bool(
        histogram.positive_span or histogram.negative_span or histogram.zero_threshold or histogram.zero_count
        or histogram.zero_count_float
    )  # fmt: skip


def _native(family: Message, given: Message) -> NativeHistogram:
    if given.schema not in SCHEMAS:
        raise FormatError(f'metric family "{family.name}" has a native histogram of the unknown schema {given.schema}')
    is_float = bool(given.sample_count_float or given.zero_count_float or given.positive_count or given.negative_count)
    value = NativeHistogram(
        count=given.sample_count_float if is_float else given.sample_count,
        sum=given.sample_sum,
        schema=given.schema,
        zero_threshold=given.zero_threshold,
        zero_count=given.zero_count_float if is_float else given.zero_count,
        positive=_buckets(family, given.positive_span, given.positive_count, given.positive_delta),
        negative=_buckets(family, given.negative_span, given.negative_count, given.negative_delta),
        is_float=is_float,
        reset_hint=GAUGE if family.type == _GAUGE_HISTOGRAM else UNKNOWN_RESET,
    )
    found = sum(value.positive.values()) + sum(value.negative.values()) + value.zero_count
    # An observation that is NaN is counted, stands in no bucket, and makes the sum NaN.
    if found > value.count * _SLACK or (found * _SLACK < value.count and not math.isnan(value.sum)):
        raise FormatError(
            f'metric family "{family.name}" has a native histogram whose count is not that of its buckets'
        )
    return value


def _buckets(
    family: Message, spans: Sequence[Message], counts: Iterable[float], deltas: Iterable[int]
) -> Mapping[int, float]:
    found = list(counts) or list(accumulate(deltas))
    places = [(span.offset, span.length) for span in spans]
    agree = sum(length for _, length in places) == len(found)
    if not agree or any(count < 0 for count in found) or any(offset < 0 for offset, _ in places[1:]):
        raise FormatError(f'metric family "{family.name}" has a native histogram whose spans and buckets do not agree')
    return from_spans(iter(places), iter(found))


def _given(message: Message) -> Message:
    return message.exemplar if message.HasField("exemplar") else None


def _exemplar(found: Message) -> Exemplar:
    labels = {pair.name: pair.value for pair in found.label}
    time = found.timestamp.seconds + found.timestamp.nanos / 1e9 if found.HasField("timestamp") else None
    return Exemplar(labels, found.value, time)


def _number(value: float) -> str:
    """A bound or quantile as OpenMetrics writes it.

    Example:
        >>> _number(1.0), _number(0.25), _number(float("inf"))
        ('1.0', '0.25', '+Inf')
    """
    return "+Inf" if value == math.inf else "-Inf" if value == -math.inf else repr(value)


def series_text(name: str, pairs: Iterable[tuple[str, str]]) -> bytes:
    r"""The series as a line of text has it.

    Example:
        >>> series_text("up", [("job", 'a"b')]), series_text("my.up", [])
        (b'up{job="a\\"b"}', b'{"my.up"}')
    """
    parts = [f"{key if LABEL_NAME.fullmatch(key) else _quoted(key)}={_quoted(value)}" for key, value in pairs]
    if METRIC_NAME.fullmatch(name):
        return (f"{name}{{{','.join(parts)}}}" if parts else name).encode()
    return f"{{{','.join([_quoted(name), *parts])}}}".encode()


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
