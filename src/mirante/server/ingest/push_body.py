"""What senders push to a Pushgateway, as families of samples: text, OpenMetrics and delimited protobuf.

Families are named as the text format names them: a counter's with ``_total``, where its samples have it.

Source: prometheus.io, "Exposition formats"; io.prometheus.client.MetricFamily (prometheus/client_model, metrics.proto).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from google.protobuf.message import DecodeError

from mirante._core.model import Exemplar, Sample
from mirante.errors import FormatError
from mirante.formats.exposition import bound
from mirante.formats.exposition_parser import Metadata, parse, read_float
from mirante.server.store.protos import Parsed, Proto

OPENMETRICS = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf"

# Counts are uint64 there: beyond 2^63 nobody counts.
_FAMILIES = """
message Families { repeated MetricFamily family = 1; }
message MetricFamily { string name = 1; string help = 2; int32 type = 3; repeated Metric metric = 4; }
message Metric {
  repeated LabelPair label = 1;
  optional Number gauge = 2;
  optional Number counter = 3;
  optional Summary summary = 4;
  optional Number untyped = 5;
  optional int64 timestamp_ms = 6;
  optional Histogram histogram = 7;
}
message LabelPair { string name = 1; string value = 2; }
message Number { double value = 1; optional Exemplar exemplar = 2; }
message Summary { int64 sample_count = 1; double sample_sum = 2; repeated Quantile quantile = 3; }
message Quantile { double quantile = 1; double value = 2; }
message Histogram {
  int64 sample_count = 1;
  double sample_sum = 2;
  repeated Bucket bucket = 3;
  optional double sample_count_float = 4;
  repeated Span negative_span = 9;
  repeated Span positive_span = 12;
}
message Bucket {
  int64 cumulative_count = 1;
  double upper_bound = 2;
  optional Exemplar exemplar = 3;
  optional double cumulative_count_float = 4;
}
message Span { int32 length = 2; }
message Exemplar { repeated LabelPair label = 1; double value = 2; optional Timestamp timestamp = 3; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
"""
# By their numbers; the fields of a metric have the same names.
_TYPES = ("counter", "gauge", "summary", "untyped", "histogram")


class Family(NamedTuple):
    """One family that was pushed.

    Attributes:
        name: as the text format has it.
        type: ``counter``, ``gauge``, ``histogram``, ``summary`` or ``untyped``.
        help: one sentence for people.
        samples: with their own labels, or those of their group too.
        time: when it was pushed, in nanoseconds since the Unix epoch.
    """

    name: str
    type: str
    help: str
    samples: tuple[Sample, ...]
    time: int = 0


def read_families(body: bytes, media_type: str) -> list[Family]:
    r"""The families of a body.

    Args:
        body: unpacked.
        media_type: ``application/openmetrics-text``, ``application/vnd.google.protobuf`` (delimited), else text format.

    Raises:
        FormatError: it breaks the format; the message says where.

    Example:
        >>> [(one.name, one.type) for one in read_families(b"# TYPE a gauge\na 1\nb 2\n", "text/plain")]
        [('a', 'gauge'), ('b', 'untyped')]
    """
    if media_type == PROTOBUF:
        return list(_from_protobuf(body))
    openmetrics = media_type == OPENMETRICS
    page = parse(body, openmetrics=openmetrics)
    described = dict(_in_text_names(page.metadata)) if openmetrics else page.metadata
    found: dict[str, list[Sample]] = {}
    for sample in page.samples:
        found.setdefault(_owner(sample.name, described), []).append(sample)
    families = []
    for name, samples in found.items():
        said = described.get(name, Metadata())
        kind = "untyped" if said.type == "unknown" else said.type
        families.append(Family(name, kind, said.help, tuple(_shaped(name, kind, sample) for sample in samples)))
    return families


def _in_text_names(metadata: Mapping[str, Metadata]) -> Iterator[tuple[str, Metadata]]:
    """OpenMetrics' families under the names and types that the text format has for their samples."""
    for name, said in metadata.items():
        match said.type:
            case "counter":
                yield f"{name}_total", said
            case "info":
                yield f"{name}_info", said._replace(type="gauge")
            case "stateset":
                yield name, said._replace(type="gauge")
            case "gaugehistogram":
                for suffix in ("_bucket", "_gcount", "_gsum"):
                    yield name + suffix, said._replace(type="gauge")
            case _:
                yield name, said
        if said.type in {"counter", "histogram", "summary"}:
            yield f"{name}_created", said._replace(type="gauge")


_BOUNDS = {"histogram": "le", "summary": "quantile"}
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


def _owner(name: str, metadata: Mapping[str, Metadata]) -> str:
    """The family of a sample of that name."""
    if name not in metadata:
        for kind, suffixes in _SUFFIXES.items():
            for suffix in suffixes:
                base = name.removesuffix(suffix)
                if base != name and base in metadata and metadata[base].type == kind:
                    return base
    return name


def _shaped(name: str, kind: str, sample: Sample) -> Sample:
    """The sample as all clients write it: bounds and quantiles are numbers, whatever their text."""
    label = _BOUNDS.get(kind)
    if label is None:
        return sample
    if sample.name != (f"{name}_bucket" if kind == "histogram" else name):
        if sample.name == name:
            raise FormatError(f'the sample "{name}" has no place in a {kind} of that name')
        return sample
    if label not in sample.labels:
        raise FormatError(f'the sample "{sample.name}" of a {kind} lacks the label "{label}"')
    return sample._replace(labels={**sample.labels, label: bound(read_float(sample.labels[label].encode()))})


def _from_protobuf(body: bytes) -> Iterator[Family]:
    try:
        families = _parser()(_undelimited(body)).family
    except (DecodeError, IndexError):
        raise FormatError(
            "the body is no sequence of io.prometheus.client.MetricFamily, each behind its size"
        ) from None
    for family in families:
        kind = _TYPES[family.type] if 0 <= family.type < len(_TYPES) else ""
        if not kind or not family.name:
            raise FormatError(f'the family "{family.name}" has no name, or a type that nobody knows: {family.type}')
        samples = tuple(sample for metric in family.metric for sample in _samples(family.name, kind, metric))
        yield Family(family.name, kind, family.help, samples)


@cache
def _parser() -> Callable[[bytes], Parsed]:
    return Proto(_FAMILIES).message_class().FromString


def _undelimited(body: bytes) -> bytes:
    """Messages behind their sizes as the repeated field 1 of one message: a tag before each size is all it takes."""
    parts, at = [], 0
    while at < len(body):
        start, size, shift = at, 0, 0
        while True:
            byte = body[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += size
        if at > len(body):
            raise IndexError
        parts += [b"\x0a", body[start:at]]
    return b"".join(parts)


def _samples(name: str, kind: str, metric: Parsed) -> Iterator[Sample]:
    if not metric.HasField(kind):
        raise FormatError(f'a metric of "{name}" is not a {kind}')
    labels = _labels(metric.label, name)
    time = metric.timestamp_ms / 1000 if metric.HasField("timestamp_ms") else None
    value = getattr(metric, kind)
    if kind == "histogram":
        yield from _histogram(name, labels, value, time)
    elif kind == "summary":
        for one in value.quantile:
            yield Sample(name, {**labels, "quantile": bound(one.quantile)}, one.value, time)
        yield Sample(f"{name}_sum", labels, value.sample_sum, time)
        yield Sample(f"{name}_count", labels, value.sample_count, time)
    else:
        yield Sample(name, labels, value.value, time, _exemplar(value))


def _histogram(name: str, labels: dict[str, str], value: Parsed, time: float | None) -> Iterator[Sample]:
    if (value.negative_span or value.positive_span) and not value.bucket:
        raise FormatError(f'"{name}" is a native histogram; the groups of a Pushgateway keep classic ones only')
    count = value.sample_count_float if value.HasField("sample_count_float") else value.sample_count
    bounds = []
    for one in value.bucket:
        so_far = one.cumulative_count_float if one.HasField("cumulative_count_float") else one.cumulative_count
        bounds.append(bound(one.upper_bound))
        yield Sample(f"{name}_bucket", {**labels, "le": bounds[-1]}, so_far, time, _exemplar(one))
    if "+Inf" not in bounds:
        yield Sample(f"{name}_bucket", {**labels, "le": "+Inf"}, count, time)
    yield Sample(f"{name}_sum", labels, value.sample_sum, time)
    yield Sample(f"{name}_count", labels, count, time)


def _exemplar(owner: Parsed) -> Exemplar | None:
    if not owner.HasField("exemplar"):
        return None
    one = owner.exemplar
    time = one.timestamp.seconds + one.timestamp.nanos / 1e9 if one.HasField("timestamp") else None
    return Exemplar(_labels(one.label, "an exemplar"), one.value, time)


def _labels(pairs: Iterable[Parsed], owner: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        if not pair.name or pair.name in found:
            raise FormatError(f'label name "{pair.name}" of "{owner}" is empty or not unique')
        found[pair.name] = pair.value
    return found
