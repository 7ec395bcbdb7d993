"""Turns remote write 2.0 bodies into those of 1.0, which are what the store loads.

Source: prometheus.io, "Prometheus Remote-Write 2.0 specification", and its ``io.prometheus.write.v2`` messages.

A series' table of symbols is the whole request's, so that the engine would have to carry it along with every series;
here it is looked up once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from google.protobuf.message import DecodeError

from mirante.formats import remote_write
from mirante.formats.native_histogram import NativeHistogram
from mirante.formats.protobuf import blob, double, int64, string
from mirante.server.store.protos import Parsed, Proto

_PROTO = """
message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
message TimeSeries {
  repeated uint32 labels_refs = 1;
  repeated Sample samples = 2;
  repeated Histogram histograms = 3;
  repeated Exemplar exemplars = 4;
  Metadata metadata = 5;
  int64 created_timestamp = 6;
}
message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
message Metadata { int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
message Histogram {
  oneof count { double count_float = 2; }
  sint32 schema = 4;
  double zero_threshold = 5;
  int64 timestamp = 15;
  repeated double custom_values = 16;
  int64 start_timestamp = 17;
}
"""
"""Histograms are those of 1.0 to the bit and pass as they came: named here is only what is looked at."""

_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
_COUNTING = {"counter": ("",), "histogram": ("",), "summary": ("_count", "_sum")}
"""What begins at zero, by the ends of the series' names."""


class Translation(NamedTuple):
    """A body of 1.0.

    Attributes:
        body: the ``prometheus.WriteRequest``.
        zero_samples: samples in it that stand for the beginning of a series, which the sender did not count.
        zero_histograms: native histograms that do.
        began: the beginnings said in it, in milliseconds by series.
        described: the metadata said in it.
    """

    body: bytes
    zero_samples: int
    zero_histograms: int
    began: Mapping[int, int]
    described: AbstractSet[bytes]


class Translator:
    """Translates bodies, and remembers what need not be said again.

    Every request repeats each series' metadata and the time when it began to count. The former is stored when it is
    new; the latter becomes a zero at that time, once, so that ``increase`` sees the first observations too.

    Args:
        most: entries of each of the two kept in memory.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._parse: Callable[[bytes], Parsed] = Proto(_PROTO).message_class().FromString
        self._most = most
        self._began: dict[int, int] = {}
        self._described: set[bytes] = set()

    def translate(self, body: bytes, first: int) -> Translation:
        """The body as one of 1.0; call ``remember`` when it is stored.

        Args:
            body: an ``io.prometheus.write.v2.Request``.
            first: earliest acceptable time in milliseconds; what began before that has no zero.

        Raises:
            DecodeError: it is none, or refers to symbols that it does not have.
        """
        message = self._parse(body)
        symbols = list(message.symbols)
        if symbols[:1] != [""] and message.timeseries:
            raise DecodeError("the first symbol is not the empty text")
        request = _Request(symbols)
        began: dict[int, int] = {}
        described: set[bytes] = set()
        zeros = Counter[bool]()
        parts: list[bytes] = []
        for series in message.timeseries:
            labels = request.labels(series.labels_refs)
            fields = [remote_write.sample(sample.value, sample.timestamp) for sample in series.samples]
            fields += [blob(4, histogram.SerializeToString()) for histogram in series.histograms]
            fields += [request.exemplar(one) for one in series.exemplars]
            if series.HasField("metadata"):
                described.add(request.metadata(series))
                since = request.beginning(series)
                if since >= max(first, 1) and self._began.get(hash(labels)) != since:
                    began[hash(labels)] = since
                    fields.append(_zero(series, since))
                    zeros[bool(series.samples)] += 1
            parts.append(remote_write.series(labels, *fields))
        described -= self._described
        return Translation(b"".join((*parts, *sorted(described))), zeros[True], zeros[False], began, described)

    def remember(self, said: Translation) -> None:
        """Do not say it again. Of too much everything is forgotten, and said once more: that does no harm."""
        if len(self._began) + len(said.began) > self._most:
            self._began = {}
        if len(self._described) + len(said.described) > self._most:
            self._described = set()
        self._began.update(said.began)
        self._described.update(said.described)


class _Request:
    """Looks symbols up."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = symbols
        self._pairs: dict[tuple[int, int], bytes] = {}

    def labels(self, refs: Sequence[int]) -> bytes:
        """The ``labels`` fields of a series or exemplar."""
        if len(refs) % 2:
            raise DecodeError("a list of labels has a name without a value")
        pairs = zip(refs[::2], refs[1::2], strict=True)
        return b"".join([self._pairs.get(pair) or self._pair(*pair) for pair in pairs])

    def _pair(self, name: int, value: int) -> bytes:
        made = self._pairs[name, value] = blob(1, string(1, self._text(name)) + string(2, self._text(value)))
        return made

    def _text(self, number: int) -> str:
        try:
            return self._symbols[number]
        except IndexError:
            raise DecodeError(f"there is no symbol {number}, they end with {len(self._symbols) - 1}") from None

    def name(self, refs: Sequence[int]) -> str:
        """The series' name."""
        return next((self._text(refs[i + 1]) for i in range(0, len(refs), 2) if self._text(refs[i]) == "__name__"), "")

    def exemplar(self, one: Parsed) -> bytes:
        """The ``exemplars`` field."""
        return blob(3, self.labels(one.labels_refs) + double(2, one.value) + int64(3, one.timestamp))

    def metadata(self, series: Parsed) -> bytes:
        """The ``metadata`` field of the series' family."""
        about, name = series.metadata, self.name(series.labels_refs)
        kind = _kind(about)
        ending = next((end for end in _PARTS.get(kind, ()) if name.endswith(end)), "")
        return remote_write.metadata(
            name.removesuffix(ending), kind, self._text(about.help_ref), self._text(about.unit_ref)
        )

    def beginning(self, series: Parsed) -> int:
        """When the series began to count, in milliseconds; 0 when that is not said, or nothing counts."""
        points = series.samples or series.histograms
        endings = _COUNTING.get(_kind(series.metadata), ())
        if not points or not self.name(series.labels_refs).endswith(endings):
            return 0
        since: int = series.created_timestamp or points[0].start_timestamp
        return since if since < points[0].timestamp else 0


def _kind(about: Parsed) -> str:
    return _TYPES[about.type] if 0 <= about.type < len(_TYPES) else _TYPES[0]


def _zero(series: Parsed, since: int) -> bytes:
    """The sample or histogram from which the series counts."""
    if series.samples:
        return remote_write.sample(0.0, since)
    one = series.histograms[0]
    bounds = tuple(one.custom_values)
    empty = NativeHistogram(
        0,
        0.0,
        schema=one.schema,
        zero_threshold=one.zero_threshold,
        custom_bounds=bounds,
        is_float=one.HasField("count_float"),
    )
    return remote_write.histogram(empty, since)
