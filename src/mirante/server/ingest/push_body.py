"""What senders push to a Pushgateway, as families of samples: text, OpenMetrics and delimited protobuf.

Families are named as the text format names them: a counter's with ``_total``, where its samples have it.

Source: prometheus.io, "Exposition formats"; io.prometheus.client.MetricFamily (prometheus/client_model, metrics.proto).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mirante._core.model import Exemplar, Sample
from mirante.errors import FormatError
from mirante.formats.exposition import bound
from mirante.formats.exposition_parser import Metadata, parse, read_float, read_series
from mirante.formats.native_histogram import NativeHistogram
from mirante.server.protobuf_exposition import read_protobuf

OPENMETRICS = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf"


class NativeSample(NamedTuple):
    """A native histogram.

    Attributes:
        labels: its own, or those of its group too.
        value: the histogram.
        timestamp: seconds since the Unix epoch, which must not be there.
        exemplars: examples.
    """

    labels: Mapping[str, str]
    value: NativeHistogram
    timestamp: float | None = None
    exemplars: tuple[Exemplar, ...] = ()


class Family(NamedTuple):
    """One family that was pushed.

    Attributes:
        name: as the text format has it.
        type: ``counter``, ``gauge``, ``histogram``, ``gaugehistogram``, ``summary`` or ``untyped``.
        help: one sentence for people.
        samples: with their own labels, or those of their group too.
        time: when it was pushed, in nanoseconds since the Unix epoch.
        natives: native histograms, which take the place of classic ones.
    """

    name: str
    type: str
    help: str
    samples: tuple[Sample, ...]
    time: int = 0
    natives: tuple[NativeSample, ...] = ()


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
        return _from_protobuf(body)
    openmetrics = media_type == OPENMETRICS
    page = parse(body, openmetrics=openmetrics)
    return _families(page.samples, {}, dict(_in_text_names(page.metadata)) if openmetrics else page.metadata)


def _from_protobuf(body: bytes) -> list[Family]:
    page = read_protobuf(body)
    samples, natives = [], defaultdict[str, list[NativeSample]](list)
    for series, measure in page.samples:
        labels = read_series(series)
        samples.append(Sample(labels.pop("__name__"), labels, *measure))
    for one in page.natives:
        labels = read_series(one.series)
        natives[labels.pop("__name__")].append(NativeSample(labels, one.value, one.timestamp, one.exemplars))
    return _families(samples, natives, page.metadata)


def _families(
    samples: Iterable[Sample], natives: Mapping[str, Sequence[NativeSample]], described: Mapping[str, Metadata]
) -> list[Family]:
    found = defaultdict[str, list[Sample]](list, {name: [] for name in natives})
    for sample in samples:
        found[_owner(sample.name, described)].append(sample)
    families = []
    for name, own in found.items():
        if not name:
            raise FormatError("a metric family has no name")
        said = described.get(name, Metadata())
        kind = "untyped" if said.type == "unknown" else said.type
        shaped = tuple(_shaped(name, kind, sample) for sample in own)
        families.append(Family(name, kind, said.help, shaped, natives=tuple(natives.get(name, ()))))
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
PARTS = {
    "histogram": ("_bucket", "_sum", "_count"),
    "gaugehistogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
"""Names of a family's parts, by its type."""


def _owner(name: str, metadata: Mapping[str, Metadata]) -> str:
    """The family of a sample of that name."""
    if name not in metadata:
        for kind, suffixes in PARTS.items():
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
