"""Prometheus remote write 2.0, the writing side: ``io.prometheus.write.v2.Request`` messages, uncompressed.

Source: prometheus.io, "Prometheus Remote-Write 2.0 specification". Every text of a request stands once in a table of
symbols and is referred to by its number; each series carries its metadata and the time when its counting began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.formats.protobuf import blob, double, int64, string, varint

_METRIC_TYPES = {"counter": 1, "gauge": 2, "histogram": 3, "gaugehistogram": 4, "summary": 5, "info": 6, "stateset": 7}


class _Symbols(dict[str, int]):
    """Numbers texts in the order in which they are first asked for; 0 is the empty one."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


def write_request(families: Iterable[MetricFamily], timestamp: int) -> bytes:
    """A whole Request of collected families.

    ``_created`` samples become the created timestamp of their series.

    Args:
        families: what a registry or collector yields; the samples of a series ordered by time.
        timestamp: milliseconds since the Unix epoch, for the samples that bring no time of their own.

    Example:
        >>> up = MetricFamily("up", "gauge", samples=(Sample("up", {}, 1.0),))
        >>> len(write_request([up], 1_700_000_000_000))
        48
    """
    symbols = _Symbols()
    timeseries = [blob(5, one) for family in families for one in _series(family, symbols, timestamp)]
    return b"".join([string(4, text) for text in symbols] + timeseries)


def _series(family: MetricFamily, symbols: _Symbols, timestamp: int) -> Iterator[bytes]:
    """The TimeSeries messages of a family."""
    created: dict[frozenset[tuple[str, str]], int] = {}
    grouped: dict[tuple[str, frozenset[tuple[str, str]]], list[Sample]] = {}
    for sample in family.samples:
        labels = frozenset(sample.labels.items())
        if sample.name == f"{family.name}_created":
            created[labels] = round(sample.value * 1000)
        else:
            grouped.setdefault((sample.name, labels), []).append(sample)
    described = int64(1, _METRIC_TYPES.get(family.type, 0))
    described += int64(3, symbols[family.help]) + int64(4, symbols[family.unit])
    for (name, labels), samples in grouped.items():
        parts = [_refs({**dict(labels), "__name__": name}, symbols)]
        parts += [blob(2, double(1, s.value) + int64(2, _time(s.timestamp, timestamp))) for s in samples]
        parts += [blob(4, _exemplar(s.exemplar, symbols, _time(s.timestamp, timestamp))) for s in samples if s.exemplar]
        parts.append(blob(5, described))
        began = created.get(frozenset(pair for pair in labels if pair[0] not in ("le", "quantile")), 0)
        yield b"".join(parts) + (int64(6, began) if began else b"")


def _refs(labels: Mapping[str, str], symbols: _Symbols) -> bytes:
    """The packed ``labels_refs`` field: sorted by name, empty values left out as they mean "no label"."""
    pairs = sorted((name, value) for name, value in labels.items() if value)
    return blob(1, b"".join(varint(symbols[text]) for pair in pairs for text in pair))


def _exemplar(example: Exemplar, symbols: _Symbols, timestamp: int) -> bytes:
    return _refs(example.labels, symbols) + double(2, example.value) + int64(3, _time(example.timestamp, timestamp))


def _time(seconds: float | None, otherwise: int) -> int:
    return otherwise if seconds is None else round(seconds * 1000)
