"""Reads remote-write 1.0 bodies with the protobuf library, as a peer would."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_T = descriptor_pb2.FieldDescriptorProto
_KINDS = {"string": _T.TYPE_STRING, "double": _T.TYPE_DOUBLE, "int32": _T.TYPE_INT32, "int64": _T.TYPE_INT64}
_MESSAGES = """
Label: string name 1, string value 2
Sample: double value 1, int64 timestamp 2
Exemplar: Label labels 1, double value 2, int64 timestamp 3
TimeSeries: Label labels 1, Sample samples 2, Exemplar exemplars 3
MetricMetadata: int32 type 1, string metric_family_name 2, string help 4, string unit 5
WriteRequest: TimeSeries timeseries 1, MetricMetadata metadata 3
"""


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="write_request.proto", package="prometheus", syntax="proto3")
    for line in _MESSAGES.strip().splitlines():
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        for kind, field_name, number in (text.split() for text in fields.split(", ")):
            made = message.field.add(name=field_name, number=int(number), label=_T.LABEL_OPTIONAL)
            if kind in _KINDS:
                made.type = _KINDS[kind]
            else:
                made.label, made.type, made.type_name = _T.LABEL_REPEATED, _T.TYPE_MESSAGE, f".prometheus.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WRITE_REQUEST = _message_class()
SeriesKey = tuple[tuple[str, str], ...]


def bits(value: float) -> int:
    """The float's bit pattern: what tells one NaN from another."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


@dataclass
class Written:
    """What bodies say.

    Attributes:
        samples: (timestamp, value) in the order written, by sorted labels.
        exemplars: (labels, value, timestamp) by sorted labels.
        metadata: (type, family, help, unit) in the order written.
    """

    samples: dict[SeriesKey, list[tuple[int, float]]] = field(default_factory=dict)
    exemplars: dict[SeriesKey, list[tuple[dict[str, str], float, int]]] = field(default_factory=dict)
    metadata: list[tuple[int, str, str, str]] = field(default_factory=list)

    def of(self, name: str, **labels: str) -> list[tuple[int, float]]:
        """Samples of the one series that has that name and those labels among others."""
        wanted = {("__name__", name), *labels.items()}
        found = [samples for key, samples in self.samples.items() if wanted <= set(key)]
        assert len(found) <= 1, f"{name} is not one series: {found}"
        return found[0] if found else []

    def names(self) -> set[str]:
        """Names of all series."""
        return {dict(key)["__name__"] for key in self.samples}


def read(bodies: Iterable[bytes]) -> Written:
    """Read bodies; fails when labels are not sorted, as the protocol asks."""
    written = Written()
    for body in bodies:
        request = WRITE_REQUEST.FromString(body)
        for series in request.timeseries:
            key = tuple((label.name, label.value) for label in series.labels)
            assert list(key) == sorted(set(key)), key
            if series.samples:
                written.samples.setdefault(key, []).extend((s.timestamp, s.value) for s in series.samples)
            for e in series.exemplars:
                labels = {label.name: label.value for label in e.labels}
                written.exemplars.setdefault(key, []).append((labels, e.value, e.timestamp))
        written.metadata += [(m.type, m.metric_family_name, m.help, m.unit) for m in request.metadata]
    return written


def write_request(series: Iterable[tuple[Mapping[str, str], Iterable[tuple[int, float]]]]) -> bytes:
    """A body of labels and (timestamp in milliseconds, value) pairs."""
    request = WRITE_REQUEST()
    for labels, samples in series:
        one = request.timeseries.add()
        for name, text in sorted(labels.items()):
            one.labels.add(name=name, value=text)
        for timestamp, value in samples:
            one.samples.add(timestamp=timestamp, value=value)
    return bytes(request.SerializeToString())
