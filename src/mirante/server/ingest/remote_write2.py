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
        self._parse: Callable[[bytes], Parsed] = Proto(_PROTO).message_class(("Histogram", "Exemplar")).FromString
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
        rare = not message.IsInitialized()
        began: dict[int, int] = {}
        described: set[bytes] = set()
        zeros = Counter[bool]()
        parts: list[bytes] = []
        for series in message.timeseries:
            refs = list(series.labels_refs)
            labels = request.labels(refs)
            fields = [blob(2, sample.SerializeToString()) for sample in series.samples]  # as in 1.0
            if rare:
                fields += [blob(4, histogram.SerializePartialToString()) for histogram in series.histograms]
                fields += [request.exemplar(one) for one in series.exemplars]
            if series.HasField("metadata"):
                family = request.family(refs, series.metadata)
                described.add(family.metadata)
                since = _beginning(series) if family.counts else 0
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


class _Family(NamedTuple):
    metadata: bytes  # the field that describes it
    counts: bool  # whether the series begins at zero


class _Request:
    """Looks symbols up, each text and each family once."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = symbols
        self._pairs: dict[tuple[int, int], bytes] = {}
        self._families: dict[tuple[int, int, int, int], _Family] = {}
        self._name = symbols.index("__name__") if "__name__" in symbols else -1

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

    def exemplar(self, one: Parsed) -> bytes:
        """The ``exemplars`` field."""
        return blob(3, self.labels(one.labels_refs) + double(2, one.value) + int64(3, one.timestamp))

    def family(self, refs: Sequence[int], about: Parsed) -> _Family:
        """What the series' metadata says."""
        names = refs[::2]
        name = refs[2 * names.index(self._name) + 1] if self._name in names else 0
        key = (name, about.type, about.help_ref, about.unit_ref)
        found = self._families.get(key)
        if found is None:
            found = self._families[key] = self._family(*key)
        return found

    def _family(self, name_ref: int, number: int, help_ref: int, unit_ref: int) -> _Family:
        name, kind = self._text(name_ref), _TYPES[number] if 0 <= number < len(_TYPES) else _TYPES[0]
        ending = next((end for end in _PARTS.get(kind, ()) if name.endswith(end)), "")
        field = remote_write.metadata(name.removesuffix(ending), kind, self._text(help_ref), self._text(unit_ref))
        return _Family(field, name.endswith(_COUNTING.get(kind, ())))


def _beginning(series: Parsed) -> int:
    """When the series began to count, in milliseconds; 0 when that is not said."""
    points = series.samples or series.histograms
    if not points:
        return 0
    since: int = series.created_timestamp or points[0].start_timestamp
    return since if since < points[0].timestamp else 0


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
