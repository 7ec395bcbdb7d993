"""Prometheus remote write 1.0, the writing side: ``prometheus.WriteRequest`` messages, uncompressed.

Source: prometheus.io, "Prometheus Remote-Write 1.0 specification", and its ``prometheus/prompb`` messages. The pieces
are apart from one another because a scraper encodes the labels of a series once and its samples for ever after.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import pairwise

from mirante._core.model import Exemplar, MetricFamily
from mirante.formats.native_histogram import NativeHistogram, to_spans
from mirante.formats.protobuf import blob, double, int64, sint64, string, varint, zigzag

STALE_NAN: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The staleness marker: written as a series' last value, it ends the series."""

NORMAL_NAN: float = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
"""The one bit pattern that Prometheus gives to a NaN that is a value."""

_METRIC_TYPES = {
    "unknown": 0,
    "counter": 1,
    "gauge": 2,
    "histogram": 3,
    "gaugehistogram": 4,
    "summary": 5,
    "info": 6,
    "stateset": 7,
}

TIMES = range(1 << 35, 1 << 42)
"""Milliseconds whose varint takes six bytes: from February 1971 to May 2109."""


def labels(pairs: Mapping[str, str]) -> bytes:
    """The ``labels`` fields of a TimeSeries or Exemplar: sorted by name, empty values left out as they mean "no label".

    Example:
        >>> labels({"b": "2", "a": "1", "c": ""}).hex()
        '0a060a01611201310a060a0162120132'
    """
    return b"".join(blob(1, string(1, name) + string(2, value)) for name, value in sorted(pairs.items()) if value)


def sample(value: float, timestamp: int) -> bytes:
    """The ``samples`` field with one sample; the timestamp in milliseconds since the Unix epoch."""
    return blob(2, double(1, value) + int64(2, timestamp))


def exemplar(example: Exemplar, timestamp: int) -> bytes:
    """The ``exemplars`` field with one exemplar; ``timestamp`` (milliseconds) stands in where the example has none."""
    at = timestamp if example.timestamp is None else round(example.timestamp * 1000)
    return blob(3, labels(example.labels) + double(2, example.value) + int64(3, at))


def histogram(value: NativeHistogram, timestamp: int) -> bytes:
    """The ``histograms`` field with one native histogram; the timestamp in milliseconds since the Unix epoch."""
    # Each count has two fields: one for integers, the next for floats.
    if value.is_float:
        total, zero = double(2, value.count), double(7, value.zero_count)
    else:
        total, zero = int64(1, int(value.count)), int64(6, int(value.zero_count))
    parts = [total, double(3, value.sum), sint64(4, value.schema), double(5, value.zero_threshold), zero]
    for first_field, buckets in ((8, value.negative), (11, value.positive)):
        spans, counts = to_spans(buckets)
        parts += [blob(first_field, sint64(1, skipped) + int64(2, length)) for skipped, length in spans]
        if not counts:
            continue
        if value.is_float:
            parts.append(blob(first_field + 2, struct.pack(f"<{len(counts)}d", *counts)))
        else:
            deltas = (int(count - before) for before, count in pairwise([0, *counts]))
            parts.append(blob(first_field + 1, b"".join(map(zigzag, deltas))))
    parts += [int64(14, value.reset_hint), int64(15, timestamp)]
    if value.custom_bounds:
        parts.append(blob(16, struct.pack(f"<{len(value.custom_bounds)}d", *value.custom_bounds)))
    return blob(4, b"".join(parts))


def series(label_bytes: bytes, *fields: bytes) -> bytes:
    """The ``timeseries`` field with one TimeSeries: what ``labels`` gave, then samples, exemplars and histograms."""
    return blob(1, label_bytes + b"".join(fields))


def metadata(family: str, kind: str, help_text: str = "", unit: str = "") -> bytes:
    """The ``metadata`` field that describes one metric family.

    Args:
        family: name of the family, as its TYPE line has it.
        kind: ``counter``, ``gauge`` and so on; what is not known is written as ``unknown``.
        help_text: one sentence for people.
        unit: the base unit, or the empty string.
    """
    described = string(2, family) + string(4, help_text) + string(5, unit)
    return blob(3, int64(1, _METRIC_TYPES.get(kind, 0)) + described)


def series_head(label_bytes: bytes) -> bytes:
    """Everything of a one-sample series that stands before its value, for times that ``sample_tail`` takes.

    ``series_head(l) + struct.pack("<d", v) + sample_tail(t)`` equals ``series(l, sample(v, t))``: a known series costs
    its writer a concatenation.
    """
    # A sample is 18 bytes: 0x12 and its length, then tag and eight bytes of value, tag and six bytes of time.
    return b"\x0a" + varint(len(label_bytes) + 18) + label_bytes + b"\x12\x10\x09"


def head_labels(head: bytes) -> bytes:
    """The label bytes that ``series_head`` was given."""
    start = 1
    while head[start] & 0x80:
        start += 1
    return head[start + 1 : -3]


def sample_tail(timestamp: int) -> bytes:
    """What follows the value of a one-sample series that began with ``series_head``.

    Raises:
        ValueError: the time (milliseconds) is not in ``TIMES``, so that its length differs.
    """
    if timestamp not in TIMES:
        raise ValueError(f"timestamp {timestamp} is not between February 1971 and May 2109")
    return b"\x10" + varint(timestamp)


def write_request(families: Iterable[MetricFamily], timestamp: int) -> bytes:
    """A whole WriteRequest of collected families, each with its metadata.

    Args:
        families: what a registry or collector yields.
        timestamp: milliseconds since the Unix epoch, for the samples that bring no time of their own.

    Example:
        >>> from mirante._core.model import MetricFamily, Sample
        >>> len(write_request([MetricFamily("up", "gauge", samples=(Sample("up", {}, 1.0),))], 1_700_000_000_000))
        48
    """
    parts = []
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        parts.append(metadata(family.name + suffix, family.type, family.help, family.unit))
        for one in family.samples:
            at = timestamp if one.timestamp is None else round(one.timestamp * 1000)
            extra = exemplar(one.exemplar, at) if one.exemplar else b""
            parts.append(series(labels({**one.labels, "__name__": one.name}), sample(one.value, at), extra))
    return b"".join(parts)
